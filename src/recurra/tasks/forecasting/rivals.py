"""Models without memory beside a forecaster: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.models import (
    Autoregression,
    Drift,
    LastValue,
    LinearMap,
    MeanValue,
    Rival,
    SeasonalNaive,
    Unconditional,
)
from recurra.tasks.forecasting.corpus import SeriesCorpus
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.settings import ForecastingData
from recurra_runtime.fronts import Panel

__all__ = ["KINDS", "fit_rivals"]

_AUTOREGRESSION, _LINEAR = "autoregression", "linear map"
_LONGEST_MAP = 512  # steps

KINDS: dict[str, Any] = {
    "unconditional": Unconditional.from_arrays,
    "mean": MeanValue.from_arrays,
    "last value": LastValue.from_arrays,
    "drift": Drift.from_arrays,
    "seasonal naive": SeasonalNaive.from_arrays,
    _LINEAR: LinearMap.from_arrays,
    _AUTOREGRESSION: Autoregression.from_arrays,
}
"""By the first words of their names, the simplest first."""


def fit_rivals(
    prepared: SeriesCorpus, data: ForecastingData, report: Callable[[str], None]
) -> dict[str, Rival]:
    """What was there, and linear maps of it.

    Args:
        prepared: the series; without a validation part an order is chosen on what is trained on.
        data: steps that are forecast.
        report: is told what takes long.
    """
    report("fitting rivals")
    if data.horizon == 1 and prepared.parts["training"].carried:
        return _of_next(prepared)
    return _of_horizon(prepared)


def _of_next(prepared: SeriesCorpus) -> dict[str, Rival]:
    """Of the next step, of all that was before it."""
    training, panel = prepared.parts["training"], prepared.panel
    held = prepared.parts.get("validation", training)
    series = _series(training)
    begin = [one.first for one in held.stretches]
    linear = Autoregression.fit(series, [one.values for one in held.stretches], begin)
    found: dict[str, Rival] = {
        "unconditional": Unconditional.fit(series),
        "last value": LastValue.fit(series),
    }
    if panel.season > 1:
        found["seasonal naive"] = _measured(SeasonalNaive(_ones(panel), panel.season), training)
    return found | {f"{_AUTOREGRESSION} of {linear.order}": linear}


def _of_horizon(prepared: SeriesCorpus) -> dict[str, Rival]:
    """Of all steps of a horizon."""
    training, panel = prepared.parts["training"], prepared.panel
    ones = _ones(panel)
    found = {"mean": MeanValue(ones), "last value": LastValue(ones), "drift": Drift(ones)}
    if panel.season > 1:
        found["seasonal naive"] = SeasonalNaive(ones, panel.season)
    longest = max(map(len, _series(training))) - panel.horizon
    order = min(panel.look_back or 2 * max(panel.season, panel.horizon), _LONGEST_MAP)
    order = max(min(order, longest // 2), 1)
    shelf = training.shelf
    origins = _origins(training, order)
    if len(origins):
        found[f"{_LINEAR} of {order}"] = LinearMap.fit(
            shelf.walk, origins, lambda at: shelf.after(at, panel.horizon), ones.shape, order
        )
    return {name: _measured(rival, training) for name, rival in found.items()}


def _series(part: SeriesPart) -> list[npt.NDArray[np.float32]]:
    return [one.values for one in part.stretches if len(one.values)]


def _ones(panel: Panel) -> npt.NDArray[np.float64]:
    return np.ones((panel.horizon, len(panel.channels)))


def _origins(part: SeriesPart, first: int) -> npt.NDArray[np.int64]:
    """All of a part that is trained on, from some steps on."""
    shelf, horizon = part.shelf, part.shape.horizon
    found = [
        shelf.origins(number, min(first, max(len(one.values) - horizon, 1)), len(one.values))
        for number, one in enumerate(part.stretches)
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _measured(rival: Rival, part: SeriesPart) -> Rival:
    shelf = part.shelf
    horizon = rival.horizon
    return rival.measured(shelf.walk, _origins(part, 1), lambda at: shelf.after(at, horizon))
