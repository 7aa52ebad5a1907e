"""One id for each of the pieces that byte-pair encoding finds."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np

from recurra_runtime.missing import imported
from recurra_runtime.vocabulary.base import (
    RESERVED,
    Ids,
    byte_writer,
    checked,
    several,
)

__all__ = ["BytePairVocabulary"]


class BytePairVocabulary:
    """Pieces of words, by byte-pair encoding of the text's UTF-8: any text, no unknown symbol.

    The pieces are trained, found and saved by the library ``tokenizers``, which is imported when
    one is made. Its ids follow the reserved ones. It knows no special tokens, so ``<s>`` in a text
    is text.

    Args:
        tokenizer: the library's own JSON, as a dictionary.

    Raises:
        MissingLibraryError: the library is not installed.
        ValueError: this is no byte-level byte-pair encoding.
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
            and all(piece and set(piece) <= set(bytes_of) for piece in pieces)
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
    def of(cls, texts: Iterable[str], size: int) -> Self:
        """Train on some texts, which are read once and not kept.

        Args:
            texts: the training text.
            size: number of ids, reserved ones included. Little text has fewer pairs, then there
                are fewer.

        Raises:
            MissingLibraryError: the library is not installed.
            ValueError: a size below 259, the bytes and reserved ids that are always there.
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
        made.train_from_iterator(map(_scalar, several(texts)), trainer)
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
        return b"".join(map(self.raw, ids)).decode("utf-8", "replace")

    def writer(self) -> Callable[[int], str]:
        """A function from one id to text: a character appears with the last of its bytes."""
        return byte_writer(self.raw)

    def symbol(self, index: int) -> str:
        """How to show one id: the piece, its bytes if they are no text, or the reserved name."""
        raw = self.raw(index)
        if not raw:
            return RESERVED[index]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "0x" + raw.hex()

    def raw(self, index: int) -> bytes:
        """Bytes of a piece, perhaps a part of a character; nothing of a reserved id."""
        index = checked(index, len(self))
        return b"" if index < len(RESERVED) else self._pieces[index - len(RESERVED)]

    def to_json(self) -> dict[str, Any]:
        """Kind, and the library's own JSON."""
        return {"kind": self.kind, "tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote.

        Raises:
            MissingLibraryError: the library is not installed.
            ValueError: data of another shape.
        """
        tokenizer = data.get("tokenizer")
        if not isinstance(tokenizer, dict):
            raise ValueError("vocabulary: expected an object 'tokenizer', found none")
        return cls(tokenizer)


def _tokenizers() -> Any:
    return imported("tokenizers", "vocabulary: byte pairs need", "tokens")


@functools.cache
def _byte_characters() -> list[str]:
    """The character that stands for each byte in the library's pieces: itself where it shows."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = itertools.count(0x100)
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def _scalar(text: str) -> str:
    """A text that UTF-8 can hold."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
