"""How far what was said is from what came, in the units of the number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.errors import SettingError
from recurra.heads.densities.base import Predictive

__all__ = ["EVEN_SHARES", "crps_of", "pinball"]

EVEN_SHARES = tuple((k + 0.5) / 100 for k in range(100))
"""The middles of a hundred equal parts."""


def pinball(x: Tensor, quantile: Tensor, share: Tensor | float) -> Tensor:
    r"""What a quantile costs: :math:`\max(\tau (x - q), (\tau - 1)(x - q))`."""
    off = x - quantile
    return torch.maximum(share * off, (share - 1) * off)


def crps_of(density: Predictive, x: Tensor, shares: Sequence[float] = EVEN_SHARES) -> Tensor:
    r"""Continuous ranked probability score ``[..., channels]``, by quantiles.

    .. math:: \int (F(y) - [y \ge x])^2\, dy = 2 \int_0^1 \rho_\tau(x, q_\tau)\, d\tau

    Args:
        density: what was said.
        x: what came, ``[..., channels]``.
        shares: over which the second integral is a mean; evenly spread, or it is another score.

    Raises:
        SettingError: no share, or one that is not between 0 and 1.

    Source: Gneiting and Ranjan, Comparing Density Forecasts Using Threshold- and
    Quantile-Weighted Scoring Rules, 2011.
    """
    if not shares:
        raise SettingError("shares: expected at least one, got none")
    losses = [pinball(x, density.quantile(share), share) for share in shares]
    return 2 * sum(losses[1:], losses[0]) / len(losses)
