"""Sentences of one part, and what a model says of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
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
from recurra_runtime.vocabulary import UNKNOWN, Ids, TagNames

__all__ = ["UNKNOWN_TAG", "Rival", "Said", "TaggingExamples", "TaggingPart", "said_of", "unpadded"]

UNKNOWN_TAG = -1
"""The number of a tag that the model has no name for."""


class Said(NamedTuple):
    """What a model says of one sentence.

    Args:
        tags: their numbers ``[words]``.
        shares: how probable each tag is at each word ``[words, tags]``.
    """

    tags: Ids
    shares: npt.NDArray[np.float64]


class Rival(Protocol):
    """What says how probable each tag of each word is, from raw sentences."""

    def log_probabilities(
        self, sentences: Sequence[Sequence[str]]
    ) -> list[npt.NDArray[np.float64]]:
        """``[words, tags]`` of each."""


class TaggingPart(ExamplesPart):
    """Sentences with their tags; those whose tags a model cannot say are not in its loss."""

    @property
    def tags(self) -> TagNames:
        """Their names."""
        names: TagNames = self.fronts["tag"]
        return names

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
        return [row.ids == UNKNOWN for row in self.inputs]

    def groups(self, limit: int | None = None) -> Groups:
        """Those that a loss is of."""
        chosen = ([n for n in some if n in self.sayable] for some in self.order(limit))
        return [map(self.batch, [some]) for some in chosen if some]


@dataclasses.dataclass(frozen=True)
class TaggingExamples(Examples):
    """Sentences of all parts."""

    parts: Mapping[PartName, TaggingPart]

    @classmethod
    def of(cls, found: Examples) -> Self:
        """The same, with more to say of itself."""
        return cls(found.parts, found.fronts, found.unit)  # type: ignore[arg-type]

    def sizes(self, scored: int) -> str:
        """How many tags and sentences there are, and what is odd about them."""
        training, tags = self.parts["training"], self.fronts["tag"]
        unknown = sum(int(row.sum()) for row in training.unknown) / max(training.count, 1)
        strange = sum(len(part.inputs) - len(part.sayable) for part in self.parts.values())
        types = f" of {len(tags.types):,} types of spans ({tags.scheme})" if tags.scheme else ""
        return (
            super().sizes(scored)
            + f"; {sum(len(part.inputs) for part in self.parts.values()):,} sentences"
            + f"; {len(tags):,} tags{types}; {len(self.fronts['words']):,} ids of words"
            + (f", {unknown:.1%} unknown" if unknown else "")
            + (f"; sentences with tags that no model can say: {strange:,}" if strange else "")
        )


def said_of(
    model: Model | Rival, part: TaggingPart, limit: int | None = None
) -> Iterator[tuple[int, Said]]:
    """What a model says of each sentence, with its number; those of like length together."""
    for numbers in part.order(limit):
        if not isinstance(model, Model):
            found = model.log_probabilities([part.raw[n].example for n in numbers])
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
