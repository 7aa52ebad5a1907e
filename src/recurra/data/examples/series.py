"""Measured series in tables: long (a row for each step), wide (a row for each sequence)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.data.examples.base import Example, Examples, Found, Target, tried
from recurra.data.examples.labels import named_part, target_of
from recurra.data.examples.numbers import check_ascending, numbers_of, stamps_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.sources import Row, Rows, table_rows
from recurra.data.rows import no_column
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = [
    "SeriesFile",
    "first_row",
    "has_time",
    "open_long",
    "open_whole",
    "open_wide",
    "read_series",
]

_TIME = ("time", "timestamp", "date", "datetime")
_VALUE = "value"  # what the channel of a wide table is called


class SeriesFile(NamedTuple):
    """What a file of one sequence holds.

    Args:
        values: ``[time, channels]``.
        channels: their names.
        target: of the label column, if there is one.
        stamps: of the column of time, if there is one.
    """

    values: npt.NDArray[np.float32]
    channels: tuple[str, ...]
    target: Target
    stamps: tuple[Any, ...] = ()


class _Plan(NamedTuple):
    """Which column is what."""

    channels: tuple[str, ...]
    time: str | None
    labels: tuple[str, ...]


def read_series(file: Path, how: Reading) -> SeriesFile:
    """The sequence of a file with a row for each step.

    Lines that begin with ``#`` are comments; the last of them names the columns, if no row does.

    Raises:
        DataError: a cell that is no number, rows of unequal length, time that goes back.
    """
    rows: list[Row] = []
    for row in table_rows(file, how, comments=True):
        if isinstance(row, DataError):
            raise row
        rows.append(row)
    if not rows:
        raise DataError(f"{file}: expected rows of numbers, found none.")
    inside = tuple(name for name in how.label_columns if name in rows[0][1])
    plan = _plan(rows[0], how, inside)
    return _sequence(rows, plan, how)


def first_row(rows: Rows, source: str) -> Row:
    """The first that can be read; its error if none can."""
    problem: DataError | None = None
    for row in rows:
        if not isinstance(row, DataError):
            return row
        problem = problem or row
    raise problem or DataError(f"{source}: expected rows, found none.")


def has_time(cells: Mapping[str, Any], how: Reading) -> bool:
    """Whether there is a column of time stamps."""
    return how.time is not None or any(name in cells for name in _TIME)


def _plan(row: Row, how: Reading, labels: tuple[str, ...]) -> _Plan:
    place, cells = row
    given = [("data.label", name) for name in labels]
    given += [("data.channels", name) for name in how.channels or ()]
    single = (("data.time", how.time), ("data.id", how.id), ("data.group", how.group))
    given += [(setting, name) for setting, name in single if name is not None]
    for setting, name in given:
        if name not in cells:
            raise no_column(place, name, setting, cells)
    time = how.time or next((name for name in _TIME if name in cells), None)
    if how.channels is not None and time in how.channels:
        time = how.time
    special = {*labels, time, how.id, how.group}
    if how.split == "given":
        special.add(how.split_column)
    channels = how.channels or tuple(name for name in cells if name not in special)
    if not channels:
        raise DataError(f"{place}: expected a column for each channel, found none.")
    return _Plan(channels, time, labels)


def _sequence(rows: Sequence[Row], plan: _Plan, how: Reading) -> SeriesFile:
    """What rows hold that are one sequence."""

    def told(column: str) -> Callable[[int], str]:
        return lambda index: f"{rows[index][0]}: column {column!r}"

    cells: list[Any] = []
    if plan.time is not None:
        cells = [row[plan.time] for _, row in rows]
        check_ascending(stamps_of(cells, told(plan.time)), cells, told(plan.time))
    values = np.empty((len(rows), len(plan.channels)), np.float32)
    for number, name in enumerate(plan.channels):
        values[:, number] = numbers_of([row[name] for _, row in rows], told(name))
    return SeriesFile(values, plan.channels, _target(rows, plan.labels, how), tuple(cells))


def _target(rows: Sequence[Row], labels: tuple[str, ...], how: Reading) -> Target:
    """One label of all rows, or with ``steps`` one of each."""
    name = " and ".join(map(repr, labels)) + " (data.label)"
    if not labels:
        return None
    if how.steps:
        found = []
        for place, row in rows:
            each = target_of([row[label] for label in labels], how, name, place)
            if not isinstance(each, str):
                raise DataError(f"{place}: expected one label for each step, got {each!r}.")
            found.append(each)
        return tuple(found)
    place, first = rows[0]
    for label in labels:
        for other, row in rows:
            if row[label] != first[label]:
                raise DataError(
                    f"{other}: expected one label for all of a sequence in {label!r}, got "
                    f"{first[label]!r} and {row[label]!r}. For one of each step say steps=true."
                )
    return target_of([first[label] for label in labels], how, name, place)


# ---- long ----------------------------------------------------------------------------------------


def open_long(
    source: str, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """Sequences of a table with a row for each step; rows of one ``id`` stand together.

    Without an ``id`` all rows are one sequence.

    Raises:
        DataError: a column that is not there.
    """
    plan = _plan(first_row(rows(), source), how, how.label_columns)
    column = how.id

    def read() -> Found:
        seen: set[str] = set()
        held: list[Row] = []
        last = ""
        problem: DataError | None = None
        for row in rows():
            if isinstance(row, DataError):  # the sequence around it is not whole
                problem = problem or row
                continue
            place, cells = row
            name = "" if column is None else str(cells[column])
            if held and name != last:
                yield problem or tried(_long, held, plan, how, part)
                held, problem = [], None
            last = name
            if not held:
                if name in seen:
                    problem = DataError(
                        f"{place}: expected the rows of each sequence together, {name!r} "
                        f"({column!r}) was there before. Sort the table by {column!r}, or give "
                        "each sequence a name of its own."
                    )
                seen.add(name)
            held.append(row)
        if held:
            yield problem or tried(_long, held, plan, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=plan.channels)


def _long(rows: Sequence[Row], plan: _Plan, how: Reading, part: PartName | None) -> Example:
    found = _sequence(rows, plan, how)
    place, first = rows[0]
    for name in (how.group, how.split_column if how.split == "given" else None):
        if name is None or name not in first:
            continue
        for other, row in rows:
            if row[name] != first[name]:
                raise DataError(
                    f"{other}: expected one value for all of a sequence in {name!r}, got "
                    f"{first[name]!r} and {row[name]!r}."
                )
    beside = _beside(place, first, how, part)
    return Example(found.values, found.target, place, *beside, found.stamps)


def _beside(
    place: str, cells: Mapping[str, Any], how: Reading, part: PartName | None
) -> tuple[PartName | None, str | None]:
    """Part and group of a row."""
    if part is None and how.split == "given":
        if how.split_column not in cells:
            raise no_column(place, how.split_column, "data.split_column", cells)
        part = named_part(str(cells[how.split_column]))
        if part is None:
            raise DataError(
                f"{place}: expected train, validation or test in {how.split_column!r}, got "
                f"{cells[how.split_column]!r}."
            )
    group = None if how.group is None else cells[how.group]
    return part, None if group is None else str(group).strip() or None


def open_whole(
    source: str, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """The one sequence of a table with a row for each step.

    Raises:
        DataError: a column that is not there.
    """
    plan = _plan(first_row(rows(), source), how, how.label_columns)

    def read() -> Found:
        held: list[Row] = []
        for row in rows():
            if isinstance(row, DataError):
                yield row
                return
            held.append(row)
        yield tried(_long, held, plan, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=plan.channels)


# ---- wide ----------------------------------------------------------------------------------------


def open_wide(
    source: str, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """Sequences of a table with a row for each, a column for each step in their order.

    Of several channels, which ``channels`` names, the columns are called by channel and step, such
    as ``x_0, x_1, y_0, y_1``. Missing cells at the end of a row are no steps.

    Raises:
        DataError: a column that is not there, or channels with unequal numbers of them.
    """
    first = first_row(rows(), source)
    plan = _plan(first, replace(how, channels=None), how.label_columns)
    names = how.channels or (_VALUE,)
    columns = _columns_of_channels(first, how) if how.channels else [list(plan.channels)]

    def read() -> Found:
        for row in rows():
            if isinstance(row, DataError):
                yield row
            else:
                yield tried(_wide, row, columns, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=names)


def _columns_of_channels(row: Row, how: Reading) -> list[list[str]]:
    place, cells = row
    found = []
    for channel in how.channels or ():
        rule = re.compile(re.escape(channel) + r"[_\-. ]?(\d+)")
        numbered = [(int(m[1]), name) for name in cells if (m := rule.fullmatch(name))]
        found.append([name for _, name in sorted(numbered)])
        if len(found[-1]) != len(found[0]) or not numbered:
            raise DataError(
                f"{place}: expected as many columns of each channel, called such as {channel}_0, "
                f"got {len(found[-1])} of {channel!r} and {len(found[0])} of {how.channels[0]!r}."  # type: ignore[index]
            )
    return found


def _wide(row: Row, columns: list[list[str]], how: Reading, part: PartName | None) -> Example:
    place, cells = row
    channels = []
    for names in columns:
        told = _of_columns(place, names)
        channels.append(numbers_of([cells[name] for name in names], told))
    values = np.stack(channels, 1).astype(np.float32)
    there = ~np.all(np.isnan(values), axis=1)
    last = int(np.flatnonzero(there)[-1]) + 1 if there.any() else 0
    values = values[:last]
    labels = how.label_columns
    name = " and ".join(map(repr, labels)) + " (data.label)"
    target = target_of((cells[label] for label in labels), how, name, place)
    return Example(values, target, place, *_beside(place, cells, how, part))


def _of_columns(place: str, names: Sequence[str]) -> Callable[[int], str]:
    return lambda index: f"{place}: column {names[index]!r}"
