"""A run of the version before tasks had files of their own: nothing of it is lost.

``old_run/`` was made by that version: a tiny model of rows with two conditions, the columns of
``outside.jsonl`` among them, and what it said of it (``expected.json``).
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra import artifact
from recurra.pipeline import Writer, open_text_model, score_lines
from recurra.training import evaluate, resume, run_source

OLD = Path(__file__).parent / "old_run"
GIVEN = {"tone": "loud", "author": "bo"}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((OLD / "expected.json").read_text())
    return told


def same(rows: list[Any], expected: list[dict[str, Any]]) -> None:
    assert [row.name for row in rows] == [row["name"] for row in expected]
    for row, old in zip(rows, expected, strict=True):
        now = row.to_json()
        assert now.keys() == old.keys()
        del now["name"]
        assert now == pytest.approx({name: old[name] for name in now}, rel=1e-4)


def test_it_is_loaded() -> None:
    loaded = artifact.load(OLD / "run")
    assert loaded.kind == "language-model"
    assert loaded.model.conditions == ("tone", "author")
    assert {name: len(front) for name, front in loaded.fronts.items()} == {
        "text": 22,
        "tone": 5,
        "author": 6,
    }


def test_it_is_evaluated(expected: dict[str, Any]) -> None:
    same(evaluate(OLD / "run", OLD / "outside.jsonl"), expected["evaluated"])


def test_an_artifact_without_its_run_is_evaluated(expected: dict[str, Any], tmp_path: Path) -> None:
    """Nothing but the model says in which order its conditions are."""
    shutil.copytree(artifact.resolve(OLD / "run", "best"), tmp_path / "model")
    (row,) = evaluate(tmp_path / "model", OLD / "outside.jsonl")
    same([row], expected["evaluated"][:1])


def test_it_writes_and_scores(expected: dict[str, Any]) -> None:
    write, run = Writer(OLD / "run").write, OLD / "run"
    assert "".join(write("the ", limit=40, temperature=0.0, given=GIVEN)) == expected["greedy"]
    (score,) = score_lines(open_text_model(run), ["the cat sees."], given=GIVEN)
    assert score.log_prob == pytest.approx(expected["log_prob"], rel=1e-5)
    (score,) = score_lines(open_text_model(run, model="bigram"), ["the cat sees."])
    assert score.log_prob == pytest.approx(expected["bigram_log_prob"], rel=1e-5)
    answer = recurra.load(run)
    assert answer.generate("the ", limit=40, temperature=0.0, given=GIVEN) == expected["greedy"]


def test_it_goes_on(expected: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(OLD / "run", run)
    recipe, source = run_source(run, ["training.symbols=8000"])
    assert source == Path("lines.jsonl")
    done = resume(run, OLD / "lines.jsonl", recipe=recipe)
    same(done.evaluations[:3], expected["resumed"])  # others may stand beside them now
    with open(run / "log.csv") as file:
        rows = list(csv.DictReader(file))
    for row, old in zip(rows, expected["log"], strict=True):
        assert {name: float(row[name]) for name in old} == pytest.approx(
            {name: float(value) for name, value in old.items()}, rel=1e-3
        )
    assert set(rows[0]) - set(expected["log"][0]) == {"seconds", "symbols_per_second"}
