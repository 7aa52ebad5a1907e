"""Vocabularies of finished models: text to ids and back, with NumPy alone.

Three ids are reserved in every vocabulary: ``<unk>`` (0), an unknown symbol; ``<s>`` (1), the start
of a document; ``</s>`` (2), its end. There is no pad symbol: padding is never read.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import importlib
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "END",
    "RESERVED",
    "START",
    "UNKNOWN",
    "BytePairVocabulary",
    "ByteVocabulary",
    "CharacterVocabulary",
    "LabelVocabulary",
    "Normalizer",
    "Vocabulary",
    "WordVocabulary",
    "vocabulary_from_json",
]

RESERVED = ("<unk>", "<s>", "</s>")
UNKNOWN = 0
"""Id of ``<unk>``, a symbol that a vocabulary does not know."""
START = 1
"""Id of ``<s>``, which is read before a document's first symbol."""
END = 2
"""Id of ``</s>``, which is predicted after a document's last symbol."""

Ids = npt.NDArray[np.int64]


class Vocabulary(Protocol):
    """What every vocabulary can do."""

    kind: ClassVar[str]

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""

    def encode(self, text: str) -> Ids:
        """Ids of a text, ``[symbols]``, int64, without start and end."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; reserved ids but ``<unk>`` are left out."""

    def writer(self) -> Callable[[int], str]:
        """A function that turns ids into text one by one, as they are drawn."""

    def symbol(self, index: int) -> str:
        """How to show one id."""

    def to_json(self) -> dict[str, Any]:
        """What :func:`vocabulary_from_json` reads."""


class CharacterVocabulary:
    """One id for each character.

    Args:
        characters: the known characters, each once; their ids follow the reserved ones in order.

    Raises:
        ValueError: something that is not one character, or a character twice.
    """

    kind: ClassVar[str] = "characters"

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(characters)
        for position, character in enumerate(self.characters):
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(
                    f"vocabulary: expected single characters, got {character!r} at {position}"
                )
        if len(set(self.characters)) < len(self.characters):
            raise ValueError("vocabulary: expected each character once, got one twice")
        points = np.array([ord(c) for c in self.characters], dtype=np.int64)
        self._order = np.argsort(points, kind="stable")
        self._points = points[self._order]

    @classmethod
    def of(cls, texts: Iterable[str]) -> CharacterVocabulary:
        """The characters of some texts, sorted."""
        found: set[str] = set()
        for text in texts:
            found.update(text)
        return cls(sorted(found))

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self.characters)

    def encode(self, text: str) -> Ids:
        """Ids of a text, ``[characters]``; characters that are not known become ``<unk>``."""
        # "surrogatepass": a lone surrogate, as from a file name, is a character like any other.
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        points = points.astype(np.int64)
        if not self.characters:
            return np.zeros(len(points), dtype=np.int64)
        place = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        known = self._points[place] == points
        return np.where(known, self._order[place] + len(RESERVED), UNKNOWN).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; ``<unk>`` becomes U+FFFD, start and end nothing."""
        return "".join(map(self.writer(), ids))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its text."""

        def write(index: int) -> str:
            index = _checked(index, len(self))
            if index < len(RESERVED):
                return "\ufffd" if index == UNKNOWN else ""
            return self.characters[index - len(RESERVED)]

        return write

    def symbol(self, index: int) -> str:
        """How to show one id: the character, or the reserved name."""
        index = _checked(index, len(self))
        return (RESERVED + self.characters)[index]

    def to_json(self) -> dict[str, Any]:
        """Kind and characters."""
        return {"kind": self.kind, "characters": list(self.characters)}


class LabelVocabulary:
    """One id for each label: a whole text, such as a topic or an author, is one symbol.

    Args:
        labels: the known labels, each once; their ids follow the reserved ones in order.

    Raises:
        ValueError: something that is no text, or a label twice.
    """

    kind: ClassVar[str] = "labels"

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        for label in self.labels:
            if not isinstance(label, str):
                raise ValueError(f"vocabulary: expected labels of text, got {label!r}")
        self._ids = {label: number for number, label in enumerate(self.labels, len(RESERVED))}
        if len(self._ids) < len(self.labels):
            raise ValueError("vocabulary: expected each label once, got one twice")

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelVocabulary:
        """The labels that occur, sorted."""
        return cls(sorted(set(_several(labels))))

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self.labels)

    def encode(self, text: str) -> Ids:
        """The id of one label, ``[1]``; one that is not known becomes ``<unk>``."""
        return np.array([self._ids.get(text, UNKNOWN)], np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The labels of ids, a comma between them; start and end become nothing."""
        return ", ".join(self.symbol(i) for i in ids if i not in (START, END))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its label."""
        return lambda index: "" if index in (START, END) else self.symbol(index)

    def symbol(self, index: int) -> str:
        """How to show one id: the label, or the reserved name."""
        return (RESERVED + self.labels)[_checked(index, len(self))]

    def to_json(self) -> dict[str, Any]:
        """Kind and labels."""
        return {"kind": self.kind, "labels": list(self.labels)}


class ByteVocabulary:
    """One id for each byte of the text's UTF-8: any text, no unknown symbol, 259 ids."""

    kind: ClassVar[str] = "bytes"

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + 256

    def encode(self, text: str) -> Ids:
        """Ids of a text's bytes, ``[bytes]``."""
        raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        return raw.astype(np.int64) + len(RESERVED)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        values = [_checked(i, len(self)) for i in ids]
        raw = bytes(i - len(RESERVED) for i in values if i >= len(RESERVED))
        return raw.decode("utf-8", "replace")

    def writer(self) -> Callable[[int], str]:
        """A function from one id to text: a character appears with the last of its bytes."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")

        def write(index: int) -> str:
            index = _checked(index, len(self))
            return "" if index < len(RESERVED) else decoder.decode(bytes([index - len(RESERVED)]))

        return write

    def symbol(self, index: int) -> str:
        """How to show one id: the byte in hexadecimal, or the reserved name."""
        index = _checked(index, len(self))
        return RESERVED[index] if index < len(RESERVED) else f"0x{index - len(RESERVED):02x}"

    def to_json(self) -> dict[str, Any]:
        """The kind alone."""
        return {"kind": self.kind}


# No space before these, after these, and on neither side; the last come in pairs: the first of a
# pair opens, the second closes.
_CLOSING = frozenset(",.;:!?)]}%…\u2019\u201d»\u203a")
_OPENING = frozenset("([{$£€#¿¡\u2018\u201c«\u2039")
_JOINING = frozenset("-/\u2010\u2011\u2013\u2014")  # hyphens and dashes
_PAIRED = frozenset("\"'_*")
_BREAKS = {"none": "", "lines": "\n", "paragraphs": "\n\n"}
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


@dataclasses.dataclass(frozen=True)
class Normalizer:
    r"""How a text falls into words, and how words become a text again.

    White space parts words and is no word itself, but for the breaks asked for. ``<unk>`` in a text
    stays one word.

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
        """The words of a text."""
        if self.lower:
            text = text.lower()
        if self.breaks == "paragraphs":
            text = _BLANK_LINES.sub("\n\n", text)
        return _word_pattern(self.punctuation, self.mark).findall(text)

    def join(self, words: Iterable[str]) -> str:
        """A text that reads well and falls into the same words."""
        return "".join(map(self.writer(), words))

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
            before, after = True, True
            if self.punctuation:
                closes = word in opened
                before = word not in _CLOSING and word not in _JOINING and not closes
                after = word not in _OPENING and word not in _JOINING
                if word in _PAIRED:
                    opened.symmetric_difference_update([word])
                    after = closes
            space = " " if before and not glued else ""
            glued = not after
            return space + word

        return write


@functools.cache
def _word_pattern(punctuation: bool, mark: str) -> re.Pattern[str]:
    breaks = f"{mark}|" if mark else ""
    if not punctuation:
        return re.compile(rf"{breaks}\S+")
    marks = _punctuation()
    # Whatever is neither space nor mark belongs to words: the vowel signs of Indian scripts too,
    # which Python's \w leaves out.
    word = rf"[^\s{marks}]"
    inner = rf"(?:['\u2019]|(?<=\d)[.,](?=\d)){word}+"
    return re.compile(rf"{breaks}{RESERVED[UNKNOWN]}|{word}+(?:{inner})*|[{marks}]")


@functools.cache
def _punctuation() -> str:
    """Unicode's punctuation and symbols, as ranges for a pattern; there are none beyond plane 1."""
    places = [n for n in range(0x20000) if unicodedata.category(chr(n))[0] in "PS"]
    runs = itertools.groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(run) for _, run in runs)]
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ends)


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
        if self.normalizer.split(" ".join(self.words)) != list(self.words):
            for word in self.words:
                if self.normalizer.split(word) != [word]:
                    raise ValueError(
                        f"vocabulary: expected words as {self.normalizer} makes them, got {word!r}"
                    )
        self._ids = {word: number for number, word in enumerate(self.words, len(RESERVED))}
        if len(self._ids) < len(self.words):
            raise ValueError("vocabulary: expected each word once, got one twice")

    @classmethod
    def of(
        cls, texts: Iterable[str], *, minimum: int = 1, normalizer: Normalizer | None = None
    ) -> WordVocabulary:
        """The words that occur at least ``minimum`` times in some texts, most frequent first.

        The texts are read once and not kept. The mark of a break is known in any case.

        Raises:
            ValueError: a minimum below 1.
        """
        if minimum < 1:
            raise ValueError(f"vocabulary: expected a minimum of at least 1, got {minimum}")
        normalizer = normalizer or Normalizer()
        counts: Counter[str] = Counter()
        for text in _several(texts):
            counts.update(normalizer.split(text))
        if normalizer.mark:
            counts[normalizer.mark] += minimum
        known = [
            (-count, word)
            for word, count in counts.items()
            if count >= minimum and word not in RESERVED
        ]
        return cls([word for _, word in sorted(known)], normalizer)

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self.words)

    def encode(self, text: str) -> Ids:
        """Ids of a text's words, ``[words]``; words that are not known become ``<unk>``."""
        words = self.normalizer.split(text)
        known = self._ids
        return np.fromiter((known.get(word, UNKNOWN) for word in words), np.int64, len(words))

    def decode(self, ids: Iterable[int]) -> str:
        """A readable text of ids, with spaces where they belong; start and end become nothing."""
        return "".join(map(self.writer(), ids))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its text, with the space that belongs before it."""
        spaced = self.normalizer.writer()

        def write(index: int) -> str:
            index = _checked(index, len(self))
            return "" if index in (START, END) else spaced(self._word(index))

        return write

    def symbol(self, index: int) -> str:
        """How to show one id: the word, ``¶`` for a break, or the reserved name."""
        word = self._word(_checked(index, len(self)))
        return "¶" if word == self.normalizer.mark else word

    def _word(self, index: int) -> str:
        return RESERVED[index] if index < len(RESERVED) else self.words[index - len(RESERVED)]

    def to_json(self) -> dict[str, Any]:
        """Kind, normalizer and words."""
        rules = dataclasses.asdict(self.normalizer)
        return {"kind": self.kind, "normalizer": rules, "words": list(self.words)}


class BytePairVocabulary:
    """Pieces of words, by byte-pair encoding of the text's UTF-8: any text, no unknown symbol.

    The pieces are trained, found and saved by the library ``tokenizers``, which is imported when
    one is made. Its ids follow the reserved ones. It knows no special tokens, so ``<s>`` in a text
    is text.

    Args:
        tokenizer: the library's own JSON, as a dictionary.

    Raises:
        ValueError: the library is not installed, or this is no byte-level byte-pair encoding.
    """

    kind: ClassVar[str] = "byte-pairs"

    def __init__(self, tokenizer: dict[str, Any]) -> None:
        library = _tokenizers()
        try:
            made = library.Tokenizer.from_str(json.dumps(tokenizer))
        except Exception as problem:  # the library raises nothing narrower
            raise ValueError(f"vocabulary: expected a tokenizer's JSON ({problem})") from None
        self._load(made)

    def _load(self, tokenizer: Any) -> None:
        pieces = tokenizer.get_vocab(with_added_tokens=True)
        bytes_of = {character: value for value, character in enumerate(_byte_characters())}
        usable = (
            type(tokenizer.model).__name__ == "BPE"
            and not tokenizer.get_added_tokens_decoder()
            and tokenizer.truncation is None
            and tokenizer.padding is None
            and sorted(pieces.values()) == list(range(len(pieces)))
            and set(bytes_of) <= set(pieces)
            and all(set(piece) <= set(bytes_of) for piece in pieces)
        )
        if not usable:
            raise ValueError(
                "vocabulary: expected a tokenizer with byte-level pairs, all 256 bytes, and no "
                "added tokens, truncation or padding; got another"
            )
        self._tokenizer = tokenizer
        order = sorted(pieces, key=pieces.__getitem__)
        self._pieces = [bytes(bytes_of[character] for character in piece) for piece in order]

    @classmethod
    def of(cls, texts: Iterable[str], size: int) -> BytePairVocabulary:
        """Train on some texts, which are read once and not kept.

        Args:
            texts: the training text.
            size: number of ids, reserved ones included. Little text has fewer pairs, then there
                are fewer.

        Raises:
            ValueError: the library is not installed, or a size below 259, the bytes and reserved
                ids that are always there.
        """
        least = len(RESERVED) + 256
        if size < least:
            raise ValueError(
                f"vocabulary: expected a size of at least {least}, the {len(RESERVED)} reserved "
                f"ids and 256 bytes that are always there, got {size}"
            )
        library = _tokenizers()
        made = library.Tokenizer(library.models.BPE())
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size - len(RESERVED),
            initial_alphabet=_byte_characters(),
            show_progress=False,
        )
        made.train_from_iterator(map(_scalar, _several(texts)), trainer)
        vocabulary = cls.__new__(cls)
        vocabulary._load(made)
        if len(vocabulary) > size:
            raise ValueError(
                f"vocabulary: asked for {size} ids, the library made {len(vocabulary)}"
            )
        return vocabulary

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self._pieces)

    def encode(self, text: str) -> Ids:
        """Ids of a text's pieces, ``[pieces]``; a lone surrogate becomes U+FFFD."""
        # Without offsets, which nobody asks for.
        (found,) = self._tokenizer.encode_batch_fast([_scalar(text)], add_special_tokens=False)
        return np.array(found.ids, dtype=np.int64) + len(RESERVED)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self._bytes, ids)).decode("utf-8", "replace")

    def writer(self) -> Callable[[int], str]:
        """A function from one id to text: a character appears with the last of its bytes."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return lambda index: decoder.decode(self._bytes(index))

    def _bytes(self, index: int) -> bytes:
        index = _checked(index, len(self))
        return b"" if index < len(RESERVED) else self._pieces[index - len(RESERVED)]

    def symbol(self, index: int) -> str:
        """How to show one id: the piece, its bytes if they are no text, or the reserved name."""
        raw = self._bytes(index)
        if not raw:
            return RESERVED[index]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "0x" + raw.hex()

    def to_json(self) -> dict[str, Any]:
        """Kind, and the library's own JSON."""
        return {"kind": self.kind, "tokenizer": json.loads(self._tokenizer.to_str())}


def _tokenizers() -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError as problem:
        raise ValueError(
            "vocabulary: byte pairs need the library tokenizers, which cannot be imported "
            f"({problem}); pip install 'recurra[tokens]' brings it"
        ) from None


@functools.cache
def _byte_characters() -> list[str]:
    """The character that stands for each byte in the library's pieces: itself where it shows."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = itertools.count(0x100)
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def _several(texts: Iterable[str]) -> Iterable[str]:
    """One text alone is a text, and not its letters."""
    return [texts] if isinstance(texts, str) else texts


def _scalar(text: str) -> str:
    """A text that UTF-8 can hold."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def vocabulary_from_json(data: Any) -> Vocabulary:
    """The vocabulary that ``to_json`` wrote.

    Raises:
        ValueError: an unknown kind, or data of another shape.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == CharacterVocabulary.kind:
        characters = data.get("characters")
        if not isinstance(characters, list):
            raise ValueError("vocabulary: expected a list 'characters', found none")
        return CharacterVocabulary(characters)
    if kind == LabelVocabulary.kind:
        if not isinstance(data.get("labels"), list):
            raise ValueError("vocabulary: expected a list 'labels', found none")
        return LabelVocabulary(data["labels"])
    if kind == ByteVocabulary.kind:
        return ByteVocabulary()
    if kind == WordVocabulary.kind:
        words, rules = data.get("words"), data.get("normalizer")
        names = {field.name for field in dataclasses.fields(Normalizer)}
        if not isinstance(words, list):
            raise ValueError("vocabulary: expected a list 'words', found none")
        if not isinstance(rules, dict) or set(rules) != names:
            raise ValueError(
                f"vocabulary: expected 'normalizer' with {', '.join(sorted(names))}, got {rules!r}"
            )
        return WordVocabulary(words, Normalizer(**rules))
    if kind == BytePairVocabulary.kind:
        tokenizer = data.get("tokenizer")
        if not isinstance(tokenizer, dict):
            raise ValueError("vocabulary: expected an object 'tokenizer', found none")
        return BytePairVocabulary(tokenizer)
    kinds = (
        CharacterVocabulary,
        ByteVocabulary,
        WordVocabulary,
        BytePairVocabulary,
        LabelVocabulary,
    )
    known = ", ".join(repr(each.kind) for each in kinds)
    raise ValueError(f"vocabulary: expected a kind among {known}, got {kind!r}")


def _checked(index: int, size: int) -> int:
    if not 0 <= index < size:
        raise ValueError(f"id: expected 0 to {size - 1}, got {index}")
    return int(index)
