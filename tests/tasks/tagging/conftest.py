"""Sentences whose tags are told by what stands before, and a tiny model of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from recurra.training import load_recipe, train

CHANGES = [
    "model.hidden_size=12",
    "model.layers=1",
    "model.dropout_word=0.1",
    "model.embedding_size=8",
    "model.letter_size=4",
    "model.spelling_size=6",
    "model.dropout=0.1",
    "training.epochs=4",
    "training.batch_size=8",
    "training.learning_rate=0.03",
    "training.evaluations=4",
]
Sentences = list[tuple[tuple[str, ...], tuple[str, ...]]]


def walks(number: int, seed: int = 0) -> Sentences:
    """Words of two kinds: "walk" after "the" is a thing, after "they" an action; names are new."""
    draw, found = random.Random(seed), []
    for _ in range(number):
        words, tags = [], []
        for _ in range(draw.randint(1, 3)):
            word = draw.choice(["walk", "talk", "run", "swim"])
            if draw.random() < 0.4:
                words += ["the", draw.choice(["long", "short"]), word]
                tags += ["DET", "ADJ", "NOUN"]
            elif draw.random() < 0.5:
                words += ["they", "never", word]
                tags += ["PRON", "ADV", "VERB"]
            else:
                words += ["".join(draw.choices("AEIOU", k=6)).capitalize() + "son", word]
                tags += ["PROPN", "VERB"]
        found.append((tuple(words), tuple(tags)))
    return found


def names(number: int, seed: int = 0) -> Sentences:
    """Tags of spans: names of people of one to three words, and of places behind "in"."""
    draw, found = random.Random(seed), []
    people, places = ["Ann", "Bob", "Cy", "Dee"], ["Rome", "Oslo", "York"]
    for _ in range(number):
        count = draw.randint(1, 3)
        words = [*draw.sample(people, count), "lives", "in", draw.choice(places), "."]
        tags = ["B-PER", *["I-PER"] * (count - 1), "O", "O", "B-LOC", "O"]
        found.append((tuple(words), tuple(tags)))
    return found


@pytest.fixture(scope="session")
def sentences() -> Sentences:
    """200 of them."""
    return walks(200)


@pytest.fixture(scope="session")
def changes() -> list[str]:
    """Settings of a model that trains in a second."""
    return list(CHANGES)


@pytest.fixture(scope="session")
def run(sentences: Sentences, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; copy it before changing anything in it."""
    path = tmp_path_factory.mktemp("tags") / "run"
    train(load_recipe("tagging", CHANGES), sentences, path)
    return path


@pytest.fixture(scope="session")
def spans_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of tags that make spans."""
    path = tmp_path_factory.mktemp("spans") / "run"
    train(load_recipe("tagging", CHANGES), names(100), path)
    return path
