"""From a step to the machine that runs it: the stages in order, and what is kept of them.

1. ``record``: the step is run twice, and what it calls is written down (``record/``);
2. ``lower``: to a graph of instructions, whose numbers are compared with the step's (``lower/``);
3. ``bind``: the graph's inputs get their slots for a kind of call;
4. ``plan``: the gradient is derived (``graph/``), both are divided into phases (``plan/``);
5. ``assemble``: programs of the native machine, run through time (``assemble/``, ``machine/``).

A recording is kept with the cell. What a step reads of its cell is looked up at every call, by its
path, so weights changed by any route are the ones used. Everything else the cell has (rates, flags,
functions, modes) is a part of the key, so a changed attribute makes a new recording. So do
variables of their modules that the methods of a user's class read, and the functions that they call
by name; what they reach through a module (``config.rate``) or find in a file is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import HELD, STEP
from recurra.engine.lower.agreement import check_gradients, check_numbers, drawn, unseen
from recurra.engine.lower.bind import bind
from recurra.engine.lower.lowering import Lowered, lower
from recurra.engine.machine.compiled import Machine
from recurra.engine.plan.phases import Plan, plan
from recurra.engine.plan.slots import LEADS, Kind, Slot
from recurra.engine.record.contract import check_step
from recurra.engine.record.fingerprint import Path, fingerprint, own_tensors
from recurra.engine.record.tape import Recording, record
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree, map_tree
from recurra.twins import own_parts, twin

__all__ = ["CallKind", "Recorded", "given_of", "lowered_step", "planned_step", "recorded"]

_MOST = 64  # recordings of one cell; more than that are calls that are all different


def lowered_step(
    step: Callable[..., Any], example: Callable[[int], Tree], spans: Sequence[int]
) -> tuple[Recording, Lowered]:
    """Record a step, lower it, and compare the numbers of both."""
    recording = record(step, example)
    lowered = lower(recording, spans)
    check_numbers(step, example, lowered)
    return recording, lowered


def planned_step(
    lowered: Lowered,
    slots: Sequence[Slot],
    wanted: Iterable[Slot] | None,
    *,
    resets: bool = False,
    return_states: bool = False,
) -> Plan:
    """Bind the inputs of a step, derive its gradient, and plan both.

    Args:
        lowered: the step.
        slots: of its row inputs.
        wanted: slots of inputs whose gradients are wanted; None in inference.
        resets: whether rows are reset.
        return_states: whether the states after every step are wanted.
    """
    graph, inputs, y, new = bind(lowered, slots, resets=resets)
    planned = plan(graph, inputs, y, new, wanted, return_states=return_states)
    check(graph, [y, *new])
    return planned


class CallKind(NamedTuple):
    """What the programs for a call hang on, beside the step.

    Args:
        wanted: slots of inputs whose gradients are wanted; None in inference.
        strides: of the shared tensors.
        dtype: of all numbers.
        resets: whether rows are reset.
        return_states: whether the states after every step are wanted.
    """

    wanted: tuple[Slot, ...] | None
    strides: tuple[tuple[int, ...], ...]
    dtype: torch.dtype
    resets: bool
    return_states: bool


class Recorded:
    """A recorded step, and the machines made of it.

    Args:
        lowered: the step as a graph.
        names: slots of its row inputs.
        places: where each of its own tensors stands in the cell; None for one from elsewhere.
        check: looks, once, whether the gradients of the graph are those of the step.
    """

    def __init__(
        self,
        lowered: Lowered,
        names: Sequence[Slot],
        places: dict[int, Path | None],
        check: Callable[[Cell], None],
    ) -> None:
        self.lowered, self.names, self.places = lowered, tuple(names), places
        self.check, self.checked = check, False
        self.machines: dict[CallKind, Machine] = {}
        given = {v.settings[0]: v.shape for v in lowered.graph if v.op == "input"}
        count = len(lowered.shared.wanted)
        self.shapes = [torch.Size(given["shared", place]) for place in range(count)]

    def shared(self, cell: Cell) -> list[Tensor]:
        """What all rows share, as the cell has it now."""
        own = self.lowered.shared.own
        found = {
            number: own[number] if path is None else path.of(cell)
            for number, path in self.places.items()
        }
        tensors = self.lowered.shared.tensors(found)
        if [tensor.shape for tensor in tensors] != self.shapes:
            raise Unrecordable("a tensor that the step reads has changed its shape")
        return tensors

    def machine(self, cell: Cell, kind: CallKind) -> Machine:
        """The programs for a kind of call, with the cell as it is now."""
        known = self.machines.get(kind)
        if known is None:
            if kind.wanted is not None and not self.checked:
                self.check(cell)
                self.checked = True
            known = self.machines[kind] = Machine(
                planned_step(
                    self.lowered,
                    self.names,
                    kind.wanted,
                    resets=kind.resets,
                    return_states=kind.return_states,
                ),
                kind.strides,
                kind.dtype,
            )
        return known


_KEPT: WeakKeyDictionary[Cell, dict[Hashable, Recorded | str]] = WeakKeyDictionary()


def recorded(cell: Cell, call: Call, given: list[tuple[Slot, Tensor]]) -> Recorded:
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
    if known is None:
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


def given_of(call: Call) -> list[tuple[Slot, Tensor]]:
    """The row inputs of a call, by slot."""
    trees: list[tuple[Kind, Tree]] = [
        ("x", call.inputs),
        ("state", call.state),
        ("context", call.context),
    ]
    if call.noise is not None:
        trees += [("noise", call.noise.step), ("held", call.noise.held)]
    return [
        ((kind, place), leaf)
        for kind, tree in trees
        for place, leaf in enumerate(states.leaves(tree))
    ]


def _lead(slot: Slot) -> int:
    return LEADS.get(slot[0], 1)


def _record(cell: Cell, call: Call, given: list[tuple[Slot, Tensor]]) -> Recorded:
    noisy = call.noise is not None

    trees = [(call.inputs, 2), (call.state, 1), (call.context, 1)]
    if call.noise is not None:
        trees += [(call.noise.step, 2), (call.noise.held, 1)]
    # Neither the cell nor the batch may be kept by what is kept with the cell.
    likes = [(map_tree(_without_memory, tree), lead) for tree, lead in trees]

    def example(batch: int) -> Tree:
        return drawn(likes, batch)

    def step_of(
        running: Cell, x: Tree, state: Tree, context: Tree, *noise: Tree
    ) -> tuple[Any, Any]:
        result = running.step(x, state, context, Noise(*noise) if noisy else None)
        check_step(running, result, state, states.first((x, state)).shape[0])
        y, new = result
        return y, new

    step = partial(step_of, cell)
    with unseen():
        names = [name for name, _ in given]
        recording, lowered = lowered_step(
            step, example, [STEP if _lead(n) == 2 or n[0] == "state" else HELD for n in names]
        )
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

    # The cell is asked for what it has. Tensors that were computed for it hold a graph.
    elsewhere = {n: tensor for n, tensor in recording.own.items() if places[n] is None}
    lowered = replace(lowered, shared=replace(lowered.shared, own=elsewhere))
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
