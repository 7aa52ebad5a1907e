"""Series of tables, files, arrays and data frames, with what is known beside them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data import PartName, Reading, is_hub, open_examples
from recurra.data.examples import Example, Examples
from recurra.data.examples.columns import has_columns
from recurra.data.panels import (
    Grid,
    Roles,
    Track,
    Tracks,
    file_table,
    frame_table,
    roles_of,
    tracks_of,
)
from recurra.data.rows import rows_of
from recurra.data.splits import PART_NAMES
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.frames import form_of
from recurra.tasks.forecasting.settings import ForecastingData
from recurra_runtime.fronts import Frequency, stamps

__all__ = ["Source", "joined", "listed", "open_source"]


class Source:
    """Series that are read when they are asked for.

    Args:
        read: reads them.
    """

    def __init__(self, read: Callable[[Grid], Tracks]) -> None:
        self._read = read

    def tracks(self, data: ForecastingData, known: Grid | None = None) -> Tracks:
        """The series.

        Args:
            data: how they are read.
            known: what a model knows of them already.

        Raises:
            DataError: something in them that cannot be.
        """
        named = None if data.frequency is None else Frequency.parse(data.frequency)
        return self._read(known or Grid(named, data.gaps))


def open_source(source: Any, data: ForecastingData) -> Source:
    """Series of files or of Python.

    Args:
        source: a path; a data frame whose rows are steps; an array ``[time]`` or ``[time,
            channels]``, which is one series; a list of such, or an array of three axes; or any of
            these by part.
        data: how it is read.

    Raises:
        DataError: something else, or a path that leads to nothing.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, Tracks):
        return Source(lambda grid: source)
    how = data.reading()
    if isinstance(source, Mapping) and source and {*source} <= {*PART_NAMES}:
        parts = [(PART_NAMES[name], open_source(own, data)) for name, own in source.items()]
        return Source(lambda grid: joined([_of_part(own._read(grid), n) for n, own in parts]))
    if hasattr(source, "to_frame") and hasattr(source, "index"):  # a column of pandas
        source = source.to_frame("y" if source.name is None else source.name)
    if has_columns(source):
        return Source(lambda grid: _of_frame(source, how, data, grid))
    if isinstance(source, str | os.PathLike) and _is_long(Path(source), data):
        return Source(lambda grid: _of_file(Path(source), how, data, grid))
    if any(data.beside.values()):
        name = next(name for name, columns in data.beside.items() if columns)
        raise SettingError(
            f"data.{name}: columns are of a table with a row for each step, or of a data frame"
        )
    given = source if isinstance(source, Examples | str | os.PathLike) else listed(source)
    examples = given if isinstance(given, Examples) else open_examples(given, how)
    return Source(lambda grid: _of_examples(examples, grid))


def _is_long(path: Path, data: ForecastingData) -> bool:
    if is_hub(path) or not path.is_file() or data.rows != "steps":
        return False
    return rows_of(path) is not None


def _of_frame(source: Any, how: Reading, data: ForecastingData, grid: Grid) -> Tracks:
    table = frame_table(source)
    roles = roles_of(table, how, data.beside)
    found = tracks_of(table, roles, grid, skip=how.skip)
    return dataclasses.replace(found, form=form_of(table, roles.time))


def _of_file(file: Path, how: Reading, data: ForecastingData, grid: Grid) -> Tracks:
    table, left = file_table(file, how)
    found = tracks_of(table, roles_of(table, how, data.beside), grid, skip=how.skip)
    note = (f"rows of {file} that cannot be read and were left out: {left:,}",) if left else ()
    return dataclasses.replace(found, notes=(*found.notes, *note))


def _of_part(tracks: Tracks, part: PartName) -> Tracks:
    return dataclasses.replace(tracks, each=[each._replace(part=part) for each in tracks.each])


def joined(several: Sequence[Tracks]) -> Tracks:
    """Series of several tables.

    Raises:
        DataError: of other columns, or frequencies.
    """
    first = several[0]
    for other in several[1:]:
        if other.roles.channels != first.roles.channels or other.numbers != first.numbers:
            raise DataError(
                "data: expected the same columns in every part, got "
                f"{', '.join(first.roles.channels)} and {', '.join(other.roles.channels)}."
            )
        if (
            other.frequency is not None
            and first.frequency is not None
            and other.frequency != first.frequency
        ):
            raise DataError(
                "data: expected one frequency, got "
                f"{first.frequency.name} and {other.frequency.name}."
            )
    return dataclasses.replace(
        first,
        each=[track for tracks in several for track in tracks.each],
        skipped=sum(tracks.skipped for tracks in several),
        ids={name: given for tracks in several for name, given in tracks.ids.items()},
    )


def _of_examples(examples: Examples, grid: Grid) -> Tracks:
    """Series of which each stands for itself."""
    tracks: list[Track] = []
    channels = examples.channels
    every: Iterator[Example] = iter(examples)
    for number, each in enumerate(every):
        values = np.asarray(each.input, np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if tracks and values.shape[1] != tracks[0].values.shape[1]:
            wanted = tracks[0].values.shape[1]
            raise DataError(
                f"{each.place}: expected [time, {wanted}], as the first series has, got shape "
                f"{list(values.shape)}."
            )
        steps = np.arange(len(values))
        if each.stamps:
            steps = stamps(list(each.stamps)).values
        empty = np.zeros((len(values), 0))
        tracks.append(Track(str(number), each.place, steps, values, empty, empty, {}, each.part))
    if not channels and tracks:
        channels = tuple(str(n) for n in range(tracks[0].values.shape[1]))
    frequency = grid.frequency
    return Tracks(tracks, Roles(channels=channels), frequency=frequency, skipped=examples.skipped)


def listed(source: Any) -> Any:
    """Series one after another; what is one series alone, as a list of it."""
    several = getattr(getattr(source, "dtype", None), "kind", "") == "O"  # arrays in an array
    if getattr(source, "ndim", None) in (1, 2) and not several:
        return [source]
    if isinstance(source, list | tuple):
        numbers = all(
            isinstance(each, int | float) and not isinstance(each, bool) for each in source
        )
        return [source] if source and numbers else list(source)
    return source
