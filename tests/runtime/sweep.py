"""Run as a module: the largest errors over all floats, a stride apart.

    cd tests && RECURRA_ISA=avx2 python -m runtime.sweep 61

Prints one JSON object: the level, and for each function the largest distance in ULP, where it is,
and the largest distance among subnormal results.
"""

import json
import sys

import numpy as np

import recurra_runtime

from .ulp import REFERENCES, distance, every

BLOCK = 1 << 16  # elements; what a block needs stays in the cache
TINY = np.float32(np.finfo(np.float32).tiny)


def sweep(name: str, stride: int) -> dict[str, int | str]:
    """The largest distance from the reference, where, and the largest among subnormal results."""
    worst, at, subnormal = 0, 0.0, 0
    for start in range(0, 1 << 32, BLOCK * stride):
        x = every(stride, start, min(start + BLOCK * stride, 1 << 32))
        expected = REFERENCES[name](x)
        apart = distance(getattr(recurra_runtime, name)(x), expected)
        where = int(apart.argmax())
        if apart[where] > worst:
            worst, at = int(apart[where]), float(x[where])
        small = np.abs(expected) < TINY
        subnormal = max(subnormal, int(apart[small].max(initial=0)))
    return {"ulp": worst, "at": at.hex(), "subnormal": subnormal}


if __name__ == "__main__":
    report: dict[str, object] = {name: sweep(name, int(sys.argv[1])) for name in sorted(REFERENCES)}
    print(json.dumps({"isa": recurra_runtime.isa(), **report}))
