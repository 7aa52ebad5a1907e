"""How long a training is, where its recipe, the data or the command line say so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurra.data import Batches, Windows
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.windows import SeriesWindows, Shape, Shelf, Stretch
from recurra.training import TrainingSettings, load_recipe
from recurra.training.length import longer, passes_of, predictions_of, steps_of
from recurra.training.recipe import changed


def batches(symbols: int) -> Batches:
    """Two rows, windows of five: ten predictions a batch."""
    return Windows([np.arange(3, symbols + 2)], rows=2, size=5)


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ({}, 30),  # ten batches in each: 300 steps
        ({"epochs": 2}, 2),
        ({"epochs": 0.25}, 0.25),
        ({"minimum_steps": 41}, 10),  # ten epochs are more
        ({"minimum_steps": 101}, 11),  # whole passes
        ({"minimum_steps": 100, "epochs": 2}, 10),
        ({"minimum_steps": 0}, 10),
        ({"minimum_steps": 60, "accumulate": 2}, 12),
        ({"symbols": 250}, 2.5),
    ],
)
def test_few_examples_get_more_passes(given: dict[str, float], passes: float) -> None:
    settings = TrainingSettings(**given)
    read = batches(100)
    assert len(read) == 10
    assert passes_of(settings, read) == passes
    assert predictions_of(settings, read) == passes * 100
    assert steps_of(settings, read) == math.ceil(passes * 10 / settings.accumulate)


def test_many_examples_get_the_passes_that_are_said() -> None:
    assert passes_of(TrainingSettings(), batches(100_000)) == 10


@pytest.mark.parametrize("task", ["language-model", "classification"])
def test_the_recipes_of_the_package_have_it_until_somebody_says_how_long(task: str) -> None:
    own = load_recipe(task)
    assert own.training.minimum_steps == 300
    for said in ("training.epochs=1", "training.symbols=10"):
        training = changed(own, [said], task).training
        assert passes_of(training, batches(100)) == (1 if "epochs" in said else 0.1)
    both = changed(own, ["training.epochs=1", "training.minimum_steps=50"], task).training
    assert passes_of(both, batches(100)) == 5
    # A recipe that was written before there was such a setting says how many passes it makes.
    assert TrainingSettings(epochs=10).minimum_steps == 0


def test_nothing_to_train_on_is_told() -> None:
    shelf = Shelf([Stretch(np.full((9, 1), np.nan, np.float32))], Shape())
    with pytest.raises(DataError, match="something to predict in the training part"):
        steps_of(TrainingSettings(epochs=2), SeriesWindows(shelf, rows=1, size=5))


def test_a_step_of_more_batches_than_there_are_is_refused() -> None:
    with pytest.raises(SettingError, match=r"training\.accumulate: expected at most 10.*got 11"):
        steps_of(TrainingSettings(epochs=1, accumulate=11), batches(100))


@pytest.mark.parametrize(
    ("passes", "said"), [(10, "20"), (0.05, "0.1"), (1 / 3, "0.667"), (5e5, "1000000")]
)
def test_twice_as_long(passes: float, said: str) -> None:
    assert longer(passes) == f"--epochs {said}"


@pytest.mark.parametrize(("times", "said"), [(1.5, "6"), (100, "300")])
def test_at_least_twice_as_long(times: float, said: str) -> None:
    assert longer(3, times) == f"--epochs {said}"
