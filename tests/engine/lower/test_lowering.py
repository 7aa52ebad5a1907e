"""From a recording to a graph: what a rule cannot take is refused by name and line."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recurra
import recurra_runtime
from recurra.engine import explain
from recurra.engine.lower.rules import TABLE

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


class Sine(recurra.Cell):
    """h' = sin(x + h)."""

    def __init__(self) -> None:
        super().__init__(3, 3)

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.sin(x + state.h)
        return h, recurra.HiddenState(h)


class Crossed(Sine):
    """Its features change places with its rows."""

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        _, new = super().step(x, state)
        return new.h.repeat(1, 2).t().reshape(2, len(x), 3).sum(0), new


def test_what_moves_features_across_the_batch_is_refused_for_that() -> None:
    assert "moves features across the batch (" in str(explain(Crossed()).choices[0])


@pytest.mark.parametrize("kind", [TypeError, ValueError, IndexError, AttributeError])
def test_a_call_that_a_rule_cannot_take_is_refused_by_name_and_line(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rule(*given: Any) -> Any:
        raise kind("two numbers expected")

    monkeypatch.setitem(TABLE, "sin", rule)
    choice = explain(Sine()).choices[0]
    assert choice.backend == "loop"
    assert "sin is called in a way that has no instruction (" in str(choice)
    assert "test_lowering.py" in str(choice)
    assert "two numbers expected" in str(choice)


def test_an_error_of_a_rule_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(*given: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setitem(TABLE, "sin", rule)
    with pytest.raises(RuntimeError, match="broken"):
        explain(Sine())
