"""Models without memory beside an encoder-decoder: they say what stands there already."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra.models.packed_texts import packed_texts, unpacked_texts
from recurra.tasks.rivals import FrequentText

__all__ = ["KINDS", "Copy", "Lead", "Nearest", "fit_rivals"]


class Copy:
    """Says what it has read."""

    def say(self, sources: Sequence[Any]) -> list[str]:
        """Each as it is."""
        return [str(source) for source in sources]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Nothing to keep, but that it is there."""
        return {"copies": np.ones(1, np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Of what :meth:`arrays` gave."""
        return cls()


class Lead:
    """Says the first words of what it has read.

    Args:
        words: how many.
    """

    def __init__(self, words: int) -> None:
        self.words = words

    @classmethod
    def fit(cls, targets: Sequence[str]) -> Self:
        """As many as answers have in the mean."""
        return cls(round(sum(len(text.split()) for text in targets) / len(targets)))

    def say(self, sources: Sequence[Any]) -> list[str]:
        """Of each its beginning."""
        return [" ".join(str(source).split()[: self.words]) for source in sources]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """How many words."""
        return {"words": np.array([self.words])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Of what :meth:`arrays` gave."""
        return cls(int(arrays["words"][0]))


class Nearest:
    r"""Says what was said of the most similar text: retrieval.

    Similar are texts with a large cosine of their words, each weighted by
    :math:`\log (N / n_w)` (Sparck Jones 1972), of N texts n with it.

    Args:
        sources: that are trained on.
        targets: what was said of each.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self.sources, self.targets = list(sources), list(targets)
        seen = Counter(word for text in self.sources for word in {*text.split()})
        self._weights = {word: math.log(len(self.sources) / n) for word, n in seen.items()}
        self._places: dict[str, list[tuple[int, float]]] = {}
        for number, text in enumerate(self.sources):
            for word, share in self._vector(text).items():
                self._places.setdefault(word, []).append((number, share))

    def _vector(self, text: str) -> dict[str, float]:
        found = {w: n * self._weights.get(w, 0.0) for w, n in Counter(text.split()).items()}
        norm = math.sqrt(sum(value * value for value in found.values()))
        return {w: value / norm for w, value in found.items() if value} if norm else {}

    def say(self, sources: Sequence[Any]) -> list[str]:
        """Of each what was said of the most similar text; the first where none is similar."""
        return [self.targets[self._nearest(str(source))] for source in sources]

    def _nearest(self, text: str) -> int:
        alike: Counter[int] = Counter()
        for word, share in self._vector(text).items():
            for number, other in self._places[word]:
                alike[number] += share * other  # type: ignore[assignment]  # counts in shares
        return max(alike, key=lambda number: (alike[number], -number), default=0)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All texts."""
        return {
            "sources": packed_texts(self.sources),
            "targets": packed_texts(self.targets),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Of what :meth:`arrays` gave."""
        return cls(unpacked_texts(arrays["sources"]), unpacked_texts(arrays["targets"]))


KINDS: dict[str, Any] = {
    "the most frequent": FrequentText.from_arrays,
    "copy": Copy.from_arrays,
    "lead": Lead.from_arrays,
    "nearest": Nearest.from_arrays,
}
"""By name, the simplest first."""

_MOST = 100_000  # texts that are compared


def fit_rivals(pairs: Sequence[tuple[Any, str]]) -> dict[str, Any]:
    """What needs no training but the examples themselves.

    Args:
        pairs: what is read, and what is said of it.
    """
    rivals: dict[str, Any] = {"the most frequent": FrequentText.fit([said for _, said in pairs])}
    if all(isinstance(read, str) for read, _ in pairs):
        some = pairs[:_MOST]
        rivals["copy"] = Copy()
        lead = Lead.fit([said for _, said in pairs])
        if lead.words < sum(len(read.split()) for read, _ in pairs) / len(pairs) / 2:
            rivals["lead"] = lead
        rivals["nearest"] = Nearest([read for read, _ in some], [said for _, said in some])
    return rivals
