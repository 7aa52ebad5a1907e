"""Arrays that a run keeps beside its checkpoints, such as models without memory.

``NAME.safetensors`` holds them, ``NAME.json`` its checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from recurra.artifact import run_folder
from recurra.errors import ArtifactError
from recurra.files import write_file

__all__ = ["read_beside", "write_beside"]

Arrays = Mapping[str, npt.NDArray[np.generic]]


def write_beside(path: str | Path, name: str, models: Mapping[str, Arrays]) -> None:
    """Keep arrays in a run; ones of that name that are there already are replaced.

    Args:
        path: the run.
        name: of the file.
        models: arrays by name, of each of several models by name.

    Raises:
        RunError: they cannot be written.
    """
    arrays = {
        f"{model}/{key}": np.ascontiguousarray(array)
        for model, parts in models.items()
        for key, array in parts.items()
    }
    raw = safetensors.numpy.save(arrays)
    told = {"sha256": hashlib.sha256(raw).hexdigest()}
    write_file(Path(path) / f"{name}.safetensors", raw)
    write_file(Path(path) / f"{name}.json", (json.dumps(told, indent=1) + "\n").encode())


def read_beside(path: str | Path, name: str) -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """What :func:`write_beside` kept, by model; none if there is nothing.

    Args:
        path: a run, or one of its checkpoints.
        name: of the file.

    Raises:
        ArtifactError: it is damaged.
    """
    folder = run_folder(path)
    file, sums = folder / f"{name}.safetensors", folder / f"{name}.json"
    if not file.exists() and not sums.exists():
        return {}
    try:
        if not (file.is_file() and sums.is_file()):
            raise ValueError(f"{file.name} and {sums.name} must both be files")
        raw = file.read_bytes()
        if json.loads(sums.read_bytes())["sha256"] != hashlib.sha256(raw).hexdigest():
            raise ValueError(f"its checksum is not the one in {sums.name}")
        named: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
        for key, array in safetensors.numpy.load(raw).items():
            model, _, part = key.rpartition("/")
            named.setdefault(model, {})[part] = array
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(f"{file}: damaged ({problem}).") from None
    return named
