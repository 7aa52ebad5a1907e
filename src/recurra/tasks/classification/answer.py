"""What a trained classifier answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from recurra.given import ahead, inputs_of, text_of
from recurra.tasks.base import Answer
from recurra.tasks.classification.evaluation import log_probabilities
from recurra_runtime.vocabulary import UNKNOWN

__all__ = ["ClassifyingModel", "Label"]

_BLOCK = 1024  # texts read ahead, so that those of like length can stand together


@dataclasses.dataclass(frozen=True)
class Label:
    """The class of a text.

    Args:
        text: what was read.
        ranked: all classes with their probabilities, the most probable first.
        symbols: how many the text has.
        unknown: how many of them the vocabulary does not know.
    """

    text: str
    ranked: tuple[tuple[str, float], ...]
    symbols: int
    unknown: int

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        """Of that class."""
        return self.ranked[0][1]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it, or of the ranks the first so many."""
        return {
            "text": self.text,
            "label": self.label,
            "probability": self.probability,
            "ranked": [{"label": name, "probability": share} for name, share in self.ranked[:top]],
            "symbols": self.symbols,
            "unknown": self.unknown,
        }


class ClassifyingModel(Answer):
    """A classifier that names the classes of texts."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        names: tuple[str, ...] = self.fronts["label"].names
        return names

    def predict(self, inputs: Iterable[str]) -> Iterator[Label]:
        """The class of each text, in their order; some are read ahead.

        Raises:
            DataError: something that is no text.
        """
        texts = (text_of("predict", text) for text in inputs_of("predict", inputs))
        return itertools.chain.from_iterable(map(self._block, ahead(texts, _BLOCK)))

    def show(self, answer: Label, top: int | None = None) -> str:
        """Label and probability of the most probable classes, with tabs between them."""
        return "\t".join(f"{name}\t{share:.4f}" for name, share in answer.ranked[: top or 1])

    def to_json(self, answer: Label, top: int | None = None) -> dict[str, Any]:
        """All of it."""
        return answer.to_json(top)

    def _block(self, texts: list[str]) -> Iterator[Label]:
        vocabulary = self.fronts["text"]
        rows = [vocabulary.encode(text) for text in texts]
        shares = log_probabilities(self.model, rows).exp()
        order = shares.argsort(dim=1, descending=True, stable=True)
        for text, ids, row, ranks in zip(texts, rows, shares.tolist(), order.tolist(), strict=True):
            ranked = tuple((self.classes[at], row[at]) for at in ranks)
            yield Label(text, ranked, len(ids), int((ids == UNKNOWN).sum()))
