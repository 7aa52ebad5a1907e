"""How a value lies in memory: from one number to the next along each of its axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

__all__ = ["Strided", "merged", "packed", "repeated", "reshaped"]

Strides = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Strided:
    """Where a value is: axes of its shape at strides from an offset in a buffer.

    Args:
        buffer: which.
        offset: of its first number.
        strides: numbers from one element to the next, along each axis; 0 where one stands for all.
    """

    buffer: int
    offset: int
    strides: Strides

    def part(self, axis: int, start: int, step: int = 1) -> Strided:
        """Of ``value[..., start::step, ...]`` along an axis."""
        offset = self.offset + start * self.strides[axis]
        strides = (d * step if at == axis else d for at, d in enumerate(self.strides))
        return Strided(self.buffer, offset, tuple(strides))


def packed(shape: Sequence[int]) -> Strides:
    """Side by side, the last axis the nearest."""
    strides, size = [], 1
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))


def repeated(shape: Sequence[int], strides: Strides, rank: int) -> Strides:
    """Of a value that is broadcast to so many axes: 0 along new ones and those of size 1."""
    own = (0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True))
    return (0,) * (rank - len(shape)) + tuple(own)


def merged(shape: Sequence[int], *strides: Strides) -> list[tuple[int, Strides]]:
    """The fewest axes in which several values of a shape can be stepped through together.

    Args:
        shape: of all.
        strides: of each.

    Returns:
        size and strides of each axis; none for a single number.
    """
    found: list[tuple[int, Strides]] = []
    for size, *near in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if found:
            before, far = found[-1]
            if all(a == b * size for a, b in zip(far, near, strict=True)):
                found[-1] = (before * size, tuple(near))
                continue
        found.append((size, tuple(near)))
    return found


def reshaped(shape: Sequence[int], strides: Strides, wanted: Sequence[int]) -> Strides | None:
    """Strides of another shape of the same numbers; None where there are none."""
    have = merged(shape, strides)
    found = []
    for size in reversed(wanted):
        if size == 1:
            found.append(1)
            continue
        if not have:
            return None
        length, (stride,) = have.pop()
        if length % size:
            return None
        found.append(stride)
        if length > size:
            have.append((length // size, (stride * size,)))
    return tuple(reversed(found))
