"""recurra chart: from a run's folder to a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import recurra
from recurra.cli import app


def call(*args: str | Path) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


@pytest.fixture
def run(tiny_run: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.path, folder)
    (folder / "curve.svg").unlink()
    return folder


def test_it_is_written_into_the_run(run: Path, tiny_run: Any) -> None:
    done = call("chart", run)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{run / 'curve.svg'}\n"
    names = [(path / "curve.svg").read_text() for path in (run, tiny_run.path)]
    assert names[0].replace("run: loss", "tiny: loss") == names[1]


def test_it_is_written_elsewhere(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert call("chart", run, "--out", out).stdout == f"{out}\n"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert not (run / "curve.svg").exists()


def test_the_classes_of_a_run(run: Path, tmp_path: Path) -> None:
    done = call("chart", run, "--confusion")
    assert done.exit_code == 2
    assert "has no table of them" in done.stderr
    told = json.loads((run / "summary.json").read_text())
    told["evaluations"][0] |= {"confusion": [[1, 2], [3, 4]], "classes": ["bad", "good"]}
    (run / "summary.json").write_text(json.dumps(told))
    assert call("chart", run, "--confusion").exit_code == 0
    assert "good" in (run / "confusion.svg").read_text()


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(0)
    values = np.sin(np.arange(200)[:, None] / [3, 5]) + 0.1 * chance.standard_normal((200, 2))
    out = tmp_path_factory.mktemp("runs") / "waves"
    sizes = {"horizon": 4, "look_back": 8, "hidden_size": 4, "epochs": 1, "minimum_steps": 20}
    recurra.train("forecasting", values, out=out, report=lambda told: None, **sizes)
    return out


def test_the_pictures_of_a_forecaster(forecaster: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in forecaster.glob("*.svg")) == ["curve.svg", "forecast.svg"]
    trained = (forecaster / "forecast.svg").read_text()
    for name in ("forecast", "errors", "coverage", "residuals"):
        done = call("chart", forecaster, f"--{name}")
        assert done.stdout == f"{forecaster / name}.svg\n", done.stderr
        assert (forecaster / f"{name}.svg").read_text().startswith("<svg")
    assert (forecaster / "forecast.svg").read_text() == trained  # from the folder alone


def test_a_forecast_of_one_channel_and_of_other_data(forecaster: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "a.svg", tmp_path / "new.csv"
    done = call("chart", forecaster, "--forecast", "--series", "1", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "waves: forecast of 4 steps, and what came (0 · 1)" in out.read_text()
    data.write_text("\n".join(["0,1", *(f"{n / 50},{n / 60}" for n in range(30))]) + "\n")
    done = call("chart", forecaster, "--forecast", "--data", data, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "what came" not in out.read_text()
    assert "forecast of 4 steps" in out.read_text()


def test_what_a_run_has_no_picture_of(run: Path, forecaster: Path) -> None:
    for args, code, said in (
        ((run, "--forecast"), 2, "is of a finished run of a forecaster"),
        ((run, "--errors"), 2, "nothing of that in summary.json"),
        ((run, "--forecast", "--series", "a"), 2, "is a language-model model"),
        ((forecaster, "--confusion"), 2, "tells classes apart"),
        ((forecaster, "--forecast", "--errors"), 2, "--forecast or --errors, got both"),
        ((forecaster, "--series", "1"), 2, "--series is of --forecast"),
        ((forecaster, "--errors", "--data", run), 2, "--data is of --forecast"),
        ((forecaster, "--forecast", "--future", run), 2, "--future is of --data"),
        ((forecaster, "--forecast", "--series", "2"), 2, "expected a series or a channel"),
        ((forecaster, "--false-alarms", "0.1"), 2, "--false-alarms is of --surprise"),
    ):
        done = call("chart", *args)
        assert done.exit_code == code, (args, done.stderr)
        assert said in done.stderr, (args, done.stderr)
        assert done.stdout == ""


def test_what_cannot_be_is_told_in_a_sentence(run: Path, tmp_path: Path) -> None:
    for args, code, said in (
        ((tmp_path,), 1, "expected the log of a run"),
        ((run / "log.csv",), 1, "log.csv"),
        ((run, "--out", tmp_path / "a.pdf"), 2, ".svg, .png or .html"),
        ((run, "--out", tmp_path / "nowhere" / "a.svg"), 1, "cannot be written"),
    ):
        done = call("chart", *args)
        assert done.exit_code == code, (args, done.stderr)
        assert said in done.stderr
        assert done.stdout == ""
