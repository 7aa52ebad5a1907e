"""Forecasts from several places of the same series."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.panels import Track, Tracks
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.answer import check_levels
from recurra.tasks.forecasting.frames import Forecast, columns_of_forecasts, frame_like

__all__ = ["rolled"]

Values = npt.NDArray[Any]


def rolled(
    forecaster: Any,
    data: Any,
    n_windows: int,
    step_size: int,
    refit: bool | int,
    level: Sequence[float],
) -> Any:
    """What :meth:`recurra.Forecaster.cross_validation` gives.

    Raises:
        DataError: no series is long enough.
        SettingError: a number that cannot be.
    """
    _check_numbers(n_windows, step_size, refit)
    check_levels(level)
    whole, horizon = forecaster._opened(data), forecaster.horizon
    every = (1 if refit else 0) if isinstance(refit, bool) else refit
    found: list[Forecast] = []
    came: list[Values] = []
    held = 0
    back = [horizon + (n_windows - 1 - window) * step_size for window in range(n_windows)]
    _check_long_enough(whole, back, step_size, horizon)
    for window, steps in enumerate(back):
        some = [each for each in whole.each if len(each.values) > steps]
        before = dataclasses.replace(whole, each=[_until(each, steps) for each in some])
        if not window or (every and window % every == 0):
            forecaster.fit(before)
            held = forecaster.held_
        else:
            held += step_size  # what has come since tells how far off forecasts are
            if held:
                forecaster.model_.calibrate(before, held)
        ahead = dataclasses.replace(
            whole,
            each=[
                _until(each, steps)._replace(known=each.known, codes=each.codes) for each in some
            ],
        )
        model = forecaster.model_
        found += model.forecasts(model.whole(ahead), None, level)
        came += [
            each.values[len(each.values) - steps : len(each.values) - steps + horizon]
            for each in some
        ]
    columns = columns_of_forecasts(found, whole, forecaster.name)
    return frame_like(_with_values(columns, found[0].channels, np.concatenate(came)), whole)


def _check_numbers(n_windows: int, step_size: int, refit: bool | int) -> None:
    for name, value in (("n_windows", n_windows), ("step_size", step_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingError(f"{name}: expected a whole number above 0, got {value!r}")
    if not isinstance(refit, bool | int) or refit < 0:
        raise SettingError(f"refit: expected true, false or a number of windows, got {refit!r}")


def _check_long_enough(whole: Tracks, back: Sequence[int], step_size: int, horizon: int) -> None:
    """Whether some series goes back behind the first place."""
    longest = max(len(each.values) for each in whole.each)
    if longest <= back[0]:
        raise DataError(
            f"cross_validation: {len(back)} places {step_size} steps apart and a horizon of "
            f"{horizon} need series of more than {back[0]:,} steps, the longest has "
            f"{longest:,}. Give fewer windows."
        )


def _with_values(
    columns: Mapping[str, Any], names: Sequence[str], values: Values
) -> dict[str, Any]:
    """Columns of forecasts, behind their places those of what came."""
    told = [(name, values[:, number]) for number, name in enumerate(names)]
    at = list(columns).index("cutoff") + 1
    items = list(columns.items())
    return dict([*items[:at], *told, *items[at:]])


def _until(track: Track, steps: int) -> Track:
    """The same without its last steps."""
    stop = len(track.values) - steps
    cut = track.cut(stop)
    return cut._replace(
        known=cut.known[:stop], codes={n: list(c)[:stop] for n, c in cut.codes.items()}
    )
