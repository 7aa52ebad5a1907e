"""How wide intervals must be to hold as much as they say, and what goes together in paths."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from recurra.heads.numbers import SHARES
from recurra.models import SeriesModel
from recurra.models.intervals import LEVELS, RANKS
from recurra.tasks.forecasting.evaluation import densities_of, intervals_of
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.paths import ranks_of

__all__ = ["calibrate"]

_APART = 40  # stretches of a horizon by which intervals may become narrower
_CALIBRATED, _NUMBERS = 2_000, 2_000_000  # origins and numbers that correct the widths


@torch.no_grad()
def calibrate(model: SeriesModel, part: SeriesPart) -> None:
    """Fit the widths of intervals to what came in a part, and keep how probable that was.

    Args:
        model: whose :attr:`recurra.models.SeriesModel.widening` and ``ranks`` become others.
        part: which it was not trained on.
    """
    _fit_widening(model, part)
    _fit_ranks(model, part)


def _fit_widening(model: SeriesModel, part: SeriesPart) -> None:
    r"""How much wider intervals must be.

    Of each level, step and channel the smallest number w for which the share of the origins whose
    value lies in the interval, made wider by w on both sides, is at least the level, as
    :math:`\lceil (n + 1)\,p \rceil` of n count for p. Where there are few origins the steps of
    the horizon are taken together.
    """
    model.widening.zero_()
    scores: list[npt.NDArray[np.float64]] = []
    size = part.panel.horizon * len(part.panel.channels)
    limit = min(_CALIBRATED, max(_NUMBERS // size, 100))
    for _, density, wanted in densities_of(model, part, limit):
        outside = [
            torch.maximum(low - wanted, wanted - high) / density.width_unit
            for low, high in model.intervals(density, LEVELS)
        ]
        scores.append(torch.stack(outside).double().cpu().numpy())
    if not scores:
        return
    every = np.concatenate(scores, 1)  # [levels, origins, horizon, channels]
    apart = sum(-(-len(one.scored) // part.panel.horizon) for one in part.stretches)
    found = _corrections(every)
    # Few stretches that do not overlap say where intervals are too narrow, but not that they are
    # too wide.
    found = found if apart >= _APART else np.maximum(found, 0)
    model.widening.copy_(torch.from_numpy(found))


def _fit_ranks(model: SeriesModel, part: SeriesPart) -> None:
    """Of some stretches, how probable what came was said to be."""
    model.ranks.fill_(torch.nan)
    ranks = []
    for _, density, wanted in densities_of(model, part, RANKS):
        quantiles = intervals_of(model, density, SHARES).double().cpu().numpy()
        ranks.append(ranks_of(quantiles, np.array(SHARES), wanted.double().cpu().numpy()))
    kept = np.concatenate(ranks)[:RANKS] if ranks else np.zeros((0,))
    model.ranks[: len(kept)] = torch.from_numpy(kept).to(model.ranks)


def _corrections(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    levels, origins, horizon, channels = scores.shape
    found = np.zeros((levels, horizon, channels))
    for step in range(horizon):
        for channel in range(channels):
            # As many neighbors as make some tens of scores.
            reach = 0 if origins >= 40 else -(-40 // (2 * max(origins, 1)))
            some = scores[:, :, max(step - reach, 0) : step + reach + 1, channel].reshape(
                levels, -1
            )
            for number, level in enumerate(LEVELS):
                own = np.sort(some[number][~np.isnan(some[number])])
                if len(own):
                    rank = min(math.ceil((len(own) + 1) * level), len(own)) - 1
                    found[number, step, channel] = own[rank]
    return found
