"""Which part of a text is trained on, which one chooses, and which one is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from recurra.errors import DataError, SettingError

__all__ = ["PartName", "Split", "SplitKind", "hash_part", "split_by_hash", "split_documents"]

SplitKind = Literal["tail", "blocks"]
"""The last tenth, or every tenth block."""

PartName = Literal["training", "validation", "test"]
"""The parts of a :class:`Split`."""


class Split(NamedTuple):
    """Documents by what they are used for; a cut inside a document makes two.

    Args:
        training: what weights are fitted to.
        validation: what chooses among epochs and settings; may be empty.
        test: what is scored in the end, and decides nothing.
    """

    training: list[str]
    validation: list[str]
    test: list[str]


def split_documents(
    texts: list[str], *, kind: SplitKind = "tail", block: int = 10_000, validation: bool = True
) -> Split:
    """Hold out the last tenth, or every tenth block.

    Args:
        texts: documents; their characters are counted through.
        kind: ``"tail"`` tests on the last tenth of all characters and chooses on the tenth before
            it; ``"blocks"`` tests on every tenth block and chooses on the block before each.
        block: characters in a block.
        validation: whether a tenth is set apart for choosing; if not, it is trained on.

    Raises:
        SettingError: an unknown kind, or a block below 1.
        DataError: a part would be empty.
    """
    if kind not in ("tail", "blocks") or block < 1:
        raise SettingError(
            f"split: expected 'tail' or 'blocks' and a block of at least 1, got {kind!r}, {block}"
        )
    total = sum(map(len, texts))
    if kind == "blocks" and total < 10 * block:
        raise DataError(
            f"data: expected at least {10 * block} characters for every tenth block of {block}, "
            f"got {total}. Give more text, a smaller data.block, or data.split=tail."
        )
    if total < 20:
        raise DataError(
            f"data: expected at least 20 characters, to keep a tenth for the test, got {total}."
        )
    size = block if kind == "blocks" else total / 10
    parts = Split([], [], [])
    seen = 0
    for text in texts:
        start, before = 0, None
        while start < len(text):
            number = int((seen + start) // size)
            stop = min(len(text), max(start + 1, -int(-((number + 1) * size) // 1) - seen))
            part = _part(parts, number % 10 if kind == "blocks" else number, validation)
            if part is before:  # nothing was cut out between: one document goes on
                part[-1] += text[start:stop]
            else:
                part.append(text[start:stop])
            start, before = stop, part
        seen += len(text)
    return parts


def split_by_hash(
    texts: Iterable[str], *, distinct: bool = False, validation: bool = True
) -> Split:
    """Hold out about a tenth of the documents, by what they hold: see :func:`hash_part`.

    For lists of names, sentences or short texts, in which the same one may come again: equal
    documents never stand on both sides.

    Args:
        texts: whole documents, for example lines.
        distinct: keep only the first of equal ones.
        validation: whether a tenth is set apart for choosing; if not, it is trained on.

    Raises:
        DataError: a part would be empty.
    """
    chosen = list(dict.fromkeys(texts) if distinct else texts)
    parts = Split([], [], [])
    for text in chosen:
        getattr(parts, hash_part(text, validation=validation)).append(text)
    empty = [name for name in parts._fields if not getattr(parts, name)]
    if not validation:
        empty.remove("validation")
    if empty:
        raise DataError(
            f"data: expected documents in every part, of {len(chosen)} documents none falls into "
            f"{' and '.join(empty)}. A hash divides whole documents: give more of them, for "
            "example each line as one, or split the text itself."
        )
    return parts


def hash_part(text: str, *, validation: bool = True) -> PartName:
    """The part a document belongs to, wherever it stands and whatever stands beside it.

    The first 8 bytes of the blake2b digest (64 bytes) of its UTF-8, as a big-endian number modulo
    10: 9 is the test, 8 the validation, the others are trained on.

    Args:
        text: the whole document.
        validation: whether a tenth is set apart for choosing; if not, it is trained on.
    """
    # "surrogatepass": a lone surrogate, as JSON can hold one, is a character like any other.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
    return _name(int.from_bytes(digest[:8], "big") % 10, validation)


def _part(parts: Split, tenth: int, validation: bool) -> list[str]:
    found: list[str] = getattr(parts, _name(tenth, validation))
    return found


def _name(tenth: int, validation: bool) -> PartName:
    if tenth >= 9:
        return "test"
    return "validation" if tenth == 8 and validation else "training"
