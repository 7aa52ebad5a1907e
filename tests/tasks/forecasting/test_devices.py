"""Models on another device; one without memory stands for it where there is no accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tasks.forecasting.conftest import waves

from recurra.models import SeriesModel
from recurra.models.series_settings import SeriesModelConfig
from recurra.tasks.forecasting.evaluation import densities_of
from recurra.tasks.forecasting.judged import judged
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.windows import Stretch
from recurra_runtime.fronts import Panel, Scales


def elsewhere(**settings: Any) -> tuple[SeriesModel, SeriesPart]:
    sizes = {"channels": 2, "horizon": 3, "look_back": 5}
    model = SeriesModel(SeriesModelConfig(hidden_size=4, **sizes, **settings)).to("meta")
    panel = Panel(Scales(["a", "b"]), horizon=3, look_back=5)
    return model, SeriesPart([Stretch(waves(20), 5)], panel)


class Reached(Exception):
    """As far as a device without memory goes."""


def test_what_is_judged_anew_at_each_step_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    model, part = elsewhere()
    losses = model.numbers_head.losses

    def there(density: Any, wanted: torch.Tensor) -> Any:
        assert density.mean.is_meta
        assert wanted.is_meta
        losses(density, wanted)
        raise Reached

    monkeypatch.setattr(model.numbers_head, "losses", there)
    with pytest.raises(Reached):
        list(judged(model, part.stretches, part.shape))


@pytest.mark.parametrize("given", [False, True])
def test_paths_are_drawn_where_the_model_is(given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, part = elsewhere(decoding="autoregressive")
    chance = torch.Generator().manual_seed(3) if given else None
    made: list[tuple[str, int]] = []

    class Generator:  # a device without memory has none
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def manual_seed(self, seed: int) -> Generator:
            made.append((self.device.type, seed))
            return self

    def forecast(*args: Any, generator: Any, **more: Any) -> Any:
        assert generator.device.type == "meta"
        raise Reached

    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(model, "forecast", forecast)
    for _ in range(2):
        with pytest.raises(Reached):
            list(densities_of(model, part, chance=chance))
    seeds = {seed for _, seed in made}
    assert [device for device, _ in made] == ["meta", "meta"]
    assert len(seeds) == 2 if given else seeds == {0}


def test_a_generator_of_the_same_device_goes_on() -> None:
    model, part = elsewhere(decoding="autoregressive")
    model = model.to_empty(device="cpu")
    for each in model.parameters():
        torch.nn.init.constant_(each, 0.1)
    model.widening.zero_()
    chance = torch.Generator().manual_seed(3)
    drawn = []
    for _ in range(2):
        ((_, density, _), *_) = densities_of(model, part, limit=1, paths=4, chance=chance)
        drawn.append(density.values.numpy())
    assert not np.array_equal(*drawn)
