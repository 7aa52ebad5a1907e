"""A run goes on in any number of processes: no row is lost, none is read twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra import artifact
from recurra.training import load_recipe, resume, train

pytest.importorskip("accelerate")

CHANGES = [
    "model.hidden_size=6",
    "model.dropout=0.0",
    "training.batch_size=7",
    "training.epochs=4",
    "training.minimum_steps=0",
    "training.evaluations=8",
    "training.optimizer=sgd",  # by which a gradient of another size leads elsewhere
    "training.learning_rate=0.1",
    "data.rival_examples=0",
]
SCRIPT = """
import os, sys, numpy
from recurra.training import load_recipe, resume, train
from recurra.training.processes import processes

assert processes().world_size == int(sys.argv[1])
mode, out, file, die, *changes = sys.argv[2:]
held = numpy.load(file, allow_pickle=False)
cases = numpy.split(held["steps"], held["ends"][:-1])

def report(told):
    if told.progress is not None and told.progress.step == int(die):
        os.kill(os.getpid(), 9)

data = (cases, held["labels"].tolist())
if mode == "resume":
    resume(out, data, report)
else:
    train(load_recipe("classification", changes), data, out, report)
"""


@pytest.fixture
def data(tmp_path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Series of any lengths, of which the speed decides."""
    draw = np.random.default_rng(0)
    cases, labels = [], []
    for number in range(90):
        speed, steps = (0.3, 1.0, 2.0)[number % 3], int(draw.integers(3, 15))
        wave = np.sin(speed * np.arange(steps) + draw.uniform(0, 6))
        cases.append(np.stack([wave, draw.standard_normal(steps)], 1).astype(np.float32))
        labels.append(f"class {number % 3}")
    ends = np.cumsum([len(case) for case in cases])
    np.savez(tmp_path / "data.npz", steps=np.concatenate(cases), ends=ends, labels=labels)
    return cases, labels


def launch(count: int, mode: str, run: Path, die: int) -> int:
    """The exit status of so many processes on this machine, which may kill themselves."""
    script = run.parent / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += [f"--num_processes={count}", "--num_machines=1", "--mixed_precision=no"]
    command += ["--dynamo_backend=no", "--main_process_port=0", str(script), str(count), mode]
    done = subprocess.run(
        [*command, str(run), str(run.parent / "data.npz"), str(die), *CHANGES],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0 or die > 0, done.stderr[-3000:]
    return done.returncode


def test_two_processes_then_one_then_three(
    data: tuple[list[np.ndarray], list[str]], tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(load_recipe("classification", CHANGES), data, whole)
    assert launch(2, "train", run, 15)  # killed
    assert not (run / "summary.json").exists()
    assert 0 < int((run / "last").read_text()) < 15

    def stop(told) -> None:
        if told.progress is not None and told.progress.step == 25:
            os.kill(os.getpid(), signal.SIGINT)

    assert resume(run, data, stop).interrupted
    launch(3, "resume", run, 0)
    expected = dict(artifact.load(whole, which="last").model.named_parameters())
    for name, value in artifact.load(run, which="last").model.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    logs = [(folder / "log.csv").read_text().splitlines() for folder in (whole, run)]
    assert [line.split(",")[:2] for line in logs[0]] == [line.split(",")[:2] for line in logs[1]]
