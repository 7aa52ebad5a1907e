"""Several processes train as one does on all rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recurra import PaddedSequence, artifact
from recurra.sequences import Batch, Tokens
from recurra.training import load_recipe, train_language_model
from recurra.training.processes import Processes

pytest.importorskip("accelerate")

CHANGES = [
    "model.hidden_size=12",
    "model.dropout=0.0",
    "training.symbols=6000",
    "training.window=16",
    "training.evaluations=3",
    "data.conditions=['first_letter']",
]
KINDS = {
    "windows": ["training.batch_size=3"],  # uneven: one row and two
    "documents": ["data.batches=documents", "data.split=hash", "training.batch_size=5"],
    "accumulated": ["training.batch_size=3", "training.accumulate=2", "training.average=0.9"],
}
SCRIPT = """
import sys
from pathlib import Path
from recurra.training import load_recipe, resume_language_model, train_language_model
from recurra.training.processes import processes
assert processes().world_size == 2
mode, out, text, *changes = sys.argv[1:]
texts = Path(text).read_text().split("---")
if mode == "resume":
    done = resume_language_model(out, texts, recipe=load_recipe("language-model", changes))
else:
    done = train_language_model(load_recipe("language-model", changes), texts, out)
"""


def launch(mode: str, out: Path, texts: list[str], changes: list[str], folder: Path) -> None:
    """Two processes on this machine, by the launcher."""
    script, text = folder / "script.py", folder / "texts.txt"
    script.write_text(SCRIPT)
    text.write_text("---".join(texts))
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes=2", "--num_machines=1", "--mixed_precision=no"]
    command += ["--dynamo_backend=no", "--main_process_port=0"]
    done = subprocess.run(
        [*command, str(script), mode, str(out), str(text), *changes],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(artifact.load(run, which="last").model.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(kind: str, text: str, tmp_path: Path) -> None:
    texts = [text[at : at + 100] for at in range(0, len(text), 100)]
    changes = CHANGES + KINDS[kind]
    one, two = tmp_path / "one", tmp_path / "two"
    train_language_model(load_recipe("language-model", changes), texts, one)
    launch("train", two, texts, changes, tmp_path)
    begun, ended = weights(one), weights(two)
    for name, value in ended.items():
        # Adam divides by the square root of squares, so rounding in small gradients shows.
        torch.testing.assert_close(value, begun[name], rtol=1e-3, atol=2e-5)
    logs = [(run / "log.csv").read_text().splitlines() for run in (one, two)]
    assert [line.split(",")[:2] for line in logs[0]] == [line.split(",")[:2] for line in logs[1]]
    assert not (two / "data").exists()


def test_a_run_goes_on_in_two_processes(text: str, tmp_path: Path) -> None:
    """Its carried state is divided among them."""
    texts = [text]
    recipe = load_recipe("language-model", [*CHANGES, "training.batch_size=3"])
    half = load_recipe("language-model", [*CHANGES, "training.batch_size=3"])
    whole, run = tmp_path / "whole", tmp_path / "run"
    train_language_model(recipe, texts, whole)
    stopped = train_language_model(half, texts, run, _interrupt_at(60))
    assert stopped.interrupted
    launch("resume", run, texts, [*CHANGES, "training.batch_size=3"], tmp_path)
    expected = weights(whole)
    for name, value in weights(run).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=2e-5)


def _interrupt_at(step: int):
    import signal

    def report(told) -> None:
        if told.progress is not None and told.progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_row_belongs_to_one_process(rows: int, count: int) -> None:
    ids = torch.arange(4 * rows).reshape(4, rows)
    lengths = torch.arange(rows) % 5
    padded = PaddedSequence(ids, lengths)
    batch = Batch(Tokens(padded, PaddedSequence(ids.unsqueeze(-1), lengths)), padded, ids > 2)
    parts = [Processes(number, count).part(batch) for number in range(count)]
    assert torch.equal(torch.cat([p.targets.values for p in parts], 1), ids)
    assert torch.equal(torch.cat([p.inputs.given.values[..., 0] for p in parts], 1), ids)
    assert torch.equal(torch.cat([p.inputs.ids.lengths for p in parts]), lengths)
    resets = [p.resets for p in parts if p.resets is not None]
    assert torch.equal(torch.cat(resets, 1), ids > 2)
