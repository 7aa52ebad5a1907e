"""Files of a run that are cut off, or tell something else: an error that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recurra.diagnosis import gradients, pictures, watched
from recurra.errors import ArtifactError, RecurraError, RunError
from recurra.models import Classifier, ClassifierConfig
from recurra.training import about, list_runs
from recurra.training.monitors import Monitors

MONITORED = (
    "step,measure,place,value\n150,gradient,encoder.layer,0.5\n300,gradient,encoder.layer,0.4\n"
)


@pytest.fixture
def run(tiny_run: Any, tmp_path: Path) -> Path:
    """A copy of a finished run, with what monitors wrote."""
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    (path / "monitors.csv").write_text(MONITORED)
    return path


def damaged(raw: bytes) -> Iterator[bytes]:
    """Cut off, of another kind, and with each of its keys missing or telling nothing."""
    yield from (b"", raw[: len(raw) // 2], b"\xff\xfe\x00", b"[]", b"3", b"null", b"{}")
    told = json.loads(raw)
    for key in told:
        yield json.dumps({name: value for name, value in told.items() if name != key}).encode()
        for other in ("x", None, [3], {"a": []}):
            yield json.dumps({**told, key: other}).encode()


def files(run: Path) -> list[Path]:
    last = run / "checkpoints" / (run / "last").read_text().strip()
    return [run / "summary.json", run / "data.json", last / "training.json"]


@pytest.mark.parametrize("number", range(3))
def test_whatever_a_file_says_no_other_error_comes(run: Path, number: int) -> None:
    file = files(run)[number]
    raw, told = file.read_bytes(), []
    for other in damaged(raw):
        file.write_bytes(other)
        for door in (lambda: str(about(run)), lambda: pictures(run), lambda: list_runs(run.parent)):
            try:
                door()
            except RecurraError as problem:
                told.append(str(problem))
    assert len(told) > 5
    assert all(file.name in each for each in told)


def test_what_is_cut_off_is_told_by_each_door(run: Path) -> None:
    summary = run / "summary.json"
    summary.write_bytes(summary.read_bytes()[:40])
    with pytest.raises(RunError, match=r"summary\.json: damaged"):
        pictures(run)
    with pytest.raises(ArtifactError, match=r"summary\.json: .*damaged"):
        about(run)


def test_monitors_that_are_cut_off(run: Path) -> None:
    assert watched(run)["gradient"]["encoder.layer"] == {150: 0.5, 300: 0.4}
    file = run / "monitors.csv"
    for text, words in (
        (MONITORED[:-20], "line 3: damaged"),
        ("", "its first line should be"),
        (MONITORED.partition("\n")[2], "its first line should be"),
        (MONITORED.partition("\n")[0], "no report yet"),
    ):
        file.write_text(text)
        with pytest.raises(RunError, match=rf"monitors\.csv.*{words}"):
            gradients(run)


@pytest.mark.parametrize("key", ["steps", "clipped", "said", "sums"])
def test_what_monitors_kept_is_held_against_the_model(key: str) -> None:
    """As resuming reads it, which names the file of any ValueError."""
    told = {"vocabulary_size": 9, "classes": 3, "hidden_size": 4}
    monitors = Monitors(Classifier(ClassifierConfig(**told)))
    facts = monitors.state() | {"sums": {"gradient": [1.0]}}
    with pytest.raises(ValueError, match="damaged"):
        monitors.load(facts)
    whole = {name: [0.0] * 99 for name in ("gradient", "weight", "update")}
    with pytest.raises(ValueError, match="of another model"):
        monitors.load(facts | {"sums": whole})
    for facts in (
        {n: v for n, v in monitors.state().items() if n != key},
        {},
        [],
        None,
        {key: None},
    ):
        with pytest.raises(ValueError, match="damaged"):
            monitors.load(facts)
