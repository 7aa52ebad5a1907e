"""Early stops, the log of TensorBoard, where a NaN began, and the sentence at the end."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra import artifact
from recurra.cells import base
from recurra.data import CharacterVocabulary, Windows
from recurra.errors import RunError, SettingError
from recurra.layers import Recurrent
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import task_by_name
from recurra.training import (
    Progress,
    Report,
    RunFolder,
    Training,
    TrainingSettings,
    load_recipe,
    resume,
    run_source,
    train,
)
from recurra.training import keeper as keeper_module
from recurra.training import session as session_module
from recurra.training.keeper import Keeper, Ready
from recurra.training.origin import Others
from recurra.training.verdict import Losses

TASK = "recurra.tasks.language_model.task"
QUICK = [
    "model.hidden_size=8",
    "model.layers=1",
    "training.symbols=2560",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=8",
]


# ------------------------------------------------------------------------------------- early stops

STALLING = [3.0, 2.0, 2.5, 1.9, 2.1, 2.2, 2.3, 1.0]  # twice no better from the sixth on


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of eight evaluations, by the step."""

    def score(keeper: Keeper) -> float:
        return STALLING[keeper.training.step * 8 // keeper.training.steps - 1]

    monkeypatch.setattr(Keeper, "_validate", score)


def stopped(path: Path, text: str, at: list[int], *changes: str) -> tuple[list[str], Path]:
    """Train with an early stop, interrupted after some steps; what was told."""
    said: list[str] = []
    waits = list(at)

    def report(told: Report) -> None:
        if told.message:
            said.append(told.message)
        if waits and told.progress is not None and told.progress.step == waits[0]:
            waits.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    recipe = load_recipe("language-model", [*QUICK, "training.early_stop=2", *changes])
    done = train(recipe, [text], path, report)
    while done.interrupted:
        done = resume(path, [text], report)
    return said, path


def left_by(run: Path) -> list[Any]:
    folder = artifact.resolve(run, "last")
    facts = json.loads((folder / "training.json").read_text())
    kept = [facts[name] for name in ("since", "chosen", "values", "best", "step")]
    files = [(folder / f"{name}.safetensors").read_bytes() for name in ("model", "training")]
    return [kept, files, (run / "summary.json").read_bytes(), (run / "best").read_text()]


def test_a_step_behind_the_last_evaluation_is_no_divergence(tmp_path: Path) -> None:
    """The 73rd step is alone behind an evaluation and predicts two symbols, hard ones."""
    text = "the cat sat on the mat. " * 30
    recipe = load_recipe(
        "language-model",
        [
            "model.hidden_size=4",
            "model.layers=1",
            "training.epochs=1",
            "training.batch_size=2",
            "training.window=8",
        ],
    )
    done = train(recipe, [text, text], tmp_path / "run")
    facts = json.loads((artifact.resolve(tmp_path / "run", "last") / "training.json").read_text())
    last = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))[-1]
    assert float(last["training_nats"]) > 3 > facts["late"]
    assert "diverged" not in done.verdict


@pytest.mark.usefixtures("scores")
def test_an_early_stop_says_so_and_goes_on_exactly(tmp_path: Path, text: str) -> None:
    said, whole = stopped(tmp_path / "whole", text, [])
    assert "no better for 2 evaluations: stopped" in said
    facts = json.loads((artifact.resolve(whole, "last") / "training.json").read_text())
    assert facts["values"] == STALLING[:6]
    assert (facts["since"], facts["step"]) == (2, 30)
    assert int((whole / "best").read_text()) == 20
    # Stopped between the two evaluations that were no better, and right after the second of them.
    for number, steps in enumerate([[26], [4, 24, 27], [29]]):
        _, run = stopped(tmp_path / str(number), text, steps)
        assert left_by(run) == left_by(whole)
    with pytest.raises(RunError, match=r"at its end \(30 of 40 steps\).*2 evaluations.*early_stop"):
        resume(whole, [text])
    recipe, _ = run_source(whole, ["training.symbols=10000"])
    with pytest.raises(RunError, match="early_stop"):
        resume(whole, [text], recipe=recipe)


@pytest.mark.usefixtures("scores")
def test_killed_between_an_early_stop_and_the_summary(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = stopped(tmp_path / "whole", text, [])
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "verdict", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stopped(tmp_path / "killed", text, [])
    told: list[Report] = []
    resume(tmp_path / "killed", [text], told.append)
    assert not any(report.progress for report in told)  # it had been trained to its end
    assert left_by(tmp_path / "killed") == left_by(whole)


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("step", "asked"), [(3, True), (5, False), (10, False)])
def test_weights_that_are_no_numbers_are_not_kept(step: int, asked: bool) -> None:
    """Neither at an interruption nor at an evaluation."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, math.nan)
    training: Any = SimpleNamespace(
        steps=10, step=step, model=model, settings=SimpleNamespace(evaluations=2)
    )
    nothing: Any = None
    ready: Any = SimpleNamespace(task=task_by_name("language-model"))
    done: Any = SimpleNamespace(loss=1.0, step=step, steps=10)
    with pytest.raises(RunError, match=f"no longer finite at step {step} of 10"):
        Keeper(nothing, training, ready, nothing)(done, asked)


@pytest.mark.usefixtures("scores")
def test_more_patience_trains_to_the_end(tmp_path: Path, text: str) -> None:
    said, run = stopped(tmp_path / "run", text, [], "training.early_stop=4")
    assert not any("no better" in sentence for sentence in said)
    assert int((run / "best").read_text()) == int((run / "last").read_text()) == 40


# ------------------------------------------------------------------------------------- tensorboard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulators = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    read = accumulators.EventAccumulator(str(folder))
    read.Reload()
    return {
        name: [(event.step, event.value) for event in read.Scalars(name)]
        for name in read.Tags()["scalars"]
    }


@pytest.mark.filterwarnings("ignore:::tensorboard", "ignore:::google")
def test_the_log_of_tensorboard_is_the_log(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    recipe = load_recipe("language-model", [*QUICK, "training.tensorboard=true"])
    run, plain = tmp_path / "run", RunFolder.checkpoint

    def checkpoint(folder: RunFolder, step: int, *args: Any, **settings: Any) -> None:
        if step == 20:  # the logs have this step already, and will have it again
            raise KeyboardInterrupt
        plain(folder, step, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint", checkpoint)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, [text], run)
    resume(run, [text])
    header, *rows = [line.split(",") for line in (run / "log.csv").read_text().splitlines()]
    found = scalars(run / "tensorboard")
    assert set(found) == set(header[1:])
    for column, name in enumerate(header[1:], 1):
        assert found[name] == [(int(row[0]), pytest.approx(float(row[column]))) for row in rows]


def test_a_missing_library_is_said_before_a_text_is_read(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, changes = tmp_path / "run", [*QUICK, "training.tensorboard=true"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr(f"{TASK}.prepare", lambda *args: pytest.fail("was read"))
    with pytest.raises(SettingError, match=r"pip install 'recurra\[tensorboard\]'"):
        train(load_recipe("language-model", changes), [text], run)
    assert not run.exists()


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "meta"])
def test_a_device_is_tried_before_a_text_is_read(
    device: str, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{TASK}.prepare", lambda *args: pytest.fail("was read"))
    recipe = load_recipe("language-model", [*QUICK, f"training.device={device}"])
    with pytest.raises(SettingError, match=rf"training\.device: '{device}' cannot be used here"):
        train(recipe, [text], tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --------------------------------------------------------------------------------- where it began

VOCABULARY = CharacterVocabulary("abc")
DOCUMENTS = [VOCABULARY.encode("abcab" * 30)]


def failing(poison: Callable[[LanguageModel], None], **settings: Any) -> str:
    """What a training says whose model is poisoned after two steps."""
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"hidden_size": 6, "layers": 2} | settings
    model = LanguageModel(LanguageModelConfig(vocabulary_size=len(VOCABULARY), **chosen))
    training = Training(
        model,
        Windows(DOCUMENTS, rows=2, size=8),
        TrainingSettings(symbols=400, batch_size=2, window=8),
    )
    steps = iter(training)
    assert [next(steps).step, next(steps).step] == [1, 2]
    poison(model)
    with pytest.raises(RunError, match=r"at step 3 of \d+; ") as problem:
        next(steps)
    return re.sub(r"^.*?; (.*?)\. Checkpoints.*$", r"\1", str(problem.value), flags=re.DOTALL)


def part(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)


def weight(name: str, value: float) -> Callable[[LanguageModel], None]:
    def poison(model: LanguageModel) -> None:
        with torch.no_grad():
            model.get_parameter(name).view(-1)[-1] = value

    return poison


def output(name: str, value: float) -> Callable[[LanguageModel], None]:
    def poison(model: LanguageModel) -> None:
        def spoil(module: nn.Module, inputs: Any, given: Any) -> Any:
            if isinstance(given, Tensor):
                return given * value
            return given._replace(outputs=given.outputs * value)

        module = part(model, name)
        if not isinstance(module, Recurrent):
            module.register_forward_hook(spoil)
            return
        plain = module.through_time

        def through_time(*inputs: Any) -> Any:  # what a stack calls
            return spoil(module, inputs, plain(*inputs))

        module.__dict__["through_time"] = through_time

    return poison


def names(kind: str) -> list[str]:
    model = LanguageModel(LanguageModelConfig(hidden_size=6, layers=2, vocabulary_size=6))
    return [name for name, module in model.named_modules() if type(module).__name__ == kind]


def test_a_weight_that_is_no_number() -> None:
    model = LanguageModel(LanguageModelConfig(hidden_size=6, layers=2, vocabulary_size=6))
    for name, _ in model.named_parameters():  # a row of the embedding too: it is read
        said = failing(weight(name, math.nan))
        assert said == f"the weight {name} has such a number already"


@pytest.mark.parametrize("kind", ["TokenEmbedding", "Recurrent", "LabelsHead", "TokenEncoder"])
def test_what_a_layer_gives_is_no_number(kind: str) -> None:
    assert names(kind)
    for name in names(kind):
        assert failing(output(name, math.nan)) == f"it began in what {name} gives"


class Brittle(recurra.Cell):
    """A cell of one's own, of two modules."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.tanh(self.read(torch.cat([x, state.h], 1)))
        return h, recurra.HiddenState(h)


def test_a_cell_of_ones_own_that_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base._REGISTERED, "brittle", Brittle)  # for this test alone

    def poison(model: LanguageModel) -> None:
        cell = part(model, "encoder.layer.layers.1.cell")
        assert isinstance(cell, Brittle)
        plain = cell.step

        def step(x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
            y, state = plain(x, state, context, noise)
            return y * math.nan, state

        cell.step = step  # type: ignore[method-assign]

    assert failing(poison, cell="brittle") == "it began in what encoder.layer.layers.1 gives"


def test_a_gradient_that_is_no_number() -> None:
    def poison(model: LanguageModel) -> None:
        next(model.parameters()).register_hook(lambda gradient: gradient * math.nan)

    assert failing(poison).startswith("it began in the gradient")


# ----------------------------------------------------------------------------------- the verdict


def test_the_verdict_is_of_what_was_trained_on(tiny_run: Any) -> None:
    said = tiny_run.trained.verdict
    numbers = re.findall(r"\d+\.\d{3}", said)
    first = tiny_run.trained.evaluations[0]
    assert numbers[1] == f"{first.nats / first.symbols:.3f}"
    assert 0 < float(numbers[0]) < 1.5 * float(numbers[1])


def test_the_loss_of_the_last_steps_is_a_part_of_the_verdict(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Losses] = []

    def closing(losses: Losses) -> str:
        told.append(losses)
        return "said"

    monkeypatch.setattr(keeper_module, "verdict", closing)
    done = train(load_recipe("language-model", QUICK), [text], tmp_path / "run")
    assert done.verdict == "said"
    (losses,) = told
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    names, last = rows[0].split(","), rows[-1].split(",")
    assert losses.late == pytest.approx(float(last[names.index("training_nats")]), abs=1e-5)
    assert len(losses.validation) == len(rows) - 1
    best = min(row.nats / row.symbols for row in done.evaluations[1:])
    assert losses.beaten == ("n-grams are better" if best < losses.held else "")
    assert losses.unit == "symbols"
    vocabulary = artifact.load(tmp_path / "run").fronts["text"]
    assert losses.reference == math.log(len(vocabulary) - 1)


# -------------------------------------------------------------------- what validation takes


def scored_by(ready: Ready) -> int:
    """Symbols of one evaluation."""
    groups = ready.prepared.parts["validation"].groups(ready.scored)
    batches = [batch for group in groups for batch in group]
    return sum(int(getattr(b.targets, "count", 0)) or b.targets.numel() for b in batches)


@pytest.mark.parametrize("reading", ["windows", "documents"])
@pytest.mark.parametrize(("symbols", "scored"), [(160_000, 10_000), (64_000, 4_000), (100, 1000)])
def test_validation_takes_no_more_than_its_share(
    reading: str, symbols: int, scored: int, text: str, tmp_path: Path
) -> None:
    texts = [text[at % 3000 :][:600] for at in range(0, 12_000, 100)]  # 600 symbols each
    changes = [*QUICK, f"training.symbols={symbols}", f"data.batches={reading}"]
    recipe, said = load_recipe("language-model", [*changes, "data.split=tail"]), []
    run = RunFolder(tmp_path / "run")
    run.claim()
    run.write_json("data.json", {"source": None, "blake2b": None})
    ready = session_module._prepare(recipe, texts, run, said.append, Others())
    part = ready.prepared.parts["validation"]
    limit = min(scored, part.count)
    assert ready.scored == limit
    slack = 256 if reading == "windows" else 700  # a window, a document
    assert abs(scored_by(ready) - limit) <= slack * (1 if reading == "documents" else 32)
    told = session_module._sizes(ready, session_module._begin(recipe, ready))
    assert f"{part.count:,} to choose by" in told
    assert (f"chooses by {limit:,} symbols" in told) == (limit < part.count)


def test_a_run_that_goes_on_for_longer_is_chosen_by_the_same_text(
    text: str, tmp_path: Path
) -> None:
    texts = [text] * 8

    def scored(run: Path) -> int:
        facts = json.loads((artifact.resolve(run, "last") / "training.json").read_text())
        return int(facts["scored"])

    done = train(load_recipe("language-model", QUICK), texts, tmp_path / "run")
    assert scored(done.path) == 1000
    longer = load_recipe("language-model", [*QUICK, "training.symbols=32000"])
    again = resume(done.path, texts, recipe=longer)
    assert scored(again.path) == 1000
    fresh = train(longer, texts, tmp_path / "fresh")
    assert scored(fresh.path) == 2000


def test_the_time_left_counts_the_evaluations() -> None:
    keeper = object.__new__(Keeper)
    keeper.training = SimpleNamespace(steps=100, settings=SimpleNamespace(evaluations=4))  # type: ignore[assignment]
    keeper.ready = SimpleNamespace(scored=300)  # type: ignore[assignment]
    keeper.took = None

    def left(step: int) -> float:
        return keeper._left(Progress(step, 100, step * 20, 1.0, 0.1, 1.0, 0.0, 1.0, rate=50.0))

    steps = 20 / 50  # seconds of each
    assert left(10) == pytest.approx(90 * steps + 4 * 300 / 50)  # as fast as training, at most
    keeper.took = 2.5
    assert left(24) == pytest.approx(76 * steps + 4 * 2.5)
    assert left(25) == pytest.approx(75 * steps + 3 * 2.5)
    assert left(99) == pytest.approx(1 * steps + 1 * 2.5)
    assert left(100) == 0
