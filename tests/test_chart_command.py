"""recurra chart: from a run's folder to a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

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
