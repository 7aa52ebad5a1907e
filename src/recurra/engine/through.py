"""Run a machine's programs through time, and back: one function of torch that owns every buffer.

What the gradient reads again is written by the forward program where the backward one finds it, in
memory that is kept between calls. With ``every`` steps to a window only the states between windows
are kept, and each window is run again before its gradient (Chen et al. 2016, "Training deep nets
with sublinear memory cost", over time), so memory does not grow with all that is saved of a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from recurra.engine.graph import HELD, SHARED, STEP, Value
from recurra.engine.interpreter import through_time
from recurra.engine.machine import Machine, Name, Program, Rows, dense, side_by_side
from recurra_runtime.backend import core

__all__ = ["Filler", "Memory", "run_through"]

_STEPPED = ("x", "noise", "reset")
_WIDTH = Program.width


def run_through(
    machine: Machine, rows: Rows, given: dict[Name, Tensor], every: int | None = None
) -> tuple[Tensor, ...]:
    """Run a call.

    Args:
        machine: the programs for it.
        rows: of the call.
        given: every input of the plan but states; what those begin with as ``("from", i)``.
        every: steps of a window, between which alone states are kept for the gradient; None keeps
            what the plan says of every step.

    Returns:
        y, the states at the end, and the states after all steps if they are wanted.
    """
    if machine.learns:
        if every is not None and every >= rows.time:
            every = None
        found: tuple[Tensor, ...] = _Through.apply(  # type: ignore[no-untyped-call]
            machine, rows, every, tuple(given), *given.values()
        )
        return found
    return _Forward(machine, rows, given).whole()


class Memory:
    """Tensors, and where arguments lie in them; what is kept beside results is one block of bytes.

    They are what autograd saves, so it is autograd that lets go of them.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        # By name: which tensor, how many bytes behind its start, and the rest of an argument.
        self.where: dict[Name, tuple[int, ...]] = {}
        self._bytes = 0

    def put(self, name: Name, tensor: Tensor | None, offset: int, *rest: int) -> None:
        """An argument that lies in a tensor; with None, so many bytes behind the block's start."""
        if tensor is None:
            self.where[name] = (-1, offset, *rest)
            return
        known = next((k for k, own in enumerate(self.tensors) if own is tensor), None)
        if known is None:
            known = len(self.tensors)
            self.tensors.append(tensor)
        self.where[name] = (known, offset, *rest)

    def reserve(self, count: int) -> int:
        """So many bytes of the block, on lines of the cache of their own."""
        start = self._bytes
        self._bytes += -(-count // 64) * 64
        return start

    def close(self) -> None:
        """Nothing more is reserved: the block is there, behind all other tensors."""
        self.tensors.append(_block(self._bytes))

    def arguments(self, tensors: Sequence[Tensor]) -> Iterator[tuple[Name, tuple[int, ...]]]:
        """Arguments at their addresses, in these tensors."""
        for name, (number, offset, *rest) in self.where.items():
            yield name, (tensors[number].data_ptr() + offset, *rest)


def _block(count: int) -> Tensor:
    """So many bytes, which go back to the machine's workspace when nobody holds them any more."""
    native = core()
    assert native is not None
    return torch.from_numpy(native.keep(max(count, 1)))


class Filler:
    """Puts arguments into the slots of a program."""

    def __init__(self, program: Program, given: dict[Name, Tensor]) -> None:
        self.slots, self.flat = program.slots, program.blank.copy()
        for name, tensor in given.items():
            if name in self.slots:
                if name[0] == "shared":
                    self(name, tensor.data_ptr(), 0, 0)
                elif name[0] in _STEPPED:
                    self(name, tensor.data_ptr(), tensor.stride(0), tensor.stride(1), mapped=1)
                else:
                    self(name, tensor.data_ptr(), 0, tensor.stride(0), mapped=1)

    def __call__(
        self,
        name: Any,
        address: int,
        step: int,
        row: int,
        shift: int = 0,
        ring: int = 0,
        mapped: int = 0,
    ) -> None:
        """One argument, where the program has it."""
        at = self.slots.get(name)
        if at is not None:
            self.flat[at : at + _WIDTH] = (address, step, row, shift, ring, mapped)

    def all(self, arguments: Iterable[tuple[Name, tuple[int, ...]]]) -> None:
        """Several arguments, as they are told."""
        for name, told in arguments:
            at = self.slots.get(name)
            if at is not None:
                self.flat[at : at + _WIDTH] = told


class _Forward:
    """The forward program of a call, all at once or window by window."""

    def __init__(self, machine: Machine, rows: Rows, given: dict[Name, Tensor]) -> None:
        self.machine, self.rows, self.given = machine, rows, given
        self.like = next(iter(given.values()))

    def whole(self, memory: Memory | None = None) -> tuple[Tensor, ...]:
        """All steps; what the gradient reads is kept in ``memory``."""
        y, every = self._results(self.rows.time)
        begin = [self.given["from", place] for place in range(len(self.machine.plan.states))]
        ends = self._steps(0, self.rows.time, begin, y, every, memory or Memory())
        return self._told(y, ends, every)

    def windows(self, size: int) -> tuple[tuple[Tensor, ...], list[list[Tensor]]]:
        """All steps; nothing is kept but the states that each window began with."""
        y, every = self._results(self.rows.time)
        state = [self.given["from", place] for place in range(len(self.machine.plan.states))]
        begins = []
        for start, stop in self.rows.windows(size):
            begins.append(state)
            state = self._steps(start, stop, state, y, every, Memory())
        return self._told(y, state, every), begins

    def again(self, start: int, stop: int, begin: list[Tensor]) -> Memory:
        """A window once more, for what its gradient reads."""
        memory = Memory()
        y, every = self._results(stop - start)
        self._steps(start, stop, begin, y, every, memory, shift=start)
        return memory

    def _results(self, time: int) -> tuple[Tensor | None, list[Tensor | None]]:
        """Memory of y, where it is no state, and of states that are wanted after every step.

        A state that is y has a step more, in front or behind: what the first one begins with.
        """
        machine, batch = self.machine, self.rows.batch
        every = [
            self.like.new_empty((time + 1, batch, *value.shape), dtype=machine.dtype)
            if place == machine.y_state or machine.all_states
            else None
            for place, value in enumerate(machine.plan.states)
        ]
        if machine.y_state is not None:
            return None, every
        shape = (time, batch, *machine.plan.y.shape)
        return self.like.new_empty(shape, dtype=machine.dtype), every

    def _steps(
        self,
        start: int,
        stop: int,
        begin: list[Tensor],
        y: Tensor | None,
        every: list[Tensor | None],
        memory: Memory,
        shift: int = 0,
    ) -> list[Tensor]:
        """Steps ``start`` to ``stop - 1``; the states at their end. y begins at step ``shift``."""
        machine, program = self.machine, self.machine.forward
        rows = self.rows.window(start, stop)
        time, batch, size_of = rows.time, rows.batch, machine.dtype.itemsize
        ahead, behind = (1, 0) if rows.reverse else (0, 1)  # where a state is read, and left
        fill = Filler(program, window_of(self.given, start, stop))
        ends: list[Tensor] = []
        for place, value in enumerate(machine.plan.states):
            size = value.size
            fill(("from", place), begin[place].data_ptr(), 0, begin[place].stride(0), mapped=1)
            end = self.like.new_empty((batch, *value.shape), dtype=machine.dtype)
            ends.append(end)
            fill(("to", place), end.data_ptr(), 0, size, mapped=1)
            whole, ring = every[place], 0
            if whole is not None:
                offset = (start - shift) * batch * size * size_of
            else:
                ring = 0 if machine.learns else 1
                offset = memory.reserve((2 if ring else time + 1) * batch * size * size_of)
            lies = (batch * size, size)
            mapped = int(whole is not None)
            memory.put(("state", place), whole, offset, *lies, ahead, ring, mapped)
            memory.put(("state_out", place), whole, offset, *lies, behind, ring, mapped)
        if y is not None:
            size = machine.plan.y.size
            offset = (start - shift) * batch * size * size_of
            memory.put(("y", 0), y, offset, batch * size, size, 0, 0, 1)
        for place, value in enumerate(machine.plan.saved):
            step = batch * value.size if value.span == STEP else 0
            count = value.size if value.span == SHARED else batch * value.size
            offset = memory.reserve(count * (time if value.span == STEP else 1) * size_of)
            memory.put(("saved", place), None, offset, step, value.size, 0, 0, 0)
        memory.close()
        fill.all(memory.arguments(memory.tensors))
        program.run(rows, fill.flat, descending=rows.reverse)
        return ends

    def _told(
        self, y: Tensor | None, ends: list[Tensor], every: list[Tensor | None]
    ) -> tuple[Tensor, ...]:
        """What a call gives, of the memory that was filled."""
        machine, rows = self.machine, self.rows
        behind = 0 if rows.reverse else 1
        views = [None if whole is None else _part(whole, behind, rows.time) for whole in every]
        if rows.reverse and rows.lengths is not None:
            # Behind the end of a row stands the state it began with, where zeros are due.
            views = [view if view is None else _ended(view, rows) for view in views]
        if machine.y_state is not None:
            y = views[machine.y_state]
        assert y is not None
        if not machine.all_states:
            return (y, *ends)
        states = [
            view.clone() if place == machine.y_state else view
            for place, view in enumerate(views)
            if view is not None
        ]
        return (y, *ends, *states)


class _Through(torch.autograd.Function):
    """A whole call, forward and back."""

    @staticmethod
    def forward(
        ctx: Any,
        machine: Machine,
        rows: Rows,
        every: int | None,
        names: tuple[Name, ...],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        forward = _Forward(machine, rows, dict(zip(names, tensors, strict=True)))
        memory, kept = Memory(), []
        if every is None:
            found = forward.whole(memory)
            kept = [*found, *memory.tensors]
        else:
            found, begins = forward.windows(every)
            kept = [state for begin in begins for state in begin]
        # What others change in place is found out when it is read again.
        ctx.save_for_backward(*tensors, *kept)
        ctx.where, ctx.results = memory, len(found)
        memory.tensors = []
        ctx.machine, ctx.rows, ctx.every, ctx.names = machine, rows, every, names
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        machine: Machine = ctx.machine
        tensors = ctx.saved_tensors
        given, kept = dict(zip(ctx.names, tensors, strict=False)), tensors[len(ctx.names) :]
        if torch.is_grad_enabled():
            results = _again(machine, ctx.rows, given, grads)
        else:
            backward = _Backward(machine, ctx.rows, given, grads)
            if ctx.every is None:
                backward.steps(0, ctx.rows.time, ctx.where.arguments(kept[ctx.results :]))
            else:
                forward, count = _Forward(machine, ctx.rows, given), len(machine.plan.states)
                windows = ctx.rows.windows(ctx.every)
                for number, (start, stop) in reversed(list(enumerate(windows))):
                    begin = list(kept[number * count : (number + 1) * count])
                    memory = forward.again(start, stop, begin)
                    backward.steps(start, stop, memory.arguments(memory.tensors))
            results = backward.results
        return (None, None, None, None, *(results.get(name) for name in ctx.names))


class _Backward:
    """The backward program of a call: the gradients of what was given, in ``results``."""

    def __init__(
        self,
        machine: Machine,
        rows: Rows,
        given: dict[Name, Tensor],
        grads: Sequence[Tensor | None],
    ) -> None:
        assert machine.backward is not None
        self.machine, self.rows, self.given, self.program = machine, rows, given, machine.backward
        self.like = next(iter(given.values()))
        count = len(machine.plan.states)
        # What comes in for each step, and what for the states at the end of a window.
        self.stepped = {("dy", 0): grads[0]}
        if machine.all_states:
            self.stepped |= {("dstates", p): grads[1 + count + p] for p in range(count)}
        self.ends = list(grads[1 : 1 + count])
        self.results: dict[Name, Tensor] = {}
        for name, value in machine.plan.gradients.items():
            if value.span == STEP and name[0] != "state":
                self.results[name] = self._new((rows.time, rows.batch, *value.shape))

    def _new(self, shape: tuple[int, ...]) -> Tensor:
        return self.like.new_empty(shape, dtype=self.machine.dtype)

    def steps(self, start: int, stop: int, kept: Iterable[tuple[Name, tuple[int, ...]]]) -> None:
        """Steps ``stop - 1`` to ``start``, the next that are due; they are added to the results."""
        machine, program, plan = self.machine, self.program, self.machine.plan
        rows = self.rows.window(start, stop)
        batch, size_of = rows.batch, machine.dtype.itemsize
        ahead, behind = (0, 1) if rows.reverse else (1, 0)  # time runs the other way
        fill = Filler(program, window_of(self.given, start, stop))
        fill.all(kept)
        hold: list[Tensor] = []

        def comes_in(name: Name, grad: Tensor | None, value: Value, lead: int) -> None:
            if name not in program.slots:
                return
            if grad is None:
                grad = _zeros(value.size, machine.dtype)
                fill(name, grad.data_ptr(), 0, 0)
            else:
                if not side_by_side(grad, lead):
                    grad = grad.contiguous()
                step = grad.stride(0) if lead == 2 else 0
                fill(name, grad.data_ptr(), step, grad.stride(lead - 1), mapped=1)
            hold.append(grad)

        for name, grad in self.stepped.items():
            value = plan.y if name[0] == "dy" else plan.states[name[1]]
            comes_in(name, None if grad is None else grad[start:stop], value, 2)
        for place, value in enumerate(plan.states):
            comes_in(("dfrom", place), self.ends[place], value, 1)
            size = value.size
            hold.append(_block(2 * batch * size * size_of))
            address = hold[-1].data_ptr()
            fill(("dstate", place), address, batch * size, size, ahead, ring=1)
            fill(("dstate_out", place), address, batch * size, size, behind, ring=1)
            end = self._new((batch, *value.shape))
            fill(("dto", place), end.data_ptr(), 0, size, mapped=1)
            self.ends[place] = self.results["from", place] = end
        added: dict[Name, Tensor] = {}
        for name, value in plan.gradients.items():
            if name[0] == "state":
                continue
            if value.span == STEP:
                part = self.results[name][start:stop]
                fill(("d", name), part.data_ptr(), batch * value.size, value.size, mapped=1)
            elif value.span == HELD:
                # What a row of no steps holds is not computed.
                added[name] = self._new((batch, *value.shape)).zero_()
                fill(("d", name), added[name].data_ptr(), 0, value.size, mapped=1)
            else:
                strides = machine.input_strides(name)
                if strides is not None and dense(value.shape, strides):
                    added[name] = torch.empty_strided(value.shape, strides, dtype=machine.dtype)
                else:
                    added[name] = self._new(value.shape)
                fill(("d", name), added[name].data_ptr(), 0, 0)
        program.run(rows, fill.flat, descending=not rows.reverse)
        for name, part in added.items():
            known = self.results.get(name)
            self.results[name] = part if known is None else known.add_(part)


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


def window_of(given: dict[Name, Tensor], start: int, stop: int) -> dict[Name, Tensor]:
    """What is given, of some steps."""
    whole = next((t.shape[0] for n, t in given.items() if n[0] in _STEPPED), None)
    if whole is None or (start, stop) == (0, whole):
        return given
    return {n: t[start:stop] if n[0] in _STEPPED else t for n, t in given.items()}


@lru_cache(maxsize=256)
def _zeros(size: int, dtype: torch.dtype) -> Tensor:
    """Zeros that nobody writes to."""
    return torch.zeros(size, dtype=dtype)


def _part(whole: Tensor, start: int, steps: int) -> Tensor:
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
