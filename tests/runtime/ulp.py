"""Distances in units in the last place, and the float64 references that they are taken from."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def reference_tanh(x: Floats) -> Floats:
    """tanh(x) in float64, rounded once."""
    with np.errstate(all="ignore"):
        return np.tanh(x.astype(np.float64)).astype(np.float32)


def reference_sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) in float64, rounded once."""
    with np.errstate(all="ignore"):
        return (1.0 / (1.0 + np.exp(-x.astype(np.float64)))).astype(np.float32)


REFERENCES: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": reference_sigmoid,
    "tanh": reference_tanh,
}


def ordered(x: Floats) -> NDArray[np.int64]:
    """The position of each float among all floats; neighbors differ by 1, both zeros are 0."""
    raw = x.view(np.int32).astype(np.int64)
    position: NDArray[np.int64] = np.where(raw < 0, -(raw & 0x7FFFFFFF), raw)
    return position


def distance(actual: Floats, expected: Floats) -> NDArray[np.int64]:
    """How many floats lie between; NaN is 0 from NaN and infinitely far from anything else."""
    apart: NDArray[np.int64] = np.abs(ordered(actual) - ordered(expected))
    nan = np.isnan(actual)
    apart[nan | np.isnan(expected)] = np.iinfo(np.int64).max
    apart[nan & np.isnan(expected)] = 0
    return apart


def every(stride: int, start: int, stop: int) -> Floats:
    """The floats whose bit patterns are start, start + stride, ... below stop."""
    return np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
