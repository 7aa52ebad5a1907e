"""What stands for a density, and how far off that is, in the data's units."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks.forecasting.conftest import trained, waves

import recurra
from recurra.heads.densities import Gaussian, GaussianMixture, Point, Student
from recurra.models import SeriesModel
from recurra.models.series_settings import SeriesModelConfig
from recurra.tasks.forecasting.evaluation import forecasts_of
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.stream import SeriesStream
from recurra.tasks.forecasting.units import deviation_of, middle_of
from recurra.tasks.forecasting.windows import Stretch
from recurra_runtime.fronts import Panel, Scale, Scales

LOG = Scales(["a"], transform="log")
SCALE = Scale(np.array([2.0]), np.array([0.5]))


def one(*numbers: float) -> list[torch.Tensor]:
    return [torch.tensor([[number]], dtype=torch.float64) for number in numbers]


def test_without_a_transform_they_are_mean_and_deviation() -> None:
    density, scales = Student(*one(1.0, 2.0, 5.0)), Scales(["a"])
    assert middle_of(density, scales).item() == 1.0
    wanted = 2 * math.sqrt(5 / 3) * 0.5
    assert deviation_of(density, scales, SCALE).item() == pytest.approx(wanted, rel=1e-6)


def test_of_logarithms_the_middle_is_the_median_and_quantiles_tell_the_deviation() -> None:
    density = Gaussian(*one(1.0, 2.0))
    assert middle_of(density, LOG).item() == pytest.approx(1.0, abs=1e-6)
    # exp(2 + 0.5 (1 + 2 z)) at z = -1 and 1
    wanted = math.exp(2.5) * math.sinh(1.0)
    assert deviation_of(density, LOG, SCALE).item() == pytest.approx(wanted, rel=1e-6)
    few = GaussianMixture(*(torch.tensor([[each]]) for each in (
        [math.log(0.9), math.log(0.1)], [0.0, 50.0], [1.0, 1.0]
    )))  # fmt: skip
    assert few.mean.item() == pytest.approx(5.0, rel=1e-5)
    assert 0 < middle_of(few, LOG).item() < 0.3
    assert deviation_of(Point(*one(1.0)), LOG, SCALE).item() == 0


def skewed(horizon: int, look_back: int | None) -> tuple[SeriesModel, Panel, np.ndarray]:
    """A model whose medians are no means, of logarithms of positive values."""
    torch.manual_seed(0)
    sizes = {"channels": 1, "horizon": horizon, "look_back": look_back}
    config = SeriesModelConfig(hidden_size=4, distribution="mixture", components=2, **sizes)
    model = SeriesModel(config).eval()
    with torch.no_grad():
        bias = model.numbers_head.projection.bias.view(-1, 6)
        bias[:, :2] = torch.tensor([1.0, -1.0])
        bias[:, 2:4] = torch.tensor([0.0, 3.0])
    panel = Panel(LOG, horizon=horizon, look_back=look_back)
    return model, panel, np.exp(waves(30)[:, :1])


def test_what_is_scored_is_what_is_said() -> None:
    model, panel, values = skewed(3, 5)
    scaled = panel.scales.inward(values, panel.scales.common)
    part = SeriesPart([Stretch(scaled, 10, scale=panel.scales.common)], panel)
    (said,) = forecasts_of(model, part, "mixture")
    np.testing.assert_allclose(said.mean, said.quantiles[6], rtol=1e-5)
    (plain,) = forecasts_of(model, SeriesPart(part.stretches, Panel(
        Scales(["a"]), horizon=3, look_back=5
    )), "mixture")  # fmt: skip
    assert (plain.mean > said.mean + 0.1).all()


def test_a_stream_says_it_too() -> None:
    model, panel, values = skewed(1, None)
    stream = SeriesStream(model, panel, np.inf)
    stream.read(values[:9])
    density, _ = model.forecast(stream._steps(stream._before), stream._state)
    low, middle, high = (math.exp(density.quantile(s).item()) for s in (0.158655, 0.5, 0.841345))
    assert density.mean.item() > math.log(middle) + 0.1
    mean, deviation = stream.expect()
    (step,) = stream.read(values[9:10])
    for told in (mean.item(), step.mean.item()):
        assert told == pytest.approx(middle, rel=1e-4)
    for told in (deviation.item(), step.deviation.item()):
        assert told == pytest.approx((high - low) / 2, rel=1e-4)
    assert mean.shape == deviation.shape == (1, 1)
    assert step.mean.shape == step.deviation.shape == (1,)


def test_a_forecast_of_logarithms_is_as_wide_as_its_interval(tmp_path: Path) -> None:
    data = np.exp(5 + waves(200)[:, 0])
    done = trained(data, tmp_path / "run", horizon=3, look_back=8, transform="log")
    model: Any = recurra.load(done.path)
    model.model.widening.zero_()
    (said,) = model.predict(level=[68.268949])
    low, high = said.intervals[68.268949]
    np.testing.assert_allclose(said.deviation, (high - low) / 2, rtol=1e-3)
    assert (low < said.mean).all()
    assert (said.mean < high).all()
