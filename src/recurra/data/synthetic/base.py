"""What all made data share: a seed, a place, and going on from any place.

Everything is a function of its settings, a seed and a position, and of nothing else. So the global
random state plays no part, the finite is the beginning of the endless, and going on from a stored
position gives what would have come.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = [
    "BEGINNING",
    "BLOCK",
    "Baseline",
    "Endless",
    "Floats",
    "FollowedSource",
    "Ints",
    "Seed",
    "SyntheticSource",
    "SyntheticTask",
    "block_draws",
    "draws",
    "finite_array",
    "not_negative",
    "seed_number",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Seed = int | np.random.Generator | torch.Generator
"""Where draws come from: a number, or a generator that goes on."""

Item = TypeVar("Item")

BLOCK = 1024
"""Steps whose chance comes from one generator."""


BEGINNING = 2**32 - 1
"""Place of the chance of what is there before the first step: no block has it."""


class Baseline(NamedTuple):
    """What can be had without remembering anything.

    Args:
        loss: in the unit that the task states.
        accuracy: share of right answers, or None where the answer is a number.
    """

    loss: float
    accuracy: float | None


class Endless(Iterator[Item], Generic[Item]):
    """An iterator without end that knows where it is and can be put anywhere.

    Store :attr:`position`; an iterator that starts there goes on as this one would have.

    Args:
        make: position to item.
        stride: positions an item takes.
        start: position of the first item.

    Raises:
        SettingError: a stride below 1, or a start below 0.
    """

    def __init__(self, make: Callable[[int], Item], stride: int = 1, start: int = 0) -> None:
        self._make, self._stride = make, check_size("stride", stride)
        self.seek(start)

    @property
    def position(self) -> int:
        """Where the next item begins."""
        return self._position

    def seek(self, position: int) -> None:
        """Go on from this position.

        Raises:
            SettingError: it is below 0.
        """
        self._position = check_size("start", position, 0)

    def __next__(self) -> Item:
        item = self._make(self._position)
        self._position += self._stride
        return item


class SyntheticSource(abc.ABC):
    """Sequences without end, one a row: step t of all rows is known for every t >= 0.

    An element is a number (``[time, rows]``), a vector (``[time, rows, size]``) or a picture
    (``[time, rows, height, width]``).
    """

    rows: int

    @abc.abstractmethod
    def _make(self, start: int, stop: int) -> Tensor:
        """Steps start to stop - 1; both are checked."""

    def steps(self, start: int, stop: int) -> Tensor:
        """Steps ``start`` to ``stop - 1``, ``[stop - start, rows, ...]``.

        Raises:
            SettingError: not 0 <= start <= stop.
        """
        start = check_size("start", start, 0)
        return self._make(start, check_size("stop", stop, start))

    def take(self, length: int) -> Tensor:
        """The first steps, ``[length, rows, ...]``: a finite sequence.

        Raises:
            SettingError: a length below 0.
        """
        return self.steps(0, check_size("length", length, 0))

    def chunks(self, size: int, *, start: int = 0) -> Endless[Tensor]:
        """Consecutive pieces ``[size, rows, ...]``, without end; the position counts steps.

        Raises:
            SettingError: a size below 1, or a start below 0.
        """
        size = check_size("size", size)
        return Endless(lambda place: self._make(place, place + size), size, start)

    def batches(self, size: int, *, ahead: int = 1, start: int = 0) -> Endless[Batch]:
        """Consecutive windows whose targets are what comes ``ahead`` steps later, without end.

        Inputs and targets are ``[size, rows, ...]``. A window goes on where the one before stopped,
        so the state is to be carried; the position counts steps.

        Raises:
            SettingError: size or ahead below 1, or a start below 0.
        """
        size, ahead = check_size("size", size), check_size("ahead", ahead)

        def window(place: int) -> Batch:
            steps = self._make(place, place + size + ahead)
            return Batch(steps[:size], steps[ahead:])

        return Endless(window, size, start)


class FollowedSource(SyntheticSource):
    """Sequences in which a step hangs on those before it.

    Pieces that follow each other take the time of their own steps. A start in the middle first
    makes all steps before it, once.

    Args:
        state: what the first step hangs on.
    """

    def __init__(self, state: Any) -> None:
        # Before every BLOCK-th step, and before the step that came last.
        self._blocks, self._last = [state], (0, state)

    @abc.abstractmethod
    def _walk(self, start: int, stop: int, state: Any) -> tuple[Any, Any]:
        """Steps start to stop - 1, an array ``[stop - start, rows, ...]``, and the state behind."""

    def _make(self, start: int, stop: int) -> Tensor:
        place = min(start // BLOCK, len(self._blocks) - 1)
        begin, state = place * BLOCK, self._blocks[place]
        if begin < self._last[0] <= start:
            begin, state = self._last
        kept = [self._walk(begin, begin, state)[0]]
        while begin < stop:
            end = min(stop, (begin // BLOCK + 1) * BLOCK)
            made, state = self._walk(begin, end, state)
            kept.append(made[max(start - begin, 0) :])
            begin = end
            if begin == len(self._blocks) * BLOCK:
                self._blocks.append(state)
        if start < stop:
            self._last = (stop, state)
        return torch.from_numpy(np.concatenate(kept))


class SyntheticTask(abc.ABC):
    """Batches without end, inputs with their answers; batch n is known for every n >= 0."""

    @property
    @abc.abstractmethod
    def baseline(self) -> Baseline:
        """What can be had without memory."""

    @abc.abstractmethod
    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        """One batch; rows are checked."""

    def batch(self, rows: int, *, seed: Seed = 0) -> Batch:
        """The first batch of :meth:`batches`.

        Raises:
            SettingError: rows below 1, or no seed.
        """
        return next(self.batches(rows, seed=seed))

    def batches(self, rows: int, *, seed: Seed = 0, start: int = 0) -> Endless[Batch]:
        """Batches without end, each of its own chance; the position counts batches.

        Args:
            rows: sequences in a batch.
            seed: a number of at least 0, or a generator, of which one number is drawn here. To go
                on later from a position, give a number.
            start: number of the first batch.

        Raises:
            SettingError: rows below 1, a start below 0, or no seed.
        """
        rows, number = check_size("rows", rows), seed_number(seed)
        return Endless(lambda place: self._draw(rows, draws(number, place)), 1, start)


def seed_number(seed: Any) -> int:
    """A seed as a number; a generator gives its next one.

    Raises:
        SettingError: neither a number of at least 0 nor a generator.
    """
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63 - 1))
    if isinstance(seed, torch.Generator):
        return int(torch.randint(2**63 - 1, (), generator=seed, device=seed.device))
    try:
        return check_size("seed", seed, 0)
    except SettingError:
        raise SettingError(
            "seed: expected a whole number of at least 0, or a generator of NumPy or torch, got "
            f"{seed!r}"
        ) from None


def draws(seed: int, place: int) -> np.random.Generator:
    """The generator of one place; generators of different places are independent."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,)))


def block_draws(
    seed: int, start: int, stop: int, draw: Callable[[np.random.Generator], Floats]
) -> Floats:
    """What ``draw`` says of steps start to stop - 1, ``[stop - start, ...]``.

    Args:
        seed: a number.
        start: first step.
        stop: step behind the last.
        draw: generator to ``[BLOCK, ...]``.
    """
    first, last = start // BLOCK, max(stop - 1, start) // BLOCK
    blocks = [draw(draws(seed, number)) for number in range(first, last + 1)]
    return np.concatenate(blocks)[start - first * BLOCK : stop - first * BLOCK]


def finite_array(name: str, values: Any) -> Floats:
    """An array of finite numbers.

    Raises:
        SettingError: anything else.
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if not np.isfinite(array).all():
        raise SettingError(f"{name}: expected finite numbers, got {values!r}")
    return array


def not_negative(name: str, value: Any) -> float:
    """A finite number of at least 0.

    Raises:
        SettingError: anything else.
    """
    number = check_number(name, value)
    if number < 0:
        raise SettingError(f"{name}: expected at least 0, got {value!r}")
    return number
