"""The backend ``native``: any recorded step, on the machine of recurra_runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import recurra_runtime
from recurra import states
from recurra.cells.base import Cell
from recurra.engine.backends.loop import LOOP
from recurra.engine.call import Backend, Call, Facts, Result
from recurra.engine.machine.arguments import Name, side_by_side
from recurra.engine.machine.autograd import run_through
from recurra.engine.machine.compiled import Machine
from recurra.engine.pipeline import Recorded, given_of, recorded
from recurra.engine.record.tape import other_modes
from recurra.engine.record.unrecordable import Unrecordable
from recurra.errors import dtype_name

__all__ = ["NATIVE", "Ready", "ready"]

_FLOATS = (torch.float32, torch.float64)
_WIDE = (torch.int64, torch.int32)
_WHOLE = (torch.bool, torch.int16, torch.int8, torch.uint8, *_WIDE)
# Multiplications and points of a step's convolutions, measured with ConvLSTMs of 4 to 64 channels
# on pictures of 8 to 32 by as many points.
_CONVOLVED = (8_000_000, 2_048)
# The largest whole number below which none is left out.
_EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}


class Ready(NamedTuple):
    """A call that the machine can run.

    Args:
        machine: with its programs.
        given: the row inputs, by name.
        shared: what all rows share.
        kinds: types of y and of the leaves of the new state.
    """

    machine: Machine
    given: list[tuple[Name, Tensor]]
    shared: list[Tensor]
    kinds: tuple[torch.dtype, ...]


def _offer(cell: Cell, facts: Facts) -> Callable[[], Result] | str:
    """How the machine would run a call, or why it cannot."""
    call = facts.call
    if call is not None and _empty(call):
        return LOOP.offer(cell, facts)  # a step of no rows says what an empty result looks like
    found = ready(cell, facts)
    if isinstance(found, str):
        return found
    return lambda: _run(cell, facts, found)


def _empty(call: Call) -> bool:
    """Is there nothing to run?"""
    return (
        call.time == 0 or call.batch == 0 or (call.lengths is not None and not call.lengths.any())
    )


def ready(cell: Cell, facts: Facts) -> Ready | str:
    """The machine for a call that has something to run, or why there is none."""
    reason = recurra_runtime.native_reason()
    if reason is not None:
        return f"recurra-runtime has no native module. {reason}"
    if facts.return_named:
        return "named values are asked for, which are read from the step itself"
    call = facts.call
    if call is None and cell.takes_context:
        return f"{type(cell).__name__} reads a context, and none is given"
    if call is None:
        return f"{type(cell).__name__} does not say what it reads, so there is no step to record"
    given = given_of(call)
    why = other_modes() or _odd_inputs(given)
    if why is not None:
        return why
    try:
        record = recorded(cell, call, given)
        if (why := _too_much(record.convolved, call.batch)) is not None:
            return why
        shared, dtype = record.shared(cell), record.lowered.dtype
        whole = [tensor for tensor in shared if not tensor.is_floating_point()]
        for place, tensor in enumerate(shared):
            if not tensor.is_cpu or (tensor.is_floating_point() and tensor.dtype is not dtype):
                return f"the cell has tensors of {dtype_name(tensor.dtype)} on {tensor.device}"
            if not tensor.is_floating_point():
                shared[place] = tensor.to(dtype)
        read = [*given, *((("shared", place), tensor) for place, tensor in enumerate(whole))]
        if (why := _too_large(read, dtype)) is not None:
            return why
        machine = _machine(cell, record, call, given, shared, dtype)
        return Ready(machine, given, shared, record.lowered.kinds)
    except Unrecordable as problem:
        return str(problem)


def _odd_inputs(given: list[tuple[Name, Tensor]]) -> str | None:
    """What is odd about the tensors of a call, if anything is."""
    kinds = set()
    for (name, _), leaf in given:
        if type(leaf) is not Tensor and type(leaf) is not torch.nn.Parameter:
            return f"{name} is a {type(leaf).__name__}, of which only torch knows what it is"
        if not leaf.is_cpu:
            return f"{name} is on {leaf.device}; the machine is the CPU's"
        if leaf.dtype in _WHOLE:
            continue
        if leaf.dtype not in _FLOATS:
            return f"{name} is of {dtype_name(leaf.dtype)}"
        kinds.add(leaf.dtype)
    return None if len(kinds) <= 1 else "its inputs are of several types"


def _too_large(given: list[tuple[Name, Tensor]], dtype: torch.dtype) -> str | None:
    """Are there whole numbers that the machine's floats cannot tell from their neighbors?"""
    for (name, _), leaf in given:
        if leaf.dtype in _WIDE and not _exact(leaf, dtype):
            return (
                f"{name} has whole numbers above {_EXACT[dtype]:,}, which {dtype_name(dtype)} "
                "cannot tell apart"
            )
    return None


def _too_much(convolved: tuple[int, int], batch: int) -> str | None:
    """Are its convolutions so large that torch's own kernel, which needs no copies, is faster?"""
    if all(each * batch <= most for each, most in zip(convolved, _CONVOLVED, strict=True)):
        return None
    return (
        f"its convolutions multiply {convolved[0] * batch:,} numbers at {convolved[1] * batch:,} "
        "points a step, and torch's own kernel is faster with so many"
    )


def _exact(leaf: Tensor, dtype: torch.dtype) -> bool:
    if not leaf.numel():
        return True
    low, high = leaf.aminmax()
    return -_EXACT[dtype] <= int(low) and int(high) <= _EXACT[dtype]


def _run(cell: Cell, facts: Facts, found: Ready) -> Result:
    try:
        result = _through(facts.of(), found)
    except IndexError as problem:
        raise IndexError(f"{type(cell).__name__}: {problem}") from None
    if result is not None:
        return result
    run = LOOP.offer(cell, facts)
    assert not isinstance(run, str)
    return run()


def _through(call: Call, found: Ready) -> Result | None:
    """Run a call; None if a count grew beyond what floats can tell apart."""
    machine, given, shared, kinds = found
    dtype, count = machine.dtype, len(machine.plan.states)
    tensors: dict[Name, Tensor] = {}
    for (kind, place), leaf in given:
        leaf = leaf.resolve_neg() if leaf.dtype is dtype else leaf.to(dtype)
        lead = 2 if kind in ("x", "noise") else 1
        name = ("from", place) if kind == "state" else (kind, place)
        tensors[name] = leaf if side_by_side(leaf, lead) else leaf.contiguous()
    for place, tensor in enumerate(shared):
        tensors["shared", place] = tensor.resolve_neg()
    initial = [leaf.to(dtype) for leaf in states.leaves(call.initial)]
    if call.resets is not None:
        marks = call.resets
        if call.reverse:  # the state begins anew behind a marked step, which is before the next one
            marks = torch.cat([marks[1:], torch.zeros_like(marks[:1])])
        tensors["reset", 0] = marks.to(dtype).contiguous().unsqueeze(-1)
        tensors |= {
            ("initial", place): leaf.resolve_neg().contiguous()
            for place, leaf in enumerate(initial)
        }
    # They are read again for the gradient, whatever became of the caller's.
    lengths = call.lengths.clone() if call.lengths is not None and machine.learns else call.lengths
    rows = machine.rows(call.time, call.batch, lengths, call.reverse)
    y, *rest = run_through(machine, rows, tensors, call.checkpoint_every)
    ends, every = rest[:count], rest[count:]
    if call.reverse and call.resets is not None:
        ends = [states.where(call.resets[0], a, b) for a, b in zip(initial, ends, strict=True)]
    if any(kind in _WIDE and not _exact(b, dtype) for b, kind in zip(ends, kinds[1:], strict=True)):
        return None
    y = y.to(kinds[0])
    ends = [leaf.to(kind) for leaf, kind in zip(ends, kinds[1:], strict=True)]
    every = [leaf.to(kind) for leaf, kind in zip(every, kinds[1:], strict=False)]
    return Result(
        y,
        states.with_leaves(call.state, ends),
        states.with_leaves(call.state, every) if call.return_states else None,
    )


def _machine(
    cell: Cell,
    record: Recorded,
    call: Call,
    given: list[tuple[Name, Tensor]],
    shared: list[Tensor],
    dtype: torch.dtype,
) -> Machine:
    wanted: tuple[Name, ...] | None = None
    if torch.is_grad_enabled():
        asked = [name for name, leaf in given if leaf.requires_grad]
        asked += [("shared", place) for place, leaf in enumerate(shared) if leaf.requires_grad]
        if call.resets is not None:
            begin = enumerate(states.leaves(call.initial))
            asked += [("initial", place) for place, leaf in begin if leaf.requires_grad]
        if asked:
            wanted = tuple([name for name in asked if name[0] != "state"])
    strides = tuple([tensor.stride() for tensor in shared])
    return record.machine(
        cell, wanted, strides, dtype, resets=call.resets is not None, all_states=call.return_states
    )


NATIVE = Backend("native", _offer, checkpoints=True)
