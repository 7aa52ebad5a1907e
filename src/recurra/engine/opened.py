"""A cell whose named values come out of a run, and can be changed on their way.

Both are asked of the same wrapper, so that any backend runs it: what a step named becomes fields of
the state that nothing reads, and changes are inputs beside x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call, Run
from recurra.errors import ShapeError
from recurra.labels import collecting, of_rows
from recurra.states import Tree, map_tree, with_leaves

__all__ = [
    "INPUT",
    "Moved",
    "Opened",
    "OpenedState",
    "named_in_example",
    "opened_call",
    "taken_apart",
]

INPUT = "input"
"""What x is called, where it is one tensor."""
Moved = tuple[Tensor, Tensor]
"""Scale and shift of a value, each ``[time, batch, ...]``, or ``[batch, ...]`` of one step."""


class OpenedState(NamedTuple):
    """The state of an opened cell.

    Args:
        own: the cell's.
        seen: values that its step named, in the order of their labels.
    """

    own: Tree
    seen: tuple[Tensor, ...]


class Opened(Cell):
    r"""A cell that gives what its step names, and lets it be moved.

    .. math::

        v_t \leftarrow a_t \odot v_t + b_t

    for a value v that is named, for x (``"input"``) before the step, and for a field of the state
    (``"state.h"``) behind it. Where y is that field, y is moved too.

    Args:
        cell: the cell inside.
        labels: of the values that come out.
        moved: labels of those that are moved; a step reads their scales and shifts beside x.
    """

    def __init__(self, cell: Cell, labels: Sequence[str], moved: Sequence[str]) -> None:
        super().__init__(cell.input_size, cell.hidden_size, cell.output_size)
        self.cell = cell
        self.labels, self.moved = tuple(labels), tuple(moved)

    def initial_state(self, batch: int) -> Tree:
        """The cell's own; a run gets zeros beside it, see :func:`opened_call`."""
        return self.cell.initial_state(batch)

    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, OpenedState]:
        """The cell's step between what moves."""
        x, given = x
        moves: dict[str, Moved] = dict(zip(self.moved, given, strict=True))
        if INPUT in moves:
            x = _moved(x, moves[INPUT])
        with collecting(lambda label, value: _named(label, value, moves)) as got:
            y, new = self.cell.step(x, state.own, context, noise)
        y, new = _fields_moved(y, new, moves)
        found = of_rows(got, states.first(state.own).shape[0])
        if tuple(found) != self.labels:
            odd = sorted(set(found) ^ set(self.labels))
            raise ShapeError(
                f"named {odd[0]!r}: expected at every step or at none, got at some. A step names "
                "the same values whenever it runs."
            )
        return y, OpenedState(new, tuple(found.values()))


def _moved(value: Tensor, by: Moved) -> Tensor:
    scale, shift = by
    return value * scale + shift


def _named(label: str, value: Tensor, moves: Mapping[str, Moved]) -> Tensor:
    return _moved(value, moves[label]) if label in moves else value


def _fields_moved(y: Tensor, new: Tree, moves: Mapping[str, Moved]) -> tuple[Tensor, Tree]:
    fields, said = [], y
    for path, leaf in states.paths(new, "state"):
        fields.append(_named(path, leaf, moves))
        if leaf is y:
            said = fields[-1]
    return said, with_leaves(new, fields)


def named_in_example(cell: Cell, call: Call) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a step names, and all that can be moved: an example of each, by its label.

    Found by one step of zeros, of one row if the call has none.
    """
    rows = max(call.batch, 1)

    def row(leads: int) -> Callable[[Tensor], Tensor]:
        return lambda leaf: leaf.new_zeros(rows, *leaf.shape[leads:])

    x, context, noise = map_tree(row(2), call.inputs), map_tree(row(1), call.context), call.noise
    if noise is not None:
        noise = Noise(map_tree(row(2), noise.step), map_tree(row(1), noise.held))
    with torch.no_grad(), collecting() as got:
        _, new = cell.step(x, map_tree(row(1), call.initial), context, noise)
    labels = of_rows(got, rows)
    whole = {INPUT: x} if isinstance(x, Tensor) else {}
    return labels, whole | labels | dict(states.paths(new, "state"))


def opened_call(
    cell: Cell, call: Call, labels: Mapping[str, Tensor], moves: Mapping[str, Moved]
) -> tuple[Opened, Call]:
    """The cell, opened, and the checked call that runs it.

    Args:
        cell: what would have run.
        call: checked.
        labels: what the step names, with an example of each.
        moves: by label.
    """
    blank = tuple(like.new_zeros(call.batch, *like.shape[1:]) for like in labels.values())
    opened = Opened(cell, list(labels), list(moves))
    return opened, call._replace(
        inputs=(call.inputs, tuple(moves.values())),
        state=OpenedState(call.state, blank),
        initial=OpenedState(call.initial, blank),
        return_states=True,
        opened=(opened.labels, opened.moved),
    )


def taken_apart(
    run: Run, call: Call, labels: Mapping[str, Tensor]
) -> tuple[Run, dict[str, Tensor]]:
    """What was asked for, and the values by label: those that were named, and the states."""
    named = dict(zip(labels, run.states.seen, strict=True))
    named |= dict(states.paths(run.states.own, "state"))
    own = run.states.own if call.return_states else None
    return Run(run.outputs, run.state.own, own), named
