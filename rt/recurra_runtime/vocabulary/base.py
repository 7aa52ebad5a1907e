"""What all vocabularies share: reserved ids, what each can do, and small checks."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.missing import MissingLibraryError

__all__ = [
    "END",
    "Ids",
    "MissingLibraryError",
    "RESERVED",
    "START",
    "UNKNOWN",
    "Vocabulary",
    "byte_writer",
    "checked",
    "listed",
    "several",
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

    def raw(self, index: int) -> bytes:
        """The bytes that one id stands for in a text; empty for reserved ones."""

    def to_json(self) -> dict[str, Any]:
        """What ``vocabulary_from_json`` reads."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote; ``kind`` was looked at already."""


def byte_writer(raw: Callable[[int], bytes]) -> Callable[[int], str]:
    """A function from one id to text, where a character appears with the last of its bytes.

    Args:
        raw: the bytes of one id.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda index: decoder.decode(raw(index))


def checked(index: int, size: int) -> int:
    """An id of a vocabulary.

    Args:
        index: the id.
        size: number of ids.

    Raises:
        ValueError: it is not from 0 to ``size - 1``.
    """
    if not 0 <= index < size:
        raise ValueError(f"id: expected 0 to {size - 1}, got {index}")
    return int(index)


def listed(data: dict[str, Any], name: str) -> list[Any]:
    """A list inside a vocabulary's JSON.

    Raises:
        ValueError: there is none of that name.
    """
    found = data.get(name)
    if not isinstance(found, list):
        raise ValueError(f"vocabulary: expected a list {name!r}, found none")
    return found


def several(texts: Iterable[str]) -> Iterable[str]:
    """One text alone is a text, and not its letters."""
    return [texts] if isinstance(texts, str) else texts
