"""How good forecasts are: in the loss, in the data's units, and beside the naive ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.heads import Gaussian, Quantiles, Samples
from recurra.heads.densities import map_density, quick_quantile
from recurra.heads.numbers import COUNTS, POINTS, SHARES, losses_of
from recurra.models import Rival, SeriesModel
from recurra.models.intervals import LEVELS
from recurra.tasks.forecasting.corpus import check_counted
from recurra.tasks.forecasting.first_errors import FirstErrors
from recurra.tasks.forecasting.parts import Origins, SeriesPart
from recurra.tasks.forecasting.units import middle_of
from recurra.tasks.forecasting.windows import BEFORE, groups_of
from recurra.twins import evaluating
from recurra_runtime.fronts import Scales

__all__ = [
    "CRPS_SHARES",
    "LEVEL",
    "Evaluation",
    "Said",
    "compare",
    "forecasts_of",
    "intervals_of",
    "naive_errors",
]

Floats = npt.NDArray[np.float64]

_LAGS, _MOST_LAGS = 40, 400  # of errors: without a season, and with one
_LEAST = 1e-6  # of the deviation of drawn paths

LEVEL = 0.8
"""Of the intervals whose coverage and width are told."""
CRPS_SHARES = SHARES[2:-2]
"""Tenths: of the quantiles whose pinball losses, summed, are a ranked probability score."""
_NESTED = tuple(round(100 * level) for level in reversed(LEVELS))
_OUTER = SHARES.index(CRPS_SHARES[0])
_AT = _NESTED.index(round(100 * LEVEL))


class Said(NamedTuple):
    """What is said after some origins, scaled.

    Args:
        origins: which.
        mean: ``[origins, horizon, channels]``, as of :func:`middle_of`.
        quantiles: ``[shares, origins, horizon, channels]``, ascending: those of
            :data:`CRPS_SHARES`, and the ends of intervals of 90 and 95 %.
        losses: 0 where nothing came.
        wanted: what came; NaN if nothing did.
    """

    origins: Origins
    mean: Floats
    quantiles: Floats
    losses: Floats
    wanted: Floats


# ---- what is said --------------------------------------------------------------------------------


def forecasts_of(
    model: SeriesModel | Rival, part: SeriesPart, loss: str, limit: int | None = None
) -> Iterator[Said]:
    """What a model or a rival says after the origins of a part.

    Args:
        model: says it.
        part: of series.
        loss: the model's distribution, by which rivals are scored too.
        limit: of so many origins.
    """
    if isinstance(model, Rival):
        yield from _of_rival(model, part, loss, limit)
        return
    for origins, density, wanted in densities_of(model, part, limit):
        quantiles = intervals_of(model, density, SHARES)
        told, kind = density, loss
        if isinstance(density, Samples):  # drawn: as a density with their mean and deviation
            told, kind = Gaussian(density.mean, density.deviation + _LEAST), "gaussian"
        losses, _ = losses_of(kind, told, wanted)
        middle = middle_of(density, part.panel.scales)
        yield Said(origins, *map(_plain, (middle, quantiles, losses, wanted)))


def densities_of(
    model: SeriesModel,
    part: SeriesPart,
    limit: int | None = None,
    *,
    paths: int = 100,
    before: int | None = BEFORE,
    chance: torch.Generator | None = None,
) -> Iterator[tuple[Origins, Any, Tensor]]:
    """Densities after origins ``[origins, horizon, channels]``, and what came.

    Args:
        model: says them.
        part: of series.
        limit: of so many origins.
        paths: that are drawn where a model goes step by step.
        before: steps that are read first where a state is carried; all if None.
        chance: of the draws; the same for each of the batches if None.
    """
    chosen = part.origins(limit)
    if part.carried:
        yield from _carried(model, part, chosen, before)
        return
    device = model.widening.device
    for origins, batch in part.rows(chosen):
        own = _on(device, chance)
        density, _ = model.forecast(batch.inputs, paths=paths, generator=own)
        yield origins, density, batch.targets[-1].to(device)


def _on(device: torch.device, chance: torch.Generator | None) -> torch.Generator:
    """What draws on a device, which a generator of another one cannot."""
    if chance is None:
        return torch.Generator(device).manual_seed(0)
    if chance.device.type == device.type:
        return chance
    seed = int(torch.randint(2**62, (), generator=chance))
    return torch.Generator(device).manual_seed(seed)


def intervals_of(model: SeriesModel, density: Any, shares: Sequence[float]) -> Tensor:
    """Quantiles ``[shares, ...]`` with the widths that were seen to be right; they never cross.

    Args:
        model: knows those widths.
        density: as :meth:`recurra.models.SeriesModel.forecast` gives it.
        shares: ascending.
    """
    levels = [round(abs(1 - 2 * share), 9) for share in shares]
    wanted = sorted({*levels} - {0.0})
    ends = dict(zip(wanted, model.intervals(density, wanted), strict=True))
    ends[0.0] = (quick_quantile(density, 0.5),) * 2
    found = [ends[level][share > 0.5] for share, level in zip(shares, levels, strict=True)]
    return torch.stack(found).sort(0).values


def _plain(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()


def _carried(
    model: SeriesModel, part: SeriesPart, chosen: Origins, before: int | None
) -> Iterator[tuple[Origins, Any, Tensor]]:
    """Along series whose state is carried."""
    device = model.widening.device
    for some, windows in groups_of(part.stretches, part.shape, before):
        state, at = None, 0
        asked = [chosen.steps[chosen.numbers == one.number] - one.skipped for one in some]
        for batch in windows:
            time = len(batch.targets)
            moved = batch.to(device)
            with evaluating(model), torch.no_grad():
                density, state = model.densities(moved.inputs, time, state)
            for row, (one, steps) in enumerate(zip(some, asked, strict=True)):
                own = steps[(steps >= at) & (steps < at + time)]
                if not len(own):
                    continue
                kept = torch.from_numpy(own - at).to(device)
                picked = map_density(itemgetter((kept, row)), density)
                count = np.full(len(own), one.number)
                origins = Origins(np.zeros(len(own), np.int64), count, own + one.skipped)
                yield origins, picked, moved.targets[kept, row]
            at += time


def _of_rival(model: Rival, part: SeriesPart, loss: str, limit: int | None) -> Iterator[Said]:
    walk = part.shelf.walk
    for origins, batch in part.rows(part.origins(limit)):
        wanted = batch.targets[-1].double()
        mean = torch.from_numpy(np.array(model.expect(walk, origins.places)))
        spread = torch.from_numpy(np.array(model.spread(walk, origins.places))).expand_as(mean)
        density = Gaussian(mean, spread)
        quantiles = torch.stack([density.quantile(share) for share in SHARES])
        told: Any = density
        if loss == "quantiles":
            told = Quantiles(torch.stack([density.quantile(s) for s in SHARES], -1), SHARES)
        kind = loss if loss in (*POINTS, "quantiles") else "gaussian"
        losses, _ = losses_of(kind, told, wanted)
        yield Said(origins, *map(_plain, (mean, quantiles, losses, wanted)))


# ---- scores --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model's score on a part.

    Args:
        name: the model.
        total: sum of the losses of all values that came.
        values: how many these were.
        unit: what the loss is called.
        squared: sum of the squared errors of the means, in the data's units.
        absolute: sum of the absolute errors.
        scaled_squared: sum of the squared errors, as the model reads values.
        scaled_absolute: sum of the absolute ones.
        mase: mean absolute scaled error (Hyndman & Koehler 2006), the mean over series; None where
            no series has a scale.
        smape: :math:`|x - m| / (|x| + |m|)`, the mean over series.
        crps: continuous ranked probability score by :data:`CRPS_SHARES`, by the mean size of the
            values of a series; the mean over series. None where all of them are 0.
        covered: which share of the values lies within the interval of 80 %.
        width: mean width of these, in the data's units.
        by_step: mean absolute scaled errors of each step of the horizon.
        by_series: the same of each series, by its number.
        origins: after how many places there was a forecast.
        coverage: of intervals of so many percent, which share of the values lies within.
        residuals: autocorrelations of the errors of the first step ahead, from lag 1 on; empty
            where origins are further than a step apart.
    """

    name: str
    total: float
    values: int
    unit: str
    squared: float
    absolute: float
    scaled_squared: float
    scaled_absolute: float
    mase: float | None
    smape: float | None
    crps: float | None
    covered: float
    width: float
    by_step: tuple[float, ...]
    by_series: tuple[float, ...]
    origins: int
    coverage: tuple[tuple[int, float], ...] = ()
    residuals: tuple[float, ...] = ()
    losses: Floats = dataclasses.field(
        repr=False, compare=False, default_factory=lambda: np.zeros(0)
    )
    """Mean loss of each origin, in the order of the part."""

    @property
    def loss(self) -> float | None:
        """Mean loss of a value; None where nothing was there."""
        return self.total / self.values if self.values else None

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.total / max(self.values, 1)

    @property
    def nats(self) -> float:
        """The sum of the losses."""
        return self.total

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
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del found["losses"]
        some = self.by_series[:1000]
        found["series"] = len(self.by_series)
        found["by_series"] = [value if np.isfinite(value) else None for value in some]
        found["by_step"] = list(self.by_step)
        derived = {"mean_squared": self.mean_squared, "mean_absolute": self.mean_absolute}
        scaled = {
            "scaled_mean_squared": self.scaled_squared / max(self.values, 1),
            "scaled_mean_absolute": self.scaled_absolute / max(self.values, 1),
        }
        return found | derived | scaled | {"loss_per_value": self.value}


class _Sums:
    """What adds up over origins."""

    def __init__(self, series: int, horizon: int) -> None:
        self.total = 0.0
        self.steps = np.zeros((2, horizon))  # of scaled errors, and how many
        names = ["count", "squared", "absolute", "scaled_squared", "scaled_absolute", "smape"]
        names += ["pinball", "size", "covered", "width", "mase", "scaled"]
        self.each = {name: np.zeros(series) for name in names}
        self.losses: list[Floats] = []
        self.held = np.zeros(len(_NESTED), np.int64)
        self.first = FirstErrors()
        self.origins = 0

    def add(self, said: Said, part: SeriesPart, scales: Scales, naive: Floats) -> None:
        """Those of some origins.

        Args:
            said: after them.
            part: theirs.
            scales: of the values.
            naive: mean absolute errors of the seasonal naive forecast ``[series, channels]``.
        """
        numbers = said.origins.numbers
        self.origins += len(numbers)
        there = ~np.isnan(said.wanted)
        each = (1, 2)
        count = there.sum(each)
        own = np.where(there, said.losses, 0).sum(each)
        self.total += float(own.sum())
        self.losses.append(own / np.maximum(count, 1))
        apart = np.where(there, said.wanted - said.mean, 0)
        self.first.add(numbers, said.origins.steps, (said.wanted - said.mean)[:, 0])
        out = _outward(said, part, scales)
        wanted, mean, quantiles = out
        error = np.where(there, wanted - mean, 0)
        both = np.abs(np.where(there, wanted, 0)) + np.abs(np.where(there, mean, 0))
        ratio = np.where(there & (both > 0), np.abs(error) / np.where(both > 0, both, 1), 0)
        low, high = quantiles[_AT], quantiles[-1 - _AT]
        held = [
            (there & (wanted >= quantiles[n]) & (wanted <= quantiles[-1 - n])).sum(each)
            for n in range(len(_NESTED))
        ]
        self.held += [int(count.sum()) for count in held]
        scale = naive[numbers][:, None, :]
        scaled = np.where(
            there & (scale > 0), np.abs(error) / np.where(scale > 0, scale, 1), np.nan
        )
        pinball = np.zeros(len(numbers))
        for share, values in zip(CRPS_SHARES, quantiles[_OUTER:-_OUTER], strict=True):
            over = np.where(there, wanted - values, 0)
            pinball += np.maximum(share * over, (share - 1) * over).sum(each)
        told = {
            "count": count,
            "squared": (error**2).sum(each),
            "absolute": np.abs(error).sum(each),
            "scaled_squared": (apart**2).sum(each),
            "scaled_absolute": np.abs(apart).sum(each),
            "smape": ratio.sum(each),
            "pinball": 2 * pinball / len(CRPS_SHARES),
            "size": np.abs(np.where(there, wanted, 0)).sum(each),
            "covered": held[_AT],
            "width": np.where(there, high - low, 0).sum(each),
            "mase": np.nansum(scaled, each),
            "scaled": (~np.isnan(scaled)).sum(each),
        }
        for name, values in told.items():
            np.add.at(self.each[name], numbers, values)
        self.steps += np.stack([np.nansum(scaled, (0, 2)), (~np.isnan(scaled)).sum((0, 2))])

    def row(self, name: str, unit: str, lags: int) -> Evaluation:
        """All of it, with so many autocorrelations."""
        each, count = self.each, self.each["count"]
        seen = count > 0
        scaled = each["scaled"] > 0
        sized = seen & (each["size"] > 0)

        def mean(top: str, below: Floats, keep: npt.NDArray[np.bool_]) -> float | None:
            found = each[top][keep] / below[keep]
            return float(found.mean()) if len(found) else None

        values = int(count.sum())
        return Evaluation(
            name=name,
            total=self.total,
            values=values,
            unit=unit,
            squared=float(each["squared"].sum()),
            absolute=float(each["absolute"].sum()),
            scaled_squared=float(each["scaled_squared"].sum()),
            scaled_absolute=float(each["scaled_absolute"].sum()),
            mase=mean("mase", each["scaled"], scaled),
            smape=mean("smape", count, seen),
            crps=mean("pinball", each["size"], sized),
            covered=float(each["covered"].sum()) / max(values, 1),
            width=float(each["width"].sum()) / max(values, 1),
            by_step=tuple((self.steps[0] / np.maximum(self.steps[1], 1)).tolist()),
            by_series=tuple(
                np.where(scaled, each["mase"] / np.maximum(each["scaled"], 1), np.nan).tolist()
            ),
            origins=self.origins,
            coverage=tuple(
                (level, int(held) / max(values, 1))
                for level, held in sorted(zip(_NESTED, self.held, strict=True))
            ),
            residuals=self.first.correlations(lags),
            losses=np.concatenate([np.zeros(0), *self.losses]),
        )


def _outward(said: Said, part: SeriesPart, scales: Scales) -> tuple[Floats, Floats, Floats]:
    """What came, was said, and the quantiles, in the data's units."""
    numbers = said.origins.numbers
    found = tuple(np.array(each) for each in (said.wanted, said.mean, said.quantiles))
    for number in np.unique(numbers).tolist():
        scale = part.stretches[number].scale
        if scale is None:
            continue
        rows = numbers == number
        found[0][rows] = scales.outward(said.wanted[rows], scale)
        found[1][rows] = scales.outward(said.mean[rows], scale)
        found[2][:, rows] = scales.outward(said.quantiles[:, rows], scale)
    return found  # type: ignore[return-value]


def naive_errors(part: SeriesPart, scales: Scales, season: int) -> Floats:
    """Mean absolute errors of the seasonal naive forecast before what is scored.

    Of each series and channel ``[series, channels]``, in the data's units; 0 where nothing is
    known. A series that is shorter than a season has that of the last value.
    """
    found = np.zeros((len(part.stretches), part.stretches[0].values.shape[1]))
    for number, one in enumerate(part.stretches):
        seen = one.values[: one.first] if one.first > 1 else one.values
        values = seen.astype(np.float64)
        if one.scale is not None:
            values = scales.outward(values, one.scale)
        lag = season if len(values) > season else 1
        apart = np.abs(values[lag:] - values[:-lag])
        there = ~np.isnan(apart)
        found[number] = np.where(there, apart, 0).sum(0) / np.maximum(there.sum(0), 1)
    return found


def compare(
    compared: Mapping[str, SeriesModel | Rival],
    part: SeriesPart,
    loss: str,
    unit: str,
) -> list[Evaluation]:
    """A row for each model and rival, on the same values.

    Args:
        compared: by name.
        part: of series.
        loss: the model's distribution.
        unit: what its loss is called.

    Raises:
        DataError: a value that is no count, where the model says counts.
    """
    if loss in COUNTS:
        for one, (place, name) in zip(part.stretches, part.called, strict=bool(part.called)):
            check_counted(place, name, one.values)
    scales = part.panel.scales
    naive = naive_errors(part, scales, part.panel.season)
    # Errors at places further apart say nothing of the steps between them.
    season = part.panel.season
    lags = 0 if part.step_size > 1 else min(2 * season, _MOST_LAGS) if season > 1 else _LAGS
    rows = []
    for name, model in compared.items():
        sums = _Sums(len(part.stretches), part.shape.horizon)
        for said in forecasts_of(model, part, loss):
            sums.add(said, part, scales, naive)
        rows.append(sums.row(name, unit, lags))
    return rows
