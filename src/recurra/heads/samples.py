"""What was drawn of numbers, as a density."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Samples"]


class Samples(NamedTuple):
    """Draws, each as probable as another.

    Args:
        values: ``[..., channels, paths]``; of one path all axes before the last belong together.
    """

    values: Tensor

    @property
    def mean(self) -> Tensor:
        """Of the draws."""
        return self.values.mean(-1)

    @property
    def deviation(self) -> Tensor:
        """Of the draws."""
        return self.values.std(-1, correction=0)

    def cdf(self, x: Tensor) -> Tensor:
        """Which share of the draws is at most ``x``."""
        return (self.values <= x.unsqueeze(-1)).to(self.values.dtype).mean(-1)

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies, between draws in a straight line."""
        return self.values.quantile(share, -1)

    def moved(self, shift: Tensor | None, scale: Tensor) -> Samples:
        """Draws of ``shift + scale * X``."""
        found = self.values * scale.unsqueeze(-1)
        return Samples(found if shift is None else found + shift.unsqueeze(-1))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One path of all."""
        size = self.values.shape[-1]
        chosen = torch.randint(size, (), generator=generator)
        return self.values[..., int(chosen)]
