"""Which known words a misspelled one may stand for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["Speller", "damerau_levenshtein"]

_FARTHEST = 2
_SHORT = 4  # letters of a word up to which two changes leave too little of it


def damerau_levenshtein(left: str, right: str) -> int:
    """Fewest letters to insert, delete, change, or to swap with the next one.

    No letter is changed twice (optimal string alignment; Damerau 1964).
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, above, row = row, before, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


class Speller:
    """The words of a list that are at most two changes away from another one.

    Args:
        words: in small letters, the most frequent first.
        most: how many are offered.
    """

    def __init__(self, words: Iterable[str], most: int = 8) -> None:
        self._words = [word for word in words if _plain(word)]
        self._known, self._most = frozenset(self._words), most
        self._letters = np.zeros((len(self._words), 26), np.int8)
        for row, word in zip(self._letters, self._words, strict=True):
            row[:] = _letters(word)
        self._found: dict[str, list[tuple[str, int]]] = {}

    def near(self, word: str) -> list[tuple[str, int]]:
        """Words near one in small letters with their distance, the nearest and most frequent first.

        Two words written as one ("alot") are among them; another first letter, which is rare,
        counts as one change more.
        """
        if word not in self._found:
            self._found[word] = [*self._close(word), *self._parts(word)]
        return self._found[word]

    def _close(self, word: str) -> list[tuple[str, int]]:
        if not (_plain(word) and len(word) > 1):
            return []
        farthest = _FARTHEST if len(word) > _SHORT else 1
        # A change moves at most two letters of the bag, so few words are left to be compared.
        apart = np.abs(self._letters - _letters(word)).sum(1, dtype=np.int16)
        places = np.flatnonzero(apart <= 2 * farthest).tolist()
        ranked = [(damerau_levenshtein(word, self._words[place]), place) for place in places]
        ranked = [
            (distance + (self._words[place][0] != word[0]), place)
            for distance, place in ranked
            if 0 < distance <= farthest
        ]
        return [(self._words[place], far) for far, place in sorted(ranked)[: self._most]]

    def _parts(self, word: str) -> list[tuple[str, int]]:
        cuts = ((word[:at], word[at:]) for at in range(1, len(word)))
        return [
            (f"{left} {right}", 1)
            for left, right in cuts
            if left in self._known
            and right in self._known
            and (len(left) > 1 or left in "ai")
            and len(right) > 1
        ]


def _letters(word: str) -> npt.NDArray[np.int8]:
    """How often each letter stands in a word."""
    codes = np.frombuffer(word.encode(), np.uint8) - ord("a")
    return np.bincount(codes, minlength=26)[:26].astype(np.int8)


def _plain(word: str) -> bool:
    return word.isascii() and word.isalpha() and word.islower()
