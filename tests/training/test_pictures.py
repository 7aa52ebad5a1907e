"""A training leaves pictures of how it went, and never fails by them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from recurra.diagnosis.charts import curves, of_run
from recurra.errors import RunError
from recurra.training import Report, RunFolder, load_recipe, resume, train
from recurra.training.keeper import Keeper

QUICK = [
    "model.hidden_size=8",
    "model.layers=1",
    "training.symbols=2560",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=8",
]


def trained(path: Path, text: str, report: Any = lambda told: None) -> Any:
    return train(load_recipe("language-model", QUICK), [text], path, report)


def test_a_finished_run_has_its_curve(tiny_run: Any) -> None:
    drawn = (tiny_run.path / "curve.svg").read_text(encoding="utf-8")
    for row in tiny_run.trained.evaluations:
        assert f"{row.name}, test: {row.loss:.4g}" in drawn
    assert tiny_run.trained.verdict.split(" (")[0] in drawn
    assert f"kept: step {int((tiny_run.path / 'best').read_text()):,}" in drawn
    assert drawn == curves.curve(tiny_run.path).svg()  # from the folder alone
    assert not (tiny_run.path / "confusion.svg").exists()


def test_an_interrupted_run_has_one_of_what_there_is(text: str, tmp_path: Path) -> None:
    def report(told: Report) -> None:
        if told.progress is not None and told.progress.step == 21:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    assert trained(run, text, report).interrupted
    first = (run / "curve.svg").read_text()
    assert "validation" in first
    assert "test:" not in first
    resume(run, [text])
    assert "test:" in (run / "curve.svg").read_text()


def test_interrupted_before_there_is_anything_to_see(text: str, tmp_path: Path) -> None:
    said = []

    def report(told: Report) -> None:
        said.append(told.message)
        if told.progress is not None and told.progress.step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    assert trained(tmp_path / "run", text, report).interrupted
    assert not (tmp_path / "run" / "curve.svg").exists()
    assert not any("picture" in each for each in said if each)


def test_a_training_that_came_apart_is_drawn(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(keeper: Keeper, done: Any) -> None:
        if done.step > 20:
            raise RunError("weights are no longer finite")

    monkeypatch.setattr(Keeper, "_check_weights", check)
    with pytest.raises(RunError, match="no longer finite"):
        trained(tmp_path / "run", text)
    assert "validation" in (tmp_path / "run" / "curve.svg").read_text()


def test_without_the_library_a_training_goes_on_and_says_it_once(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    told: list[Report] = []
    done = trained(tmp_path / "run", text, told.append)
    assert done.verdict
    assert not list((tmp_path / "run").glob("*.svg"))
    (said,) = [each.message for each in told if each.message and "picture" in each.message]
    assert "pip install 'recurra[charts]'" in said


@pytest.mark.parametrize("problem", [RunError("no\nspace"), KeyError()])
def test_a_picture_that_fails_stops_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(run: Path) -> None:
        raise problem

    monkeypatch.setattr(of_run, "pictures", fail)
    told: list[Report] = []
    assert trained(tmp_path / "run", text, told.append).verdict
    (said,) = [each.message for each in told if each.message and "picture" in each.message]
    assert "\n" not in said
    assert said.rstrip(": ") == said  # it tells why


def test_what_was_drawn_of_another_end_goes_with_it(tiny_run: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    for name in ("curve.svg", "confusion.svg"):
        (run / name).write_text("old")
    RunFolder.open(run).rewind(10, None)
    assert not list(run.glob("*.svg"))
