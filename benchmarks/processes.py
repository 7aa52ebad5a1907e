"""Fresh processes, their memory, and what autograd keeps for the gradient."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def in_fresh_process(*words: object) -> Any:
    """What this benchmark prints as its last line, JSON, if it is started with these words."""
    command = [sys.executable, sys.argv[0], *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip() or f"{' '.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def resident() -> int:
    """Bytes of memory this process has now."""
    return _status("VmRSS")


def peak() -> int:
    """The most it had since :func:`forget_peak`, in bytes."""
    return _status("VmHWM")


def forget_peak() -> None:
    """The largest size of this process is what it has now (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as problem:
        sys.exit(f"skipped: the peak of memory cannot be set back here ({problem})")


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        sys.exit("skipped: memory is read from /proc/self/status, which is not here")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


class Saved:
    """Counts memory that autograd saves while this is entered, each piece once.

    Args:
        known: tensors whose memory does not count: inputs, parameters.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self._found: dict[int, int] = {}

    def _pack(self, tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        self._found[memory.data_ptr()] = memory.nbytes()
        return tensor

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        self._hooks.__exit__(*problem)

    def bytes(self, but: Iterable[Tensor] = ()) -> int:
        """Of all pieces that are not known, and not of these (results)."""
        known = self._known | {tensor.untyped_storage().data_ptr() for tensor in but}
        return sum(size for address, size in self._found.items() if address not in known)
