"""A model that spells numbers backward, trained for a moment."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import recurra

SETTINGS = {
    "vocabulary": "characters",
    "hidden_size": 24,
    "embedding_size": 12,
    "dropout": 0.0,
    "smoothing": 0.0,
    "epochs": 40,
    "minimum_steps": 0,
    "batch_size": 16,
    "learning_rate": 0.02,
    "evaluations": 2,
}


def pairs(number: int, seed: int = 0) -> list[tuple[str, str]]:
    """Words of a few letters, and each backward."""
    draw = random.Random(seed)
    words = [
        "".join(draw.choice("abcde") for _ in range(draw.randint(1, 4))) for _ in range(number)
    ]
    return [(word, word[::-1]) for word in words]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the Python door."""
    path = tmp_path_factory.mktemp("transduction") / "run"
    done = recurra.train("transduction", pairs(300), out=path, report=lambda _: None, **SETTINGS)
    return Path(done.path)
