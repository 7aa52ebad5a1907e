"""What a rival of a forecaster is: a forecast without a state, and what it reads.

All read scaled series ``[steps, channels]`` with NaN where a value is missing, and say for each
origin (the step that comes next) a mean of each step of the horizon, and a deviation that hangs on
the step alone, as normal densities.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

__all__ = ["CHUNK", "MEASURED", "NARROWEST", "Rival", "Walk", "last_of", "mean_of"]

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

NARROWEST = 1e-3
"""The smallest deviation, as a head's."""
CHUNK = 4096
"""Windows that are in memory together."""
MEASURED = 20_000
"""Origins by which deviations are measured."""


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
        self.deviation = np.maximum(wide, NARROWEST)

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
        some = origins[:: max(-(-len(origins) // MEASURED), 1)]
        total, count = np.zeros(self.deviation.shape), np.zeros(self.deviation.shape)
        for at in range(0, len(some), CHUNK):
            part = some[at : at + CHUNK]
            errors = (wanted(part) - self.expect(walk, part)) ** 2
            there = ~np.isnan(errors)
            total += np.where(there, errors, 0).sum(0)
            count += there.sum(0)
        found = np.sqrt(total / np.maximum(count, 1))
        known = count > 0
        # Steps that nobody saw are at least as far apart as those before them.
        for step in range(1, len(found)):
            found[step] = np.where(known[step], found[step], found[step - 1])
        self.deviation = np.maximum(found, NARROWEST)
        return self

    def arrays(self) -> dict[str, Values]:
        """All that it is."""
        return {"deviation": self.deviation}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Values]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(**{name: np.array(array) for name, array in arrays.items()})


def mean_of(values: Floats) -> Floats:
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


def last_of(values: Values) -> Values:
    """What was there last before each step; 0 before the first."""
    filled = np.nan_to_num(_filled(values), nan=0.0)
    return np.concatenate([np.zeros_like(filled[:1]), filled[:-1]])
