"""How examples are read: one description for files, folders and Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from recurra.data.examples.base import Kind
from recurra.data.texts import Unit
from recurra.errors import SettingError, nearest

__all__ = ["Reading"]

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "input": ("auto", *get_args(Kind)),
    "rows": (None, "steps", "sequences"),
    "split": ("hash", "given"),
    "axes": ("time", "channels"),
    "on_error": ("stop", "skip"),
}


@dataclass(frozen=True)
class Reading:
    """How examples are read.

    Args:
        input: what an example is; ``"auto"`` tells it by the endings of files.
        column: of a table, the one with texts or names of files; if None, ``"text"``, or the first
            that is called file, file_name, filename or path.
        inputs: of several inputs, the column of each by its name.
        label: the column with the label, or several columns; of CoNLL its name (``"upos"``) or
            number (from 0, or from -1, the last); None if there are no labels.
        label_from: where labels stand that no column says: ``"folder"``, the folder of a file;
            ``"name"``, its name up to the first of ``_ - .`` or a blank; or a regular expression
            that is found in its name, with a group ``label``, perhaps ``group``, and ``id``
            (for ``labels``). A group called ``train``, ``validation`` or ``test`` that is found
            says the part, with ``split="given"``; others are trained on.
        labels: a table beside the files, with a row for each: its first column (or ``id``) is a
            file's path, name or stem, or the last number in it.
        label_separator: stands between the labels in a cell that has several.
        steps: whether a series has a label for each step.
        unknown: whether an example without a label is one whose label is not known; else it cannot
            be read.
        group: the column with what may be left out together.
        split: ``"given"`` if the data say which part an example belongs to: in the column
            ``split_column``, by names of files or folders; else ``"hash"``, and nothing is said.
        split_column: the column with the part.
        rows: of a table of numbers, what a row is: one of the ``"steps"`` of a sequence, or one
            of several ``"sequences"``; if None, steps if there is an ``id`` or a time column, or in
            a folder of such tables.
        id: of a long table, the column that says to which sequence a row belongs.
        time: the column with time stamps, which must ascend and is no channel; if None, one that is
            called time, timestamp, date, datetime or ds, in small letters or large.
        channels: the columns that are read; all others if None.
        axes: which axis of an array in Python is first.
        unit: of texts, whether a file, a paragraph or a line is one; if None, a file in a folder
            for each label, and a line of a file for each label.
        pattern: which files of a folder are read; those with known endings if None.
        encoding: how characters are stored.
        separator: of tables in text, what stands between cells.
        header: of tables in text, whether the first row has names; if None, of a series, whether
            something in it is no number.
        nul: of texts, whether a NUL byte is a character like others.
        rate: samples a second of recordings; others cannot be read.
        on_error: whether an example that cannot be read ends the reading, or is left out and
            counted.

    Raises:
        SettingError: a value that cannot be, or two that contradict each other.
    """

    input: Kind | Literal["auto"] = "auto"
    column: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    label: str | tuple[str, ...] | None = "label"
    label_from: str | None = None
    labels: str | Path | None = None
    label_separator: str | None = None
    steps: bool = False
    unknown: bool = False
    group: str | None = None
    split: Literal["hash", "given"] = "hash"
    split_column: str = "split"
    rows: Literal["steps", "sequences"] | None = None
    id: str | None = None
    time: str | None = None
    channels: tuple[str, ...] | None = None
    axes: Literal["time", "channels"] = "time"
    unit: Unit | None = None
    pattern: str | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    header: bool | None = None
    nul: bool = False
    rate: int | None = None
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if self.rows == "sequences" and self.id is not None:
            raise SettingError("id: rows that are sequences belong to none; leave id out.")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                names = [each for each in known if each is not None]
                raise SettingError(f"{name}: {nearest(str(getattr(self, name)), names)}")
        if self.inputs and self.column is not None:
            raise SettingError("column: inputs name a column for each input; leave column out.")
        if self.label_from not in (None, "folder", "name"):
            self._check_expression(str(self.label_from))

    def _check_expression(self, text: str) -> None:
        try:
            groups = re.compile(text).groupindex
        except re.error as problem:
            raise SettingError(
                f"label_from: expected 'folder', 'name' or a regular expression, {text!r} is none "
                f"({problem})."
            ) from None
        wanted = "id" if self.labels is not None else "label"
        if self.label is not None and wanted not in groups:
            raise SettingError(
                f"label_from: expected a group (?P<{wanted}>...) in the regular expression {text!r}"
                f", got {', '.join(groups) or 'no named group'}."
            )

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the columns with labels."""
        if self.label is None:
            return ()
        return (self.label,) if isinstance(self.label, str) else tuple(self.label)

    @property
    def skip(self) -> bool:
        """Whether what cannot be read is left out."""
        return self.on_error == "skip"

    def texts(self) -> dict[str, Any]:
        """What :func:`recurra.data.open_documents` is told."""
        return {
            "column": self.column,
            "encoding": self.encoding,
            "separator": self.separator,
            "nul": self.nul,
        }
