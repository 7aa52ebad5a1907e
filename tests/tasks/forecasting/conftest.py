"""Series of two channels, and a tiny model of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra


def waves(steps: int, seed: int = 0) -> np.ndarray:
    """A sine and a slower one, with noise, in units of their own ``[steps, 2]``."""
    chance, time = np.random.default_rng(seed), np.arange(steps)
    both = np.stack([np.sin(time / 3), 100 + 20 * np.cos(time / 5)], 1)
    return (both + chance.standard_normal((steps, 2)) * [0.1, 2.0]).astype(np.float32)


def trained(data: Any, out: Path, **settings: Any) -> Any:
    """A model that trains in a second."""
    known = {"hidden_size": 8, "minimum_steps": 60, "epochs": 1, "evaluations": 2, "window": 32}
    known |= {"batch_size": 8, "learning_rate": 0.02}
    return recurra.train("forecasting", data, out=out, report=lambda told: None, **known | settings)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on one series of two channels."""
    return Path(trained(waves(1500), tmp_path_factory.mktemp("forecasts") / "run").path)


def small(horizon: int = 3, **settings: Any) -> recurra.Forecaster:
    """An estimator that learns little in a moment."""
    known: dict[str, Any] = {"hidden_size": 4, "epochs": 1, "verbose": False}
    more = {"minimum_steps": 0, "evaluations": 1, **settings.pop("settings", {})}
    return recurra.Forecaster(horizon, **known | settings, settings=more)


def columns(
    steps: int = 40, names: Any = ("a", "b"), begin: Any = "2024-01-01", unit: str = "D"
) -> dict[str, list[Any]]:
    """Waves of several series, one behind the other, by the convention of forecasting libraries."""
    found: dict[str, list[Any]] = {"unique_id": [], "ds": [], "y": []}
    for number, name in enumerate(names):
        stamps = np.arange(steps)
        if isinstance(begin, str):
            stamps = np.datetime64(begin, unit) + stamps
        found["unique_id"] += [name] * steps
        found["ds"] += [str(each) if isinstance(begin, str) else int(each) for each in stamps]
        found["y"] += waves(steps, seed=number)[:, 0].round(4).tolist()
    return found
