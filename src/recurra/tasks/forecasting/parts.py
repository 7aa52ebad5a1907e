"""Series of one part: what is trained on, chosen by or scored."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.data import Batches
from recurra.tasks.base import Groups
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.windows import (
    RandomWindows,
    SeriesWindows,
    Shape,
    Shelf,
    Stretch,
    groups_of,
)
from recurra_runtime.fronts import Panel

__all__ = ["Origins", "SeriesPart"]

_AT_ONCE = 1 << 18  # numbers that are said at once, where many are scored
_MOST = 1024  # rows


@dataclasses.dataclass(frozen=True)
class Origins:
    """Places where forecasts begin.

    Args:
        places: on the shelf.
        numbers: of their series.
        steps: of these.
    """

    places: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """How many."""
        return len(self.places)

    def some(self, keep: slice) -> Origins:
        """Some of them."""
        return Origins(self.places[keep], self.numbers[keep], self.steps[keep])


@dataclasses.dataclass(frozen=True)
class SeriesPart:
    """Series of one part, in memory.

    Args:
        stretches: what is scored of each, and what is read before it.
        panel: what they are in numbers.
        origins_of_row: of each row that is trained on.
        step_size: steps between two origins that are scored.
        called: place and name of each series in what was read; empty where nobody asks.
    """

    stretches: list[Stretch]
    panel: Panel
    origins_of_row: int = 1
    step_size: int = 1
    called: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(
        cls,
        stretches: list[Stretch],
        panel: Panel,
        data: ForecastingData,
        called: Sequence[tuple[str, str]] = (),
    ) -> Self:
        """Scored as the settings say."""
        return cls(stretches, panel, data.origins, data.step_size, called)

    @property
    def shape(self) -> Shape:
        """What a model reads and says."""
        return Shape(self.panel.horizon, self.panel.look_back, self.panel.patch)

    @property
    def carried(self) -> bool:
        """Whether a state is carried along the series."""
        return self.shape.look_back is None

    @property
    def there(self) -> int:
        """Values that are not missing."""
        return sum(one.there for one in self.stretches)

    @property
    def steps(self) -> int:
        """Steps that are scored."""
        return sum(len(one.scored) for one in self.stretches)

    @property
    def count(self) -> int:
        """Values that are predicted, each as often as it is."""
        if self.shape.horizon == 1 and self.step_size == 1:
            return self.there
        channels = self.stretches[0].values.shape[1]
        return len(self.origins()) * self.shape.horizon * int(channels)

    @functools.cached_property
    def shelf(self) -> Shelf:
        """All of them behind each other."""
        return Shelf(self.stretches, self.shape)

    def origins(self, limit: int | None = None) -> Origins:
        """Where forecasts begin that are scored: all, or some from all over them.

        The last one has its whole horizon; a part that is shorter than that has one origin.

        Args:
            limit: about so many.
        """
        shelf = self.shelf
        places, numbers, steps = [], [], []
        horizon, reads = self.shape.horizon, self.shape.look_back or 0
        for number, one in enumerate(self.stretches):
            size = len(one.values)
            first = one.first or min(reads, max(size - horizon, 0))
            if first >= size:
                continue
            stop = max(size - horizon, first) + 1
            # Counted from the end, so that what was there last is scored.
            own = np.arange(stop - 1, first - 1, -self.step_size)[::-1]
            places.append(shelf.begins[number] + own)
            numbers.append(np.full(len(own), number))
            steps.append(own)
        found = Origins(
            *(np.concatenate([np.zeros(0, np.int64), *each]) for each in (places, numbers, steps))
        )
        if limit is not None and len(found) > limit:
            return found.some(slice(None, None, -(-len(found) // max(limit, 1))))
        return found

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """For training: windows of all series end to end, or rows in an order that is drawn."""
        stretches = [dataclasses.replace(one, first=0) for one in self.stretches]
        if self.carried:
            return SeriesWindows(Shelf(stretches, self.shape), rows=rows, size=window)
        # What the first of several origins reads is of the same series too.
        left = self.shape.reads + (self.origins_of_row - 1) * self.shape.patch
        shelf = Shelf(stretches, self.shape, left)
        return RandomWindows(shelf, rows=rows, origins=self.origins_of_row, seed=seed)

    def some(self, limit: int | None = None) -> list[Stretch]:
        """All, each whole; or pieces from all over them that have about so many values."""
        if limit is None or limit >= self.there:
            return self.stretches
        pieces = [piece for one in self.stretches for piece in one.pieces()]
        return pieces[:: -(-self.there // max(limit, 1))]

    def rows(self, origins: Origins) -> Iterator[tuple[Origins, Batch]]:
        """Rows of origins, some at a time."""
        shelf = self.shelf
        each = self.shape.horizon * shelf.values.shape[1]
        size = max(1, min(_MOST, _AT_ONCE // each))
        for at in range(0, len(origins), size):
            some = origins.some(slice(at, at + size))
            wanted = torch.from_numpy(shelf.wanted(some.places))
            yield some, Batch(shelf.row(some.places), wanted)

    def groups(self, limit: int | None = None) -> Groups:
        """What is scored: of a carried state windows in order, else rows that each begin anew."""
        if self.carried:
            if self.shape.horizon > 1 and limit is not None:
                limit //= self.shape.horizon
            return (windows for _, windows in groups_of(self.some(limit), self.shape))
        channels = self.stretches[0].values.shape[1]
        most = None if limit is None else max(limit // (self.shape.horizon * channels), 1)
        return ([batch] for _, batch in self.rows(self.origins(most)))
