"""The section ``[data]`` of a tagger's recipe."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self

import pydantic

from recurra.data.examples import Reading
from recurra.sections import default
from recurra.tasks.base import DataSection

__all__ = ["TaggingData"]


class TaggingData(DataSection):
    """What is read, and which words are known.

    How files are read is said in full by :class:`recurra.data.examples.Reading`.

    Args:
        input: ``"words"``, or a ``"series"`` with a label for each step; ``"auto"`` tells it by
            the ending of a file, and takes one that tells nothing for words in columns.
        pattern: which files of a folder are read; those with known endings if None.
        encoding: how characters are stored.
        column: of words, their column: a name in CoNLL-U, else a number from 0.
        label: the column of tags: a name in CoNLL-U (``"upos"`` if nothing is said), else a number
            from 0, or from -1, the last (that if nothing is said); of a table of series its name.
        separator: what stands between cells.
        split: ``"hash"`` tests and chooses on every tenth sentence, ``"given"`` on those that files
            or folders named train, validation (valid, dev) and test hold.
        id: of a long table of series, the column that says to which a row belongs.
        time: of series, the column with time stamps, which must ascend.
        channels: of series, the columns that are read; all others if None.
        axes: of arrays in Python, which axis is first, ``"time"`` or ``"channels"``.
        missing: of series, whether a mark beside each channel says where a value is missing.
        on_error: whether a sentence that cannot be read ends the reading (``"stop"``) or is left
            out and counted (``"skip"``).
        lower: whether words are looked up in lower case; their letters keep their case.
        punctuation: whether marks are parted from words where a text is to be tagged, see
            :meth:`recurra_runtime.vocabulary.SpelledWords.split`; sentences to train on are parted
            already.
        minimum_count: words seen less often are unknown, and told by their letters.
        vocabulary_size: number of ids of words at most, reserved ones included.
        rival_steps: on how many words or steps of the training part the rivals are fitted at most.
    """

    input: Literal["auto", "words", "series"] = "auto"
    pattern: str | None = None
    encoding: str = "utf-8"
    column: str | None = None
    label: str = "label"
    separator: str | None = pydantic.Field(None, min_length=1, max_length=1)
    split: Literal["hash", "given"] = "hash"
    id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    axes: Literal["time", "channels"] = "time"
    missing: bool = False
    on_error: Literal["stop", "skip"] = "stop"
    lower: bool = True
    punctuation: bool = True
    minimum_count: int = pydantic.Field(2, ge=1)
    vocabulary_size: int | None = pydantic.Field(None, ge=4)
    rival_steps: int = pydantic.Field(300_000, ge=1)

    @property
    def undivided(self) -> Self:
        """Without names of parts, which a part alone has not."""
        return self.model_copy(update={"split": default(self, "split")})

    def reading(self) -> Reading:
        """How files are read."""
        names = [each.name for each in dataclasses.fields(Reading)]
        known = {name: getattr(self, name) for name in names if hasattr(self, name)}
        if self.channels is not None:
            known["channels"] = tuple(self.channels)
        return Reading(**known | {"steps": True})
