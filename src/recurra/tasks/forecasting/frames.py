"""Forecasts of one series, and of many as a table like the one that was read."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recurra.data.panels import ID, Table, Track, Tracks
from recurra.data.rows import imported
from recurra.files import check_ending, write_file
from recurra_runtime.fronts import Panel, universal, zoned

__all__ = [
    "Forecast",
    "columns_of_forecasts",
    "form_of",
    "frame_like",
    "instants",
    "next_stamps",
    "said_steps",
    "stamp_texts",
    "write_forecasts",
]

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of the next values of a series.

    Args:
        place: the file, and the row at which the series begins; None of what is from nowhere.
        name: of the series; empty where there is one without a name.
        channels: their names.
        stamps: of the steps ``[horizon]``, or their numbers.
        mean: ``[horizon, channels]``, in the data's units; where values are transformed
            (``data.transform``) the median.
        deviation: the same; 0 where no spread is said; where values are transformed half the
            distance between the quantiles of 15.87 % and 84.13 %.
        intervals: by level in percent two arrays of that shape, below and above.
        after: the last step that was read: its time stamp, or its number; None if none was.
        zone: where clocks say the time stamps.
    """

    place: str | None
    name: str
    channels: tuple[str, ...]
    stamps: npt.NDArray[Any]
    mean: Floats
    deviation: Floats
    intervals: Mapping[float, tuple[Floats, Floats]] = dataclasses.field(default_factory=dict)
    after: Any = None
    zone: str | None = None

    @property
    def horizon(self) -> int:
        """Steps."""
        return len(self.mean)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        found: dict[str, Any] = {} if self.place is None else {"input": self.place}
        if self.name:
            found["series"] = self.name
        stamps = self.stamps.tolist() if self.numbered else self.said
        if self.after is not None:
            found["after"] = self.after
            if isinstance(self.after, np.datetime64):  # written as those that come
                every = np.concatenate([np.array([self.after]), self.stamps])
                found["after"], *stamps = stamp_texts(every, self.zone)
        steps = []
        for step, stamp in enumerate(stamps):
            told: dict[str, Any] = {"step": stamp}
            for column, name in enumerate(self.channels):
                own = {"mean": float(self.mean[step, column])}
                own["deviation"] = float(self.deviation[step, column])
                for level, (low, high) in self.intervals.items():
                    own[f"lo-{level:g}"] = float(low[step, column])
                    own[f"hi-{level:g}"] = float(high[step, column])
                told[name] = own
            steps.append(told)
        return found | {"forecast": steps}

    @property
    def numbered(self) -> bool:
        """Whether steps have numbers, and no time stamps."""
        return self.stamps.dtype.kind != "M"

    @property
    def said(self) -> list[str]:
        """Time stamps as texts, as short as they can be."""
        return stamp_texts(self.stamps, self.zone)


def stamp_texts(stamps: npt.NDArray[Any], zone: str | None = None) -> list[str]:
    """Time stamps as ISO 8601 writes them, days alone where there is no time of the day."""
    if stamps.dtype.kind != "M":
        return [str(each) for each in stamps.tolist()]
    if zone is not None:
        return [each.isoformat(sep=" ") for each in zoned(stamps, zone)]
    days = (stamps == stamps.astype("datetime64[D]")).all()
    unit: Literal["D", "s", "ns"] = "D" if days else "s"
    if not days and not (stamps == stamps.astype("datetime64[s]")).all():
        unit = "ns"
    return [str(each).replace("T", " ") for each in np.datetime_as_string(stamps, unit=unit)]


def next_stamps(track: Track, panel: Panel, zone: str | None) -> npt.NDArray[Any]:
    """Of the steps that come, as :func:`instants`."""
    if not len(track.stamps):
        return np.arange(panel.horizon)
    if panel.frequency is not None and track.stamps.dtype.kind == "M":
        return instants(panel.frequency.after(track.stamps[-1], panel.horizon), panel, zone)
    whole = panel.frequency is not None and panel.frequency.unit == "number"
    step = panel.frequency.count if panel.frequency is not None and whole else 1
    if track.stamps.dtype.kind == "M":  # of irregular steps nobody knows when the next ones come
        return np.arange(1, panel.horizon + 1)
    found: npt.NDArray[Any] = track.stamps[-1] + step * np.arange(1, panel.horizon + 1)
    return found


def instants(stamps: npt.NDArray[Any], panel: Panel, zone: str | None) -> npt.NDArray[Any]:
    """Time stamps in UTC where there is a zone: steps of days are counted as clocks say them."""
    if zone is None or panel.frequency is None or not panel.frequency.of_days:
        return stamps
    return universal(stamps, zone)


def said_steps(stamps: npt.NDArray[Any], panel: Panel, zone: str | None) -> list[str]:
    """Time stamps as a track has them, written as clocks of a zone show them."""
    return stamp_texts(instants(stamps, panel, zone), zone)


def columns_of_forecasts(
    found: Iterable[Forecast], tracks: Tracks, model: str
) -> dict[str, list[Any] | npt.NDArray[Any]]:
    """A column for each thing that is said, and the last step read; a row for each step.

    Args:
        found: forecasts.
        tracks: of which series, and what their columns were called.
        model: what the columns of the forecasts are called; of several channels each has its name
            behind that.
    """
    every = list(found)
    roles = tracks.roles
    columns: dict[str, Any] = {}
    if roles.id is not None or len(tracks.each) > 1:
        columns[roles.id or ID] = [
            number if roles.id is None else tracks.ids.get(each.name, each.name)
            for number, each in enumerate(every)
            for _ in each.stamps
        ]
    stamps = [each.stamps for each in every]
    columns[roles.time or "ds"] = np.concatenate(stamps) if stamps else np.zeros(0)
    columns["cutoff"] = (
        np.concatenate([np.repeat(_after(each), each.horizon) for each in every])
        if every
        else np.zeros(0)
    )
    for number, channel in enumerate(every[0].channels if every else ()):
        own = model if len(every[0].channels) == 1 else f"{model}-{channel}"
        columns[own] = np.concatenate([each.mean[:, number] for each in every])
        for level in every[0].intervals:
            for side, word in enumerate(("lo", "hi")):
                values = [each.intervals[level][side][:, number] for each in every]
                columns[f"{own}-{word}-{level:g}"] = np.concatenate(values)
    return columns


def _after(forecast: Forecast) -> npt.NDArray[Any]:
    """The last step that was read, of the same kind as those that come."""
    stamps = forecast.stamps
    if forecast.after is None:
        nothing = np.datetime64("NaT") if stamps.dtype.kind == "M" else -1
        return np.array([nothing]).astype(stamps.dtype)
    if isinstance(forecast.after, np.datetime64):  # also where steps are irregular
        return np.array([forecast.after], "M8[ns]")
    return np.array([forecast.after]).astype(stamps.dtype)


def frame_like(columns: Mapping[str, Any], tracks: Tracks) -> Any:
    """A data frame of pandas or polars as the table was, with its zone; else the columns."""
    zone, times = tracks.zone, [tracks.roles.time or "ds", "cutoff"]
    dates = {name: np.asarray(columns[name]).dtype.kind == "M" for name in times if name in columns}
    of_dates = tracks.form in ("Date", "ms", "us", "ns") or "datetime" in (tracks.form or "")
    cast = {name: tracks.form is not None and kind == of_dates for name, kind in dates.items()}
    if tracks.like == "pandas":
        pandas = imported("pandas", "data frames")
        found = pandas.DataFrame(dict(columns))
        for name, kind in dates.items():
            if kind and zone is not None:
                found[name] = found[name].dt.tz_localize("UTC").dt.tz_convert(zone)
            if cast[name]:
                found[name] = found[name].astype(tracks.form)
        return found
    if tracks.like == "polars":
        polars = imported("polars", "data frames")
        frame = polars.DataFrame(dict(columns))
        for name, kind in dates.items():
            column = polars.col(name)
            if kind and zone is not None:
                column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
            if cast[name] and tracks.form in ("ms", "us", "ns"):
                column = column.dt.cast_time_unit(tracks.form)
            elif cast[name]:
                column = column.cast(getattr(polars, tracks.form or ""))
            frame = frame.with_columns(column)
        return frame
    return dict(columns)


def form_of(table: Table, time: str | None) -> str | None:
    """Type of a column of time stamps, as :func:`frame_like` gives it back; None of texts."""
    kind = getattr(table.columns.get(time or ""), "dtype", None)
    if table.like == "pandas":
        named = str(kind)
        return named if named.startswith(("datetime64", "int", "uint", "float")) else None
    if table.like == "polars":
        unit = getattr(kind, "time_unit", None)
        numbers = getattr(kind, "is_numeric", bool)()
        return unit or (str(kind) if numbers or str(kind) == "Date" else None)
    return None


def write_forecasts(path: Path, columns: Mapping[str, Any], zone: str | None = None) -> None:
    """A table in a file, whole or not at all.

    Args:
        path: ends in ``.csv``, ``.tsv`` or ``.parquet``.
        columns: of the table.
        zone: of its time stamps.

    Raises:
        SettingError: another ending.
        RunError: it cannot be written.
    """
    ending = check_ending(path, (".csv", ".tsv", ".parquet"))
    if ending == ".parquet":
        arrow = imported("pyarrow", "Parquet files")
        parquet = imported("pyarrow.parquet", "Parquet files")
        held = io.BytesIO()
        parquet.write_table(arrow.table(dict(columns)), held)
        write_file(path, held.getvalue())
        return
    told = io.StringIO()
    writer = csv.writer(told, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(each, zone) for each in columns.values()), strict=True))
    write_file(path, told.getvalue().encode())


def _cells(column: Sequence[Any] | npt.NDArray[Any], zone: str | None) -> list[Any]:
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return stamp_texts(column, zone)
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return [f"{each:.10g}" for each in column.tolist()]
    return list(column)
