"""What a trained tagger answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.given import ahead, inputs_of
from recurra.models import Model
from recurra.tasks.base import Answer
from recurra.tasks.examples import ExamplesTask
from recurra.tasks.offered import opened_inputs, raw_input
from recurra.tasks.rows import steps_of
from recurra.tasks.tagging.corpus import SERIES, TAG, WORDS, Said, unpadded
from recurra.tasks.tagging.sentences import words_of
from recurra.training import data_of
from recurra_runtime.vocabulary import UNKNOWN, SpelledWords, TagNames

__all__ = ["Tagged", "TaggingModel"]

_BLOCK, _ROWS = 1024, 32  # sentences read ahead; beside each other


class NamedSpan(NamedTuple):
    """Words or steps beside each other that are one thing.

    Args:
        type: what it is.
        start: its first word, counted from 0.
        end: the word behind its last.
        text: its words, a space between two; None of a series.
    """

    type: str
    start: int
    end: int
    text: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class Tagged:
    """The words of a sentence or the steps of a series, and the tag of each.

    Args:
        words: as they were given, or as a text was parted; None of a series.
        tags: one for each.
        probabilities: of these tags.
        spans: that they make; none where tags make none.
        unknown: whether the vocabulary does not know a word, but by its letters; None of a series.
        names: of all tags.
        shares: how probable each of them is at each word or step ``[steps, tags]``.
    """

    words: tuple[str, ...] | None
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    spans: tuple[NamedSpan, ...]
    unknown: tuple[bool, ...] | None
    names: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    def ranked(self, top: int | None = None) -> list[list[tuple[str, float]]]:
        """For each step its so many most probable tags, or all, with their probabilities."""
        order = np.argsort(-self.shares, axis=1, kind="stable")[:, :top]
        return [
            [(self.names[at], float(row[at])) for at in places]
            for row, places in zip(self.shares, order.tolist(), strict=True)
        ]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it; of the ranks of each step the first so many, none if None."""
        steps: list[dict[str, Any]] = [
            {"tag": tag, "probability": share}
            for tag, share in zip(self.tags, self.probabilities, strict=True)
        ]
        for each, word, strange in zip(steps, self.words or (), self.unknown or (), strict=False):
            each |= {"word": word, "unknown": strange}
        for each, ranks in zip(steps, self.ranked(top) if top else (), strict=False):
            each["ranked"] = [{"tag": name, "probability": share} for name, share in ranks]
        return {
            "steps" if self.words is None else "words": steps,
            "spans": [span._asdict() for span in self.spans],
        }


class TaggingModel(Answer):
    """A tagger of sentences or series.

    Args:
        model: in evaluation mode.
        fronts: of what is read, and of the tags.
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
        names: TagNames = self.fronts[TAG]
        return names

    def predict(self, inputs: Iterable[Any]) -> Iterator[Tagged]:
        """The tags of each sentence or series, in their order; some are read ahead.

        Args:
            inputs: each a list of words, or a text, which is parted into words as
                :meth:`recurra_runtime.vocabulary.SpelledWords.split` says; of a model of series
                numbers ``[time, channels]``, or the name of a file of one.

        Raises:
            DataError: something that is neither.
        """
        examples = map(self._example, inputs_of("predict", inputs))
        return itertools.chain.from_iterable(map(self._block, ahead(examples, _BLOCK)))

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any] | None:
        """The series of a file or a folder; of sentences each line is one."""
        if SERIES not in self.fronts:
            return None
        data = data_of(self.path).undivided
        return opened_inputs({SERIES: self.fronts[SERIES]}, file, data, encoding)

    def of_line(self, line: str) -> Any:
        """A sentence, or the file of that name."""
        return Path(line) if SERIES in self.fronts else line

    def show(self, answer: Tagged, top: int | None = None) -> str:
        """Words, each with its tag behind a slash; spans in brackets where tags make some.

        Args:
            answer: of one sentence, or of a series, of which tags alone are shown.
            top: how many tags of each word are told, with their probabilities.
        """
        said: Sequence[str] = answer.tags
        if top is not None:
            ranked = answer.ranked(top)
            said = ["|".join(f"{name}:{share:.4f}" for name, share in ranks) for ranks in ranked]
        if answer.words is None:
            return " ".join(said)
        if top is not None or self._names.scheme is None:
            pairs = zip(answer.words, said, strict=True)
            return " ".join(f"{word}/{tag}" for word, tag in pairs)
        shown = list(answer.words)
        for span in answer.spans:
            shown[span.start] = f"[{span.type} {shown[span.start]}"
            shown[span.end - 1] += "]"
        return " ".join(shown)

    def to_json(self, answer: Tagged, top: int | None = None) -> dict[str, Any]:
        """All of it, and so many tags of each word."""
        return answer.to_json(top)

    def _example(self, given: Any) -> Any:
        front: SpelledWords | None = self.fronts.get(WORDS)
        if front is None:
            return raw_input({SERIES: self.fronts[SERIES]}, given)[0]
        return tuple(front.split(given)) if isinstance(given, str) else words_of("predict", given)

    def _block(self, examples: list[Any]) -> Iterator[Tagged]:
        rows = [self._task.encode(example, self.fronts) for example in examples]
        order = sorted(range(len(rows)), key=lambda n: steps_of(rows[n]))
        found: dict[int, Said] = {}
        for at in range(0, len(order), _ROWS):
            some = order[at : at + _ROWS]
            said = self.model.predict(self._task.collate([rows[n] for n in some]))
            found.update(zip(some, unpadded(said), strict=True))
        for number, (example, row) in enumerate(zip(examples, rows, strict=True)):
            yield self._tagged(example, row, found[number])

    def _tagged(self, example: Any, row: Any, said: Said) -> Tagged:
        names, words = self._names, example if isinstance(example, tuple) else None
        tags = tuple(names.name(number) for number in said.tags.tolist())
        spans = [
            NamedSpan(*span, None if words is None else " ".join(words[span.start : span.end]))
            for span in names.spans(tags)
        ]
        unknown = None if words is None else tuple((row.ids == UNKNOWN).tolist())
        shares = said.shares[np.arange(len(tags)), said.tags]
        return Tagged(
            words, tags, tuple(shares.tolist()), tuple(spans), unknown, names.names, said.shares
        )
