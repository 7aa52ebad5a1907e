"""How the symbols of a vocabulary spell a text that goes on: what each kind does its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from recurra.pipeline.words import WordRule
from recurra_runtime.vocabulary import (
    BytePairVocabulary,
    CharacterVocabulary,
    Ids,
    Vocabulary,
    WordVocabulary,
)

__all__ = ["Spelling", "spelling_of"]

_LONGEST_PREFIX = 32  # characters of a word that symbols spell anew; a longer one is read as it is


class Spelling:
    """Symbols that stay the same whatever comes next, such as bytes: a text is read as it is typed.

    Args:
        vocabulary: of the symbols.

    Attributes:
        rule: what of a text is one word.
        line_break: the symbol that parts lines, where line ends are words; else a line is a
            document.
        whole: whether a symbol is a whole word.
        ways: whether several texts of symbols may spell one word, or none whole characters.
        hint: the setting of a training with which no symbol is unknown; empty if none helps.
    """

    line_break: int | None = None
    whole, ways = False, True
    hint = "data.vocabulary=bytes"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary: Any = vocabulary
        self.rule = WordRule()

    def encode_begun(self, text: str, *, touching: bool) -> Ids:
        """Ids of a text that goes on; ``touching`` if with a letter and no space before it."""
        ids: Ids = self._vocabulary.encode(text)
        return ids

    def split(self, text: str) -> Iterable[str]:
        """What of a text an id may stand for."""
        return text

    def writer(self, after: str) -> Callable[[int], str]:
        """A function from one id to its text, the first of which follows ``after``."""
        write: Callable[[int], str] = self._vocabulary.writer()
        return write

    def known(self, word: str) -> str:
        """A word as the vocabulary has it."""
        return word

    def unfinished(self, text: str) -> str:
        """The end of a text that need not be known yet."""
        return ""

    def cut(self, text: str) -> tuple[int, int]:
        """Up to where a text settles, and up to where symbols can be read for now.

        Text settles where its symbols are the same whatever is typed next, so typing in pieces or
        at once reads the same symbols.
        """
        return len(text), len(text)


class Characters(Spelling):
    """A symbol is a character."""

    ways = False


class BytePairs(Spelling):
    """A symbol is some bytes, often with the space before a word; the last word may change."""

    def cut(self, text: str) -> tuple[int, int]:
        """As of :class:`Spelling`."""
        before = len(text) - len(self.rule.current(text))
        if len(text) - before > _LONGEST_PREFIX:
            return len(text), len(text)
        # The space before a word is a part of its first symbol.
        body = text.rstrip()
        settled = len(body) if len(body) < len(text) else max(_last_begin(body) - 1, 0)
        return settled, before - (before > settled and text[before - 1].isspace())


class Words(Spelling):
    """A symbol is a word or a mark; white space is none."""

    whole, hint = True, ""

    def __init__(self, vocabulary: WordVocabulary) -> None:
        super().__init__(vocabulary)
        normalizer = vocabulary.normalizer
        self.rule, self._lower = WordRule(normalizer.punctuation), normalizer.lower
        if normalizer.mark == "\n":
            self.line_break = int(vocabulary.encode("\n")[0])

    def encode_begun(self, text: str, *, touching: bool) -> Ids:
        """As of :class:`Spelling`."""
        ids: Ids = self._vocabulary.encode_begun(text, touching=touching)
        return ids

    def split(self, text: str) -> Iterable[str]:
        """As of :class:`Spelling`."""
        words: Iterable[str] = self._vocabulary.split(text)
        return words

    def writer(self, after: str) -> Callable[[int], str]:
        """As of :class:`Spelling`, with the space that belongs between it and ``after``."""
        write = super().writer(after)
        for index in self.encode_begun(after, touching=False).tolist():
            write(index)
        spaced = not after or after[-1].isspace()

        def written(index: int) -> str:
            nonlocal spaced
            text = write(index)
            if spaced and text:
                text, spaced = text.removeprefix(" "), False
            return text

        return written

    def known(self, word: str) -> str:
        """As of :class:`Spelling`."""
        return word.lower() if self._lower else word

    def unfinished(self, text: str) -> str:
        """As of :class:`Spelling`."""
        return self.rule.current(text)

    def cut(self, text: str) -> tuple[int, int]:
        """As of :class:`Spelling`; white space at the end may still become a break."""
        return _last_begin(text.rstrip()), len(text) - len(self.rule.current(text))


def _last_begin(body: str) -> int:
    """Where what stands behind the last white space begins."""
    return next((i + 1 for i in range(len(body) - 1, -1, -1) if body[i].isspace()), 0)


_KINDS: dict[Any, type[Spelling]] = {
    CharacterVocabulary: Characters,
    BytePairVocabulary: BytePairs,
    WordVocabulary: Words,
}


def spelling_of(vocabulary: Vocabulary) -> Spelling:
    """How its symbols spell; those of a vocabulary of no known kind spell as bytes do."""
    made = next((_KINDS[kind] for kind in _KINDS if isinstance(vocabulary, kind)), Spelling)
    return made(vocabulary)
