"""Weights in fewer bits, for a step that waits for its matrices; and them in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["WEIGHTS", "number_of", "product_with"]

Array = NDArray[Any]
WEIGHTS = (None, "bfloat16", "int8")
"""How a session may keep its matrices: as they are; rounded to bfloat16; as 8 bits and scales."""

_NUMBERS = {None: 0, "bfloat16": 2, "int8": 3}  # native/program.h: 1 is a training's
# As in native/kernels/quantized.h, which says why.
_BLOCK, _FEWEST, _SMALLEST = 512, 16, np.float32(1e-30)


def number_of(weights: str | None, dtype: Any) -> int:
    """What the native module calls it.

    Raises:
        ValueError: There is no such way, or the program computes in float64.
    """
    if not (weights is None or isinstance(weights, str)) or weights not in _NUMBERS:
        raise ValueError(f"weights: expected None, 'bfloat16' or 'int8', got {weights!r}")
    if weights is not None and dtype != np.float32:
        raise ValueError(
            f"weights: {weights!r} is for programs in float32, and this one computes in {dtype}: "
            "leave weights out, or freeze a model in float32"
        )
    return _NUMBERS[weights]


def product_with(matrix: Array, weights: str | None) -> Callable[[Array], Array]:
    """The product x W of rows with a matrix `[depth, width]` that is kept so, in float64.

    `"int8"` cuts the depth into blocks of 512 lines. In each a column of W becomes whole numbers to
    127 and a scale, a row of x whole numbers to 32,767 and a scale; their products and sums are
    exact. What holds NaN or infinity gives NaN. A matrix of fewer than 16 lines stays as it is.
    """
    if weights == "int8" and len(matrix) >= _FEWEST:
        parts = [matrix[k : k + _BLOCK] for k in range(0, len(matrix), _BLOCK)]
        kept = [_whole(part, 127, 0) for part in parts]

        def product(x: Array) -> Array:
            total = np.zeros((*x.shape[:-1], matrix.shape[1]))
            for number, (numbers, scale) in enumerate(kept):
                whole, of_row = _whole(x[..., number * _BLOCK :][..., : len(numbers)], 32767, -1)
                total += (whole @ numbers).astype(np.float32) * (of_row * scale)
            return total

        return product
    wide = (_rounded(matrix) if weights == "bfloat16" else matrix).astype(np.float64)
    return lambda x: x.astype(np.float64) @ wide


def _whole(numbers: Array, largest: int, axis: int) -> tuple[Array, Array]:
    """Whole numbers up to a largest one, and what they are to be multiplied by."""
    top = np.abs(numbers).max(axis, keepdims=True)
    finite = np.isfinite(numbers).all(axis, keepdims=True)
    top = np.maximum(np.where(finite, top, 1), _SMALLEST)
    inverse = np.float32(largest) / top
    whole = np.rint(np.where(finite, numbers, np.float32(0)) * inverse)
    return whole.astype(np.float64), np.where(finite, top / np.float32(largest), np.float32(np.nan))


def _rounded(matrix: Array) -> Array:
    """The nearest bfloat16, the even one of two."""
    bits = np.ascontiguousarray(matrix).view(np.uint32)
    near = bits + (0x7FFF + (bits >> 16 & 1)).astype(np.uint32) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(matrix), matrix, near.view(np.float32))
