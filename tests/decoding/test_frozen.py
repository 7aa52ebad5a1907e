"""Decoding over a session finds what decoding over the model itself finds."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from recurra.decoding import (
    Frozen,
    Hypothesis,
    beam_search_batch,
    continuations,
    generate,
    generate_batch,
    read,
)
from recurra.decoding import frozen as module
from recurra.errors import BackendError, RunError
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.states import leaves

SIZE, END = 12, 2
KINDS: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm", "layers": 2},
    "gru": {"cell": "gru"},
    "tied": {"cell": "lstm", "tied": True},
    "given": {"cell": "elman", "conditions": {"topic": 5, "author": 4}},
}
PROMPTS = [[1], [1, 5, 6, 7, 5, 9], [1, 3], [1], [1, 8, 4, 4]]


def made(kind: str, seed: int = 0, **settings: Any) -> LanguageModel:
    torch.manual_seed(seed)
    told = {"hidden_size": 7, "layers": 1} | KINDS[kind] | settings
    model = LanguageModel(LanguageModelConfig(vocabulary_size=SIZE, **told))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


def given(model: LanguageModel, rows: int) -> torch.Tensor | None:
    """Other conditions for each row."""
    if not model.conditions:
        return None
    ids = torch.arange(rows)
    return torch.stack([ids % 5, ids % 3], 1)


def frozen(model: LanguageModel) -> Frozen:
    like = model.start(1, given(model, 1))
    contexts = len(leaves((like.context, like.given)))
    return Frozen(model, lambda: model.frozen(1, given(model, 1)), like, contexts)


@pytest.mark.parametrize("few", [0, 3, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_read_by_either(kind: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", few)
    model = made(kind)
    state = model.start(len(PROMPTS), given(model, len(PROMPTS)))
    wanted, got = read(model, PROMPTS, state), read(frozen(model), PROMPTS, state)
    torch.testing.assert_close(got.log_probs, wanted.log_probs, rtol=1e-4, atol=1e-5)
    on = read(model, [[3]] * len(PROMPTS), wanted.state).log_probs
    again = read(frozen(model), [[3]] * len(PROMPTS), got.state).log_probs
    torch.testing.assert_close(again, on, rtol=1e-4, atol=1e-5)


HOW: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1e-30},
    {"end": None, "never": [5, 6]},
    {"top_k": 3, "limit": 7},
    {"top_p": 0.6, "temperature": 2.0},
    {"limit": 0},
    {"limit": 1},
]


@pytest.mark.parametrize("rows", [1, 5, 65])
@pytest.mark.parametrize("kind", KINDS)
def test_texts(kind: str, rows: int) -> None:
    model = made(kind, seed=rows)
    ours = frozen(model)
    prompts = list(itertools.islice(itertools.cycle(PROMPTS), rows))
    state = model.start(rows, given(model, rows))
    for how in HOW:
        told = {"end": END, "limit": 20, "seed": 4, "state": state} | how
        assert generate_batch(ours, prompts, **told) == generate_batch(model, prompts, **told)


def test_texts_end_at_once() -> None:
    model = made("lstm")
    with torch.no_grad():
        model.head.projection.bias[END] = 50
    assert generate_batch(frozen(model), PROMPTS, end=END) == [[]] * len(PROMPTS)


@pytest.mark.parametrize("kind", KINDS)
def test_searches(kind: str) -> None:
    model = made(kind)
    ours, state = frozen(model), model.start(len(PROMPTS), given(model, len(PROMPTS)))
    how: dict[str, Any] = {"width": 4, "keep": 3, "end": END, "limit": 9, "state": state}
    for mine, theirs in zip(
        beam_search_batch(ours, PROMPTS, **how),
        beam_search_batch(model, PROMPTS, **how),
        strict=True,
    ):
        same(mine, theirs)
    alone = model.start(1, given(model, 1))
    told: dict[str, Any] = {"ends": [END, 3], "count": 5, "limit": 6, "state": alone}
    for mine, theirs in zip(
        continuations(ours, [1, 4], **told), continuations(model, [1, 4], **told), strict=True
    ):
        assert mine.symbols == theirs.symbols
        assert mine.log_prob == pytest.approx(theirs.log_prob, abs=1e-4)


def same(mine: list[Hypothesis], theirs: list[Hypothesis]) -> None:
    assert [text.symbols for text in mine] == [text.symbols for text in theirs]
    assert [text.log_prob for text in mine] == pytest.approx(
        [text.log_prob for text in theirs], abs=1e-4
    )


def test_texts_that_grow_side_by_side_do_not_meet() -> None:
    model = made("given")
    ours = frozen(model)
    starts = [model.start(1, torch.tensor([[topic, 1]])) for topic in range(3)]
    how: dict[str, Any] = {"limit": 12, "seed": 1}
    wanted = [list(generate(model, [1], state=state, **how)) for state in starts]
    assert len(set(map(tuple, wanted))) == 3
    texts = [generate(ours, [1], state=state, **how) for state in starts]
    assert [list(each) for each in zip(*zip(*texts, strict=True), strict=True)] == wanted

    def slow() -> Any:
        """A session before whose steps other threads get their turn."""
        session = model.frozen(1, given(model, 1))
        step = session.step
        session.step = lambda ids: time.sleep(1e-4) or step(ids)  # type: ignore[method-assign]
        return session

    ours = Frozen(model, slow, model.start(1, given(model, 1)), contexts=1)
    with ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda state: list(generate(ours, [1], state=state, **how)), starts * 4)
        assert list(found) == wanted * 4


def test_a_state_is_what_it_was_after_others_went_on() -> None:
    model = made("gru")
    ours = frozen(model)
    before = read(ours, [[1, 4]], model.start(1))
    kept = before.state.rows.clone()
    first = read(ours, [[5]], before.state)
    read(ours, [[6]] * 3, model.start(3))
    again = read(ours, [[5]], before.state)
    assert torch.equal(first.log_probs, again.log_probs)
    assert torch.equal(before.state.rows, kept)


def test_what_cannot_be_frozen_takes_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", 3)
    model, asked = made("given"), []

    def refuses() -> Any:
        asked.append(1)
        raise BackendError("no")

    ours = Frozen(model, refuses, model.start(1, given(model, 1)), contexts=1)
    how = {"seed": 2, "limit": 9, "state": model.start(len(PROMPTS), given(model, len(PROMPTS)))}
    assert generate_batch(ours, PROMPTS, **how) == generate_batch(model, PROMPTS, **how)
    assert asked == [1]


@pytest.mark.parametrize("few", [0, 1000])
def test_dropout_is_off_and_nothing_else_changes(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", few)
    model = made("lstm", dropout=0.5).train()
    wanted = read(model, PROMPTS).log_probs
    got = read(frozen(model), PROMPTS).log_probs
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert model.training


def test_nan_is_refused() -> None:
    model = made("lstm")
    with torch.no_grad():
        model.head.projection.bias.fill_(torch.nan)
    with pytest.raises(RunError, match="the model gives NaN; its training went wrong"):
        list(generate(frozen(model), [1], limit=3))


def test_an_id_that_is_none_leaves_what_others_read() -> None:
    model = made("lstm")
    ours = frozen(model)
    now = read(ours, [[1]], model.start(1))
    with pytest.raises(ValueError, match="from 0 to 11"):
        ours.step(torch.tensor([SIZE]), now.state)
    wanted = read(model, [[1, 4]]).log_probs
    torch.testing.assert_close(read(ours, [[4]], now.state).log_probs, wanted, rtol=1e-4, atol=1e-5)
