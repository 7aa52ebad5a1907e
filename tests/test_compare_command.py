"""recurra compare, with runs that are done at once: what is asked, told and refused."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from comparison.fakes import TEXTS, FakeRunner, result
from typer.testing import CliRunner

from recurra.cli import app
from recurra.compare_command import compare
from recurra.comparison import conduct, search
from recurra.comparison.runner import Job, Outcome


def call(*args: str | Path) -> Any:
    done = CliRunner().invoke(app, ["compare", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception  # what a user would see as a traceback
    return done


def scored(job: Job) -> Any:
    value = 0.6 + 0.2 * (job.recipe["model"]["cell"] == "gru")
    return result(value + job.recipe["training"]["seed"] / 100)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    found = FakeRunner(scored)
    for module in (conduct, search):
        monkeypatch.setattr(module, "ProcessRunner", lambda *how: found)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    rows = [f"{text},{label}" for text, label in zip(*TEXTS, strict=True)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


VARY = ("--vary", "model.cell=elman,gru", "--seeds", "2", "--epochs", "2")


def test_a_comparison_and_its_table_again(data: Path, tmp_path: Path, runner: FakeRunner) -> None:
    out = tmp_path / "study"
    done = call("classification", "--data", data, "--out", out, *VARY, "--seed", "3")
    assert done.exit_code == 0, done.stderr
    assert len(runner.jobs) == 4
    assert {job.recipe["training"]["seed"] for job in runner.jobs} == {3, 4}
    assert {job.recipe["training"]["epochs"] for job in runner.jobs} == {2.0}
    lines = done.stdout.splitlines()
    assert lines[0] == f"classification in {out}: accuracy (more is better)"
    assert lines[3].split()[:4] == ["gru", "0.8350", "±", "0.0071"]
    assert f"Quality by size and time: {out / 'compare.svg'}" in done.stderr
    assert call(out).stdout == done.stdout
    told = json.loads(call(out, "--json").stdout)
    assert [row["settings"]["model.cell"] for row in told["rows"]] == ["gru", "elman"]
    drawn = CliRunner().invoke(app, ["chart", str(out), "--out", str(tmp_path / "a.png")])
    assert drawn.exit_code == 0, drawn.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_failed_and_interrupted_runs_have_exit_codes(
    data: Path, tmp_path: Path, runner: FakeRunner
) -> None:
    runner.does = lambda job: Outcome("failed", "too hot") if "gru" in job.name else scored(job)
    done = call("classification", "--data", data, "--out", tmp_path / "study", *VARY)
    assert done.exit_code == 1
    assert "cell-gru/seed-0 failed: too hot" in done.stdout
    runner.does = scored
    assert call("classification", "--data", data, "--out", tmp_path / "study", *VARY).exit_code == 0


def test_a_search_prints_its_best_recipe(data: Path, tmp_path: Path, runner: FakeRunner) -> None:
    out = tmp_path / "search"
    options = ("--search", "4", "--space", "model.cell=elman,gru", "--jobs", "1")
    done = call("classification", "--data", data, "--out", out, *options)
    assert done.exit_code == 0, done.stderr
    assert len(runner.jobs) == 2  # there are no more
    assert (out / "best.toml").read_text() in done.stdout
    assert 'cell = "gru"' in done.stdout
    assert done.stdout.startswith(call(out).stdout)


def test_modules_go_along(data: Path, tmp_path: Path, runner: FakeRunner) -> None:
    (tmp_path / "my_own_cells_.py").write_text("")
    name = tmp_path / "my_own_cells_.py"
    done = call("classification", "--data", data, "--out", tmp_path / "s", "--import", name)
    assert done.exit_code == 0, done.stderr
    assert [job.imports for job in runner.jobs] == [(str(name),)]
    assert runner.names == ["seed-0"]


def test_two_runs_in_pairs(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(tiny_run.text)
    done = call(tiny_run.path, tiny_run.path, "--data", path)
    # One document: all that a bootstrap could draw is it.
    assert done.exit_code == 2
    assert "is one document, and pairs are drawn from at least 2" in done.stderr


OF_TRAINING = {
    "--vary": "model.cell=gru,lstm",
    "--rival": "convolution",
    "--seeds": "2",
    "--search": "3",
    "--space": "model.cell=gru,lstm",
    "--jobs": "1",
    "--validation": "DATA",
    "--test": "DATA",
    "--set": "model.cell=gru",
    "--epochs": "2",
    "--lr": "0.1",
    "--hidden": "8",
    "--layers": "1",
    "--batch": "4",
    "--seed": "0",
    "--device": "cpu",
    "--encoding": "latin-1",
}


@pytest.mark.parametrize("option", OF_TRAINING)
def test_what_says_how_to_train_is_refused_beside_runs(
    option: str, tiny_run: Any, data: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "compare.json").write_text("{}")
    value = OF_TRAINING[option].replace("DATA", str(data))
    page = ("--out", tmp_path / "page.html")
    for what in ((tiny_run.path, "other"), (tiny_run.path, "other", *page), (study,)):
        done = call(*what, option, value)
        assert (done.exit_code, done.stdout) == (2, ""), done.stderr
        told = " ".join(done.stderr.replace("│", " ").split())
        assert f"compare: {option}: what is shown is there already" in told
    both = call("a", "b", "--jobs", "1", "--epochs", "0.5")
    assert "compare: --jobs, --epochs: what is shown" in both.stderr


def test_every_option_of_a_training_is_refused_beside_runs() -> None:
    """One that is new says of which kind it is."""
    (command,) = (each for each in app.registered_commands if each.callback is compare)
    parameters = inspect.signature(command.callback).parameters
    shown = {"what", "data", "out", "pictures", "which", "json", "import_"}
    assert {f"--{name.rstrip('_')}" for name in {*parameters} - shown} == {*OF_TRAINING}


DATA = ("--data", "DATA", "--out", "OUT")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("classification",), 2, "--data is missing; for example recurra compare"),
        (("classification", "--data", "DATA"), 2, "--out is missing"),
        (("a", "b", "c"), 1, "a: expected the folder of a run"),
        (tuple("abcdefg"), 2, "expected 2 to 6 runs, got 7"),
        (("a", "b", "--out", "no/page.html"), 2, "expected a file in a folder that is there"),
        (("a", "b", "c", "--out", "page"), 2, "expected the name of a page that ends in .html"),
        (
            ("classification", *DATA[:2], "--out", "p.html", *VARY[:2]),
            2,
            "--vary: what is shown is there already",
        ),
        (("a", "b", "--out", "page"), 2, "expected the name of a page that ends in .html"),
        (("a", "b", "--vary", "model.cell=gru,lstm"), 2, "--vary: what is shown is there"),
        (("a", "b", "--search", "3"), 2, "--search: what is shown is there already"),
        (("OUT.parent", "--out", "p.html"), 1, "compare.json: missing or damaged"),
        (("nothing", "other"), 1, "expected the folder of a run"),
        (("OUT.parent",), 1, "compare.json: missing or damaged"),
        (("OUT.parent", "--data", "DATA"), 2, "expected a task or a recipe beside such options"),
        (("classificaton", *DATA), 2, "did you mean 'classification'"),
        (("classification", *DATA, "--vary", "model.cel=gru"), 2, "did you mean 'model.cell'"),
        (("classification", *DATA, "--vary", "model.cell=gru,gru"), 2, "is there twice"),
        (("classification", *DATA, "--vary", "model.cell"), 2, "expected name=value,value"),
        (("ngram", *DATA, "--rival", "convolution"), 2, "no setting 'model.body'"),
        (("classification", *DATA, "--space", "model.cell=gru"), 2, "belongs to --search"),
        (("classification", *DATA, "--search", "3", "--seeds", "2"), 2, "chooses itself"),
        (
            ("classification", *DATA, "--hidden", "8", "--vary", "model.hidden_size=8,16"),
            2,
            "model.hidden_size is set and varied; leave one out",
        ),
        (("classification", "--data", "nothing.csv", "--out", "OUT"), 2, "no such file"),
        (("classification", *DATA, "--hiden", "8"), 2, "did you mean --hidden?"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    args: tuple[str, ...], code: int, said: str, data: Path, tmp_path: Path, runner: FakeRunner
) -> None:
    places = {"DATA": data, "OUT": tmp_path / "study", "OUT.parent": tmp_path}
    done = call(*(places.get(word, word) for word in args))
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert not runner.jobs
    assert not (tmp_path / "study").exists()


def test_one_run_alone_is_not_compared(tiny_run: Any) -> None:
    done = call(tiny_run.path)
    assert done.exit_code == 2
    assert "is a run; give a second one to compare it with" in done.stderr
    assert call(tiny_run.path, "--data", "nothing.csv").stderr == done.stderr
