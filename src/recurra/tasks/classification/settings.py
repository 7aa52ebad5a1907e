"""The section ``[data]`` of a classifier's recipe."""

from __future__ import annotations

from typing import Literal

import pydantic

from recurra.tasks.inputs import InputSection

__all__ = ["ClassificationData"]


class ClassificationData(InputSection):
    """What is read, how it becomes numbers, and how it is divided.

    Args:
        label_separator: stands between the labels of an example that may have several.
        several: whether an example may have any number of labels; if None, it may where a
            ``label_separator`` is given or labels come in lists.
        distinct: whether an example that came before is left out.
        rival_examples: on how many examples of the training part the rivals are fitted at most; of
            0 there are none.
    """

    vocabulary: Literal["characters", "bytes", "words", "byte-pairs"] = "words"
    lower: bool = True
    label_separator: str | None = pydantic.Field(None, min_length=1)
    several: bool | None = None
    distinct: bool = False
    rival_examples: int = pydantic.Field(100_000, ge=0)
