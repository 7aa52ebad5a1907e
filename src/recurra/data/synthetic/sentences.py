"""Sentences whose last word is decided by one a known number of words back."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from recurra.batch import Batch
from recurra.data.synthetic.base import Baseline, Seed, SyntheticTask, draws, seed_number
from recurra.errors import SettingError
from recurra.settings import check_size

__all__ = ["CuedSentence", "CuedSentences", "GivingSentences", "OriginSentences"]

_FILLERS = (
    "again almost already always early even far hardly here indeed just late later maybe more much "
    "near never now often once only perhaps quite rather really seldom since sometimes soon still "
    "then there today together twice usually very well yesterday"
)
_PAIRS = (
    "france french, germany german, italy italian, spain spanish, japan japanese, china chinese, "
    "russia russian, greece greek, poland polish, turkey turkish"
)
_NAMES = "anna ben clara david emma frank grace henry ida john laura mary nina oscar paul rosa"


class CuedSentence(NamedTuple):
    """A sentence that asks for its last word.

    Args:
        text: words with spaces between, the answer last.
        cue: place of the word that decides, from 0.
        position: place of the answer, from 0; ``position - cue - 1`` words stand between.
        candidates: words that are asked about, the answer among them.
    """

    text: str
    cue: int
    position: int
    candidates: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The only right one of the candidates."""
        return self.text.split()[self.position]


class _Case(NamedTuple):
    """What is special in a sentence: its words up to the cue, the answer, the candidates."""

    opening: tuple[str, ...]
    answer: str
    candidates: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CuedSentences(SyntheticTask):
    """Base of tasks whose answer hangs on a word ``distance`` words back.

    Between cue and answer stand exactly ``distance`` words: set ones at both ends, where there is
    room for them, and fillers, each drawn uniformly and apart from everything else. So a model that
    sees at most ``distance`` words back knows nothing of the answer, for example an n-gram of
    order ``distance + 1`` or below.

    A batch has as inputs the ids of all words before the answer, ``[time, rows]``, and as targets
    the ids of the answers ``[rows]``; an id is the place in :attr:`words`.

    Args:
        distance: words between cue and answer, at least 1.
        fillers: words to fill with.

    Raises:
        SettingError: a distance below 1, no fillers, or words that are empty, have spaces, occur
            twice, or stand in the way of another part of the sentence.
    """

    distance: int
    fillers: tuple[str, ...] = tuple(_FILLERS.split())

    def __post_init__(self) -> None:
        check_size("distance", self.distance)
        keys, fixed = self._keys(), [word for part in self._frame() for word in part]
        for name, least, words in (("fillers", 1, self.fillers), ("cues and answers", 2, keys)):
            single = all(isinstance(word, str) and word.split() == [word] for word in words)
            if not single or len(set(words)) != len(words) or len(words) < least:
                raise SettingError(
                    f"{name}: expected at least {least} different words without spaces, got "
                    f"{list(words)}"
                )
        clash = set(keys) & {*self.fillers, *fixed}
        if clash:
            raise SettingError(
                "fillers, cues and answers: expected cues and answers that no other part of the "
                f"sentence has, got {sorted(clash)} as both"
            )

    @abc.abstractmethod
    def _keys(self) -> tuple[str, ...]:
        """All cues and answers."""

    @abc.abstractmethod
    def _frame(self) -> tuple[tuple[str, ...], ...]:
        """Set words: before the cue, right behind it, right before the answer."""

    @abc.abstractmethod
    def _case(self, chance: np.random.Generator) -> _Case:
        """Draw a cue and its answer."""

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """All words that occur, sorted."""
        fixed = [word for part in self._frame() for word in part]
        return tuple(sorted({*fixed, *self.fillers, *self._keys()}))

    def sentences(self, number: int, *, seed: Seed = 0) -> list[CuedSentence]:
        """Draw sentences; :meth:`batch` of as many rows and the same seed has the same ones.

        Raises:
            SettingError: a number below 1, or no seed.
        """
        number = check_size("number", number)
        return self._sentences(number, draws(seed_number(seed), 0))

    def _sentences(self, number: int, chance: np.random.Generator) -> list[CuedSentence]:
        return [self._sentence(chance) for _ in range(number)]

    def _sentence(self, chance: np.random.Generator) -> CuedSentence:
        case = self._case(chance)
        _, lead, tail = self._frame()
        room = max(self.distance - len(lead) - len(tail), 0)
        drawn = chance.integers(len(self.fillers), size=room).tolist()
        between = [*lead, *(self.fillers[number] for number in drawn), *tail][-self.distance :]
        cue = len(case.opening) - 1
        text = " ".join([*case.opening, *between, case.answer])
        return CuedSentence(text, cue, cue + self.distance + 1, case.candidates)

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        number = {word: place for place, word in enumerate(self.words)}
        texts = [sentence.text.split() for sentence in self._sentences(rows, chance)]
        ids = torch.tensor([[number[word] for word in text] for text in texts]).T.contiguous()
        return Batch(ids[:-1], ids[-1], target_axis=0)


@dataclasses.dataclass(frozen=True)
class OriginSentences(CuedSentences):
    """The country decides the language: "i was born in france ... so i speak french".

    Between them stand ``distance - 3`` fillers and "so i speak"; below 3 the last ``distance`` of
    these three words. The country is drawn uniformly; candidates are all languages.

    Baseline: with n pairs, 1 / n of the answers are right by chance, and the cross-entropy over the
    candidates is ln n nats.

    Args:
        distance: words between cue and answer, at least 1.
        fillers: words to fill with.
        pairs: (country, language), at least two, no word twice.

    Raises:
        SettingError: as :class:`CuedSentences` says.
    """

    pairs: tuple[tuple[str, str], ...] = tuple(
        (country, language) for country, language in map(str.split, _PAIRS.split(", "))
    )

    def __post_init__(self) -> None:
        if len(self.pairs) < 2 or not all(map(_is_pair, self.pairs)):
            raise SettingError(
                f"pairs: expected at least two of (country, language), got {self.pairs!r}"
            )
        super().__post_init__()

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy over the candidates in nats, and accuracy, of a uniform guess."""
        return Baseline(math.log(len(self.pairs)), 1 / len(self.pairs))

    def _keys(self) -> tuple[str, ...]:
        return tuple(word for pair in self.pairs for word in pair)

    def _frame(self) -> tuple[tuple[str, ...], ...]:
        return ("i", "was", "born", "in"), (), ("so", "i", "speak")

    def _case(self, chance: np.random.Generator) -> _Case:
        country, language = self.pairs[chance.integers(len(self.pairs))]
        languages = tuple(language for _, language in self.pairs)
        return _Case((*self._frame()[0], country), language, languages)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2


@dataclasses.dataclass(frozen=True)
class GivingSentences(CuedSentences):
    """The giver decides who is given to: "john and mary met and mary gave ... to john".

    The cue is the giver's second naming, the last name before the answer. Behind it stand "gave",
    ``distance - 2`` fillers and "to"; with a distance of 1 "to" alone. Two different names are
    drawn, in either order, and either one gives; candidates are these two.

    Baseline: half of the answers are right by chance; the cross-entropy over the candidates is
    ln 2 nats.

    Args:
        distance: words between cue and answer, at least 1.
        fillers: words to fill with.
        names: at least two.

    Raises:
        SettingError: as :class:`CuedSentences` says.
    """

    names: tuple[str, ...] = tuple(_NAMES.split())

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy over the candidates in nats, and accuracy, of a uniform guess."""
        return Baseline(math.log(2), 0.5)

    def _keys(self) -> tuple[str, ...]:
        return self.names

    def _frame(self) -> tuple[tuple[str, ...], ...]:
        return ("and", "met", "and"), ("gave",), ("to",)

    def _case(self, chance: np.random.Generator) -> _Case:
        first, second = (self.names[n] for n in chance.choice(len(self.names), 2, replace=False))
        giver, other = (first, second) if chance.integers(2) else (second, first)
        link, met, then = self._frame()[0]
        return _Case((first, link, second, met, then, giver), other, (first, second))
