"""recurra describe --card: of a run, of a recipe, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recurra import artifact
from recurra.cli import app
from recurra.errors import SettingError
from recurra.training import card_of, is_recipe


def call(*args: Any) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_run_has_a_card(tiny_run: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    done = call("describe", tiny_run.path, "--card", "--json", "--unrolled", out)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    model = artifact.load(tiny_run.path).model
    assert told["parameters"] == sum(p.numel() for p in model.parameters())
    assert (told["steps"], told["rows"]) == (16, 8)  # of its training
    assert all(each["holds"] for each in told["checks"])
    assert "the state goes on" in out.read_text()


def test_a_recipe_has_one_before_anything_is_trained() -> None:
    changes = ["model.hidden_size=12", "model.cell=gru", "model.layers=1"]
    told = card_of("language-model", changes, steps=5, rows=2)
    assert told.steps == 5
    assert told.parts[2].part.kind == "GRUCell"
    assert told.parts[2].cost is not None
    assert told.parts[2].cost.multiply_adds == 3 * 2 * 12 * 12
    assert any("smallest vocabularies" in note for note in told.notes)


@pytest.mark.parametrize("task", ["classification", "tagging", "transduction"])
def test_recipes_of_other_tasks_hold_what_they_say(task: str) -> None:
    told = card_of(task, ["model.hidden_size=8"])
    assert told.checks
    assert all(each.holds for each in told.checks), told.checks
    assert not told.carried  # examples are read whole


def test_what_is_a_recipe(tmp_path: Path) -> None:
    assert is_recipe("language-model")
    assert is_recipe(tmp_path / "my.toml")
    assert not is_recipe(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "3"], "--steps is of --card; say both"),
        (["--set", "model.layers=1"], "--set is of --card; say both"),
        (["--card", "--set", "model.layers=1"], "--set changes a recipe"),
        (["--card", "--unrolled", "a.gif"], "expected a name that ends in .svg"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_run: Any, words: list[str], said: str) -> None:
    done = call("describe", tiny_run.path, *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_a_task_without_a_model_is_refused() -> None:
    with pytest.raises(SettingError, match="makes no model without data"):
        card_of("ngram")
