"""Errors of the first step ahead, and how they go together from step to step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FirstErrors"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


class FirstErrors:
    """Those of one model on a part, gathered in any order."""

    def __init__(self) -> None:
        self._numbers: list[Places] = []
        self._steps: list[Places] = []
        self._errors: list[Floats] = []

    def add(self, numbers: Places, steps: Places, errors: Floats) -> None:
        """Some more.

        Args:
            numbers: of their series.
            steps: of these.
            errors: ``[origins, channels]``; NaN where nothing came.
        """
        self._numbers.append(numbers)
        self._steps.append(steps)
        self._errors.append(errors)

    def correlations(self, lags: int) -> tuple[float, ...]:
        r"""Autocorrelations from lag 1 on, of all series and channels together.

        .. math:: r_k = \frac{\sum_s \sum_t e_{s,t}\, e_{s,t+k}}{\sum_s \sum_t e_{s,t}^2}

        with errors less their mean, divided by their deviation, of each series and channel; a pair
        of which one is missing counts as nothing.

        Args:
            lags: at most; fewer where no series is four times as long.
        """
        if not self._numbers or lags < 1:
            return ()
        numbers, steps = np.concatenate(self._numbers), np.concatenate(self._steps)
        errors = np.concatenate(self._errors)
        rows = [_in_order(steps[numbers == n], errors[numbers == n]) for n in np.unique(numbers)]
        lags = min(lags, max(map(len, rows)) // 4)
        found, total = np.zeros(lags), 0.0
        for row in map(_standard, rows):
            total += float((row**2).sum())
            for lag in range(1, min(lags, len(row) - 1) + 1):
                found[lag - 1] += float((row[lag:] * row[:-lag]).sum())
        return tuple((found / total).tolist()) if total else ()


def _in_order(steps: Places, errors: Floats) -> Floats:
    """Of one series, step by step; NaN where there is none."""
    found = np.full((int(np.ptp(steps)) + 1, errors.shape[1]), np.nan)
    found[steps - steps.min()] = errors
    return found


def _standard(row: Floats) -> Floats:
    """Less their mean and by their deviation; 0 where one is missing."""
    there = ~np.isnan(row)
    count = np.maximum(there.sum(0), 1)
    apart = np.where(there, row - np.where(there, row, 0).sum(0) / count, 0)
    size = np.sqrt((apart**2).sum(0) / count)
    found: Floats = apart / np.where(size > 0, size, 1)
    return found
