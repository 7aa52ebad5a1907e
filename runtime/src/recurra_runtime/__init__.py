"""The native core of Recurra: NumPy arrays in, NumPy arrays out, no PyTorch.

The kernels run in a native module where one was built, else in NumPy, with the same results up to
the stated errors; `native_available`, `native_reason` and `isa` say which. The environment variable
RECURRA_NATIVE=0 turns the native module off, RECURRA_ISA chooses a lower instruction set. With
RECURRA_BFLOAT16=1 products under autocast round what they multiply on CPUs too where that brings no
speed: for a look at what it changes.
"""

from recurra_runtime import instructions
from recurra_runtime.activations import sigmoid, tanh
from recurra_runtime.backend import isa, isa_levels, native_available, native_reason
from recurra_runtime.program import Field, Program
from recurra_runtime.session import Session

__all__ = [
    "Field",
    "Program",
    "Session",
    "instructions",
    "isa",
    "isa_levels",
    "native_available",
    "native_reason",
    "sigmoid",
    "tanh",
]
