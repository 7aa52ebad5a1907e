"""One id for each character."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np

from recurra_runtime.vocabulary.base import RESERVED, UNKNOWN, Ids, checked, listed

__all__ = ["CharacterVocabulary"]


class _Texts(dict[int, str]):
    """What ids stand for; looked up once for every symbol that is written."""

    def __missing__(self, index: int) -> str:
        return self[checked(index, len(self))]


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
        points = [ord(character) for character in self.characters]
        # The last place is of all characters beyond those that are known.
        self._ids = np.full(max(points, default=-1) + 2, UNKNOWN, np.int64)
        self._ids[points] = np.arange(len(points)) + len(RESERVED)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
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
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        return self._ids.take(points, mode="clip")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; ``<unk>`` becomes U+FFFD, start and end nothing."""
        return "".join(map(self.writer(), ids))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its text."""
        reserved = ("\ufffd" if index == UNKNOWN else "" for index in range(len(RESERVED)))
        return _Texts(enumerate((*reserved, *self.characters))).__getitem__

    def symbol(self, index: int) -> str:
        """How to show one id: the character, or the reserved name."""
        index = checked(index, len(self))
        return (RESERVED + self.characters)[index]

    def raw(self, index: int) -> bytes:
        """UTF-8 of a character; nothing of a reserved id. A lone surrogate passes."""
        index = checked(index, len(self))
        if index < len(RESERVED):
            return b""
        return self.characters[index - len(RESERVED)].encode("utf-8", "surrogatepass")

    def to_json(self) -> dict[str, Any]:
        """Kind and characters."""
        return {"kind": self.kind, "characters": list(self.characters)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        return cls(listed(data, "characters"))
