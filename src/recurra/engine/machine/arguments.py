"""A program of the native machine, as it is called: rows in time, arguments, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.engine.assemble import Assembled
from recurra.engine.machine.threads import share_threads
from recurra.engine.torch_internals import address_of
from recurra.lengths import within
from recurra_runtime.backend import core

__all__ = [
    "Form",
    "Name",
    "Program",
    "Rows",
    "Windows",
    "block_of",
    "side_by_side",
    "threads_for",
]

Name = tuple[str, int]

# Rows of a chunk, between whose parts values are kept; and of a window, which fits the cache.
_CHUNK, _WINDOW = 256, 32
# Operations below which another thread costs more than it does.
_SHARED_FROM = 2e6
# Bytes of a block that torch has sooner than the workspace.
_SMALL = 1 << 16
# Axes in front of a row's features, of what a call is given.
_LEADS = {"shared": 0, "x": 2, "noise": 2, "reset": 2}


class Rows(NamedTuple):
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
        lengths = None if self.lengths is None else within(self.lengths, start, stop)
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
        share = -(-rows.batch // rows.slices)
        told = [
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
        if windows is None:
            self._made.run(self._doubles, told)
            return
        if windows.running is None:
            windows.running = self._windows_of(self._made, self._doubles, told)
        windows.running.run(told)


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


def block_of(count: int) -> Tensor:
    """So many bytes, which go back to the machine's workspace when nobody holds them any more."""
    if count < _SMALL:
        return torch.empty(count, dtype=torch.uint8, device="cpu")
    native = core()
    assert native is not None
    return torch.from_numpy(native.keep(count))


def side_by_side(tensor: Tensor, lead: int) -> bool:
    """Do the features of a row lie side by side?"""
    if tensor.is_contiguous():
        return True
    size = 1
    for length, stride in zip(
        reversed(tensor.shape[lead:]), reversed(tensor.stride()[lead:]), strict=True
    ):
        if length != 1 and stride != size:
            return False
        size *= length
    return True


class Form:
    """The arguments of a program but for their addresses.

    Args:
        program: whose they are.
        given: what comes from outside of the call, by name: found where its tensor says.
    """

    def __init__(self, program: Program, given: Sequence[Name]) -> None:
        self._slots, self._blank = program.slots, program.blank.copy()
        self._kind, self._zeros = program.constants.dtype, list[NDArray[Any]]()
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
                flat[at] = address_of(tensor) + start * step * tensor.itemsize
                flat[at + 1], flat[at + 2] = step, row
            else:
                flat[at] = address_of(tensor)
                if lead:
                    flat[at + 2] = tensor.stride(0)
        return flat

    def expect(self, name: Name, size: int) -> None:
        """An argument that a call may place, in the caller's order of rows; else it is zeros."""
        at = self._slots.get(name)
        if at is not None:
            self._zeros.append(np.zeros(size, self._kind))
            self._blank[at : at + 6] = (self._zeros[-1].ctypes.data, 0, 0, 0, 0, 1)

    def place(
        self, flat: list[int], name: Name, tensor: Tensor | None, start: int | None = None
    ) -> Tensor | None:
        """One that was expected: of steps from ``start`` on, or of none.

        Returns:
            what is read, which has to live as long.
        """
        at = self._slots.get(name)
        if tensor is None or at is None:
            return None
        tensor = tensor.resolve_neg()
        if not side_by_side(tensor, 1 if start is None else 2):
            tensor = tensor.contiguous()
        step, row = (0, tensor.stride(0)) if start is None else tensor.stride()[:2]
        behind = 0 if start is None else start * step * tensor.itemsize
        flat[at : at + 3] = (address_of(tensor) + behind, step, row)
        return tensor
