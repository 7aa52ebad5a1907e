"""A run that begins with another run's model: its weights and fronts, and a training of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from stopping import stopped_at
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.errors import DataError, SettingError
from recurra.pipeline.ngrams import read_ngrams
from recurra.training import Report, about, load_recipe, resume, train
from recurra.training.origin import check_settled

if TYPE_CHECKING:
    from tests.conftest import TinyRun

# A text of other words, with letters that the first run has never seen.
OTHER = "zoe likes the big owl.\nmy cat hears zoe.\n" * 60
QUICK = ["training.symbols=2000", "training.batch_size=4", "training.window=16"]
QUICK += ["training.evaluations=3", "training.learning_rate=0.01"]


@pytest.fixture(scope="module")
def begun(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that began with the tiny one, and what it said."""
    path, said = tmp_path_factory.mktemp("begun") / "run", list[str]()
    origin = artifact.load(tiny_run.path)
    chosen = load_recipe("language-model", QUICK, origin=origin)
    train(chosen, [OTHER], path, lambda told: said.append(told.message or ""), origin=origin)
    return path, said


def log_of(run: Path) -> list[dict[str, str]]:
    header, *lines = (run / "log.csv").read_text().splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def weights(run: Path, which: str = "last") -> bytes:
    return (artifact.resolve(run, which) / "model.safetensors").read_bytes()


def prepared_as(tiny_run: TinyRun, folder: Path) -> tuple[artifact.Artifact, Any]:
    """The model of the tiny run, and the other text in its numbers."""
    origin = artifact.load(tiny_run.path)
    data = load_recipe("language-model", QUICK, origin=origin).data
    told: list[str] = []
    prepared = origin.task.prepare_in([OTHER], origin.fronts, data, folder / "ids", told.append)
    return origin, prepared


def test_it_begins_with_the_score_of_the_other_model(
    begun: tuple[Path, list[str]], tiny_run: TinyRun, tmp_path: Path
) -> None:
    path, said = begun
    old, prepared = prepared_as(tiny_run, tmp_path)
    rows, held = log_of(path), prepared.parts["validation"]
    own = old.task.score(old.model, held)
    assert rows[0]["step"] == "0"
    assert rows[0]["training_nats"] == rows[0]["learning_rate"] == ""
    assert rows[0]["validation_nats"] == str(round(own, 5))
    assert float(rows[-1]["validation_nats"]) < float(rows[0]["validation_nats"]) - 0.5
    assert len(rows) == 4
    new = artifact.load(path)
    assert new.fronts["text"].to_json() == old.fronts["text"].to_json()
    assert f"before the first step: {own:.4f} nats/symbol of what is chosen by" in said
    assert (path / "curve.svg").exists()


def test_what_the_vocabulary_lacks_is_counted(
    begun: tuple[Path, list[str]], tiny_run: TinyRun, tmp_path: Path
) -> None:
    path, said = begun
    _, prepared = prepared_as(tiny_run, tmp_path)
    texts = {"training": OTHER[: prepared.parts["training"].characters]}
    texts["test"] = OTHER[-prepared.parts["test"].characters :]
    lacks = {name: sum(text.count(c) for c in "zb") for name, text in texts.items()}
    told = next(line for line in said if line.startswith("unknown to the vocabulary"))
    assert set("zb").isdisjoint(tiny_run.text)
    for name, count in lacks.items():
        assert f" {count:,} of {prepared.parts[name].count:,} ({name})" in told
    # The n-grams beside it are over the same ids.
    size = len(artifact.load(path).fronts["text"])
    assert {ngram.vocabulary_size for ngram in read_ngrams(path).values()} == {size}


def test_the_first_step_is_of_the_other_weights(tiny_run: TinyRun, tmp_path: Path) -> None:
    """No bias at log frequencies, nothing drawn: the first loss is the old model's."""
    losses: list[float] = []

    def report(told: Report) -> None:
        if told.progress is not None:
            losses.append(told.progress.loss)

    origin = artifact.load(tiny_run.path)
    chosen = load_recipe("language-model", [*QUICK, "model.dropout=0.0"], origin=origin)
    train(chosen, [OTHER], tmp_path / "run", report, origin=origin)
    origin, prepared = prepared_as(tiny_run, tmp_path)
    batch = prepared.parts["training"].batches(rows=4, window=16, seed=0).batch(0)
    with torch.no_grad():
        assert losses[0] == float(origin.model.loss(batch))


def test_where_it_came_from_is_told(begun: tuple[Path, list[str]], tiny_run: TinyRun) -> None:
    path, _ = begun
    source = artifact.resolve(tiny_run.path, "best")
    wanted = {"path": str(source.absolute()), "sha256": artifact.fingerprint(source)}
    assert json.loads((path / "data.json").read_text())["from"] == wanted
    assert artifact.load(path).about["from"] == wanted
    assert wanted["path"] in str(about(path))
    assert about(path).to_json()["origin"] == wanted
    kept = path / "origin" / "model.safetensors"
    assert kept.read_bytes() == (source / "model.safetensors").read_bytes()
    recipe = json.loads((path / "recipe.json").read_text())
    assert (recipe["model"]["hidden_size"], recipe["model"]["layers"]) == (16, 1)


@pytest.mark.parametrize("place", [0, 7])
def test_it_goes_on_without_the_other_run(
    place: int, begun: tuple[Path, list[str]], tiny_run: TinyRun, tmp_path: Path
) -> None:
    old = shutil.copytree(tiny_run.path, tmp_path / "old")
    origin = artifact.load(old)
    chosen = load_recipe("language-model", QUICK, origin=origin)
    run = tmp_path / "run"
    train(chosen, [OTHER], run, stopped_at(max(place, 1)), origin=origin)
    shutil.rmtree(old)
    if place == 0:  # as if it was killed between its first line of the log and its first checkpoint
        (run / "last").unlink()
        (run / "best").unlink()
        shutil.rmtree(run / "checkpoints")
        (run / "checkpoints").mkdir()
    resume(run, [OTHER])
    assert weights(run) == weights(begun[0])
    assert [row["validation_nats"] for row in log_of(run)] == [
        row["validation_nats"] for row in log_of(begun[0])
    ]
    assert (run / "summary.json").read_bytes() == (begun[0] / "summary.json").read_bytes()


def test_the_door_and_the_command_give_the_same_bits(
    begun: tuple[Path, list[str]], tiny_run: TinyRun, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"symbols": 2000, "batch_size": 4, "window": 16}
    settings |= {"evaluations": 3, "learning_rate": 0.01, "report": lambda told: None}
    door, typed, file = tmp_path / "door", tmp_path / "typed", tmp_path / "other.txt"
    file.write_text(OTHER)
    recurra.train("language-model", str(file), out=door, from_run=tiny_run.path, **settings)
    changes = [word for change in QUICK for word in ("--set", change)]
    args = ["train", "language-model", "--data", file, "--from", tiny_run.path, "--out", typed]
    result = CliRunner().invoke(app, [*map(str, args), *changes])
    assert result.exit_code == 0, result.output
    assert weights(door) == weights(typed) == weights(begun[0])


def refused(run: Path, changes: list[str], recipe: str = "language-model") -> str:
    origin = artifact.load(run)

    def begin() -> None:
        chosen = load_recipe(recipe, [*QUICK, *changes], origin=origin)
        train(chosen, [OTHER], run.parent / "never", origin=origin)

    with pytest.raises((SettingError, DataError)) as problem:
        begin()
    assert not (run.parent / "never").exists()
    return str(problem.value)


@pytest.mark.parametrize(
    ("change", "has", "got"),
    [
        ("model.hidden_size=32", "16", "32"),
        ("model.cell=gru", "'lstm'", "'gru'"),
        ("model.dropout_recurrent=0.5", "0.0", "0.5"),
        ("data.vocabulary=words", "'characters'", "'words'"),
        ('data.conditions=["file"]', "[]", "['file']"),
    ],
)
def test_a_setting_that_the_model_has_otherwise(
    change: str, has: str, got: str, tiny_run: TinyRun
) -> None:
    said = refused(tiny_run.path, [change])
    name = change.partition("=")[0]
    assert said.startswith(f"{name}: the model of {tiny_run.path}")
    assert f"has {has}, which" in said
    assert f"got {got}. Leave {name} out, or train without" in said


def test_what_does_not_fit(tiny_run: TinyRun) -> None:
    said = refused(tiny_run.path, ["data.vocabulary_size=5"])
    assert said.startswith("data.vocabulary_size: the vocabulary of the model has ")
    said = refused(tiny_run.path, [], "classification")
    assert "is a model of the task language-model, the recipe is of classification" in said


def test_dropout_may_be_another(tiny_run: TinyRun) -> None:
    origin = artifact.load(tiny_run.path)
    assert load_recipe("language-model", origin=origin).model.dropout == 0.0
    chosen = load_recipe("language-model", ["model.dropout=0.3"], origin=origin)
    check_settled(chosen, origin, "from")
    assert chosen.model.dropout == 0.3


def test_a_recipe_of_ones_own_is_asked_and_not_changed(tiny_run: TinyRun, tmp_path: Path) -> None:
    origin = artifact.load(tiny_run.path)
    own = tmp_path / "my.toml"
    own.write_text('task = "language-model"\n[model]\nhidden_size = 24\n')
    chosen = load_recipe(str(own), origin=origin)
    assert (chosen.model.hidden_size, chosen.model.layers) == (24, 1)
    with pytest.raises(SettingError, match=r"model.hidden_size: .* has 16"):
        check_settled(chosen, origin, "from")


def test_a_run_that_goes_on_needs_no_from(tiny_run: TinyRun) -> None:
    args = ["train", "--resume", tiny_run.path, "--from", tiny_run.path]
    result = CliRunner().invoke(app, list(map(str, args)))
    assert result.exit_code == 2
    assert "leave --from out" in result.stderr
