"""Which recording of a step fits a call: kept with the cell, told apart by all that may change it.

What a step reads of its cell is looked up at every call, by where it stands, so weights changed by
any route are the ones used. Everything else the cell has (rates, flags, functions, modes) is a part
of the key, so a changed attribute makes a new recording. So do variables of their modules that the
methods of a user's class read, and the functions that they call by name; what they reach through a
module (``config.rate``) or find in a file is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import HELD, STEP
from recurra.engine.lower.agreement import (
    check_gradients,
    check_numbers,
    recorded_on_some,
    unseen,
)
from recurra.engine.lower.bind import bind
from recurra.engine.lower.lowering import Lowered, lower
from recurra.engine.lower.rules.convolutions import work
from recurra.engine.machine.arguments import Name
from recurra.engine.machine.compiled import Machine
from recurra.engine.plan.phases import plan
from recurra.engine.record.contract import check_step
from recurra.engine.record.fingerprint import Path, fingerprint, own_tensors
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree, map_tree
from recurra.twins import own_parts, twin

__all__ = ["Recorded", "given_of", "recorded"]

_MOST = 64  # recordings of one cell; more than that are calls that are all different


class Recorded:
    """A recorded step, and the machines made of it.

    Args:
        lowered: the step as a graph.
        names: of its row inputs.
        places: where each of its own tensors stands in the cell; None for one from elsewhere.
        check: looks, once, whether the gradients of the graph are those of the step.
    """

    def __init__(
        self,
        lowered: Lowered,
        names: Sequence[Name],
        places: dict[int, Path | None],
        check: Callable[[Cell], None],
    ) -> None:
        self.lowered, self.names, self.places = lowered, tuple(names), places
        self.check, self.checked = check, False
        self.machines: dict[Hashable, Machine] = {}
        self.convolved = work(lowered.graph)
        given = {v.settings[0]: v.shape for v in lowered.graph if v.op == "input"}
        count = len(lowered.shared.wanted)
        self.shapes = [torch.Size(given["shared", place]) for place in range(count)]

    def stale(self, cell: Cell) -> bool:
        """Are numbers of the cell that the graph is made of no longer those?"""
        shared = self.lowered.shared
        return bool(shared.known) and shared.stale(self._own(cell))

    def _own(self, cell: Cell) -> dict[int, Tensor]:
        """The step's own tensors, as the cell has them now."""
        own = self.lowered.shared.own
        return {
            number: own[number] if path is None else path.of(cell)
            for number, path in self.places.items()
        }

    def shared(self, cell: Cell) -> list[Tensor]:
        """What all rows share, as the cell has it now."""
        tensors = self.lowered.shared.tensors(self._own(cell))
        if [tensor.shape for tensor in tensors] != self.shapes:
            raise Unrecordable("a tensor that the step reads has changed its shape")
        return tensors

    def machine(
        self,
        cell: Cell,
        wanted: tuple[Name, ...] | None,
        strides: tuple[tuple[int, ...], ...],
        dtype: torch.dtype,
        *,
        resets: bool,
        all_states: bool,
    ) -> Machine:
        """The programs for a kind of call.

        Args:
            cell: as it is now.
            wanted: names of inputs whose gradients are wanted; None in inference.
            strides: of the shared tensors.
            dtype: of all numbers.
            resets: whether rows are reset.
            all_states: whether the states after all steps are wanted.
        """
        key = (wanted, strides, dtype, resets, all_states)
        known = self.machines.get(key)
        if known is None:
            if wanted is not None and not self.checked:
                self.check(cell)
                self.checked = True
            graph, inputs, y, new = bind(self.lowered, self.names, resets=resets)
            planned = plan(graph, inputs, y, new, wanted, all_states=all_states)
            check(graph, [y, *new])
            known = self.machines[key] = Machine(planned, strides, dtype, all_states)
        return known


_KEPT: WeakKeyDictionary[Cell, dict[Hashable, Recorded | str]] = WeakKeyDictionary()


def recorded(cell: Cell, call: Call, given: list[tuple[Name, Tensor]]) -> Recorded:
    """The recording of ``cell.step`` for a call; made if there is none that fits.

    Args:
        cell: what is run; it may be a twin of the call's source over other tensors.
        call: the call.
        given: its row inputs.

    Raises:
        Unrecordable: it cannot be recorded; the message says why.
    """
    source = call.source or cell
    kinds = tuple((name, leaf.shape[_lead(name) :], leaf.dtype) for name, leaf in given)
    key = (kinds, call.noise is None, fingerprint(source, cell), type(call.state))
    kept = _KEPT.setdefault(source, {})
    known = kept.get(key)
    if known is None or (isinstance(known, Recorded) and known.stale(cell)):
        if len(kept) >= _MOST:
            kept.clear()
        try:
            known = _record(cell, call, given)
        except Unrecordable as problem:
            known = str(problem)
        kept[key] = known
    if isinstance(known, str):
        raise Unrecordable(known)
    return known


def given_of(call: Call) -> list[tuple[Name, Tensor]]:
    """The row inputs of a call, by name."""
    trees = [("x", call.inputs), ("state", call.state), ("context", call.context)]
    if call.noise is not None:
        trees += [("noise", call.noise.step), ("held", call.noise.held)]
    return [
        ((kind, place), leaf)
        for kind, tree in trees
        for place, leaf in enumerate(states.leaves(tree))
    ]


def _lead(name: Name) -> int:
    return 2 if name[0] in ("x", "noise") else 1


def _record(cell: Cell, call: Call, given: list[tuple[Name, Tensor]]) -> Recorded:
    noisy = call.noise is not None

    trees = [(call.inputs, 2), (call.state, 1), (call.context, 1)]
    if call.noise is not None:
        trees += [(call.noise.step, 2), (call.noise.held, 1)]
    # Neither the cell nor the batch may be kept by what is kept with the cell.
    likes = [(map_tree(_without_memory, tree), lead) for tree, lead in trees]

    def step_of(
        running: Cell, x: Tree, state: Tree, context: Tree, *noise: Tree
    ) -> tuple[Any, Any]:
        result = running.step(x, state, context, Noise(*noise) if noisy else None)
        check_step(running, result, state, states.first((x, state)).shape[0])
        y, new = result
        return y, new

    step = partial(step_of, cell)
    with unseen():
        recording, example = recorded_on_some(step, likes)
        names = [name for name, _ in given]
        lowered = lower(
            recording, [STEP if _lead(n) == 2 or n[0] == "state" else HELD for n in names]
        )
        check_numbers(step, example, lowered)
    paths = {id(tensor): path for tensor, path in own_tensors(cell)}
    places = {number: paths.get(id(tensor)) for number, tensor in recording.own.items()}

    def check(running: Cell) -> None:
        quiet = _quiet(running)
        own = {number: path.of(quiet) for number, path in places.items() if path is not None}
        try:
            check_gradients(partial(step_of, quiet), example, lowered, own)
        except (RuntimeError, TypeError, ValueError) as problem:
            raise Unrecordable(
                f"its gradient cannot be compared with that of the step: {problem}"
            ) from problem

    return Recorded(lowered, names, places, check)


def _without_memory(leaf: Tensor) -> Tensor:
    """A tensor of the same shape and type that holds no numbers."""
    return torch.empty(leaf.shape, dtype=leaf.dtype, device="meta")


def _quiet(cell: Cell) -> Cell:
    """The same cell over tensors that no hook of anybody watches."""
    if own_parts(cell) is not None or any(map(parametrize.is_parametrized, cell.modules())):
        return cell  # a twin would go on with its own, or stand apart from what was recorded
    own = cell.named_parameters(remove_duplicate=False)
    tensors = {name: p.detach().requires_grad_(p.requires_grad) for name, p in own}
    return cast(Cell, twin(cell, tensors))
