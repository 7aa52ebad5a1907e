"""Models without memory beside a classifier: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.errors import ArtifactError
from recurra.models import BagOfSymbols, Majority, MeanOfVectors
from recurra.pipeline.beside import read_beside, write_beside
from recurra.tasks.classification.corpus import ClassCorpus
from recurra.tasks.classification.settings import ClassificationData

__all__ = ["fit_rivals", "read_rivals", "write_rivals"]

_FILE = "rivals"
# By the first word of their names, the simplest first.
_KINDS: dict[str, Any] = {
    "majority": Majority,
    "bag": BagOfSymbols,
    "feed-forward": MeanOfVectors,
}


def fit_rivals(
    prepared: ClassCorpus, data: ClassificationData, report: Callable[[str], None]
) -> dict[str, Any]:
    """Majority, bag of symbols and feed-forward net; what they choose is chosen as the model is.

    Args:
        prepared: the texts; without a validation part every tenth of the others chooses.
        data: on how many texts they are fitted.
        report: is told what takes long.
    """
    training, held = prepared.parts["training"], prepared.parts.get("validation")
    every = slice(None, None, -(-training.count // data.rival_texts))  # classes may stand in order
    ids, labels = training.ids[every], training.labels[every]
    report("fitting rivals" + (f" on {len(ids):,} texts" if len(ids) < training.count else ""))
    if held is not None:
        chosen = held.ids, held.labels
    else:
        chosen = ids[::10], labels[::10]
        ids = [one for n, one in enumerate(ids) if n % 10]
        labels = np.delete(labels, np.s_[::10])
    sizes = {"symbols": len(prepared.vocabulary), "classes": len(prepared.classes)}
    return {
        "majority": Majority.fit(training.labels, sizes["classes"]),
        f"bag of {data.vocabulary}": BagOfSymbols.fit(ids, labels, chosen, **sizes),
        "feed-forward": MeanOfVectors.fit(ids, labels, chosen, **sizes),
    }


def write_rivals(path: str | Path, rivals: Mapping[str, Any]) -> None:
    """Keep them in a run.

    Raises:
        RunError: they cannot be written.
    """
    arrays = {
        name: {key: value.numpy() for key, value in model.arrays().items()}
        for name, model in rivals.items()
    }
    write_beside(path, _FILE, arrays)


def read_rivals(path: str | Path) -> dict[str, Any]:
    """Those of a run, the simplest first; none if it has none.

    Raises:
        ArtifactError: the file is damaged.
    """
    named = read_beside(path, _FILE)
    try:
        return {
            name: _kind(name).from_arrays({key: _tensor(value) for key, value in arrays.items()})
            for name, arrays in sorted(named.items(), key=lambda item: _order(item[0]))
        }
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise ArtifactError(f"{path}: {_FILE}.safetensors: damaged ({problem}).") from None


def _kind(name: str) -> Any:
    return _KINDS[name.partition(" ")[0]]


def _order(name: str) -> int:
    return list(_KINDS).index(name.partition(" ")[0])


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array.copy())
