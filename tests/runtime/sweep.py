"""Run as a module: the largest errors over all floats, a stride apart.

    cd tests && RECURRA_ISA=avx2 python -m runtime.sweep 61 tanh sigmoid

Without names, all functions of one number that the level has, and pow over pairs of numbers.
Prints one JSON object: the level, and for each function the largest distance in ULP, where it is,
and the largest distance among subnormal results.
"""

import json
import sys
from collections.abc import Iterator

import numpy as np

import recurra_runtime
from recurra_runtime import fallback
from recurra_runtime.backend import kernel

from .ulp import RARER, REFERENCES, Floats, distance, every, reference_power

BLOCK = 1 << 16  # elements; what a block needs stays in the cache
TINY = np.float32(np.finfo(np.float32).tiny)
# Where the largest errors are on one of the levels, whatever the stride.
WORST = {
    "cos": "0x1.ffcd8p-13",
    "erf": "0x1.c50f2ap-9 0x1.c5cfa4p-4",
    "exp": "0x1p-24",
    "expm1": "0x1.81b8fep-2 0x1.62fc48p-2",
    "log": "0x1.46p-140",
    "log1p": "0x1.400002p-24",
    "sigmoid": "-0x1.196d64p+0 -0x1.c8c1f6p-2",
    "sin": "0x1.c5db48p-7",
    "tanh": "0x1.e3e4b2p-7",
}
# Bases and exponents that C's powf treats apart, and those next to them.
CORNERS = [0, 1, 2, 3, 0.5, 1.5, 7, 127, 128, 149, 150, 1e10, 1e-20, 1e-45, float(TINY), 3.4e38]
CORNERS += [2**23 - 0.5, 2**23 - 1, 2**24 - 1, 2**24, 2**24 + 2, 1 - 2**-24, 1 + 2**-23]
CORNERS += [np.inf, np.nan]


class Largest:
    """The largest distances so far."""

    def __init__(self) -> None:
        self.ulp, self.at, self.subnormal = 0, "", 0

    def add(self, actual: Floats, expected: Floats, *operands: Floats) -> None:
        """Compare; a zero of the wrong sign is infinitely far."""
        apart = distance(actual, expected)
        apart[(expected == 0) & (np.signbit(expected) != np.signbit(actual))] = sys.maxsize
        where = int(apart.argmax())
        if apart[where] > self.ulp:
            self.ulp = int(apart[where])
            self.at = " ".join(float(operand[where]).hex() for operand in operands)
        small = np.abs(expected) < TINY
        self.subnormal = max(self.subnormal, int(apart[small].max(initial=0)))


def blocks(name: str, stride: int) -> Iterator[Floats]:
    """The floats that a function is tried on."""
    yield np.array([float.fromhex(text) for text in WORST.get(name, "0").split()], np.float32)
    for start in range(0, 1 << 32, BLOCK * stride):
        yield every(stride, start, min(start + BLOCK * stride, 1 << 32))


def sweep(name: str, stride: int) -> Largest:
    """A function of one number."""
    largest, run = Largest(), kernel(name)
    reference = REFERENCES[name] if name in REFERENCES else RARER[name]
    for x in blocks(name, stride if name in REFERENCES else stride * 101):
        actual = np.empty_like(x)
        run(x, actual)
        largest.add(actual, reference(x), x)
    return largest


def pairs(stride: int) -> Iterator[tuple[Floats, Floats]]:
    """Corners; any bits; results all over the floats; bases near one; whole exponents."""
    signed = np.array([*CORNERS, *(-corner for corner in CORNERS)], np.float32)
    yield np.repeat(signed, signed.size), np.tile(signed, signed.size)
    random = np.random.default_rng(0)
    for _ in range(max((1 << 32) // (256 * BLOCK * stride), 1)):
        a, b = random.integers(0, 1 << 32, (2, BLOCK)).astype(np.uint32).view(np.float32)
        yield a, b
        logarithm = random.uniform(-149, 128, BLOCK)
        yield (
            np.exp2(logarithm).astype(np.float32),
            (random.uniform(-151, 129, BLOCK) / logarithm).astype(np.float32),
        )
        near = (1 + random.uniform(-0.005, 0.005, BLOCK)).astype(np.float32)
        yield near, random.uniform(-2e4, 2e4, BLOCK).astype(np.float32)
        whole = random.integers(-9, 9, BLOCK).astype(np.float32)
        yield random.uniform(-20, 20, BLOCK).astype(np.float32), whole


def sweep_powers(stride: int) -> Largest:
    """The function of two."""
    largest, run = Largest(), kernel("pow")
    for a, b in pairs(stride):
        actual = np.empty_like(a)
        run(a, b, actual)
        largest.add(actual, reference_power(a, b), a, b)
    return largest


if __name__ == "__main__":
    every_name = [*REFERENCES, *RARER, "pow"]
    if not recurra_runtime.native_available():
        every_name = [name for name in every_name if name in fallback.KERNELS]
    stride = int(sys.argv[1])
    report: dict[str, object] = {
        name: vars(sweep_powers(stride) if name == "pow" else sweep(name, stride))
        for name in sys.argv[2:] or every_name
    }
    print(json.dumps({"isa": recurra_runtime.isa(), **report}))
