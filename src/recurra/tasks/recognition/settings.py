"""The section ``[data]`` of a recognizer's recipe."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, Self

import pydantic

from recurra.sections import contradiction, default
from recurra.tasks.inputs import InputSection
from recurra_runtime.fronts import Picture

__all__ = ["RecognitionData"]

_UNREAD = ("inputs", "unit", "maximum_length", "truncate")  # of texts, or of several inputs


class RecognitionData(InputSection):
    """What is read, and the texts that it says.

    Args:
        label: the column with the text, in logical order, whatever direction it is written in.
        vocabulary: the symbols that a text is made of, ``"characters"`` or ``"words"``.
        form: of Unicode, to which texts are brought, ``"NFC"``, ``"NFD"``, ``"NFKC"`` or
            ``"NFKD"``; ``"none"`` leaves them as they are.
        picture_height: height to which pictures of lines are brought, each as wide as its ratio
            makes it; in place of ``picture_size``.
        right_to_left: whether pictures are read from their right side, as a text needs it whose
            first symbol stands there.
        rival_examples: on how many examples of the training part the rivals are fitted at most; of
            0 there are none.
    """

    input: Literal["auto", "series", "sound", "picture"] = "auto"
    label: str = "text"
    vocabulary: Literal["characters", "words"] = "characters"
    form: Literal["NFC", "NFD", "NFKC", "NFKD", "none"] = "NFC"
    picture_height: int | None = pydantic.Field(None, ge=1, le=10**4)
    right_to_left: bool = False
    rival_examples: int = pydantic.Field(1000, ge=0)

    def picture_front(self, first: Sequence[int], video: bool) -> Picture:
        """An unfitted front of pictures, of which the first has this size."""
        size = self.picture_size or first
        if self.picture_height is not None:
            size = (self.picture_height, 0)
        return Picture(size, self.picture_mode, video=video, mirrored=self.right_to_left)

    @pydantic.model_validator(mode="after")
    def _inputs_agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if self.label == self.column:
            raise contradiction(self, "label", "that column is what is read", "another column")
        if self.picture_height is not None and self.picture_size is not None:
            raise contradiction(self, "picture_size", "picture_height says how high pictures are")
        for name in _UNREAD:
            if getattr(self, name) != default(self, name):
                raise contradiction(self, name, "there is one input, and it is no text")
        return self

    def formed(self, text: str) -> str:
        """A text in the form that was chosen."""
        return text if self.form == "none" else unicodedata.normalize(self.form, text)
