"""How well models predict a text, side by side and in the same units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.data import document_batches
from recurra.models import LanguageModel, Mixture, Model, NGram
from recurra.tasks.base import Groups
from recurra.twins import evaluating
from recurra_runtime.vocabulary import UNKNOWN, Ids

__all__ = ["Evaluation", "compare_encoded", "each_document", "symbol_surprises"]

_ROWS, _STEPS = 32, 64  # whose scores are held at once: as many numbers as symbols for each of them


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
    def loss(self) -> float:
        """Nats per predicted symbol."""
        return self.nats / max(self.symbols, 1)

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.loss

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


def compare_encoded(
    models: Mapping[str, Model | NGram | Mixture],
    documents: Sequence[Ids],
    characters: int,
    given: Ids | None = None,
) -> list[Evaluation]:
    """Score models on the same documents, encoded already.

    Args:
        models: by name. A network that stands beside a mixture of it reads the text once for both.
        documents: ids; each is predicted from its start symbol to its end symbol.
        characters: of all documents.
        given: ids of the conditions ``[documents, conditions]``, for models that have some.
    """
    unknown = sum(int((ids == UNKNOWN).sum()) for ids in documents)
    found: dict[int, tuple[float, int]] = {}
    for model in models.values():
        if isinstance(model, Mixture):
            own, both, count = model.totals(document_batches(documents, given=given))
            found |= {id(model.network): (own, count), id(model): (both, count)}
    for model in models.values():
        if id(model) not in found:
            found[id(model)] = _score(model, documents, given)
    return [
        Evaluation(name, *found[id(model)], characters, unknown) for name, model in models.items()
    ]


def _score(model: Any, documents: Sequence[Ids], given: Ids | None) -> tuple[float, int]:
    total: tuple[float, int] = (
        model.total(documents)
        if isinstance(model, NGram)
        else model.score(document_batches(documents, given=given))
    )
    return total


@torch.no_grad()
def symbol_surprises(model: LanguageModel, groups: Groups) -> npt.NDArray[np.float64]:
    """Minus the log-probability of each symbol that batches ask for, in any order."""
    found, device = [np.zeros(0)], next(model.parameters()).device
    with evaluating(model):
        for group in groups:
            state = None
            for batch in group:
                batch = batch.to(device)
                nats, state = model.surprise(batch, state)
                found.append(nats.valid().double().cpu().numpy())
    return np.concatenate(found)


def each_document(
    model: Any, documents: Sequence[Ids], given: Ids | None = None
) -> npt.NDArray[np.float64]:
    """Nats of each document, from its start symbol to its end symbol; arguments as above."""
    if isinstance(model, NGram):
        return np.array([model.total([ids])[0] for ids in documents])
    found = np.zeros(len(documents))
    order = sorted(range(len(documents)), key=lambda n: len(documents[n]), reverse=True)
    for first in range(0, len(order), _ROWS):
        some = order[first : first + _ROWS]
        own = None if given is None else given[some]
        # In one group they stay in their order: the longest is first already.
        (windows,) = document_batches(
            [documents[n] for n in some], rows=_ROWS, size=_STEPS, given=own
        )
        found[some] = model.score_rows(windows).numpy()
    return found
