"""N-grams beside a model of text: counted on what it was trained on, and kept in its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recurra.errors import ArtifactError
from recurra.models import KneserNey, NGram
from recurra.models.ngram import ngram_name
from recurra.pipeline.beside import read_beside, write_beside
from recurra_runtime.vocabulary import END, START, Ids, Vocabulary

__all__ = ["fit_ngrams", "read_ngrams", "write_ngrams"]

_NGRAMS = "ngrams"


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


def write_ngrams(path: str | Path, models: Mapping[str, NGram]) -> None:
    """Keep n-grams in a run, beside its checkpoints; ones that are there already are replaced.

    Args:
        path: the run.
        models: by name.

    Raises:
        RunError: they cannot be written.
    """
    write_beside(path, _NGRAMS, {name: model.arrays() for name, model in models.items()})


def read_ngrams(path: str | Path) -> dict[str, NGram]:
    """The n-grams of a run by name; none if it has none.

    Args:
        path: a run, or one of its checkpoints.

    Raises:
        ArtifactError: the file is damaged.
    """
    named = read_beside(path, _NGRAMS)
    try:
        models = {name: NGram.from_arrays(parts) for name, parts in named.items()}
    except (ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(f"{path}: {_NGRAMS}.safetensors: damaged ({problem}).") from None
    # The file gives them in any order: the simplest comes first.
    return dict(sorted(models.items(), key=lambda item: item[1].order))
