"""Which kernels this process computes with: those of the native module, or NumPy's."""

import os
from importlib import import_module
from types import ModuleType
from typing import cast

from recurra_runtime import fallback
from recurra_runtime.fallback import Kernel
from recurra_runtime.instructions import TABLE

__all__ = ["core", "isa", "isa_levels", "kernel", "native_available", "native_reason"]


def _load() -> tuple[ModuleType | None, str | None]:
    """The native module, or the sentence that says why it is missing."""
    if os.environ.get("RECURRA_NATIVE") == "0":
        return None, "The environment variable RECURRA_NATIVE is 0: the native module is off."
    try:
        # Not `from recurra_runtime import _native`, whose error blames a circular import.
        return import_module("recurra_runtime._native"), None
    except ImportError as error:
        return None, (
            f"The native module could not be imported ({error}): the package was built without a "
            "working C++ compiler, or for another Python. Install GCC or Clang, then install "
            "recurra-runtime again."
        )


_module, _reason = _load()


def core() -> ModuleType | None:
    """The native module, for those who hand it memory that they have checked; None without."""
    return _module


def native_available() -> bool:
    """Whether the native module is loaded.

    Returns:
        True when kernels run natively, False when they run in NumPy.
    """
    return _module is not None


def native_reason() -> str | None:
    """Why the native module is missing.

    Returns:
        A sentence, or None when it is there.
    """
    return _reason


def isa_levels() -> tuple[str, ...]:
    """The instruction sets that this build has and this machine supports.

    Returns:
        Of `"baseline"` (the compiler's default: SSE2 on x86-64, NEON on 64-bit ARM), `"avx2"` (with
        FMA) and `"avx512"` (F, BW, DQ, VL), lowest first. Empty without the native module.
    """
    return () if _module is None else tuple(_module.isa_levels())


def isa() -> str:
    """The instruction set in use.

    It is chosen once per process, at the first use of a kernel or of this function: the highest of
    `isa_levels()`, or the one that the environment variable RECURRA_ISA names.

    Returns:
        A member of `isa_levels()`, or `"numpy"` without the native module.

    Raises:
        ValueError: RECURRA_ISA names a level that is not in `isa_levels()`.
    """
    if _module is None:
        _refuse_forced_level()
        return "numpy"
    return cast(str, _module.isa())


def kernel(name: str) -> Kernel:
    """The function that computes an instruction.

    Args:
        name: The name of a row of `instructions.TABLE`.

    Returns:
        A function of the inputs and the output, all of them C-contiguous float32 arrays of one
        size; the output may be an input and must not overlap one in part.

    Raises:
        ValueError: RECURRA_ISA names a level that is not in `isa_levels()`.
    """
    if _module is None:
        _refuse_forced_level()
        return fallback.KERNELS[name]
    number = next(n for n, row in enumerate(TABLE) if row.name == name)
    apply = _module.apply
    return lambda *arrays: apply(number, list(arrays[:-1]), arrays[-1])


def _refuse_forced_level() -> None:
    forced = os.environ.get("RECURRA_ISA")
    if forced:
        raise ValueError(
            f"RECURRA_ISA is {forced!r}, but no level can be forced without the native module: "
            f"unset RECURRA_ISA. {_reason}"
        )
