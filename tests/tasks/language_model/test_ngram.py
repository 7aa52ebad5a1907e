"""The task ``ngram``: a run without a network, and every command on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.errors import ArtifactError, RunError, SettingError
from recurra.models import AddK, KneserNey, NGram, NGramModel
from recurra.models.counted import NGramSettings
from recurra.pipeline import Writer, open_text_model, score_lines
from recurra.tasks.language_model import prepare
from recurra.training import about, list_runs, load_recipe, resume, train
from recurra_runtime.vocabulary import END, START

CHANGES = ["model.order=4", "data.ngram_orders=[2]"]


def call(*args: object) -> Any:
    return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "100"})


def fitted(text: str, folder: Path, order: int, smoothing: Any) -> tuple[NGram, Any]:
    """The n-gram of the training part, and all parts."""
    corpus = prepare([text], load_recipe("ngram").data, folder)
    return NGram.fit(
        corpus.parts["training"].documents(),
        order=order,
        vocabulary_size=len(corpus.vocabulary),
        start=START,
        end=END,
        smoothing=smoothing,
    ), corpus


@pytest.fixture(scope="module")
def run(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command line."""
    path = tmp_path_factory.mktemp("ngram") / "run"
    changes = [word for change in CHANGES for word in ("--set", change)]
    done = call("train", "ngram", "--data", text_file, "--out", path, *changes)
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "4-gram" in done.stdout
    assert "bigram" in done.stdout
    assert " is ready. Try: " in done.stdout
    assert "curve.svg" not in done.stdout
    assert "loss" not in done.stderr  # no step was made
    return path


@pytest.mark.parametrize(
    ("changes", "smoothing"),
    [
        (["model.order=3"], KneserNey()),
        (["model.order=7", "model.modified=false"], KneserNey(modified=False)),
        (["model.order=1", "model.add_k=0.5"], AddK(0.5)),
    ],
)
def test_it_is_the_ngram_of_its_training_text(
    changes: list[str], smoothing: Any, text: str, tmp_path: Path
) -> None:
    recipe = load_recipe("ngram", changes)
    done = train(recipe, [text], tmp_path / "run")
    own, corpus = fitted(text, tmp_path / "ids", recipe.model.order, smoothing)
    loaded = artifact.load(tmp_path / "run").model
    assert isinstance(loaded, NGramModel)
    kept = loaded.ngram
    assert kept.smoothing == smoothing
    assert kept.arrays().keys() == own.arrays().keys()
    for name, array in own.arrays().items():
        assert np.array_equal(kept.arrays()[name], array), name
    nats, count = own.total(corpus.parts["test"].documents())
    (row,) = done.evaluations
    assert (row.name, row.nats, row.symbols) == (loaded.name, nats, count)
    held, held_count = own.total(corpus.parts["validation"].documents())
    told = about(tmp_path / "run")
    assert told.trained["best"] == held / held_count
    assert "at once, " in str(told)
    assert done.verdict == told.verdict == ""


def test_every_command_answers(run: Path, text: str, text_file: Path, tmp_path: Path) -> None:
    own, corpus = fitted(text, tmp_path / "ids", 4, KneserNey())
    lines = ["anna sees a dog.", "my dog"]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    told = call("score", run, tmp_path / "lines.txt", "--json").stdout.splitlines()
    for line, row in zip(lines, told, strict=True):
        scores = own.score(corpus.vocabulary.encode(line))
        assert json.loads(row)["log_prob"] == float(scores.sum())
    answers = list(recurra.load(run).predict(lines))
    assert [row.log_prob for row in answers] == [json.loads(row)["log_prob"] for row in told]
    written = call("generate", run, "--prompt", "my o", "--temperature", 0, "--length", 2)
    assert written.stdout == "my owl\n"
    assert recurra.load(run).generate("my o", temperature=0, limit=2) == "wl"
    assert "  my owl" in call("complete", run, "--prompt", "my o").stdout
    assert Writer(run).search("the c", width=4, limit=2)[0].text == "at"
    assert "4-gram" in call("evaluate", run, "--data", text_file).stdout
    assert "bigram" in call("evaluate", run, "--data", text_file).stdout
    assert "4-gram" in call("describe", run).stdout
    assert call("chart", run).exit_code == 1  # it did not learn by steps
    (row,) = list_runs(run.parent)
    assert (row.task, row.cell, row.other and row.other.name) == ("ngram", "4-gram", "bigram")
    assert "at once" in row.cells()


def test_it_is_exported_unless_another_one_is_named(run: Path, tmp_path: Path) -> None:
    for options, order in ([[], 4], [["--model", "4-gram"], 4], [["--model", "bigram"], 2]):
        done = call("export-ngram", run, "--out", tmp_path / "it.arpa", *options)
        assert done.exit_code == 0, done.stderr
        again = NGram.from_arpa(tmp_path / "it.arpa", artifact.load(run).fronts["text"])
        assert again.order == order
    missing = call("export-ngram", run, "--out", tmp_path / "x", "--model", "5-gram")
    assert missing.exit_code == 2
    assert "no '5-gram'; did you mean '4-gram'" in missing.stderr


def test_the_ngram_beside_it_answers_too(run: Path) -> None:
    (one,) = score_lines(open_text_model(run, model="bigram"), ["anna"])
    (other,) = score_lines(open_text_model(run), ["anna"])
    assert one.log_prob != other.log_prob
    with pytest.raises(SettingError, match="has no network that an n-gram could be mixed with"):
        open_text_model(run, mix=True)
    with pytest.raises(SettingError, match="has no network"):
        recurra.load(run).mixed()  # type: ignore[attr-defined]


def test_its_steps_are_those_of_the_ngram(run: Path) -> None:
    model: Any = artifact.load(run).model
    ours, theirs = model.start(2), model.ngram.start(2)
    for _ in range(3):
        token = torch.tensor([START, 5])
        (said, ours), (wanted, theirs) = model.step(token, ours), model.ngram.step(token, theirs)
        assert torch.equal(said, wanted)
    with pytest.raises(SettingError, match=r"model\.ngram\.total"):
        model.score([])


def test_a_run_that_was_killed_is_made_again(run: Path, text_file: Path, tmp_path: Path) -> None:
    half = shutil.copytree(run, tmp_path / "half")
    for name in ("best", "last", "summary.json", "ngrams.json", "ngrams.safetensors"):
        (half / name).unlink()
    shutil.rmtree(half / "checkpoints")
    (half / "checkpoints").mkdir()
    done = resume(half, text_file)
    assert [row.name for row in done.evaluations] == ["4-gram", "bigram"]
    for name in ("summary.json", "best", "checkpoints/000000/model.safetensors"):
        assert (half / name).read_bytes() == (run / name).read_bytes()
    for changes in ([], ["--epochs", 20]):
        again = call("train", "--resume", half, *changes)
        assert again.exit_code == 1
        assert "is at its end: it was made at once. Begin a new run." in again.stderr
    with pytest.raises(RunError, match="at its end"):
        resume(run, text_file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (['data.conditions=["file"]'], "data.conditions: .* reads symbols alone"),
        (["data.ngram_orders=[2, 5]"], "data.ngram_orders: .* the one of order 5"),
        (["model.modified=false", "model.add_k=1"], "model.modified: .* another smoothing"),
        (["model.order=0"], "model.order: "),
        (["model.cell=gru"], r"no setting 'model\.cell'; Known: model.add_k"),
    ],
)
def test_settings_that_cannot_be(changes: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        load_recipe("ngram", changes)


def test_no_other_run_is_gone_on_from(run: Path, text_file: Path, tmp_path: Path) -> None:
    args = ["--data", text_file, "--from", run, "--out", tmp_path / "new"]
    done = call("train", "ngram", *args)
    assert done.exit_code == 2
    assert "from: an n-gram begins with no other one; count both texts" in done.stderr
    assert "a model of the task ngram" in call("train", "language-model", *args).stderr
    assert not (tmp_path / "new").exists()


def test_what_is_said_of_steps_has_no_effect() -> None:
    recipe = load_recipe("ngram", ["training.epochs=3", "training.optimizer=sgd"])
    told = dict(recipe.of_task.idle(recipe))
    assert told == dict.fromkeys(
        ["training.epochs", "training.optimizer"], "an n-gram is counted in one pass"
    )
    assert load_recipe("ngram").of_task.idle(load_recipe("ngram")) == []


def damaged(run: Path, to: Path, change: Any) -> Path:
    """A copy of its checkpoint with another configuration, checksums and all."""
    folder = shutil.copytree(artifact.resolve(run, "best"), to)
    config = json.loads((folder / "config.json").read_bytes())
    change(config, folder)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_one_that_is_damaged_is_a_sentence(run: Path, tmp_path: Path) -> None:
    def sized(config: Any, folder: Path) -> None:
        config["model"]["vocabulary_size"] = 99

    def fewer(config: Any, folder: Path) -> None:
        config["model"]["grams"][2] -= 1

    def shorter(config: Any, folder: Path) -> None:
        config["model"]["grams"].pop()

    def narrower(config: Any, folder: Path) -> None:
        config["model"]["widths"][1].pop()

    def broken(config: Any, folder: Path) -> None:
        import hashlib

        weights = safetensors.torch.load((folder / "model.safetensors").read_bytes())
        weights["keys_2"] = weights["keys_2"].float()
        raw = safetensors.torch.save(weights)
        (folder / "model.safetensors").write_bytes(raw)
        config["sha256"]["model.safetensors"] = hashlib.sha256(raw).hexdigest()

    for change, said in (
        (sized, "expected a vocabulary 'text' of 99 symbols beside this model"),
        (fewer, "tensor 'counts_3': the configuration wants"),
        (shorter, "expected 4 numbers of grams, got 3"),
        (narrower, "expected 4 pairs of widths, got "),
        (broken, "tensor 'keys_2': the configuration wants uint8, on disk is float32"),
    ):
        folder = damaged(run, tmp_path / change.__name__, change)
        with pytest.raises(ArtifactError, match=said):
            artifact.load(folder)


def test_settings_of_its_smoothing() -> None:
    assert NGramSettings().smoothing == KneserNey()
    assert NGramSettings(add_k=0).smoothing == AddK(0.0)
