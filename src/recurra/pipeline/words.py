"""Where words begin and end, in a text and among the symbols of a vocabulary."""

from __future__ import annotations

import dataclasses
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable

import torch
from torch import Tensor

from recurra_runtime.vocabulary import END, RESERVED, START, UNKNOWN, Vocabulary

__all__ = ["Pieces", "WordRule"]

_APOSTROPHES = "'\u2019"
# Lead bytes of two and of three whose characters are, but for rare ones, punctuation and symbols.
_PUNCTUATION_LEADS = (0xC2, 0xE2)


@dataclasses.dataclass(frozen=True)
class WordRule:
    """What of a text is one word.

    Args:
        punctuation: a word is a letter or digit, and the letters, digits and apostrophes that
            follow. If not, it is whatever stands between white space.
    """

    punctuation: bool = True

    def inside(self, character: str, begun: bool) -> bool:
        """Whether a character belongs to a word that has begun, or begins one."""
        if not self.punctuation:
            return not character.isspace()
        if character in _APOSTROPHES:
            return begun
        return character.isalnum() or unicodedata.category(character)[0] == "M"

    def current(self, text: str) -> str:
        """The word that a text ends in, perhaps unfinished; empty if it ends between words."""
        start = len(text)
        while start and self.inside(text[start - 1], True):
            start -= 1
        while start < len(text) and not self.inside(text[start], False):
            start += 1
        return text[start:]

    def rest(self, text: str, start: int, begun: bool) -> str:
        """What is still to come at ``text[start]`` of a word that has begun, or not."""
        stop = start
        while stop < len(text) and self.inside(text[stop], begun or stop > start):
            stop += 1
        return text[start:stop]


class Pieces:
    """The symbols of a vocabulary as bytes, and what each can be in a word and a line.

    Args:
        vocabulary: of characters, bytes, byte pairs or words.
        rule: what of a text is one word.

    Attributes:
        raw: bytes of each symbol; empty for reserved ones.
        sizes: their lengths, int64 ``[v]``.
        usable: all but ``<unk>`` and ``<s>``, bool ``[v]`` like the following.
        inside: what goes on with a word.
        begins: what begins a word.
        breaks: what ends a line, ``</s>`` included.
    """

    def __init__(self, vocabulary: Vocabulary, rule: WordRule = WordRule()) -> None:
        self.rule = rule
        self.raw = [vocabulary.raw(index) for index in range(len(vocabulary))]
        self.sizes = torch.tensor([len(raw) for raw in self.raw])
        self.usable = _mask(index not in (UNKNOWN, START) for index in range(len(self.raw)))
        self.inside = _mask(self._inside(raw, True) for raw in self.raw)
        self.begins = _mask(self._inside(raw, False) for raw in self.raw)
        self.breaks = _mask(b"\n" in raw for raw in self.raw)
        self.breaks[END] = True
        self._order = sorted(range(len(RESERVED), len(self.raw)), key=self.raw.__getitem__)
        self._sorted = [self.raw[index] for index in self._order]

    def starting(self, prefix: bytes) -> list[int]:
        """The symbols whose bytes begin with ``prefix``."""
        first = bisect_left(self._sorted, prefix)
        stop = bisect_left(self._sorted, prefix + b"\xff" * 4, first) if prefix else None
        return [i for i in self._order[first:stop] if self.raw[i].startswith(prefix)]

    def parts(self, text: bytes) -> list[int]:
        """The symbols that ``text`` begins with, itself left out."""
        found = []
        for size in range(1, len(text)):
            place = bisect_left(self._sorted, text[:size])
            if place < len(self._sorted) and self._sorted[place] == text[:size]:
                found.append(self._order[place])
        return found

    def goes_on(self, raw: bytes, begun: bool) -> bool:
        """Whether what is left of a symbol can follow a word, or begin one; nothing left can."""
        return not raw or self._inside(raw, begun)

    def _inside(self, raw: bytes, begun: bool) -> bool:
        if not raw:
            return False
        lead = raw[0]
        size = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        if 0x80 <= lead < 0xC0:  # goes on with a character that began in the symbol before
            return begun
        if len(raw) < size:  # the rest of the character comes with the next symbol
            return lead not in _PUNCTUATION_LEADS
        return self.rule.inside(raw[:size].decode("utf-8", "replace"), begun)


def _mask(values: Iterable[bool]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.bool)
