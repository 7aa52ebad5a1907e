"""Bumps on channels, each of which is a letter, and a tiny model that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recurra.training import load_recipe, train

CHANGES = [
    "model.hidden_size=16",
    "model.layers=1",
    "model.stride=2",
    "model.bidirectional=false",
    "model.mask_steps=0",
    "model.mask_numbers=0",
    "model.dropout=0",
    "training.epochs=10",
    "training.minimum_steps=0",
    "training.batch_size=8",
    "training.learning_rate=0.03",
    "training.evaluations=2",
]
Bumps = list[tuple[NDArray[np.float32], str]]


def bumps(number: int, letters: str = "abä", seed: int = 0) -> Bumps:
    """Texts of one to four letters; each letter is some steps of its channel, then some of none."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(number):
        text = "".join(letters[n] for n in draw.integers(0, len(letters), draw.integers(1, 5)))
        found.append((bump(text, letters, draw), text))
    return found


def bump(text: str, letters: str, draw: np.random.Generator) -> NDArray[np.float32]:
    """The series of a text."""
    parts = [np.zeros((2, len(letters)))]
    for letter in text:
        on = np.zeros((int(draw.integers(3, 6)), len(letters)))
        on[:, letters.index(letter)] = 1.0
        parts += [on, np.zeros((int(draw.integers(2, 4)), len(letters)))]
    whole = np.concatenate(parts)
    return (whole + draw.normal(0, 0.1, whole.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def rows() -> Bumps:
    """100 of them."""
    return bumps(100)


@pytest.fixture(scope="session")
def changes() -> list[str]:
    """Settings of a model that trains in a second."""
    return list(CHANGES)


@pytest.fixture(scope="session")
def run(rows: Bumps, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; copy it before changing anything in it."""
    path = tmp_path_factory.mktemp("bumps") / "run"
    train(load_recipe("recognition", CHANGES), rows, path)
    return path
