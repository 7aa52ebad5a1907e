"""predict --surprise and chart --surprise: from files to lines, JSON and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import recurra
from recurra.cli import app
from recurra.diagnosis import surprise
from recurra.surprises import Surprise


def call(*args: str | Path, **more: Any) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)), **more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of a sine with time stamps, a value that is missing, and one that is odd."""
    file = tmp_path_factory.mktemp("series") / "sensor.csv"
    chance, rows = np.random.default_rng(0), ["time,x"]
    begin = np.datetime64("2024-01-01T00:00")
    for minute in range(1200):
        value = np.sin(minute / 4) + 0.1 * chance.standard_normal()
        shown = "" if minute == 30 else f"{value + 9 * (minute == 40):.4f}"
        rows.append(f"{begin + minute},{shown}")
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture(scope="module")
def run(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sensor"
    done = call(
        "train", "forecasting", "--data", series, "--out", folder, "--hidden", 8, "--epochs", 20
    )
    assert done.exit_code == 0, done.stderr
    assert "MASE" in done.stdout
    assert f"predict {folder}" in done.stdout
    return folder


def test_a_line_for_each_step(run: Path, series: Path) -> None:
    done = call("predict", run, series, "--surprise")
    assert done.exit_code == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 1200
    assert rows[0][:3] == ["1", "0", "2024-01-01 00:00:00"]
    assert rows[30][3:] == ["-", ""]
    assert rows[40][4] == "!"
    flagged = sum(row[4] == "!" for row in rows)
    assert flagged < 120
    assert f"{flagged} of 1,200 steps" in done.stderr
    more = call("predict", run, series, "--surprise", "--false-alarms", 0.5)
    assert more.stdout.count("!") > 300


def test_an_object_for_each_input(run: Path, series: Path) -> None:
    done = call("predict", run, series, "--surprise", "--json")
    (told,) = map(json.loads, done.stdout.splitlines())
    (found,) = recurra.load(run).surprise(series)  # type: ignore[arg-type]
    assert told["nats"] == [None if np.isnan(n) else n for n in found.nats.tolist()]
    assert told["flagged"] == found.flagged.tolist()
    assert told["steps"][1] == "2024-01-01 00:01:00"
    assert told["input"].startswith(str(series))
    lines = call("predict", run, "--surprise", "--json", input=f"{series}\n")
    assert json.loads(lines.stdout)["nats"] == told["nats"]


def test_the_next_value(run: Path, series: Path) -> None:
    stamp, *numbers = call("predict", run, series).stdout.rstrip("\n").split("\t")
    mean, low, high = map(float, numbers)
    (found,) = recurra.load(run).predict(series)  # type: ignore[arg-type]
    assert stamp == "2024-01-01 20:00:00"
    assert mean == pytest.approx(found.mean.item(), rel=1e-4)
    assert [low, high] == pytest.approx([end.item() for end in found.intervals[80]], rel=1e-4)
    assert low < mean < high < low + 2
    told = json.loads(call("predict", run, series, "--json").stdout)
    assert told["after"] == "2024-01-01 19:59:00"
    (step,) = told["forecast"]
    assert step["step"] == stamp
    assert step["x"] == {
        "mean": found.mean.item(),
        "deviation": found.deviation.item(),
        "lo-80": found.intervals[80][0].item(),
        "hi-80": found.intervals[80][1].item(),
    }


def test_symbols(tiny_run: Any, tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("to be\nzq\n")
    done = call("predict", tiny_run.path, file, "--surprise", "--false-alarms", 0.1)
    assert done.exit_code == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1"] * 6 + ["2"] * 3
    assert [row[2] for row in rows[:2]] == ["t", "o"]
    assert any(row[4] == "!" for row in rows[6:])


def test_a_symbol_that_is_unknown_is_named_and_marked(tiny_run: Any, tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("to ß\n")
    done = call("predict", tiny_run.path, file, "--surprise")
    assert done.exit_code == 0, done.stderr
    assert [line.split("\t")[2] for line in done.stdout.splitlines()][:4] == [
        "t",
        "o",
        " ",
        "ß <unk>",
    ]
    told = json.loads(call("predict", tiny_run.path, file, "--surprise", "--json").stdout)
    assert told["steps"][3] == "ß <unk>"
    assert told["steps"][0] == "t"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--surprise", "--top", 2), "leave --top out"),
        (("--false-alarms", 0.1), "--false-alarms is of --surprise"),
        (("--surprise", "--false-alarms", 1.5), "a share between 0 and 1, got 1.5"),
    ],
)
def test_wrong_use(run: Path, series: Path, args: tuple[Any, ...], said: str) -> None:
    done = call("predict", run, series, *args)
    assert done.exit_code == 2
    assert said in done.stderr


def test_bad_data(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    for text, said in (
        ("time,y\n1,2\n", "'x'"),
        ("time,x\n1,abc\n", "expected a number, got 'abc'"),
        ("time,x\n1,1e999\n", "finite number"),
        ("time,x\n2,1\n1,1\n", "ascend"),
    ):
        file.write_text(text)
        done = call("predict", run, file, "--surprise")
        assert done.exit_code != 0
        assert said in done.stderr


def test_a_picture(run: Path, series: Path, tmp_path: Path, tiny_run: Any) -> None:
    out = tmp_path / "odd.svg"
    done = call("chart", run, "--surprise", series, "--out", out)
    assert done.exit_code == 0, done.stderr
    drawn = out.read_text()
    for part in (
        "Surprise:",
        "threshold",
        "surprise, nats",
        "from 2024-01-01 00:00:00 to",
        "00:40",
    ):
        assert part in drawn
    lines = tmp_path / "lines.txt"
    lines.write_text("to be or\n")
    letters = tmp_path / "letters.svg"
    assert call("chart", tiny_run.path, "--surprise", lines, "--out", letters).exit_code == 0
    assert "symbol" in letters.read_text()
    both = call("chart", run, "--surprise", series, "--confusion")
    assert (both.exit_code, "got both" in both.stderr) == (2, True)
    alone = call("chart", run, "--false-alarms", 0.1)
    assert (alone.exit_code, "--false-alarms is of" in alone.stderr) == (2, True)


@pytest.mark.parametrize("steps", [0, 1, 5000])
def test_pictures_of_odd_inputs(steps: int) -> None:
    nats = np.full(steps, 1.0)
    nats[::2] = np.nan
    values = np.full((steps, 9), 2.0)
    names = tuple(f"channel {number}" for number in range(9))
    many = surprise(Surprise(None, nats, 0.5, values=values, channels=names))
    assert "value of 6 of 9 channels" in json.dumps(many.description) or not steps
    for chart in (many, surprise(Surprise("a" * 500, nats))):
        assert chart.svg().startswith("<svg")
