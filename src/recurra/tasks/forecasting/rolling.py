"""Forecasts from several places of the same series."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.data.panels import Track
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.answer import check_levels
from recurra.tasks.forecasting.frames import Forecast, columns_of_forecasts, frame_like

__all__ = ["rolled"]


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
    for name, value in (("n_windows", n_windows), ("step_size", step_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingError(f"{name}: expected a whole number above 0, got {value!r}")
    if not isinstance(refit, bool | int) or refit < 0:
        raise SettingError(f"refit: expected true, false or a number of windows, got {refit!r}")
    check_levels(level)
    whole = forecaster._opened(data)
    horizon = forecaster.horizon
    every = (1 if refit else 0) if isinstance(refit, bool) else refit
    found: list[Forecast] = []
    came: list[np.ndarray[Any, Any]] = []
    held = 0
    back = [horizon + (n_windows - 1 - window) * step_size for window in range(n_windows)]
    short = [each for each in whole.each if len(each.values) <= back[0]]
    if len(short) == len(whole.each):
        raise DataError(
            f"cross_validation: {n_windows} places {step_size} steps apart and a horizon of "
            f"{horizon} need series of more than {back[0]:,} steps, the longest has "
            f"{max(len(each.values) for each in whole.each):,}. Give fewer windows."
        )
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
    names = found[0].channels
    values = np.concatenate(came)
    told = {name: values[:, number] for number, name in enumerate(names)}
    at = list(columns).index("cutoff") + 1
    items = list(columns.items())
    return frame_like(dict([*items[:at], *told.items(), *items[at:]]), whole)


def _until(track: Track, steps: int) -> Track:
    """The same without its last steps."""
    stop = len(track.values) - steps
    cut = track.cut(stop)
    return cut._replace(
        known=cut.known[:stop], codes={n: list(c)[:stop] for n, c in cut.codes.items()}
    )
