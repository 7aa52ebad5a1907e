"""What is kept with a cell: its recordings, each used as long as the step would record the same.

What a step reads of its cell is looked up at every call, by its path, so weights changed by any
route are the ones used. Everything else is a part of the key, so what changed makes a new
recording: what the cell holds (rates, flags, objects, functions, modes), and what the functions
that its steps have been seen to call read of their surroundings (variables of modules, closures,
defaults). Those functions are seen while a step is recorded; what they ask that no key can hold
(clocks, files, the environment, random numbers) is refused by name.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call
from recurra.engine.graph.values import HELD, STEP
from recurra.engine.lower.agreement import check_gradients, recorded_on_some, unseen
from recurra.engine.pipeline import Recorded, lowered_step
from recurra.engine.plan.slots import LEADS, Kind, Slot
from recurra.engine.record.changed import changed, held_now
from recurra.engine.record.contract import check_step
from recurra.engine.record.fingerprint import Look, fingerprint
from recurra.engine.record.parts import own_tensors
from recurra.engine.record.reach import NOTHING, Calls, Reach, watched
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree, map_tree
from recurra.twins import own_parts, twin

__all__ = ["given_of", "is_refused", "recorded"]

_MOST = 64  # recordings of one cell; more than that are calls that are all different


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
        return torch.get_default_dtype(), call.noise is None, call.opened, printed


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
    kinds = tuple([(s, leaf.shape[LEADS.get(s[0], 1) :], leaf.dtype) for s, leaf in given])
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
    return [
        ((kind, index), leaf)
        for kind, tree in _trees(call)
        for index, leaf in enumerate(states.leaves(tree))
    ]


def _trees(call: Call) -> list[tuple[Kind, Tree]]:
    trees: list[tuple[Kind, Tree]]
    trees = [("x", call.inputs), ("state", call.state), ("context", call.context)]
    if call.noise is not None:
        trees += [("noise", call.noise.step), ("held", call.noise.held)]
    return trees


def _kinds(trees: tuple[Tree, ...]) -> list[type]:
    """The types of trees and of their parts: which leaf has which name."""
    found = []
    for tree in trees:
        found.append(type(tree))
        if isinstance(tree, tuple):
            found += _kinds(tree)
    return found


def _record(cell: Cell, call: Call, given: list[tuple[Slot, Tensor]], kept: _Kept) -> Recorded:
    # Neither the cell nor the batch may be kept by what is kept with the cell.
    likes = [(map_tree(_without_memory, t), LEADS.get(kind, 1)) for kind, t in _trees(call)]

    def step_of(
        running: Cell, x: Tree, state: Tree, context: Tree, *noise: Tree
    ) -> tuple[Any, Any]:
        result = running.step(x, state, context, Noise(*noise) if noise else None)
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
        spans = [STEP if kind in ("x", "noise", "state") else HELD for kind, _ in names]
        try:
            lowered = lowered_step(recording, step, example, spans)
        finally:  # whatever the numbers said
            if kept.key(cell, call) != before:
                raise Unrecordable(_changing(changed(cell, held)))
    known = {id(tensor): path for tensor, path in own_tensors(cell)}
    paths = {number: known.get(id(tensor)) for number, tensor in recording.own.items()}

    def check(running: Cell) -> None:
        quiet = _quiet(running)
        own = {number: path.of(quiet) for number, path in paths.items() if path is not None}
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
    elsewhere = {n: tensor for n, tensor in own if paths.get(n) is None}
    lowered = replace(lowered, shared=replace(lowered.shared, own=elsewhere))
    return Recorded(lowered, names, paths, check)


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
