"""A planned step as two programs of the native machine, and how rows lie in a call of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.engine.assemble import Argument, Assembled, assemble
from recurra.engine.frame import Frame
from recurra.engine.graph import SHARED, STEP, Value
from recurra.engine.plan import Plan
from recurra.engine.threads import share_threads
from recurra_runtime.backend import core

__all__ = ["Machine", "Name", "Program", "Rows", "Windows", "dense", "side_by_side", "threads_for"]

Name = tuple[str, int]

# Rows of a chunk, between whose parts values are kept; and of a window, which fits the cache.
_CHUNK, _WINDOW = 256, 32
# Sizes of calls that are known at a time.
_MOST_FRAMES = 64
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
        threads: how many share the call: the same number forward and back, since it decides in
            which order rows lie in memory that is kept between.
    """

    time: int
    batch: int
    lengths: Tensor | None
    reverse: bool
    threads: int

    def window(self, start: int, stop: int) -> Rows:
        """Some of the steps."""
        if (start, stop) == (0, self.time):
            return self
        lengths = self.lengths
        if lengths is not None:
            lengths = (lengths - start).clamp(0, stop - start)
        return Rows(stop - start, self.batch, lengths, self.reverse, self.threads)

    def windows(self, size: int) -> list[tuple[int, int]]:
        """First and last step (and one) of windows of so many steps, as time runs."""
        starts = range(0, self.time, size)
        found = [(start, min(start + size, self.time)) for start in starts]
        return found[::-1] if self.reverse else found

    @property
    def slices(self) -> int:
        """Into how many parts rows are dealt; 1 where the steps are shared, not the rows."""
        return self.threads if self.batch >= self.threads else 1

    def dealt(self) -> tuple[Tensor | None, Tensor | None]:
        """Lengths and rows in the order of the threads: each gets long and short ones."""
        if self.lengths is None:
            return None, None
        order, parts = torch.argsort(self.lengths, descending=True, stable=True), self.slices
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
        places = range(len(plan.states))
        self._numbers = [p for p in places if all_states or p == self.y_state]
        self.outputs = [(plan.states[place], 1) for place in self._numbers]
        """What a call gives of every step: states, then y if it is none; and steps more of them."""
        if self.y_state is None:
            self.outputs.append((plan.y, 0))
        self.gradients = [
            (name, value, self._gradient_strides(name, value))
            for name, value in plan.gradients.items()
            if name[0] != "state"
        ]
        """Names of what gets a gradient, the gradient, and how it lies; None: side by side."""
        self.forward = Program(_forward(self), dtype)
        self.backward = Program(_backward(self), dtype) if self.learns else None
        self._frames: dict[tuple[int, int, bool], Frame] = {}

    def rows(self, time: int, batch: int, lengths: Tensor | None, reverse: bool) -> Rows:
        """The rows of a call, shared by no more threads than it is worth."""
        work = self.forward.flops * time * batch
        if self.backward is not None:
            work = (work + self.backward.flops * time * batch) / 2
        return Rows(time, batch, lengths, reverse, threads_for(work))

    def state_number(self, place: int) -> int | None:
        """Which of what is told a state is, if it is told."""
        return self._numbers.index(place) if place in self._numbers else None

    def frame(self, rows: Rows) -> Frame:
        """Where everything lies in calls of such rows."""
        key = (rows.time, rows.batch, rows.reverse)
        known = self._frames.get(key)
        if known is None:
            if len(self._frames) >= _MOST_FRAMES:
                self._frames.clear()
            known = self._frames[key] = Frame(self, *key)
        return known

    def _gradient_strides(self, name: Name, value: Value) -> tuple[int, ...] | None:
        strides = self.input_strides(name) if value.span == SHARED else None
        return strides if strides is not None and dense(value.shape, strides) else None

    def input_strides(self, name: Name) -> tuple[int, ...] | None:
        """How a shared input lies; None: side by side."""
        return self.strides[name[1]] if name[0] == "shared" else None


def _argument(machine: Machine, name: Name, value: Value) -> Argument:
    strides = machine.input_strides(name)
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
        carries.append((("dfrom", place), ("dstate", place), ("dstate_out", place), ("dto", place)))
    padded = []
    for name, value, strides in machine.gradients:
        arguments.append(Argument(("d", name), value.size, None, strides, value))
        if value.span == STEP:
            padded.append(("d", name))
    return assemble(plan.backward, arguments, carries, padded, _ends("dstate", len(plan.states)))


def _ends(name: str, count: int) -> list[Name]:
    """What a step reads of the one before, and leaves for the next."""
    return [(kind, place) for place in range(count) for kind in (name, f"{name}_out")]


def _read(sections: Any) -> set[Value]:
    return {
        read for values in sections.phases.values() for value in values for read in value.inputs
    }


class Program:
    """A verified program and the slots of its arguments.

    Args:
        assembled: its parts.
        dtype: of all numbers.
    """

    width = 6
    """Numbers of an argument: address, strides of a step and of a row, shift, ring, mapped."""

    def __init__(self, assembled: Assembled, dtype: torch.dtype) -> None:
        native: Any = core()
        share_threads()
        self._windows_of = native.Windows
        self.slots = {a.name: place * self.width for place, a in enumerate(assembled.arguments)}
        self._made = native.Program.make(*assembled.parts)
        self._doubles = dtype is torch.float64
        self.constants = np.array(assembled.constants, np.float64 if self._doubles else np.float32)
        self.flops = assembled.flops
        self.blank = [0] * (self.width * (len(self.slots) + 1))
        self.blank[-self.width] = self.constants.ctypes.data

    def of_one_row(self, places: Iterable[tuple[Name | str, int, int]]) -> list[int]:
        """The arguments of a call of one row.

        Args:
            places: names, addresses, and distances of steps; names that it has not are left out.
        """
        flat = self.blank.copy()
        for name, address, step in places:
            at = self.slots.get(name)
            if at is not None:
                flat[at : at + 2] = (address, step)
        return flat

    def run(
        self,
        rows: Rows,
        flat: list[int],
        *,
        descending: bool,
        windows: Windows | None = None,
        chunk: int = _CHUNK,
        window: int = _WINDOW,
    ) -> None:
        """Call the machine with arguments in their slots.

        Args:
            rows: of the call.
            flat: the arguments, ``width`` numbers each.
            descending: whether steps run from last to first.
            windows: the call that this is a window of; None if it is a whole one.
            chunk: rows between whose parts values are kept.
            window: rows that are computed together.
        """
        lengths, order = rows.dealt()
        told = self._told(rows, lengths, order, flat, descending, chunk, window)
        if windows is None:
            self._made.run(self._doubles, told)
            return
        if windows.running is None:
            windows.running = self._windows_of(self._made, self._doubles, told)
        windows.running.run(told)

    def _told(
        self,
        rows: Rows,
        lengths: Tensor | None,
        order: Tensor | None,
        flat: list[int],
        descending: bool,
        chunk: int,
        window: int,
    ) -> list[int]:
        """A call in numbers."""
        share = -(-rows.batch // rows.slices)
        return [
            rows.time,
            rows.batch,
            0 if lengths is None else lengths.data_ptr(),
            0 if order is None else order.data_ptr(),
            descending,
            rows.threads,
            max(1, min(rows.time, -(-chunk // share))),
            max(1, -(-window // share)),
            *flat,
        ]


class Windows:
    """A call of one program that comes in windows of steps, all of the same rows.

    What all rows share is packed for the first window alone; sums over rows go on from window to
    window, and are told at the end.
    """

    def __init__(self) -> None:
        self.running: Any = None

    def end(self) -> None:
        """No window is to come: sums over rows lie where the arguments of the first one said."""
        if self.running is not None:
            self.running.end()


def threads_for(operations: float) -> int:
    """How many threads are worth their coming for so much work."""
    return max(1, min(torch.get_num_threads(), int(operations / _SHARED_FROM)))


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
def dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Is every number of the memory used once?"""
    return _extent(shape, strides) == math.prod(shape) and 0 not in strides
