"""Real processes: what they are handed, tell, and do when they are stopped or killed."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from comparison.fakes import TEXTS

import recurra
from recurra.comparison.conduct import modules_for
from recurra.comparison.runner import Job, Outcome, ProcessRunner, Told, packed
from recurra.errors import SettingError
from recurra.training import load_recipe

WAIT = 60  # seconds after which a process that does not answer has failed
CHANGES = ["model.hidden_size=4", "data.rival_examples=1"]


def job(path: Path, *changes: str, source: Any = TEXTS, imports: tuple[str, ...] = ()) -> Job:
    recipe = load_recipe("classification", [*CHANGES, *changes])
    return Job(path.name, path, recipe.model_dump(), packed(source), imports)


def ended(futures: list[Future[Outcome]]) -> list[Outcome]:
    return [future.result(timeout=WAIT) for future in futures]


def test_a_comparison_of_a_frame_from_python(tmp_path: Path) -> None:
    """The one test that trains to the end: two runs, and what they came to."""
    out = tmp_path / "study"
    how = {"hidden_size": 4, "epochs": 1, "rival_examples": 1, "seeds": 1, "quiet": True}
    found = recurra.compare(
        "classification", TEXTS, out=out, vary={"cell": ["elman", "gru"]}, **how
    )
    assert not found.failed
    assert [run.name for run in found.runs] == ["cell-elman/seed-0", "cell-gru/seed-0"]
    for run in found.runs:
        told = json.loads((out / run.name / "summary.json").read_text())
        assert run.value == told["scores"][0]["value"]
        assert run.rivals.keys() == {row["name"] for row in told["scores"][1:]}
        assert run.data == json.loads((out / run.name / "data.json").read_text())["blake2b"]
        model = recurra.load(out / run.name).model
        assert run.parameters == sum(p.numel() for p in model.parameters())
    alone = recurra.train(
        "classification",
        TEXTS,
        out=tmp_path / "alone",
        report=lambda report: None,
        **{name: how[name] for name in ("hidden_size", "epochs", "rival_examples")},
    )
    assert alone.evaluations[0].loss == pytest.approx(found.runs[1].loss, rel=1e-4)


def test_stopped_killed_and_wrong(tmp_path: Path) -> None:
    """Side by side: one is stopped, one loses its process, two cannot begin."""
    told: queue.SimpleQueue[tuple[str, Told]] = queue.SimpleQueue()
    long = ("training.symbols=1000000000", "training.evaluations=1000000")
    jobs = [job(tmp_path / name, *long) for name in ("stopped", "killed")]
    jobs.append(job(tmp_path / "imports", imports=("no_such_module",)))
    jobs.append(job(tmp_path / "data", source=(["a"], ["b"])))
    runner = ProcessRunner(4)
    try:
        futures = [
            runner.submit(each, lambda said, name=each.name: told.put((name, said)))
            for each in jobs
        ]
        going: set[str] = set()
        while going != {"stopped", "killed"}:
            name, said = told.get(timeout=WAIT)
            going |= {name} if said.validation is not None else set()  # a checkpoint is kept
        os.kill(runner._running["killed"].pid, signal.SIGKILL)
        runner.stop("stopped")
        stopped, killed, imports, data = ended(futures)
    finally:
        runner.close()
    assert stopped == Outcome("interrupted")
    assert (tmp_path / "stopped" / "last").exists()
    assert not (tmp_path / "stopped" / "summary.json").exists()
    assert killed.state == "failed"
    assert "ended by signal 9" in killed.reason
    assert imports.state == "failed"
    assert "--import no_such_module" in imports.reason
    assert data.state == "failed"
    assert data.reason.startswith("data: expected examples in every part")
    assert not (tmp_path / "data").exists()


def test_what_has_not_begun_does_not_begin(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(ProcessRunner, "_start", lambda *_: pytest.fail("it began"))
    runner = ProcessRunner(1)
    runner.stop()
    assert ended([runner.submit(job(tmp_path / "a"), print)]) == [Outcome("interrupted")]
    runner.close()


def test_a_process_that_breaks_says_what_it_said_last(tmp_path: Path, monkeypatch: Any) -> None:
    """Not one of ours: what starts is a Python that fails."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho one >&2; echo 'the last line' >&2; exit 3\n")
    (tmp_path / "python").chmod(0o755)
    runner = ProcessRunner(1)
    (found,) = ended([runner.submit(job(tmp_path / "a"), lambda told: None)])
    runner.close()
    assert found == Outcome("failed", "its process ended (3): the last line")


def test_the_parent_is_gone(tmp_path: Path) -> None:
    """A process whose parent was killed finds its standard input closed: it keeps all, and ends."""
    code = f"""
import os, signal
from pathlib import Path
from comparison.test_runner import job
from recurra.comparison.runner import ProcessRunner
runner = ProcessRunner(1)
def tell(told):
    if told.validation is not None:
        print(runner._running["run"].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
long = ("training.symbols=1000000000", "training.evaluations=1000000")
runner.submit(job(Path({str(tmp_path / "run")!r}), *long), tell).result()
"""
    reader, writer = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=writer,
        timeout=WAIT,
    )
    os.close(writer)
    assert done.returncode == -signal.SIGKILL
    with open(reader) as lines:
        pid = int(lines.readline())
    if hasattr(os, "pidfd_open"):
        try:
            waited = os.pidfd_open(pid)
        except ProcessLookupError:
            pass  # it has ended already
        else:
            assert select.select([waited], [], [], WAIT)[0], "it goes on without its parent"
            os.close(waited)
    step = json.loads(
        (tmp_path / "run" / "checkpoints" / last(tmp_path / "run") / "training.json").read_text()
    )
    assert step["step"] >= 1


def last(run: Path) -> str:
    return (run / "last").read_text().strip()


def test_modules_are_those_given(tmp_path: Path) -> None:
    recipe = load_recipe("classification")
    assert modules_for([recipe], None) == ()
    assert modules_for([recipe], ["a.py"]) == ("a.py",)


def test_what_cannot_be_pickled() -> None:
    with pytest.raises(SettingError, match=r"paths, lists, frames\), got function"):
        packed(lambda: 1)
