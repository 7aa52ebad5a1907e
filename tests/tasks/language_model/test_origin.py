"""A run that begins with another's model: vocabularies of every kind, and conditions in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra import artifact
from recurra.data import Document
from recurra.training import load_recipe, train

TINY = ["model.hidden_size=6", "model.layers=1", "model.dropout=0", "data.ngram_orders=[]"]
TINY += ["training.symbols=400", "training.batch_size=4", "training.window=8"]
TINY += ["training.evaluations=1"]
TEXT = "The cat sat on the mat.\nThe dog ran off.\nNo bird sang at noon.\n" * 12


def silent(told: Any) -> None:
    """Say nothing."""


def again(run: Path, source: Any, changes: list[str]) -> dict[str, float]:
    """Begin a run with the model of another; its first score, and what the old model says."""
    origin = artifact.load(run)
    chosen = load_recipe("language-model", [*TINY[2:], *changes], origin=origin)
    new = run.parent / "new"
    train(chosen, source, new, origin=origin)
    header, first, *_ = ((new / "log.csv").read_text()).splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    prepared = origin.task.prepare_in(
        source, origin.fronts, chosen.data, run.parent / "ids", silent
    )
    own = origin.task.score(origin.model, prepared.parts["validation"])
    assert artifact.load(new).model.config == origin.model.config
    return {"first": float(row["validation_nats"]), "own": round(own, 5)}


@pytest.mark.parametrize(
    "settings",
    [
        {"vocabulary": "words", "lower": True, "breaks": "lines"},
        {"vocabulary": "words", "punctuation": False},
        {"vocabulary": "bytes"},
        {"vocabulary": "characters"},
    ],
    ids=str,
)
def test_a_text_falls_as_the_other_did(settings: dict[str, Any], tmp_path: Path) -> None:
    changes = [f"data.{name}={str(value).lower()}" for name, value in settings.items()]
    train(load_recipe("language-model", [*TINY, *changes]), [TEXT], tmp_path / "old")
    chosen = load_recipe("language-model", origin=artifact.load(tmp_path / "old"))
    assert {name: getattr(chosen.data, name) for name in settings} == settings
    found = again(tmp_path / "old", [TEXT.replace("cat", "Owl")], [])
    assert found["first"] == found["own"]


def test_a_vocabulary_that_fits_is_asked_for(tmp_path: Path) -> None:
    words = ["data.vocabulary=words", "data.vocabulary_size=12", "data.minimum_count=2"]
    train(load_recipe("language-model", [*TINY, *words]), [TEXT], tmp_path / "old")
    origin = artifact.load(tmp_path / "old")
    told: list[str] = []
    chosen = load_recipe("language-model", words, origin=origin)
    origin.task.prepare_in([TEXT], origin.fronts, chosen.data, tmp_path / "ids", told.append)
    assert "data.minimum_count has no effect: the vocabulary is that of the model" in told


def test_conditions_keep_their_order(tmp_path: Path) -> None:
    """An artifact keeps them by name, a model in its order: topic before author."""
    labels = [("war", "ann"), ("war", "bob"), ("art", "eve"), ("sea", "bob")]
    texts = [
        Document(TEXT[at : at + 40], f"{at}", {"topic": labels[at % 4][0], "author": who})
        for at, (_, who) in enumerate(labels * 30)
    ]
    how = ['data.conditions=["topic", "author"]', "data.batches=documents"]
    train(load_recipe("language-model", [*TINY, *how]), texts, tmp_path / "old")
    assert list(artifact.load(tmp_path / "old").fronts) == ["author", "text", "topic"]
    found = again(tmp_path / "old", texts, how[1:])
    assert found["first"] == found["own"]
    # As good as at the end of the run whose text it is: the labels are the same ones.
    old = (tmp_path / "old" / "log.csv").read_text().splitlines()[-1].split(",")[4]
    assert found["first"] == float(old)
