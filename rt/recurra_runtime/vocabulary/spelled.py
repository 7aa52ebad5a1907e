"""Words with the letters inside: a number for each word that is known, and how each is spelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from recurra_runtime.vocabulary.base import RESERVED, UNKNOWN, Ids, listed
from recurra_runtime.vocabulary.characters import CharacterVocabulary
from recurra_runtime.vocabulary.words import Normalizer

__all__ = ["Spelled", "SpelledWords"]

_MOST = 1 << 17  # spellings that are remembered
_MARKS = Normalizer()
_APOSTROPHES = "'\u2019"


class Spelled(NamedTuple):
    """Words of a sentence, or of several beside each other.

    Args:
        ids: numbers of the words ``[time]``, :data:`UNKNOWN` where one is not known.
        letters: numbers of their letters ``[time, letters]``; 0 behind the last.
    """

    ids: Any
    letters: Any


class SpelledWords:
    """Words that were parted before: each has an id, and letters that tell of unknown ones.

    A word is any text, white space and all. Known words may be looked up in lower case; letters
    keep their case in any case. Of a word of more than :attr:`LONGEST` letters the first and last
    half as many are read.

    Args:
        words: the known ones, each once; their ids follow the reserved ones in order.
        characters: the known letters.
        lower: whether words are looked up in lower case.
        punctuation: whether :meth:`split` parts marks from words.

    Raises:
        ValueError: something that is no text, a word twice, or one that is not in lower case.
    """

    kind: ClassVar[str] = "spelled-words"
    LONGEST: ClassVar[int] = 24

    def __init__(
        self,
        words: Iterable[str],
        characters: CharacterVocabulary,
        *,
        lower: bool = True,
        punctuation: bool = True,
    ) -> None:
        self.words, self.characters = tuple(words), characters
        self.lower, self.punctuation = lower, punctuation
        for name, flag in (("lower", lower), ("punctuation", punctuation)):
            if not isinstance(flag, bool):
                raise ValueError(f"spelled words: expected {name} true or false, got {flag!r}")
        for word in self.words:
            if not isinstance(word, str) or (lower and word != word.lower()):
                case = " in lower case" if lower else ""
                raise ValueError(f"spelled words: expected words of text{case}, got {word!r}")
        self._ids = {word: number for number, word in enumerate(self.words, len(RESERVED))}
        if len(self._ids) < len(self.words):
            raise ValueError("spelled words: expected each word once, got one twice")
        self._spellings: dict[str, Ids] = {}

    @classmethod
    def of(
        cls,
        sentences: Iterable[Iterable[str]],
        *,
        size: int | None = None,
        minimum: int = 1,
        lower: bool = True,
        punctuation: bool = True,
    ) -> Self:
        """The words that occur at least ``minimum`` times, most frequent first, and all letters.

        Args:
            sentences: each of words.
            size: number of ids at most, reserved ones included.
            minimum: words that occur less often are not known; their letters are.
            lower: whether words are looked up in lower case.
            punctuation: whether :meth:`split` parts marks from words.

        Raises:
            ValueError: a minimum below 1, or a size below that of the reserved ids.
        """
        if minimum < 1:
            raise ValueError(f"spelled words: expected a minimum of at least 1, got {minimum}")
        if size is not None and size < len(RESERVED):
            raise ValueError(
                f"spelled words: expected a size of at least {len(RESERVED)}, the reserved ids, "
                f"got {size}"
            )
        seen = Counter(word for sentence in sentences for word in sentence)
        counts: Counter[str] = Counter()
        for word, count in seen.items():
            counts[word.lower() if lower else word] += count
        known = sorted((-count, word) for word, count in counts.items() if count >= minimum)
        room = None if size is None else size - len(RESERVED)
        letters = CharacterVocabulary.of(seen)
        words = (word for _, word in known[:room])
        return cls(words, letters, lower=lower, punctuation=punctuation)

    def __len__(self) -> int:
        """Number of ids of words, reserved ones included."""
        return len(RESERVED) + len(self.words)

    @property
    def letters(self) -> int:
        """Number of ids of letters: 0 is none, 1 an unknown one."""
        return len(self.characters) + 1

    def encode(self, words: Iterable[str]) -> Spelled:
        """Words of a sentence; letters ``[time, longest]``, as many as its longest word has."""
        every = list(words)
        known = self._ids
        ids = [known.get(self._looked_up(word), UNKNOWN) for word in every]
        spellings = [self._spelling(word) for word in every]
        letters = np.zeros((len(every), max(map(len, spellings), default=0)), np.int64)
        for row, spelling in zip(letters, spellings, strict=True):
            row[: len(spelling)] = spelling
        return Spelled(np.array(ids, np.int64), letters)

    def split(self, text: str) -> list[str]:
        """The words of a text, parted as the known ones are as far as that can be seen.

        What stands between white space is a word if it is known (``U.S.``). Else it falls into
        words and marks as :class:`Normalizer` has it, of which as many as are a known word together
        are one (``...``). What is left, has an apostrophe and is not known becomes two words where
        the longest end with the apostrophe in it is known, and so is the beginning if one is
        (``do n't``, ``Anna 's``). Where marks are not parted, white space alone parts words.
        """
        chunks = text.split()
        if not self.punctuation:
            return chunks
        return [word for chunk in chunks for word in self._chunk(chunk)]

    def _chunk(self, chunk: str) -> Iterator[str]:
        parts = [chunk] if self._knows(chunk) else _MARKS.tokens(chunk)
        at = 0
        while at < len(parts):
            ends = range(len(parts), at + 1, -1)
            end = next((end for end in ends if self._knows("".join(parts[at:end]))), at + 1)
            word = "".join(parts[at:end])
            yield from (word,) if end > at + 1 or self._knows(word) else self._parted(word)
            at = end

    def _parted(self, word: str) -> tuple[str, ...]:
        """A word that is not known, or two words, the second with the apostrophe in it."""
        places = [place for place, letter in enumerate(word) if letter in _APOSTROPHES]
        if not places:
            return (word,)
        cuts = range(1, places[-1] + 1)
        ends = [cut for cut in cuts if self._knows(word[cut:])]
        cut = next((cut for cut in ends if self._knows(word[:cut])), next(iter(ends), 0))
        return (word[:cut], word[cut:]) if cut else (word,)

    def _knows(self, word: str) -> bool:
        return self._looked_up(word) in self._ids

    def _looked_up(self, word: str) -> str:
        return word.lower() if self.lower else word

    def _spelling(self, word: str) -> Ids:
        found = self._spellings.get(word)
        if found is None:
            half = self.LONGEST // 2
            read = word if len(word) <= self.LONGEST else word[:half] + word[-half:]
            found = self.characters.encode(read) + 1
            if len(self._spellings) >= _MOST:
                self._spellings.clear()
            self._spellings[word] = found
        return found

    def to_json(self) -> dict[str, Any]:
        """Kind, case, words and letters."""
        return {
            "kind": self.kind,
            "lower": self.lower,
            "punctuation": self.punctuation,
            "words": list(self.words),
            "characters": list(self.characters.characters),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        characters = CharacterVocabulary(listed(data, "characters"))
        flags: dict[str, Any] = {name: data.get(name) for name in ("lower", "punctuation")}
        return cls(listed(data, "words"), characters, **flags)
