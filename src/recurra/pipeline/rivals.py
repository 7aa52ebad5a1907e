"""Models without memory that a run keeps in a file of their own, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import ArtifactError, RecurraError
from recurra.pipeline.beside import read_beside, write_beside

__all__ = ["read_rivals", "write_rivals"]

_FILE = "rivals"


def write_rivals(path: str | Path, rivals: Mapping[str, Any]) -> None:
    """Keep them in a run.

    Args:
        path: the run.
        rivals: by name; ``arrays()`` of each is all that it is.

    Raises:
        RunError: they cannot be written.
    """
    arrays = {
        name: {key: np.asarray(value) for key, value in model.arrays().items()}
        for name, model in rivals.items()
    }
    write_beside(path, _FILE, arrays)


def read_rivals(path: str | Path, kinds: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Those of a run; none if it has none.

    Args:
        path: the run, or one of its checkpoints.
        kinds: what makes one of its arrays, by its name or what stands there before " of "; in the
            order in which they are given back.

    Raises:
        ArtifactError: the file is damaged.
    """
    order = list(kinds)
    try:
        named = [
            (_place(name, order), name, arrays) for name, arrays in read_beside(path, _FILE).items()
        ]
        named.sort(key=lambda each: each[:2])
        return {name: kinds[order[at]](arrays) for at, name, arrays in named}
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as problem:
        if isinstance(problem, RecurraError):
            raise
        raise ArtifactError(f"{path}: {_FILE}.safetensors: damaged ({problem}).") from None


def _place(name: str, kinds: list[str]) -> int:
    """Which kind a model is of."""
    found = name if name in kinds else name.partition(" of ")[0]
    return kinds.index(found)
