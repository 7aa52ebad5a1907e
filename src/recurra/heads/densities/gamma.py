"""Draws from a gamma distribution by a generator of one's own, which torch has not in public."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.heads.densities.base import uniform_like

__all__ = ["gamma_draws"]

_ROUNDS = 100  # each takes 19 of 20 that are left, or more


def gamma_draws(shape: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw with scale 1 of each shape above 0, in float64.

    Source: Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000.
    """
    small = shape < 1
    d = torch.where(small, shape + 1, shape) - 1 / 3
    found, waiting = d.clone(), torch.ones_like(small)
    for _ in range(_ROUNDS):
        z = torch.randn(d.shape, dtype=d.dtype, device=d.device, generator=generator)
        v = (1 + z / (9 * d).sqrt()) ** 3
        bound = z.square() / 2 + d * (1 - v + v.clamp(min=0).log())
        taken = waiting & (v > 0) & (torch.log1p(-uniform_like(d, generator)) < bound)
        found, waiting = torch.where(taken, d * v, found), waiting & ~taken
        if not bool(waiting.any()):
            break
    power = (1 - uniform_like(d, generator)) ** (1 / shape)
    return torch.where(small, found * power, found)
