"""Monitors of a training: what they measure, when they warn, and that they change nothing."""

from __future__ import annotations

import copy
import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import recurra
from recurra.batch import Batch
from recurra.data import CharacterVocabulary, Windows
from recurra.diagnosis import border_share, gradients, watched
from recurra.errors import RunError
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.training import Training, TrainingSettings, load_recipe, resume, train
from recurra.training.monitors import LEAST, Monitored, Monitors, Watched, parts_of

SETTINGS = [
    "model.hidden_size=8",
    "model.layers=2",
    "training.symbols=20000",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=2",
]


def model_of(**settings: Any) -> LanguageModel:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"hidden_size": 8, "layers": 2} | settings
    return LanguageModel(LanguageModelConfig(vocabulary_size=12, **chosen))


def window(time: int = 16, rows: int = 4) -> Batch:
    ids = torch.randint(3, 12, (time + 1, rows))
    return Batch(ids[:-1], ids[1:])


def training_of(monitors: bool = True, steps: int = 170, **settings: Any) -> Training:
    vocabulary = CharacterVocabulary.of(["abcab"])
    documents = [vocabulary.encode("abcabbcacab" * 60)]
    chosen = TrainingSettings(
        batch_size=4, window=8, symbols=steps * 32, monitors=monitors, **settings
    )
    torch.manual_seed(0)
    model = LanguageModel(
        LanguageModelConfig(vocabulary_size=len(vocabulary), hidden_size=8, layers=2, dropout=0.2)
    )
    return Training(model, Windows(documents, rows=4, size=8), chosen)


# ------------------------------------------------------------------------------- what is measured


def test_parameters_stand_where_their_cells_do() -> None:
    model = model_of(dropout_recurrent=0.5)  # a parametrization
    parameters, places = parts_of(model)
    assert list(dict.fromkeys(places)) == [
        "encoder.embedding",
        "encoder.layer.layers.0.cell",
        "encoder.layer.layers.1.cell",
        "head.projection",
    ]
    assert len(parameters) == len(list(model.parameters()))


def test_frozen_ones_are_left_out_and_a_drop_in_stands_as_a_layer() -> None:
    layer = recurra.LSTM(3, 4)
    layer.bias_ih_l0.requires_grad_(False)
    parameters, places = parts_of(nn.Sequential(layer))
    assert len(parameters) == 3
    assert set(places) == {"0"}


def test_gradients_and_updates_are_those_of_the_steps() -> None:
    """Against sums that are made here, step by step, from the gradients themselves."""
    training = training_of(steps=170, optimizer="sgd", clip=1e9)
    model, monitors = training.model, training.monitors
    assert monitors is not None
    squares: dict[str, float] = {}
    changes: dict[str, list[float]] = {}
    place = "encoder.layer.layers.1.cell"
    cell = model.get_submodule(place)
    steps = iter(training)
    for number in range(LEAST):
        before = copy.deepcopy(cell)
        next(steps)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            own = place if name.startswith(place) else name.rpartition(".")[0]
            squares[own] = squares.get(own, 0.0) + float(parameter.grad.double().pow(2).sum())
        if number % 16 == 8:
            matrices = [(p, q) for p, q in zip(before.parameters(), cell.parameters(), strict=True)]
            for p, q in matrices:
                if p.dim() > 1:
                    moved = float((q - p).detach().double().pow(2).sum())
                    changes.setdefault("update", []).append(moved)
                    changes.setdefault("weight", []).append(float(p.detach().double().pow(2).sum()))
    assert monitors.due
    seen = monitors.report(model, *training.looked_at())
    for own in (place, "encoder.embedding", "head.projection"):
        assert seen.of("gradient")[own] == pytest.approx(math.sqrt(squares[own] / LEAST), rel=1e-5)
    wanted = math.sqrt(sum(changes["update"]) / sum(changes["weight"]))
    assert seen.of("update")[place] == pytest.approx(wanted, rel=1e-4)
    assert seen.of("clipped") == {"": 0.0}
    assert set(seen.of("saturated")) == {f"encoder.layer.layers.{n}.cell" for n in (0, 1)}
    assert 0 < seen.of("border")[""] < 1
    assert not monitors.due


def test_a_training_with_monitors_is_the_same_one() -> None:
    """Dropout too: reports draw nothing."""
    watched_one, plain = training_of(True), training_of(False)
    one, other = iter(watched_one), iter(plain)
    random = torch.get_rng_state(), torch.get_rng_state()
    for _ in range(LEAST + 5):
        torch.set_rng_state(random[0])
        ours = next(one)
        monitors = watched_one.monitors
        if monitors is not None and monitors.due:
            monitors.report(watched_one.model, *watched_one.looked_at())
        random = torch.get_rng_state(), random[1]
        torch.set_rng_state(random[1])
        theirs = next(other)
        random = random[0], torch.get_rng_state()
        assert (ours.loss, ours.gradient_norm) == (theirs.loss, theirs.gradient_norm)
    for p, q in zip(watched_one.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(p, q)
    assert plain.monitors is None


def test_a_parameter_without_a_gradient_is_counted_as_zero() -> None:
    layer = nn.Linear(2, 2)
    monitors = Monitors(layer)
    layer.weight.grad = torch.ones(2, 2)
    for _ in range(LEAST):
        with monitors.step([layer.weight], [layer.weight.grad.norm()], True):
            pass
    rows = {row.measure: row.value for row in monitors._totals()}
    assert rows == {"gradient": pytest.approx(2.0), "update": 0.0, "clipped": 1.0}


# --------------------------------------------------------------------------------------- the border


def linear_model(factor: float) -> LanguageModel:
    """h_t = factor h_{t-1} + x_t, through which a gradient loses ``factor`` a step."""
    model = model_of(layers=1, cell="elman", cell_settings={"activation": None})
    cell: Any = model.get_submodule("encoder.layer.layers.0.cell")
    with torch.no_grad():
        cell.recurrent_weight.copy_(factor * torch.eye(8))
    return model


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0])
def test_what_is_left_at_the_border_is_the_power_of_half_a_window(factor: float) -> None:
    model, batch = linear_model(factor), window(16)
    state = model.initial_state(4)
    share = border_share(model, batch, state)
    assert share == pytest.approx(factor**8, rel=1e-4)
    assert all(p.grad is None for p in model.parameters())


def test_without_anything_carried_there_is_no_border() -> None:
    assert border_share(model_of(), window(), None) is None
    assert border_share(model_of(), window(1), model_of().initial_state(4)) is None


# ----------------------------------------------------------------------------------------- warnings


def told_of(monitors: Monitors, model: LanguageModel, rate: float = 1.0) -> list[str]:
    state = model.initial_state(4)
    return list(monitors.report(model, window(), state, rate=rate).warnings)


def steps_with(
    model: LanguageModel, norms: dict[str, float], *, clipped: bool = False, update: float = 1e-3
) -> Monitors:
    """Monitors that saw gradients of these norms, 1 elsewhere, and updates of this size."""
    monitors = Monitors(model)
    parameters, places = parts_of(model)
    given = [torch.tensor(norms.get(place, 1.0)) for place in places]
    for _ in range(LEAST):
        with monitors.step(parameters, given, clipped), torch.no_grad():
            for parameter in parameters:
                parameter.mul_(1 + update)
    return monitors


LOWEST = "encoder.layer.layers.0.cell"


def test_nothing_is_said_of_a_healthy_training() -> None:
    assert told_of(steps_with(model_of(), {}, update=1e-4), model_of()) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"norms": {LOWEST: 1e-8}}, f"the gradient of {LOWEST} is"),
        ({"norms": {LOWEST: 0.0}}, f"no gradient reached {LOWEST} in 150 steps"),
        ({"norms": {}, "clipped": True}, "100% of the last 150 gradients were clipped"),
        ({"norms": {}, "update": 0.15}, "Try a smaller training.learning_rate, or a longer"),
        ({"norms": {}, "update": 0.0}, "Try a larger training.learning_rate"),
    ],
)
def test_what_is_wrong_is_said_once(case: dict[str, Any], words: str) -> None:
    model = model_of()
    told = told_of(steps_with(model, **case), model_of())
    assert len(told) == 1
    assert words in told[0]
    again = steps_with(model_of(), **case)
    again._said = {"unreached", "vanished", "clipped", "large", "small"}
    assert told_of(again, model_of()) == []


def test_small_updates_at_the_end_of_a_schedule_are_meant() -> None:
    assert told_of(steps_with(model_of(), {}, update=0.0), model_of(), rate=0.01) == []


def test_saturated_units_and_a_short_window_are_told() -> None:
    model = model_of(layers=1)
    cell: Any = model.get_submodule(LOWEST)
    with torch.no_grad():  # forget gates open, so that nothing is forgotten
        cell.bias[:] = 50.0
        cell.recurrent_weight.zero_()
    told = told_of(steps_with(model_of(layers=1), {}, update=1e-4), model)
    assert any("8 of 8 units" in words and "saturated units" in words for words in told)
    held = linear_model(1.0)
    (said,) = told_of(steps_with(linear_model(1.0), {}, update=1e-4), held)
    assert "of the gradient in the middle of a window is left at its border" in said
    assert "training.window" in said


def test_a_model_that_cannot_be_looked_at_stops_nothing() -> None:
    class Odd(LanguageModel):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("odd")

    torch.manual_seed(0)
    odd = Odd(LanguageModelConfig(vocabulary_size=12, hidden_size=8, layers=2))
    (said,) = told_of(steps_with(model_of(), {}, update=1e-4), odd)
    assert "ZeroDivisionError: odd" in said


def test_a_few_words_for_the_line() -> None:
    rows = (
        Watched("gradient", "a", 0.1),
        Watched("gradient", "b", 1.0),
        Watched("update", "a", 0.001),
        Watched("clipped", "", 0.25),
        Watched("border", "", 0.5),
    )
    assert str(Monitored(rows, ())) == (
        "least gradient 0.1 of the largest, updates 0.001 to 0.001, 25% of the steps clipped, "
        "0.5 of it left at the border"
    )


# ------------------------------------------------------------------------------------ in a training


@pytest.fixture(scope="module")
def run(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "watched"
    train(load_recipe("language-model", SETTINGS), [text], path)
    return path


def test_the_run_keeps_them(run: Path) -> None:
    found = watched(run)
    assert set(found) == {"gradient", "update", "clipped", "saturated", "border"}
    evaluated = [
        int(row[0])
        for row in csv.reader((run / "log.csv").read_text().splitlines())
        if row[0] != "step"
    ]
    assert list(found["gradient"][LOWEST]) == evaluated
    assert evaluated[0] >= LEAST


def test_they_can_be_left_out(text: str, tmp_path: Path) -> None:
    recipe = load_recipe("language-model", [*SETTINGS, "training.monitors=false"])
    train(recipe, [text], tmp_path / "run")
    assert not (tmp_path / "run" / "monitors.csv").exists()
    with pytest.raises(RunError, match=r"training\.monitors=true"):
        watched(tmp_path / "run")


def test_a_resumed_run_keeps_the_same(
    run: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two reports, with sums half done, and once behind a report."""
    from recurra.training.keeper import Keeper

    whole, plain = (run / "monitors.csv").read_text(), Keeper.__call__
    stops = [75, 200]

    def call(keeper: Keeper, done: Any, asked: bool) -> Any:
        stop = bool(stops) and done.step == stops[0]
        if stop:
            stops.pop(0)
        return plain(keeper, done, asked or stop)

    monkeypatch.setattr(Keeper, "__call__", call)
    path = tmp_path / "run"
    done = train(load_recipe("language-model", SETTINGS), [text], path)
    while done.interrupted:
        done = resume(path, [text])
    assert not stops
    assert (path / "monitors.csv").read_text() == whole


def test_the_picture_of_gradients(run: Path, tmp_path: Path) -> None:
    chart = gradients(run)
    drawn = chart.svg()
    assert LOWEST in drawn
    assert "update by weight" in drawn
    damaged = tmp_path / "monitors.csv"
    damaged.write_text("step,measure,place,value\n1,gradient,a\n")
    with pytest.raises(RunError, match="line 2: damaged"):
        gradients(tmp_path)


def test_monitors_go_on_from_what_they_kept() -> None:
    first = training_of(steps=170)
    steps = iter(first)
    for _ in range(20):
        next(steps)
    assert first.monitors is not None
    kept = first.monitors.state()
    other = Monitors(first.model)
    other.load(kept)
    assert other.state() == kept
    with pytest.raises(ValueError, match="another model"):
        Monitors(nn.Linear(2, 2)).load(kept)
