"""How well models predict a text, side by side and in the same units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.data import document_batches
from recurra.errors import ArtifactError
from recurra.models import Model, NGram
from recurra.training.run import read_ngrams
from recurra_runtime.vocabulary import UNKNOWN, Ids, Vocabulary

__all__ = ["Evaluation", "compare", "evaluate"]


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
        """Exp of nats per predicted symbol."""
        return math.exp(min(self.nats / max(self.symbols, 1), 700))

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return dataclasses.asdict(self) | {
            "nats_per_character": self.nats_per_character,
            "bits_per_character": self.bits_per_character,
            "perplexity": self.perplexity,
        }


def evaluate(path: str | Path, texts: Sequence[str], *, which: str = "best") -> list[Evaluation]:
    """Score a run's model, and its n-grams, on texts.

    Args:
        path: a run, or an artifact (which has no n-grams beside it).
        texts: documents.
        which: of a run, ``"best"`` or ``"last"``.

    Returns:
        the recurrent model first, then the n-grams.

    Raises:
        ArtifactError: the model is damaged, or does not read text.
    """
    loaded = artifact.load(path, which=which)
    if "text" not in loaded.vocabularies:
        raise ArtifactError(f"{loaded.path}: expected a vocabulary for 'text', found none.")
    name = getattr(loaded.model.config, "cell", type(loaded.model).__name__)
    models: dict[str, Model | NGram] = {str(name): loaded.model, **read_ngrams(path)}
    return compare(models, loaded.vocabularies["text"], texts)


def compare(
    models: Mapping[str, Model | NGram], vocabulary: Vocabulary, texts: Sequence[str]
) -> list[Evaluation]:
    """Score models on the same texts with the same symbols.

    Args:
        models: by name.
        vocabulary: of all of them.
        texts: documents; each is predicted from its start symbol to its end symbol.
    """
    documents = [vocabulary.encode(text) for text in texts]
    characters = sum(map(len, texts))
    unknown = sum(int((ids == UNKNOWN).sum()) for ids in documents)
    return [
        Evaluation(name, *_score(model, documents), characters, unknown)
        for name, model in models.items()
    ]


def _score(model: Model | NGram, documents: Sequence[Ids]) -> tuple[float, int]:
    if isinstance(model, NGram):
        return model.total(documents)
    return model.score(document_batches(documents))
