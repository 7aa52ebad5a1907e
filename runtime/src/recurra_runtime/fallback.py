"""The instructions in NumPy: what runs where the native module is missing.

Each is computed in float64 and rounded once, so that it errs by 1 ULP at most.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["KERNELS", "Kernel", "sigmoid", "tanh"]

Kernel = Callable[..., None]


def tanh(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the hyperbolic tangent of x to `out`.

    Args:
        x: Any shape; read only, unless it is `out`.
        out: The shape of x; may be x itself, must not overlap it in part.
    """
    with np.errstate(all="ignore"):
        np.tanh(x, out=out, dtype=np.float64, casting="same_kind")


def sigmoid(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the logistic function of x, 1 / (1 + exp(-x)), to `out`.

    Args:
        x: Any shape; read only, unless it is `out`.
        out: The shape of x; may be x itself, must not overlap it in part.
    """
    # float64 overflows to infinity below x = -709, and 1 / infinity is the right answer there: 0.
    with np.errstate(all="ignore"):
        np.divide(1.0, 1.0 + np.exp(-x.astype(np.float64)), out=out, casting="same_kind")


KERNELS: Mapping[str, Kernel] = MappingProxyType({"sigmoid": sigmoid, "tanh": tanh})
