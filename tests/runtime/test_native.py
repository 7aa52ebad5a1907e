"""The native module guards memory by itself, whatever the Python layer lets through."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import recurra_runtime
from recurra_runtime import instructions

if not recurra_runtime.native_available():
    pytest.skip("the native module is not there", allow_module_level=True)

from recurra_runtime import _native

Kernel = Callable[..., None]


def _kernel(number: int) -> Kernel:
    return lambda *arrays: _native.apply(number, list(arrays[:-1]), arrays[-1])


every_kernel = pytest.mark.parametrize(
    ("kernel", "arity"),
    [
        pytest.param(_kernel(number), row.arity, id=row.name)
        for number, row in enumerate(instructions.TABLE)
        if row.kind == "elementwise"
    ],
)


def zeros(count: int) -> Any:
    """A fresh array."""
    return np.zeros(count, np.float32)


@every_kernel
def test_sizes_that_differ_are_refused(kernel: Kernel, arity: int) -> None:
    inputs = [zeros(4) for _ in range(arity)]
    with pytest.raises(ValueError, match="same number of elements"):
        kernel(*inputs, zeros(3))


@every_kernel
def test_partial_overlap_is_refused(kernel: Kernel, arity: int) -> None:
    memory = zeros(9)
    with pytest.raises(ValueError, match="the output overlaps an input in part: pass"):
        kernel(*[memory[1:]] * arity, memory[:-1])


@every_kernel
def test_other_arrays_are_refused_and_never_converted(kernel: Kernel, arity: int) -> None:
    read_only = zeros(4)
    read_only.flags.writeable = False
    kernel(*[read_only] * arity, zeros(4))
    for bad in (np.zeros(4), zeros(8)[::2], [0.0] * 4, None):
        with pytest.raises(TypeError):
            kernel(*[bad] * arity, zeros(4))
        with pytest.raises(TypeError):
            kernel(*[zeros(4)] * arity, bad)
    with pytest.raises(TypeError):
        kernel(*[zeros(4)] * arity, read_only)
