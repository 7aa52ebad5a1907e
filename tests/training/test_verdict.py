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
    says = sentence.startswith(("It fits too little (", "It fits too much"))
    assert ("n-grams are better" in sentence) == (says and ngram < held)
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
    improving = Losses(2.0, 2.1, "", UNIFORM, 2.0, [-0.5, -0.6])  # accuracy, turned around
    assert verdict(improving).startswith("It fits too little yet")
    assert verdict(improving._replace(validation=[-0.5, -0.503])).startswith("It fits well")
    squared = Losses(0.2, 0.21, "", 1.0, 0.2, [], "values", "squared units")
    assert "0.200 squared units a value on what" in verdict(squared)


@pytest.mark.parametrize(
    ("known", "held", "reference", "begins"),
    [
        (-4.950, -4.950, 1.4, "It fits well"),  # a density
        (-4.950, -3.0, 1.4, "It fits too much"),
        (-3.0, -4.950, 1.4, "The model is unstable"),
        (-4.950, -4.945, -4.9, "It has learned next to nothing"),
        (0.042, 0.059, math.log(2), "It fits well"),  # little is lost of what was gained
        (0.059, 0.042, math.log(2), "It fits well"),
        (0.050, 0.200, math.log(2), "It fits too much"),
        (1.087, 1.090, math.log(3), "It has learned next to nothing"),
        (1.090, 1.060, math.log(3), "It has learned next to nothing"),  # by chance the other way
        (1.120, 1.130, math.log(3), "It has learned next to nothing"),
        (1.200, 1.200, math.log(3), "The training diverged"),
    ],
)
def test_what_was_gained_is_compared(
    known: float, held: float, reference: float, begins: str
) -> None:
    sentence = verdict(Losses(known, held, "", reference, known, []))
    assert sentence.startswith(begins)
    improving = verdict(Losses(known, held, "", reference, known, [9.0, 5.0]))
    came_apart = begins.startswith("The")
    assert improving.startswith(begins if came_apart else "It fits too little yet")


@pytest.mark.parametrize("values", [[], [-0.95, -0.96, -0.96], [-0.955, -0.96, -0.961]], ids=str)
def test_far_below_what_is_held_out_is_too_much_though_a_rival_is_better(
    values: list[float],
) -> None:
    """Of 17 tags: what is lost is little beside no knowledge, but most of what is left."""
    losses = Losses(0.037, 0.176, "window of words is better", math.log(17), 0.05, values)
    sentence = verdict(losses)
    assert sentence.startswith("It fits too much")
    assert "window of words is better" in sentence
    assert "longer" not in sentence
    assert "larger" not in sentence
    assert verdict(losses._replace(known=0.15)).startswith("It fits too little (")
    assert verdict(losses._replace(validation=[-0.8, -0.96])).startswith("It fits too little yet")
    assert verdict(losses._replace(beaten="")).startswith("It fits well")


@pytest.mark.parametrize("known", [-4.95, 0.06, 3.0])
@pytest.mark.parametrize("held", [-4.95, 0.06, 3.0])
def test_without_a_reference_nobody_knows(known: float, held: float) -> None:
    sentence = verdict(Losses(known, held, "", None, 50.0, []))
    assert sentence.startswith(f"It has {known:.3f} nats a symbol on what it was trained on")
    assert "no reference" in sentence
    # What needs none is said all the same.
    assert verdict(Losses(known, held, "a is better", None, 50.0, [])).startswith(
        "It fits too little ("
    )
    assert verdict(Losses(known, held, "", None, 50.0, [9.0, 5.0])).endswith("train for longer.")
    for losses in (
        Losses(math.nan, held, "", None, 1.0, []),
        Losses(known, held, "", None, math.nan, []),
    ):
        assert "A smaller training.learning_rate" in verdict(losses)


@pytest.mark.parametrize("values", [[], [9.0], [3.9, 3.95]], ids=str)
@pytest.mark.parametrize(
    ("known", "held", "beaten"), [(3.95, 3.96, ""), (2.0, 2.1, "n-grams are better")]
)
def test_few_steps_are_told_and_nothing_of_the_model(
    known: float, held: float, beaten: str, values: list[float]
) -> None:
    losses = Losses(known, held, beaten, UNIFORM, known, values, longer="--epochs 2", steps=3)
    sentence = verdict(losses)
    assert sentence.startswith("It was trained for 3 steps only")
    assert beaten in sentence
    assert sentence.endswith("train for longer (--epochs 2).")
    assert "larger model" not in sentence
    assert "learning_rate" not in sentence
    assert "1 step only" in verdict(losses._replace(steps=1))
    for enough in (300, None):  # the least of the recipes; made at once
        assert "larger model" in verdict(losses._replace(steps=enough))


def test_of_few_steps_only_a_validation_says_that_it_fits_too_much() -> None:
    losses = Losses(1.0, 2.1, "", UNIFORM, 1.0, [2.1], steps=20)
    assert verdict(losses).startswith("It was trained for 20 steps only")
    assert verdict(losses._replace(validation=[2.0, 2.1])).startswith("It fits too much")
