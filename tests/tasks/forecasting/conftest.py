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
