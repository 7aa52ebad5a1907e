"""Forecasts that fit nothing, or a mean and a deviation: means, last values, seasons, drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra.models.rivals import Rival, Walk, last_of, mean_of

__all__ = ["Drift", "LastValue", "MeanValue", "SeasonalNaive", "Unconditional"]

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


class Unconditional(Rival):
    """The mean and the deviation of all, whatever came before."""

    def __init__(self, deviation: Floats, mean: Floats) -> None:
        super().__init__(deviation)
        self.mean = mean

    @classmethod
    def fit(cls, series: Sequence[Values]) -> Self:
        """To what is trained on, for one step."""
        every = np.concatenate(series).astype(np.float64)
        mean = mean_of(every)
        return cls(np.sqrt(mean_of((every - mean) ** 2)), mean)

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The same at every step."""
        return np.broadcast_to(self.mean, (len(origins), *self.deviation.shape))

    def arrays(self) -> dict[str, Values]:
        """Also the mean."""
        return super().arrays() | {"mean": self.mean}


class LastValue(Rival):
    """The last value that was there; its deviation is that of the differences."""

    @classmethod
    def fit(cls, series: Sequence[Values]) -> Self:
        """To what is trained on, for one step."""
        apart = np.concatenate([(one - last_of(one))[1:] for one in series])
        return cls(np.sqrt(mean_of(apart.astype(np.float64) ** 2)))

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The value before; 0, the mean, at the first step."""
        return np.repeat(walk.before(origins)[:, None], self.horizon, 1)


class SeasonalNaive(Rival):
    """The value of one season ago, as it was there last.

    Args:
        deviation: as of :class:`Rival`.
        season: steps of one.
    """

    def __init__(self, deviation: Floats, season: Any) -> None:
        super().__init__(deviation)
        self.season = int(np.asarray(season).item())  # a file has it with an axis

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The last value where there was no season before."""
        steps = np.arange(self.horizon)
        lag = self.season - steps % self.season  # before the origin
        place = origins[:, None] - lag
        begin = walk.begins[np.minimum(origins, len(walk.begins) - 1)][:, None]
        known = walk.filled[np.clip(place, 0, len(walk.filled) - 1)]
        usable = (place >= begin)[..., None] & ~np.isnan(known)
        last = np.repeat(walk.before(origins)[:, None], self.horizon, 1)
        found: Floats = np.where(usable, known, last)
        return found

    def arrays(self) -> dict[str, Values]:
        """Also the season."""
        return super().arrays() | {"season": np.array(self.season)}


class MeanValue(Rival):
    """The mean of all that came before in the series."""

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """0 before the first."""
        begin = walk.begins[np.minimum(origins, len(walk.begins) - 1)]
        total = walk.totals[origins] - walk.totals[begin]
        mean = total / np.maximum(walk.counts[origins] - walk.counts[begin], 1)
        return np.repeat(mean[:, None], self.horizon, 1)


class Drift(Rival):
    """The last value, and as much more at each step as it was on average since the first."""

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The last value where there was one alone."""
        begin = walk.begins[np.minimum(origins, len(walk.begins) - 1)]
        last, steps = walk.before(origins), np.maximum(origins - 1 - begin, 1)
        first = walk.filled[begin]
        slope = np.where(np.isnan(first), 0, (last - np.nan_to_num(first)) / steps[:, None])
        slope = np.where((origins - begin > 1)[:, None], slope, 0)
        ahead = np.arange(1, self.horizon + 1)[None, :, None]
        found: Floats = last[:, None] + ahead * slope[:, None]
        return found
