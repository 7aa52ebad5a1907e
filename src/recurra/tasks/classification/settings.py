"""The section ``[data]`` of a classifier's recipe."""

from __future__ import annotations

from typing import Literal, Self

import pydantic

from recurra.data import Unit
from recurra.sections import contradiction, default
from recurra.tasks.texts import TextSection

__all__ = ["ClassificationData"]


class ClassificationData(TextSection):
    """What is read, how it falls into symbols, and how it is divided.

    Args:
        label: of JSON lines, CSV, Parquet and data frames, the field with the class.
        unit: of text, whether each ``"file"`` is an example or each ``"line"``; if None, files in a
            folder for each class are whole, and a file for each class falls into lines.
        split: ``"hash"`` tests and chooses on tenths of the texts, by what they hold; ``"given"``
            on files or folders whose names say so: train, validation (valid, dev) and test.
        distinct: whether a text that came before is left out.
        maximum_length: longest text in symbols; longer ones are truncated.
        truncate: on which side, ``"right"`` or ``"left"``.
        rival_texts: on how many texts of the training part the rivals are fitted at most.
    """

    vocabulary: Literal["characters", "bytes", "words", "byte-pairs"] = "words"
    lower: bool = True
    label: str = "label"
    unit: Unit | None = None
    split: Literal["hash", "given"] = "hash"
    distinct: bool = False
    maximum_length: int | None = pydantic.Field(None, ge=1)
    truncate: Literal["left", "right"] = "right"
    rival_texts: int = pydantic.Field(100_000, ge=1)

    @property
    def undivided(self) -> Self:
        """Without names of parts, which a part alone has not."""
        return self.model_copy(update={"split": default(self, "split")})

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if self.label == (self.column or "text"):
            raise contradiction(self, "label", "that column is the text", "another column")
        if self.maximum_length is None and self.truncate != default(self, "truncate"):
            raise contradiction(self, "truncate", "there is no maximum_length to truncate to")
        return self
