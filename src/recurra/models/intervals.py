"""Intervals of a forecaster, as wide as what came has shown that they must be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.heads.densities import quick_quantile
from recurra.heads.numbers import SHARES

__all__ = ["LEVELS", "RANKS", "widened"]

LEVELS = tuple(round(1 - 2 * share, 9) for share in reversed(SHARES[: len(SHARES) // 2]))
"""Of the intervals between two quantiles, whose widths are corrected by what was seen on a part
that was not trained on."""

RANKS = 64
"""Stretches of the part that chose of which is kept how probable what came there was."""


def widened(density: Any, widening: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Between what a value lies with such a probability, ``[batch, horizon, channels]``.

    Quantiles of the density, and as many of its units of widths more (or less) as were missing on
    the part that chose: conformal (Romano, Patterson & Candes 2019), between the levels where that
    was measured in a straight line. An interval holds all of those levels that are below its own.

    Args:
        density: ``[batch, horizon, channels]``.
        widening: what was missing at each of :data:`LEVELS`, ``[levels, horizon, channels]``.
        level: above 0 and below 1.
    """
    low, high = _ends(density, widening, level)
    for lower in LEVELS:
        if lower < level:
            within = _ends(density, widening, lower)
            low, high = torch.minimum(low, within[0]), torch.maximum(high, within[1])
    return low, high


def _ends(density: Any, widening: Tensor, level: float) -> tuple[Tensor, Tensor]:
    low, high = (quick_quantile(density, (1 + side * level) / 2) for side in (-1, 1))
    more = _at(level, widening) * density.width_unit
    middle = (low + high) / 2
    return torch.minimum(low - more, middle), torch.maximum(high + more, middle)


def _at(level: float, widening: Tensor) -> Tensor:
    """What is missing at a level: nothing at 0, beyond the last as much as there."""
    places = (0.0, *LEVELS)
    known = torch.cat([torch.zeros_like(widening[:1]), widening])
    for place in range(1, len(places)):
        if level <= places[place] or place == len(places) - 1:
            share = (level - places[place - 1]) / (places[place] - places[place - 1])
            return torch.lerp(known[place - 1], known[place], min(share, 1.0))
    return known[-1]
