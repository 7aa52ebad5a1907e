"""Forms of English words: which words of a list are the same noun, verb or adjective."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recurra.pipeline.correction.confused import CLOSED, IRREGULAR

__all__ = ["Inflections"]

_SHORTEST = (
    3  # letters of a word that rules inflect; shorter ones are little words, or in the table
)
_VOWELS = "aeiou"


class Inflections:
    """Which words of a list are forms of one another, by rules and a table of exceptions.

    Args:
        words: of which forms are known.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._families: dict[str, set[str]] = {}
        for line in IRREGULAR.replace("\n", ";").split(";"):
            for lemma in line.split()[:1]:
                self._join(lemma, [*line.split()[1:], *_regular(lemma)])
        for lemma in self._words - CLOSED:
            if len(lemma) >= _SHORTEST and lemma.isalpha():
                self._join(lemma, _regular(lemma))

    def _join(self, lemma: str, forms: Iterable[str]) -> None:
        known = {form for form in (lemma, *forms) if form in self._words}
        for form in known:
            self._families.setdefault(form, set()).update(known)

    def of(self, word: str) -> list[str]:
        """The other forms of a word in small letters, sorted; none of a word that is not known."""
        return sorted(self._families.get(word, set()) - {word})


def _regular(lemma: str) -> Iterator[str]:
    """What the rules of spelling make with -s, -ed, -ing, -ly and -er."""
    before, last = lemma[-2:-1], lemma[-1]
    if last == "y" and before not in _VOWELS:
        stem = lemma[:-1] + "i"
        yield from (stem + "es", stem + "ed", lemma + "ing", stem + "ly", stem + "er")
        return
    hissing = lemma.endswith(("s", "x", "z", "ch", "sh", "o"))
    yield lemma + ("es" if hissing else "s")
    yield lemma + "ly"
    if last == "e":
        yield from (lemma + "d", lemma[:-1] + "ing", lemma + "r")
        return
    yield from (lemma + "ed", lemma + "ing", lemma + "er")
    if last not in "aeiouwxy" and before in _VOWELS and lemma[-3:-2] not in _VOWELS:
        yield from (lemma + last + "ed", lemma + last + "ing", lemma + last + "er")
