"""One id for each byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np

from recurra_runtime.vocabulary.base import RESERVED, Ids, byte_writer, checked

__all__ = ["ByteVocabulary"]


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
        return b"".join(map(self.raw, ids)).decode("utf-8", "replace")

    def writer(self) -> Callable[[int], str]:
        """A function from one id to text: a character appears with the last of its bytes."""
        return byte_writer(self.raw)

    def symbol(self, index: int) -> str:
        """How to show one id: the byte in hexadecimal, or the reserved name."""
        index = checked(index, len(self))
        return RESERVED[index] if index < len(RESERVED) else f"0x{index - len(RESERVED):02x}"

    def raw(self, index: int) -> bytes:
        """The byte itself; nothing of a reserved id."""
        index = checked(index, len(self))
        return b"" if index < len(RESERVED) else bytes([index - len(RESERVED)])

    def to_json(self) -> dict[str, Any]:
        """The kind alone."""
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote; there is but one."""
        return cls()
