"""The section ``[data]`` of an encoder-decoder's recipe."""

from __future__ import annotations

from typing import Any, Literal, Self

import pydantic

from recurra.sections import contradiction, default
from recurra.tasks.inputs import InputSection

__all__ = ["TransductionData"]


class TransductionData(InputSection):
    """What is read, what is said of it, and how both fall into symbols.

    Args:
        column: of a table, the one with what is read; of a folder with files side by side
            (``train.en``, ``train.de``) the ending of those with what is read.
        label: the column, or the ending, of what is to be said.
        vocabulary: how what is said falls into symbols, and texts that are read.
        vocabulary_size: of each vocabulary.
        joint: whether what is read, if it is text, and what is said share one vocabulary.
        maximum_target: of symbols that are said; longer examples are not trained on.
    """

    label: str = "target"
    vocabulary: Literal["characters", "bytes", "words", "byte-pairs"] = "byte-pairs"
    joint: bool = False
    maximum_target: int = pydantic.Field(200, ge=1)

    @pydantic.model_validator(mode="after")
    def _targets_agree(self) -> Self:
        wrong: tuple[tuple[str, Any], ...] = (
            ("label_from", "what is said is a text of its own"),
            ("labels", "what is said is a text of its own"),
        )
        for name, why in wrong:
            if getattr(self, name) != default(self, name):
                raise contradiction(self, name, why)
        return self
