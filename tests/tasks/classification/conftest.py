"""Texts of two classes, and a tiny model of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from recurra.training import load_recipe, train

CHANGES = [
    "model.hidden_size=8",
    "model.dropout=0.2",
    "training.epochs=3",
    "training.batch_size=16",
    "training.learning_rate=0.02",
    "training.evaluations=3",
]


def labeled(number: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Short texts; a word of each says its class, now and then a wrong one."""
    draw = random.Random(seed)
    words = {"good": ["fine", "great", "lovely"], "bad": ["dull", "poor", "awful"]}
    texts, labels = [], []
    for n in range(number):
        label = draw.choice(["good", "bad"])
        said = label if draw.random() < 0.9 else draw.choice(["good", "bad"])
        rest = [draw.choice(["film", "actor", "it", "was", "a"]) for _ in range(draw.randint(1, 7))]
        rest.insert(draw.randint(0, len(rest)), draw.choice(words[said]))
        texts.append(" ".join(rest) + f" {n}")
        labels.append(label)
    return texts, labels


@pytest.fixture(scope="session")
def reviews() -> tuple[list[str], list[str]]:
    """300 texts and their labels."""
    return labeled(300)


@pytest.fixture(scope="session")
def changes() -> list[str]:
    """Settings of a model that trains in a second."""
    return list(CHANGES)


@pytest.fixture(scope="session")
def run(reviews: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; copy it before changing anything in it."""
    path = tmp_path_factory.mktemp("classes") / "run"
    train(load_recipe("classification", CHANGES), reviews, path)
    return path
