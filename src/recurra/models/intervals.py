"""Intervals of a forecaster, as wide as what came has shown that they must be."""

from __future__ import annotations

from collections.abc import Sequence
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


def widened(density: Any, widening: Tensor, levels: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
    """Between what a value lies with such probabilities, ``[batch, horizon, channels]`` each.

    Quantiles of the density, and as many of its units of widths more (or less) as were missing on
    the part that chose: conformal (Romano, Patterson & Candes 2019), between the levels where that
    was measured in a straight line. An interval holds all of those levels that are below its own.

    Args:
        density: ``[batch, horizon, channels]``.
        widening: what was missing at each of :data:`LEVELS`, ``[levels, horizon, channels]``.
        levels: above 0 and below 1.
    """
    found: dict[float, tuple[Tensor, Tensor]] = {}
    within: tuple[Tensor, Tensor] | None = None  # the widest of the known levels so far
    for level in sorted({*levels, *(each for each in LEVELS if each < max(levels, default=0))}):
        low, high = _ends(density, widening, level)
        if within is not None:
            low, high = torch.minimum(low, within[0]), torch.maximum(high, within[1])
        found[level] = low, high
        if level in LEVELS:
            within = low, high
    return [found[level] for level in levels]


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
