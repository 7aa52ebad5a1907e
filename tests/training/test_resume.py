"""A training that was stopped goes on as if it had not: the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopping import stopped_at

from recurra import artifact
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.training import Report, load_recipe, resume, run_source, train

# Every draw there is: dropout between layers and inside the cell, several passes, resets.
CHANGES = [
    "model.hidden_size=12",
    "model.dropout=0.3",
    "model.cell_settings={recurrent_dropout=0.2}",
    "training.symbols=12000",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=5",
]
STEPS = 188


@pytest.fixture(scope="module")
def texts(text: str) -> list[str]:
    """Several documents, so that states are reset on the way."""
    return [text[at : at + 700] for at in range(0, len(text), 700)]


@pytest.fixture(scope="module")
def whole(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    path = tmp_path_factory.mktemp("whole") / "run"
    done = train(load_recipe("language-model", CHANGES), texts, path)
    assert not done.interrupted
    return path


def left_by(run: Path) -> dict[str, Any]:
    """All that a run leaves but its times."""
    folder = artifact.resolve(run, "last")
    facts = json.loads((folder / "training.json").read_bytes())
    log = [line.split(",") for line in (run / "log.csv").read_text().splitlines()]
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "training": (folder / "training.safetensors").read_bytes(),
        "facts": {
            name: facts[name]
            for name in (
                "step",
                "symbols",
                "clipped",
                "best",
                "chosen",
                "since",
                "losses",
                "values",
            )
        },
        "log": [line[:2] + line[3:-1] for line in log],
        "best": (run / "best").read_text(),
        "last": (run / "last").read_text(),
        "summary": (run / "summary.json").read_bytes(),
    }


@pytest.mark.parametrize("steps", [[1], [37], [38, 40], [60, 100, 180], [STEPS - 1]])
def test_stopped_and_gone_on(
    steps: list[int], texts: list[str], whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = train(load_recipe("language-model", CHANGES), texts, run, stopped_at(steps[0]))
    assert done.interrupted
    for step in steps[1:]:
        assert resume(run, texts, stopped_at(step)).interrupted
    assert not resume(run, texts).interrupted
    assert left_by(run) == left_by(whole)


OTHERS = {
    "documents": ["data.batches=documents", "data.split=tails"],
    "words": ["data.vocabulary=words", "data.breaks=lines", "training.symbols=3000"],
    "several batches": ["training.accumulate=3", "training.optimizer=rmsprop"],
    "averaged": ["training.average=0.9", "training.precision=bfloat16"],
    "nothing to choose by": ["data.validation=false"],
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_trainings_go_on(kind: str, texts: list[str], tmp_path: Path) -> None:
    recipe = load_recipe("language-model", [*CHANGES, *OTHERS[kind]])
    whole, run = tmp_path / "whole", tmp_path / "run"
    told: list[Report] = []
    train(recipe, texts, whole, told.append)
    steps = [report.progress.step for report in told if report.progress is not None]
    assert len(steps) >= 8
    middle = len(steps) // 2
    assert train(recipe, texts, run, stopped_at(middle)).interrupted
    assert resume(run, texts, stopped_at(middle + 2)).interrupted
    assert not resume(run, texts).interrupted
    assert left_by(run) == left_by(whole)
    assert not (run / "data").exists()


CHILD = """
import sys, json, os, random
from pathlib import Path
from recurra import files
from recurra.training import load_recipe, resume, train

out, texts, changes, die = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])
written = 0

def write(path, content, plain=files._write):
    global written
    if "checkpoints" in str(path):
        written += 1
        if written == die:  # in the middle of a file, as a power cut leaves it
            path.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), 9)
    plain(path, content)

files._write = write
if (out / "data.json").exists():
    resume(out, texts)
else:
    train(load_recipe("language-model", changes), texts, out)
"""


def child(run: Path, texts: list[str], die: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(run), *map(json.dumps, (texts, CHANGES, die))]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def test_killed_while_a_checkpoint_is_written(
    texts: list[str], whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for die in (2, 1, 4, 7):  # the first of them before any checkpoint is whole
        process = child(run, texts, die)
        assert process.wait(60) == -signal.SIGKILL
    assert child(run, texts, -1).wait(60) == 0
    assert left_by(run) == left_by(whole)


def begun_or_gone_on(run: Path, texts: list[str]) -> None:
    if (run / "data.json").exists():
        resume(run, texts)
    else:
        train(load_recipe("language-model", CHANGES), texts, run)


def test_ended_before_a_pointer_is_replaced(
    texts: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between the checkpoint and its pointers, or between the two of them.
    run, plain = tmp_path / "run", os.replace
    for name, number in (("last", 1), ("best", 1), ("last", 2), ("best", 2), ("best", 1)):
        seen = 0

        def replace(source: Path, target: Path, name: str = name, number: int = number) -> None:
            nonlocal seen
            seen += target.name == name
            if target.name == name and seen == number:
                raise KeyboardInterrupt
            plain(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(KeyboardInterrupt):
                begun_or_gone_on(run, texts)
    assert not resume(run, texts).interrupted
    assert left_by(run) == left_by(whole)


def test_what_came_after_the_last_checkpoint_is_taken_back(half: Path, texts: list[str]) -> None:
    # As a kill leaves it: a later checkpoint that no pointer names, or which is the best already.
    last = (half / "last").read_text().strip()
    best = json.loads((half / "checkpoints" / last / "training.json").read_text())["chosen"]
    folders = half / "checkpoints"
    shutil.copytree(folders / last, folders / "000999")
    (folders / ".000777.partial").mkdir()
    (half / "best").write_text("000999\n")
    with open(half / "log.csv", "a") as log:
        log.write("999,1,2,3,4,5,6,7,8\n")
        log.write("x,1,2,3,4,5,6,7,8\n")
    assert resume(half, texts, stopped_at(60)).interrupted
    assert (half / "best").read_text() == f"{best}\n"
    assert {path.name for path in folders.iterdir()} <= {last, best, "000061"}
    _, *lines = (half / "log.csv").read_text().splitlines()
    assert all(int(line.partition(",")[0]) <= 61 for line in lines)


def test_killed_while_ngrams_are_written(texts: list[str], whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(load_recipe("language-model", CHANGES), texts, run, stopped_at(1))
    for file in ("ngrams.json", "last", "best", "log.csv"):  # the sums come after the n-grams
        (run / file).unlink(missing_ok=True)
    resume(run, texts)
    assert left_by(run) == left_by(whole)


def test_killed_at_any_moment(texts: list[str], whole: Path, tmp_path: Path) -> None:
    run, kills = tmp_path / "run", 0
    for wait in (0.1, 0.25, 0.4):
        process = child(run, texts, -1)
        while not (run / "log.csv").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        kills += process.wait(60) == -signal.SIGKILL
    assert kills
    if not (run / "summary.json").exists():
        assert child(run, texts, -1).wait(60) == 0
    assert left_by(run) == left_by(whole)


def test_a_run_killed_before_its_first_step(texts: list[str], whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(load_recipe("language-model", CHANGES), texts, run, raising("counting"))
    assert not run.exists()


def raising(word: str) -> Callable[[Report], None]:
    def report(told: Report) -> None:
        if told.message and word in told.message:
            raise KeyboardInterrupt

    return report


@pytest.fixture
def half(texts: list[str], tmp_path: Path) -> Path:
    run = tmp_path / "half"
    train(load_recipe("language-model", CHANGES), texts, run, stopped_at(50))
    return run


def test_for_longer(half: Path, texts: list[str]) -> None:
    recipe, source = run_source(half, ["training.symbols=15000"])
    assert source is None
    done = resume(half, texts, recipe=recipe)
    assert not done.interrupted
    assert json.loads((half / "recipe.json").read_text())["training"]["symbols"] == 15000
    assert int((half / "last").read_text()) > STEPS
    with pytest.raises(RunError, match=r"is at its end \(\d+ of \d+ steps\).*--epochs"):
        resume(half, texts)


def test_other_data_is_said(half: Path, texts: list[str]) -> None:
    shutil.rmtree(half / "data", ignore_errors=True)
    for other in (texts[1:], [*texts, "x"], [texts[0] + " ", *texts[1:]], [*texts[1:], texts[0]]):
        with pytest.raises(DataError, match="these are not the data"):
            resume(half, other)
    assert not (half / "data").exists()
    assert not resume(half, texts).interrupted  # nothing was spoiled


@pytest.mark.parametrize("change", ["model.hidden_size=13", "training.seed=1", "data.scored=5"])
def test_another_recipe_is_said(half: Path, texts: list[str], change: str) -> None:
    recipe, _ = run_source(half, [change])
    with pytest.raises(SettingError, match=f"^{change.partition('=')[0]}: the run has"):
        resume(half, texts, recipe=recipe)


@pytest.mark.parametrize("name", ["training.safetensors", "training.json", "model.safetensors"])
@pytest.mark.parametrize("how", ["cut", "gone", "flipped"])
def test_a_damaged_checkpoint_is_said(half: Path, texts: list[str], name: str, how: str) -> None:
    path = artifact.resolve(half, "last") / name
    raw = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    else:
        path.write_bytes(raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:])
    with pytest.raises(ArtifactError, match=name.replace("json", "(json|safetensors)")):
        resume(half, texts)


def test_what_is_no_run(tmp_path: Path, texts: list[str]) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="expected the folder of a run"):
            resume(path, texts)
