"""Every elementwise instruction on every level: position, length, and special values."""

import pytest

import recurra_runtime

from .environment import output_of

LEVELS = recurra_runtime.isa_levels()
pytestmark = pytest.mark.skipif(not LEVELS, reason="the native module is not there")

# One element alone, and in arrays of many lengths and at many places: beside numbers that take
# another way through the kernel too.
POSITION = """
import hashlib, numpy as np, recurra_runtime as r
from recurra_runtime.backend import kernel
random = np.random.default_rng(1)
x = random.normal(0, 3, 71).astype(np.float32)
x[[3, 11, 20, 31, 32, 40, 41, 50]] = 0, -0.0, 1e9, np.inf, np.nan, -3, 5e30, 1e-45
b = (np.round(random.normal(0, 6, 71)) / 2).astype(np.float32)
bits = hashlib.sha256()
for row in r.instructions.TABLE:
    if row.kind != "elementwise":
        continue
    run = kernel(row.name)
    def values(first, last):
        out = np.empty(last - first, np.float32)
        run(*[each[first:last].copy() for each in (x, b, x[::-1])][:row.arity], out)
        out[np.isnan(out)] = np.nan
        return out
    alone = np.concatenate([values(i, i + 1) for i in range(71)])
    for first in range(18):
        for last in range(first + 1, 72):
            assert values(first, last).tobytes() == alone[first:last].tobytes(), (row, first, last)
    bits.update(alone.tobytes())
print(bits.hexdigest())
"""


def test_results_depend_on_neither_position_nor_length_and_wide_levels_agree() -> None:
    bits = {level: output_of(POSITION, RECURRA_ISA=level) for level in LEVELS}
    if {"avx2", "avx512"} <= set(bits):
        assert bits["avx2"] == bits["avx512"]


# Columns: x, and the results that C's functions give.
SPECIAL = """
import numpy as np
from recurra_runtime.backend import kernel
def of(name, *operands):
    arrays = [np.array(numbers, np.float32) for numbers in operands]
    out = np.empty_like(arrays[0])
    kernel(name)(*arrays, out)
    return " ".join(map(str, out.tolist()))
inf, nan, tiny = np.inf, np.nan, 1e-45
print(of("exp", [-inf, inf, nan, 0, -0.0, 89, -104, tiny]))
print(of("expm1", [-inf, inf, nan, 0, -0.0, 89, -90]))
print(of("log", [-inf, inf, nan, 0, -0.0, 1, -1, -tiny]))
print(of("log1p", [-inf, inf, nan, 0, -0.0, -1, -2]))
print(of("erf", [-inf, inf, nan, 0, -0.0, 5, -5]))
print(of("sin", [-inf, inf, nan, 0, -0.0]))
print(of("cos", [-inf, inf, nan, 0, -0.0]))
print(of("sign", [-inf, inf, nan, 0, -0.0, tiny]))
print(of("sqrt", [inf, nan, 0, -0.0, 4, -1]))
print(of("pow", [nan, 0, inf, 1, 1, 0], [0, 0, 0, nan, inf, 2]))
print(of("pow", [-0.0, 0, -0.0, -0.0], [3, -2, -3, 0.5]))
print(of("pow", [-1, -1, -2, -2, -2], [inf, -inf, 3, 2, 0.5]))
print(of("pow", [-inf, -inf, inf, 2, 0.5], [3, -3, -1, inf, inf]))
print(of("pow", [3, -3, 4, 2, 2, 10, 9, -8], [2, 2, 0.5, -149, 128, -1, -0.5, 1 / 3]))
"""
EXPECTED = """
0.0 inf nan 1.0 1.0 inf 0.0 1.0
-1.0 inf nan 0.0 -0.0 inf -1.0
nan inf nan -inf -inf 0.0 nan nan
nan inf nan 0.0 -0.0 -inf nan
-1.0 1.0 nan 0.0 -0.0 1.0 -1.0
nan nan nan 0.0 -0.0
nan nan nan 1.0 1.0
-1.0 1.0 0.0 0.0 0.0 1.0
inf nan 0.0 -0.0 2.0 nan
1.0 1.0 1.0 1.0 1.0 0.0
-0.0 inf -inf 0.0
1.0 1.0 -8.0 4.0 nan
-inf -0.0 0.0 inf 0.0
9.0 9.0 2.0 1.401298464324817e-45 inf 0.10000000149011612 0.3333333432674408 nan
"""


@pytest.mark.parametrize("level", LEVELS)
def test_special_values(level: str) -> None:
    assert output_of(SPECIAL, RECURRA_ISA=level).split("\n") == EXPECTED.strip().split("\n")
