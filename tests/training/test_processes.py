"""Several processes train as one does on all rows."""

from __future__ import annotations

import atexit
import gc
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist

from recurra import PaddedSequence, artifact
from recurra.batch import Batch, Tokens
from recurra.errors import RunError, ShapeError
from recurra.training import load_recipe, train
from recurra.training.processes import Processes, processes
from recurra.training.processes import _leave as leave

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
    # Uneven, one row and two; by an optimizer that a gradient of another size leads elsewhere.
    "windows": ["training.batch_size=3", "training.optimizer=sgd", "training.learning_rate=0.1"],
    "documents": ["data.batches=documents", "data.split=hash", "training.batch_size=5"],
    "accumulated": ["training.batch_size=3", "training.accumulate=2", "training.average=0.9"],
}
SCRIPT = """
import sys
from pathlib import Path
from recurra.training import load_recipe, resume, train
from recurra.training.processes import processes
assert processes().world_size == 2
mode, out, text, *changes = sys.argv[1:]
texts = Path(text).read_text().split("---")
if mode == "resume":
    done = resume(out, texts, recipe=load_recipe("language-model", changes))
else:
    done = train(load_recipe("language-model", changes), texts, out)
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
    train(load_recipe("language-model", changes), texts, one)
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
    train(recipe, texts, whole)
    stopped = train(half, texts, run, _interrupt_at(60))
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


class Pair(NamedTuple):
    """Two things that belong to a row."""

    memory: torch.Tensor
    topic: torch.Tensor


TARGETS = {
    "a label each": (torch.arange(5), 0),
    "a horizon each": (torch.arange(15).reshape(5, 3), 0),
    "a label a step": (torch.arange(20).reshape(4, 5), 1),
    "numbers a step": (torch.arange(40).reshape(4, 5, 2), 1),
    "both": ((torch.arange(5), torch.arange(20).reshape(4, 5)), (0, 1)),
    "none": (None, 1),
}


def by_row(value: Any, axis: Any, row: slice) -> Any:
    """The same cut, written out."""
    if isinstance(value, tuple):
        axes = axis if isinstance(axis, tuple) else (axis,) * len(value)
        return tuple(by_row(part, one, row) for part, one in zip(value, axes, strict=True))
    if value is None:
        return []
    return (value[row] if axis == 0 else value[:, row]).tolist()


def listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(listed, value))
    return [] if value is None else value.tolist()


@pytest.mark.parametrize("name", TARGETS)
def test_a_batch_knows_where_its_rows_are(name: str) -> None:
    targets, axis = TARGETS[name]
    steps = torch.arange(20).reshape(4, 5)
    pictures = torch.arange(30).reshape(5, 6)
    context = Pair(torch.arange(70).reshape(5, 7, 2), torch.arange(5))
    batch = Batch((pictures, steps), targets, steps > 3, context, (0, 1), axis)
    for number, row in enumerate([slice(0, 2), slice(2, 5)]):
        mine = Processes(number, 2).part(batch)
        assert listed(mine.inputs) == by_row((pictures, steps), (0, 1), row)
        assert type(mine.inputs) is tuple
        assert listed(mine.targets) == by_row(targets, axis, row)
        assert listed(mine.resets) == by_row(steps > 3, 1, row)
        assert isinstance(mine.context, Pair)
        assert listed(mine.context) == by_row(context, 0, row)
        assert (mine.input_axis, mine.target_axis) == ((0, 1), axis)
        assert mine.to("cpu").target_axis == axis
    assert Processes().part(batch) is batch


def test_a_batch_whose_tensors_disagree_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"as many rows in every tensor, got \[5, 3\].*axis"):
        Batch(torch.zeros(4, 5), torch.zeros(5, 3)).part(lambda rows: slice(0, 1))


@pytest.mark.parametrize(
    ("backend", "late", "expected"),
    [
        ("gloo", False, ["wait", "close", "collect"]),
        ("gloo", True, ["wait", "close", "collect"]),
        ("nccl", False, ["close", "collect"]),
        (None, False, []),
    ],
)
def test_processes_leave_together(
    backend: str | None, late: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def wait(*, timeout: timedelta) -> None:
        assert timeout == timedelta(seconds=10)
        told.append("wait")
        if late:
            raise RuntimeError("one did not come")

    monkeypatch.setattr(dist, "is_initialized", lambda: backend is not None)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "monitored_barrier", wait)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: told.append("close"))
    monkeypatch.setattr(gc, "collect", lambda: told.append("collect"))
    leave()
    assert told == expected


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("batch", [0, 1, 3, 7])
def test_rows_are_shared_evenly(batch: int, world: int) -> None:
    parts = [range(batch)[Processes(rank, world).rows(batch)] for rank in range(world)]
    assert [row for part in parts for row in part] == list(range(batch))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Processes(rank, world).main for rank in range(world)] == [True] + [False] * (world - 1)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("asked", "cpu"), [("true", True), ("0", False)])
def test_who_opens_the_connections_closes_them(
    before: bool, asked: str, cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Any] = []
    told: dict[str, bool] = {}

    def state(**how: bool) -> SimpleNamespace:
        told.update(how)
        return SimpleNamespace(num_processes=3, process_index=2, device="cpu")

    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("ACCELERATE_USE_CPU", asked)
    monkeypatch.setattr("accelerate.PartialState", state)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(dist, "is_initialized", lambda: before)
    monkeypatch.setattr(atexit, "register", closed.append)
    found = processes.__wrapped__()
    assert (found.rank, found.world_size, found.device) == (2, 3, "cpu")
    assert closed == ([] if before else [leave])
    assert told == {"cpu": cpu}


def test_processes_that_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr("accelerate.PartialState", lambda **_: SimpleNamespace(num_processes=1))
    with pytest.raises(RunError, match="did not find each other"):
        processes.__wrapped__()


def test_sums_and_words_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, second = Processes(), Processes(1, 2)
    tensor = torch.ones(2)
    assert (alone.total(1, 2.5), alone.gather("a"), alone.broadcast("b")) == ([1, 2.5], ["a"], "b")
    alone.all_reduce([tensor])
    monkeypatch.setattr("accelerate.utils.reduce", lambda told, how: told * (2 * (how == "sum")))
    monkeypatch.setattr("accelerate.utils.gather_object", lambda own: ["first", *own])
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda own: ["first"] * len(own))
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(3))
    assert second.total(1, 2.5) == [2, 5]
    assert second.gather("second") == ["first", "second"]
    assert second.broadcast("second") == "first"
    second.all_reduce([tensor])
    assert tensor.tolist() == [3, 3]


CLASSES = """
import sys
from recurra.training import load_recipe, train
from recurra.training.processes import processes
assert processes().world_size == 2
_, out, text, *changes = sys.argv[1:]
texts = open(text).read().split("---")
labels = [str("cat" in each) for each in texts]
train(load_recipe("classification", changes), (texts, labels), out)
"""


def test_texts_with_classes_are_divided_with_them(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target belongs to a row, not to a step; a batch of five rows is cut into two and three."""
    texts = [line for line in text.split("\n") if line]
    labels = [str("cat" in each) for each in texts]
    changes = ["model.hidden_size=6", "model.dropout=0.0", "model.dropout_word=0.0"]
    changes += ["training.batch_size=5", "training.epochs=2", "training.evaluations=2"]
    one, two = tmp_path / "one", tmp_path / "two"
    train(load_recipe("classification", changes), (texts, labels), one)
    monkeypatch.setitem(globals(), "SCRIPT", CLASSES)
    launch("train", two, texts, changes, tmp_path)
    begun, ended = weights(one), weights(two)
    for name, value in ended.items():
        torch.testing.assert_close(value, begun[name], rtol=1e-3, atol=2e-5)
