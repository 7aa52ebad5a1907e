"""A forecaster that was stopped goes on as if it had not, in any number of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stopping import stopped_at
from tasks.forecasting.conftest import waves

from recurra import artifact
from recurra.tasks.base import task_by_name
from recurra.training import Report, load_recipe, resume, train

CHANGES = [
    "data.horizon=3", "data.look_back=8", "data.split=time", "model.hidden_size=6",
    "training.epochs=3", "training.minimum_steps=0", "training.evaluations=4",
    "training.batch_size=7",
]  # fmt: skip
KINDS = {
    "rows": ["model.dropout=0.2"],
    "rows of several origins": ["data.origins=3", "data.patch=2"],
    "step by step": ["model.decoding=autoregressive"],
    "its own answers": ["model.decoding=autoregressive", "model.distribution=squared"],
    "carried": ["data.look_back=all", "training.window=16"],
}
SCRIPT = """
import sys, numpy
from recurra.training import load_recipe, resume, train
from recurra.training.processes import processes

assert processes().world_size == 2
mode, out, file, *changes = sys.argv[1:]
held = numpy.load(file, allow_pickle=False)
data = [held[name] for name in sorted(held)]
if mode == "resume":
    resume(out, data, lambda told: None)
else:
    train(load_recipe("forecasting", changes), data, out, lambda told: None)
"""


def series() -> list[np.ndarray]:
    return [waves(60 + 7 * number, seed=number) for number in range(3)]


def quiet(told: Report) -> None:
    pass


def left_by(run: Path) -> dict[str, Any]:
    folder = artifact.resolve(run, "last")
    kept = ("model.safetensors", "training.safetensors")
    return {name: (folder / name).read_bytes() for name in kept} | {
        "best": (run / "best").read_text(),
        "summary": (run / "summary.json").read_bytes(),
        "history": (run / "history.safetensors").read_bytes(),
        "rivals": (run / "rivals.safetensors").read_bytes(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_gone_on(kind: str, tmp_path: Path) -> None:
    recipe = load_recipe("forecasting", [*CHANGES, *KINDS[kind]])
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert not train(recipe, series(), whole, quiet).interrupted
    last = int((whole / "last").read_text())
    assert last >= 6
    assert train(recipe, series(), run, stopped_at(last // 3)).interrupted
    assert resume(run, series(), stopped_at(last // 3 + 2)).interrupted
    assert not resume(run, series(), quiet).interrupted
    assert left_by(run) == left_by(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_the_sum_of_its_rows(kind: str, tmp_path: Path) -> None:
    """As several processes have it."""
    recipe = load_recipe("forecasting", [*CHANGES, *KINDS[kind], "model.dropout=0.0"])
    task = task_by_name("forecasting")
    prepared = task.prepare(series(), recipe.data, tmp_path, print)
    model = task.build(recipe.model, prepared.fronts).eval()
    batch = prepared.parts["training"].batches(rows=7, window=16, seed=0).batch(0)
    with torch.no_grad():
        whole = model(batch)
        rows = batch.targets.shape[1]
        assert rows > 2
        parts = [
            model(batch.part(lambda count, a=a, b=b: slice(a, b)))
            for a, b in ((0, 2), (2, 3), (3, rows))
        ]
    assert sum(part.count for part in parts) == whole.count > 0
    assert float(sum(part.total for part in parts)) == pytest.approx(float(whole.total), rel=1e-4)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    changes = [*CHANGES, "training.optimizer=sgd", "training.learning_rate=0.01"]
    whole, run, file = tmp_path / "whole", tmp_path / "run", tmp_path / "data.npz"
    train(load_recipe("forecasting", changes), series(), whole, quiet)
    np.savez(file, *series())
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes=2", "--num_machines=1", "--mixed_precision=no"]
    command += ["--dynamo_backend=no", "--main_process_port=0", str(script), "train"]
    done = subprocess.run(
        [*command, str(run), str(file), *changes],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = dict(artifact.load(whole, which="last").model.named_parameters())
    for name, value in artifact.load(run, which="last").model.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    assert (run / "history.safetensors").read_bytes() == (
        whole / "history.safetensors"
    ).read_bytes()
