"""Series in numbers, and the batches that are read of them: windows whose state is carried on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.sequences import PaddedSequence
from recurra.settings import check_size

__all__ = ["SeriesWindows", "Stretch", "groups_of", "read_of"]

Values = npt.NDArray[np.float32]

_ROWS = 32  # that are scored beside each other
_SIZE = 256  # steps in a window there
_BEFORE = 1000  # steps that are read, so that a state is carried into what is scored
_SOME = 1024  # steps of a piece, where some of many are scored


@dataclasses.dataclass(frozen=True, eq=False)
class Stretch:
    """Steps of a series that are scored, and those before them, which are read.

    Args:
        values: of the series up to the last of them ``[steps, channels]``, scaled; NaN is missing.
        first: the first step that is scored.
    """

    values: Values
    first: int = 0

    @property
    def scored(self) -> Values:
        """The steps that are scored."""
        return self.values[self.first :]

    @property
    def known(self) -> int:
        """How many of their values are not missing."""
        return int((~np.isnan(self.scored)).sum())

    def pieces(self, size: int = _SOME) -> Iterator[Stretch]:
        """The same in parts of so many steps."""
        for first in range(self.first, len(self.values), size):
            yield Stretch(self.values[: first + size], first)

    def steps(self) -> tuple[Values, Values]:
        """What is read before each step and what comes then; NaN where it is not scored.

        Where there is much before them, some hundreds of steps are enough for the state.
        """
        begin = max(self.first - _BEFORE, 0)
        before = self.values[begin - 1 : begin] if begin else np.full_like(self.values[:1], np.nan)
        wanted = self.values[begin:].copy()
        wanted[: self.first - begin] = np.nan
        return np.concatenate([before, self.values[begin:-1]]), wanted


def read_of(values: Values) -> Values:
    """What a forecaster reads of scaled values: those that are missing are 0, and marked.

    The same as :class:`recurra_runtime.fronts.Series` with ``mask=True`` gives of what lies within
    a million deviations.
    """
    missing = np.isnan(values)
    return np.concatenate([np.where(missing, 0, values), missing], -1, dtype=np.float32)


class SeriesWindows:
    """One pass over all series: ``rows`` places at once, ``size`` steps at a time.

    Row b goes on in the next window where it stopped in this one, so its state is to be carried;
    marks say where a series begins. Every pass is the same. Of few steps there are fewer rows, so
    that each is as long as a window.

    Args:
        series: ``[steps, channels]`` each, at least one with a step.
        rows: batch of the windows, at most.
        size: steps in a window.

    Raises:
        SettingError: rows or size below 1.
    """

    def __init__(self, series: Sequence[Values], *, rows: int, size: int) -> None:
        self.size = check_size("size", size)
        some = [values for values in series if len(values)]
        begin = np.full_like(some[0][:1], np.nan)
        self._read = np.concatenate([part for one in some for part in (begin, one[:-1])])
        self._wanted = np.concatenate(some)
        self._starts = np.zeros(len(self._wanted), bool)
        self._starts[np.cumsum([0, *map(len, some[:-1])])] = True
        self.symbols = int((~np.isnan(self._wanted)).sum())
        self.rows = max(1, min(check_size("rows", rows), len(self._wanted) // size))
        self._places = np.arange(self.rows + 1) * len(self._wanted) // self.rows
        self._longest = int(np.diff(self._places).max())

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-self._longest // self.size)

    def count(self, symbols: int) -> int:
        """How many windows have so many values."""
        return -(-symbols * len(self) // max(self.symbols, 1))

    def begins(self, step: int) -> bool:
        """Whether a pass begins."""
        return step % len(self) == 0

    def batch(self, step: int) -> Batch:
        """The window of a step."""
        start = step % len(self) * self.size
        begins = np.minimum(self._places[:-1] + start, self._places[1:])
        ends = np.minimum(begins + self.size, self._places[1:])
        spans = [slice(a, b) for a, b in zip(begins, ends, strict=True)]
        firsts = _beside([self._starts[span] for span in spans])
        resets = _plain(firsts)
        return Batch(
            _beside([read_of(self._read[span]) for span in spans]),
            _beside([self._wanted[span] for span in spans]),
            resets if bool(resets.any()) else None,
        )


def _plain(rows: PaddedSequence | Tensor) -> Tensor:
    return rows.values if isinstance(rows, PaddedSequence) else rows


def _beside(rows: Sequence[npt.NDArray[np.generic]]) -> PaddedSequence | Tensor:
    """A tensor ``[time, rows, ...]``, or rows of several lengths."""
    if len({len(row) for row in rows}) == 1:
        return torch.from_numpy(np.stack(rows, 1))
    return PaddedSequence.from_list(rows)


def groups_of(stretches: Sequence[Stretch]) -> Iterator[tuple[list[Stretch], Iterator[Batch]]]:
    """Some stretches at a time, those of like length together, each with its windows in order."""
    order = sorted((one for one in stretches if len(one.scored)), key=lambda s: -len(s.values))
    for at in range(0, len(order), _ROWS):
        some = order[at : at + _ROWS]
        yield some, _windows([one.steps() for one in some])


def _windows(steps: Sequence[tuple[Values, Values]]) -> Iterator[Batch]:
    for start in range(0, max(len(wanted) for _, wanted in steps), _SIZE):
        span = slice(start, start + _SIZE)
        yield Batch(
            PaddedSequence.from_list([read_of(read[span]) for read, _ in steps]),
            PaddedSequence.from_list([wanted[span] for _, wanted in steps]),
        )
