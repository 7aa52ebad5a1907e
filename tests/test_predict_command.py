"""recurra predict: into files, of a table, and on from what was trained on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import recurra
from recurra.cli import app

START = np.datetime64("2024-01-01")


def call(*args: str | Path, **more: Any) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)), **more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


def table(path: Path, steps: int, promotion: bool = False) -> Path:
    """Two series by the day; perhaps with a column that is known ahead."""
    chance = np.random.default_rng(0)
    rows = ["unique_id,ds,y" + (",promotion" if promotion else "")]
    for name in ("a", "b"):
        for step in range(steps):
            on = int(chance.random() < 0.3)
            value = 10 + 3 * np.sin(step) + 5 * on * promotion + chance.standard_normal()
            rows.append(f"{name},{START + step},{value:.3f}" + (f",{on}" if promotion else ""))
    path.write_text("\n".join(rows) + "\n")
    return path


def trained(data: Path, out: Path, **settings: Any) -> Path:
    known = {"horizon": 3, "look_back": 7, "hidden_size": 4, "minimum_steps": 20, "epochs": 1}
    known |= {"evaluations": 1, "batch_size": 16}
    done = recurra.train("forecasting", data, out=out, report=lambda told: None, **known | settings)
    return Path(done.path)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("days") / "days.csv", 90)


@pytest.fixture(scope="module")
def run(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(file, tmp_path_factory.mktemp("runs") / "days")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"{word} {n}" for n in range(30) for word in ("good", "bad")]
    out = tmp_path_factory.mktemp("runs") / "classes"
    recurra.train(
        "classification", (texts, ["yes", "no"] * 30), out=out, hidden_size=4, epochs=1,
        minimum_steps=5, report=lambda told: None,
    )  # fmt: skip
    return out


def test_without_a_file_a_forecaster_goes_on(run: Path, file: Path) -> None:
    done = call("predict", run)
    assert done.exit_code == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [
        [name, str(START + 90 + step)] for name in "ab" for step in range(3)
    ]
    assert done.stdout == call("predict", run, file).stdout
    assert done.stdout == call("predict", run, "--data", file).stdout
    assert done.stdout == call("predict", run, "-", input=f"{file}\n").stdout


def test_forecasts_are_written_as_a_table(run: Path, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecast.csv"
    done = call("predict", run, "--data", file, "--out", out, "--level", 80, "--level", 95)
    assert done.stdout == f"{out}\n", done.stderr
    with open(out) as opened:
        rows = list(csv.DictReader(opened))
    assert [*rows[0]] == ["unique_id", "ds", "cutoff", "gru", "gru-lo-80", "gru-hi-80",
                          "gru-lo-95", "gru-hi-95"]  # fmt: skip
    assert [row["ds"] for row in rows[:3]] == [str(START + 90 + step) for step in range(3)]
    for row in rows:
        low, near, far = (float(row[f"gru-{name}"]) for name in ("lo-95", "lo-80", "hi-95"))
        assert low < near < far
    tabs = tmp_path / "forecast.tsv"
    assert call("predict", run, "--out", tabs).exit_code == 0
    assert tabs.read_text().splitlines()[0].split("\t")[:3] == ["unique_id", "ds", "cutoff"]


def test_what_is_known_ahead_is_given_as_a_table(tmp_path: Path) -> None:
    data = table(tmp_path / "shop.csv", 60, promotion=True)
    run = trained(data, tmp_path / "run", known=["promotion"])
    done = call("predict", run)
    assert done.exit_code == 2
    assert "promotion" in done.stderr
    days = [f"{name},{START + 60 + n},{{}}" for name in "ab" for n in range(3)]
    said = []
    for on in (0, 1):
        future = tmp_path / f"future-{on}.csv"
        told = "\n".join(["unique_id,ds,promotion", *(day.format(on) for day in days)])
        future.write_text(told + "\n")
        done = call("predict", run, "--future", future, "--level", 50)
        assert done.exit_code == 0, done.stderr
        said.append(done.stdout)
        drawn = call("chart", run, "--forecast", "--data", data, "--future", future)
        assert drawn.exit_code == 0, drawn.stderr
    assert said[0] != said[1]
    assert len(said[0].splitlines()) == 6


def test_answers_of_any_task_are_written(classes: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("good 1\nbad ö\n")
    printed = call("predict", classes, lines)
    assert printed.stdout == call("predict", classes, "--data", lines).stdout
    for ending, option in ((".txt", ()), (".tsv", ()), (".jsonl", ("--json",))):
        out = tmp_path / f"answers{ending}"
        done = call("predict", classes, "--data", lines, "--out", out, "--top", 2)
        assert done.stdout == f"{out}\n", done.stderr
        assert out.read_text() == call("predict", classes, lines, "--top", 2, *option).stdout
    assert json.loads(out.read_text().splitlines()[0])["ranked"][1]
    (out := tmp_path / "said.txt").write_text("before\n")
    assert call("predict", classes, "--text", "good", "--out", out).exit_code == 0
    assert len(out.read_text().splitlines()) == 1


def test_what_was_there_stays_if_something_cannot_be_read(run: Path, tmp_path: Path) -> None:
    out, odd = tmp_path / "forecast.csv", tmp_path / "odd.csv"
    out.write_text("before\n")
    odd.write_text("unique_id,ds,y\na,2024-01-01,x\n")
    done = call("predict", run, "--data", odd, "--out", out)
    assert done.exit_code == 2
    assert "odd.csv" in done.stderr
    assert out.read_text() == "before\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["forecast.csv", "odd.csv"]


def test_what_cannot_be_is_told_in_a_sentence(
    run: Path, classes: Path, file: Path, tmp_path: Path
) -> None:
    for args, said in (
        ((run, file, "--data", file), "expected a file or --text, got FILE and --data"),
        ((run, "--data", file, "--text", "a"), "got --data and --text"),
        ((run, "--out", tmp_path / "a.json"), ".csv, .tsv or .parquet, got 'a.json'"),
        ((classes, "--text=a", "--out", tmp_path / "a.csv"), ".txt, .tsv or .jsonl, got 'a.csv'"),
        ((run, "--out", tmp_path / "no" / "a.csv"), "there is no folder"),
        ((run, "--out", tmp_path / "a.csv", "--json"), "leave --json out"),
        ((run, "--out", tmp_path / "a.csv", "--top", 2), "leave --top out"),
        ((run, file, "--surprise", "--out", tmp_path / "a.csv"), "leave --out out"),
        ((run, file, "--surprise", "--level", 90), "--level is of forecasts"),
        ((run, "--text", file, "--out", tmp_path / "a.csv"), "give it with --data"),
        ((run, "--level", 100), "percents between 0 and 100"),
        ((run, "--future", file), "nothing that is known ahead"),
        ((classes, "--text=a", "--level", 80), "takes no --level"),
        ((classes, "--text=a", "--future", file), "takes no --future"),
        ((classes, "--data", tmp_path), "is a folder; give its files one after another"),
    ):
        done = call("predict", *args)
        assert done.exit_code == 2, (args, done.stderr, done.stdout)
        assert said in done.stderr, (args, done.stderr)
        assert done.stdout == ""
    assert not any(tmp_path.iterdir())
