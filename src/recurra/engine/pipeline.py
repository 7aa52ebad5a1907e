"""From a step to the machine that runs it: the stages in order, and what is kept of them.

1. ``record``: the step is run twice, and what it calls is written down (``record/``);
2. ``lower``: to a graph of instructions, whose numbers are compared with the step's (``lower/``);
3. ``bind``: the graph's inputs get their slots for a kind of call;
4. ``plan``: the gradient is derived (``graph/``), both are divided into phases (``plan/``);
5. ``assemble``: programs of the native machine, run through time (``assemble/``, ``machine/``).

A recording is kept with the cell. What a step reads of its cell is looked up at every call, by its
path, so weights changed by any route are the ones used. Everything else is a part of the key, so
what changed makes a new recording: what the cell holds (rates, flags, objects, functions, modes),
and what the functions that its steps have been seen to call read of their surroundings (variables
of modules, closures, defaults). Those functions are seen while a step is recorded; what they ask
that no key can hold (clocks, files, the environment, random numbers) is refused by name.
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
from recurra.engine.lower.agreement import (
    check_gradients,
    check_numbers,
    check_rows,
    recorded_on_some,
    unseen,
)
from recurra.engine.lower.lowering import Lowered, lower
from recurra.engine.lower.rules.convolutions import work
from recurra.engine.machine.compiled import Machine
from recurra.engine.plan.bind import bind
from recurra.engine.plan.phases import Plan, plan
from recurra.engine.plan.slots import LEADS, Kind, Slot
from recurra.engine.record.changed import changed, held_now
from recurra.engine.record.contract import check_step
from recurra.engine.record.fingerprint import Look, fingerprint
from recurra.engine.record.held import Path, own_tensors
from recurra.engine.record.reach import NOTHING, Calls, Reach, watched
from recurra.engine.record.tape import Recording
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree, map_tree
from recurra.twins import own_parts, twin

__all__ = [
    "CallKind",
    "Recorded",
    "given_of",
    "is_refused",
    "lowered_step",
    "planned_step",
    "recorded",
]

_MOST = 64  # recordings of one cell; more than that are calls that are all different


def lowered_step(
    recording: Recording,
    step: Callable[..., Any],
    example: Callable[[int], Tree],
    spans: Sequence[int],
) -> Lowered:
    """Lower a step that was recorded, and compare the numbers of both."""
    lowered = lower(recording, spans)
    check_numbers(step, example, lowered)
    check_rows(step, example)
    return lowered


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
    check(planned.graph, [planned.y, *planned.states])
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


class _Kept:
    """What is kept with a cell.

    Args:
        recordings: or why there are none, by key.
        reach: the functions that its steps have been seen to call: what these read is in the keys.
    """

    def __init__(self) -> None:
        self.recordings: dict[Hashable, Recorded | str] = {}
        self.reach: Reach = NOTHING

    def key(self, cell: Cell, call: Call, look: Look | None = None) -> Hashable:
        """All that may change the step of a call, but its row inputs."""
        kinds: tuple[type, ...] = (type(call.state),)
        if call.context is not None or type(call.inputs) is not Tensor:
            kinds += tuple(_kinds((call.inputs, call.context)))
        printed = fingerprint(call.source or cell, cell, self.reach, kinds, look)
        return torch.get_default_dtype(), call.noise is None, printed


_KEPT: WeakKeyDictionary[Cell, _Kept] = WeakKeyDictionary()


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
    kept = _KEPT.get(source) or _KEPT.setdefault(source, _Kept())
    kinds = tuple([(name, leaf.shape[_lead(name) :], leaf.dtype) for name, leaf in given])
    known = kept.recordings.get((kinds, kept.key(cell, call)))
    if known is None or (isinstance(known, Recorded) and known.stale(cell)):
        if len(kept.recordings) >= _MOST:
            kept.recordings.clear()
        try:
            known = _record(cell, call, given, kept)
        except Unrecordable as problem:
            known = str(problem)
        # By what is known now to be read.
        kept.recordings[kinds, kept.key(cell, call)] = known
    if isinstance(known, str):
        raise Unrecordable(known)
    return known


def is_refused(cell: Cell, reason: str) -> bool:
    """Is this why a step of a cell could not be recorded, rather than what a call asks for?"""
    kept = _KEPT.get(cell)
    return kept is not None and reason in kept.recordings.values()


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


def _kinds(trees: tuple[Tree, ...]) -> list[type]:
    """The types of trees and of their parts: which leaf has which name."""
    found = []
    for tree in trees:
        found.append(type(tree))
        if isinstance(tree, tuple):
            found += _kinds(tree)
    return found


def _lead(slot: Slot) -> int:
    return LEADS.get(slot[0], 1)


def _record(cell: Cell, call: Call, given: list[tuple[Slot, Tensor]], kept: _Kept) -> Recorded:
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
    calls = Calls(frozenset(type(part).__module__.split(".")[0] for part in cell.modules()))
    with unseen():
        try:
            with watched(calls):
                recording, example = recorded_on_some(step, likes)
        finally:
            kept.reach = kept.reach.joined(calls.codes)
        look = Look()
        before, held = kept.key(cell, call, look), held_now(cell)
        calls.check(kept.reach, look.codes)
        look.check(kept.reach)
        names = [name for name, _ in given]
        spans = [STEP if _lead(n) == 2 or n[0] == "state" else HELD for n in names]
        try:
            lowered = lowered_step(recording, step, example, spans)
        finally:  # whatever the numbers said
            if kept.key(cell, call) != before:
                raise Unrecordable(_changing(changed(cell, held)))
    paths = {id(tensor): path for tensor, path in own_tensors(cell)}
    places = {number: paths.get(id(tensor)) for number, tensor in recording.own.items()}

    def check(running: Cell) -> None:
        quiet = _quiet(running)
        own = {number: path.of(quiet) for number, path in places.items() if path is not None}
        try:
            check_gradients(partial(step_of, quiet), example, lowered, own)
        except Unrecordable:
            raise
        except Exception as problem:  # of the step, which runs on tensors of another kind
            raise Unrecordable(
                f"its gradient cannot be compared with that of the step: {problem}"
            ) from problem

    # The cell is asked for what it has. Tensors that were computed for it hold a graph.
    own = lowered.shared.own.items()  # with what rules made
    elsewhere = {n: tensor for n, tensor in own if places.get(n) is None}
    lowered = replace(lowered, shared=replace(lowered.shared, own=elsewhere))
    return Recorded(lowered, names, places, check)


def _changing(names: list[str]) -> str:
    told = f", in {', '.join(names)}" if names else ""
    return (
        f"the step changes what it reads, other than its state{told}; what changes from step to "
        "step belongs into the state, as a tensor [batch, ...]"
    )


def _without_memory(leaf: Tensor) -> Tensor:
    """A tensor of the same shape and type that holds no numbers."""
    return torch.empty(leaf.shape, dtype=leaf.dtype, device="meta")


def _quiet(cell: Cell) -> Cell:
    """The same cell over tensors that no hook of anybody watches."""
    if own_parts(cell) is not None or any(map(parametrize.is_parametrized, cell.modules())):
        return cell  # a twin would go on with its own, or stand apart from what was recorded
    tensors = {}
    for name, own in cell.named_parameters(remove_duplicate=False):
        tensors[name] = own.detach().requires_grad_(own.requires_grad)
        vars(tensors[name]).update(vars(own))  # attributes, which the step may read
    return cast(Cell, twin(cell, tensors))
