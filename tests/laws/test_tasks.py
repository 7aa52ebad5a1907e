"""Laws of tasks: what is given is used, what is kept comes back, what is wrong is said in time."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from laws import of_tasks
from laws.of_tasks import Drift, drifts
from torch import nn

import recurra
from recurra import artifact
from recurra.diagnosis.charts.history import history
from recurra.errors import ArtifactError, DataError, SettingError
from recurra.tasks import DataSection, Metric
from recurra.training import load_recipe, recipe_text

QUICK: dict[str, Any] = {
    "epochs": 10,
    "learning_rate": 0.02,
    "batch_size": 8,
    "evaluations": 3,
    "hidden_size": 4,
}


@pytest.fixture(autouse=True)
def task() -> Iterator[None]:
    of_tasks.known()
    yield
    of_tasks.forget()


def quiet(told: Any) -> None:
    """Nobody listens."""


def train(data: Any, out: Path, **settings: Any) -> Any:
    report = settings.pop("report", quiet)
    return recurra.train("drift", data, out=out, report=report, **(QUICK | settings))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Series to train on, to choose by and to be scored, of different numbers."""
    folder = tmp_path_factory.mktemp("drift")
    numbers = {"train": 40, "validation": 12, "test": 7}
    return {
        name: of_tasks.write(folder / f"{name}.json", drifts(number, seed))
        for seed, (name, number) in enumerate(numbers.items())
    }


@pytest.fixture(scope="module")
def run(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the Python door on all three files."""
    of_tasks.known()
    path = tmp_path_factory.mktemp("runs") / "whole"
    given = {"validation": str(files["validation"]), "test": files["test"]}
    said: list[str] = []
    train(files["train"], path, report=lambda told: said.append(told.message or ""), **given)
    sizes = "40 forecasts to train on, 12 forecasts to choose by, 7 forecasts held out"
    assert any(sizes in each for each in said), said
    return path


# ------------------------------------------------------------------------------------ what is kept


def test_what_was_trained_comes_back(run: Path) -> None:
    loaded = artifact.load(run)
    encoder = loaded.model.encoder
    assert encoder.norm.num_batches_tracked.dtype == torch.int64
    assert int(encoder.norm.num_batches_tracked) > 0
    assert encoder.one.weight is encoder.other.weight
    assert torch.equal(encoder.first, encoder.one.weight[:2])
    weights = artifact.resolve(run, "best") / "model.safetensors"
    assert b"encoder.one.weight" in weights.read_bytes()
    assert b"encoder.other.weight" not in weights.read_bytes()
    assert 900 < loaded.fronts["scaler"].mean < 1100
    assert loaded.fronts["scaler"].spread > 1


def test_it_answers_beside_its_mates_as_alone(run: Path) -> None:
    model = recurra.load(run)
    inputs = [example for example, _ in drifts(40, 5)]  # more than are read at once
    answers = list(model.predict(iter(inputs)))
    assert len(answers) == 40
    for example, answer in list(zip(inputs, answers, strict=True))[::13]:
        (alone,) = model.predict([example])
        assert answer == pytest.approx(alone, rel=1e-4)
        assert len(answer) == 3
        assert all(500 < value < 1500 for value in answer)


def test_it_goes_on_as_if_it_had_not_stopped(
    run: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def report(told: Any) -> None:
        if told.progress is not None and told.progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    given = {name: str(files[name]) for name in ("validation", "test")}
    assert train(files["train"], tmp_path / "half", report=report, **given).interrupted
    done = recurra.resume(tmp_path / "half", report=quiet)
    assert not done.interrupted
    for name in ("model.safetensors", "training.safetensors"):
        one, other = (artifact.resolve(path, "last") / name for path in (run, done.path))
        assert one.read_bytes() == other.read_bytes()
    with pytest.raises(SettingError, match=r"learning_rate: the run has 0\.02"):
        recurra.resume(run, learning_rate=0.1, report=quiet)


def test_a_run_of_objects_goes_on_with_them(tmp_path: Path) -> None:
    done = train(drifts(30), tmp_path / "run", epochs=1)
    with pytest.raises(SettingError, match="data is missing"):
        recurra.resume(done.path, report=quiet)
    again = recurra.resume(done.path, drifts(30), epochs=2, report=quiet)
    assert len(again.evaluations) == 1
    assert json.loads((done.path / "recipe.json").read_text())["training"]["epochs"] == 2


# ----------------------------------------------------------------------------------- what is given


def test_given_files_are_the_parts(run: Path, files: dict[str, Path]) -> None:
    (row,) = json.loads((run / "summary.json").read_text())["evaluations"]
    assert row["count"] == 7
    (scored,) = recurra.evaluate(run, files["test"])
    assert scored.loss == pytest.approx(row["loss"])
    (scored,) = recurra.evaluate(run, drifts(12, 1))
    best = json.loads((artifact.resolve(run, "best") / "config.json").read_text())
    assert scored.loss == pytest.approx(best["about"]["scores"]["validation_nats"], abs=1e-5)


def test_other_settings_of_data_are_checked(run: Path) -> None:
    with pytest.raises(SettingError, match=r"data\.licence: .*got 5"):
        recurra.evaluate(run, drifts(12, 1), licence=5)
    with pytest.raises(SettingError, match="no setting 'license'; did you mean 'licence'"):
        recurra.evaluate(run, drifts(12, 1), license="CC0")


def test_answers_of_any_kind_are_told_as_json(run: Path) -> None:
    answer = recurra.load(run)
    (said,) = answer.predict([drifts(12, 1)[0][0]])
    told = answer.to_json(said)
    assert json.loads(json.dumps(told)) == told
    assert told["answer"] == pytest.approx(list(said))


def test_its_settings_are_told_as_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(recipe_text("drift"))
    assert load_recipe(str(tmp_path / "my.toml")) == load_recipe("drift")


def test_settings_without_effect_are_said() -> None:
    recipe = load_recipe("drift", ["training.window=7"])
    assert ("training.window", "examples are read whole") in recipe.of_task.idle(recipe)
    assert load_recipe("drift").of_task.idle(load_recipe("drift")) == []


def parts(source: Any, **data: Any) -> dict[str, list[float]]:
    """Of each part the first numbers of its series, in its own scale."""
    prepared = Drift().prepare(source, DataSection(**data), Path(), print)
    by = prepared.fronts["scaler"]
    return {
        str(name): [round(float(row.series[0, 0]) * by.spread + by.mean) for row in part.inputs]
        for name, part in prepared.parts.items()
    }


def numbered(first: int, count: int) -> list[Any]:
    return [(([n, n + 1.0], 0.0), [1.0, 2.0, 3.0]) for n in range(first, first + count)]


def test_what_is_not_given_is_set_apart(tmp_path: Path) -> None:
    path = str(of_tasks.write(tmp_path / "some.json", numbered(100, 3)))
    found = parts(numbered(0, 20), test=path)
    assert found["test"] == [100, 101, 102]
    assert found["validation"] == [9, 19]
    assert len(found["training"]) == 18
    found = parts(numbered(0, 20), validation=path)
    assert (found["validation"], found["test"]) == ([100, 101, 102], [9, 19])
    found = parts(numbered(0, 4), validation=path, test=path)  # nothing is set apart of four
    assert [len(part) for part in found.values()] == [4, 3, 3]


def test_parts_may_be_named() -> None:
    named = {"train": numbered(0, 20), "test": numbered(100, 2)}
    found = parts(named)
    assert (found["validation"], found["test"]) == ([8, 18], [100, 101])
    assert parts(named | {"dev": numbered(200, 1)})["validation"] == [200]
    assert len(parts(named, validation=False)["training"]) == 20
    with pytest.raises(DataError, match="data: expected examples for test, there are none"):
        parts({"train": numbered(0, 20)})


def test_every_part_has_examples(tmp_path: Path) -> None:
    empty = str(of_tasks.write(tmp_path / "empty.json", []))
    for name in ("test", "validation"):
        with pytest.raises(DataError, match=rf"empty\.json: expected examples for {name}"):
            parts(numbered(0, 20), **{name: empty})
    with pytest.raises(DataError, match="at least 10 examples, got 9"):
        parts(numbered(0, 9))
    path = str(of_tasks.write(tmp_path / "some.json", numbered(100, 3)))
    with pytest.raises(DataError, match="at least 10 examples, got 9"):
        parts(numbered(0, 9), test=path)
    with pytest.raises(DataError, match="data: expected examples for training, there are none"):
        parts([], test=path, validation=path)


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("where", ["data", "validation", "test"])
def test_a_file_that_is_not_there(where: str, files: dict[str, Path], tmp_path: Path) -> None:
    given: dict[str, Any] = {"data": files["train"]} | {where: "/no/such/file.json"}
    with pytest.raises(DataError, match=r"/no/such/file\.json: no such file or folder"):
        train(given.pop("data"), tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_a_task_that_reads_no_files(files: dict[str, Path], tmp_path: Path) -> None:
    class Plain(Drift):
        def open(self, source: Any, data: Any) -> Any:
            return super(Drift, self).open(source, data)

    of_tasks.known(Plain)
    with pytest.raises(DataError, match=r"train\.json: expected pairs .* reads no files"):
        train(files["train"], tmp_path / "run")


WRONG = {
    "no targets": ([series for (series, _), _ in drifts(20)], "data, example 0: expected a pair"),
    "two lists": (
        tuple(zip(*drifts(20), strict=True)),
        r"example 0: expected a pair.*got tuple of 20\. .* zip\(inputs, targets\)",
    ),
    "nothing to go through": (3, "data: expected pairs .* got int"),
    "one that is none": ([*drifts(15), 4.0], "example 15: expected a pair, .* got float"),
    "another length": (
        [*drifts(15), (drifts(1)[0][0], [1.0, 2.0])],
        r"data, example 15: expected a target \[3\] .* got \[2\]",
    ),
    "no numbers": (
        [*drifts(15), (([1.0, 2.0], "north"), [1.0, 2.0, 3.0])],
        r"data, example 15, input\.place: expected an array of numbers, got 'north'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data_are_told_with_the_number_of_the_example(name: str, tmp_path: Path) -> None:
    source, said = WRONG[name]
    with pytest.raises(DataError, match=said):
        train(source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_steps_that_do_not_fit(tmp_path: Path) -> None:
    class Steps(Drift):
        target_kind = "steps"

    of_tasks.known(Steps)
    short = [(([1.0, 2.0, 3.0], 0.0), [1.0, 2.0, 3.0])] * 12
    wrong = [*short, (([1.0, 2.0], 0.0), [1.0, 2.0, 3.0])]
    with pytest.raises(DataError, match=r"example 12: expected .* each of its 2 steps, got 3"):
        train(wrong, tmp_path / "run")


# ------------------------------------------------------------------------ what cannot be kept


class TwoFloats(Drift):
    said = "expected weights of one float type, got float32, float64"

    def build(self, settings: Any, fronts: Any) -> Any:
        model = super().build(settings, fronts)
        model.head.both.bias = nn.Parameter(model.head.both.bias.detach().double())
        return model


class Forgotten(Drift):
    said = "on the first batch, and .* once it was loaded"

    def begin(self, model: Any, prepared: Any) -> None:
        first = model.head.both.weight.detach().clone()
        model.head.both.forward = lambda read: read @ (3 * first + 1).T  # nobody keeps this


class NoFront(Drift):
    said = "scaler: front: .* is not registered"

    def fit(self, inputs: Any, targets: Any) -> Any:
        class Unknown(of_tasks.Scaler):
            kind = "unknown"

        return {"scaler": Unknown(1.0, 2.0)}


class OtherFront(Drift):
    said = "the front 'scaler' is another one"

    def fit(self, inputs: Any, targets: Any) -> Any:
        front = of_tasks.Scaler(1.0, 2.0)
        front.to_json = lambda: {"mean": front.mean, "spread": 3.0, "more": 1.0}  # type: ignore
        return {"scaler": front}


class NoConfig(Drift):
    said = "AttributeError: .* no attribute 'config'"

    def build(self, settings: Any, fronts: Any) -> Any:
        model = super().build(settings, fronts)
        del model.config
        return model


@pytest.mark.parametrize("broken", [TwoFloats, Forgotten, NoFront, OtherFront, NoConfig])
def test_what_cannot_be_kept_is_found_before_the_first_step(broken: Any, tmp_path: Path) -> None:
    of_tasks.known(broken)
    steps: list[Any] = []
    report = lambda told: steps.append(told.progress) if told.progress else None  # noqa: E731
    with pytest.raises(ArtifactError, match=f"task drift cannot be kept: .*{broken.said}"):
        train(drifts(20), tmp_path / "run", report=report)
    assert not steps
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------- what is said


def test_nobody_is_told_how_good_a_density_is(run: Path) -> None:
    told = json.loads((run / "summary.json").read_text())["verdict"]
    known, held = map(float, re.findall(r"(-\d\.\d{3})(?: nats a forecast)? on what", told))
    assert known < 0 > held  # a loss that is none of a label's
    assert not re.match(r"It fits (well|too much)|The model is unstable|The training", told), told


def test_a_loss_is_called_what_its_task_calls_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Called(Drift):
        loss = Metric("surprise", "surprises")

    of_tasks.known(Called)
    assert Called.metric == Called.loss
    done = train(drifts(30), tmp_path / "run", epochs=2, report=None)
    header = (done.path / "log.csv").read_text().splitlines()[0].split(",")
    assert {"training_surprise", "validation_surprise"} < set(header)
    table = Called().table(done.evaluations, "held out")
    assert list(table.header) == ["model", "surprises"]
    told = recurra.diagnosis.curve(done.path).svg()
    assert "loss, surprise a forecast" in told
    drawn = history(done.path)
    assert len(drawn.training) == len(drawn.validation) > 1
    shown = str(recurra.training.about(done.path))
    assert "surprises a forecast on what it was trained on" in shown
    progress = capsys.readouterr().err
    assert re.search(r"loss -?\d+\.\d+ surprises  validation", progress)
    assert not any("nats" in each for each in (told, shown, progress, *header))


def test_another_metric_stands_beside_the_loss(tmp_path: Path) -> None:
    class Counted(Drift):
        loss = Metric("surprise", "surprises")
        metric = Metric("right", "share", less=False)

        def score(self, model: Any, part: Any, limit: int | None = None) -> float:
            return 0.25

    of_tasks.known(Counted)
    done = train(drifts(30), tmp_path / "run", epochs=1)
    table = Counted().table(done.evaluations, "held out")
    assert list(table.header) == ["model", "share", "surprises"]
    (row,) = done.evaluations
    assert row.value == 0.25 != row.loss


def test_a_setting_of_two_sections(tmp_path: Path) -> None:
    forms = r'\*\*\{"model\.window": \.\.\.\} or \*\*\{"training\.window": \.\.\.\}'
    with pytest.raises(SettingError, match=f"'window' is a setting of two sections; write {forms}"):
        train(drifts(20), tmp_path / "run", window=5)
    done = train(drifts(20), tmp_path / "run", epochs=1, **{"model.window": 5})
    settings = json.loads((done.path / "recipe.json").read_text())
    assert (settings["model"]["window"], settings["training"]["window"]) == (5, 64)
    with pytest.raises(SettingError, match=r"no setting 'modl\.window'"):
        train(drifts(20), tmp_path / "more", **{"modl.window": 5})


def test_several_inputs_stand_beside_each_other() -> None:
    prepared = Drift().prepare(drifts(20), DataSection(), Path(), print)
    batch = prepared.parts["training"].batch([0, 3, 5])
    assert of_tasks.read(batch) == [len(drifts(20)[n][0][0]) for n in (0, 3, 5)]
    assert batch.inputs.place.dtype == batch.targets.dtype == torch.float32
    assert batch.targets.shape == (3, 3)  # three rows of three numbers, and no steps
    assert prepared.parts["test"].count == 2  # a series each
    some = batch.part(lambda count: slice(1, count))
    assert np.allclose(some.inputs.place, batch.inputs.place[1:])
    assert torch.equal(some.targets, batch.targets[1:])
    assert of_tasks.read(some) == of_tasks.read(batch)[1:]
