"""Small edits of an English sentence: what learners confuse, word forms, and spelling."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from recurra.pipeline.correction.confused import (
    ADDED,
    ARTICLES,
    DELETED,
    NO_ARTICLE,
    PREPOSITIONS,
    SETS,
    WRITTEN,
)
from recurra.pipeline.correction.inflections import Inflections
from recurra.pipeline.correction.misspelling import Speller

__all__ = ["Change", "Confusions"]

_WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*|['\u2019](?:s|m|re|ve|ll|d|t)\b")
_APART = re.compile(r"(?:^|\s)[.,!?;:](?:\s|$)")  # marks are words of their own
_FARTHER = 2.0  # nats of each change of a letter beyond the first
_LEFT_OUT = 2.0  # nats of a word too much: without it, a sentence is more probable anyway
_SHARED: dict[str, set[str]] = {}
for _group in SETS:
    for _word in _group:
        _SHARED.setdefault(_word, set()).update({*_group} - {_word})


@dataclasses.dataclass(frozen=True)
class Change:
    """A small edit of a text.

    Args:
        start: where it begins, in characters.
        end: where what is replaced ends.
        new: what stands there instead.
        cost: how much rarer this mistake is than others, in nats.
    """

    start: int
    end: int
    new: str
    cost: float = 0.0

    def of(self, text: str) -> str:
        """The text with it."""
        return text[: self.start] + self.new + text[self.end :]


class Confusions:
    """All small edits of a sentence that a model chooses among.

    Args:
        words: in small letters, the most frequent first; what is among them is spelled well.
    """

    def __init__(self, words: Iterable[str]) -> None:
        listed = list(dict.fromkeys(words))
        self._known = frozenset(listed)
        self._forms, self._speller = Inflections(listed), Speller(listed)

    def changes(self, text: str) -> list[Change]:
        """Changes of one word, mark or gap, by place."""
        apart = _APART.search(text) is not None
        words = list(_WORD.finditer(text))
        found: dict[Change, None] = {}
        for number, word in enumerate(words):
            before = words[number - 1] if number else None
            for new, cost in self._instead(word.group(), first=before is None):
                found[_put(word, new, cost, apart)] = None
            for change in self._around(text, before, word, apart):
                found[change] = None
        return [change for change in found if change.of(text) != text]

    def _instead(self, word: str, *, first: bool) -> Iterator[tuple[str, float]]:
        """Other words for one, with its capital letters, and what each costs."""
        small = word.lower()
        if word != "I":
            yield from ((other, 0.0) for other in WRITTEN.get(small, ()))
        if small in ARTICLES:
            others = [(each, 0.0) for each in ARTICLES if each != small]
        elif self._misspelled(word, small, first):
            others = [(each, _FARTHER * (far - 1)) for each, far in self._speller.near(small)]
        else:
            same = [*sorted(_SHARED.get(small, ())), *self._forms.of(small)]
            others = [(each, 0.0) for each in same]
        for other, cost in others:
            yield _cased(other, word), cost
        if first and word[0].islower():
            yield word[0].upper() + word[1:], 0.0

    def _misspelled(self, word: str, small: str, first: bool) -> bool:
        name = word[0].isupper() and not first
        return not name and small not in self._known and "'" not in word and "-" not in word

    def _around(
        self, text: str, before: re.Match[str] | None, word: re.Match[str], apart: bool
    ) -> Iterator[Change]:
        """A word left out, and a word or comma put in before it."""
        small, start = word.group().lower(), word.start()
        if small in DELETED:
            yield _without(text, word)
        gap = text[before.end() : start] if before else ""
        if before is not None and gap == " ":
            comma = " , " if apart else ", "
            yield Change(before.end(), start, comma)
            if small not in NO_ARTICLE and before.group().lower() not in PREPOSITIONS:
                for added in ADDED:
                    yield Change(start, start, f"{added} ")
        if before is not None and gap.strip() == ",":
            yield Change(before.end(), start, " ")
        if small not in NO_ARTICLE and (before is None or before.group().lower() not in ARTICLES):
            for article in ("a", "an", "the") if before else ("The", "A"):
                if article.lower() != ("a" if small[0] in "aeio" else "an"):
                    begun = word.group() if before else word.group()[0].lower() + word.group()[1:]
                    yield Change(start, word.end(), f"{article} {begun}")


def _put(word: re.Match[str], new: str, cost: float, apart: bool) -> Change:
    """A word instead of another; a clitic stands apart only where marks do."""
    if not apart:
        new = new.replace(" n't", "n't").replace(" '", "'")
    return Change(word.start(), word.end(), new, cost)


def _without(text: str, word: re.Match[str]) -> Change:
    """Left out with the space behind it; what then comes first gets its capital letter."""
    end = word.end() + (text[word.end() : word.end() + 1] == " ")
    if word.group()[0].isupper() and text[end : end + 1].islower():
        return Change(word.start(), end + 1, text[end].upper(), _LEFT_OUT)
    return Change(word.start(), end, "", _LEFT_OUT)


def _cased(word: str, like: str) -> str:
    """A word with the capital letters of another."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word
