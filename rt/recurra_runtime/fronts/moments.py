"""Means and deviations of channels, over rows that come one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Given", "Moments", "near", "numbers", "scale_of", "scaled"]

Array = npt.NDArray[np.float64]
Given = Sequence[float] | npt.NDArray[Any] | None

_FAR = 1e15  # scales from the level; what is further is as far, so that its square is finite


def near(apart: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scaled numbers as a forecaster reads them: what is far off is 1e15 off; NaN stays."""
    found: npt.NDArray[np.float32] = np.clip(apart, -_FAR, _FAR).astype(np.float32)
    return found


class Moments:
    """Mean and deviation of each channel; NaN counts as not there.

    Rows are joined as Chan, Golub and LeVeque do (1983): nothing is lost where the mean is large
    beside the deviation.

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        self._count = np.zeros(channels)
        self._mean = np.zeros(channels)
        self._squares = np.zeros(channels)  # of differences from the mean
        self._least = np.full(channels, np.inf)
        self._most = np.full(channels, -np.inf)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Those of one row, ``[time, channels]``."""
        values = np.asarray(values, np.float64)
        there = ~np.isnan(values)
        count = there.sum(0)
        if not count.any():
            return
        known = np.where(there, values, 0.0)
        mean = known.sum(0) / np.maximum(count, 1)
        squares = np.where(there, (values - mean) ** 2, 0.0).sum(0)
        total = self._count + count
        apart = mean - self._mean
        share = count / np.maximum(total, 1)
        self._squares += squares + apart**2 * self._count * share
        self._mean += apart * share
        self._count = total
        self._least = np.minimum(self._least, np.where(there, values, np.inf).min(0))
        self._most = np.maximum(self._most, np.where(there, values, -np.inf).max(0))

    @property
    def mean(self) -> Array:
        """Of each channel; 0 of one without a value."""
        return self._mean

    @property
    def deviation(self) -> Array:
        """Of each channel; 1 of one that never changes, or has no value."""
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        return np.where((self._least < self._most) & (deviation > 0), deviation, 1.0)


def scale_of(front: str, size: int, mean: Given, deviation: Given) -> tuple[Array, Array]:
    """Mean and deviation of so many channels; 0 and 1 where None is given.

    Raises:
        ValueError: another number of them, or a number that cannot be.
    """
    one = np.zeros(size) if mean is None else np.array(mean, np.float64)
    other = np.ones(size) if deviation is None else np.array(deviation, np.float64)
    if one.shape != (size,) or other.shape != (size,):
        raise ValueError(f"{front}: expected a mean and a deviation for {size} channels")
    if not (np.isfinite(one).all() and np.isfinite(other).all() and (other > 0).all()):
        raise ValueError(f"{front}: expected finite means, and deviations above 0")
    return one, other


def scaled(values: npt.NDArray[Any], mean: Array, deviation: Array) -> npt.NDArray[np.float32]:
    """Values less their mean, by their deviation; each by itself, so that chunks give the same."""
    return ((values - mean) / deviation).astype(np.float32)


def numbers(data: dict[str, Any], name: str, size: int, front: str) -> Array:
    """Finite numbers of a front's JSON.

    Raises:
        ValueError: no such list, or one of another length.
    """
    found = data.get(name)
    if isinstance(found, list) and len(found) == size:
        whole = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
        if len(whole) == size and np.isfinite(whole).all():
            return np.array(whole, np.float64)
    raise ValueError(f"{front}: expected a list {name!r} of {size} finite numbers")
