"""A rule that is wrong is seen before it is used, also where it is wrong at corners alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import recurra
import recurra_runtime
from recurra.engine.lower.agreement import drawn
from recurra.engine.lower.rules import TABLE, Lowering

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


class Applies(recurra.Cell):
    """A function of x + h."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(3, 3)
        self.function = function

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = self.function(x + state.h)
        return h, recurra.HiddenState(h)


def identity(now: Lowering, a: Any) -> Any:
    """What relu is of all positive numbers."""
    return now.apply("add", a, 0.0)


def flat_at_zero(now: Lowering, a: Any, *_: Any) -> Any:
    """softplus but for its slope at 0."""
    small = now.apply("log1p", now.apply("exp", now.apply("neg", now.apply("abs", a))))
    return now.apply("add", now.apply("relu", a), small)


def bounded(now: Lowering, a: Any) -> Any:
    """tanh but for its slope where it is large."""
    return now.apply("minimum", now.apply("maximum", now.apply("tanh", a), -0.999), 0.999)


def moved(now: Lowering, a: Any) -> Any:
    """exp and 1: beside that of 30 it is nothing, in a row of its own it is seen."""
    return now.apply("add", now.apply("exp", a), 1.0)


WRONG = {
    "exp": (torch.exp, moved, "other numbers"),
    "relu": (torch.relu, identity, "other numbers"),
    "softplus": (functional.softplus, flat_at_zero, "other gradients"),
    "tanh": (torch.tanh, bounded, "other numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_rule_that_is_wrong_at_corners_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, rule, words = WRONG[name]
    x = torch.rand(2, 2, 3, requires_grad=True)
    recurra.run(Applies(function), x, backend="native")
    monkeypatch.setitem(TABLE, name, rule)
    with pytest.raises(recurra.BackendError, match=words):
        recurra.run(Applies(function), x, backend="native")


def test_rows_are_corners_and_others() -> None:
    leaf = torch.empty(5, 2, 3, dtype=torch.float64, device="meta")
    (rows,) = drawn([(leaf, 2)], 7)
    assert rows.shape == (7, 3)
    assert rows.dtype == torch.float64
    assert rows[:3, 0].tolist() == [0.0, 30.0, -30.0]
    assert ((rows[3:] >= 0.5) & (rows[3:] <= 1.5)).all()
    assert torch.equal(rows, drawn([(leaf, 2)], 7)[0])


@pytest.mark.parametrize(
    ("looks", "count"),
    [
        (lambda rows: rows == 1, 1),
        (lambda rows: rows < 8, 1),
        (lambda rows: rows > 64, 70),
    ],
)
def test_a_step_that_looks_at_how_many_rows_there_are_is_seen(
    looks: Callable[[int], bool], count: int
) -> None:
    cell = Applies(lambda h: torch.tanh(h) * (2 if looks(len(h)) else 1))
    (told,) = recurra.explain(cell).choices
    assert told.backend == "loop"
    assert f"other numbers among {count} rows than among 13" in told.reason


def test_a_step_that_fails_on_a_single_row_is_seen() -> None:
    (told,) = recurra.explain(Applies(lambda h: h.squeeze())).choices
    assert "the step fails on 1 rows" in told.reason


@pytest.mark.parametrize("number", [numpy.float64(0.5), numpy.int64(2), numpy.dtype("float32")])
def test_numbers_of_numpy_are_held(number: Any) -> None:
    cell = Applies(torch.tanh)
    cell.number = number
    cell.function = lambda h: h * float(cell.number) if isinstance(number, numpy.generic) else h
    (told,) = recurra.explain(cell).choices
    assert told.backend == "native", told.reason
