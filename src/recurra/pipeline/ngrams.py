"""N-grams beside a model of text: counted on what it was trained on, and kept in its run.

``ngrams.safetensors`` holds them, ``ngrams.json`` its checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from recurra.errors import ArtifactError
from recurra.files import write_file
from recurra.models import KneserNey, NGram
from recurra_runtime.vocabulary import END, START, Ids, Vocabulary

__all__ = ["fit_ngrams", "ngram_name", "read_ngrams", "run_folder", "write_ngrams"]

_NGRAMS, _SUM = "ngrams.safetensors", "ngrams.json"


def ngram_name(order: int) -> str:
    """What an n-gram of a run is called: ``"bigram"``, ``"5-gram"``."""
    return {1: "unigram", 2: "bigram"}.get(order, f"{order}-gram")


def fit_ngrams(
    documents: Sequence[Ids], vocabulary: Vocabulary, orders: Sequence[int] = (2, 5)
) -> dict[str, NGram]:
    """Kneser-Ney n-grams of documents by name, the simplest first."""
    return {
        ngram_name(order): NGram.fit(
            documents,
            order=order,
            vocabulary_size=len(vocabulary),
            start=START,
            end=END,
            smoothing=KneserNey(),
        )
        for order in sorted(orders)
    }


def run_folder(path: str | Path) -> Path:
    """The folder of a run, also from that of one of its checkpoints."""
    folder = Path(path).absolute()
    return folder.parent.parent if folder.parent.name == "checkpoints" else folder


def write_ngrams(path: str | Path, models: Mapping[str, NGram]) -> None:
    """Keep n-grams in a run, beside its checkpoints; ones that are there already are replaced.

    Args:
        path: the run.
        models: by name.

    Raises:
        RunError: they cannot be written.
    """
    arrays = {
        f"{name}/{key}": np.ascontiguousarray(array)
        for name, model in models.items()
        for key, array in model.arrays().items()
    }
    raw = safetensors.numpy.save(arrays)
    told = {"sha256": hashlib.sha256(raw).hexdigest()}
    write_file(Path(path) / _NGRAMS, raw)
    write_file(Path(path) / _SUM, (json.dumps(told, indent=1) + "\n").encode())


def read_ngrams(path: str | Path) -> dict[str, NGram]:
    """The n-grams of a run by name; none if it has none.

    Args:
        path: a run, or one of its checkpoints.

    Raises:
        ArtifactError: the file is damaged.
    """
    folder = run_folder(path)
    file, sums = folder / _NGRAMS, folder / _SUM
    if not file.exists() and not sums.exists():
        return {}
    try:
        if not (file.is_file() and sums.is_file()):
            raise ValueError(f"{_NGRAMS} and {_SUM} must both be files")
        raw = file.read_bytes()
        if json.loads(sums.read_bytes())["sha256"] != hashlib.sha256(raw).hexdigest():
            raise ValueError(f"its checksum is not the one in {_SUM}")
        arrays = safetensors.numpy.load(raw)
        named: dict[str, dict[str, Any]] = {}
        for key, array in arrays.items():
            name, _, part = key.rpartition("/")
            named.setdefault(name, {})[part] = array
        models = {name: NGram.from_arrays(parts) for name, parts in named.items()}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(f"{file}: damaged ({problem}).") from None
    # The file gives them in any order: the simplest comes first.
    return dict(sorted(models.items(), key=lambda item: item[1].order))
