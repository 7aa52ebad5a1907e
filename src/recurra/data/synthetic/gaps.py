"""Series with holes, whose truth is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recurra.data.synthetic.base import (
    BLOCK,
    Seed,
    SyntheticSource,
    block_draws,
    seed_number,
)
from recurra.errors import SettingError
from recurra.settings import check_rate, check_size

__all__ = ["Gappy"]


class Gappy(SyntheticSource):
    """A source of which some numbers are missing at random: they are NaN.

    Each number is missing by itself, whatever it and its neighbors are. The truth is
    ``source.steps``.

    Args:
        source: of real numbers.
        share: how probable it is that a number is missing, at least 0 and below 1.
        seed: of what is missing. It has nothing to do with the source's chance.

    Raises:
        SettingError: a source of whole numbers, a share out of range, or no seed.
    """

    def __init__(self, source: SyntheticSource, share: float, *, seed: Seed = 0) -> None:
        self.source, self.share = source, check_rate("share", share)
        kind = source.take(0).dtype
        if not kind.is_floating_point:
            raise SettingError(f"source: expected real numbers, which may be NaN, got {kind}")
        self.rows, self._seed = source.rows, seed_number(seed)
        self._element = tuple(source.take(0).shape[1:])

    def missing(self, start: int, stop: int) -> Tensor:
        """Which numbers of steps start to stop - 1 are missing, bool ``[time, rows, ...]``.

        Raises:
            SettingError: not 0 <= start <= stop.
        """
        start = check_size("start", start, 0)
        stop = check_size("stop", stop, start)
        # Not the chance of a source with the same seed: its values would say what is missing.
        chance = block_draws(
            self._seed, start, stop, lambda c: c.spawn(1)[0].random((BLOCK, *self._element))
        )
        return torch.from_numpy(chance < self.share)

    def _make(self, start: int, stop: int) -> Tensor:
        return self.source.steps(start, stop).masked_fill(self.missing(start, stop), math.nan)
