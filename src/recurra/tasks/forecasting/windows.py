"""Series in numbers, and the batches that are read of them.

All series stand in one array behind each other, with steps without a value between them. An
*origin* is the place of the step that comes next: what is read ends before it, and what is said
begins with it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.encoders import SeriesSteps
from recurra.models import Walk
from recurra.models.series_settings import whole_patches
from recurra.settings import check_size
from recurra_runtime.fronts import Scale

__all__ = [
    "BEFORE",
    "RandomWindows",
    "SeriesWindows",
    "Shape",
    "Shelf",
    "Stretch",
    "groups_of",
    "longer",
]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

_ROWS = 64  # series that are scored beside each other
_SIZE = 256  # steps in a window there
BEFORE = 1000
"""Steps that are read, so that a state is carried into what is scored; a run keeps as many."""
_SOME = 1024  # steps of a piece, where some of many are scored


class Shape(NamedTuple):
    """What a model reads and says.

    Args:
        horizon: steps that are forecast.
        look_back: steps that are read; None where the state is carried on from the first.
        patch: steps that are read together.
    """

    horizon: int = 1
    look_back: int | None = None
    patch: int = 1

    @property
    def reads(self) -> int:
        """Steps of a row with one origin; 1 where a state is carried."""
        return whole_patches(self.look_back or 1, self.patch)


@dataclasses.dataclass(frozen=True, eq=False)
class Stretch:
    """Steps of a series that are scored, and those before them, which are read.

    Args:
        values: of the series up to the last of them ``[steps, channels]``, scaled; NaN is missing.
        first: the first step that is scored.
        past: what is known up to now ``[steps, past]``.
        known: what is known ahead ``[steps + more, known]``.
        codes: categories ``[steps + more, categories]``.
        number: of the series in what was read.
        scale: of its values; None where nobody asks for the data's units.
        skipped: steps before the first that are not kept.
    """

    values: Floats
    first: int = 0
    past: Floats | None = None
    known: Floats | None = None
    codes: npt.NDArray[np.int64] | None = None
    number: int = 0
    scale: Scale | None = None
    skipped: int = 0

    @property
    def scored(self) -> Floats:
        """The steps that are scored."""
        return self.values[self.first :]

    @property
    def there(self) -> int:
        """How many of their values are not missing."""
        return int((~np.isnan(self.scored)).sum())

    def pieces(self, size: int = _SOME) -> Iterator[Stretch]:
        """The same in parts of so many steps, of which only so much is kept as is read."""
        for first in range(self.first, len(self.values), size):
            stop = min(first + size, len(self.values))
            yield dataclasses.replace(self, values=self.values[:stop], first=first)

    def late(self, before: int = BEFORE) -> Stretch:
        """The same with at most so many steps before those that are scored."""
        begin = max(self.first - before, 0)
        return dataclasses.replace(
            self,
            values=self.values[begin:],
            first=self.first - begin,
            skipped=self.skipped + begin,
            past=None if self.past is None else self.past[begin:],
            known=None if self.known is None else self.known[begin:],
            codes=None if self.codes is None else self.codes[begin:],
        )


def longer(one: Stretch) -> Stretch:
    """The same with a step that nobody knows yet behind it, which alone is scored."""

    def grown(values: Floats | None) -> Floats | None:
        if values is None:
            return None
        return np.concatenate([values, np.full((1, values.shape[1]), np.nan, np.float32)])

    values = grown(one.values)
    assert values is not None
    return dataclasses.replace(one, values=values, first=len(one.values), past=grown(one.past))


class Shelf:
    """Stretches behind each other, with steps without a value around each.

    Args:
        stretches: of several series.
        shape: what is read and said.
        left: steps without a value before each; as many as are read if None. Rows of several
            origins read ``patch`` steps more for each further one.
    """

    def __init__(self, stretches: Sequence[Stretch], shape: Shape, left: int | None = None) -> None:
        self.shape, self.stretches = shape, stretches
        self.left = shape.reads if left is None else left
        right = shape.horizon
        sizes = np.array([len(one.values) for one in stretches], np.int64)
        ends = np.cumsum(sizes + self.left + right)
        self.begins: Places = ends - sizes - right
        self.sizes = sizes
        total = int(ends[-1]) if len(ends) else 0
        first = stretches[0] if stretches else Stretch(np.zeros((0, 1), np.float32))

        def filled(like: npt.NDArray[np.generic] | None, empty: float, kind: type) -> Any:
            width = 0 if like is None else like.shape[1]
            return np.full((total, width), empty, kind)

        self.values = filled(first.values, np.nan, np.float32)
        self.past = filled(first.past, np.nan, np.float32)
        self.known = filled(first.known, 0.0, np.float32)
        self.codes = filled(first.codes, 0, np.int64)
        for one, begin in zip(stretches, self.begins.tolist(), strict=True):
            size = len(one.values)
            self.values[begin : begin + size] = one.values
            if one.past is not None:
                self.past[begin : begin + size] = one.past
            for mine, own in ((self.known, one.known), (self.codes, one.codes)):
                if own is not None:
                    some = own[: size + right]
                    mine[begin : begin + len(some)] = np.nan_to_num(some, nan=0.0)
        # Of what is not known ahead nothing is read before it is there.

    def origins(self, number: int, first: int, stop: int, step: int = 1) -> Places:
        """Places of the origins of a series, given as steps of it."""
        found: Places = self.begins[number] + np.arange(first, stop, step)
        return found

    @functools.cached_property
    def walk(self) -> Walk:
        """The same as rivals read them."""
        return Walk.of(self.values, self.begins.tolist())

    def row(self, ends: Places, origins: int = 1) -> SeriesSteps:
        """What is read before origins.

        Args:
            ends: the last origin of each row ``[rows]``.
            origins: how many of each row, ``patch`` steps apart.
        """
        time = self.shape.reads + (origins - 1) * self.shape.patch
        place = ends[None, :] + np.arange(-time, 0)[:, None]
        return self._steps(np.maximum(place, 0), self._ends(ends, origins))

    def at(self, origins: Places) -> SeriesSteps:
        """One step before each of some origins ``[time, rows]``, which a state is carried along."""
        return self._steps(origins - 1, origins)

    def wanted(self, ends: Places, origins: int = 1) -> Floats:
        """What comes ``[origins, rows, horizon, channels]``; NaN before a series begins."""
        places = self._ends(ends, origins)
        found = self.after(places, self.shape.horizon)
        if origins > 1:
            begins = self.begins[np.searchsorted(self.begins, ends, side="right") - 1]
            found[places < begins] = np.nan
        return found

    def after(self, origins: Places, steps: int) -> Floats:
        """What comes after origins of any shape ``[..., steps, channels]``; NaN beyond the end."""
        place = origins[..., None] + np.arange(steps)
        found: Floats = self.values[np.minimum(place, len(self.values) - 1)]
        return found

    def _ends(self, ends: Places, origins: int) -> Places:
        """All origins of rows ``[origins, rows]``."""
        return ends[None, :] + (np.arange(origins)[:, None] - origins + 1) * self.shape.patch

    def _steps(self, place: Places, origins: Places) -> SeriesSteps:
        ahead = np.minimum(place + 1, len(self.values) - 1)
        later = origins[..., None] + np.arange(self.shape.horizon)
        later = np.minimum(later, len(self.values) - 1)
        return SeriesSteps(
            torch.from_numpy(self.values[place]),
            torch.from_numpy(self.past[place]),
            torch.from_numpy(self.known[ahead]),
            torch.from_numpy(self.codes[ahead]),
            torch.from_numpy(self.known[later]),
            torch.from_numpy(self.codes[later]),
        )


class RandomWindows:
    """Rows of all series in an order that is drawn anew in every pass.

    Args:
        shelf: of the series.
        rows: in a batch; the last of a pass has fewer.
        origins: of each row.
        seed: of the draws.

    Raises:
        SettingError: rows or origins below 1.
    """

    def __init__(self, shelf: Shelf, *, rows: int, origins: int = 1, seed: int = 0) -> None:
        self._shelf, self.rows, self._seed = shelf, check_size("rows", rows), seed
        spans = [self._span(number) for number in range(len(shelf.stretches))]
        self._first = np.array([first for first, _ in spans], np.int64)
        self._count = np.array([max(stop - first, 0) for first, stop in spans], np.int64)
        longest = -(-int(self._count.max(initial=1)) // shelf.shape.patch)
        self.origins = min(check_size("origins", origins), max(longest, 1))
        self._order = functools.lru_cache(maxsize=2)(self._draw)
        self._rows = int(np.ceil(self._count / self.origins).sum())
        size = shelf.shape.horizon * shelf.values.shape[1]
        self.symbols = int(self._rows * self.origins * size)

    def _span(self, number: int) -> tuple[int, int]:
        """Steps of a series that are origins: first and one beyond the last."""
        shape = self._shelf.shape
        size = int(self._shelf.sizes[number])
        last = max(size - shape.horizon, 0)
        first = shape.look_back or 0
        if first > last:  # shorter than what is read and said: some of it is missing
            first = min((last + 1) // 2, last)
        first = max(first, 1) if size > 1 else 0
        return (first, max(last, first) + 1) if size > first else (0, 0)

    def __len__(self) -> int:
        """Batches in a pass."""
        return max(-(-self._rows // self.rows), 1)

    def count(self, symbols: int) -> int:
        """How many batches have so many values."""
        return -(-symbols * len(self) // max(self.symbols, 1))

    def begins(self, step: int) -> bool:
        """Nothing is carried."""
        return True

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted through all passes."""
        number, place = divmod(step, len(self))
        ends = self._order(number)[place * self.rows : (place + 1) * self.rows]
        inputs = self._shelf.row(ends, self.origins)
        return Batch(inputs, torch.from_numpy(self._shelf.wanted(ends, self.origins)))

    def _draw(self, number: int) -> Places:
        chance = np.random.default_rng([self._seed, number])
        patch, found = self._shelf.shape.patch, []
        for series in np.flatnonzero(self._count).tolist():
            begin, count = self._shelf.begins[series] + self._first[series], self._count[series]
            # Origins of a row are patches apart: rows that begin at each step of one lie between,
            # in an order of their own, as there may be fewer at the end.
            block, place = np.divmod(np.arange(-(-count // self.origins)), patch)
            if self.origins > 1:
                place = (place + int(chance.integers(0, patch))) % patch
            last = ((block + 1) * self.origins - 1) * patch + place
            shift = int(chance.integers(0, self.origins)) * patch
            last -= np.where(block > 0, shift, 0)
            over = np.maximum(last - (count - 1), 0)
            last -= -(-over // patch) * patch  # by whole patches, or some would never be read
            found.append(begin + np.maximum(last, 0))
        order = np.concatenate(found) if found else np.zeros(0, np.int64)
        return order[chance.permutation(len(order))]


class SeriesWindows:
    """One pass over all series: ``rows`` places at once, ``size`` steps at a time.

    Row b goes on in the next window where it stopped in this one, so its state is to be carried;
    marks say where a series begins. Every pass is the same. Of few steps there are fewer rows, so
    that each is as long as a window.

    Args:
        shelf: of the series.
        rows: batch of the windows, at most.
        size: steps in a window.

    Raises:
        SettingError: rows or size below 1.
    """

    def __init__(self, shelf: Shelf, *, rows: int, size: int) -> None:
        self._shelf, self.size = shelf, check_size("size", size)
        walks = [shelf.origins(n, 0, int(size)) for n, size in enumerate(shelf.sizes)]
        self._walk = np.concatenate([np.zeros(0, np.int64), *walks])
        starts = np.zeros(len(self._walk), bool)
        firsts = np.cumsum([0, *map(len, walks)])[:-1]
        starts[firsts[firsts < len(starts)]] = True
        self._starts = starts
        total = len(self._walk)
        self.symbols = int((~np.isnan(shelf.after(self._walk, 1))).sum()) * shelf.shape.horizon
        self.rows = max(1, min(check_size("rows", rows), total // size))
        self._places = np.arange(self.rows + 1) * total // self.rows
        self._longest = int(np.diff(self._places).max())

    def __len__(self) -> int:
        """Windows in a pass."""
        return max(-(-self._longest // self.size), 1)

    def count(self, symbols: int) -> int:
        """How many windows have so many values."""
        return -(-symbols * len(self) // max(self.symbols, 1))

    def begins(self, step: int) -> bool:
        """Whether a pass begins."""
        return step % len(self) == 0

    def batch(self, step: int) -> Batch:
        """The window of a step; rows that have come to their end go on without targets."""
        start = step % len(self) * self.size
        size = min(self.size, self._longest - start)
        place = self._places[:-1][None, :] + start + np.arange(size)[:, None]
        over = place >= self._places[1:][None, :]
        origins = self._walk[np.minimum(place, len(self._walk) - 1)]
        wanted = self._shelf.after(origins, self._shelf.shape.horizon)
        wanted[over] = np.nan
        firsts = self._starts[np.minimum(place, len(self._walk) - 1)] & ~over
        resets = torch.from_numpy(firsts) if firsts.any() else None
        return Batch(self._shelf.at(origins), torch.from_numpy(wanted), resets)


def groups_of(
    stretches: Sequence[Stretch], shape: Shape, before: int | None = BEFORE
) -> Iterator[tuple[list[Stretch], Iterator[Batch]]]:
    """Some stretches at a time, those of like length together, each with its windows in order.

    A state is carried from window to window. What is read before the scored steps has no targets.
    """
    late = stretches if before is None else [one.late(before) for one in stretches]
    order = sorted(late, key=lambda one: -len(one.values))
    order = [one for one in order if len(one.scored)]
    for at in range(0, len(order), _ROWS):
        some = order[at : at + _ROWS]
        yield some, _windows(some, shape)


def _windows(some: list[Stretch], shape: Shape) -> Iterator[Batch]:
    shelf = Shelf(some, shape, 1)
    longest = int(shelf.sizes.max())
    firsts = np.array([one.first for one in some])
    for start in range(0, longest, _SIZE):
        step = np.arange(start, min(start + _SIZE, longest))[:, None]
        over = step >= shelf.sizes[None, :]
        origins = np.where(over, shelf.begins, shelf.begins + step)
        wanted = shelf.after(origins, shape.horizon)
        wanted[over | (step < firsts[None, :])] = np.nan
        yield Batch(shelf.at(origins), torch.from_numpy(wanted))
