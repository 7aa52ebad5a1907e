"""The warning that a step runs in Python because of how it is written: when, once, and where."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import recurra
from recurra.errors import BackendError, ShapeError, SlowerWarning

X = torch.randn(4, 2, 3)


def own_cell(function: Callable[[Any], Any] = torch.linalg.svdvals) -> Any:
    """A class of cells, new at each call; by default there is no instruction for its step."""

    class Own(recurra.Cell):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.read = nn.Linear(3, 3)

        def initial_state(self, batch: int) -> recurra.HiddenState:
            return recurra.HiddenState(self.zeros(batch))

        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            h = function(self.read(x).unsqueeze(1).expand(-1, 3, 3)).reshape(-1, 3) + state.h
            return h, recurra.HiddenState(h)

    return Own


def test_it_is_said_once_of_a_class_at_the_line_that_ran_it() -> None:
    kind = own_cell()
    with pytest.warns(SlowerWarning, match=r"^Own runs step by step .*_linalg_svd.*loop") as seen:
        recurra.Recurrent(kind())(X)
    assert [warning.filename for warning in seen] == [__file__]
    silent(lambda: recurra.run(kind(), X))
    with pytest.warns(SlowerWarning, match=r"^Zoneout\(Own\) runs"):  # another class of that name
        recurra.run(recurra.Zoneout(own_cell()()), X)


def silent(call: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: recurra.run(own_cell()(), X, backend="loop"),
        lambda: recurra.Recurrent(own_cell()(), backend="loop")(X),
        lambda: recurra.run(own_cell()(), X[:1]),
        lambda: recurra.run(own_cell()(), X[:0]),
        lambda: recurra.explain(own_cell()(), X),
        lambda: recurra.named_values(recurra.Recurrent(own_cell()()), X),
        lambda: recurra.run(own_cell(lambda v: v.mean(2))(), X),  # native
        lambda: recurra.run(own_cell(lambda v: v.mean(2))().bfloat16(), X.bfloat16()),
        lambda: recurra.run(recurra.LSTMCell(3, 3, norm="layer").bfloat16(), X.bfloat16()),
    ],
    ids=["forced", "of a layer", "one step", "none", "asked", "named", "native", "type", "ours"],
)
def test_it_is_not_said(call: Callable[[], Any]) -> None:
    silent(call)


def test_a_step_that_does_not_work_says_that_alone() -> None:
    with pytest.raises((RuntimeError, ShapeError)):
        silent(lambda: recurra.run(own_cell(lambda v: v[:, :2])(), X))


def test_where_warnings_are_errors_it_stays_one() -> None:
    cell = own_cell()()
    for _ in range(2):
        with pytest.raises(SlowerWarning):
            silent(lambda: recurra.run(cell, X))


def test_what_cannot_matter_is_left_out() -> None:
    """Torch has no kernel for a cell of one's own; that is news of a cell that has a form alone."""
    assert "aten" not in str(recurra.explain(own_cell()()))
    assert "aten" not in str(recurra.explain(recurra.Zoneout(own_cell()())))
    with pytest.raises(BackendError, match="no kernel of torch computes it"):
        recurra.explain(own_cell()(), backend="aten")
    normed = recurra.LSTMCell(3, 3, norm="layer").bfloat16()
    assert "not on 'aten', because LSTMCell.torch_form() says" in str(recurra.explain(normed))
