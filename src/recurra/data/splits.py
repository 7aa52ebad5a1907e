"""Which part of a text is trained on, which one chooses, and which one is scored."""

from __future__ import annotations

from typing import Literal, NamedTuple

from recurra.errors import DataError, SettingError

__all__ = ["Split", "SplitKind", "split_documents"]

SplitKind = Literal["tail", "blocks"]
"""The last tenth, or every tenth block."""


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


def _part(parts: Split, tenth: int, validation: bool) -> list[str]:
    if tenth >= 9:
        return parts.test
    return parts.validation if tenth == 8 and validation else parts.training
