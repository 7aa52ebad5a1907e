"""Whose threads the machine uses: torch's own OpenMP ones, where they can be found.

Threads of torch that wait by spinning would take the cores from others; asked themselves, they are
there at once.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from recurra_runtime.backend import core

__all__ = ["share_threads"]


@cache
def share_threads() -> bool:
    """Let the machine use the threads of the GNU OpenMP that torch has loaded; whether it does."""
    native = core()
    maps = Path("/proc/self/maps")
    if native is None or not maps.exists():
        return False
    with suppress(OSError, AttributeError):
        found = {line.split()[-1] for line in maps.read_text().splitlines() if "libgomp" in line}
        torchs = [path for path in sorted(found) if "torch" in path] or sorted(found)
        if torchs:
            library = ctypes.CDLL(torchs[0], mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            address = ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value
            native.use_threads_of(address or 0)
            return bool(address)
    return False
