"""Distances in units in the last place, and the float64 references that they are taken from."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def rounded(function: Callable[[Doubles], Doubles]) -> Callable[[Floats], Floats]:
    """The function in float64, rounded once."""

    def reference(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return function(x.astype(np.float64)).astype(np.float32)

    return reference


def _erf(x: Doubles) -> Doubles:
    values: Doubles = np.fromiter(map(math.erf, x.tolist()), np.float64, x.size)
    return values


reference_tanh = rounded(np.tanh)
REFERENCES: dict[str, Callable[[Floats], Floats]] = {
    "cos": rounded(np.cos),
    "erf": rounded(_erf),
    "exp": rounded(np.exp),
    "expm1": rounded(np.expm1),
    "log": rounded(np.log),
    "log1p": rounded(np.log1p),
    "sigmoid": rounded(lambda x: 1 / (1 + np.exp(-x))),
    "sin": rounded(np.sin),
    "sqrt": rounded(np.sqrt),
    "tanh": reference_tanh,
}


_erfc_of = np.vectorize(math.erfc, otypes=[np.float64])
RARER: dict[str, Callable[[Floats], Floats]] = {
    "acos": rounded(np.arccos),
    "acosh": rounded(np.arccosh),
    "asin": rounded(np.arcsin),
    "asinh": rounded(np.arcsinh),
    "atan": rounded(np.arctan),
    "atanh": rounded(np.arctanh),
    "cosh": rounded(np.cosh),
    "erfc": rounded(_erfc_of),
    "exp2": rounded(np.exp2),
    "log10": rounded(np.log10),
    "log2": rounded(np.log2),
    "round": rounded(np.rint),
    "sinh": rounded(np.sinh),
    "tan": rounded(np.tan),
    "trunc": rounded(np.trunc),
}
"""What is libm's of doubles, rounded once more: looked at at fewer floats."""


def reference_power(a: Floats, b: Floats) -> Floats:
    """a^b in float64, rounded once."""
    with np.errstate(all="ignore"):
        return np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)


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
