"""The backend ``native``: any recorded step, on the machine of recurra_runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import recurra_runtime
from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.backends.loop import LOOP
from recurra.engine.call import Backend, Call, Run
from recurra.engine.kept import given_of, recorded
from recurra.engine.machine.arguments import contiguous_rows
from recurra.engine.machine.autograd import run_through
from recurra.engine.machine.compiled import Machine
from recurra.engine.plan.phases import CallKind
from recurra.engine.plan.slots import LEADS, Slot
from recurra.engine.record.tape import other_modes
from recurra.engine.record.unrecordable import Refused
from recurra.errors import dtype_name
from recurra_runtime.backend import core

__all__ = ["NATIVE", "Compiled", "bfloat16_products", "compile_for"]

_FLOATS = (torch.float32, torch.float64)
_WIDE = (torch.int64, torch.int32)
_WHOLE = (torch.bool, torch.int16, torch.int8, torch.uint8, *_WIDE)
# Multiplications and points of a step's convolutions, measured with ConvLSTMs of 4 to 64 channels
# on pictures of 8 to 32 by as many points.
_CONVOLVED = (8_000_000, 2_048)
# The largest whole number below which none is left out. A count that is there may have stuck.
_EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}


class Compiled(NamedTuple):
    """The machine for a call, and the tensors that it reads.

    Args:
        call: that is run, its numbers in the machine's types.
        machine: with the programs.
        given: the row inputs, by slot.
        shared: what all rows share.
        kinds: types of y and of the leaves of the new state.
        bfloat16: whether products round what they multiply to bfloat16.
    """

    call: Call
    machine: Machine
    given: list[tuple[Slot, Tensor]]
    shared: list[Tensor]
    kinds: tuple[torch.dtype, ...]
    bfloat16: bool = False


def _offer(cell: Cell, call: Call) -> Callable[[], Run]:
    """How the machine would run a call."""
    if _empty(call):
        return LOOP.offer(cell, call)  # a step of no rows says what an empty result looks like
    found = compile_for(cell, call)
    if not torch.is_autocast_enabled("cpu"):
        return lambda: _run(cell, found)

    def run() -> Run:
        with torch.autocast("cpu", enabled=False):
            return _run(cell, found)

    return run


def _empty(call: Call) -> bool:
    """Is there nothing to run?"""
    return (
        call.time == 0 or call.batch == 0 or (call.lengths is not None and not call.lengths.any())
    )


def compile_for(cell: Cell, call: Call) -> Compiled:
    """The machine for a call that has something to run.

    Under ``torch.autocast`` products alone are in bfloat16, where that is quicker than in float32;
    states and all else are in float32.

    Raises:
        Refused: why there is none.
    """
    if not torch.is_autocast_enabled("cpu"):
        return _compiled(cell, call)
    if torch.get_autocast_dtype("cpu") is not torch.bfloat16:
        raise Refused("autocast is on, to another type than bfloat16")
    with torch.autocast("cpu", enabled=False):
        return _compiled(cell, _widened(call))._replace(bfloat16=bool(bfloat16_products()))


def bfloat16_products() -> str:
    """The instructions for products in bfloat16 where they are quicker than in float32.

    ``"amx"``, ``"avx512"``, or ``""`` where there are none.
    """
    native: Any = core()
    return "" if native is None else native.bfloat16_products()


def _widened(call: Call) -> Call:
    """With float32 in place of what autocast made of it."""

    def wide(leaf: Any) -> Any:
        return leaf.float() if leaf.dtype is torch.bfloat16 else leaf

    state, initial = states.map_tree(wide, call.state), states.map_tree(wide, call.initial)
    noise = call.noise and Noise(*(states.map_tree(wide, part) for part in call.noise))
    return call._replace(
        inputs=states.map_tree(wide, call.inputs),
        context=states.map_tree(wide, call.context),
        noise=noise,
        state=state,
        initial=initial,
    )


def _compiled(cell: Cell, call: Call) -> Compiled:
    reason = recurra_runtime.native_reason()
    if reason is not None:
        raise Refused(f"recurra-runtime has no native module. {reason}")
    given = given_of(call)
    if (why := other_modes()) is not None:
        raise Refused(why)
    _check_inputs(given)
    record = recorded(cell, call, given)
    if any(record.convolved):
        _check_convolutions(record.convolved, call.batch)
    shared, dtype = record.shared(cell), record.lowered.dtype
    read = given
    for place, tensor in enumerate(shared):
        if tensor.dtype is dtype and tensor.is_cpu:
            continue
        if tensor.is_floating_point() or not tensor.is_cpu:
            raise Refused(f"the cell has tensors of {dtype_name(tensor.dtype)} on {tensor.device}")
        read = [*read, (("shared", place), tensor)]
        shared[place] = tensor.to(dtype)
    _check_whole_numbers(read, dtype)
    machine = record.machine(cell, _kind_of(call, given, shared, dtype))
    return Compiled(call, machine, given, shared, record.lowered.kinds)


def _check_inputs(given: list[tuple[Slot, Tensor]]) -> None:
    """The machine reads numbers of one type, on the CPU."""
    kinds = set()
    for (name, _), leaf in given:
        if type(leaf) is not Tensor and type(leaf) is not torch.nn.Parameter:
            kind = type(leaf).__name__
            raise Refused(f"{name} is a {kind}, of which only torch knows what it is")
        if not leaf.is_cpu:
            raise Refused(f"{name} is on {leaf.device}; the machine is the CPU's")
        if leaf.dtype in _WHOLE:
            continue
        if leaf.dtype not in _FLOATS:
            raise Refused(f"{name} is of {dtype_name(leaf.dtype)}")
        kinds.add(leaf.dtype)
    if len(kinds) > 1:
        raise Refused("its inputs are of several types")


def _check_whole_numbers(given: list[tuple[Slot, Tensor]], dtype: torch.dtype) -> None:
    """The machine's floats must tell whole numbers from their neighbors."""
    for (name, _), leaf in given:
        if leaf.dtype in _WIDE and not _exact(leaf, dtype):
            raise Refused(
                f"{name} has whole numbers of {_EXACT[dtype]:,} or above, which "
                f"{dtype_name(dtype)} cannot tell apart"
            )


def _check_convolutions(convolved: tuple[int, int], batch: int) -> None:
    """Of large convolutions torch's own kernel, which needs no copies, is faster."""
    if any(each * batch > most for each, most in zip(convolved, _CONVOLVED, strict=True)):
        raise Refused(
            f"its convolutions multiply {convolved[0] * batch:,} numbers at "
            f"{convolved[1] * batch:,} points a step, and torch's own kernel is faster with so many"
        )


def _exact(leaf: Tensor, dtype: torch.dtype) -> bool:
    if not leaf.numel():
        return True
    low, high = leaf.aminmax()  # NaN if one is, which is below nothing
    return -_EXACT[dtype] < low.item() and high.item() < _EXACT[dtype]


def _run(cell: Cell, compiled: Compiled) -> Run:
    try:
        result = _through(compiled)
    except IndexError as problem:
        raise IndexError(f"{type(cell).__name__}: {problem}") from None
    return LOOP.offer(cell, compiled.call)() if result is None else result


def _through(compiled: Compiled) -> Run | None:
    """Run a call; None if a count grew beyond what floats can tell apart."""
    call, machine, given, shared, kinds, bfloat16 = compiled
    dtype, count = machine.dtype, len(machine.plan.states)
    tensors: dict[Slot, Tensor] = {}
    for (kind, place), leaf in given:
        leaf = leaf.resolve_neg() if leaf.dtype is dtype else leaf.to(dtype)
        if not contiguous_rows(leaf, LEADS.get(kind, 1)):
            leaf = leaf.contiguous()
        tensors["from" if kind == "state" else kind, place] = leaf
    for place, tensor in enumerate(shared):
        tensors["shared", place] = tensor.resolve_neg()
    initial: list[Tensor] = []
    if call.resets is not None:
        initial = [leaf.to(dtype) for leaf in states.leaves(call.initial)]
        marks = call.resets
        if call.reverse:  # the state is reset after a marked step, which is before the next one
            marks = torch.cat([marks[1:], torch.zeros_like(marks[:1])])
        tensors["reset", 0] = marks.to(dtype).contiguous().unsqueeze(-1)
        tensors |= {
            ("initial", place): leaf.resolve_neg().contiguous()
            for place, leaf in enumerate(initial)
        }
    # They are read again for the gradient, whatever became of the caller's.
    lengths = call.lengths.clone() if call.lengths is not None and machine.learns else call.lengths
    rows = machine.rows(call.time, call.batch, lengths, call.reverse, bfloat16)
    y, *rest = run_through(machine, rows, tensors, call.checkpoint_every)
    ends, every = rest[:count], rest[count:]
    if call.reverse and call.resets is not None:
        ends = [states.where(call.resets[0], a, b) for a, b in zip(initial, ends, strict=True)]
    if kinds.count(dtype) < len(kinds):
        left = zip((y, *ends, *every), (*kinds, *kinds[1:]), strict=False)
        if any(kind in _WIDE and not _exact(leaf, dtype) for leaf, kind in left):
            return None
        y = y.to(kinds[0])
        ends = [leaf.to(kind) for leaf, kind in zip(ends, kinds[1:], strict=True)]
        every = [leaf.to(kind) for leaf, kind in zip(every, kinds[1:], strict=False)]
    return Run(
        y,
        states.with_leaves(call.state, ends),
        states.with_leaves(call.state, every) if call.return_states else None,
    )


def _kind_of(
    call: Call, given: list[tuple[Slot, Tensor]], shared: list[Tensor], dtype: torch.dtype
) -> CallKind:
    wanted: tuple[Slot, ...] | None = None
    if torch.is_grad_enabled():
        asked = [slot for slot, leaf in given if leaf.requires_grad]
        asked += [("shared", place) for place, leaf in enumerate(shared) if leaf.requires_grad]
        if call.resets is not None:
            begin = enumerate(states.leaves(call.initial))
            asked += [("initial", place) for place, leaf in begin if leaf.requires_grad]
        if asked:
            wanted = tuple([slot for slot in asked if slot[0] != "state"])
    strides = tuple([tensor.stride() for tensor in shared])
    return CallKind(wanted, call.resets is not None, call.return_states, strides, dtype)


NATIVE = Backend("native", _offer, checkpoints=True)
