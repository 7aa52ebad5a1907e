"""The memory of a program: buffers of several kinds, and what of them is free again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from recurra.engine.assemble.strides import Strided
from recurra.engine.graph.values import Value

__all__ = [
    "ARGUMENT",
    "CHUNK",
    "HELD_PLACE",
    "HELD_TOTAL",
    "SHARED_PLACE",
    "TOTAL",
    "WINDOW",
    "Argument",
    "Memory",
]

# Kinds of buffers, numbered as the native core does: a call's own memory; one for all rows; one for
# each row; one for each row and step of a chunk; of a window, for one section alone; sums over
# rows; sums over steps for each row.
ARGUMENT, SHARED_PLACE, HELD_PLACE, CHUNK, WINDOW, TOTAL, HELD_TOTAL = range(7)


@dataclasses.dataclass(frozen=True)
class Argument:
    """Memory that is given with a call.

    Args:
        name: what it is called there.
        size: numbers of one row (or of all, if rows share it).
        value: what is read from it, or None.
        strides: of the value's axes in it; side by side if None.
        result: what is written to it, or None.
    """

    name: Any
    size: int
    value: Value | None = None
    strides: tuple[int, ...] | None = None
    result: Value | None = None


class Memory:
    """The buffers of a program: its arguments, the constants, and others as they are needed.

    Args:
        arguments: in order.
    """

    buffers: list[list[int]]
    """Of each its kind, size, offset among others of its kind, and of a total its argument."""
    sizes: list[int]
    """Numbers that the buffers of a kind take, for one row."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self.buffers = [[ARGUMENT, argument.size, 0, -1] for argument in arguments]
        self.buffers.append([ARGUMENT, 1, 0, -1])
        self.sizes = [0] * 7
        self._constants_at = len(arguments)
        self._constants: dict[tuple[float, float], int] = {}
        self._tops: dict[str, int] = {}
        self._holes: dict[tuple[str, int], list[int]] = {}
        self._ends: dict[tuple[str, int], list[tuple[int, int]]] = {}

    def new(self, kind: int, size: int, target: int = -1) -> int:
        """A buffer.

        Args:
            kind: which memory it is a part of.
            size: numbers, of one row.
            target: of a total, the argument that gets it.
        """
        if kind == CHUNK:
            size = _apart(size)
        self.buffers.append([kind, size, self.sizes[kind], target])
        self.sizes[kind] += _wide(size)
        return len(self.buffers) - 1

    def temporary(self, phase: str, size: int, last: int) -> int:
        """A buffer of a window, which is free again behind its last use.

        Args:
            phase: in which it is used.
            size: numbers, of one row.
            last: index in the phase behind which :meth:`release` frees it.
        """
        # Of one size alone: the machine runs instructions in turn for a few steps at a time, so a
        # place may be taken again only by what has its rows and steps at the same addresses.
        holes = self._holes.setdefault((phase, size), [])
        if holes:
            start = holes.pop()
        else:
            start = self._tops.get(phase, 0)
            self._tops[phase] = start + _wide(size)
            self.sizes[WINDOW] = max(self.sizes[WINDOW], start + _wide(size))
        self._ends.setdefault((phase, last), []).append((size, start))
        self.buffers.append([WINDOW, size, start, -1])
        return len(self.buffers) - 1

    def release(self, phase: str, at: int) -> None:
        """Free what was used there for the last time."""
        for size, start in self._ends.pop((phase, at), []):
            self._holes.setdefault((phase, size), []).append(start)

    def constant(self, number: float) -> Strided:
        """Where a number lies; 0.0 and -0.0 are two."""
        key = (number, math.copysign(1.0, number))
        index = self._constants.setdefault(key, len(self._constants))
        self.buffers[self._constants_at][1] = len(self._constants)
        return Strided(self._constants_at, index, ())

    def constants(self) -> tuple[float, ...]:
        """The numbers of the argument behind all others: at least one."""
        return tuple(number for number, _ in self._constants) or (0.0,)


def _apart(size: int) -> int:
    """Numbers from row to row, so that a column of rows does not compete for one set of the cache.

    Weights' gradients read columns; rows 4 KB apart cost a fifth of a large layer's training.
    """
    return size + 48 if size % 256 == 0 else size


def _wide(size: int) -> int:
    """Whole vectors, so that values do not share a line of the cache."""
    return -(-size // 16) * 16
