"""Which part of a text is trained on, which one chooses, and which one is scored."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

from recurra.data.readers import Document
from recurra.errors import DataError, SettingError, ShapeError

__all__ = ["PART_NAMES", "PartName", "SplitKind", "divide", "hash_part", "tenth_part"]

SplitKind = Literal["tail", "tails", "blocks", "hash"]
"""The last tenth of all, of each document, every tenth block, or documents by what they hold."""

PartName = Literal["training", "validation", "test"]
"""What weights are fitted to, what chooses among epochs and settings, and what decides nothing."""

PART_NAMES: dict[str, PartName] = {
    "train": "training",
    "training": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""What people call the parts."""


def divide(
    documents: Iterable[Document],
    lengths: Sequence[int],
    *,
    kind: SplitKind = "tail",
    block: int = 10_000,
    validation: bool = True,
    test: bool = True,
    whole_words: bool = False,
) -> Iterator[tuple[PartName, Document]]:
    """Documents one by one, each with the part it belongs to, cut where parts meet.

    ``"tail"`` tests on the last tenth of all characters and chooses on the tenth before it;
    ``"tails"`` does so in each document; ``"blocks"`` tests on every tenth block and chooses on the
    block before each; ``"hash"`` sorts whole documents by :func:`hash_part`.

    Args:
        documents: documents, or pieces of them.
        lengths: characters of each document, pieces of one taken together.
        kind: how to divide.
        block: characters in a block.
        validation: whether a tenth is set apart for choosing; if not, it is trained on.
        test: whether a tenth is set apart for the test; if not, the last tenth is the one to choose
            on, or is trained on.
        whole_words: whether a cut inside a word moves to its end.

    Raises:
        SettingError: an unknown kind, a block below 1, or a piece where whole documents are sorted.
        DataError: too little text to divide.
        ShapeError: with ``"tails"``, a document without a length, or with more characters than it.
    """
    if not (validation or test):
        yield from (("training", document) for document in documents)
        return
    total = sum(lengths)
    _check(kind, block, total)
    number, seen = -1, 0  # documents before this one, and characters before this piece
    before: PartName | None = None
    for document in documents:
        if not document.goes_on or number < 0:
            number, before = number + 1, None
            if kind == "tails":
                seen = 0
        if kind == "hash":
            if document.goes_on:
                raise SettingError(
                    f"split: hash sorts whole documents, got a piece of {document.source}. Read "
                    "them without pieces, or divide otherwise."
                )
            yield hash_part(document.text, validation=validation, test=test), document
            continue
        if kind == "tails":
            _check_length(lengths, number, seen + len(document.text), document.source)
        whole = lengths[number] if kind == "tails" else total
        size = block if kind == "blocks" else whole / 10
        text, start = document.text, 0
        while start < len(text):
            tenth = int((seen + start) // size)
            stop = max(start + 1, -int(-((tenth + 1) * size) // 1) - seen)
            stop = _word_end(text, stop) if whole_words else min(stop, len(text))
            tenth = tenth % 10 if kind == "blocks" else tenth
            name = tenth_part(tenth, validation=validation, test=test)
            # Nothing was cut out between: one document goes on.
            yield (
                name,
                dataclasses.replace(document, text=text[start:stop], goes_on=name == before),
            )
            start, before = stop, name
        seen += len(text)


# Where white space begins: no word, no break and no byte pair reaches across it.
_SPACE = re.compile(r"(?<!\s)[^\S\x1c-\x1f]|\Z")


def _word_end(text: str, place: int) -> int:
    """Where the word ends in which a place is."""
    space = _SPACE.search(text, place) if place < len(text) else None
    return space.start() if space else len(text)


def _check(kind: SplitKind, block: int, total: int) -> None:
    if kind not in get_args(SplitKind) or block < 1:
        raise SettingError(
            f"split: expected {', '.join(get_args(SplitKind))} and a block of at least 1, got "
            f"{kind!r}, {block}"
        )
    if kind == "blocks" and total < 10 * block:
        raise DataError(
            f"data: expected at least {10 * block} characters for every tenth block of {block}, "
            f"got {total}. Give more text, a smaller data.block, or data.split=tail."
        )
    if kind != "hash" and total < 20:
        raise DataError(
            f"data: expected at least 20 characters, to keep a tenth for the test, got {total}."
        )


def _check_length(lengths: Sequence[int], number: int, least: int, source: str) -> None:
    """Whether a document of which so many characters came is as long as it was counted."""
    if number >= len(lengths):
        raise ShapeError(
            f"lengths: expected one of each document, got {len(lengths)}, none of document "
            f"{number} ({source!r})."
        )
    if least > lengths[number]:
        raise ShapeError(
            f"lengths: expected at least {least} characters of document {number} ({source!r}), "
            f"got {lengths[number]}. Count the same documents that are divided."
        )


def hash_part(text: str, *, validation: bool = True, test: bool = True) -> PartName:
    """The part a document belongs to, wherever it stands and whatever stands beside it.

    The first 8 bytes of the blake2b digest (64 bytes) of its UTF-8, as a big-endian number modulo
    10: 9 is the test, 8 the validation, the others are trained on.

    Args:
        text: the whole document.
        validation: whether a tenth is set apart for choosing; if not, it is trained on.
        test: whether a tenth is set apart for the test, as of :func:`divide`.
    """
    # "surrogatepass": a lone surrogate, as JSON can hold one, is a character like any other.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
    return tenth_part(int.from_bytes(digest[:8], "big") % 10, validation=validation, test=test)


def tenth_part(tenth: int, *, validation: bool = True, test: bool = True) -> PartName:
    """The part of a tenth, 0 to 9: the last ones are set apart.

    Args:
        tenth: which of them.
        validation: whether one is set apart for choosing; if not, it is trained on.
        test: whether one is set apart for the test, as of :func:`divide`.
    """
    if tenth >= 9 and test:
        return "test"
    return "validation" if tenth >= 8 + (not test) and validation else "training"
