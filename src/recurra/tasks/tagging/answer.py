"""What a trained tagger answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.given import ahead, inputs_of
from recurra.models import Model
from recurra.tasks.base import Answer
from recurra.tasks.examples import ExamplesTask
from recurra.tasks.tagging.corpus import Said, unpadded
from recurra.tasks.tagging.sentences import words_of
from recurra_runtime.vocabulary import SpelledWords, TagNames

__all__ = ["Tagged", "TaggingModel"]

_BLOCK, _ROWS = 1024, 32  # sentences read ahead; beside each other


class NamedSpan(NamedTuple):
    """Words beside each other that are one thing.

    Args:
        type: what it is.
        start: its first word, counted from 0.
        end: the word behind its last.
        text: its words, a space between two.
    """

    type: str
    start: int
    end: int
    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class Tagged:
    """The words of a sentence, and the tag of each.

    Args:
        words: as they were given, or as a text was parted.
        tags: one for each.
        probabilities: of these tags.
        spans: that they make; none where tags make none.
        unknown: whether the vocabulary does not know a word, but by its letters.
        names: of all tags.
        shares: how probable each of them is at each word ``[words, tags]``.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    spans: tuple[NamedSpan, ...]
    unknown: tuple[bool, ...]
    names: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    def ranked(self, top: int | None = None) -> list[list[tuple[str, float]]]:
        """For each word its so many most probable tags, or all, with their probabilities."""
        order = np.argsort(-self.shares, axis=1, kind="stable")[:, :top]
        return [
            [(self.names[at], float(row[at])) for at in places]
            for row, places in zip(self.shares, order.tolist(), strict=True)
        ]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it; of the ranks of each word the first so many, none if None."""
        words = [
            {"word": word, "tag": tag, "probability": share, "unknown": strange}
            for word, tag, share, strange in zip(
                self.words, self.tags, self.probabilities, self.unknown, strict=True
            )
        ]
        for each, ranks in zip(words, self.ranked(top) if top else (), strict=False):
            each["ranked"] = [{"tag": name, "probability": share} for name, share in ranks]
        return {"words": words, "spans": [span._asdict() for span in self.spans]}


class TaggingModel(Answer):
    """A tagger of sentences.

    Args:
        model: in evaluation mode.
        fronts: of words and tags.
        path: the folder it was loaded from.
        task: which encodes.
    """

    def __init__(
        self, model: Model, fronts: Mapping[str, Any], path: Path, task: ExamplesTask
    ) -> None:
        super().__init__(model, fronts, path, task.name)
        self._task = task

    @property
    def tags(self) -> tuple[str, ...]:
        """Their names."""
        names: tuple[str, ...] = self._names.names
        return names

    @property
    def _names(self) -> TagNames:
        names: TagNames = self.fronts["tag"]
        return names

    def predict(self, inputs: Iterable[Any]) -> Iterator[Tagged]:
        """The tags of each sentence, in their order; some are read ahead.

        Args:
            inputs: each a list of words, or a text, which is parted into words as
                :meth:`recurra_runtime.vocabulary.SpelledWords.split` says.

        Raises:
            DataError: something that is neither.
        """
        sentences = map(self._words, inputs_of("predict", inputs))
        return itertools.chain.from_iterable(map(self._block, ahead(sentences, _BLOCK)))

    def show(self, answer: Tagged, top: int | None = None) -> str:
        """Words, each with its tag behind a tab-free slash; spans in brackets where tags make some.

        Args:
            answer: of one sentence.
            top: how many tags of each word are told, with their probabilities.
        """
        if top is not None:
            return " ".join(
                f"{word}/" + "|".join(f"{name}:{share:.4f}" for name, share in ranks)
                for word, ranks in zip(answer.words, answer.ranked(top), strict=True)
            )
        if self._names.scheme is None:
            return " ".join(
                f"{word}/{tag}" for word, tag in zip(answer.words, answer.tags, strict=True)
            )
        shown = list(answer.words)
        for span in answer.spans:
            shown[span.start] = f"[{span.type} {shown[span.start]}"
            shown[span.end - 1] += "]"
        return " ".join(shown)

    def to_json(self, answer: Tagged, top: int | None = None) -> dict[str, Any]:
        """All of it, and so many tags of each word."""
        return answer.to_json(top)

    def _words(self, given: Any) -> tuple[str, ...]:
        if isinstance(given, str):
            front: SpelledWords = self.fronts["words"]
            return tuple(front.split(given))
        return words_of("predict", given)

    def _block(self, sentences: list[tuple[str, ...]]) -> Iterator[Tagged]:
        rows = [self._task.encode(words, self.fronts) for words in sentences]
        order = sorted(range(len(rows)), key=lambda n: len(rows[n].ids))
        found: dict[int, Said] = {}
        for at in range(0, len(order), _ROWS):
            some = order[at : at + _ROWS]
            said = self.model.predict(self._task.collate([rows[n] for n in some]))
            found.update(zip(some, unpadded(said), strict=True))
        for number, words in enumerate(sentences):
            yield self._tagged(words, rows[number].ids == 0, found[number])

    def _tagged(self, words: tuple[str, ...], unknown: Any, said: Said) -> Tagged:
        names = self._names
        tags = tuple(names.name(number) for number in said.tags.tolist())
        spans = (NamedSpan(*s, " ".join(words[s.start : s.end])) for s in names.spans(tags))
        shares = said.shares[np.arange(len(words)), said.tags]
        return Tagged(
            words,
            tags,
            tuple(shares.tolist()),
            tuple(spans),
            tuple(unknown.tolist()),
            names.names,
            said.shares,
        )
