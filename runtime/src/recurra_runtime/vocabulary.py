"""Vocabularies of finished models: text to ids and back, with NumPy alone.

Three ids are reserved in every vocabulary: ``<unk>`` (0), an unknown symbol; ``<s>`` (1), the start
of a document; ``</s>`` (2), its end. There is no pad symbol: padding is never read.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "END",
    "RESERVED",
    "START",
    "UNKNOWN",
    "ByteVocabulary",
    "CharacterVocabulary",
    "Vocabulary",
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
    if kind == ByteVocabulary.kind:
        return ByteVocabulary()
    raise ValueError(f"vocabulary: expected kind 'characters' or 'bytes', got {kind!r}")


def _checked(index: int, size: int) -> int:
    if not 0 <= index < size:
        raise ValueError(f"id: expected 0 to {size - 1}, got {index}")
    return int(index)
