"""Measured series in tables with a row for each step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.data.examples.base import Example, Examples, Found, Target, tried
from recurra.data.examples.labels import belonging, is_nothing, target_in, target_of
from recurra.data.examples.numbers import check_ascending, numbers_of, stamps_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.sources import Row, Rows, table_rows
from recurra.data.examples.ts import is_ts, open_ts
from recurra.data.rows import BrokenRow, no_column
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = [
    "Plan",
    "SeriesFile",
    "first_row",
    "has_time",
    "open_long",
    "open_whole",
    "plan_of",
    "read_series",
    "time_column",
]

_TIME = ("time", "timestamp", "date", "datetime", "ds")


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


class Plan(NamedTuple):
    """Which column is what.

    Args:
        channels: those with numbers.
        time: that with time stamps.
        labels: those with labels.
    """

    channels: tuple[str, ...]
    time: str | None
    labels: tuple[str, ...]


def read_series(file: Path, how: Reading) -> SeriesFile:
    """The sequence of a file with a row for each step.

    Lines that begin with ``#`` are comments; the last of them names the columns, if no row does.
    A ``.ts`` file has one case, whose class stands where the file is named.

    Raises:
        DataError: no table, several cases, a cell that is no number, rows of unequal
            length, time that goes back.
    """
    if is_ts(file) and file.is_file():
        return _one_case(file, how)
    rows: list[Row] = []
    for row in table_rows(file, how, comments=True):
        if isinstance(row, DataError):
            raise row
        rows.append(row)
    if not rows:
        raise DataError(f"{file}: expected rows of numbers, found none.")
    inside = tuple(name for name in how.label_columns if name in rows[0][1])
    plan = plan_of(rows[0], how, inside)
    return _sequence(rows, plan, how)


def _one_case(file: Path, how: Reading) -> SeriesFile:
    cases = open_ts(file, replace(how, label=None, on_error="stop"))
    found = list(itertools.islice(cases, 2))
    if len(found) > 1:
        raise DataError(
            f"{file}: expected one case, as this file is given for one series; there are several. "
            "Give the file itself: each of its cases is an example."
        )
    return SeriesFile(found[0].input, cases.channels, None)


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
    return time_column(cells, how) is not None


def time_column(cells: Mapping[str, Any], how: Reading) -> str | None:
    """The column of time stamps: the one that is named, or one that is called so in any case."""
    named = {name.lower(): name for name in [*cells][::-1]}
    return how.time or next((named[name] for name in _TIME if name in named), None)


def plan_of(row: Row, how: Reading, labels: tuple[str, ...]) -> Plan:
    """Which column is what.

    Args:
        row: one of the table.
        how: it is read.
        labels: columns with labels.

    Raises:
        DataError: a column that is named and not there, or none with numbers.
    """
    place, cells = row
    given = [("data.label", name) for name in labels]
    given += [("data.channels", name) for name in how.channels or ()]
    single = (("data.time", how.time), ("data.id", how.id), ("data.group", how.group))
    given += [(setting, name) for setting, name in single if name is not None]
    for setting, name in given:
        if name not in cells:
            raise no_column(place, name, setting, cells)
    time = time_column(cells, how)
    if how.channels is not None and time in how.channels:
        time = how.time
    special = {*labels, time, how.id, how.group}
    if how.split == "given":
        special.add(how.split_column)
    channels = how.channels or tuple(name for name in cells if name not in special)
    if not channels:
        raise DataError(f"{place}: expected a column for each channel, found none.")
    return Plan(channels, time, labels)


def _sequence(rows: Sequence[Row], plan: Plan, how: Reading) -> SeriesFile:
    """What rows hold that are one sequence."""

    def told(column: str) -> Callable[[int], str]:
        return lambda index: f"{rows[index][0]}: column {column!r}"

    cells: list[Any] = []
    if plan.time is not None:
        cells = _cells(rows, plan.time)
        check_ascending(stamps_of(cells, told(plan.time)), cells, told(plan.time))
    values = np.empty((len(rows), len(plan.channels)), np.float32)
    for number, name in enumerate(plan.channels):
        values[:, number] = numbers_of(_cells(rows, name), told(name))
    return SeriesFile(values, plan.channels, _target(rows, plan.labels, how), tuple(cells))


def _cells(rows: Sequence[Row], name: str) -> list[Any]:
    """Those of a column; of JSON lines each has columns of its own."""
    for place, row in rows:
        if name not in row:
            raise no_column(place, name, "", row)
    return [row[name] for _, row in rows]


def _target(rows: Sequence[Row], labels: tuple[str, ...], how: Reading) -> Target:
    """One label of all rows, or with ``steps`` one of each."""
    name = " and ".join(map(repr, labels)) + " (data.label)"
    if not labels:
        return None
    for label in labels:
        _cells(rows, label)
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
            if not _same(row[label], first[label]):
                raise DataError(
                    f"{other}: expected one label for all of a sequence in {label!r}, got "
                    f"{first[label]!r} and {row[label]!r}. For one of each step say steps=true."
                )
    return target_in(first, how, place)


def _same(one: Any, other: Any) -> bool:
    """Whether two cells hold the same, or both nothing."""
    empty = is_nothing(one), is_nothing(other)
    return all(empty) or (not any(empty) and bool(one == other))


# ---- long ----------------------------------------------------------------------------------------


def open_long(
    source: str, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """Sequences of a table with a row for each step; rows of one ``id`` stand together.

    Without an ``id`` all rows are one sequence.

    Raises:
        DataError: a column that is not there.
    """
    plan = plan_of(first_row(rows(), source), how, how.label_columns)
    if how.id is None:
        return open_whole(source, rows, how, part)
    column = how.id

    def read() -> Found:
        seen: set[str] = set()
        held: list[Row] = []
        before = ""
        problem: DataError | None = None  # of the sequence that is held
        broken: list[DataError] = []  # rows since the last one that could be read
        for row in rows():
            if isinstance(row, DataError):
                broken.append(row)
                continue
            place, cells = row
            if column not in cells:  # of JSON lines each has its own
                broken.append(no_column(place, column, "data.id", cells))
                if not how.skip:
                    raise broken[-1]
                continue
            name = str(cells[column])
            if held and name != before:
                problem = problem or _left_out(before, column, broken, name)
                yield problem or tried(_long, held, plan, how, part)
                problem = _left_out(name, column, broken, before)
                held = []
            else:
                problem = problem or _left_out(name, column, broken)
            before, broken = name, []
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
            problem = problem or _left_out(before, column, broken)
            yield problem or tried(_long, held, plan, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=plan.channels)


def _left_out(
    name: str, column: str, broken: Sequence[DataError], other: str | None = None
) -> DataError | None:
    """Why a sequence beside broken rows is not whole; None if they are of the other beside them.

    A row whose ``id`` is that of neither may belong to both.
    """
    for row in broken:
        guesses = row.guesses(column) if isinstance(row, BrokenRow) else set()
        if name in guesses or other is None or other not in guesses:
            return DataError(f"{row} The sequence {name!r} ({column!r}) is left out.")
    return None


def _long(rows: Sequence[Row], plan: Plan, how: Reading, part: PartName | None) -> Example:
    found = _sequence(rows, plan, how)
    place, first = rows[0]
    for name in (how.group, how.split_column if how.split == "given" else None):
        if name is None or name not in first:
            continue
        _cells(rows, name)
        for other, row in rows:
            if not _same(row[name], first[name]):
                raise DataError(
                    f"{other}: expected one value for all of a sequence in {name!r}, got "
                    f"{first[name]!r} and {row[name]!r}."
                )
    beside = belonging(first, how, place, part)
    return Example(found.values, found.target, place, *beside, found.stamps)


def open_whole(
    source: str, rows: Callable[[], Rows], how: Reading, part: PartName | None
) -> Examples:
    """The one sequence of a table with a row for each step.

    Raises:
        DataError: a column that is not there.
    """
    plan = plan_of(first_row(rows(), source), how, how.label_columns)

    def read() -> Found:
        held: list[Row] = []
        for row in rows():
            if isinstance(row, DataError):
                yield row
                return
            held.append(row)
        yield tried(_long, held, plan, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=plan.channels)
