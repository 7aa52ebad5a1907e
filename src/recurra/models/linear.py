"""Forecasts without a state: rivals of a forecaster.

All read scaled series ``[steps, channels]`` with NaN where a value is missing, and say for each
origin (the step that comes next) a mean of each step of the horizon, and a deviation that hangs on
the step alone, as normal densities.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

__all__ = [
    "Autoregression",
    "Drift",
    "LastValue",
    "LinearMap",
    "MeanValue",
    "Rival",
    "SeasonalNaive",
    "Unconditional",
    "Walk",
]

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_NARROWEST = 1e-3  # as a head's
_ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_WIDEST = 1024  # numbers in a window, of all channels
_RIDGE = 1e-6  # of the number of steps, on every coefficient
_CHUNK = 4096  # windows that are in memory together
_MEASURED = 20_000  # origins by which deviations are measured


class Walk(NamedTuple):
    """Series behind each other, as rivals read them.

    Args:
        values: ``[steps, channels]``; NaN is missing.
        filled: the same with the last value that was there before each, NaN before the first.
        begins: of each step the place where its series begins.
        totals: sums of the values of a series before each place, ``[steps + 1, channels]``.
        counts: how many these are.
    """

    values: Values
    filled: Values
    begins: Places
    totals: Floats
    counts: Floats

    @classmethod
    def of(cls, values: Values, begins: Sequence[int]) -> Self:
        """Series that begin at these places; what stands before the first is of none."""
        filled, own = values.astype(np.float64), np.zeros(len(values), np.int64)
        totals, counts = np.zeros((2, len(values) + 1, values.shape[1]))
        for begin, stop in zip(begins, [*begins[1:], len(values)], strict=True):
            some, there = filled[begin:stop], ~np.isnan(filled[begin:stop])
            # Anew in each, or a series of large values would take the digits of those behind it.
            totals[begin], counts[begin] = 0, 0
            totals[begin + 1 : stop + 1] = np.cumsum(np.where(there, some, 0), 0)
            counts[begin + 1 : stop + 1] = np.cumsum(there, 0)
            filled[begin:stop] = _filled(some)
            own[begin:stop] = begin
        return cls(values, filled, own, totals, counts)

    def before(self, origins: Places, lag: Any = 1) -> Floats:
        """What was there last so many steps before ``[origins, channels]``; 0 for nothing."""
        place = origins - lag
        begin = self.begins[np.minimum(origins, len(self.begins) - 1)]
        found: Floats = np.where(
            (place >= begin)[..., None], self.filled[np.clip(place, 0, len(self.filled) - 1)], 0.0
        )
        return np.nan_to_num(found, nan=0.0)

    def windows(self, origins: Places, size: int) -> Floats:
        """The last values before origins ``[origins, size, channels]``, the oldest first.

        Before the beginning of a series stands its first value.
        """
        begin = self.begins[np.minimum(origins, len(self.begins) - 1)]
        place = np.maximum(origins[:, None] + np.arange(-size, 0), begin[:, None])
        found: Floats = np.nan_to_num(self.filled[np.minimum(place, len(self.filled) - 1)], nan=0.0)
        return found


class Rival(abc.ABC):
    """A mean that is computed from values before it, and a fixed deviation.

    Args:
        deviation: of each step of the horizon and each channel, ``[horizon, channels]``.
    """

    def __init__(self, deviation: Floats) -> None:
        wide = np.atleast_2d(np.asarray(deviation, np.float64))
        self.deviation = np.maximum(wide, _NARROWEST)

    @property
    def horizon(self) -> int:
        """Steps that it says."""
        return len(self.deviation)

    @abc.abstractmethod
    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The means ``[origins, horizon, channels]``."""

    def spread(self, walk: Walk, origins: Places) -> Floats:
        """The deviations, which broadcast to the same."""
        return self.deviation

    def nats(self, values: Values) -> Floats:
        """Minus the log density of each value of one series before it came; NaN if missing."""
        walk, origins = Walk.of(values, [0]), np.arange(len(values))
        spread = np.broadcast_to(self.spread(walk, origins), (len(values), *self.deviation.shape))
        apart = (values - self.expect(walk, origins)[:, 0]) / spread[:, 0]
        found: Floats = 0.5 * apart**2 + np.log(spread[:, 0]) + 0.5 * math.log(2 * math.pi)
        return found

    def measured(self, walk: Walk, origins: Places, wanted: Callable[[Places], Values]) -> Self:
        """The same with the deviation of its errors.

        Args:
            walk: of what is trained on.
            origins: there.
            wanted: what came after some.
        """
        some = origins[:: max(-(-len(origins) // _MEASURED), 1)]
        total, count = np.zeros(self.deviation.shape), np.zeros(self.deviation.shape)
        for at in range(0, len(some), _CHUNK):
            part = some[at : at + _CHUNK]
            errors = (wanted(part) - self.expect(walk, part)) ** 2
            there = ~np.isnan(errors)
            total += np.where(there, errors, 0).sum(0)
            count += there.sum(0)
        found = np.sqrt(total / np.maximum(count, 1))
        known = count > 0
        # Steps that nobody saw are at least as far apart as those before them.
        for step in range(1, len(found)):
            found[step] = np.where(known[step], found[step], found[step - 1])
        self.deviation = np.maximum(found, _NARROWEST)
        return self

    def arrays(self) -> dict[str, Values]:
        """All that it is."""
        return {"deviation": self.deviation}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Values]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(**{name: np.array(array) for name, array in arrays.items()})


class Unconditional(Rival):
    """The mean and the deviation of all, whatever came before."""

    def __init__(self, deviation: Floats, mean: Floats) -> None:
        super().__init__(deviation)
        self.mean = mean

    @classmethod
    def fit(cls, series: Sequence[Values], horizon: int = 1) -> Self:
        """To what is trained on."""
        every = np.concatenate(series).astype(np.float64)
        mean = _mean(every)
        deviation = np.sqrt(_mean((every - mean) ** 2))
        return cls(np.tile(deviation, (horizon, 1)), mean)

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
        apart = np.concatenate([(one - _last(one))[1:] for one in series])
        return cls(np.sqrt(_mean(apart.astype(np.float64) ** 2)))

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


class LinearMap(Rival):
    r"""A linear map of the last p values less the last one, the same for every channel.

    .. math:: m_{t+k} = x_t + b_k + \sum_{i=1}^{p} a_{ki} (x_{t-i+1} - x_t)

    By least squares with a ridge (Zeng et al. 2023 call it NLinear).

    Args:
        deviation: as of :class:`Rival`.
        map: ``[1 + p, horizon]``.
    """

    def __init__(self, deviation: Floats, map: Floats) -> None:
        super().__init__(deviation)
        self.map = map

    @property
    def order(self) -> int:
        """How many steps it reads, p."""
        return len(self.map) - 1

    @classmethod
    def fit(
        cls,
        walk: Walk,
        origins: Places,
        wanted: Callable[[Places], Values],
        shape: tuple[int, int],
        order: int,
        ridge: float = 1e-3,
    ) -> Self:
        """To what is trained on.

        Args:
            walk: of it.
            origins: there.
            wanted: what came after some.
            shape: horizon and channels.
            order: p.
            ridge: of the number of windows, on every coefficient but b.
        """
        horizon, channels = shape
        size = order + 1
        square, product = np.zeros((size, size)), np.zeros((size, horizon))
        some = origins[:: max(-(-len(origins) // (5 * _MEASURED)), 1)]
        model = cls(np.ones(shape), np.zeros((size, horizon)))
        for at in range(0, len(some), _CHUNK):
            part = some[at : at + _CHUNK]
            read, last = model._read(walk, part)
            apart = wanted(part) - last[:, None]
            for channel in range(channels):
                rows, came = read[..., channel], apart[..., channel]
                full = ~np.isnan(came).any(1)
                square += rows[full].T @ rows[full]
                product += rows[full].T @ came[full]
        least = ridge * max(square[0, 0], 1) * np.eye(size)
        least[0, 0] = 1e-9  # b is free
        model.map = np.linalg.solve(square + least, product)
        return model

    def _read(self, walk: Walk, origins: Places) -> tuple[Floats, Floats]:
        windows = walk.windows(origins, self.order)
        last = windows[:, -1]
        ones = np.ones((len(windows), 1, windows.shape[2]))
        return np.concatenate([ones, windows - last[:, None]], 1), last

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The map of the steps before each."""
        read, last = self._read(walk, origins)
        found: Floats = np.einsum("npc,ph->nhc", read, self.map, optimize=True) + last[:, None]
        return found

    def arrays(self) -> dict[str, Values]:
        """Also the map."""
        return super().arrays() | {"map": self.map}


class Autoregression(Rival):
    r"""A linear map of the last p steps of all channels to the next one, by least squares.

    .. math:: m_t = b + \sum_{k=1}^{p} A_k x_{t-k}

    What is read in place of a missing value is the last one that was there, 0 before the first. The
    first p steps of a series, of which the window is not full, have a deviation of their own.
    """

    def __init__(self, deviation: Floats, map: Floats, early: Floats) -> None:
        super().__init__(deviation)
        self.map, self.early = map, np.maximum(np.asarray(early, np.float64), _NARROWEST)

    @property
    def order(self) -> int:
        """How many steps it reads, p."""
        return (len(self.map) - 1) // int(self.map.shape[1])

    @classmethod
    def fit(
        cls, series: Sequence[Values], held: Sequence[Values], begin: Sequence[int] = ()
    ) -> Self:
        """To what is trained on.

        Args:
            series: of that.
            held: on which the best order is chosen.
            begin: from which step on each of those counts; from the first if empty.
        """
        channels = series[0].shape[1]
        orders = [p for p in _ORDERS if p * channels <= _WIDEST] or [1]
        size = 1 + orders[-1] * channels
        square, product = np.zeros((size, size)), np.zeros((size, channels))
        for one in series:
            at = 0
            for windows, wanted in _windows(one, orders[-1]):
                # Before it is full, a window says nothing of the map; nor does what is missing.
                full = np.arange(at, at + len(wanted)) >= (orders[-1] if len(one) > size else 0)
                full &= ~np.isnan(wanted).any(1)
                at += len(wanted)
                square += windows[full].T @ windows[full]
                product += windows[full].T @ wanted[full]
        found = []
        for order in orders:
            some = slice(1 + order * channels)
            least = _RIDGE * max(square[0, 0], 1) * np.eye(some.stop)
            least[0, 0] = 1e-9  # the mean is free
            solved = np.linalg.solve(square[some, some] + least, product[some])
            model = cls(np.ones(channels), solved, np.ones(channels))
            errors = [(one - model._means(one)) ** 2 for one in series]
            early: Floats = np.sqrt(_mean(np.concatenate([one[:order] for one in errors])))
            late = np.concatenate([one[order:] for one in errors])
            known = np.sqrt(_mean(late)) if np.isfinite(late).any() else early
            model = cls(known, solved, early)
            firsts = begin or [0] * len(held)
            scores = [model.nats(o)[at:] for o, at in zip(held, firsts, strict=True)]
            nats = np.concatenate(scores)
            found.append((float(np.nanmean(nats)) if (~np.isnan(nats)).any() else 0.0, model))
        return min(found, key=lambda each: each[0])[1]

    def _means(self, values: Values) -> Floats:
        """Of each step of one series."""
        found = [windows @ self.map for windows, _ in _windows(values, self.order)]
        return np.concatenate([np.zeros((0, values.shape[1])), *found])

    def expect(self, walk: Walk, origins: Places) -> Floats:
        """The map of the steps before each."""
        lags = [walk.before(origins, lag) for lag in range(1, self.order + 1)]
        read = np.concatenate([np.ones((len(origins), 1)), *lags], 1)
        found: Floats = (read @ self.map)[:, None]
        return found

    def spread(self, walk: Walk, origins: Places) -> Floats:
        """Another one before the window is full."""
        steps = origins - walk.begins[np.minimum(origins, len(walk.begins) - 1)]
        early = (steps < self.order)[:, None, None]
        found: Floats = np.where(early, self.early, self.deviation)
        return found

    def arrays(self) -> dict[str, Values]:
        """Also the map ``[1 + p * channels, channels]``, and the deviation of early steps."""
        return super().arrays() | {"map": self.map, "early": self.early}


def _mean(values: Floats) -> Floats:
    """Of each channel over what is there; 0 of none."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(0)
    found: Floats = total / np.maximum(there.sum(0), 1)
    return found


def _filled(values: Values) -> Values:
    """At each step the last value that is there; NaN before the first."""
    steps = np.arange(len(values))[:, None]
    place = np.maximum.accumulate(np.where(np.isnan(values), -1, steps), 0)
    return np.where(place < 0, np.nan, np.take_along_axis(values, np.maximum(place, 0), 0))


def _last(values: Values) -> Values:
    """What was there last before each step; 0 before the first."""
    filled = np.nan_to_num(_filled(values), nan=0.0)
    return np.concatenate([np.zeros_like(filled[:1]), filled[:-1]])


def _windows(values: Values, order: int) -> Iterable[tuple[Floats, Floats]]:
    """Windows ``[steps, 1 + order * channels]``, the latest step first, and what came then."""
    before = _last(values).astype(np.float64)  # what step t reads of step t - 1
    padded = np.concatenate([np.zeros((order - 1, values.shape[1])), before])
    for at in range(0, len(values), _CHUNK):
        stop = min(at + _CHUNK, len(values))
        lags = [padded[at + order - 1 - k : stop + order - 1 - k] for k in range(order)]
        read = np.concatenate([np.ones((stop - at, 1)), *lags], 1)
        yield read, values[at:stop].astype(np.float64)
