"""A table with a row for each example: texts, or names of files, with labels beside them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from recurra.data.absent import no_file
from recurra.data.examples.base import Example, Examples, Found, Kind, Target, tried
from recurra.data.examples.contents import (
    ENDINGS,
    kind_of_file,
)
from recurra.data.examples.labels import belonging, is_nothing, target_in
from recurra.data.examples.numbers import numbers_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import (
    first_row,
    has_time,
    open_long,
    open_whole,
    time_column,
)
from recurra.data.examples.sources import Row, Rows
from recurra.data.examples.values import (
    channels_of,
    check_each,
    content_of,
    kind_of_path,
    kind_of_value,
    value_of,
)
from recurra.data.examples.wide import open_wide
from recurra.data.rows import no_column
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = ["FILE_COLUMNS", "Input", "open_table"]

FILE_COLUMNS = ("file", "file_name", "filename", "path")
"""Columns that name files, where none is chosen."""

_PEEK = 100  # rows that are looked at to see what a column holds


class Input(NamedTuple):
    """One input of an example.

    Args:
        name: of the input.
        column: where it stands.
        kind: what it is.
        files: whether the cells name files.
        channels: of a series, their names.
    """

    name: str
    column: str
    kind: Kind
    files: bool
    channels: tuple[str, ...] = ()


def open_table(
    source: str,
    root: Path,
    rows: Callable[[], Rows],
    how: Reading,
    part: PartName | None,
    file: Path | None = None,
) -> Examples:
    """Examples of any table: of numbers, long or wide or of one sequence, or with a row for each.

    Args:
        source: what errors call the table.
        root: where files are that cells name.
        rows: begins to read them.
        how: they are read.
        part: of all of them, where it is known.
        file: the table, if it is one.

    Raises:
        DataError: a column that is not there.
    """
    if how.id is not None:
        return open_long(source, rows, how, part)
    if how.input != "series" or how.column is not None or how.inputs:
        return open_rows(source, root, rows, how, part)
    _, cells = first_row(rows(), source)
    if how.rows == "steps" or (how.rows is None and has_time(cells, how)):
        return open_whole(source, rows, how, part)
    if any(name in cells for name in FILE_COLUMNS):
        return open_rows(source, root, rows, how, part)
    return open_wide(source, rows, how, part, file)


def open_rows(
    source: str, root: Path, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """Examples of a table, each a row.

    Args:
        source: what errors call the table.
        root: where files are that cells name.
        rows: begins to read them.
        how: they are read.
        part: of all of them, where it is known.

    Raises:
        DataError: no column with inputs, with labels, or with what else is named.
    """
    sample = [row for row in itertools.islice(rows(), _PEEK) if not isinstance(row, DataError)]
    known = list(dict.fromkeys(itertools.chain.from_iterable(row for _, row in sample)))
    if not known:
        return Examples(source, {}, lambda: _problems(rows), skip=how.skip)
    inputs = inputs_of_columns(source, root, sample, how)
    for setting, names in _named_columns(how, part):
        for name in names:
            if name not in known:
                raise no_column(sample[0][0], name, setting, known)

    def read() -> Found:
        for row in rows():
            if isinstance(row, DataError):
                yield row
            else:
                yield tried(_example, row, inputs, root, how, part)

    kinds = {each.name: each.kind for each in inputs}
    channels = inputs[0].channels if len(inputs) == 1 else ()
    return Examples(source, kinds, read, skip=how.skip, channels=channels)


def _problems(rows: Callable[[], Rows]) -> Found:
    """Of a table without a row."""
    return (row for row in rows() if isinstance(row, DataError))


def _named_columns(how: Reading, part: PartName | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "data.label", how.label_columns
    yield "data.group", () if how.group is None else (how.group,)
    if how.split == "given" and part is None:
        yield "data.split_column", (how.split_column,)


def inputs_of_columns(source: str, root: Path, sample: list[Row], how: Reading) -> list[Input]:
    """Where the inputs stand, and what they are.

    Args:
        source: what errors call the table.
        root: where files are that cells name.
        sample: some rows.
        how: they are read.

    Raises:
        DataError: a column that is not there, or holds what nothing is known of.
    """
    known = list(dict.fromkeys(itertools.chain.from_iterable(row for _, row in sample)))
    if how.inputs:
        named = dict(how.inputs)
    else:
        names = [n for n in ("text", *FILE_COLUMNS) if n not in how.label_columns]
        column = how.column or next((n for n in names if n in known), names[0])
        named = {"input": column}
    found = []
    for name, column in named.items():
        if column not in known:
            raise _no_input(source, column, sample, known, how)
        cells = [row.get(column) for _, row in sample]
        cells = [cell for cell in cells if not is_nothing(cell)]
        kind, files = _kind_of_cells(cells, column, name, root, how, source)
        channels: tuple[str, ...] = ()
        if kind == "series":
            channels = channels_of((root / str(c) if files else c for c in cells), how)
        found.append(Input(name, column, kind, files, channels))
    return found


def _no_input(
    source: str, column: str, sample: list[Row], known: list[str], how: Reading
) -> DataError:
    """The error of a column of inputs that is not there; a long table has a column of its own."""
    name = next((each for each in known if each.lower() == "id"), None)
    if how.column is not None or how.inputs or name is None or not _is_long(sample[0], name, how):
        setting = "data.inputs" if how.inputs else "data.column"
        return no_column(source, column, setting, known)
    return DataError(
        f"{source}: no column {column!r} (data.column). If the rows of one {name!r} are a series, "
        f"--set data.id={name}, in Python id={name!r}; if each row is an example, --set "
        "data.column=NAME says what it is of."
    )


def _is_long(row: Row, name: str, how: Reading) -> bool:
    """Whether all else in a row are numbers: it is one step of a series."""
    place, cells = row
    special = {name, time_column(cells, how), how.group, how.split_column, *how.label_columns}
    others = [cell for each, cell in cells.items() if each not in special]
    try:
        numbers_of(others, lambda _: place)
    except DataError:
        return False
    return bool(others)


def _kind_of_cells(
    cells: list[Any], column: str, name: str, root: Path, how: Reading, source: str
) -> tuple[Kind, bool]:
    """What a column holds, and whether its cells name files."""
    asked = how.input if not how.inputs else "auto"
    cell = cells[0] if cells else None
    if isinstance(cell, Mapping) and {*cell} & {"bytes", "path"} and "array" not in cell:
        kind = kind_of_file(str(cell.get("path") or name)) or _by_name(name)
        return (asked if asked != "auto" else kind or "sound"), True
    if isinstance(cell, bytes):
        return (asked if asked != "auto" else _by_name(name) or "text"), True
    if not isinstance(cell, str):
        return (asked if asked != "auto" else kind_of_value(cell, replace(how, inputs={}))), False
    listed = column in FILE_COLUMNS
    if asked in ("text", "words"):
        return asked, listed
    if asked != "auto":
        return asked, True
    kind = _kind_of_path(cell, root, listed)
    every = listed or all(_kind_of_path(str(each), root, listed) for each in cells)
    if kind is not None and every:
        return kind, True
    if listed and not os.path.isfile(root / cell):
        raise no_file(root / cell, f"{source}: column {column!r}: {root / cell}")
    if listed:
        raise DataError(
            f"{source}: column {column!r}: nothing is known of files that end in "
            f"{Path(cell).suffix!r}; known are {', '.join([*ENDINGS, '.csv', '.tsv'])}. Say what "
            "they are by input, such as input='sound'."
        )
    return "text", False


def _by_name(name: str) -> Kind | None:
    """Inputs may be called by what they are."""
    return next((kind for kind in ("sound", "picture", "video", "series") if kind == name), None)


def _kind_of_path(cell: str, root: Path, listed: bool) -> Kind | None:
    """What the file is that a cell names; None of a cell that is a text."""
    kind = kind_of_path(cell)
    path = root / cell
    if kind is not None and (listed or not any(map(str.isspace, cell)) or os.path.isfile(path)):
        return kind
    return "video" if os.path.isdir(path) else None


def _example(
    row: Row, inputs: list[Input], root: Path, how: Reading, part: PartName | None
) -> Example:
    place, cells = row
    values = {each.name: _value(cells, each, root, how, place) for each in inputs}
    if how.inputs:
        value: Any = values
    else:
        value = values["input"]
        if value is None:
            raise DataError(f"{place}: expected an input in {inputs[0].column!r}, got nothing.")
    target = _target(cells, inputs, how, place)
    if not how.inputs:
        check_each(value, target, inputs[0].kind, how, place)
    return Example(value, target, place, *belonging(cells, how, place, part))


def _target(cells: Mapping[str, Any], inputs: list[Input], how: Reading, place: str) -> Target:
    """The labels of a row; a tag for each word stands between blanks as words do."""
    if inputs[0].kind == "words" and how.label_separator is None and len(how.label_columns) == 1:
        tags = cells.get(how.label_columns[0])
        if isinstance(tags, str):
            cells = {**cells, how.label_columns[0]: tags.split() or None}
    return target_in(cells, how, place)


def _value(cells: Mapping[str, Any], each: Input, root: Path, how: Reading, place: str) -> Any:
    """What a cell stands for; None if it is empty, but an empty text of a single input is one."""
    cell = cells.get(each.column)
    if each.kind == "text" and not each.files and not how.inputs:
        if not isinstance(cell, str):
            raise DataError(
                f"{place}: expected text in {each.column!r}, got "
                f"{'nothing' if is_nothing(cell) else repr(cell)}. Name another column, or "
                "leave that row out."
            )
        return cell
    if is_nothing(cell):
        return None
    if each.files and isinstance(cell, Mapping):
        held = cell.get("bytes")
        cell = held if held is not None else cell.get("path")
    if each.files and isinstance(cell, bytes):
        return content_of(cell, each.kind, how, place)
    if each.files and isinstance(cell, str):
        try:
            return value_of(root / cell, each.kind, how, place, each.channels)
        except DataError as problem:
            if how.input != "auto" or how.inputs or each.column in FILE_COLUMNS:
                raise
            raise DataError(f"{problem} If these are texts, say data.input=text.") from None
    return value_of(cell, each.kind, how, f"{place}: column {each.column!r}", each.channels)
