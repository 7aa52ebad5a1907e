"""Tables of files and of Python in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data.examples.columns import columns_of, names_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import time_column
from recurra.data.examples.sources import table_rows
from recurra.data.panels.base import Roles, Table
from recurra.data.rows import no_column
from recurra.errors import DataError, SettingError

__all__ = ["ID", "file_table", "frame_table", "roles_of"]

ID, TARGET = "unique_id", "y"
"""Names of columns by the convention of forecasting libraries."""


def frame_table(source: Any) -> Table:
    """A data frame of pandas or polars, or a mapping of lists.

    Raises:
        DataError: columns of several lengths, one twice, or none that can be read.
    """
    kind = type(source).__module__.partition(".")[0]
    if kind == "pandas":
        source = _with_index(source)
    names = names_of(source)
    if not names:
        raise DataError("data: expected columns, found none.")
    like = kind if kind in ("pandas", "polars") else None
    if like is not None:  # of one length, and fast as they are
        columns: dict[str, Any] = {name: source[own] for name, own in names.items()}
    else:
        wanted = [("data.channels", name) for name in names]
        columns = dict(zip(names, columns_of(source, wanted), strict=True))
    return Table(columns, "data", like=like)


def _with_index(source: Any) -> Any:
    """A frame of pandas whose index, where it has names or is of time, is columns like others."""
    index = source.index
    if any(name is not None for name in index.names):
        return source.reset_index()
    if getattr(getattr(index, "dtype", None), "kind", "") == "M" or hasattr(index, "to_timestamp"):
        return source.rename_axis("ds").reset_index()
    return source


def file_table(file: Path, how: Reading) -> tuple[Table, int]:
    """A table in a file, and how many of its rows were left out.

    Raises:
        DataError: no table, or a row that cannot be read.
    """
    columns: dict[str, list[Any]] = {}
    places: list[str] = []
    skipped = 0
    for row in table_rows(file, how, comments=True):
        if isinstance(row, DataError):
            if not how.skip:
                raise row
            skipped += 1
            continue
        place, cells = row
        if not places:
            columns = {name: [] for name in cells}
        for name, column in columns.items():
            if name not in cells:
                raise no_column(place, name, "", cells)
            column.append(cells[name])
        places.append(place)
    if not places:
        raise DataError(f"{file}: expected rows of numbers, found none.")
    return Table(columns, str(file), places), skipped


def roles_of(
    table: Table, how: Reading, beside: Mapping[str, tuple[str, ...]], *, past: bool = True
) -> Roles:
    """Which column is what.

    What is not named is told by the convention: ``unique_id`` names series, ``ds`` (or a column
    that is called time, timestamp, date or datetime) has time stamps, ``y`` is what is forecast;
    all others are, where there is no ``y``.

    Args:
        table: the table.
        how: what its columns are called.
        beside: names of the columns ``past``, ``known`` and ``static``.
        past: whether those with the past must be there.

    Raises:
        DataError: a column that is named and not there, or nothing to forecast.
        SettingError: a column of two kinds.
    """
    known = table.columns
    name = how.id or (ID if ID in known else None)
    time = time_column(known, how)
    if time in (how.channels or ()):
        time = how.time
    split = how.split_column if how.split == "given" else None
    others = {setting: names for setting, names in beside.items() if names}
    special = {name, time, split, *(each for names in others.values() for each in names)}
    channels = how.channels or ((TARGET,) if TARGET in known else ())
    channels = channels or tuple(each for each in known if each not in special)
    named = [("data.id", name), ("data.time", time), ("data.split_column", split)]
    named += [("data.channels", each) for each in channels if past]
    named += [
        (f"data.{setting}", each)
        for setting, names in others.items()
        for each in names
        if past or setting != "past"
    ]
    _check_named(table, named)
    if past and not channels:
        raise DataError(f"{table.source}: expected a column for each channel, found none.")
    kinds = {k: others.get(k, ()) for k in ("past", "known", "static")}
    return Roles(name, time, channels, **kinds, split=split)


def _check_named(table: Table, named: Sequence[tuple[str, str | None]]) -> None:
    """Each column once, also one that is told by its name alone; and all of them there."""
    seen: dict[str, str] = {}
    for setting, column in named:
        if column is None:
            continue
        if column in seen:
            raise SettingError(
                f"{setting}: the column {column!r} is in {seen[column]} too; expected it once"
            )
        seen[column] = setting
        if column not in table.columns:
            raise no_column(table.source, column, setting, table.columns)
