"""What is told of runs: of one in full, of all of a folder side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recurra.cli import app
from recurra.errors import RunError
from recurra.training import HeldOut, about, list_runs, load_recipe, train
from recurra.training.recipe import changed

NATS = "nats/symbol"


def call(*args: Any) -> Any:
    return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "200"})


def test_a_run_tells_what_it_is(tiny_run: Any) -> None:
    told = about(tiny_run.path)
    assert told.task == "language-model"
    vocabulary = sorted(set(tiny_run.text))
    front = told.fronts["text"]
    assert (front["kind"], front["size"]) == ("characters", len(vocabulary) + 3)
    assert front["first"] == vocabulary[:10]
    assert {"model.hidden_size", "training.symbols"} <= set(told.settings)
    own = load_recipe("language-model", tiny_run.changes)
    assert changed(load_recipe("language-model"), told.settings, "told") == own
    assert len(told.settings) <= len(tiny_run.changes) + 1  # epochs are left out for symbols
    assert told.scores == tuple(
        HeldOut(row.name, row.value, row.loss, NATS) for row in tiny_run.trained.evaluations
    )
    assert told.verdict == tiny_run.trained.verdict
    assert told.trained["step"] == told.trained["steps"]
    assert told.trained["symbols"] >= 24000
    assert set(told.versions) == {"recurra", "torch", "python"}
    best = min(r.validation for r in tiny_run.reports if r.validation is not None)
    assert told.trained["best"] == pytest.approx(best)


def test_the_command_tells_it_too(tiny_run: Any) -> None:
    told = about(tiny_run.path)
    shown = call("describe", tiny_run.path).stdout
    for words in (
        f"characters, {told.fronts['text']['size']} ids",
        "model.hidden_size=16",
        f"{told.trained['step']:,} of {told.trained['steps']:,} steps",
        f"lstm {told.scores[0].value:.4f} {NATS}",
        told.verdict,
        f"torch {told.versions['torch']}",
    ):
        assert words in shown
    assert json.loads(call("describe", tiny_run.path, "--json").stdout) == json.loads(
        json.dumps(told.to_json())
    )


@pytest.mark.parametrize("scored", [True, False])
def test_a_run_is_shown_with_what_reads(scored: bool, tmp_path: Path) -> None:
    """Its cell, if it has one: in place of convolution that would be one that nobody asked for."""
    texts = ([f"word {number}" for number in range(40)], ["a", "b"] * 20)
    recipe = load_recipe("classification", ["model.body=convolution", "model.hidden_size=4"])
    recipe = changed(recipe, ["training.epochs=1", "data.rival_examples=1"], "told")
    path = train(recipe, texts, tmp_path / "run").path
    if not scored:
        (path / "summary.json").unlink()
    (row,) = list_runs(path)
    assert row.cell == "convolution"
    assert (row.model is not None) == scored


def test_an_artifact_alone_and_an_older_run_tell_less(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(about(tiny_run.path).path, tmp_path / "alone")
    alone = about(tmp_path / "alone")
    assert (alone.settings, alone.trained, alone.scores, alone.versions) == (None, {}, (), {})
    assert "characters" in call("describe", tmp_path / "alone").stdout
    old = tmp_path / "old"
    shutil.copytree(tiny_run.path, old)
    for name, key in (("data.json", "versions"), ("summary.json", "scores")):
        known = json.loads((old / name).read_text())
        del known[key]
        (old / name).write_text(json.dumps(known))
    told, new = about(old), about(tiny_run.path)
    assert told.versions == {}
    assert [each.value for each in told.scores] == [
        pytest.approx(each.value) for each in new.scores
    ]


def test_runs_side_by_side(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "b" / "done")
    begun, broken = tmp_path / "a", tmp_path / "c"
    for path in (begun, broken):
        shutil.copytree(tiny_run.path, path)
    for name in ("summary.json", "last", "best"):
        (begun / name).unlink()
    (broken / "recipe.json").write_text("{")
    (tmp_path / "d").mkdir()
    rows = list_runs(tmp_path)
    assert [row.path.relative_to(tmp_path).as_posix() for row in rows] == ["a", "b/done", "c"]
    first, done, last = rows
    assert (first.task, first.cell, first.step, first.steps) == ("language-model", "lstm", 0, None)
    assert (first.model, first.other, first.validation) == (None, None, None)
    model, *rivals = tiny_run.trained.evaluations
    best = min(rivals, key=lambda row: row.value)
    assert done.model == HeldOut("lstm", model.value, model.loss, NATS)
    assert done.other == HeldOut(best.name, best.value, best.loss, NATS)
    assert done.step == done.steps > 0
    assert "recipe.json" in last.error
    assert not first.error
    assert not done.error
    assert list_runs(tmp_path / "b" / "done")[0].model == done.model

    result = call("runs", tmp_path)
    header, *shown = result.stdout.splitlines()
    assert header.split()[:4] == ["run", "task", "cell", "steps"]
    assert f"{done.step:,}/{done.steps:,}" in shown[1]
    assert f"{best.value:.4f} ({best.name})" in shown[1]
    assert "unreadable" in shown[2]
    assert f"{broken}: cannot be read" in result.stderr
    assert result.exit_code == 0
    told = [json.loads(row) for row in call("runs", tmp_path, "--json").stdout.splitlines()]
    assert [row["path"] for row in told] == [str(row.path) for row in rows]
    assert told[1]["other"]["name"] == best.name


def test_no_runs(tmp_path: Path) -> None:
    assert "no run here or below" in call("runs", tmp_path).stderr
    with pytest.raises(RunError, match="expected a folder with runs, there is none"):
        list_runs(tmp_path / "none")
