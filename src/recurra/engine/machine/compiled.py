"""A planned step as two programs of the native machine, and the memory of a call of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from recurra.engine.assemble import Argument, Assembled, assemble
from recurra.engine.assemble.strides import packed
from recurra.engine.graph.values import HELD, SHARED, STEP, Value
from recurra.engine.machine.arguments import ArgumentTable, Executable, Schedule, threads_for
from recurra.engine.plan.phases import Plan, Sections
from recurra.engine.plan.slots import COTANGENTS, Kind, Slot

__all__ = ["Frame", "Machine", "dense"]

Strided = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and strides of a tensor."""

# Call sizes whose frames are kept at a time.
_MOST_FRAMES = 64


class Machine:
    """A step's programs for one kind of call.

    Args:
        plan: of the step.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.dtype = plan, plan.kind.dtype
        self.learns = plan.backward is not None
        # A y that is a leaf of the state is stored as that leaf.
        self.y_state = plan.states.index(plan.y) if plan.y in plan.states else None
        places = range(len(plan.states))
        self._numbers = [p for p in places if plan.kind.return_states or p == self.y_state]
        self.outputs = [(plan.states[place], 1) for place in self._numbers]
        """Per-step outputs: states, then y if it is no state; and how many extra steps each has."""
        if self.y_state is None:
            self.outputs.append((plan.y, 0))
        self.gradients = [
            (name, value, self._gradient_strides(name, value))
            for name, value in plan.gradients.items()
            if name[0] != "state"
        ]
        """Slot, gradient and strides (None: contiguous) of each input that gets a gradient."""
        self.forward = Executable(_forward(self), self.dtype)
        self.backward = Executable(_backward(self), self.dtype) if self.learns else None
        self._frames: dict[tuple[int, int, bool], Frame] = {}

    def rows(
        self, time: int, batch: int, lengths: Tensor | None, reverse: bool, bfloat16: bool = False
    ) -> Schedule:
        """The schedule of a call, on as many threads as its work is worth."""
        work = self.forward.flops * time * batch
        if self.backward is not None:
            work = (work + self.backward.flops * time * batch) / 2
        return Schedule(time, batch, lengths, reverse, threads_for(work), bfloat16).dealt()

    def state_number(self, place: int) -> int | None:
        """Index of a state among the per-step outputs, or None."""
        return self._numbers.index(place) if place in self._numbers else None

    def frame(self, rows: Schedule) -> Frame:
        """The memory layout of calls of this size."""
        key = (rows.time, rows.batch, rows.reverse)
        known = self._frames.get(key)
        if known is None:
            if len(self._frames) >= _MOST_FRAMES:
                self._frames.clear()
            known = self._frames[key] = Frame(self, *key)
        return known

    def _gradient_strides(self, name: Slot, value: Value) -> tuple[int, ...] | None:
        strides = self.input_strides(name) if value.span == SHARED else None
        return strides if strides is not None and dense(value.shape, strides) else None

    def input_strides(self, name: Slot) -> tuple[int, ...] | None:
        """Strides of a shared input; None: contiguous."""
        return self.plan.kind.strides[name[1]] if name[0] == "shared" else None


def _argument(machine: Machine, name: Slot, value: Value) -> Argument:
    strides = machine.input_strides(name)
    size = value.size if strides is None else _extent(value.shape, strides)
    return Argument(name, size, value, strides)


def _forward(machine: Machine) -> Assembled:
    plan = machine.plan
    read = _read(plan.forward) | {plan.y, *plan.states}
    arguments = [
        _argument(machine, name, value)
        for name, value in plan.inputs.items()
        if value in read and name[0] not in (*COTANGENTS, "state")
    ]
    given = [plan.inputs["state", place] for place in range(len(plan.states))]
    carried, carries = _carried(("from", "state", "state_out", "to"), given, plan.states)
    arguments += carried
    if machine.y_state is None:
        arguments.append(Argument(("y", 0), plan.y.size, result=plan.y))
    arguments += [
        Argument(("saved", place), value.size, result=value)
        for place, value in enumerate(plan.saved)
    ]
    padded = [("y", 0)] if machine.y_state is None else [("state_out", machine.y_state)]
    if plan.kind.return_states:
        every = [("state_out", place) for place in range(len(plan.states))]
        padded += [name for name in every if name not in padded]
    between = [slot for carry in carries for slot in carry[1:3]]
    return assemble(
        plan.forward, arguments, carries, padded, rings=() if machine.learns else between
    )


def _backward(machine: Machine) -> Assembled:
    plan = machine.plan
    assert plan.backward is not None
    read = _read(plan.backward) | set(plan.gradients.values())
    there: dict[Slot, Value] = {n: v for n, v in plan.inputs.items() if n[0] != "dstate"}
    there |= {("saved", place): value for place, value in enumerate(plan.saved)}
    there |= {("state_out", place): value for place, value in enumerate(plan.states)}
    if machine.y_state is None:
        there["y", 0] = plan.y
    arguments, known = [], set()
    for name, value in there.items():
        if value in read and value not in known:
            known.add(value)
            arguments.append(_argument(machine, name, value))
    states = range(len(plan.states))
    given = [plan.inputs["dstate", place] for place in states]
    found = [plan.gradients["state", place] for place in states]
    carried, carries = _carried(("dfrom", "dstate", "dstate_out", "dto"), given, found)
    arguments += carried
    padded = []
    for name, value, strides in machine.gradients:
        arguments.append(Argument(("d", name), value.size, None, strides, value))
        if value.span == STEP:
            padded.append(("d", name))
    between = [slot for carry in carries for slot in carry[1:3]]
    return assemble(plan.backward, arguments, carries, padded, rings=between)


def _carried(
    kinds: tuple[Kind, Kind, Kind, Kind], inputs: Sequence[Value], results: Sequence[Value]
) -> tuple[list[Argument], list[list[Slot]]]:
    """The arguments by which states come and go, and which of them belong together."""
    arguments, carries = [], []
    for place, (value, result) in enumerate(zip(inputs, results, strict=True)):
        carries.append([(kind, place) for kind in kinds])
        begin, read, left, end = carries[-1]
        arguments += [
            Argument(read, value.size, value),
            Argument(left, value.size, result=result),
            Argument(begin, value.size),
            Argument(end, value.size),
        ]
    return arguments, carries


def _read(sections: Sections) -> set[Value]:
    return {read for value in sections.values() for read in value.inputs}


class Frame:
    """The memory layout of calls of one size.

    A forward call owns the per-step outputs (``machine.outputs``), the block of saved values and
    the last states. A backward call reads the same without the last states; it owns the block of
    the states' gradients, the gradients of the first states, and the others in the plan's order.

    Args:
        machine: whose programs they are.
        time: steps.
        batch: rows.
        reverse: whether steps run from last to first.
    """

    def __init__(self, machine: Machine, time: int, batch: int, reverse: bool) -> None:
        plan, self._size_of = machine.plan, machine.dtype.itemsize
        states = range(len(plan.states))
        inner = (*COTANGENTS, "state")
        given = [name for name in plan.inputs if name[0] not in inner]
        begins: list[Slot] = [("from", place) for place in states]
        block = len(machine.outputs)
        self.bytes = self.back_bytes = 0
        self.steps = [value.size * batch * self._size_of for value, _ in machine.outputs]
        """Bytes of one step of each per-step output."""
        self.per_step = [
            _contiguous(time + more, batch, *value.shape) for value, more in machine.outputs
        ]
        """Layout of the per-step outputs; a state's has one extra step for its initial value."""
        self.ends = [_contiguous(batch, *value.shape) for value in plan.states]
        leads = {STEP: (time, batch), HELD: (batch,), SHARED: ()}
        self.gradients = [
            (
                name,
                value.span,
                (value.shape, strides)
                if strides is not None
                else _contiguous(*leads[value.span], *value.shape),
            )
            for name, value, strides in machine.gradients
        ]
        """Slot, span and layout of each gradient."""
        layouts = [(place, span, layout) for place, (_, span, layout) in enumerate(self.gradients)]
        self.held = [place for place, span, _ in layouts if span == HELD]
        """Which of them are of a row."""
        self.stepped = [(p, layout[1][0] * self._size_of) for p, s, layout in layouts if s == STEP]
        """Which are of a step, and bytes from one to the next."""
        self.forward = ArgumentTable(machine.forward, [*given, *begins])
        forms = [self.forward]
        if machine.backward is not None:
            self.back = ArgumentTable(machine.backward, given, _incoming(plan))
            forms.append(self.back)
        read, left = (1, 0) if reverse else (0, 1)  # step offsets of a state: read and written
        for place, value in enumerate(plan.states):
            row = value.size
            step = batch * row
            number, ring, offset = machine.state_number(place), 0, 0
            mapped = int(number is not None)
            if number is None:
                number, ring = block, 0 if machine.learns else 1
                offset = self._reserve(step * (2 if ring else time + 1))
            for form in forms:
                form.put(("state", place), number, offset, step, row, read, ring, mapped)
                form.put(("state_out", place), number, offset, step, row, left, ring, mapped)
            self.forward.put(("to", place), block + 1 + place, 0, 0, row, mapped=1)
        if machine.y_state is None:
            for form in forms:
                form.put(("y", 0), block - 1, 0, batch * plan.y.size, plan.y.size, mapped=1)
        for place, value in enumerate(plan.saved):
            step = batch * value.size if value.span == STEP else 0
            count = value.size if value.span == SHARED else batch * value.size
            offset = self._reserve(count * (time if value.span == STEP else 1))
            for form in forms:
                form.put(("saved", place), block, offset, step, value.size)
        if machine.backward is not None:
            self._going_back(machine, batch, block + 1, (left, read))

    def _going_back(
        self, machine: Machine, batch: int, number: int, shifts: tuple[int, int]
    ) -> None:
        read, left = shifts  # time runs the other way
        for place, value in enumerate(machine.plan.states):
            row, offset = value.size, self.back_bytes
            step = batch * row
            self.back_bytes += _lines(2 * step * self._size_of)
            self.back.put(("dstate", place), number, offset, step, row, read, ring=1)
            self.back.put(("dstate_out", place), number, offset, step, row, left, ring=1)
            self.back.put(("dto", place), number + 1 + place, 0, 0, row, mapped=1)
        number += 1 + len(machine.plan.states)
        for place, (name, value, _) in enumerate(machine.gradients):
            step = batch * value.size if value.span == STEP else 0
            row = 0 if value.span == SHARED else value.size
            mapped = int(value.span in (STEP, HELD))
            self.back.put(("d", name), number + place, 0, step, row, mapped=mapped)

    def _reserve(self, count: int) -> int:
        """Space for numbers in the block, on cache lines of their own."""
        start = self.bytes
        self.bytes += _lines(count * self._size_of)
        return start


def _incoming(plan: Plan) -> list[tuple[Slot, int]]:
    """What comes from outside, the gradients of the results: slots and numbers of each."""
    of_states: tuple[Kind, ...] = ("dfrom", "dstates")
    states = list(enumerate(plan.states))
    return [
        (("dy", 0), plan.y.size),
        *(((kind, place), value.size) for kind in of_states for place, value in states),
    ]


def _contiguous(*shape: int) -> Strided:
    """The layout of a contiguous tensor."""
    return shape, packed(shape)


def _lines(count: int) -> int:
    """Bytes, rounded up to whole cache lines."""
    return -(-count // 64) * 64


def _extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements of memory from the first to the last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


@lru_cache(maxsize=4096)
def dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Is every element of the memory used exactly once?"""
    return _extent(shape, strides) == math.prod(shape) and 0 not in strides
