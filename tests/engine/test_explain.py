"""What is said of cells that do not say what they read: there is no call to ask backends about."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recurra
import recurra_runtime
from recurra.engine import explain


class Silent(recurra.Cell):
    """h + x, of whatever width."""

    def __init__(self, takes_context: bool = False) -> None:
        super().__init__(None, 3)
        self.takes_context = takes_context  # type: ignore[misc]

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.tanh(x + state.h)
        return h, recurra.HiddenState(h)


class Kernel(recurra.GRUCell):
    """One that torch has a kernel for."""

    def example_input(self, batch: int) -> None:
        return None


NO_FORM = "Silent.step has no torch_form(): no kernel of torch computes it"


def unknown(name: str) -> str:
    return f"{name} does not say what it reads, so there is no step to record"


@pytest.fixture(params=["native", "pure"])
def missing(request: Any, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Why there is no machine, or None."""
    if request.param == "native" and recurra_runtime.native_available():
        return None
    monkeypatch.setattr("recurra_runtime.native_reason", lambda: "It was not built.")
    return "recurra-runtime has no native module. It was not built."


def test_the_choice_is_what_holds_for_all_calls(missing: str | None) -> None:
    (told,) = explain(Silent()).choices
    native = f"not on 'native', because {missing or unknown('Silent')}"
    assert told == recurra.Choice("", "Silent", "loop", native)
    (told,) = explain(Kernel(3, 4)).choices
    native = f"not on 'native', because {missing or unknown('Kernel')}"
    assert told == recurra.Choice("", "Kernel", "aten", native)


def test_one_that_reads_a_context_says_so(missing: str | None) -> None:
    told = explain(Silent(takes_context=True)).choices[0].reason
    reads = "Silent reads a context, and none is given (explain takes one: context=)"
    assert told == f"not on 'native', because {missing or reads}"


def test_what_is_forced_is_refused_or_taken(missing: str | None) -> None:
    for name in ("loop", "aten"):
        (told,) = explain(Kernel(3, 4), backend=name).choices
        assert told == recurra.Choice("", "Kernel", name, "it is forced")
    for backend, why in (("native", missing or unknown("Silent")), ("aten", NO_FORM)):
        with pytest.raises(recurra.BackendError) as raised:
            explain(Silent(), backend=backend)
        told = f"backend {backend!r} cannot run this call: {why}. Leave backend out."
        assert str(raised.value) == told
    with pytest.raises(recurra.BackendError, match="backend: no 'lop'; did you mean 'loop'"):
        explain(Silent(), backend="lop")


def test_a_call_that_is_given_is_asked_about() -> None:
    (told,) = explain(Silent(), torch.randn(2, 1, 3), backend="loop").choices
    assert told.backend == "loop"
    with pytest.raises(RuntimeError, match="must match the size"):
        explain(Silent(), torch.randn(2, 1, 4), backend="loop")
