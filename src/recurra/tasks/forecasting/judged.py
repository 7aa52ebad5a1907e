"""What a model expected of each step of series, one ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.models import SeriesModel
from recurra.models.horizon import next_of
from recurra.tasks.forecasting.windows import Shape, Shelf, Stretch, groups_of
from recurra.twins import evaluating

__all__ = ["Forecasts", "judged"]

Floats = npt.NDArray[np.float64]

_ROWS = 256  # that are judged beside each other


class Forecasts(NamedTuple):
    """What was expected of the scored steps of a stretch, scaled.

    Args:
        stretch: the stretch.
        nats: of each step, of all its channels; NaN where all are missing.
        mean: ``[steps, channels]``.
        deviation: the same.
    """

    stretch: Stretch
    nats: Floats
    mean: Floats
    deviation: Floats


def judged(model: SeriesModel, stretches: list[Stretch], shape: Shape) -> Iterator[Forecasts]:
    """What a model expected of the scored steps of stretches, one ahead, in any order."""
    if shape.look_back is not None:
        yield from _each_anew(model, stretches, shape)
        return
    for some, windows in groups_of(stretches, shape):
        state, parts = None, []
        for batch in windows:
            found = model.judge(Batch(batch.inputs, batch.targets), state)
            state = found.state
            leaves = (found.surprise, found.expected.mean, found.expected.deviation)
            parts.append([leaf.double().cpu().numpy() for leaf in leaves])
        whole = [np.concatenate([part[leaf] for part in parts]) for leaf in range(3)]
        for row, one in enumerate(some):
            span = slice(one.first, len(one.values))
            yield Forecasts(one, *(leaf[span, row] for leaf in whole))


def _each_anew(model: SeriesModel, stretches: list[Stretch], shape: Shape) -> Iterator[Forecasts]:
    """Each step after those that are read before it."""
    for one in stretches:
        shelf, found = Shelf([one], shape), []
        origins = shelf.origins(0, one.first, len(one.values))
        for at in range(0, len(origins), _ROWS):
            some = origins[at : at + _ROWS]
            wanted = torch.from_numpy(shelf.after(some, 1))[None, :, 0]
            batch = Batch(shelf.row(some), wanted).to(model.widening.device)
            with evaluating(model), torch.no_grad():
                density, _ = model.densities(batch.inputs, 1)
            density = next_of(density)
            losses, known = model.numbers_head.losses(density, batch.targets)
            nats = losses.sum(-1).masked_fill(~known.any(-1), torch.nan)
            found.append(
                [leaf[0].double().cpu().numpy() for leaf in (nats, density.mean, density.deviation)]
            )
        if found:
            yield Forecasts(one, *(np.concatenate([part[n] for part in found]) for n in range(3)))
