"""Sentences or series of one part, and what a model says of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from recurra.data import PartName
from recurra.heads import Paths
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.tasks.base import Groups
from recurra.tasks.examples import Examples, ExamplesPart
from recurra_runtime.vocabulary import UNKNOWN, Ids, SpelledWords, TagNames

__all__ = [
    "SERIES",
    "TAG",
    "UNKNOWN_TAG",
    "WORDS",
    "Rival",
    "Said",
    "TaggingExamples",
    "TaggingPart",
    "said_of",
    "unpadded",
]

UNKNOWN_TAG = -1
"""The number of a tag that the model has no name for."""
WORDS, SERIES, TAG = "words", "series", "tag"
"""Names of the fronts: of one of two inputs, and of what is said."""


class Said(NamedTuple):
    """What a model says of one sentence.

    Args:
        tags: their numbers ``[words]``.
        shares: how probable each tag is at each word ``[words, tags]``.
    """

    tags: Ids
    shares: npt.NDArray[np.float64]


class Rival(Protocol):
    """What says how probable each tag is, from raw sentences or series in numbers."""

    def log_probabilities(self, rows: Sequence[Any]) -> list[npt.NDArray[np.float64]]:
        """``[steps, tags]`` of each."""


class TaggingPart(ExamplesPart):
    """Sentences with their tags; those whose tags a model cannot say are not in its loss."""

    @property
    def tags(self) -> TagNames:
        """Their names."""
        names: TagNames = self.fronts[TAG]
        return names

    @property
    def words(self) -> SpelledWords | None:
        """The front of words, if that is what is read."""
        return self.fronts.get(WORDS)

    def plain(self, numbers: Iterable[int]) -> list[Any]:
        """What rivals read: words, or the numbers of a series."""
        if self.words is None:
            return [self.inputs[n] for n in numbers]
        return [self.raw[n].example for n in numbers]

    @functools.cached_property
    def sayable(self) -> frozenset[int]:
        """Numbers of the sentences of which a model has all tags, in an order that may be."""
        forbidden = set(self.tags.forbidden())

        def may_be(tags: Ids) -> bool:
            moves = zip([None, *tags.tolist()], tags.tolist(), strict=False)
            return not (tags == UNKNOWN_TAG).any() and forbidden.isdisjoint(moves)

        return frozenset(n for n, tags in enumerate(self.targets) if may_be(tags))

    @functools.cached_property
    def unknown(self) -> list[npt.NDArray[np.bool_]]:
        """Of each sentence, which words the model does not know but by their letters."""
        if self.words is None:
            return [np.zeros(len(row), np.bool_) for row in self.inputs]
        return [row.ids == UNKNOWN for row in self.inputs]

    def groups(self, limit: int | None = None) -> Groups:
        """Those that a loss is of."""
        chosen = ([n for n in some if n in self.sayable] for some in self.order(limit))
        return [map(self.batch, [some]) for some in chosen if some]


@dataclasses.dataclass(frozen=True)
class TaggingExamples(Examples):
    """Sentences or series of all parts.

    Args:
        parts: by name.
        fronts: what made the numbers.
        unit: what is counted.
        blank: how many with nothing in them were left out.
    """

    parts: Mapping[PartName, TaggingPart]
    blank: int = 0

    @classmethod
    def of(cls, found: Examples, source: Any) -> Self:
        """The same, with more to say of itself and of its source."""
        odd = {name: getattr(source, name, 0) for name in ("skipped", "blank")}
        return cls(found.parts, found.fronts, found.unit, **odd)  # type: ignore[arg-type]

    def sizes(self, scored: int) -> str:
        """How many tags there are, and what is odd about them."""
        training, tags = self.parts["training"], self.fronts[TAG]
        words, read = training.words, "series" if training.words is None else "sentences"
        unknown = sum(int(row.sum()) for row in training.unknown) / max(training.count, 1)
        strange = sum(len(part.inputs) - len(part.sayable) for part in self.parts.values())
        types = f" of {len(tags.types):,} types of spans ({tags.scheme})" if tags.scheme else ""
        odd = (
            (f"{read} with tags that no model can say", strange),
            ("left out because they are blank", self.blank),
        )
        return (
            super().sizes(scored)
            + f"; {sum(len(part.inputs) for part in self.parts.values()):,} {read}"
            + f"; {len(tags):,} tags{types}"
            + ("" if words is None else f"; {len(words):,} ids of words")
            + (f", {unknown:.1%} unknown" if unknown else "")
            + "".join(f"; {what}: {number:,}" for what, number in odd if number)
        )


def said_of(
    model: Model | Rival, part: TaggingPart, limit: int | None = None
) -> Iterator[tuple[int, Said]]:
    """What a model says of each sentence, with its number; those of like length together."""
    for numbers in part.order(limit):
        if not isinstance(model, Model):
            found = model.log_probabilities(part.plain(numbers))
            yield from zip(numbers, map(_best, found), strict=True)
            continue
        yield from zip(numbers, unpadded(model.predict(part.batch(numbers))), strict=True)


def _best(logs: npt.NDArray[np.float64]) -> Said:
    return Said(logs.argmax(1), np.exp(logs))


def unpadded(said: Paths | PaddedSequence) -> Iterator[Said]:
    """What a head says of each row: paths, or scores of each step."""
    if isinstance(said, Paths):
        labels, shares = said.labels.to_list(), said.marginals.to_list()
        return (Said(_array(one), _array(share)) for one, share in zip(labels, shares, strict=True))
    rows = (row.double().softmax(-1) for row in said.to_list())
    return (Said(_array(row.argmax(-1)), _array(row)) for row in rows)


def _array(row: Tensor) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = row.cpu().numpy()
    return found
