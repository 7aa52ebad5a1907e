"""Paths that may come."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.models import SeriesModel
from recurra.tasks.forecasting.evaluation import densities_of, intervals_of
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.windows import Stretch, longer
from recurra_runtime.fronts import Panel

__all__ = ["draw_paths", "ranks_of"]

Floats = npt.NDArray[np.float64]


def draw_paths(
    model: SeriesModel, panel: Panel, stretch: Stretch, paths: int, chance: torch.Generator
) -> Floats:
    """Paths behind a series, scaled, ``[paths, horizon, channels]``.

    Where a model says all steps at once, path by path the shares that stand where the values of one
    stretch stood among those of all stretches of the part that chose are looked up in what is said:
    the Schaake shuffle (Clark et al. 2004), by which steps go together as they did there. Where it
    keeps no such stretch, or one alone, the shares are drawn one by one.

    Args:
        model: says what comes.
        panel: what series are in numbers.
        stretch: the series.
        paths: how many.
        chance: of the draws.
    """
    part = SeriesPart([longer(stretch)], panel)
    for _, density, _ in densities_of(model, part, paths=paths, before=None, chance=chance):
        if model.config.decoding == "autoregressive" and hasattr(density, "values"):
            found: Floats = density.values[0].double().cpu().numpy()
            return np.moveaxis(found, -1, 0)
        return _shuffled(model, density, paths, chance)
    raise AssertionError("one series has one origin")


def _shuffled(model: SeriesModel, density: Any, paths: int, chance: torch.Generator) -> Floats:
    known = model.ranks[~model.ranks.isnan().flatten(1).any(1)]
    shape = (paths, model.config.horizon, model.config.channels)
    shares = torch.rand(shape, generator=chance)
    if len(known) > 1:
        # Which of the stretches had more at a step, not how much: so each step by itself is drawn
        # as it is said, and of few stretches each stands for a range.
        order = known.cpu().argsort(0).argsort(0)
        shares += order[torch.randint(len(known), (paths,), generator=chance)]
        shares /= len(known)
    shares = shares.clamp(0.001, 0.999)
    places = torch.tensor([0.001, 0.01, *np.arange(0.025, 1, 0.025).tolist(), 0.99, 0.999])
    table = intervals_of(model, density, places.tolist())[:, 0].double().cpu()  # [places, h, c]
    at = torch.searchsorted(places, shares.float()).clamp(1, len(places) - 1)
    low, high = places[at - 1], places[at]
    weight = (shares - low) / (high - low)
    rows = table.unsqueeze(1).expand(-1, paths, -1, -1)
    below, above = rows.gather(0, (at - 1)[None])[0], rows.gather(0, at[None])[0]
    return torch.lerp(below, above, weight.double()).numpy()


def ranks_of(quantiles: Floats, shares: npt.NDArray[np.float64], wanted: Floats) -> Floats:
    """Which share of what was said lies below what came, between quantiles in a straight line.

    Args:
        quantiles: ``[shares, ...]``, ascending.
        shares: of these.
        wanted: what came; NaN stays.
    """
    found = np.zeros_like(wanted)
    for place in range(len(shares)):
        low = quantiles[place - 1] if place else quantiles[0] - 1e9
        high = quantiles[place]
        begin = shares[place - 1] if place else 0.0
        inside = (wanted >= low) & (wanted < high) if place else wanted < high
        wide = np.where(high > low, high - low, 1.0)
        part = np.clip((wanted - low) / wide, 0, 1) if place else np.full_like(wanted, 0.5)
        found = np.where(inside, begin + part * (shares[place] - begin), found)
    found = np.where(wanted >= quantiles[-1], (1 + shares[-1]) / 2, found)
    return np.where(np.isnan(wanted), np.nan, found)
