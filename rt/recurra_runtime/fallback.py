"""The elementwise instructions in NumPy: what runs where the native module is missing.

Each is computed in float64 and rounded once, so that it errs by 1 ULP at most.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["FUNCTIONS", "KERNELS", "Kernel", "apply"]

Wide = NDArray[np.float64]
Kernel = Callable[..., None]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _where(a: Wide, b: Wide, c: Wide) -> Wide:
    found: Wide = np.where(a != 0.0, b, c)
    return found


FUNCTIONS: Mapping[str, Callable[..., Wide]] = MappingProxyType(
    {
        "copy": lambda x: x,
        "neg": np.negative,
        "abs": np.abs,
        "sign": lambda x: np.where(np.isnan(x), 0.0, np.sign(x)),
        "floor": np.floor,
        "trunc": np.trunc,
        "round": np.rint,
        "sqrt": np.sqrt,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "exp2": np.exp2,
        "log2": np.log2,
        "log10": np.log10,
        "tanh": np.tanh,
        # exp overflows to infinity below x = -709, and 1 / infinity is the right answer there: 0.
        "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        "relu": lambda x: np.maximum(x, 0.0),
        "erf": _erf,
        "erfc": _erfc,
        "sin": np.sin,
        "cos": np.cos,
        "tan": np.tan,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "pow": np.power,
        "fmod": np.fmod,
        "hypot": np.hypot,
        "atan2": np.arctan2,
        "gt": lambda a, b: (a > b).astype(np.float64),
        "ge": lambda a, b: (a >= b).astype(np.float64),
        "eq": lambda a, b: (a == b).astype(np.float64),
        "sigmoid_gradient": lambda a, b: a * (b * (1.0 - b)),
        "tanh_gradient": lambda a, b: a * (1.0 - b * b),
        "where": _where,
        "fma": lambda a, b, c: a * b + c,
    }
)
"""By name: from float64 operands, broadcast as NumPy does, to the result."""


def apply(name: str, inputs: list[NDArray[np.float32]]) -> Wide:
    """The result of an elementwise instruction before it is rounded.

    Args:
        name: Of a row of the kind `elementwise`.
        inputs: As many as its arity; broadcast.
    """
    with np.errstate(all="ignore"):
        return FUNCTIONS[name](*(array.astype(np.float64) for array in inputs))


def _kernel(name: str) -> Kernel:
    def run(*arrays: NDArray[np.float32]) -> None:
        *inputs, out = arrays
        with np.errstate(all="ignore"):
            out[...] = apply(name, inputs)

    return run


KERNELS: Mapping[str, Kernel] = MappingProxyType({name: _kernel(name) for name in FUNCTIONS})
"""By name: from the inputs to the last argument, which may be one of them."""
