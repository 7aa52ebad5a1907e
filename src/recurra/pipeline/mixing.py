"""The mixture of a language model and an n-gram of its run, and how it is kept there.

``mixture.json`` says which n-gram, which weights and how much doubt, with a checksum; the models
themselves are in their own files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recurra.artifact import run_folder
from recurra.batch import Batch
from recurra.errors import ArtifactError, SettingError
from recurra.files import write_file
from recurra.models import LanguageModel, Mixture, Model, NGram
from recurra.models.mixture import best_weight, best_weights, document_scores
from recurra.models.ngram import ngram_name
from recurra.pipeline.ngrams import read_ngrams

__all__ = ["MIXTURE", "fit_mixture", "has_mixture", "read_mixture", "write_mixture"]

MIXTURE = "mixture"
_FILE = "mixture.json"
_DOUBT = 0.02  # more is a loss where documents are words or lines, and no gain elsewhere


def fit_mixture(
    network: LanguageModel, ngrams: Mapping[str, NGram], groups: Iterable[Iterable[Batch]]
) -> Mixture:
    """The mixture that predicts documents best: one pass of the network, then arithmetic.

    Args:
        network: over the vocabulary of the n-grams.
        ngrams: of which one is taken.
        groups: for each group of documents its windows; every row is a document.
    """
    rows = [row for _, group in document_scores(network, groups) for row in group]
    ours = np.concatenate([log_probs for _, log_probs in rows])
    found = []
    for ngram in ngrams.values():
        theirs = np.concatenate([ngram.score(ids[:-1]) for ids, _ in rows])
        known = np.concatenate([ngram.familiarity(ids[:-1]) for ids, _ in rows])
        weight = best_weight(ours, theirs)
        weights = best_weights(ours, theirs, known, weight, ngram.familiarities)
        mixture = Mixture(network, ngram, weight, weights, _DOUBT)
        total = sum(float(mixture.join(ids[:-1], log_probs).sum()) for ids, log_probs in rows)
        found.append((total, mixture))
    return max(found, key=lambda pair: pair[0])[1]


def write_mixture(path: str | Path, mixture: Mixture | None) -> None:
    """Keep a mixture in a run, beside its n-grams; what was there before goes.

    Raises:
        RunError: it cannot be written.
    """
    file = Path(path) / _FILE
    if mixture is None:
        file.unlink(missing_ok=True)
        return
    told = {
        "ngram": ngram_name(mixture.ngram.order),
        "weight": mixture.weight,
        "weights": mixture.weights.tolist(),
        "doubt": mixture.doubt,
    }
    written = json.dumps(told | {"check": _checksum(told)}, indent=1) + "\n"
    write_file(file, written.encode())


def has_mixture(path: str | Path) -> bool:
    """Whether a run, or that of a checkpoint, keeps a mixture."""
    return (run_folder(path) / _FILE).exists()


def read_mixture(path: str | Path, network: Model) -> Mixture:
    """The mixture of a run.

    Args:
        path: a run, or one of its checkpoints.
        network: its recurrent model.

    Raises:
        SettingError: it has none.
        ArtifactError: the file is damaged, or belongs to another run.
    """
    if not isinstance(network, LanguageModel):
        raise SettingError(f"mix: {path} has no network that an n-gram could be mixed with")
    file = run_folder(path) / _FILE
    if not file.exists():
        raise SettingError(
            f"mix: {path} has no mixture with an n-gram: its weight is chosen on the validation "
            "part when a training ends; train to the end, with data.validation"
        )
    try:
        told = json.loads(file.read_bytes())
        check = told.pop("check")
        if check != _checksum(told):
            raise ValueError("its checksum is not its own")
        ngram = read_ngrams(path)[told["ngram"]]
        # One weight and no doubt: as mixtures were before they had others.
        weights, doubt = told.get("weights"), told.get("doubt", 0.0)
        return Mixture(network, ngram, told["weight"], weights, doubt)
    except ArtifactError:  # of the n-grams, and already a sentence
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise ArtifactError(f"{file}: damaged ({problem}).") from None


def _checksum(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
