"""The section ``[data]`` of a tagger's recipe."""

from __future__ import annotations

import pydantic

from recurra.tasks.base import DataSection

__all__ = ["TaggingData"]


class TaggingData(DataSection):
    """What is read, and which words are known.

    Args:
        lower: whether words are looked up in lower case; their letters keep their case.
        punctuation: whether marks are parted from words where a text is to be tagged, see
            :meth:`recurra_runtime.vocabulary.SpelledWords.split`; sentences to train on are parted
            already.
        minimum_count: words seen less often are unknown, and told by their letters.
        vocabulary_size: number of ids of words at most, reserved ones included.
        rival_words: on how many words of the training part the rivals are fitted at most.
    """

    lower: bool = True
    punctuation: bool = True
    minimum_count: int = pydantic.Field(2, ge=1)
    vocabulary_size: int | None = pydantic.Field(None, ge=4)
    rival_words: int = pydantic.Field(300_000, ge=1)
