"""tanh and sigmoid of NumPy arrays."""

import numpy as np
from numpy.typing import NDArray

from recurra_runtime.backend import kernel

__all__ = ["sigmoid", "tanh"]


def tanh(x: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The hyperbolic tangent of each element: (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    The result is at most 2 ULP away from the correctly rounded one, for every float and on every
    instruction set (1 ULP in NumPy): subnormal numbers are returned as they are, unless the process
    flushes them to zero; -0.0 gives -0.0, plus and minus infinity give 1 and -1, NaN gives NaN. An
    element's result depends on nothing but its value and the instruction set.

    Args:
        x: Any shape. Not changed, unless it is `out`; copied first where it is not C-contiguous.
        out: Where to write: the shape of x, C-contiguous. May be x itself (in place), else its
            memory must lie apart from that of x. None: a new array.

    Returns:
        `out`, or a new array of the shape of x.

    Raises:
        TypeError: An argument is not a NumPy array of float32.
        ValueError: `out` has another shape, is not contiguous, is read-only or overlaps x in part;
            or RECURRA_ISA names a level that is not in `isa_levels()`.
    """
    return _apply("tanh", x, out)


def sigmoid(x: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The logistic function of each element: 1 / (1 + exp(-x)).

    The result is at most 2 ULP away from the correctly rounded one, for every float and on every
    instruction set (1 ULP in NumPy). Where it is subnormal (-103.98 < x < -87.33) it is at most 1
    ULP, that is 1.4e-45, away, unless the process flushes subnormal numbers to zero; below that it
    is 0. Plus and minus infinity give 1 and 0, NaN gives NaN. An element's result depends on
    nothing but its value and the instruction set.

    Args:
        x: Any shape. Not changed, unless it is `out`; copied first where it is not C-contiguous.
        out: Where to write: the shape of x, C-contiguous. May be x itself (in place), else its
            memory must lie apart from that of x. None: a new array.

    Returns:
        `out`, or a new array of the shape of x.

    Raises:
        TypeError: An argument is not a NumPy array of float32.
        ValueError: `out` has another shape, is not contiguous, is read-only or overlaps x in part;
            or RECURRA_ISA names a level that is not in `isa_levels()`.
    """
    return _apply("sigmoid", x, out)


def _apply(
    name: str, x: NDArray[np.float32], out: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    _require_float32(name, "x", x)
    if out is None:
        out = np.empty(x.shape, np.float32)
    else:
        _require_output(name, x, out)
    behaved = x.flags.c_contiguous and x.flags.aligned
    kernel(name)(x if behaved else x.copy(order="C"), out)
    return out


def _require_float32(name: str, argument: str, array: object) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{name}: {argument} must be a NumPy array of float32, got {type(array).__name__}: "
            "convert it with numpy.asarray(value, dtype=numpy.float32)"
        )
    if array.dtype != np.float32:
        raise TypeError(
            f"{name}: {argument} must be a NumPy array of float32, got one of {array.dtype}: "
            "convert it with array.astype(numpy.float32)"
        )


def _require_output(name: str, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    _require_float32(name, "out", out)
    if out.shape != x.shape:
        raise ValueError(
            f"{name}: out must have the shape of x, {x.shape}, got {out.shape}: "
            "pass numpy.empty(x.shape, numpy.float32), or leave out away"
        )
    if not out.flags.carray:
        raise ValueError(
            f"{name}: out must be C-contiguous, aligned and writeable, got strides {out.strides} "
            f"for shape {out.shape}, aligned={out.flags.aligned}, writeable={out.flags.writeable}: "
            "pass such an array, or leave out away"
        )
    if x is not out and np.may_share_memory(x, out) and not _same_elements(x, out):
        raise ValueError(
            f"{name}: out overlaps the memory of x in part: pass x itself, or an array of its own"
        )


def _same_elements(x: NDArray[np.float32], out: NDArray[np.float32]) -> bool:
    """Whether x and out, of one shape, are two views of the same elements in the same order."""
    return x.strides == out.strides and x.ctypes.data == out.ctypes.data
