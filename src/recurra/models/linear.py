"""Densities of the next value of a series without a state of their own: rivals of a forecaster.

All read scaled series ``[steps, channels]`` with NaN where a value is missing, and say for each
step a mean and a fixed deviation of each channel, as a normal density.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["Autoregression", "LastValue", "Rival", "Unconditional"]

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_NARROWEST = 1e-3  # as a head's
_ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_WIDEST = 1024  # numbers in a window, of all channels
_RIDGE = 1e-6  # of the number of steps, on every coefficient
_CHUNK = 8192  # steps whose windows are in memory together


class Rival(abc.ABC):
    """A mean that is computed from values before it, and a fixed deviation.

    Args:
        deviation: of each channel.
    """

    def __init__(self, deviation: Floats) -> None:
        self.deviation = np.maximum(np.asarray(deviation, np.float64), _NARROWEST)

    @abc.abstractmethod
    def expect(self, values: Values) -> Floats:
        """The mean of each step before it comes ``[steps, channels]``."""

    def nats(self, values: Values) -> Floats:
        """Minus the log density of each value; NaN where it is missing."""
        spread = self.spread(len(values))
        apart = (values - self.expect(values)) / spread
        found: Floats = 0.5 * apart**2 + np.log(spread) + 0.5 * math.log(2 * math.pi)
        return found

    def spread(self, steps: int) -> Floats:
        """The deviation at each of the first steps of a series ``[steps, channels]``."""
        return np.broadcast_to(self.deviation, (steps, len(self.deviation)))

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
    def fit(cls, series: Sequence[Values]) -> Self:
        """To what is trained on."""
        every = np.concatenate(series).astype(np.float64)
        mean = _mean(every)
        return cls(np.sqrt(_mean((every - mean) ** 2)), mean)

    def expect(self, values: Values) -> Floats:
        """The same at every step."""
        return np.broadcast_to(self.mean, values.shape)

    def arrays(self) -> dict[str, Values]:
        """Also the mean."""
        return super().arrays() | {"mean": self.mean}


class LastValue(Rival):
    """The last value that was there; its deviation is that of the differences."""

    @classmethod
    def fit(cls, series: Sequence[Values]) -> Self:
        """To what is trained on."""
        apart = np.concatenate([(one - _last(one))[1:] for one in series])
        return cls(np.sqrt(_mean(apart.astype(np.float64) ** 2)))

    def expect(self, values: Values) -> Floats:
        """The value before; 0, the mean, at the first step."""
        return _last(values).astype(np.float64)


class Autoregression(Rival):
    r"""A linear map of the last p steps of all channels, by least squares.

    .. math:: m_t = b + \sum_{k=1}^{p} A_k x_{t-k}

    What is read in place of a missing value is the last one that was there, 0 before the first. The
    first p steps of a series, of which the window is not full, have a deviation of their own.
    """

    def __init__(self, deviation: Floats, map: Floats, early: Floats) -> None:
        super().__init__(deviation)
        self.map, self.early = map, np.maximum(early, _NARROWEST)

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
            errors = [(one - model.expect(one)) ** 2 for one in series]
            early: Floats = np.sqrt(_mean(np.concatenate([one[:order] for one in errors])))
            late = np.concatenate([one[order:] for one in errors])
            known = np.sqrt(_mean(late)) if np.isfinite(late).any() else early
            model = cls(known, solved, early)
            firsts = begin or [0] * len(held)
            scores = [model.nats(o)[at:] for o, at in zip(held, firsts, strict=True)]
            nats = np.concatenate(scores)
            found.append((float(np.nanmean(nats)) if (~np.isnan(nats)).any() else 0.0, model))
        return min(found, key=lambda each: each[0])[1]

    def expect(self, values: Values) -> Floats:
        """The map of the steps before each."""
        found = [windows @ self.map for windows, _ in _windows(values, self.order)]
        return np.concatenate([np.zeros((0, values.shape[1])), *found])

    def spread(self, steps: int) -> Floats:
        """Another one before the window is full."""
        found = np.array(super().spread(steps))
        found[: self.order] = self.early
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


def _last(values: Values) -> Values:
    """What was there last before each step; 0 before the first."""
    steps = np.arange(len(values))[:, None]
    place = np.maximum.accumulate(np.where(np.isnan(values), -1, steps), 0)
    filled = np.where(place < 0, 0, np.take_along_axis(values, np.maximum(place, 0), 0))
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
