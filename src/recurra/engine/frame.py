"""Where the arguments of a machine's programs lie, worked out once for calls of one size.

A call then fills in addresses alone. What a call owns is numbered, the same way forward and back:
the results of every step first, then the block of what is kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.engine.graph import HELD, SHARED, STEP
from recurra_runtime.backend import core

if TYPE_CHECKING:
    from recurra.engine.machine import Machine, Name, Program

__all__ = ["Form", "Frame", "block_of"]

# Bytes of a block that torch has sooner than the workspace.
_SMALL = 1 << 16
# Axes in front of a row's features, of what a call is given.
_LEADS = {"shared": 0, "x": 2, "noise": 2, "reset": 2}


def block_of(count: int) -> Tensor:
    """So many bytes, which go back to the machine's workspace when nobody holds them any more."""
    if count < _SMALL:
        return torch.empty(count, dtype=torch.uint8)
    native = core()
    assert native is not None
    return torch.from_numpy(native.keep(count))


class Form:
    """The arguments of a program but for their addresses.

    Args:
        program: whose they are.
        given: what comes from outside of the call, by name: found where its tensor says.
    """

    def __init__(self, program: Program, given: Sequence[Name]) -> None:
        self._slots, self._blank = program.slots, program.blank.copy()
        self._owned: list[tuple[int, int, int]] = []
        self._given: list[tuple[int, Name, int]] = []
        for name in given:
            at = self._slots.get(name)
            if at is not None:
                lead = _LEADS.get(name[0], 1)
                self._blank[at + 5] = int(lead > 0)
                self._given.append((at, name, lead))

    def put(
        self,
        name: Any,
        number: int,
        offset: int,
        step: int,
        row: int,
        shift: int = 0,
        ring: int = 0,
        mapped: int = 0,
    ) -> None:
        """An argument that lies so many bytes behind the start of an owned tensor."""
        at = self._slots.get(name)
        if at is not None:
            self._owned.append((at, number, offset))
            self._blank[at + 1 : at + 6] = (step, row, shift, ring, mapped)

    def fill(
        self, addresses: Sequence[int], given: Mapping[Name, Tensor], start: int = 0
    ) -> list[int]:
        """The arguments of a call.

        Args:
            addresses: of what the call owns.
            given: what it is given.
            start: its first step among those of what is given.
        """
        flat = self._blank.copy()
        for at, number, offset in self._owned:
            flat[at] = addresses[number] + offset
        for at, name, lead in self._given:
            tensor = given[name]
            if lead == 2:
                step, row, *_ = tensor.stride()
                flat[at] = tensor.data_ptr() + start * step * tensor.itemsize
                flat[at + 1], flat[at + 2] = step, row
            else:
                flat[at] = tensor.data_ptr()
                if lead:
                    flat[at + 2] = tensor.stride(0)
        return flat

    def place(self, flat: list[int], name: Name, address: int, step: int, row: int) -> None:
        """One argument more, of rows in the caller's order."""
        at = self._slots[name]
        flat[at : at + 6] = (address, step, row, 0, 0, 1)


class Frame:
    """Where everything lies in calls of so many steps and rows.

    Owned going forward: what is told of every step (``machine.outputs``), the block, the states at
    the end. Going back: the same without the ends, then the memory of the states' gradients, their
    gradients at the beginning, and the other gradients in the plan's order.

    Args:
        machine: whose programs they are.
        time: steps.
        batch: rows.
        reverse: whether steps run from last to first.
    """

    def __init__(self, machine: Machine, time: int, batch: int, reverse: bool) -> None:
        plan, self._size_of = machine.plan, machine.dtype.itemsize
        states = range(len(plan.states))
        inner = ("dy", "dstate", "dstates", "state")
        given = [name for name in plan.inputs if name[0] not in inner]
        begins = [("from", place) for place in states]
        block = len(machine.outputs)
        self.bytes = self.back_bytes = 0
        self.steps = [value.size * batch * self._size_of for value, _ in machine.outputs]
        """Bytes of a step of what is told of every step."""
        self.forward = Form(machine.forward, [*given, *begins])
        forms = [self.forward]
        if machine.backward is not None:
            self.back = Form(machine.backward, given)
            forms.append(self.back)
        ahead, behind = (1, 0) if reverse else (0, 1)  # where a state is read, and left
        for place, value in enumerate(plan.states):
            row = value.size
            step = batch * row
            number, ring, offset = machine.state_number(place), 0, 0
            mapped = int(number is not None)
            if number is None:
                number, ring = block, 0 if machine.learns else 1
                offset = self._reserve(step * (2 if ring else time + 1))
            for form in forms:
                form.put(("state", place), number, offset, step, row, ahead, ring, mapped)
                form.put(("state_out", place), number, offset, step, row, behind, ring, mapped)
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
            self._going_back(machine, batch, block + 1, (behind, ahead))

    def _going_back(
        self, machine: Machine, batch: int, number: int, shifts: tuple[int, int]
    ) -> None:
        ahead, behind = shifts  # time runs the other way
        for place, value in enumerate(machine.plan.states):
            row, offset = value.size, self.back_bytes
            step = batch * row
            self.back_bytes += _lines(2 * step * self._size_of)
            self.back.put(("dstate", place), number, offset, step, row, ahead, ring=1)
            self.back.put(("dstate_out", place), number, offset, step, row, behind, ring=1)
            self.back.put(("dto", place), number + 1 + place, 0, 0, row, mapped=1)
        number += 1 + len(machine.plan.states)
        for place, (name, value, _) in enumerate(machine.gradients):
            step = batch * value.size if value.span == STEP else 0
            row = 0 if value.span == SHARED else value.size
            mapped = int(value.span in (STEP, HELD))
            self.back.put(("d", name), number + place, 0, step, row, mapped=mapped)

    def _reserve(self, count: int) -> int:
        """So many numbers of the block, on lines of the cache of their own."""
        start = self.bytes
        self.bytes += _lines(count * self._size_of)
        return start


def _lines(count: int) -> int:
    return -(-count // 64) * 64
