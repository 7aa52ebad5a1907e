"""A language model that is given something beside every symbol: a topic, an author."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import torch

from recurra import artifact
from recurra.batch import Batch, Tokens
from recurra.data import (
    END,
    START,
    Buckets,
    CharacterVocabulary,
    LabelVocabulary,
    Windows,
    document_batches,
)
from recurra.decoding import beam_search, generate, generate_batch
from recurra.encoders import TokenEncoder
from recurra.errors import SettingError, ShapeError
from recurra.layers import TokenEmbedding
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.sequences import PaddedSequence
from recurra.states import select_rows

EXACT = 1e-9  # in float64, in relation to the total

SIZE = 7
CONDITIONS = {"topic": 5, "author": 6}  # not in the order of the alphabet


def make(conditions: dict[str, int] | None = None, **settings: Any) -> LanguageModel:
    """Random weights, large enough for what is given to matter."""
    torch.manual_seed(0)
    config = LanguageModelConfig(
        vocabulary_size=SIZE,
        hidden_size=6,
        condition_size=3,
        conditions=CONDITIONS if conditions is None else conditions,
        **settings,
    )
    model = LanguageModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    return model


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return make()


@pytest.fixture(scope="module")
def documents() -> list[np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    return [draw.choice([0, 3, 4, 5], length) for length in (6, 0, 1, 13, 7, 2, 0, 20)]


@pytest.fixture(scope="module")
def given() -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(1)
    return np.stack([draw.integers(0, 5, 8), draw.integers(0, 6, 8)], 1)


@torch.no_grad()
def one_by_one(model: LanguageModel, documents: list[Any], given: Any) -> tuple[float, int]:
    """The definition: each next symbol's probability, step by step."""
    total, count = 0.0, 0
    for document, told in zip(documents, torch.from_numpy(given), strict=True):
        state = model.start(1, told[None])
        for read, following in zip([START, *document], [*document, END], strict=True):
            log_probs, state = model.step(torch.tensor([read]), state)
            total, count = total - float(log_probs[0, following]), count + 1
    return total, count


@pytest.mark.parametrize("rows", [1, 3, 32])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_scores_are_those_of_single_steps(
    model: LanguageModel, documents: list[Any], given: Any, rows: int, size: int
) -> None:
    want, symbols = one_by_one(model, documents, given)
    batches = document_batches(documents, rows=rows, size=size, given=given)
    total, count = model.score(batches)
    assert count == symbols == sum(map(len, documents)) + len(documents)
    assert total == pytest.approx(want, rel=EXACT)
    total, count = model.score([Windows(documents, rows=1, size=size, given=given)])
    assert (total, count) == (pytest.approx(want, rel=EXACT), symbols)
    buckets = Buckets(documents, rows=rows, given=given)
    total, count = model.score([buckets.batch(n)] for n in range(len(buckets)))
    assert (total, count) == (pytest.approx(want, rel=EXACT), symbols)


def test_what_is_given_matters(model: LanguageModel, documents: list[Any], given: Any) -> None:
    right, _ = one_by_one(model, documents, given)
    for column in (0, 1):
        other = given.copy()
        other[:, column] = np.roll(other[:, column], 1)
        wrong, _ = model.score(document_batches(documents, given=other))
        assert abs(wrong - right) > 1e-3 * right
    swapped, _ = model.score(document_batches(documents, given=given[:, ::-1].clip(max=4)))
    assert abs(swapped - right) > 1e-3 * right


def test_every_condition_is_trained(documents: list[Any], given: Any) -> None:
    model = make().train()
    buckets = Buckets(documents, rows=8, given=given)
    model.loss(buckets.batch(0)).backward()
    for number, embedding in enumerate(model.encoder.conditions):
        moved = embedding.weight.grad.abs().sum(1) > 0
        assert set(moved.nonzero().flatten().tolist()) == set(given[:, number].tolist())


# ------------------------------------------------------------------------------------- wrong use

IDS = torch.full((4, 2), 3)
TOLD = torch.zeros(4, 2, 2, dtype=torch.int64)
PADDED = PaddedSequence(IDS, torch.tensor([4, 2]))
PADDED_TOLD = PaddedSequence(TOLD, torch.tensor([4, 2]))


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        (IDS, "got none"),
        (PADDED, "got none"),
        (Tokens(IDS, None), "got none"),
        (Tokens(IDS, TOLD[..., :1]), r"got a tensor \[4, 2, 1\]"),
        (Tokens(IDS, TOLD[0]), r"got a tensor \[2, 2\]"),
        (Tokens(IDS, TOLD[:3]), r"got a tensor \[3, 2, 2\]"),
        (Tokens(IDS, TOLD[:, :1]), r"got a tensor \[4, 1, 2\]"),
        (Tokens(IDS, PADDED_TOLD), "got a PaddedSequence"),
        (Tokens(PADDED, TOLD), "got a tensor"),
    ],
)
def test_wrong_conditions_are_said(model: LanguageModel, inputs: Any, got: str) -> None:
    message = rf"given a (tensor|PaddedSequence) \[4, 2, 2\] .*{got}.*given=.*start\(batch, given\)"
    with pytest.raises(ShapeError, match=message):
        model.predict(Batch(inputs, None))


def test_other_lengths_are_said(model: LanguageModel) -> None:
    told = PaddedSequence(TOLD, torch.tensor([4, 3]))
    with pytest.raises(ShapeError, match=r"the same lengths, got \[4, 2\] and \[4, 3\]"):
        model.predict(Batch(Tokens(PADDED, told), None))


def test_a_label_that_is_not_there(model: LanguageModel) -> None:
    with pytest.raises(ShapeError, match="expected 0 to 4, got 5"):
        model.predict(Batch(Tokens(IDS, TOLD + 5), None))


@pytest.mark.parametrize("told", [None, torch.zeros(2, 2), torch.zeros(3, 1), torch.zeros(2)])
def test_a_start_needs_conditions(model: LanguageModel, told: Any) -> None:
    got = "none" if told is None else str(list(told.shape)).replace("[", r"\[")
    message = rf"given: expected ids \[3, 2\] \(topic, author\), got {got}.*start\(batch, given\)"
    with pytest.raises(ShapeError, match=message):
        model.start(3, told)


def test_a_model_without_conditions_takes_none() -> None:
    plain = make({})
    with pytest.raises(ShapeError, match=r"no conditions, got some \[4, 2, 2\].*ids alone"):
        plain.predict(Batch(Tokens(IDS, TOLD), None))
    with pytest.raises(ShapeError, match=r"expected ids \[2, 0\] \(none\), got \[2, 1\]"):
        plain.start(2, torch.zeros(2, 1, dtype=torch.int64))
    assert plain.start(2).given is None
    same = plain.predict(Batch(Tokens(IDS, None), None))
    assert torch.equal(same, plain.predict(Batch(IDS, None)))


def test_widths_that_do_not_join(model: LanguageModel) -> None:
    with pytest.raises(SettingError, match="the embedding gives 6 numbers, the layer reads 12"):
        TokenEncoder(TokenEmbedding(SIZE, 6), model.encoder.layer)


@pytest.mark.parametrize(
    "conditions", [{"a": 0}, {"a": "3"}, [["a"]], [1], [["a", 3, 4]], "a", {"a": True}]
)
def test_conditions_that_are_none(conditions: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        LanguageModelConfig(vocabulary_size=3, conditions=conditions)


# -------------------------------------------------------------------------------------- decoding


def test_a_text_goes_on_from_what_is_given(model: LanguageModel) -> None:
    def written(topic: int, **how: Any) -> list[int]:
        state = model.start(1, torch.tensor([[topic, 2]]))
        return list(generate(model, [START], limit=12, state=state, seed=3, **how))

    texts = [written(topic) for topic in range(5)]
    assert len({tuple(text) for text in texts}) > 1
    state = model.start(5, torch.tensor([[topic, 2] for topic in range(5)]))
    together = generate_batch(model, [[START]] * 5, limit=12, state=state, seed=3)
    assert together[0] == texts[0]
    # The likeliest next symbol, asked one by one.
    for topic in range(5):
        state, read, want = model.start(1, torch.tensor([[topic, 2]])), START, []
        with torch.no_grad():
            for _ in range(12):
                log_probs, state = model.step(torch.tensor([read]), state)
                read = int(log_probs.argmax())
                want.append(read)
        assert written(topic, temperature=0) == want


def test_a_search_keeps_what_is_given(model: LanguageModel) -> None:
    state = model.start(1, torch.tensor([[3, 4]]))
    (found,) = beam_search(model, [START], width=3, end=END, limit=6, state=state)
    following = [*found.symbols, *([END] if found.finished else [])]
    total = 0.0
    with torch.no_grad():
        for read, symbol in zip([START, *found.symbols], following, strict=False):
            log_probs, state = model.step(torch.tensor([read]), state)
            total += float(log_probs[0, symbol])
    assert following
    assert found.log_prob == pytest.approx(total, rel=1e-6)


def test_rows_of_a_state_are_selected_with_what_is_given(model: LanguageModel) -> None:
    with torch.no_grad():
        told = torch.tensor([[0, 1], [2, 3], [4, 5]])
        _, state = model.step(torch.tensor([3, 4, 5]), model.start(3, told))
        chosen = select_rows(state, torch.tensor([2, 0]))
        assert chosen.given.tolist() == [[4, 5], [0, 1]]
        both, _ = model.step(torch.tensor([3, 4]), chosen)
        _, lone = model.step(torch.tensor([5]), model.start(1, told[2:]))
        alone, _ = model.step(torch.tensor([3]), lone)
    torch.testing.assert_close(both[:1], alone)


def test_the_start_without_conditions_is_refused_by_decoding(model: LanguageModel) -> None:
    with pytest.raises(ShapeError, match=r"topic, author\), got none"):
        next(iter(generate(model, [START])))


# ----------------------------------------------------------------------------------------- disk


def test_save_and_load(
    model: LanguageModel, documents: list[Any], given: Any, tmp_path: Path
) -> None:
    words = {
        "text": CharacterVocabulary("abcd"),
        "topic": LabelVocabulary(["war", "peace"]),
        "author": LabelVocabulary(["Lev", "Fyodor", "Anton"]),
    }
    artifact.save(tmp_path / "model", model, words, "language-model")
    loaded = artifact.load(tmp_path / "model")
    # A JSON object has no order; ids, embeddings and names do.
    assert loaded.model.conditions == model.conditions == ("topic", "author")
    assert loaded.model.config == model.config
    assert {name: known.to_json() for name, known in loaded.fronts.items()} == {
        name: known.to_json() for name, known in words.items()
    }
    score = model.score(document_batches(documents, given=given))
    assert loaded.model.score(document_batches(documents, given=given)) == score
    told = json.loads((tmp_path / "model" / "config.json").read_text())
    assert told["model"]["conditions"] == [["topic", 5], ["author", 6]]


def test_a_config_is_read_back_from_what_it_says(model: LanguageModel) -> None:
    again = LanguageModelConfig.model_validate(json.loads(model.config.model_dump_json()))
    assert again == model.config
    assert list(again.conditions) == ["topic", "author"]
