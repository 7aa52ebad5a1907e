"""From series to what a forecaster trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data import PartName, content_key
from recurra.data.panels import Grid, Track, Tracks
from recurra.errors import DataError
from recurra.tasks.division import divide_examples
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.settings import ForecastingData, steps_apart
from recurra.tasks.forecasting.sources import Source, joined
from recurra.tasks.forecasting.windows import Stretch
from recurra_runtime.fronts import Calendar, Panel, Scale, Scales, Series, local

__all__ = [
    "PANEL",
    "SeriesCorpus",
    "check_counted",
    "check_counts",
    "encode_series",
    "in_numbers",
    "known_grid",
    "prepare_series",
]

PANEL = "panel"
"""The field of the front."""
_FEW = 10  # series, from which on some are kept for each part
_USES = {"training": "to train on", "validation": "to choose by", "test": "held out"}

Named = dict[PartName, list[tuple[Track, int]]]
"""Of each part its series up to their last step, and from which on they are scored."""


@dataclasses.dataclass(frozen=True)
class SeriesCorpus:
    """Series of all parts.

    Args:
        parts: by name.
        panel: fitted on what is trained on.
        tracks: as they were read, all of each.
        fingerprint: tells these series, in this order, from any others.
        by_time: whether the parts are stretches of the same series.
        held: the series that are tested on, in the order of that part, and from which step on.
    """

    parts: dict[PartName, SeriesPart]
    panel: Panel
    tracks: Tracks
    fingerprint: str
    by_time: bool
    held: list[tuple[Track, int]] = dataclasses.field(default_factory=list)

    @property
    def fronts(self) -> dict[str, Any]:
        """What an artifact keeps."""
        return {PANEL: self.panel}

    def sizes(self, scored: int) -> str:
        """How many steps there are."""
        panel = self.panel
        counts = [f"{part.steps:,} {_USES[name]}" for name, part in self.parts.items()]
        counts[0] = f"{self.parts['training'].steps:,} steps {_USES['training']}"
        total = sum(part.steps for part in self.parts.values()) * len(panel.channels)
        missing = total - sum(part.there for part in self.parts.values())
        held = self.parts.get("validation")
        few = f"; chooses by {scored:,} values" if held and scored < held.count else ""
        series = sum(len(part.stretches) for part in self.parts.values())
        if self.by_time:
            series = len(self.parts["training"].stretches)
        told = [
            ", ".join(counts) + few,
            f"{series:,} series, "
            + ("divided by time" if self.by_time else "whole series in each part"),
            f"{len(panel.channels):,} channels",
        ]
        beside = panel.past_size + panel.known_size + len(panel.categories)
        if beside:
            told.append(f"{beside:,} more numbers or categories a step are read")
        if panel.frequency is not None:
            told.append(f"a step is {panel.frequency.name}")
        if missing:
            told.append(f"missing values: {missing / max(total, 1):.1%}")
        if self.tracks.skipped:
            told.append(f"left out because they cannot be read: {self.tracks.skipped:,}")
        return "; ".join(told)


def prepare_series(
    source: Source,
    given: Mapping[PartName, Source],
    data: ForecastingData,
    panel: Panel | None = None,
) -> SeriesCorpus:
    """Read, divide, and scale by what is trained on.

    Args:
        source: series.
        given: those of parts that have files of their own.
        data: how they are divided.
        panel: of a model that is there already.

    Raises:
        DataError: no series, too few steps in one of the parts, no value to train on, or other
            columns.
    """
    grid = None if panel is None else known_grid(panel)
    several = [source.tracks(data, grid)]
    for part, own in given.items():
        read = own.tracks(data, grid)
        own_part = [each._replace(part=part) for each in read.each]
        several.append(dataclasses.replace(read, each=own_part))
    tracks = joined(several)
    named, by_time = _divided(tracks.each, data)
    for name, some in named.items():
        if not any(len(each.values) > first for each, first in some):
            raise DataError(
                f"data: expected series in every part, none is left for {name}. Give more of them, "
                "or divide them otherwise with data.split."
            )
    panel = panel or _fitted(tracks, [each for each, _ in named["training"]], data)
    parts = {
        name: SeriesPart.of(in_numbers(some, panel), panel, data) for name, some in named.items()
    }
    if not parts["training"].there:
        raise DataError(
            "data: expected values to train on, all of the training part are missing (NaN). Give "
            "series that have some there, or divide them otherwise with data.split."
        )
    return SeriesCorpus(parts, panel, tracks, _fingerprint(named, tracks), by_time, named["test"])


def known_grid(panel: Panel) -> Grid:
    """What a model knows of how series are read."""
    return Grid(panel.frequency, panel.gaps, tuple(panel.categories))


# ---- divided -------------------------------------------------------------------------------------


def _divided(tracks: Sequence[Track], data: ForecastingData) -> tuple[Named, bool]:
    unnamed = [each for each in tracks if each.part is None]
    few = len(unnamed) < _FEW or data.horizon > 1
    if data.split == "time" or (data.split == "auto" and few):
        return _by_time(tracks, data), True
    divided = divide_examples(
        tracks, data, lambda each: each.part, lambda each: content_key(_plain(each.values))
    )
    return {name: [(each, 0) for each in some] for name, some in divided.items()}, False


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)


def _by_time(tracks: Sequence[Track], data: ForecastingData) -> Named:
    """The last steps of each series are tested on, those before them are chosen by.

    One that is too short for that is trained on alone.
    """
    found: Named = {"training": [], "validation": [], "test": []}
    if data.validation is False:
        del found["validation"]
    short: Track | None = None
    for each in tracks:
        if each.part is not None:
            found[each.part if each.part in found else "training"].append((each, 0))
            continue
        steps = len(each.values)
        last = functools.partial(steps_apart, steps, data.horizon)
        stop = steps - (last(data.test_steps) if data.test is None else 0)
        held = stop - (last(data.validation_steps) if data.validation is True else 0)
        if held < 1:
            short = short or each
            if data.horizon > 1 and steps:
                found["training"].append((each, 0))
            continue
        found["training"].append((each.cut(held), 0))
        if held < stop:
            found["validation"].append((each.cut(stop), held))
        if stop < steps:
            found["test"].append((each, stop))
    if data.test_steps == 0 and data.test is None:
        ends = [(each, max(len(each.values) - data.horizon, 0)) for each, _ in found["training"]]
        found["test"] = found.get("validation") or ends
    if short is not None and (data.horizon == 1 or not found["test"]):
        least = 1 + sum(
            max(data.horizon, given or 0)
            for given, apart in (
                (data.test_steps, data.test is None),
                (data.validation_steps, data.validation is True),
            )
            if apart
        )
        raise DataError(
            f"{short.place}: expected a series of at least {least:,} steps, which can be divided "
            f"by time, got {len(short.values):,}. data.split says how else they are divided, "
            "data.test_steps and data.validation_steps how many are set apart."
        )
    return found


# ---- in numbers ----------------------------------------------------------------------------------


def _fitted(tracks: Tracks, training: Sequence[Track], data: ForecastingData) -> Panel:
    """The front, of what is trained on."""
    roles, channels = tracks.roles, tracks.roles.channels
    by_series = data.scale_by == "series" or (data.scale_by is None and roles.id is not None)
    scales = Scales(channels, data.scale, data.transform, each=by_series)
    for each in tracks.each:
        _check_transform(scales, each)
    scales = scales.fit((each.name, each.values) for each in training)
    season = data.season or (tracks.frequency.season if tracks.frequency is not None else 1)
    calendar = Calendar(())
    if data.calendar is not None:
        calendar = Calendar(data.calendar)
    elif tracks.frequency is not None and data.horizon > 1:
        calendar = Calendar.of(tracks.frequency)
    gap = _usual_gap(training) if data.gaps else 1.0
    past, known = (
        Series(names, mask=False).fit([rows]) if names else None
        for names, rows in (
            (tracks.numbers[0], _rows([each.past for each in training])),
            (tracks.numbers[1], _rows([each.known[: len(each.values)] for each in training])),
        )
    )
    return Panel(
        scales,
        past=past,
        known=known,
        categories=_categories(tracks, training),
        ahead=tracks.ahead,
        calendar=calendar,
        frequency=tracks.frequency,
        zone=tracks.zone,
        horizon=data.horizon,
        look_back=data.steps_read(max(len(each.values) for each in training), season),
        patch=data.patch,
        season=season,
        gaps=data.gaps,
        gap=gap,
    )


def _rows(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def _categories(tracks: Tracks, training: Sequence[Track]) -> dict[str, list[str]]:
    return {
        name: sorted(
            {cell for each in training for cell in each.codes[name][: len(each.values)]} - {None}
        )
        for name in tracks.categories
    }


def _usual_gap(training: Sequence[Track]) -> float:
    gaps = [np.diff(each.stamps).astype(np.float64) for each in training if len(each.stamps) > 1]
    found = float(np.median(np.concatenate(gaps))) if gaps else 1.0
    return found if found > 0 else 1.0


def in_numbers(some: Iterable[tuple[Track, int]], panel: Panel) -> list[Stretch]:
    """Series as they are read, each with its scale and from where on it is scored."""
    return [_stretch(each, first, panel, number) for number, (each, first) in enumerate(some)]


def _stretch(track: Track, first: int, panel: Panel, number: int) -> Stretch:
    seen = track.values[:first] if first else track.values  # all of what is trained on
    scale = panel.scales.of(track.name, seen)
    values = _encoded(panel, track, scale)
    more = None if not panel.known_size else panel.encode_known(track.known, _stamps(track, panel))
    codes = None
    if panel.categories:
        codes = _codes(track, panel, len(values))
    past = None
    if panel.past_size:
        since = np.zeros(len(values))
        if panel.gaps and len(values) > 1:
            since[1:] = np.diff(track.stamps).astype(np.float64)
        past = panel.encode_past(track.past, since)
    return Stretch(values, first, past, more, codes, number, scale)


def _codes(track: Track, panel: Panel, size: int) -> npt.NDArray[np.int64]:
    """Categories as they are read: those that are not known ahead a step later."""
    steps = len(next(iter(track.codes.values())))
    found = np.zeros((steps + 1, len(panel.categories)), np.int64)
    found[:-1] = panel.encode_codes(track.codes, steps)
    for column, ahead in enumerate(panel.are_ahead):
        if not ahead:
            found[1:, column] = found[:-1, column].copy()
            found[0, column] = 0
            found[size + 1 :, column] = 0
    return found


def _encoded(panel: Panel, track: Track, scale: Scale) -> npt.NDArray[np.float32]:
    if track.values.shape[1] != len(panel.channels):
        names = ", ".join(panel.channels)
        raise DataError(
            f"{track.place}: expected [time, {len(panel.channels)}], channels {names}, got shape "
            f"{list(track.values.shape)}."
        )
    if np.isinf(track.values).any():
        step, channel = (int(n) for n in np.argwhere(np.isinf(track.values))[0])
        raise DataError(
            f"{track.place}: expected finite numbers, channel {panel.channels[channel]!r} is "
            f"infinite at step {step}; what is missing is NaN."
        )
    _check_transform(panel.scales, track)
    return panel.scales.inward(track.values, scale)


def _check_transform(scales: Scales, track: Track) -> None:
    step = scales.check(track.values)
    if step is not None:
        least = "above 0" if scales.transform == "log" else "above -1"
        raise DataError(
            f"{track.place or 'input'}: data.transform={scales.transform} takes values {least}, "
            f"step {step} of the series has {_told(track.values[step])}."
        )


def check_counts(tracks: Tracks) -> None:
    """Of a model that says whole numbers from 0 on.

    Raises:
        DataError: another value.
    """
    for track in tracks.each:
        check_counted(track.place, track.name, track.values)


def check_counted(place: str, name: str, values: npt.NDArray[Any]) -> None:
    """Of one series ``[time, channels]``; NaN is missing.

    Raises:
        DataError: a value that is no whole number from 0 on.
    """
    bad = ~(np.isnan(values) | ((values >= 0) & (values % 1 == 0)))
    if bad.any():
        step = int(bad.any(1).argmax())
        series = f"the series {name!r}" if name else "the series"
        raise DataError(
            f"{place or 'input'}: expected counts, whole numbers from 0 on, step {step} of "
            f"{series} has {_told(values[step])}. model.distribution=student says any number."
        )


def _told(values: npt.NDArray[Any]) -> str:
    return ", ".join(f"{value:g}" for value in values.tolist())


def _stamps(track: Track, panel: Panel) -> npt.NDArray[Any]:
    """Time stamps of all steps of which something is known, those to come too."""
    size = len(track.known)
    if not panel.calendar.shape[0]:
        return np.arange(size)
    stamps = track.stamps
    if stamps.dtype.kind != "M":
        raise DataError(
            f"{track.place or 'input'}: expected time stamps, of which this model reads "
            f"{', '.join(panel.calendar.features)} (data.calendar), got numbered steps."
        )
    more = size - len(stamps)
    if more > 0 and panel.frequency is not None and len(stamps):
        stamps = np.concatenate([stamps, panel.frequency.after(stamps[-1], more)])
    if panel.frequency is not None and panel.frequency.of_days:
        return stamps  # as clocks say them already
    return local(stamps, panel.zone)


def _fingerprint(named: Named, tracks: Tracks) -> str:
    """Of all values, when they were measured, and how their columns are called."""
    columns = (tracks.roles.channels, tracks.numbers, tracks.zone)
    found = hashlib.blake2b(repr(columns).encode(), digest_size=16)
    for name, some in named.items():
        for each, first in some:
            found.update(f"{name} {first} {content_key(each.values)}\n".encode())
            stamps = each.stamps.view(np.int64) if each.stamps.dtype.kind == "M" else each.stamps
            found.update(f"{each.name} {content_key(stamps)}\n".encode())
            if each.past.shape[1] or each.known.shape[1] or each.codes:
                codes = repr(sorted(each.codes.items()))
                beside = f"{content_key(each.past)} {content_key(each.known)} {codes}\n"
                found.update(beside.encode())
    return found.hexdigest()


def encode_series(
    source: Source, panel: Panel, data: ForecastingData, report: Callable[[str], None]
) -> SeriesPart:
    """Series from outside in the numbers of a model, each whole."""
    tracks = source.tracks(data, known_grid(panel))
    if tracks.skipped:
        report(f"left out because they cannot be read: {tracks.skipped:,}")
    reads = panel.look_back or 0
    every = [(each, min(reads, max(len(each.values) - panel.horizon, 0))) for each in tracks.each]
    called = [(each.place, each.name) for each in tracks.each]
    return SeriesPart.of(in_numbers(every, panel), panel, data, called)
