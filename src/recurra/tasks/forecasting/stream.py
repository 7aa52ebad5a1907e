"""A series that comes step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.encoders import SeriesSteps
from recurra.errors import DataError, SettingError
from recurra.heads.numbers import COUNTS
from recurra.models import SeriesModel
from recurra.states import Tree
from recurra.tasks.forecasting.corpus import check_counted
from recurra.tasks.forecasting.units import deviation_of, middle_of
from recurra_runtime.fronts import Panel, Scale

__all__ = ["SeriesStream", "Step", "values_of"]

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A step of a stream that has come.

    Args:
        surprise: in nats; NaN where all values are missing.
        flagged: whether it is above the threshold.
        mean: of each channel what was expected of it, in the data's units; the median where values
            are transformed.
        deviation: of each, as of :class:`recurra.tasks.forecasting.frames.Forecast`.
    """

    surprise: float
    flagged: bool
    mean: Floats
    deviation: Floats


class SeriesStream:
    """A series that comes step by step; what was read is carried, and nothing is read twice.

    Args:
        model: reads it.
        panel: what it is in numbers.
        threshold: above which a step is flagged.
        name: of the series, which may be known.

    Raises:
        SettingError: a model that reads rows of so many steps, or more than values.
    """

    def __init__(self, model: SeriesModel, panel: Panel, threshold: float, name: str = "") -> None:
        if panel.look_back is not None:
            raise SettingError(
                "stream: this model reads rows of data.look_back steps and carries nothing on; "
                "train one without, or give predict all that came"
            )
        if panel.past_size or panel.known_size or panel.categories:
            raise SettingError(
                "stream: this model reads more than values; give predict all that came, in a table"
            )
        self._model, self._panel, self.threshold = model, panel, threshold
        self._scale: Scale = panel.scales.of(name, np.zeros((0, len(panel.channels))))
        self._state: Tree = None
        self._before = np.full((1, len(panel.channels)), np.nan, np.float32)
        self.steps = 0

    def read(self, values: Any) -> list[Step]:
        """Steps that have come ``[steps, channels]``; NaN is missing.

        Args:
            values: of one channel also ``[steps]``.

        Raises:
            DataError: other channels, infinity, or no counts where the model says these.
        """
        raw = values_of(self._panel, values, f"step {self.steps}")
        if self._model.config.distribution in COUNTS:
            check_counted(f"step {self.steps}", "", raw)
        got = self._panel.scales.inward(raw, self._scale)
        if not len(got):
            return []
        steps = self._steps(np.concatenate([self._before, got[:-1]]))
        batch = Batch(steps, torch.from_numpy(got)[:, None, None])
        found = self._model.judge(batch, self._state)
        self._state, self._before, self.steps = found.state, got[-1:], self.steps + len(got)
        nats = found.surprise[:, 0].double().tolist()
        means, deviation = self._told(found.expected.parameters)
        return [
            Step(surprise, surprise > self.threshold, *both)
            for surprise, *both in zip(nats, means[:, 0], deviation[:, 0], strict=True)
        ]

    def expect(self) -> tuple[Floats, Floats]:
        """Mean and deviation of the next steps ``[horizon, channels]``, as of a step that came."""
        density, _ = self._model.forecast(self._steps(self._before), self._state)
        mean, deviation = self._told(density)
        return mean[0], deviation[0]

    def _told(self, density: Any) -> tuple[Floats, Floats]:
        """What stands for a density, and how far off that is, in the data's units."""
        scales = self._panel.scales
        middle = middle_of(density, scales).double().cpu().numpy()
        return scales.outward(middle, self._scale), deviation_of(density, scales, self._scale)

    def _steps(self, values: npt.NDArray[np.float32]) -> SeriesSteps:
        read = torch.from_numpy(np.ascontiguousarray(values))[:, None]
        none = read[..., :0]
        later = none[:1, :, None]
        return SeriesSteps(read, none, none, none.long(), later, later.long())


def values_of(panel: Panel, raw: Any, place: str) -> Floats:
    """Numbers ``[time, channels]``; NaN is missing.

    Raises:
        DataError: no numbers, other channels, or infinity.
    """
    try:
        values = np.asarray(raw, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{place}: expected numbers, [time, channels].") from None
    values = values[:, None] if values.ndim == 1 else np.atleast_2d(values)
    size = len(panel.channels)
    if values.ndim != 2 or values.shape[1] != size:
        raise DataError(
            f"{place}: expected [time, {size}], channels {', '.join(panel.channels)}, got shape "
            f"{list(values.shape)}."
        )
    if np.isinf(values).any():
        step, channel = (int(n) for n in np.argwhere(np.isinf(values))[0])
        raise DataError(
            f"{place}: expected finite numbers, channel {panel.channels[channel]!r} is infinite at "
            f"step {step}; what is missing is NaN."
        )
    return values
