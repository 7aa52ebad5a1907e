"""The sentence at the end of a training: what it says of which losses."""

from __future__ import annotations

import math

import pytest

from recurra.training.verdict import Losses, verdict

UNIFORM = 4.0


def said(
    known: float,
    held: float,
    values: list[float],
    ngram: float = 3.0,
    late: float = 2.0,
    unit: str = "symbols",
) -> str:
    beaten = "n-grams are better" if ngram < held else ""
    return verdict(Losses(known, held, beaten, UNIFORM, late, values, unit))


@pytest.mark.parametrize(
    ("known", "held", "ngram", "values", "begins"),
    [
        (2.0, 2.1, 3.0, [2.5, 2.1], "It fits too little yet"),
        (2.0, 2.1, 1.0, [2.5, 2.1], "It fits too little yet"),
        (1.0, 2.1, 3.0, [2.1, 2.1], "It fits too much"),
        (1.0, 2.1, 1.5, [], "It fits too much"),
        (2.0, 2.1, 2.05, [2.1, 2.1], "It fits too little ("),
        (2.0, 2.1, 3.0, [2.1, 2.09], "It fits well"),
        (2.0, 2.1, 3.0, [9.0], "It fits well"),
    ],
)
def test_too_little_too_much_or_well(
    known: float, held: float, ngram: float, values: list[float], begins: str
) -> None:
    sentence = said(known, held, values, ngram)
    assert sentence.startswith(begins)
    facts = f"{known:.3f} nats a symbol on what it was trained on, {held:.3f} on what was held out"
    assert facts in sentence
    assert ("n-grams are better" in sentence) == sentence.startswith("It fits too little (")
    assert "learning_rate" not in sentence


@pytest.mark.parametrize(
    ("values", "smaller"),
    [
        ([2.4, 2.11, 2.1], False),  # it still improves
        ([2.4, 2.1, 2.1], False),
        ([2.4, 2.0, 2.1], True),
        ([2.1], False),
        ([], False),  # nothing says so
    ],
)
def test_a_smaller_model_is_advised_where_validation_was_better_before(
    values: list[float], smaller: bool
) -> None:
    sentence = said(1.0, 2.1, values)
    assert sentence.startswith("It fits too much")
    assert ("smaller model" in sentence) == smaller
    assert ("still improving" in sentence) == (values == [2.4, 2.11, 2.1])
    assert "dropout" in sentence


@pytest.mark.parametrize(
    ("known", "held", "late", "begins"),
    [
        (2.0, math.nan, 2.0, "It fits nothing"),
        (math.inf, 2.0, 2.0, "It fits nothing"),
        (4.3, 4.0, 2.0, "The training diverged"),
        (2.0, 2.1, 50.0, "The training diverged"),
        (2.0, 2.1, math.nan, "The training diverged"),
        (3.0, 2.5, 2.0, "The model is unstable"),
    ],
)
@pytest.mark.parametrize("values", [[2.5, 2.1], [2.1, 2.5], []], ids=str)
def test_what_came_apart_needs_a_smaller_learning_rate(
    known: float, held: float, late: float, begins: str, values: list[float]
) -> None:
    sentence = said(known, held, values, late=late)
    assert sentence.startswith(begins)
    assert "A smaller training.learning_rate" in sentence
    assert "longer" not in sentence
    assert "smaller model" not in sentence


def test_other_tasks_count_something_else() -> None:
    sentence = said(2.0, 2.1, [9.0], unit="labels")
    assert sentence.startswith("It fits well (2.000 nats a label on what it was trained on")
    assert verdict(Losses(2.0, 2.1, "", math.inf, 50.0, [])).startswith("It fits well")
    improving = Losses(2.0, 2.1, "", UNIFORM, 2.0, [-0.5, -0.6])  # accuracy, turned around
    assert verdict(improving).startswith("It fits too little yet")
    assert verdict(improving._replace(validation=[-0.5, -0.503])).startswith("It fits well")
