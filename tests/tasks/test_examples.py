"""Examples in memory: their parts, and the task of docs/your-own-task.md from data to answers."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import recurra
from recurra.batch import Batch
from recurra.cli import app
from recurra.errors import DataError
from recurra.sequences import PaddedSequence
from recurra.tasks import (
    DataSection,
    Examples,
    ExamplesPart,
    ExamplesTask,
    Metric,
    Score,
    base,
)

PAGE = Path(__file__).parents[2] / "docs" / "your-own-task.md"
QUICK = ["training.epochs=2", "training.learning_rate=0.02", "model.hidden_size=12"]


# ------------------------------------------------------------------------------------------ parts


def rows(lengths: list[int], *, steps: bool) -> ExamplesPart:
    inputs = [np.full(length, at) for at, length in enumerate(lengths)]
    return ExamplesPart(inputs, inputs if steps else [10 * at for at in range(len(lengths))])


def read(batch: Any) -> dict[int, Any]:
    """Of each row, which has its number as its values, what stands beside it."""
    inputs = batch.inputs.to_list()
    targets = batch.targets
    beside = targets.to_list() if isinstance(targets, PaddedSequence) else list(targets)
    return {int(row[0]): other for row, other in zip(inputs, beside, strict=True)}


@pytest.mark.parametrize("steps", [True, False])
def test_a_pass_has_every_example_once(steps: bool) -> None:
    lengths = [3, 1, 4, 1, 5, 9, 2]
    part = rows(lengths, steps=steps)
    batches = part.batches(rows=3, window=64, seed=1)
    assert part.count == batches.symbols == (sum(lengths) if steps else len(lengths))
    assert len(batches) == 3
    passes = []
    for number in range(4):
        seen: list[int] = []
        for step in range(3 * number, 3 * number + 3):
            assert batches.begins(step)
            found = read(batches.batch(step))
            for at, beside in found.items():
                assert beside.tolist() == ([at] * lengths[at] if steps else 10 * at)
            seen += found
        assert sorted(seen) == list(range(7))
        passes.append(tuple(seen))
    assert len(set(passes)) > 1
    again = part.batches(rows=3, window=64, seed=1)
    assert [read(again.batch(step)).keys() for step in (4, 0)] == [
        read(batches.batch(step)).keys() for step in (4, 0)
    ]
    assert batches.count(batches.symbols) == 3
    assert batches.count(1) == 1


def test_examples_of_like_length_are_read_together() -> None:
    batches = rows([1, 9, 1, 8, 2, 9, 1, 8], steps=True).batches(rows=4, window=64, seed=0)
    longest = sorted(batches.batch(step).inputs.time for step in range(2))
    assert longest == [2, 9]


def test_scores_are_of_all_or_of_some_from_all_over() -> None:
    part = rows([2] * 100, steps=False)

    def scored(limit: int | None) -> list[int]:
        return sorted(at for group in part.groups(limit) for batch in group for at in read(batch))

    assert scored(None) == list(range(100))
    assert scored(50) == list(range(0, 100, 2))
    assert scored(30) == list(range(0, 100, 4))
    assert scored(1) == [0]


def test_a_batch_of_one_target_a_row_can_be_cut() -> None:
    part = rows([3, 1, 4], steps=False).batch([0, 1, 2]).part(lambda count: slice(1, count))
    assert part.targets.tolist() == [10, 20]
    assert part.inputs.lengths.tolist() == [1, 4]


def test_each_example_has_its_target() -> None:
    with pytest.raises(DataError, match="got 2 examples and 1 targets"):
        ExamplesPart([[1], [2]], [1])
    with pytest.raises(DataError, match="got 0 examples"):
        ExamplesPart([], [])


def test_targets_may_have_steps_of_their_own() -> None:
    inputs, targets = [[1.0, 2.0, 3.0], [4.0]], [[5], [6, 7]]
    with pytest.raises(DataError, match="example 0: expected a target for each of its 3 steps"):
        ExamplesPart(inputs, targets)
    part = ExamplesPart(inputs, targets, kind="sequence")
    assert part.count == 3
    batch = part.batch([0, 1])
    assert [row.tolist() for row in batch.inputs.to_list()] == inputs
    assert batch.inputs.values.dtype == torch.float32
    assert [row.tolist() for row in batch.targets.to_list()] == targets
    with pytest.raises(DataError, match=r"example 1: .* as many axes as of the first example"):
        ExamplesPart(inputs, [[5], 6], kind="sequence")


def test_rows_that_are_no_array_are_told() -> None:
    with pytest.raises(DataError, match=r"from the north, input: expected an array of numbers"):
        ExamplesPart([[[1.0], [2.0, 3.0]]], [1], places=["from the north"])
    with pytest.raises(DataError, match=r"example 1, target: .* got 'no'"):
        ExamplesPart([[1.0], [2.0]], [1, "no"])


def test_a_batch_may_be_made_otherwise() -> None:
    def reverse(inputs: Any, targets: Any = None) -> Batch:
        return Batch(inputs[::-1], targets)

    part = ExamplesPart([[1], [2]], [0, 1], collate=reverse)
    assert [int(row[0]) for row in part.batch([0, 1]).inputs] == [2, 1]


# ----------------------------------------------------------------------------------------- a task


class Counting(ExamplesTask):
    """Examples are numbers, read as so many steps; its metric is another number than the loss."""

    metric = Metric("right", "share", less=False)
    unit = "answers"

    def fit(self, inputs: Any, targets: Any) -> dict[str, Any]:
        return {"seen": (inputs, targets)}

    def encode(self, example: int, fronts: Any) -> Any:
        return [example] * (1 + example % 3)

    def target(self, target: str, fronts: Any) -> int:
        return int(target)

    def build(self, settings: Any, fronts: Any) -> Any:
        raise NotImplementedError

    def score(self, model: Any, part: Any, limit: int | None = None) -> float:
        return model.right


PAIRS = [(at, str(at % 2)) for at in range(40)]


def divided(pairs: list[tuple[int, str]], **data: Any) -> Examples:
    return Counting().prepare(iter(pairs), DataSection(**data), Path(), print)


def test_every_tenth_is_held_out() -> None:
    found = divided(PAIRS)
    values = {name: [int(row[0]) for row in part.inputs] for name, part in found.parts.items()}
    assert values["test"] == [9, 19, 29, 39]
    assert values["validation"] == [8, 18, 28, 38]
    assert sorted(at for part in values.values() for at in part) == list(range(40))
    assert [int(target) for target in found.parts["test"].targets] == [1, 1, 1, 1]
    inputs, targets = found.fronts["seen"]  # of what is trained on alone
    assert list(inputs) == values["training"]
    assert set(targets) == {"0", "1"}
    assert found.sizes(0) == "32 answers to train on, 4 answers to choose by, 4 answers held out"
    assert found.sizes(3).endswith("; chooses by 3 of them")


def test_without_a_validation_part_there_is_more_to_train_on() -> None:
    found = divided(PAIRS, validation=False)
    assert {name: part.count for name, part in found.parts.items()} == {"training": 36, "test": 4}
    assert len(found.fronts["seen"][0]) == 36


def test_fingerprints_tell_examples_apart() -> None:
    first = divided(PAIRS).fingerprint
    assert divided(PAIRS).fingerprint == first
    others = ([*PAIRS, (40, "0")], PAIRS[::-1], [(0, "1"), *PAIRS[1:]], [(1, "0"), *PAIRS[1:]])
    assert first not in {divided(pairs).fingerprint for pairs in others}
    cuts = ([[1, 1], [1]], [[1], [1, 1]], [[1.0, 1.0], [1.0]])  # where one ends is a part of it
    parts = [{"training": ExamplesPart(inputs, [0, 0])} for inputs in cuts]
    assert len({Examples(part, {}, "").fingerprint for part in parts}) == len(cuts)


def test_fingerprints_tell_other_words_of_the_same_numbers() -> None:
    pairs = [("ab", "ba"), ("b", "a")]
    turned = [tuple(text.translate(str.maketrans("ab", "xy")) for text in pair) for pair in pairs]
    task = base.task_by_name("transduction")
    data = task.Data(vocabulary="characters")

    def read(training: Any, test: Any) -> Examples:
        parts = {"train": training, "valid": training, "test": test}
        found: Examples = task.prepare(task.open(parts, data), data, Path(), print)
        return found

    unknown = [[("b", letter)] for letter in "xy"]  # which no text to train on has
    some = [(pairs, pairs), (turned, turned), *((pairs, test) for test in unknown)]
    found = [read(*each) for each in some]
    numbers = [
        [row.tolist() for part in each.parts.values() for row in (*part.inputs, *part.targets)]
        for each in found
    ]
    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[3]
    assert len({each.fingerprint for each in found}) == 4
    assert read(*some[0]).fingerprint == found[0].fingerprint


def test_too_few_examples() -> None:
    with pytest.raises(DataError, match="at least 10 examples, got 9"):
        divided(PAIRS[:9])


def test_scores_stand_side_by_side() -> None:
    task, part = Counting(), divided(PAIRS).parts["test"]
    models = {
        name: SimpleNamespace(right=right, score=lambda groups: (2.0, len([*groups]) * 4))
        for name, right in (("own", 0.75), ("rival", 1.0))
    }
    scores = task.evaluate(models, part)
    assert scores == [Score("own", 0.75, 0.5, 4), Score("rival", 1.0, 0.5, 4)]
    table = task.table(scores, "held out")
    assert table.title == "held out: 4 answers"
    assert list(table.header) == ["model", "share", "nats"]
    assert table.rows == [["own", "0.7500", "0.5000"], ["rival", "1.0000", "0.5000"]]
    assert task.beaten(scores) == "rival is better"
    assert task.beaten(scores[::-1]) == ""


# ---------------------------------------------------------------------------------------- the page


def strings(number: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["(" + "".join(chance.choices("()", k=chance.randint(0, 11))) for _ in range(number)]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task of the page, in a file of its own."""
    text = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)[0]
    assert len(text.splitlines()) <= 60
    path = tmp_path_factory.mktemp("code") / "brackets.py"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What a test imported is not there before and after it."""
    yield
    base._known.pop("brackets", None)
    sys.modules.pop("brackets", None)


@pytest.fixture
def brackets(code: Path) -> Any:
    """Its module, as Python imports it."""
    spec = importlib.util.spec_from_file_location("brackets", code)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["brackets"] = module
    spec.loader.exec_module(module)
    return module


def call(code: Path, *args: object, text: str | None = None) -> Any:
    """A command that imports the file, as in a process of its own."""
    base._known.pop("brackets", None)
    sys.modules.pop("brackets", None)
    words = [*map(str, args), "--import", str(code)]
    return CliRunner().invoke(app, words, input=text, env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "lines.txt"
    path.write_text("\n".join(strings(200, 0)))
    return path


@pytest.fixture(scope="module")
def run(code: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command line."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    changes = [word for change in QUICK for word in ("--set", change)]
    done = call(code, "train", "brackets", "--data", data, "--out", path, *changes)
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert re.search(r"^ +lstm +0\.\d{4} *$", done.stdout, re.M), done.stdout
    assert "predictions/s" in done.stderr
    assert f" predict {path} --import {code}" in done.stdout.replace("\n", " ")
    return path


def test_it_was_trained(run: Path) -> None:
    settings = json.loads((run / "recipe.json").read_text())
    assert (settings["task"], settings["model"]["embedding_size"]) == ("brackets", 8)
    (row,) = json.loads((run / "summary.json").read_text())["evaluations"]
    assert 0 < row["value"] == row["loss"] < 0.6
    assert "validation_nats" in (run / "log.csv").read_text().splitlines()[0]


def test_it_goes_on_as_if_it_had_not_stopped(
    run: Path, code: Path, data: Path, tmp_path: Path, brackets: Any
) -> None:
    def report(told: Any) -> None:
        if told.progress is not None and told.progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    named = {change.rpartition("=")[0].partition(".")[2]: change for change in QUICK}
    settings = {name: json.loads(change.partition("=")[2]) for name, change in named.items()}
    half = tmp_path / "half"
    done = recurra.train("brackets", data, out=half, report=report, **settings)
    assert done.interrupted
    again = call(code, "train", "--resume", half)
    assert again.exit_code == 0, (again.stderr, again.exception)
    assert "going on after step 5 of 10" in again.stderr
    assert (half / "best").read_text() == (run / "best").read_text()
    for which in ("best", "last"):
        one, other = (recurra.artifact.resolve(path, which) for path in (half, run))
        names = ("model.safetensors", "training.safetensors")
        assert all((one / n).read_bytes() == (other / n).read_bytes() for n in names)


def test_another_run_begins_with_it(run: Path, code: Path, tmp_path: Path) -> None:
    """Of a task of one's own as of any other; nothing is fitted anew."""
    (tmp_path / "round.txt").write_text("\n".join(["(", ")", "()"] * 20))
    given = ["--data", tmp_path / "round.txt", "--from", run, "--epochs", 1]
    done = call(code, "train", "brackets", *given, "--out", tmp_path / "new")
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "before the first step: 0." in done.stderr
    new, old = ((path / "recipe.json").read_text() for path in (tmp_path / "new", run))
    assert json.loads(new)["model"] == json.loads(old)["model"]
    wrong = call(code, "train", "brackets", *given, "--out", tmp_path / "w", "--hidden", 9)
    assert wrong.exit_code == 2
    assert "model.hidden_size: the model of" in wrong.stderr


def test_other_data_are_not_gone_on_with(run: Path, code: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("\n".join(strings(200, 1)))
    longer = ["--set", "training.epochs=3", "--data", tmp_path / "other.txt"]
    refused = call(code, "train", "--resume", run, *longer)
    assert refused.exit_code == 2
    assert "these are not the data that this run was trained on" in refused.stderr


def test_it_is_scored_on_other_data(run: Path, code: Path, tmp_path: Path, brackets: Any) -> None:
    (tmp_path / "other.txt").write_text("\n".join(lines := strings(40, 2)))
    done = call(code, "evaluate", run, "--data", tmp_path / "other.txt")
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert f": {sum(map(len, lines)) + len(lines):,} predictions" in done.stdout
    refused = call(code, "evaluate", run, "--data", tmp_path / "other.txt", "--encoding", "latin-1")
    assert refused.exit_code == 2
    assert "no setting 'encoding'" in refused.stderr
    (row,) = recurra.training.evaluate(run, lines)
    assert re.search(rf"lstm +{row.loss:.4f}", done.stdout)


def test_it_is_described(run: Path, code: Path) -> None:
    done = call(code, "describe", run)
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert done.stdout.startswith("brackets in ")


def test_a_setting_that_is_none_is_told(code: Path, data: Path, tmp_path: Path) -> None:
    change = ["--set", "model.embeding_size=4"]
    refused = call(code, "train", "brackets", "--data", data, "--out", tmp_path / "run", *change)
    assert refused.exit_code == 2
    assert "did you mean 'model.embedding_size'" in refused.stderr
    change = ["--set", "model.cell=lstmm"]
    refused = call(code, "train", "brackets", "--data", data, "--out", tmp_path / "run", *change)
    assert refused.exit_code == 2
    assert "did you mean 'lstm'" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_without_its_module_it_says_what_is_missing(run: Path) -> None:
    base._known.pop("brackets", None)  # the run may have just been made
    for words in (["describe", run], ["evaluate", run, "--data", PAGE]):
        refused = CliRunner().invoke(app, list(map(str, words)))
        assert refused.exit_code == 1
        assert "brackets" in refused.stderr
        assert "import" in refused.stderr


def test_it_answers(run: Path, brackets: Any) -> None:
    model = recurra.load(run)
    lines = ["(())", "())(", "", *strings(70, 3)]  # more than are read at once
    answers = list(model.predict(iter(lines)))
    assert len(list(model.predict(lines[0]))) == 1
    with pytest.raises(DataError, match="predict: expected a list of inputs"):
        model.predict(None)
    assert len(answers) == len(lines)
    for line, answer in zip(lines, answers, strict=True):
        (alone,) = model.predict([line])
        assert answer.label == alone.label
        assert answer.probability == pytest.approx(alone.probability, abs=1e-5)
    with torch.no_grad():
        batch = ExamplesPart([brackets.Brackets().encode("(())", model.fronts)], [0]).batch([0])
        (said,) = model.model.predict(batch).to_list()
    yes = float(said[-1].softmax(0)[1])
    assert answers[0].probability == pytest.approx(max(yes, 1 - yes), abs=1e-5)


def test_the_command_answers(run: Path, code: Path) -> None:
    done = call(code, "predict", run, text="(())\n())(\n")
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert len(re.findall(r"balanced", done.stdout)) == 2
