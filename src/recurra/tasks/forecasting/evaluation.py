"""How well forecasts are: densities in nats, means in the data's units."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.models import Forecaster, Rival
from recurra.sequences import PaddedSequence
from recurra.tasks.forecasting.corpus import SeriesPart
from recurra.tasks.forecasting.windows import Stretch, groups_of

__all__ = ["Evaluation", "Forecasts", "compare", "judged"]

Floats = npt.NDArray[np.float64]


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


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model's score on a part.

    Args:
        name: the model.
        nats: minus the log density of all values, scaled by the deviations of the training part.
        values: how many were there.
        squared: sum of the squared errors of the means, in the data's units.
        absolute: sum of the absolute errors.
    """

    name: str
    nats: float
    values: int
    squared: float
    absolute: float

    @property
    def loss(self) -> float | None:
        """Nats a value; None where nothing was there."""
        return self.nats / self.values if self.values else None

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.nats / max(self.values, 1)

    @property
    def mean_squared(self) -> float:
        """Mean squared error."""
        return self.squared / max(self.values, 1)

    @property
    def mean_absolute(self) -> float:
        """Mean absolute error."""
        return self.absolute / max(self.values, 1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        derived = {"mean_squared": self.mean_squared, "mean_absolute": self.mean_absolute}
        return dataclasses.asdict(self) | derived | {"nats_per_value": self.value}


def judged(model: Forecaster | Rival, stretches: list[Stretch]) -> Iterator[Forecasts]:
    """What a model or a rival expected of the scored steps of stretches, in any order."""
    if isinstance(model, Rival):
        yield from (_of_rival(model, one) for one in stretches)
        return
    for some, windows in groups_of(stretches):
        state, parts = None, []
        for batch in windows:
            found = model.judge(batch, state)
            state = found.state
            leaves = (found.surprise, found.expected.mean, found.expected.deviation)
            parts.append([_rows(leaf) for leaf in leaves])
        for row, one in enumerate(some):
            nats, mean, deviation = (
                np.concatenate([part[leaf][row] for part in parts])[-len(one.scored) :]
                for leaf in range(3)
            )
            yield Forecasts(one, nats, mean, deviation)


def _rows(leaf: PaddedSequence) -> list[Floats]:
    return [row.double().cpu().numpy() for row in leaf.to_list()]


def _of_rival(model: Rival, one: Stretch) -> Forecasts:
    nats = model.nats(one.values)[one.first :]
    total = np.where(np.isnan(nats).all(1), np.nan, np.nansum(nats, 1))
    mean = model.expect(one.values)[one.first :]
    return Forecasts(one, total, mean, model.spread(len(one.values))[one.first :])


def compare(compared: Mapping[str, Forecaster | Rival], part: SeriesPart) -> list[Evaluation]:
    """A row for each model and rival, on the same values.

    Args:
        compared: by name.
        part: of series.
    """
    rows = []
    for name, model in compared.items():
        nats, squared, absolute = 0.0, 0.0, 0.0
        for found in judged(model, part.stretches):
            apart = (found.stretch.scored - found.mean) * part.deviation
            nats += float(np.nansum(found.nats))
            squared += float(np.nansum(apart**2))
            absolute += float(np.nansum(np.abs(apart)))
        rows.append(Evaluation(name, nats, part.count, squared, absolute))
    return rows
