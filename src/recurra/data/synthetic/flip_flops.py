"""Bits that are set by pulses and kept: a task whose solution is known as a dynamical system."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from recurra.batch import Batch
from recurra.data.synthetic.base import Baseline, SyntheticTask
from recurra.errors import SettingError
from recurra.settings import check_rate, check_size

__all__ = ["FlipFlopTask"]


@dataclasses.dataclass(frozen=True)
class FlipFlopTask(SyntheticTask):
    r"""Say of each bit which sign its last pulse had.

    ::

        inputs   +1  0  0 -1  0  0  0 -1  0 +1
        targets  +1 +1 +1 -1 -1 -1 -1 -1 -1 +1

    Inputs are vectors ``[time, rows, bits]``: at each step each bit has a pulse with a chance of
    its own, +1 or -1 by even odds, else 0. At the first step every bit has one. Targets are the
    signs, ``[time, rows, bits]``, both float32. A network that solves it holds each of its 2^bits
    memories at a stable fixed point of its own.

    Baseline: the pulse where there is one, else 0, which is right half of the time by its sign.

    Args:
        bits: at least 1.
        length: steps of a row, at least 1.
        pulse: how probable one is, at least 0 and below 1.

    Raises:
        SettingError: a setting outside its range.

    Source: Sussillo and Barak, "Opening the black box: low-dimensional dynamics in high-dimensional
    recurrent neural networks", Neural Computation 25, 2013.
    """

    bits: int = 3
    length: int = 60
    pulse: float = 0.1

    def __post_init__(self) -> None:
        check_size("bits", self.bits), check_size("length", self.length)
        check_rate("pulse", self.pulse)

    @property
    def baseline(self) -> Baseline:
        """Mean squared error of a bit at a step, and share of right signs."""
        silent = (1 - self.pulse) * (self.length - 1) / self.length
        return Baseline(silent, 1 - silent / 2)

    @property
    def memories(self) -> torch.Tensor:
        """All that can be kept: ``[2^bits, bits]``, -1 and +1.

        Raises:
            SettingError: more than 20 bits, a million memories.
        """
        if self.bits > 20:
            raise SettingError(f"memories: expected at most 20 bits to list them, got {self.bits}")
        return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * self.bits).view(-1, self.bits)

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        size = (self.length, rows, self.bits)
        there = chance.random(size) < self.pulse
        there[0] = True
        inputs = np.where(there, chance.choice([-1.0, 1.0], size), 0.0).astype(np.float32)
        # The number of the step of the last pulse, at each step.
        last = np.maximum.accumulate(np.where(there, np.arange(self.length)[:, None, None], 0), 0)
        targets = np.take_along_axis(inputs, last, 0)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets))
