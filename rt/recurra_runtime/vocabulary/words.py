"""One id for each word, and what a word is."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np

from recurra_runtime.vocabulary.base import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    Ids,
    checked,
    listed,
    several,
)

__all__ = ["Normalizer", "WordVocabulary"]

# Marks with a space in front of them, or behind them, unless their category says otherwise; the
# last come in pairs: the first of a pair opens, the second closes.
_CLOSING = frozenset(",.;:!?)]}%…\u2019\u201d»\u203a")
_OPENING = frozenset("([{$£€#¿¡\u2018\u201c«\u2039")
_JOINING = frozenset("-/\u2010\u2011\u2013\u2014")  # hyphens and dashes
_PAIRED = frozenset("\"'_*")
_APART = frozenset("&@\\§¶†‡•·※")  # other punctuation that stands between spaces, as symbols do
_SPACED, _GLUED = " ", "\t"
_BREAKS = {"none": "", "lines": "\n", "paragraphs": "\n\n"}
_BLANK_LINES = re.compile(r"\n\s*\n\s*")
_SHORT = 64  # characters of what is worth remembering
_MOST = 1 << 17  # of which so many are remembered, some 30 MB
_COUNTED = 1 << 23  # characters whose chunks are counted at a time

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Normalizer:
    r"""How a text falls into words, and how words become a text again.

    White space parts words and is no word itself, but for the breaks asked for. ``<unk>`` in a text
    stays one word. A mark where it usually stands is a word as it is, ``","`` behind a word and in
    front of a space; elsewhere it is a word of three characters, a space or (where there is none) a
    tab on both sides of it. So words become the text again that they were, whatever the script, but
    for these: a run of white space is one space, or the breaks in it, and there is none at the ends
    and beside breaks; upper case is lost where ``lower`` is asked for; and a letter that touches
    ``<unk>`` is parted from it.

    Args:
        lower: all letters become lower case.
        punctuation: each punctuation mark and symbol is a word of its own; an apostrophe between
            letters, and a point or comma between digits, stay inside their word. If not, words are
            what stands between white space, for texts that were split before.
        breaks: ``"paragraphs"`` makes one word, ``"\n\n"``, of the blank lines between two
            paragraphs; ``"lines"`` makes a word, ``"\n"``, of every line end; ``"none"`` makes
            line ends spaces.

    Raises:
        ValueError: a setting it cannot take.
    """

    lower: bool = False
    punctuation: bool = True
    breaks: Literal["none", "lines", "paragraphs"] = "none"

    def __post_init__(self) -> None:
        if self.breaks not in _BREAKS:
            raise ValueError(
                f"normalizer: expected breaks 'none', 'lines' or 'paragraphs', got {self.breaks!r}"
            )
        for name in ("lower", "punctuation"):
            if not isinstance(getattr(self, name), bool):
                got = getattr(self, name)
                raise ValueError(f"normalizer: expected {name} true or false, got {got!r}")

    @property
    def mark(self) -> str:
        """The word of a break; empty if there is none."""
        return _BREAKS[self.breaks]

    def split(self, text: str) -> list[str]:
        """The words of a text; :meth:`join` makes the text of them again."""
        words = _Remembered(self._words)
        return list(chain.from_iterable(map(words.__getitem__, self._chunks(text))))

    def tokens(self, text: str) -> list[str]:
        """The words of a text, marks as they are wherever they stand."""
        return list(chain.from_iterable(map(self._parts, self._chunks(text))))

    def join(self, words: Iterable[str]) -> str:
        """The text of words."""
        return "".join(map(self.writer(), words))

    def _chunks(self, text: str) -> Iterator[str]:
        """What stands between white space, and the breaks asked for.

        White space hides what is behind it, so the words of a chunk are the same wherever it
        stands: what is done once for each different one is done for all. They are made line by
        line, since most of the time goes where they do not stay in the processor's cache.
        """
        if self.lower:
            text = text.lower()
        if self.breaks == "paragraphs":
            text = _BLANK_LINES.sub("\n\n", text)
        rows = map(str.split, text.split(self.mark or "\n"))
        return chain.from_iterable(_between(rows, [self.mark]) if self.mark else rows)

    def _parts(self, chunk: str) -> list[str]:
        """The words of a chunk, marks as they are wherever they stand."""
        return _finder()(chunk) if self.punctuation and chunk != self.mark else [chunk]

    def _words(self, chunk: str) -> list[str]:
        """The words of a chunk, marks by what is beside them."""
        parts = self._parts(chunk)
        alone = len(parts) == 1 and len(chunk) > 1  # no mark, and that is what most are
        return parts if alone or not self.punctuation else list(_placed(parts))

    def writer(self) -> Callable[[str], str]:
        """A function from one word to its text, with the space that belongs before it."""
        glued = True
        opened: set[str] = set()

        def write(word: str) -> str:
            nonlocal glued
            if word == self.mark:
                glued = True
                opened.clear()
                return word
            left = right = False
            if self.punctuation:
                if _tells_place(word):
                    left, right = word[0] == _GLUED, word[2] == _GLUED
                    word = word[1]
                elif word in _PAIRED:  # of a vocabulary that does not tell where they stand
                    left, right = word in opened, word not in opened
                    opened.symmetric_difference_update([word])
                elif len(word) == 1:
                    left, right = _usual(word)
            space = "" if left or glued else " "
            glued = right
            return space + word

        return write


def _between(rows: Iterator[list[str]], one: list[str]) -> Iterator[list[str]]:
    """Rows, and one between each two of them."""
    yield next(rows)
    for row in rows:
        yield one
        yield row


def _placed(parts: list[str]) -> Iterator[str]:
    """The parts of a chunk, marks by what is beside them.

    That two marks touch is said by the second, unless the first usually touches what follows.
    """
    left = touches = False  # whether something is beside it, and says that it touches
    for word, after in zip(parts, [*parts[1:], ""], strict=True):
        right = False
        if _is_mark(word):
            if touches:
                left = _usual(word)[0]
            right = bool(after)
            if _is_mark(after):
                right = not left if word in _PAIRED else _usual(word)[1]
            word = _as_it_stands(word, left, right)
        yield word
        left, touches = True, right


def _tells_place(word: str) -> bool:
    """Whether a word is a mark that tells what is beside it."""
    return len(word) == 3 and word[0] in " \t" and word[2] in " \t"


@functools.lru_cache(1 << 12)
def _as_it_stands(mark: str, left: bool, right: bool) -> str:
    """A mark, with what is beside it unless that is as usual."""
    if mark not in _PAIRED and (left, right) == _usual(mark):
        return mark
    return (_GLUED if left else _SPACED) + mark + (_GLUED if right else _SPACED)


def _opens(text: str) -> bool:
    """Whether a text ends in a mark that what comes next will touch."""
    mark, before = text[-1], text[-2:-1]
    if mark in _PAIRED:
        return not before or before.isspace() or _usual(before)[1]
    return _usual(mark)[1]


@functools.lru_cache(1 << 12)
def _usual(character: str) -> tuple[bool, bool]:
    """Whether a character usually touches what is before it, and what is behind it."""
    kind = unicodedata.category(character)
    if kind[0] not in "PS":
        return False, False
    if unicodedata.east_asian_width(character) in "WF":  # where no space parts words
        return (True, True) if kind[0] == "P" else (False, False)
    if character in _JOINING or (kind == "Pd" and character not in _PAIRED):
        return True, True
    if character in _OPENING or character in _PAIRED or kind in ("Ps", "Pi", "Sc"):
        return False, True
    if character in _CLOSING or kind in ("Pe", "Pf"):
        return True, False
    return kind == "Po" and character not in _APART, False


@functools.cache
def _finder() -> Callable[[str], list[str]]:
    """What finds the words and marks of a chunk."""
    marks = _punctuation()
    # Whatever is neither space nor mark belongs to words: the vowel signs of Indian scripts too,
    # which Python's \w leaves out.
    word = rf"[^\s{marks}]"
    inner = rf"(?:['\u2019]|(?<=\d)[.,](?=\d)){word}+"
    return re.compile(rf"{RESERVED[UNKNOWN]}|{word}+(?:{inner})*|[{marks}]").findall


def _is_mark(word: str) -> bool:
    return len(word) == 1 and unicodedata.category(word)[0] in "PS"


@functools.cache
def _punctuation() -> str:
    """Unicode's punctuation and symbols, as ranges for a pattern; there are none beyond plane 1."""
    places = [n for n in range(0x20000) if unicodedata.category(chr(n))[0] in "PS"]
    runs = itertools.groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(run) for _, run in runs)]
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ends)


class _Remembered(dict[str, _T], Generic[_T]):
    """What a function says of short texts, each of which it is asked about once.

    Args:
        function: what is asked.
    """

    def __init__(self, function: Callable[[str], _T]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, text: str) -> _T:
        """Ask, and remember."""
        found = self.function(text)
        if len(text) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[text] = found
        return found


def _counted(texts: Iterable[str], rules: Normalizer) -> Counter[str]:
    """How often each word occurs in some texts."""
    counts: Counter[str] = Counter()
    words = _Remembered(rules._words)
    for chunks in _counted_chunks(texts, rules):
        for chunk, times in chunks.items():
            for word in words[chunk]:
                counts[word] += times
    return counts


def _counted_chunks(texts: Iterable[str], rules: Normalizer) -> Iterator[Counter[str]]:
    """How often each chunk occurs, in some texts after the other."""
    counts: Counter[str] = Counter()
    length = 0
    for text in several(texts):
        counts.update(rules._chunks(text))
        length += len(text)
        if length > _COUNTED:
            yield counts
            counts, length = Counter(), 0
    yield counts


class WordVocabulary:
    """One id for each known word; all others are ``<unk>``.

    The normalizer is a part of the vocabulary and is saved with it, so that all models which are
    compared see the same words.

    Args:
        words: the known words, each once; their ids follow the reserved ones in order. The mark of
            a break is one of them.
        normalizer: how a text falls into words.

    Raises:
        ValueError: a word twice, a reserved one, or one that the normalizer never makes.
    """

    kind: ClassVar[str] = "words"

    def __init__(self, words: Iterable[str], normalizer: Normalizer | None = None) -> None:
        self.words = tuple(words)
        self.normalizer = normalizer or Normalizer()
        for word in self.words:
            if not isinstance(word, str) or word in RESERVED:
                raise ValueError(f"vocabulary: expected words, none reserved, got {word!r}")
        # All at once is quick, and tells that one is wrong; which one is looked for only then.
        plain = [word for word in self.words if not self._is_placed(word)]
        self._places = len(plain) < len(self.words)
        if self.normalizer.tokens(" ".join(plain)) != plain:
            for word in plain:
                if self.normalizer.tokens(word) != [word]:
                    raise ValueError(
                        f"vocabulary: expected words as {self.normalizer} makes them, got {word!r}"
                    )
        self._ids = {word: number for number, word in enumerate(self.words, len(RESERVED))}
        if len(self._ids) < len(self.words):
            raise ValueError("vocabulary: expected each word once, got one twice")
        self._raw_ids = _Remembered(self._encoded)

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        *,
        size: int | None = None,
        minimum: int = 1,
        normalizer: Normalizer | None = None,
    ) -> Self:
        """The words that occur at least ``minimum`` times in some texts, most frequent first.

        Args:
            texts: they are read once and not kept.
            size: number of ids at most, reserved ones included. The mark of a break is known in
                any case; the most frequent words share what it leaves.
            minimum: words that occur less often are left out.
            normalizer: how a text falls into words.

        Raises:
            ValueError: a minimum below 1, or a size below 3, the reserved ids; below 4 where there
                is the mark of a break.
        """
        if minimum < 1:
            raise ValueError(f"vocabulary: expected a minimum of at least 1, got {minimum}")
        normalizer = normalizer or Normalizer()
        mark = normalizer.mark
        least = len(RESERVED) + bool(mark)
        if size is not None and size < least:
            beside = " and the mark of a break" if mark else ""
            raise ValueError(
                f"vocabulary: expected a size of at least {least}, the {len(RESERVED)} reserved "
                f"ids{beside}, got {size}"
            )
        counts = _counted(texts, normalizer)
        if mark:
            counts[mark] += minimum
        known = [
            (-count, word)
            for word, count in counts.items()
            if count >= minimum and word not in RESERVED
        ]
        words = [word for _, word in sorted(known)]
        if size is not None:
            words, rest = words[: size - len(RESERVED)], words[size - len(RESERVED) :]
            if mark in rest:
                words[-1] = mark
        return cls(words, normalizer)

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self.words)

    def encode(self, text: str) -> Ids:
        """Ids of a text's words, ``[words]``; words that are not known become ``<unk>``."""
        raw = b"".join(map(self._raw_ids.__getitem__, self.normalizer._chunks(text)))
        return np.frombuffer(raw, np.int64).copy()

    def encode_begun(self, text: str, *, touching: bool = False) -> Ids:
        """Ids of a text that goes on.

        Args:
            text: if it ends in a mark that usually touches what follows, it does.
            touching: whether what follows begins with a letter, without a space in front of it.
        """
        ids = self.encode(text)
        if not (text and _is_mark(text[-1]) and (touching or _opens(text))):
            return ids
        longer = self.encode(text + "x")
        return longer[:-1] if len(longer) == len(ids) + 1 else ids

    def split(self, text: str) -> list[str]:
        """The words of a text, a mark as it is where only that is known.

        A vocabulary without any place of a mark, as older ones are, has marks as they are.
        """
        return list(chain.from_iterable(map(self._words, self.normalizer._chunks(text))))

    def _words(self, chunk: str) -> list[str]:
        if not self._places:
            return self.normalizer._parts(chunk)
        known = self._ids
        return [
            word[1] if _tells_place(word) and word not in known and word[1] in known else word
            for word in self.normalizer._words(chunk)
        ]

    def _encoded(self, chunk: str) -> bytes:
        """The ids of a chunk as they stand in memory, which are put together fastest."""
        return array("q", [self._ids.get(word, UNKNOWN) for word in self._words(chunk)]).tobytes()

    def _is_placed(self, word: str) -> bool:
        rules = self.normalizer
        return rules.punctuation and _tells_place(word) and _is_mark(word[1])

    def decode(self, ids: Iterable[int]) -> str:
        """A readable text of ids, with spaces where they belong; start and end become nothing."""
        return "".join(map(self.writer(), ids))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its text, with the space that belongs before it."""
        spaced = self.normalizer.writer()

        def write(index: int) -> str:
            index = checked(index, len(self))
            return "" if index in (START, END) else spaced(self._word(index))

        return write

    def symbol(self, index: int) -> str:
        """How to show one id: the word, ``¶`` for a break, or the reserved name.

        A mark that is not where it usually stands has ``␣`` where a space is beside it.
        """
        word = self._word(checked(index, len(self)))
        if self._is_placed(word):
            return word.replace(_SPACED, "␣").replace(_GLUED, "")
        return "¶" if word == self.normalizer.mark else word

    def raw(self, index: int) -> bytes:
        """UTF-8 of a word, without a space; nothing of a reserved id. A lone surrogate passes."""
        index = checked(index, len(self))
        word = "" if index < len(RESERVED) else self._word(index)
        return (word[1] if self._is_placed(word) else word).encode("utf-8", "surrogatepass")

    def _word(self, index: int) -> str:
        return RESERVED[index] if index < len(RESERVED) else self.words[index - len(RESERVED)]

    def to_json(self) -> dict[str, Any]:
        """Kind, normalizer and words."""
        rules = dataclasses.asdict(self.normalizer)
        return {"kind": self.kind, "normalizer": rules, "words": list(self.words)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        words, rules = listed(data, "words"), data.get("normalizer")
        names = {field.name for field in dataclasses.fields(Normalizer)}
        if not isinstance(rules, dict) or set(rules) != names:
            raise ValueError(
                f"vocabulary: expected 'normalizer' with {', '.join(sorted(names))}, got {rules!r}"
            )
        return cls(words, Normalizer(**rules))
