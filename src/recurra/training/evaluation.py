"""How well models predict a text, side by side and in the same units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra import artifact
from recurra.data import document_batches, whole
from recurra.errors import ArtifactError
from recurra.models import Model, NGram
from recurra.training.corpus import Source, as_documents, condition_ids
from recurra_runtime.vocabulary import UNKNOWN, Ids

__all__ = ["Evaluation", "compare_encoded", "evaluate"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model's score on a text.

    Args:
        name: the model.
        nats: sum over all predicted symbols of minus the logarithm of their probability.
        symbols: number of predicted symbols, ends of documents included.
        characters: number of characters of the text.
        unknown: number of symbols that the vocabulary does not know.
    """

    name: str
    nats: float
    symbols: int
    characters: int
    unknown: int = 0

    @property
    def nats_per_character(self) -> float:
        """All nats / characters."""
        return self.nats / max(self.characters, 1)

    @property
    def bits_per_character(self) -> float:
        """Nats per character / ln 2."""
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """Exp of nats per predicted symbol; infinite where that is beyond all numbers."""
        try:
            return math.exp(self.nats / max(self.symbols, 1))
        except OverflowError:
            return math.inf

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return dataclasses.asdict(self) | {
            "nats_per_character": self.nats_per_character,
            "bits_per_character": self.bits_per_character,
            "perplexity": self.perplexity,
        }


def evaluate(path: str | Path, source: Source, *, which: str = "best") -> list[Evaluation]:
    """Score a run's model, and its n-grams, on texts.

    Each is scored whole, however long. A label that no training document has counts as unknown, and
    nothing is said of the text then.

    Args:
        path: a run, or an artifact (which has no n-grams beside it).
        source: documents, or their texts.
        which: of a run, ``"best"`` or ``"last"``.

    Returns:
        the recurrent model first, then the n-grams.

    Raises:
        ArtifactError: the model is damaged, or does not read text.
        DataError: something is wrong with the texts, or a condition of the model is not known of
            them.
    """
    loaded = artifact.load(path, which=which)
    if "text" not in loaded.vocabularies:
        raise ArtifactError(f"{loaded.path}: expected a vocabulary for 'text', found none.")
    name = getattr(loaded.model.config, "cell", type(loaded.model).__name__)
    models: dict[str, Model | NGram] = {str(name): loaded.model, **artifact.read_ngrams(path)}
    vocabulary = loaded.vocabularies["text"]
    conditions = getattr(loaded.model, "conditions", ())
    labels = {name: loaded.vocabularies[name] for name in conditions}
    documents, characters, given = [], 0, []
    for document in whole(as_documents(source)):
        documents.append(vocabulary.encode(document.text))
        characters += len(document.text)
        given.append(condition_ids(document, labels))
    return compare_encoded(models, documents, characters, np.array(given) if conditions else None)


def compare_encoded(
    models: Mapping[str, Model | NGram],
    documents: Sequence[Ids],
    characters: int,
    given: Ids | None = None,
) -> list[Evaluation]:
    """Score models on the same documents, encoded already.

    Args:
        models: by name.
        documents: ids; each is predicted from its start symbol to its end symbol.
        characters: of all documents.
        given: ids of the conditions ``[documents, conditions]``, for models that have some.
    """
    unknown = sum(int((ids == UNKNOWN).sum()) for ids in documents)
    return [
        Evaluation(name, *_score(model, documents, given), characters, unknown)
        for name, model in models.items()
    ]


def _score(model: Model | NGram, documents: Sequence[Ids], given: Ids | None) -> tuple[float, int]:
    if isinstance(model, NGram):
        return model.total(documents)
    return model.score(document_batches(documents, given=given))
