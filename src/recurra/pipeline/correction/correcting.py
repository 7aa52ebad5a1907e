"""Correct sentences: the small edits that a language model finds much more probable."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data import read_lines
from recurra.errors import DataError, SettingError
from recurra.given import inputs_of, path_of
from recurra.pipeline.correction.confusions import Change, Confusions
from recurra.pipeline.scoring import LineScore, line_blocks, score_lines
from recurra.pipeline.text_model import TextModel

__all__ = ["MARGIN", "Correction", "Edit", "correct_lines", "known_words"]

MARGIN = 4.0  # nats; chosen on half of the development part of JFLEG
_ROWS = 128  # candidates beside each other
_BLOCK = 64  # sentences whose candidates are scored together
_SEEN = 3  # times that a word stands in a text before it is taken to be spelled well
_NEAR = 16  # characters around an edit in which everything is tried again
_LEAST = 1e-3  # nats; less may be rounding, and two sentences would take turns


@dataclasses.dataclass(frozen=True)
class Edit:
    """One accepted edit.

    Args:
        start: where it begins in the sentence that was given, in characters.
        end: where what it replaces ends there.
        old: what stood there when it was made.
        new: what stands there instead.
        gain: by how much the sentence became more probable, in nats.
    """

    start: int
    end: int
    old: str
    new: str
    gain: float


@dataclasses.dataclass(frozen=True)
class Correction:
    """A sentence and what became of it.

    Args:
        text: as it was given.
        corrected: with all edits; the same where there is none.
        edits: in the order in which they were made, the one that gains most first.
    """

    text: str
    corrected: str
    edits: tuple[Edit, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Both sentences and the edits."""
        return dataclasses.asdict(self) | {"edits": [dataclasses.asdict(e) for e in self.edits]}


def correct_lines(
    model: TextModel,
    lines: Iterable[str],
    *,
    margin: float = MARGIN,
    words: Iterable[str] | None = None,
    given: Mapping[str, str] | None = None,
) -> Iterator[Correction]:
    r"""Correct English sentences, each a line of its own.

    Of all small edits of a sentence (articles, prepositions, word forms, auxiliaries, spelling,
    commas, capital letters) the one that gains most is made if

    .. math:: \log p(\text{edited}) - \log p(\text{sentence}) - c(\text{edit}) > m

    and so on with what came of it, until none does (Bryant and Briscoe 2018, Language Model Based
    Grammatical Error Correction without Annotated Training Data). Other than there, the margin does
    not grow with the sentence, whose other words say nothing about how rare a mistake is; rarer
    ones cost c more, as :class:`recurra.pipeline.correction.confusions.Change` has it; and once all
    edits are scored, only those that gained are scored again, and those beside an edit that was
    made. A word that the vocabulary does not know counts as ``<unk>``, of which there are taken to
    be as many as there are symbols.

    Args:
        model: what gives the probabilities.
        lines: read as they are needed; of :class:`recurra.data.ComingLines` those that have come.
        margin: m, in nats.
        words: that are spelled well, in small letters, the most frequent first; those of
            :func:`known_words` if None.
        given: condition -> label, for all lines.

    Yields:
        a correction for each line, in their order; a blank one stays as it is.

    Raises:
        SettingError: a margin below 0, no words, or a condition that is missing or not known.
        DataError: a label that the model does not know.
    """
    least: Any = margin
    known = isinstance(least, numbers.Real) and not isinstance(least, bool)
    if not (known and math.isfinite(margin) and margin >= 0):
        raise SettingError(f"margin: expected nats, 0 or more, got {margin!r}")
    confusions = Confusions(known_words(model) if words is None else words)
    model.start(1, given)  # what is wrong with them is said now, and not at the first line
    blocks = line_blocks(inputs_of("correct", lines), _BLOCK, "correct")
    return (
        each for block in blocks for each in _corrected(model, block, confusions, margin, given)
    )


def known_words(model: TextModel, text: str | Path | None = None) -> list[str]:
    """Words that are spelled well, in small letters, the most frequent first.

    Args:
        model: its symbols that are whole words are taken, if no text is given.
        text: a file; words that stand in it three times or more.

    Raises:
        SettingError: no text, and the symbols of the model are no words.
        DataError: no such text, or no such word in it.
    """
    if text is not None:
        lines = read_lines(path_of("words", text))
        counts = Counter(word.lower() for line in lines for word in line.split() if word.isalpha())
        found = [word for word, count in counts.most_common() if count >= _SEEN]
        if not found:
            raise DataError(f"{text}: expected words that stand {_SEEN} times in it, found none.")
        return found
    # Where spaces are symbols' own, a symbol without one may be a part of a word.
    if model.vocabulary.kind not in ("words", "byte-pairs"):
        raise SettingError(
            f"words: the symbols of this model are {model.vocabulary.kind}, so that it has no list "
            "of words; give a text that is spelled well, such as what it was trained on: --words "
            "FILE"
        )
    begun = "" if model.spelling.whole else " "
    raw = (each.decode("utf-8", "ignore") for each in model.pieces.raw)
    symbols = (each.removeprefix(" ").lower() for each in raw if each.startswith(begun))
    return [word for word in dict.fromkeys(symbols) if word.isalpha()]


class _Sentence:
    """A sentence on its way."""

    def __init__(self, text: str, confusions: Confusions) -> None:
        self.given = self.text = text
        self.edits: list[Edit] = []
        self.value = math.nan  # its log-probability, once it is scored
        self.changes = confusions.changes(text) if text.strip() else []
        self._places = list(range(len(text) + 1))  # of each character in what was given

    def take(self, change: Change, value: float) -> None:
        """Make a change with which the sentence has another log-probability."""
        start, end = change.start, change.end
        place = self._places[start]
        self.edits.append(
            Edit(place, self._places[end], self.text[start:end], change.new, value - self.value)
        )
        self._places[start:end] = [place] * len(change.new)
        self.text, self.value = change.of(self.text), value

    def choose(self, values: Sequence[float], margin: float, confusions: Confusions) -> bool:
        """Make the best of the changes, if it is good enough; whether it was."""
        gains = [v - self.value - c.cost for v, c in zip(values, self.changes, strict=True)]
        place = max(range(len(gains)), key=gains.__getitem__, default=None)
        if place is None or gains[place] <= max(margin, _LEAST):
            return False
        best = self.changes[place]
        hopeful = [each for gain, each in zip(gains, self.changes, strict=True) if gain > 0]
        self.take(best, values[place])
        moved = len(best.new) - (best.end - best.start)
        last = best.start + len(best.new)
        again = [
            each
            for each in confusions.changes(self.text)
            if each.end >= best.start - _NEAR and each.start <= last + _NEAR
        ]
        kept = [_moved(each, best, moved) for each in hopeful]
        self.changes = list(dict.fromkeys([*again, *(each for each in kept if each)]))
        return True


def _moved(change: Change, made: Change, by: int) -> Change | None:
    """A change after another one was made; None where both are of the same place."""
    if change.end < made.start:
        return change
    if change.start > made.end:
        return dataclasses.replace(change, start=change.start + by, end=change.end + by)
    return None


def _corrected(
    model: TextModel,
    texts: Sequence[str],
    confusions: Confusions,
    margin: float,
    given: Mapping[str, str] | None,
) -> Iterator[Correction]:
    sentences = [_Sentence(text, confusions) for text in texts]
    going = [each for each in sentences if each.changes]
    tried = [each.text for each in going]
    for each, value in zip(going, _values(model, tried, given), strict=True):
        each.value = value
    while going:
        tried = [change.of(each.text) for each in going for change in each.changes]
        values = iter(_values(model, tried, given))
        going = [
            each
            for each in going
            if each.choose([next(values) for _ in each.changes], margin, confusions)
        ]
    for each in sentences:
        yield Correction(each.given, each.text, tuple(each.edits))


def _values(model: TextModel, texts: Sequence[str], given: Mapping[str, str] | None) -> list[float]:
    """Log-probabilities; each unknown word is one of as many as there are symbols."""
    one = math.log(len(model.vocabulary))

    def value(score: LineScore) -> float:
        return score.log_prob - one * score.unknown

    return [value(score) for score in score_lines(model, texts, given=given, rows=_ROWS)]
