"""Surprises of symbols: what scoring says of them, and a threshold that is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from recurra.errors import ArtifactError, SettingError
from recurra.surprises import Quantiles
from recurra.tasks.base import task_by_name

TEXTS = ["the cat sat", "", "xyzzy"]


def test_surprises_are_what_scoring_says(tiny_run: Any) -> None:
    model: Any = recurra.load(tiny_run.path)
    found = list(model.surprise(TEXTS, 0.05))
    scores = list(model.score(TEXTS))
    for surprise, score in zip(found, scores, strict=True):
        assert surprise.place == score.text
        assert len(surprise.nats) == len(surprise.steps) == len(score.text) + 1
        assert float(surprise.nats.sum()) == pytest.approx(-score.log_prob)
    assert list(found[0].steps)[:3] == ["t", "h", "e"]
    assert {each.threshold for each in found} == {found[0].threshold}


def test_the_threshold_is_that_of_what_it_was_chosen_by(tiny_run: Any) -> None:
    kept = Quantiles.read(recurra.load(tiny_run.path).path)
    assert kept.count >= 100
    assert kept.values[0] > kept.values[-1] >= 0  # of symbols, which have probabilities
    assert kept.threshold(0.01) > kept.threshold(0.5)


def test_all_symbols_of_a_part_are_judged_once(tiny_run: Any, tmp_path: Path) -> None:
    """Their sum is the loss of the part, also where there are conditions."""
    task = task_by_name("language-model")
    texts = {"text": [f"line {n} of many" for n in range(60)], "topic": ["a", "b", "c"] * 20}
    done = recurra.train(
        "language-model", texts, out=tmp_path / "run", conditions=["topic"], unit="line",
        hidden_size=4, layers=1, epochs=1, minimum_steps=0, report=lambda told: None,
        ngram_orders=[], split="hash", test=None,
    )  # fmt: skip
    loaded = recurra.artifact.load(done.path)
    data = task.Data(conditions=["topic"], unit="line", split="hash")
    prepared = task.prepare_in(
        task.open(texts, data), loaded.fronts, data, tmp_path / "ids", lambda told: None
    )
    part = prepared.parts["validation"]
    found = task.surprises(loaded.model, part)
    total, count = loaded.model.score(part.groups())
    assert len(found) == count
    assert float(found.sum()) == pytest.approx(total, rel=1e-5)
    model: Any = recurra.load(done.path)
    one, other = (
        next(model.surprise(["third"], 0.5, given={"topic": topic})) for topic in ("a", "c")
    )
    assert not np.array_equal(one.nats, other.nats)
    with pytest.raises(SettingError, match="topic"):
        list(model.surprise(["third"], 0.5))


def test_windows_of_a_long_text_carry_their_state(tiny_run: Any, tmp_path: Path) -> None:
    task = task_by_name("language-model")
    loaded = recurra.artifact.load(tiny_run.path)
    data = tiny_run.recipe.data
    source = task.open([tiny_run.text * 5], data)
    prepared = task.prepare_in(source, loaded.fronts, data, tmp_path, lambda told: None)
    part = prepared.parts["training"]
    groups = [list(group) for group in part.groups()]
    assert max(map(len, groups)) > 1
    found = task.surprises(loaded.model, part)
    total, count = loaded.model.score(groups)
    assert len(found) == count
    assert float(found.sum()) == pytest.approx(total, rel=1e-5)


def test_n_grams_alone_too(text: str, tmp_path: Path) -> None:
    done = recurra.train("ngram", [text], out=tmp_path / "run", report=lambda told: None)
    model: Any = recurra.load(done.path)
    kept = Quantiles.read(model.path)
    assert kept.count >= 100
    (found,) = model.surprise(["zzqzz"], 0.05)
    assert len(found.flagged)
    assert float(found.nats.sum()) == pytest.approx(-next(model.score(["zzqzz"])).log_prob)


def test_other_tasks_refuse_by_name(tmp_path: Path) -> None:
    texts = [f"a {word} film {n}" for n in range(20) for word in ("good", "bad")]
    done = recurra.train(
        "classification", (texts, ["yes", "no"] * 20), out=tmp_path / "run", hidden_size=4,
        epochs=1, minimum_steps=0, report=lambda told: None,
    )  # fmt: skip
    model = recurra.load(done.path)
    with pytest.raises(SettingError, match="a classification model gives no probability of what"):
        model.surprise(["a good film"])
    assert not (model.path / "surprises.json").exists()


def test_a_model_that_keeps_none_says_so() -> None:
    model: Any = recurra.load(Path(__file__).parent / "old_run" / "run")
    with pytest.raises(ArtifactError, match="does not know how surprising usual data are"):
        model.surprise(["a"], given={"tone": "calm", "author": "ada"})
    (found,) = model.surprises(["a"], given={"tone": "calm", "author": "ada"})
    assert np.isfinite(found.nats).all()
    assert found.threshold == math.inf
