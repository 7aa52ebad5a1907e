"""A text is written by the frozen steps of its model, as long as they are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from pipeline.toys import recurrent, vocabularies
from torch import Tensor, nn

import recurra
from recurra.cells.base import HiddenState
from recurra.decoding import Frozen
from recurra.pipeline import PredictiveText, TextModel, Writer, freezing, score_lines
from recurra_runtime.vocabulary import CharacterVocabulary

VOCABULARIES = vocabularies()
SMALL = CharacterVocabulary("abc \n")


@pytest.fixture(autouse=True)
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are frozen, whether or not they are fast here."""
    monkeypatch.setattr(freezing, "native_available", lambda: True)


@contextmanager
def by_itself(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model is frozen."""
    with monkeypatch.context() as patch:
        patch.setattr(freezing, "native_available", lambda: False)
        yield


def said(model: TextModel) -> list[Any]:
    """What a model says in every way; log-probabilities are rounded."""
    writer, entry = Writer(model), PredictiveText(model)
    entry.type("the c" if len(model.vocabulary) > 20 else "ab")
    found = writer.search("", width=3, count=2, limit=6)
    shown = [*entry.suggestions(3), *entry.lines(2, limit=5)]
    return [
        "".join(writer.write(limit=12, temperature=0)),
        writer.write_several("a " if len(model.vocabulary) > 20 else "", 3, limit=9, seed=1),
        [(text.text, round(text.log_prob, 3)) for text in found],
        [(each.text, each.rest, round(each.probability, 3)) for each in shown],
        [round(score.log_prob, 3) for score in score_lines(model, ["the cat", "a"])],
    ]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", VOCABULARIES)
def test_it_says_what_the_model_says(name: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = recurrent(VOCABULARIES[name], cell=cell, tied=cell == "gru")
    assert isinstance(model.steps, Frozen)
    ours = said(model)
    with by_itself(monkeypatch):
        assert model.steps is model.model
        assert said(model) == ours


def test_it_is_frozen_once() -> None:
    model = recurrent(SMALL, dropout=0.2)
    steps = model.steps
    model.model.train()
    assert model.steps is steps
    with torch.no_grad():
        model.model.head.projection.bias[5] = torch.nan
    steps = model.steps
    assert model.steps is steps  # NaN is what it was


def _in_place(model: Any) -> None:
    model.head.projection.bias.data[5] += 8


def _by_numpy(model: Any) -> None:
    model.head.projection.bias.detach().numpy()[5] += 8


def _replaced(model: Any) -> None:
    model.head.projection.bias = nn.Parameter(torch.arange(float(len(SMALL))))


CHANGES = [_in_place, _by_numpy, _replaced]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_changed_is_frozen_anew(
    change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = recurrent(SMALL)
    before, steps = said(model), model.steps
    change(model.model)
    assert model.steps is not steps
    after = said(model)
    assert after != before
    with by_itself(monkeypatch):
        assert said(model) == after


class Bent(recurra.Cell):
    """A cell whose equation an attribute decides."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read, self.bend = nn.Linear(input_size + hidden_size, hidden_size), 1.0

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(torch.zeros(batch, self.output_size))

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.sin(self.bend * self.read(torch.cat([x, state.h], 1)))
        return h, HiddenState(h)


class Looking(Bent):
    """A cell that looks at its numbers: it cannot be recorded."""

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        y, state = super().step(x, state)
        return (y if float(y.sum()) < 1e9 else -y), state


def with_cell(cell: type[Bent]) -> TextModel:
    torch.manual_seed(0)
    model = recurrent(SMALL)
    layer: Any = model.model.encoder.layer  # type: ignore[union-attr]
    layer.layers[0] = recurra.Recurrent(cell(6, 6))
    return model


def test_an_attribute_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_cell(Bent)
    before = said(model)
    layer: Any = model.model.encoder.layer  # type: ignore[union-attr]
    layer.layers[0].cell.bend = 5.0
    after = said(model)
    assert after != before
    with by_itself(monkeypatch):
        assert said(model) == after


def test_a_cell_that_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_cell(Looking)
    ours = said(model)
    with by_itself(monkeypatch):
        assert said(model) == ours


def _hook(model: nn.Module) -> Any:
    return model.encoder.register_forward_hook(lambda *told: None)  # type: ignore[operator, union-attr]


def _global_hook(model: nn.Module) -> Any:
    return nn.modules.module.register_module_forward_hook(lambda *told: None)


@pytest.mark.parametrize("register", [_hook, _global_hook])
def test_hooks_are_called(register: Callable[[Any], Any]) -> None:
    model = recurrent(SMALL)
    steps = model.steps
    hook = register(model.model)
    try:
        assert model.steps is model.model
    finally:
        hook.remove()
    assert isinstance(model.steps, Frozen)
    assert model.steps is not steps


def test_steps_of_ones_own_are_called() -> None:
    model = recurrent(SMALL)
    inner: Any = model.model
    inner.steps = lambda tokens, state: type(inner).steps(inner, tokens, state)
    assert model.steps is inner


def test_other_numbers_are_not_those_of_a_session() -> None:
    model = recurrent(SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.steps is model.model
    assert isinstance(model.steps, Frozen)
    model.model.to("meta")
    assert model.steps is model.model


def test_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    model = recurrent(SMALL)
    model.model.double()
    assert isinstance(model.steps, Frozen)
    ours = said(model)
    with by_itself(monkeypatch):
        assert said(model) == ours
