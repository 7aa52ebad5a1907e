"""Minimal pairs: which of two sentences, one of them right, a model finds more probable."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.data import ComingLines, read_rows
from recurra.errors import DataError
from recurra.pipeline.scoring import LineScore, score_lines
from recurra.pipeline.text_model import TextModel

__all__ = ["Pair", "PairAccuracy", "PairScore", "pair_accuracy", "read_pairs", "score_pairs"]

_AHEAD = 512  # pairs whose sentences are scored together
_GOOD, _BAD = ("good", "sentence_good"), ("bad", "sentence_bad")
_GROUPS = ("phenomenon", "UID")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two sentences that differ in one thing.

    Args:
        good: what is right.
        bad: what is wrong.
        phenomenon: what they differ in; empty if that is not told.
    """

    good: str
    bad: str
    phenomenon: str = ""


@dataclasses.dataclass(frozen=True)
class PairScore:
    """What a model says of a pair.

    Args:
        pair: the sentences.
        good: the score of the right one.
        bad: of the wrong one.
        tied: whether both are as probable, as they are where they differ in unknown words.
    """

    pair: Pair
    good: LineScore
    bad: LineScore
    tied: bool

    @property
    def correct(self) -> bool:
        """Whether the right one is the more probable; a tie is wrong."""
        return not self.tied and self.good.log_prob > self.bad.log_prob

    def to_json(self) -> dict[str, Any]:
        """Sentences, log-probabilities, tie, and whether it is correct."""
        told: dict[str, Any] = dataclasses.asdict(self.pair)
        if not self.pair.phenomenon:
            del told["phenomenon"]
        told |= {"log_prob_good": self.good.log_prob, "log_prob_bad": self.bad.log_prob}
        return told | {"tied": self.tied, "correct": self.correct}


@dataclasses.dataclass(frozen=True)
class PairAccuracy:
    """How many pairs a model decides rightly.

    Args:
        phenomenon: which pairs; empty for all.
        right: how many.
        count: of so many.
        tied: how many are as probable; they are wrong.
        unknown: how many symbols the vocabulary does not know.
    """

    phenomenon: str
    right: int
    count: int
    tied: int
    unknown: int

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / max(self.count, 1)


def score_pairs(
    model: TextModel,
    pairs: Iterable[Pair],
    *,
    end: bool = True,
    given: Mapping[str, str] | None = None,
) -> Iterator[PairScore]:
    """Score both sentences of each pair.

    Args:
        model: what gives the probabilities.
        pairs: read as they are needed.
        end: whether the end of a sentence counts, as of :func:`score_lines`.
        given: condition -> label, for all pairs.

    Yields:
        a score for each pair, in their order.

    Raises:
        SettingError: a condition that is missing or that the model does not have.
        DataError: a label that the model does not know.
    """
    model.start(1, given)
    return _scored(model, iter(pairs), end, given)


def _scored(
    model: TextModel, pairs: Iterator[Pair], end: bool, given: Mapping[str, str] | None
) -> Iterator[PairScore]:
    while block := list(itertools.islice(pairs, _AHEAD)):
        sentences = [sentence for pair in block for sentence in (pair.good, pair.bad)]
        scores = score_lines(model, sentences, end=end, given=given)
        for pair, good, bad in zip(block, scores, scores, strict=False):
            # Sentences of the same symbols may stand in groups of their own and be rounded apart.
            read = [model.vocabulary.encode(text).tobytes() for text in (pair.good, pair.bad)]
            tied = good.log_prob == bad.log_prob or read[0] == read[1]
            yield PairScore(pair, good, bad, tied)


def pair_accuracy(scores: Iterable[PairScore]) -> list[PairAccuracy]:
    """Of all pairs, and then, where it is told, of those of each phenomenon in their order."""
    groups: dict[str, list[PairScore]] = {}
    for score in scores:
        groups.setdefault(score.pair.phenomenon, []).append(score)
    every = [score for group in groups.values() for score in group]
    named = {"": every} | {name: group for name, group in groups.items() if name}
    return [
        PairAccuracy(
            name,
            sum(score.correct for score in group),
            len(group),
            sum(score.tied for score in group),
            sum(score.good.unknown + score.bad.unknown for score in group),
        )
        for name, group in named.items()
    ]


def read_pairs(source: str | Path | ComingLines, *, encoding: str = "utf-8") -> Iterator[Pair]:
    """Pairs of a file, or as they come, one by one.

    ``.csv`` and ``.tsv`` have two columns, the right sentence first; or names in the first row:
    ``good`` and ``bad`` (or ``sentence_good`` and ``sentence_bad``), and, where it is told,
    ``phenomenon`` (or ``UID``). Others are JSON lines of objects with these names, as those
    of BLiMP (Warstadt et al. 2020).

    Raises:
        DataError: no such file, no pair in it, or a row that is none; with its line.
    """
    empty = True
    for place, row in read_rows(source, encoding=encoding, named=(*_GOOD, *_BAD)):
        empty = False
        yield _pair(row, place)
    if empty:
        raise DataError(f"{source}: expected pairs of sentences, found none.")


def _pair(row: Mapping[str, Any], place: str) -> Pair:
    names = {"0": "good", "1": "bad"}
    if set(row) == set(names):
        row = {names[name]: text for name, text in row.items()}
    found = []
    for known in (_GOOD, _BAD):
        text = next((row[name] for name in known if name in row), None)
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{place}: expected two sentences, {' and '.join(map(repr, (_GOOD[0], _BAD[0])))} "
                f"(or {_GOOD[1]!r} and {_BAD[1]!r}), or two columns without a header, the right "
                f"one first; got {', '.join(map(repr, row)) or 'nothing'}"
                f"{'' if text is None else ', one of them without text'}."
            )
        found.append(text)
    group = next((row[name] for name in _GROUPS if row.get(name)), "")
    return Pair(found[0], found[1], str(group))
