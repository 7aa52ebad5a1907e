"""Forecasts by linear maps of the steps before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra.models.rivals import CHUNK, MEASURED, NARROWEST, Rival, Walk, last_of, mean_of

__all__ = ["Autoregression", "LinearMap"]

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_WIDEST = 1024  # numbers in a window, of all channels
_RIDGE = 1e-6  # of the number of steps, on every coefficient


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
        some = origins[:: max(-(-len(origins) // (5 * MEASURED)), 1)]
        model = cls(np.ones(shape), np.zeros((size, horizon)))
        for at in range(0, len(some), CHUNK):
            part = some[at : at + CHUNK]
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
        self.map, self.early = map, np.maximum(np.asarray(early, np.float64), NARROWEST)

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
            early: Floats = np.sqrt(mean_of(np.concatenate([one[:order] for one in errors])))
            late = np.concatenate([one[order:] for one in errors])
            known = np.sqrt(mean_of(late)) if np.isfinite(late).any() else early
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


def _windows(values: Values, order: int) -> Iterable[tuple[Floats, Floats]]:
    """Windows ``[steps, 1 + order * channels]``, the latest step first, and what came then."""
    before = last_of(values).astype(np.float64)  # what step t reads of step t - 1
    padded = np.concatenate([np.zeros((order - 1, values.shape[1])), before])
    for at in range(0, len(values), CHUNK):
        stop = min(at + CHUNK, len(values))
        lags = [padded[at + order - 1 - k : stop + order - 1 - k] for k in range(order)]
        read = np.concatenate([np.ones((stop - at, 1)), *lags], 1)
        yield read, values[at:stop].astype(np.float64)
