"""Settings that the kind of an input leaves without effect are told, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.tasks import task_by_name
from recurra.tasks.unread import _OF_KIND, unread_data
from recurra.training import load_recipe
from recurra.training.recipe import unread

SERIES = [np.random.default_rng(n).normal(size=(12, 3)) for n in range(40)]
PICTURES = [np.random.default_rng(n).integers(0, 256, (8, 12), np.uint8) for n in range(40)]
TEXTS = [f"one {n} two" for n in range(40)]
SAID = ["a", "b"] * 20


def told(task: str, inputs: list[Any], changes: list[str]) -> dict[str, str]:
    """What is said of a training with these settings."""
    recipe = load_recipe(task, changes)
    targets = [("X",) * len(one) for one in inputs] if task == "tagging" else SAID
    source = recipe.of_task.open((inputs, targets), recipe.data)
    prepared = recipe.of_task.prepare(source, recipe.data, Path(), lambda message: None)
    found = (each.partition(" has no effect: ") for each in unread(recipe, prepared))
    return {name: why for name, _, why in found}


@pytest.mark.parametrize(
    ("task", "inputs", "changes", "why"),
    [
        ("recognition", SERIES, ["model.across=2", "model.distort=0.2"], "no picture is read"),
        ("recognition", SERIES, ["data.right_to_left=true", "data.bins=20"], None),
        ("recognition", SERIES, ['data.time="t"', "data.vocabulary=words"], ""),
        (
            "recognition",
            PICTURES,
            ["model.picture_as=columns", "model.across=2", "model.distort=0.2"],
            "columns are read as they are",
        ),
        ("recognition", PICTURES, ["model.across=2", "model.distort=0.2"], ""),
        ("recognition", PICTURES, ['data.features="mfcc"'], "no sound is read"),
        ("transduction", PICTURES, ["data.joint=true"], "what is read is no text alone"),
        ("transduction", PICTURES, ["data.truncate=left", "data.maximum_length=9"], "no text is"),
        ("transduction", PICTURES, ["data.vocabulary=words", "data.lower=true"], ""),
        ("transduction", TEXTS, ["data.joint=true", "data.vocabulary=characters"], ""),
        ("transduction", TEXTS, ["data.picture_mode=RGB"], "no picture or video is read"),
        ("transduction", TEXTS, ["data.deltas=1"], "no sound or video is read"),
        ("classification", SERIES, ["data.minimum_count=3", "data.lower=false"], "no text is"),
        ("classification", TEXTS, ["data.missing=true"], "no series is read"),
        ("classification", SERIES, ["data.missing=true"], ""),
        ("tagging", SERIES, ["model.letter_size=7", "model.dropout_word=0.4"], "no words are read"),
        ("tagging", SERIES, ["data.lower=false"], "no text is read"),
    ],
)
def test_what_is_told(task: str, inputs: list[Any], changes: list[str], why: str | None) -> None:
    """Each of some settings that somebody chose; of an empty reason none."""
    found = told(task, inputs, changes)
    chosen = {change.partition("=")[0] for change in changes}
    if why == "":
        assert found == {}
    else:
        assert set(found) == chosen - {"model.picture_as"}
        assert why is None or all(each.startswith(why) for each in found.values())
    assert told(task, inputs, []) == {}  # of what nobody chose nothing


def test_what_kinds_read_is_true() -> None:
    tasks = [task_by_name(n) for n in ("classification", "recognition", "tagging", "transduction")]
    known = {name for task in tasks for name in task.Data.model_fields}
    assert {name for names in _OF_KIND.values() for name in names} <= known
    data = task_by_name("recognition").Data(labels="texts.csv")
    assert "data.id" not in dict(unread_data(data, ["sound"]))  # a column of the table
    assert "data.id" in dict(unread_data(data.model_copy(update={"labels": None}), ["sound"]))
