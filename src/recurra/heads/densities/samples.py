"""What was drawn of numbers, as a density."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from recurra.heads.densities.base import checked_share, last_axis, width_of

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

    @property
    def width_unit(self) -> Tensor:
        """The deviation."""
        return width_of(self.deviation)

    def cdf(self, x: Tensor) -> Tensor:
        """Which share of the draws is at most ``x``."""
        return (self.values <= x.unsqueeze(-1)).to(self.values.dtype).mean(-1)

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies, between draws in a straight line."""
        return self.values.quantile(checked_share(share), -1)

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """Draws of ``shift + scale * X``; scale above 0."""
        moved = self.values * last_axis(scale)
        return type(self)(moved if shift is None else last_axis(shift) + moved)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One path of all, ``[..., channels]``, without gradient."""
        size = self.values.shape[-1]
        chosen = torch.randint(size, (), device=self.values.device, generator=generator)
        return self.values[..., int(chosen)].detach().clone()
