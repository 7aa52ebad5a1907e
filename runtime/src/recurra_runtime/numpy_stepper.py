"""The sections of one step in NumPy: what runs a program where the native module is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra_runtime.fallback import apply
from recurra_runtime.instructions import TABLE
from recurra_runtime.narrow import product_with

__all__ = ["NumpyStepper"]

_SHARED, _HELD, _THROUGH = 0, 1, 3  # numbers of sections
_SHARED_PLACE = 1
Array = NDArray[Any]


class NumpyStepper:
    """A program on fixed memory.

    Args:
        parts: As `Program` has them.
        arguments: Arrays in the program's order; the last are shared by all rows.
        rows: How many of them have rows.
        batch: Number of rows.
        weights: How matrices are kept, one of `narrow.WEIGHTS`.

    Raises:
        ValueError: A section or an instruction that one step does not have.
        IndexError: An instruction that reads or writes outside of its memory.
    """

    def __init__(
        self,
        parts: Any,
        arguments: Sequence[Array],
        rows: int,
        batch: int,
        weights: str | None = None,
    ) -> None:
        self._weights = weights
        buffers, sections, self._matrices, self._moves = parts[:4]
        dtype = arguments[-1].dtype
        self._memory: list[Array] = []
        for number, (place, size, *_) in enumerate(buffers):
            if number < len(arguments):
                count = batch if number < rows else 1
                self._memory.append(arguments[number].reshape(count, -1))
            else:
                count = 1 if place == _SHARED_PLACE else batch
                self._memory.append(np.zeros((count, size), dtype))
        for number, section in enumerate(sections):
            if section and number not in (_SHARED, _HELD, _THROUGH):
                raise ValueError(f"program: one step has no section {number}")
        for instruction in sections[_SHARED]:
            self._ready(instruction)()
        self._held: list[Callable[[], None]] = []
        for instruction in sections[_HELD]:
            self._held.append(self._ready(instruction))
            self._held[-1]()
        self._through = [self._ready(instruction) for instruction in sections[_THROUGH]]

    def begin(self) -> None:
        """What each row holds has changed."""
        for run in self._held:
            run()

    def step(self) -> None:
        """Run the step."""
        for run in self._through:
            run()

    def _ready(self, instruction: Sequence[int]) -> Callable[[], None]:
        """An instruction with everything worked out but the numbers."""
        op, outer, n, count, step, *rest = instruction
        row = TABLE[op]
        out, *reads = [rest[at : at + 4] for at in range(0, 16, 4)]
        if row.kind == "elementwise" and step >= 0:
            return self._move(out, reads[0], self._moves[step])
        if row.kind == "elementwise":
            return self._elementwise(row.name, out, reads[: row.arity], outer, n)
        if row.kind == "reduction":
            return self._reduction(row.name, out, reads[0], (outer, count, n), step)
        if row.name == "linear":
            return self._linear(out, reads[0], reads[2], (outer, count, n), self._matrices[step])
        if row.name == "lookup":
            return self._lookup(out, reads, (outer, count, n), step)
        if row.name == "fold":
            return self._fold(out, reads[0], self._moves[step])
        if row.name == "matmul":
            return self._matmul(out, reads, self._moves[step])
        raise ValueError(f"program: one step has no instruction {row.name!r}")

    def _places(self, operand: Sequence[int], outer: int, n: int) -> tuple[Array, Array]:
        """The memory of an operand, and where in it its numbers `[outer, n]` lie."""
        buffer, offset, stride, single = operand
        _not_negative(offset, stride)
        along = np.zeros(n, np.int64) if single else np.arange(n)
        return self._memory[buffer], offset + np.arange(outer)[:, None] * stride + along

    def _elementwise(
        self, name: str, out: Any, reads: Any, outer: int, n: int
    ) -> Callable[[], None]:
        to, at = self._places(out, outer, n)
        given = [self._places(read, outer, n) for read in reads]

        def run() -> None:
            with np.errstate(all="ignore"):
                to[:, at] = apply(name, [memory[:, where] for memory, where in given])

        return run

    def _move(self, out: Any, read: Any, move: Sequence[int]) -> Callable[[], None]:
        sizes, to_strides, from_strides = move[:4], move[4:8], move[8:]
        _not_negative(out[1], read[1], *to_strides, *from_strides)

        def places(offset: int, strides: Sequence[int]) -> Array:
            axes = np.ix_(*(np.arange(s) * d for s, d in zip(sizes, strides, strict=True)))
            return offset + sum(axes[1:], axes[0]).reshape(-1)

        to, at = self._memory[out[0]], places(out[1], to_strides)
        given, where = self._memory[read[0]], places(read[1], from_strides)

        def run() -> None:
            to[:, at] = given[:, where]

        return run

    def _reduction(
        self, name: str, out: Any, read: Any, sizes: tuple[int, int, int], step: int
    ) -> Callable[[], None]:
        outer, count, n = sizes
        to, at = self._places(out, outer, n)
        memory, first = self._places(read, outer, n)
        where = first[:, None, :] + np.arange(count)[:, None] * step

        def run() -> None:
            wide = memory[:, where].astype(np.float64)
            to[:, at] = wide.sum(2) if name == "sum" else wide.max(2)

        return run

    def _linear(
        self, out: Any, read: Any, add: Any, sizes: tuple[int, int, int], matrix: Sequence[int]
    ) -> Callable[[], None]:
        outer, depth, width = sizes
        buffer, offset, _, _, down, along = matrix
        _not_negative(offset, down, along)
        where = offset + np.arange(depth)[:, None] * down + np.arange(width) * along
        product = product_with(self._memory[buffer][0, where], self._weights)
        to, at = self._places(out, outer, width)
        memory, x = self._places(read, outer, depth)
        rest = None if add[0] < 0 else self._places(add, outer, width)

        def run() -> None:
            found = product(memory[:, x])
            to[:, at] = found if rest is None else found + rest[0][:, rest[1]]

        return run

    def _lookup(
        self, out: Any, reads: Any, sizes: tuple[int, int, int], step: int
    ) -> Callable[[], None]:
        outer, count, n = sizes
        to, at = self._places(out, outer, n)
        memory, numbers = self._places(reads[0], outer, 1)
        buffer, offset, _, _ = reads[1]
        where = offset + np.arange(count)[:, None] * step + np.arange(n)
        table = self._memory[buffer][0, where]

        def run() -> None:
            wanted = memory[:, numbers[:, 0]]
            known = (wanted >= 0) & (wanted < count)
            if not known.all():
                raise IndexError(
                    f"index {wanted[~known][0]:g} is out of range: it is looked up in a table of "
                    f"{count} rows"
                )
            to[:, at] = table[wanted.astype(np.int64)]

        return run

    def _fold(self, out: Any, read: Any, move: Sequence[int]) -> Callable[[], None]:
        lines, width, _, _, far, first, total, _, apart, *_ = move
        _not_negative(far, first, apart, out[1], read[1])
        to, at = self._memory[out[0]], out[1] + np.arange(total)
        given = self._memory[read[0]]
        where = read[1] + np.arange(lines)[:, None] * apart + np.arange(width)
        into = first + np.arange(lines)[:, None] * far + np.arange(width)

        def run() -> None:
            whole = np.zeros((to.shape[0], total))
            for read_from, added_to in zip(where, into, strict=True):
                whole[:, added_to] += given[:, read_from]
            to[:, at] = whole

        return run

    def _matmul(self, out: Any, reads: Any, move: Sequence[int]) -> Callable[[], None]:
        (m, k, n), strides = move[:3], move[4:10]
        _not_negative(*strides, *(operand[1] for operand in (out, *reads[:2])))

        def matrix(
            operand: Any, height: int, width: int, lie: Sequence[int]
        ) -> tuple[Array, Array]:
            where = operand[1] + np.arange(height)[:, None] * lie[0] + np.arange(width) * lie[1]
            return self._memory[operand[0]], where

        to, at = matrix(out, m, n, strides[:2])
        left, x = matrix(reads[0], m, k, strides[2:4])
        right, y = matrix(reads[1], k, n, strides[4:])

        def run() -> None:
            to[:, at] = left[:, x].astype(np.float64) @ right[:, y].astype(np.float64)

        return run


def _not_negative(*numbers: int) -> None:
    """NumPy would count from the end."""
    if min(numbers) < 0:
        raise IndexError("program: an instruction reads or writes in front of its memory")
