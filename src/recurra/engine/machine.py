"""A planned step as two programs of the native machine, and one function of torch that runs them.

The function owns every buffer: what the gradient reads again is written by the forward program where
the backward one finds it, in memory that is kept between calls.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.engine.assemble import Argument, Assembled, assemble
from recurra.engine.graph import HELD, SHARED, STEP, Value
from recurra.engine.interpreter import through_time
from recurra.engine.plan import Plan
from recurra.engine.threads import share_threads
from recurra_runtime.backend import core

__all__ = ["Machine", "Name", "Rows"]

Name = tuple[str, int]

_STEPPED = ("x", "noise", "reset")
# One argument of a call: address, strides of a step and of a row, shift, ring, mapped.
_WIDTH = 6
# Rows of a chunk, between whose parts values are kept; and of a window, which fits the cache.
_CHUNK, _WINDOW = 256, 32
# Operations below which another thread costs more than it does.
_SHARED_FROM = 2e6


@dataclasses.dataclass(frozen=True)
class Rows:
    """How the rows of a call lie in time.

    Args:
        time: steps.
        batch: rows.
        lengths: ``[batch]``, or None if all are whole.
        reverse: whether steps run from last to first.
    """

    time: int
    batch: int
    lengths: Tensor | None
    reverse: bool

    def dealt(self, parts: int) -> tuple[Tensor | None, Tensor | None]:
        """Lengths and rows in the order in which threads take them: each gets long and short ones."""
        if self.lengths is None:
            return None, None
        order = torch.argsort(self.lengths, descending=True, stable=True)
        if parts > 1:
            order = torch.cat([order[parts - 1 - part :: parts] for part in range(parts)])
        return self.lengths[order], order


class Machine:
    """A step's programs for one kind of call.

    Args:
        plan: of the step.
        strides: of the shared inputs, in order.
        dtype: of all numbers.
        all_states: whether the states after all steps are wanted.
    """

    def __init__(
        self,
        plan: Plan,
        strides: Sequence[tuple[int, ...]],
        dtype: torch.dtype,
        all_states: bool,
    ) -> None:
        self.plan, self.dtype, self.all_states = plan, dtype, all_states
        self.strides = tuple(strides)
        self.learns = plan.backward is not None
        # y that is a part of the state lies among the states.
        self.y_state = plan.states.index(plan.y) if plan.y in plan.states else None
        self.forward = _Program(_forward(self), dtype)
        self.backward = _Program(_backward(self), dtype) if self.learns else None

    def run(self, rows: Rows, given: dict[Name, Tensor]) -> tuple[Tensor, ...]:
        """Run a call.

        Args:
            rows: of the call.
            given: every input of the plan but states; what those begin with as ``("from", i)``.

        Returns:
            y, the states at the end, and the states after all steps if they are wanted.
        """
        found: tuple[Tensor, ...]
        if self.learns:
            found = _Through.apply(self, rows, tuple(given), *given.values())
        else:
            found, _ = _run_forward(self, rows, given)
        return found

    def threads(self, program: _Program, rows: Rows) -> int:
        """How many share a call: not more than it is worth."""
        work = program.flops * rows.time * rows.batch
        return max(1, min(torch.get_num_threads(), int(work / _SHARED_FROM)))

    def input_strides(self, name: Name, value: Value) -> tuple[int, ...] | None:
        """How a shared input lies; None: side by side."""
        return self.strides[name[1]] if name[0] == "shared" else None


def _argument(machine: Machine, name: Name, value: Value) -> Argument:
    strides = machine.input_strides(name, value)
    size = value.size if strides is None else _extent(value.shape, strides)
    return Argument(name, size, value, strides)


def _forward(machine: Machine) -> Assembled:
    plan = machine.plan
    read = _read(plan.forward) | {plan.y, *plan.states}
    arguments = [
        _argument(machine, name, value)
        for name, value in plan.inputs.items()
        if value in read and name[0] not in ("dy", "dstate", "dstates", "state")
    ]
    carries = []
    for place, value in enumerate(plan.states):
        arguments += [
            Argument(("state", place), value.size, plan.inputs["state", place]),
            Argument(("state_out", place), value.size, result=value),
            Argument(("from", place), value.size),
            Argument(("to", place), value.size),
        ]
        carries.append((("from", place), ("state", place), ("state_out", place), ("to", place)))
    if machine.y_state is None:
        arguments.append(Argument(("y", 0), plan.y.size, result=plan.y))
    arguments += [
        Argument(("saved", place), value.size, result=value)
        for place, value in enumerate(plan.saved)
    ]
    padded = [("y", 0)] if machine.y_state is None else [("state_out", machine.y_state)]
    if machine.all_states:
        every = [("state_out", place) for place in range(len(plan.states))]
        padded += [name for name in every if name not in padded]
    rings = [] if machine.learns else _ends("state", len(plan.states))
    return assemble(plan.forward, arguments, carries, padded, rings)


def _backward(machine: Machine) -> Assembled:
    plan = machine.plan
    assert plan.backward is not None
    read = _read(plan.backward) | set(plan.gradients.values())
    there: dict[Name, Value] = {n: v for n, v in plan.inputs.items() if n[0] != "dstate"}
    there |= {("saved", place): value for place, value in enumerate(plan.saved)}
    there |= {("state_out", place): value for place, value in enumerate(plan.states)}
    if machine.y_state is None:
        there["y", 0] = plan.y
    arguments, known = [], set()
    for name, value in there.items():
        if value in read and value not in known:
            known.add(value)
            arguments.append(_argument(machine, name, value))
    carries = []
    for place, value in enumerate(plan.states):
        arguments += [
            Argument(("dstate", place), value.size, plan.inputs["dstate", place]),
            Argument(
                ("dstate_out", place), value.size, result=plan.gradients.get(("state", place))
            ),
            Argument(("dfrom", place), value.size),
            Argument(("dto", place), value.size),
        ]
        carries.append(
            (("dfrom", place), ("dstate", place), ("dstate_out", place), ("dto", place))
        )
    padded = []
    for name, value in plan.gradients.items():
        if name[0] == "state":
            continue
        strides = machine.input_strides(name, value)
        if strides is not None and not _dense(value.shape, strides):
            strides = None
        arguments.append(Argument(("d", name), value.size, None, strides, value))
        if value.span == STEP:
            padded.append(("d", name))
    return assemble(plan.backward, arguments, carries, padded, _ends("dstate", len(plan.states)))


def _ends(name: str, count: int) -> list[Name]:
    """What a step reads of the one before, and leaves for the next."""
    return [(kind, place) for place in range(count) for kind in (name, f"{name}_out")]


def _read(sections: Any) -> set[Value]:
    return {read for values in sections.phases.values() for value in values for read in value.inputs}


class _Program:
    """A verified program and the slots of its arguments."""

    def __init__(self, assembled: Assembled, dtype: torch.dtype) -> None:
        native = core()
        assert native is not None
        share_threads()
        self.slots = {a.name: place * _WIDTH for place, a in enumerate(assembled.arguments)}
        self.made = native.Program.make(*assembled.parts)
        self.doubles = dtype is torch.float64
        self.constants = np.array(assembled.constants, np.float64 if self.doubles else np.float32)
        self.flops = assembled.flops
        self.blank = [0] * (_WIDTH * (len(self.slots) + 1))
        self.blank[-_WIDTH] = self.constants.ctypes.data

    def run(self, rows: Rows, threads: int, flat: list[int], *, descending: bool) -> None:
        """Call the machine with arguments in their slots."""
        slices = threads if rows.batch >= threads else 1  # else the steps are shared
        lengths, order = rows.dealt(slices)
        share = -(-rows.batch // slices)
        self.made.run(
            self.doubles,
            rows.time,
            rows.batch,
            0 if lengths is None else lengths.data_ptr(),
            0 if order is None else order.data_ptr(),
            descending,
            threads,
            max(1, min(rows.time, -(-_CHUNK // share))),
            max(1, -(-_WINDOW // share)),
            flat,
        )


def _run_forward(
    machine: Machine, rows: Rows, given: dict[Name, Tensor]
) -> tuple[tuple[Tensor, ...], _Kept]:
    """Run the forward program; also give what is kept for the backward one."""
    plan, program = machine.plan, machine.forward
    time, batch = rows.time, rows.batch
    ahead, behind = (1, 0) if rows.reverse else (0, 1)  # where a state is read, and left
    kept = _Kept()
    fill = _Filler(program)
    for name, tensor in given.items():
        if name in program.slots:
            fill.given(name, tensor)
    like = next(iter(given.values()))
    itemsize = machine.dtype.itemsize
    y: Tensor | None = None
    ends: list[Tensor] = []
    every: list[Tensor | None] = []
    for place, value in enumerate(plan.states):
        size = value.size
        end = like.new_empty((batch, *value.shape), dtype=machine.dtype)
        ends.append(end)
        fill(("to", place), end.data_ptr(), 0, size, mapped=1)
        whole: Tensor | None = None
        if place == machine.y_state or machine.all_states:
            whole = like.new_empty((time + 1, batch, *value.shape), dtype=machine.dtype)
            kept.hold.append(whole)
            address, ring = whole.data_ptr(), 0
        else:
            ring = 0 if machine.learns else 1
            address = kept.memory((2 if ring else time + 1) * batch * size * itemsize)
        mapped = int(whole is not None)
        kept.where["state", place] = (address, batch * size, size, ahead, ring, mapped)
        kept.where["state_out", place] = (address, batch * size, size, behind, ring, mapped)
        view = None if whole is None else _steps(whole, behind, time)
        if place == machine.y_state:
            y = view
        every.append(view if machine.all_states else None)
    if y is None:
        y = like.new_empty((time, batch, *plan.y.shape), dtype=machine.dtype)
        kept.where["y", 0] = (y.data_ptr(), batch * plan.y.size, plan.y.size, 0, 0, 1)
    for place, value in enumerate(plan.saved):
        step = batch * value.size if value.span == STEP else 0
        count = value.size if value.span == SHARED else batch * value.size
        address = kept.memory(count * (time if value.span == STEP else 1) * itemsize)
        kept.where["saved", place] = (address, step, value.size, 0, 0, 0)
    fill.all(kept.where)
    program.run(rows, machine.threads(program, rows), fill.flat, descending=rows.reverse)
    if rows.reverse and rows.lengths is not None:
        # Behind the end of a row stands the state it began with, where zeros are due.
        y = _ended(y, rows) if machine.y_state is not None else y
        every = [view if view is None else _ended(view, rows) for view in every]
    states = tuple(
        view.clone() if place == machine.y_state else view
        for place, view in enumerate(every)
        if view is not None
    )
    return (y, *ends, *states), kept


class _Kept:
    """Memory between forward and backward: it goes back when nothing holds this any more."""

    def __init__(self) -> None:
        self.where: dict[Name, tuple[int, ...]] = {}
        self.hold: list[Any] = []

    def memory(self, count: int) -> int:
        """So many bytes, at an address."""
        native = core()
        assert native is not None
        block = native.Kept(max(count, 1))
        self.hold.append(block)
        return int(block.address)


class _Filler:
    """Puts arguments into the slots of a program."""

    def __init__(self, program: _Program) -> None:
        self.slots, self.flat = program.slots, program.blank.copy()

    def __call__(
        self, name: Any, address: int, step: int, row: int, shift: int = 0, ring: int = 0,
        mapped: int = 0,
    ) -> None:
        """One argument, where the program has it."""
        at = self.slots.get(name)
        if at is not None:
            self.flat[at : at + _WIDTH] = (address, step, row, shift, ring, mapped)

    def all(self, where: dict[Name, tuple[int, ...]]) -> None:
        """Several arguments, as they are told."""
        for name, told in where.items():
            at = self.slots.get(name)
            if at is not None:
                self.flat[at : at + _WIDTH] = told

    def given(self, name: Name, tensor: Tensor) -> None:
        """An input."""
        if name[0] == "shared":
            self(name, tensor.data_ptr(), 0, 0)
        elif name[0] in _STEPPED:
            self(name, tensor.data_ptr(), tensor.stride(0), tensor.stride(1), mapped=1)
        else:
            self(name, tensor.data_ptr(), 0, tensor.stride(0), mapped=1)


class _Through(torch.autograd.Function):
    """A whole call, forward and back."""

    @staticmethod
    def forward(
        ctx: Any, machine: Machine, rows: Rows, names: tuple[Name, ...], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        found, kept = _run_forward(machine, rows, dict(zip(names, tensors, strict=True)))
        ctx.machine, ctx.rows, ctx.names, ctx.kept = machine, rows, names, kept
        ctx.save_for_backward(*tensors, found[0])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        machine: Machine = ctx.machine
        *tensors, y = ctx.saved_tensors  # looks whether anybody changed them
        given = dict(zip(ctx.names, tensors, strict=True))
        if torch.is_grad_enabled():
            results = _again(machine, ctx.rows, given, grads)
        else:
            results = _run_backward(machine, ctx.rows, given, y, ctx.kept, grads)
        return (None, None, None, *(results.get(name) for name in ctx.names))


def _run_backward(
    machine: Machine,
    rows: Rows,
    given: dict[Name, Tensor],
    y: Tensor,
    kept: _Kept,
    grads: Sequence[Tensor | None],
) -> dict[Name, Tensor]:
    """Run the backward program; the gradients of what was given."""
    plan, program = machine.plan, machine.backward
    assert program is not None
    time, batch, count = rows.time, rows.batch, len(plan.states)
    ahead, behind = (0, 1) if rows.reverse else (1, 0)  # time runs the other way
    fill = _Filler(program)
    for name, tensor in given.items():
        if name in program.slots:
            fill.given(name, tensor)
    fill.all(kept.where)
    hold = _Kept()

    def comes_in(name: Name, grad: Tensor | None, value: Value, *, steps: bool) -> None:
        if name not in program.slots:
            return
        if grad is None:
            zeros = y.new_zeros(value.size)
            hold.hold.append(zeros)
            fill(name, zeros.data_ptr(), 0, 0)
            return
        if not side_by_side(grad, 2 if steps else 1):
            grad = grad.contiguous()
        hold.hold.append(grad)
        step, row = (grad.stride(0), grad.stride(1)) if steps else (0, grad.stride(0))
        fill(name, grad.data_ptr(), step, row, mapped=1)

    comes_in(("dy", 0), grads[0], plan.y, steps=True)
    results: dict[Name, Tensor] = {}
    for place, value in enumerate(plan.states):
        comes_in(("dfrom", place), grads[1 + place], value, steps=False)
        if machine.all_states:
            comes_in(("dstates", place), grads[1 + count + place], value, steps=True)
        size = value.size
        address = hold.memory(2 * batch * size * machine.dtype.itemsize)
        fill(("dstate", place), address, batch * size, size, ahead, ring=1)
        fill(("dstate_out", place), address, batch * size, size, behind, ring=1)
        end = results["from", place] = y.new_empty((batch, *value.shape))
        fill(("dto", place), end.data_ptr(), 0, size, mapped=1)
    for name, value in plan.gradients.items():
        if name[0] == "state":
            continue
        strides = machine.input_strides(name, value)
        if value.span == SHARED and strides is not None and _dense(value.shape, strides):
            result = torch.empty_strided(value.shape, strides, dtype=y.dtype)
            fill(("d", name), result.data_ptr(), 0, 0)
        else:
            lead = ((), (batch,), (time, batch))[value.span]
            # What a row of no steps holds is not computed.
            make = y.new_zeros if value.span == HELD else y.new_empty
            result = make((*lead, *value.shape))
            step = batch * value.size if value.span == STEP else 0
            row = value.size if value.span >= HELD else 0
            fill(("d", name), result.data_ptr(), step, row, mapped=int(value.span >= HELD))
        results[name] = result
    program.run(rows, machine.threads(program, rows), fill.flat, descending=not rows.reverse)
    return results


def _again(
    machine: Machine, rows: Rows, given: dict[Name, Tensor], grads: Sequence[Tensor | None]
) -> dict[Name, Tensor]:
    """The gradients in plain torch, so that they have gradients themselves."""
    names = [name for name, tensor in given.items() if tensor.requires_grad]
    found = through_time(
        machine.plan, rows.time, rows.batch, rows.lengths, rows.reverse, given, machine.all_states
    )
    pairs = [
        (out, grad)
        for out, grad in zip(found, grads, strict=True)
        if grad is not None and out.requires_grad
    ]
    if not pairs or not names:
        return {}
    back = torch.autograd.grad(
        [out for out, _ in pairs],
        [given[name] for name in names],
        [grad for _, grad in pairs],
        create_graph=True,
        allow_unused=True,
    )
    return {name: g for name, g in zip(names, back, strict=True) if g is not None}


def _steps(whole: Tensor, start: int, steps: int) -> Tensor:
    """Steps of a buffer as a tensor of its own, which autograd does not take for a view."""
    offset = start * whole.stride(0)
    part = torch.empty(0, dtype=whole.dtype)
    return part.set_(whole.untyped_storage(), offset, (steps, *whole.shape[1:]), whole.stride())


def _ended(values: Tensor, rows: Rows) -> Tensor:
    """A copy with zeros right behind the end of each row."""
    assert rows.lengths is not None
    copy = values.clone()
    short = (rows.lengths < rows.time).nonzero().flatten()
    copy[rows.lengths[short], short] = 0
    return copy


def side_by_side(tensor: Tensor, lead: int) -> bool:
    """Do the features of a row lie side by side?"""
    size = 1
    for length, stride in zip(
        reversed(tensor.shape[lead:]), reversed(tensor.stride()[lead:]), strict=True
    ):
        if length != 1 and stride != size:
            return False
        size *= length
    return True


def _extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Numbers from the first to the last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


@lru_cache(maxsize=4096)
def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Is every number of the memory used once?"""
    return _extent(shape, strides) == math.prod(shape) and 0 not in strides
