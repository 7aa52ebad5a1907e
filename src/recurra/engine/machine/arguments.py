"""A program as the native machine is called with it: rows in time, addresses, strides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.engine.assemble import Assembled
from recurra.engine.machine.threads import share_threads
from recurra.engine.plan.slots import LEADS, Slot
from recurra.engine.torch_internals import ADDRESS
from recurra.lengths import within
from recurra_runtime.backend import core

__all__ = [
    "ArgumentTable",
    "Executable",
    "Schedule",
    "WindowedCall",
    "block_of",
    "contiguous_rows",
    "threads_for",
]

# Rows of a chunk, between whose parts values are kept; and of a window, which fits the cache.
_CHUNK, _WINDOW = 256, 32
# Operations below which another thread costs more than it does.
_SHARED_FROM = 2e6
# Bytes of a block that torch has sooner than the workspace.
_SMALL = 1 << 16


class Schedule(NamedTuple):
    """Which rows run which steps, in which order, on how many threads.

    Args:
        time: steps.
        batch: rows.
        lengths: ``[batch]``, or None if all are whole.
        reverse: whether steps run from last to first.
        threads: how many share the call: the same number forward and back, since it decides in
            which order rows are in memory that is kept between.
        bfloat16: whether products round what they multiply to bfloat16.
        order: row numbers by the threads that run them, each with long and short rows, and falling
            lengths; None if all rows are whole. It stands in every window of the steps.
    """

    time: int
    batch: int
    lengths: Tensor | None
    reverse: bool
    threads: int
    bfloat16: bool = False
    order: Tensor | None = None

    def window(self, start: int, stop: int) -> Schedule:
        """Some of the steps."""
        if (start, stop) == (0, self.time):
            return self
        lengths = None if self.lengths is None else within(self.lengths, start, stop)
        return self._replace(time=stop - start, lengths=lengths)

    def windows(self, size: int) -> list[tuple[int, int]]:
        """First and last step (and one) of windows of so many steps, as time runs."""
        starts = range(0, self.time, size)
        found = [(start, min(start + size, self.time)) for start in starts]
        return found[::-1] if self.reverse else found

    @property
    def slices(self) -> int:
        """Into how many parts rows are dealt; 1 where the steps are shared, not the rows."""
        return self.threads if self.batch >= self.threads else 1

    def dealt(self) -> Schedule:
        """With its rows in the order of the threads."""
        if self.lengths is None:
            return self
        order, parts = torch.argsort(self.lengths, descending=True, stable=True), self.slices
        if parts > 1:
            order = torch.cat([order[parts - 1 - part :: parts] for part in range(parts)])
        return self._replace(order=order)


class Executable:
    """A verified program, and where its arguments stand in a call.

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
        self.places = {a.name: place for place, a in enumerate(assembled.arguments)}
        self._made = native.Program.make(*assembled.parts)
        self._doubles = dtype is torch.float64
        self.constants = np.array(assembled.constants, np.float64 if self._doubles else np.float32)
        self.flops = assembled.flops
        self.blank = [0] * (self.width * (len(self.places) + 1))
        self.blank[-self.width] = self.constants.ctypes.data

    def of_one_row(self, places: Iterable[tuple[Slot | str, int, int]]) -> Any:
        """The arguments of a call of one row.

        Args:
            places: slot, address and stride of a step of each; slots it does not have are skipped.
        """
        flat = self.blank.copy()
        for name, address, step in places:
            place = self.places.get(name)
            if place is not None:
                flat[self.width * place : self.width * place + 2] = (address, step)
        native: Any = core()
        return native.Arguments(flat)

    def run(
        self,
        rows: Schedule,
        arguments: Any,
        *,
        descending: bool,
        windows: WindowedCall | None = None,
        chunk: int = _CHUNK,
        window: int = _WINDOW,
    ) -> None:
        """Run the program.

        Args:
            rows: of the call.
            arguments: of the native module, as ``of_one_row`` and an ArgumentTable make them.
            descending: whether steps run from last to first.
            windows: the call that this is a window of; None if it is a whole one.
            chunk: rows between whose parts values are kept.
            window: rows that are computed together.
        """
        whole = rows if rows.lengths is None else rows._replace(lengths=None, order=None)
        call, lengths = _head(whole, descending, chunk, window), None
        if rows.lengths is not None and rows.order is not None:
            lengths = rows.lengths[rows.order]  # has to be there until the call is over
            call = (*call[:2], lengths.data_ptr(), rows.order.data_ptr(), *call[4:])
        if windows is None:
            self._made.run(self._doubles, call, arguments)
            return
        if windows.running is None:
            windows.running = self._windows_of(self._made, self._doubles, call, arguments)
        windows.running.run(call, arguments)


@lru_cache(maxsize=256)
def _head(rows: Schedule, descending: bool, chunk: int, window: int) -> tuple[int, ...]:
    """What the native machine is told of a call of whole rows, beside its arguments."""
    share = -(-rows.batch // rows.slices)
    chunk, window = max(1, min(rows.time, -(-chunk // share))), max(1, -(-window // share))
    return rows.time, rows.batch, 0, 0, descending, rows.threads, chunk, window, rows.bfloat16


class WindowedCall:
    """A call of one program that comes in windows of steps, all of the same rows.

    What all rows share is packed for the first window alone; sums over rows go on from window to
    window, and are written at the end.
    """

    def __init__(self) -> None:
        self.running: Any = None

    def end(self) -> None:
        """After the last window: write the sums where the arguments of the first one said."""
        if self.running is not None:
            self.running.end()


def threads_for(operations: float) -> int:
    """How many threads so many operations are worth."""
    return max(1, min(torch.get_num_threads(), int(operations / _SHARED_FROM)))


def block_of(count: int) -> Tensor:
    """Bytes of the workspace, returned to it when the tensor is freed."""
    if count < _SMALL:
        return torch.empty(count, dtype=torch.uint8, device="cpu")
    native = core()
    assert native is not None
    return torch.from_numpy(native.keep(count))


def contiguous_rows(tensor: Tensor, lead: int) -> bool:
    """Are the features of each row contiguous?"""
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


class ArgumentTable:
    """The arguments of a program in calls of one size.

    Args:
        program: whose they are.
        given: slots of what the caller passes: where it is, and how far its steps and rows lie
            apart, is read of each tensor.
        perhaps: slots, and their numbers, of what the caller may pass; zeros where it does not.
    """

    def __init__(
        self,
        program: Executable,
        given: Sequence[Slot],
        perhaps: Sequence[tuple[Slot, int]] = (),
    ) -> None:
        self._places, self._blank = program.places, program.blank.copy()
        self._bytes = program.constants.itemsize
        self._given = [name for name in given if name in program.places]
        self._perhaps = [(name, size) for name, size in perhaps if name in program.places]
        self._tensors = [
            (program.places[name], LEADS.get(name[0], 1))
            for name in (*self._given, *(name for name, _ in self._perhaps))
        ]
        self._owned: list[tuple[int, int, int]] = []
        self._zeros = [np.zeros(size, program.constants.dtype) for _, size in self._perhaps]
        for place, lead in self._tensors:
            self._blank[place * program.width + 5] = int(lead > 0)
        optional = self._tensors[len(self._given) :]
        for (place, _), zeros in zip(optional, self._zeros, strict=True):
            self._blank[place * program.width] = zeros.ctypes.data
        self._table: Any = None

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
        """Bind an argument to a byte offset in a tensor that the call owns."""
        place = self._places.get(name)
        if place is not None:
            self._owned.append((place, number, offset))
            at = place * Executable.width
            self._blank[at + 1 : at + 6] = (step, row, shift, ring, mapped)

    def fill(
        self,
        addresses: list[int],
        given: Mapping[Slot, Tensor],
        start: int = 0,
        perhaps: Mapping[Slot, Tensor | None] | None = None,
    ) -> Any:
        """The arguments of a call.

        Args:
            addresses: of the tensors that the call owns.
            given: the tensors that the caller passed.
            start: the step of these that the call begins with.
            perhaps: those that it may have passed, features of each row contiguous.
        """
        if self._table is None:  # all arguments are bound
            native: Any = core()
            self._table = native.ArgumentTable(
                self._blank, self._owned, self._tensors, self._bytes, *ADDRESS, Tensor.stride
            )
        tensors: list[Tensor | None] = [*map(given.__getitem__, self._given)]
        if perhaps is not None:
            tensors += [perhaps[name] for name, _ in self._perhaps]
        return self._table.fill(addresses, tensors, start)
