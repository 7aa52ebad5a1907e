"""What is known of the steps that are forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.examples.columns import has_columns
from recurra.data.panels import (
    Grid,
    Track,
    Tracks,
    file_table,
    frame_table,
    roles_of,
    tracks_of,
)
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.settings import ForecastingData
from recurra_runtime.fronts import Panel

__all__ = ["continued"]


def continued(tracks: Tracks, panel: Panel, future: Any, data: ForecastingData) -> list[Track]:
    """Series with what is known of the horizon behind them.

    Args:
        tracks: series.
        panel: what a model reads of them.
        future: a table with what is known ahead; None where the series have it, or nothing is.
        data: how tables are read.

    Raises:
        DataError: something is missing of what is known ahead.
        SettingError: a future where nothing is known ahead.
    """
    still = set(data.static)
    names = [name for name in panel.known.channels if name not in still]
    names += [name for name in panel.ahead if name not in still]
    if future is not None and not names:
        raise SettingError("future: this model reads nothing that is known ahead; leave it out")
    given = _given(future, tracks, panel, data) if future is not None else {}
    if future is not None and len(tracks.each) == 1 and len(given) == 1:
        given = {tracks.each[0].name: next(iter(given.values()))}
    return [_one(track, given.get(track.name), panel, names, still) for track in tracks.each]


def _given(future: Any, tracks: Tracks, panel: Panel, data: ForecastingData) -> dict[str, Track]:
    how = data.reading(channels=None)
    if has_columns(future):
        table = frame_table(future)
    else:
        table, _ = file_table(Path(future), how)
    beside = {"past": (), "known": data.beside["known"], "static": ()}
    roles = roles_of(table, how, beside, past=False)
    roles = roles.__class__(roles.id, roles.time, (), (), roles.known, (), None)
    grid = Grid(panel.frequency, panel.gaps, tuple(n for n in panel.categories if n in roles.known))
    found = tracks_of(table, roles, grid)
    return {each.name: each for each in found.each}


def _one(
    track: Track, more: Track | None, panel: Panel, names: list[str], still: set[str]
) -> Track:
    size, horizon = len(track.values), panel.horizon
    beyond = len(track.known) - size
    if not names:
        missing = max(horizon - beyond, 0)
        return _lengthened(track, missing, panel, still)
    numbers = list(panel.known.channels)
    moving = [name for name in numbers if name not in still]
    if more is None and beyond >= horizon:
        columns = [numbers.index(name) for name in moving]
        _check_there(track.known[size : size + horizon, columns], moving, track.place)
        return track
    if more is None:
        raise DataError(
            f"{track.place}: expected {', '.join(names)} of the {horizon:,} steps that are "
            "forecast, as they are known ahead: give them as future, or as rows without a "
            f"value behind the last{f' (series {track.name!r})' if track.name else ''}."
        )
    more = _behind(track, more, panel)
    if len(more.known) < horizon:
        raise DataError(
            f"{more.place}: expected rows of the {horizon:,} steps after {track.stamps[-1]}"
            f"{f' of the series {track.name!r}' if track.name else ''}, got {len(more.known):,}."
        )
    wide = np.full((size + horizon, track.known.shape[1]), np.nan)
    wide[:size] = track.known[:size]
    for column, name in enumerate(numbers):
        if name in still:
            wide[size:, column] = track.known[size - 1, column] if size else np.nan
        else:
            wide[size:, column] = more.known[:horizon, moving.index(name)]
    _check_there(more.known[:horizon], moving, more.place)
    codes = {}
    for name, cells in track.codes.items():
        begun = list(cells)[:size]
        if name in still:
            own = [begun[-1] if begun else None] * horizon
        else:
            own = list(more.codes[name])[:horizon] if name in more.codes else [None] * horizon
        codes[name] = begun + own
    return track._replace(known=wide, codes=codes)


def _check_there(values: npt.NDArray[Any], names: list[str], place: str) -> None:
    lost = np.isnan(values).any(1)
    if lost.any():
        raise DataError(
            f"{place}: expected a number in each of {', '.join(names)}, one is missing in step "
            f"{int(lost.argmax()) + 1} after the last."
        )


def _behind(track: Track, more: Track, panel: Panel) -> Track:
    """The rows of the future behind the last step."""
    if not len(track.stamps) or more.stamps.dtype.kind != track.stamps.dtype.kind:
        return more
    if track.stamps.dtype.kind != "M" and panel.frequency is None:
        return more
    later = int(np.searchsorted(more.stamps, track.stamps[-1], side="right"))
    if panel.frequency is not None and len(more.stamps) > later:
        wanted = panel.frequency.after(track.stamps[-1], 1)[0]
        if more.stamps[later] != wanted:
            raise DataError(
                f"{more.place}: expected the step {wanted} first, which comes after "
                f"{track.stamps[-1]}, got {more.stamps[later]}."
            )
    return more._replace(
        stamps=more.stamps[later:],
        known=more.known[later:],
        codes={name: list(cells)[later:] for name, cells in more.codes.items()},
    )


def _lengthened(track: Track, missing: int, panel: Panel, still: set[str]) -> Track:
    """What does not change goes on."""
    if not missing or not (track.known.shape[1] or track.codes or panel.known_size):
        return track
    last = track.known[-1:] if len(track.known) else np.full((1, track.known.shape[1]), np.nan)
    codes = {
        name: [*cells, *[(list(cells) or [None])[-1] if name in still else None] * missing]
        for name, cells in track.codes.items()
    }
    known = np.concatenate([track.known, np.repeat(last, missing, 0)])
    return track._replace(known=known, codes=codes)
