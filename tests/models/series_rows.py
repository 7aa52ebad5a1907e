"""Forecasters of a few numbers, and rows of series that they read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from recurra.encoders import SeriesSteps
from recurra.models import SeriesModel, SeriesModelConfig

NAN = math.nan


def made(seed: int = 0, **settings: Any) -> SeriesModel:
    """A model with no parameter at 0, in double precision."""
    torch.manual_seed(seed)
    known = {"channels": 2, "hidden_size": 5, "components": 3, "cell": "lstm"}
    model = SeriesModel(SeriesModelConfig(**known | settings)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def rows(
    model: SeriesModel, time: int = 8, batch: int = 3, origins: int = 1, missing: float = 0.1
) -> SeriesSteps:
    """Rows that such a model reads."""
    generator = torch.Generator().manual_seed(1)
    config = model.config

    def draw(*shape: int, lost: float = missing) -> Tensor:
        found = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return found.masked_fill(torch.rand(shape, generator=generator) < lost, NAN)

    def codes(*shape: int) -> Tensor:
        each = [torch.randint(0, c, shape, generator=generator) for c in config.categories]
        return torch.stack(each, -1) if each else torch.zeros(*shape, 0, dtype=torch.int64)

    return SeriesSteps(
        draw(time, batch, config.channels).abs() * 2 + 1,
        draw(time, batch, config.past),
        draw(time, batch, config.known),
        codes(time, batch),
        draw(origins, batch, config.horizon, config.known),
        codes(origins, batch, config.horizon),
    )


def targets(model: SeriesModel, batch: int = 3, origins: int = 1) -> Tensor:
    """What comes after them; whole numbers, some missing."""
    config, generator = model.config, torch.Generator().manual_seed(2)
    shape = (origins, batch, config.horizon, config.channels)
    found = torch.randint(0, 5, shape, generator=generator).double()
    return found.masked_fill(torch.rand(shape, generator=generator) < 0.1, NAN)


ALL = {"past": 2, "known": 2, "categories": [3, 6], "ahead": [False, True]}
"""Something of each kind beside the values."""


def lstm(model: SeriesModel, vectors: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The states of one layer after each of some vectors ``[batch, size]``."""
    weights = dict(model.encoder.named_parameters())
    w, u, b = (
        weights[f"layer.layers.0.cell.{n}"] for n in ("input_weight", "recurrent_weight", "bias")
    )
    h = c = vectors[0].new_zeros(len(vectors[0]), u.shape[1])
    found = []
    for x in vectors:
        i, f, g, o = (x @ w.T + h @ u.T + b).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        found.append((h, c))
    return found


def vectors_of(model: SeriesModel, steps: SeriesSteps, inward: Tensor) -> list[Tensor]:
    """What is read of each step, where missing values are 0 and marked."""
    found = []
    for step in range(len(inward)):
        parts = []
        for numbers in (inward[step], steps.past[step]):
            parts += [numbers.nan_to_num(0.0), numbers.isnan().double()]
        parts.append(steps.ahead[step].nan_to_num(0.0))
        for place, table in enumerate(model.vectors.embeddings):
            parts.append(table.weight[steps.codes[step, :, place]])
        found.append(torch.cat(parts, 1))
    return found


def future_of(model: SeriesModel, steps: SeriesSteps) -> Tensor:
    """What is known of the steps after the last origin ``[batch, horizon, size]``."""
    code = steps.future_codes[-1, :, :, 1]  # the second category is known ahead
    return torch.cat(
        [steps.future[-1].nan_to_num(0.0), model.vectors.embeddings[1].weight[code]], -1
    )
