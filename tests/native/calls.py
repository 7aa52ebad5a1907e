"""Programs as plain numbers, and calls of them on memory between guard zones, without torch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from recurra_runtime.backend import core

SHARED, HELD, STEP = 0, 1, 2
ARGUMENTS, SIZE = 6, 1  # of parts, and of a buffer
# Written into guard zones: a NaN that no computation makes.
CANARY = {np.float32: np.uint32(0x7FC5A5A5), np.float64: np.uint64(0x7FF8A5A5A5A5A5A5)}
LARGE = "large"  # begins the name of a program with matrices that threads share for one row
LINKED = ("state", "dstate")  # what a step reads of these is what the one before left


@dataclasses.dataclass(frozen=True)
class Plain:
    """A program.

    Args:
        name: what it is of.
        parts: what ``Program.make`` takes.
        arguments: kind, place and span of each; one more, the constants, is behind them.
        constants: numbers of the last argument.
    """

    name: str
    parts: list[Any]
    arguments: list[tuple[str, int, int]]
    constants: list[float]


def load(path: Path) -> list[Plain]:
    """Programs from a file that ``native.programs`` wrote."""
    return [Plain(**fields) for fields in json.loads(path.read_text())]


@dataclasses.dataclass(frozen=True)
class Call:
    """How a program is run: the numbers of ``Program.run``."""

    time: int
    batch: int
    lengths: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    descending: bool = False
    threads: int = 1
    chunk: int = 8
    window: int = 2


class Memory:
    """The arguments of one call.

    Args:
        program: whose they are.
        parts: the program's, changed perhaps; arguments are as large as these say.
        call: that they are for.
        seed: of the numbers in them.
        doubles: whether they are of float64.
        guard: canaries before and behind each argument; a few stand between rows too. With 0 all
            memory ends where the argument does, as a sanitizer wants it.
        ring: whether states keep two steps only.
    """

    def __init__(
        self,
        program: Plain,
        parts: list[Any],
        call: Call,
        seed: int,
        *,
        doubles: bool = False,
        guard: int = 24,
        ring: bool = False,
    ) -> None:
        self.dtype: Any = np.float64 if doubles else np.float32
        self.call, self.guard, self.ring = call, guard, ring
        self.random = np.random.default_rng(seed)
        self.flat: list[int] = []
        self.blocks: dict[Any, tuple[NDArray[Any], NDArray[np.bool_], int, int]] = {}
        self.values: dict[Any, NDArray[Any]] = {}
        sizes = [int(row[SIZE]) for row in parts[0][: parts[ARGUMENTS]]]
        names = [(kind, place) for kind, place, _ in program.arguments]
        spans = [span for _, _, span in program.arguments]
        for index, size in enumerate(sizes):
            name = names[index] if index < len(names) else ("other", index)
            span = spans[index] if index < len(spans) else SHARED
            block, ahead = (name[0].removesuffix("_out"), name[1]), 0
            linked = block[0] in LINKED
            if linked:
                ahead = int(name[0].endswith("_out") != call.descending)
                pair = (block, (f"{block[0]}_out", block[1]))
                size = max(s for n, s in zip(names, sizes, strict=False) if n in pair)
            if block not in self.blocks:
                self._make(block, size, span, linked=linked)
            data, _, step, row = self.blocks[block]
            address = data.ctypes.data + guard * data.itemsize
            mapped = span != SHARED and call.order is not None
            self.flat += [address, step, row, ahead, int(linked and ring), int(mapped)]
        if len(sizes) == len(names) + 1:
            constants = self.values["other", len(names)]
            constants.ravel()[: len(program.constants)] = program.constants[: constants.size]

    def _make(self, name: Any, size: int, span: int, *, linked: bool) -> None:
        call, guard = self.call, self.guard
        steps = 1 if span < STEP else 2 if linked and self.ring else call.time + linked
        rows = 1 if span == SHARED else call.batch
        row = 0 if span == SHARED else size + min(guard, 3)
        step = row * rows if span == STEP else 0
        last = (steps - 1) * step + (rows - 1) * row + size
        data = np.empty(last + 2 * guard, self.dtype)
        outside = np.ones(len(data), bool)
        inside = np.lib.stride_tricks.as_strided
        strides = (step, row, 1)
        shape = (steps, rows, size)
        inside(outside[guard:], shape, strides)[...] = False
        data.view(CANARY[self.dtype].dtype)[:] = CANARY[self.dtype]
        values = inside(data[guard:], shape, tuple(s * data.itemsize for s in strides))
        values[...] = self.random.standard_normal(shape)
        self.blocks[name] = data, outside, step, row
        self.values[name] = values

    def run(self, made: Any) -> dict[Any, NDArray[Any]]:
        """Run a verified program on them; what each holds then.

        Raises:
            AssertionError: something outside of an argument was written.
        """
        call, native = self.call, cast(Any, core())
        lengths = None if call.lengths is None else np.array(call.lengths, np.int64)
        order = None if call.order is None else np.array(call.order, np.int64)
        told = [
            call.time,
            call.batch,
            0 if lengths is None else lengths.ctypes.data,
            0 if order is None else order.ctypes.data,
            call.descending,
            call.threads,
            call.chunk,
            call.window,
            False,  # products in float32
        ]
        made.run(self.dtype is np.float64, told, native.Arguments(self.flat))
        for name, (data, outside, _, _) in self.blocks.items():
            canary = CANARY[self.dtype]
            assert (data.view(canary.dtype)[outside] == canary).all(), f"written outside of {name}"
        return self.values


def shares(batch: int, threads: int) -> list[int]:
    """Rows of each thread, as the machine divides them; of one if the steps are divided instead."""
    parts = threads if batch >= threads else 1
    return [batch // parts + (part >= parts - batch % parts) for part in range(parts)]


def dealt(lengths: list[int], threads: int) -> tuple[int, ...]:
    """Lengths in an order in which they fall within the rows of each thread."""
    found: list[int] = []
    start = 0
    for rows in shares(len(lengths), threads):
        found += sorted(lengths[start : start + rows], reverse=True)
        start += rows
    return tuple(found)
