"""Dropout of every kind: what it leaves out, when, and what the rest becomes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.cells import GRUCell, WeightDrop
from recurra.errors import SettingError
from recurra.layers import Projection, Recurrent, Stack, TokenEmbedding
from recurra.layers.dropout import dropout, word_dropout
from recurra.masks import mask_like
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.sequences import PaddedSequence

ONES = torch.ones(6, 4, 50)
LENGTHS = torch.tensor([6, 3, 0, 1])


def padded() -> PaddedSequence:
    """Ones, and NaN where nothing may be read."""
    values = ONES.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        values[length:, row] = float("nan")
    return PaddedSequence(values, LENGTHS)


def drawn(values: Any, rate: float, **how: Any) -> Any:
    torch.manual_seed(0)
    return dropout(values, rate, True, **how)


@pytest.mark.parametrize("held", [False, True])
def test_some_elements_are_left_out_and_the_rest_is_scaled(held: bool) -> None:
    made = drawn(torch.ones(40, 30, 20), 0.25, held=held)
    assert set(made.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    # Held masks are 600 draws, the others 24,000: four deviations.
    deviation = (0.25 / 0.75 / (600 if held else 24_000)) ** 0.5
    assert abs(float(made.mean()) - 1) < 4 * deviation


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("values", [ONES, padded()], ids=["tensor", "padded"])
def test_no_dropout(values: Any, held: bool) -> None:
    assert dropout(values, 0.5, False, held=held) is values
    assert dropout(values, 0.0, True, held=held) is values


def test_a_held_mask_is_the_same_at_every_step() -> None:
    made = drawn(ONES, 0.5, held=True)
    assert torch.equal(made, made[:1].expand_as(made))
    assert all(not torch.equal(made[0, 0], made[0, row]) for row in range(1, 4))
    free = drawn(ONES, 0.5)
    assert all(not torch.equal(free[0], free[step]) for step in range(1, 6))
    # Another call is another window: another mask.
    assert not torch.equal(made, dropout(ONES, 0.5, True, held=True))
    assert torch.equal(ONES, torch.ones_like(ONES))


@pytest.mark.parametrize("held", [False, True])
def test_padded_rows_keep_their_lengths_and_padding_touches_nothing(held: bool) -> None:
    made = drawn(padded(), 0.5, held=held)
    assert torch.equal(made.lengths, LENGTHS)
    rows = made.to_list()
    assert [len(row) for row in rows] == LENGTHS.tolist()
    assert all(set(row.unique().tolist()) <= {0.0, 2.0} for row in rows)
    assert torch.equal(rows[0], rows[0][:1].expand(6, -1)) == held
    assert not torch.equal(rows[0][0], rows[1][0])


def test_gradients_go_where_values_went() -> None:
    values = ONES.clone().requires_grad_()
    made = drawn(values, 0.5, held=True)
    made.sum().backward()
    assert torch.equal(values.grad, made.detach())


# ----------------------------------------------------------------------------------------- words


def test_whole_symbols_are_left_out_in_all_of_a_call() -> None:
    table = torch.randn(400, 3, generator=torch.Generator().manual_seed(1)) + 5
    torch.manual_seed(0)
    made = word_dropout(table, 0.25, True)
    kept = made[:, 0] != 0
    assert torch.equal(made[~kept], torch.zeros(int((~kept).sum()), 3))
    torch.testing.assert_close(made[kept], table[kept] / 0.75)
    assert abs(float(kept.float().mean()) - 0.75) < 4 * (0.25 * 0.75 / 400) ** 0.5
    assert word_dropout(table, 0.25, False) is table
    assert word_dropout(table, 0.0, True) is table


def test_an_embedding_leaves_out_the_same_symbols_everywhere() -> None:
    embedding = TokenEmbedding(20, 3, word_dropout=0.5)
    ids = torch.randint(20, (30, 5), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    vectors = embedding(ids)
    for symbol in range(20):
        own = vectors[ids == symbol]
        assert torch.equal(own, own[:1].expand_as(own))
        whole = embedding.weight[symbol]
        assert torch.equal(own[0], torch.zeros(3)) or torch.allclose(own[0], 2 * whole)
    assert 0 < int((vectors == 0).all(-1).sum()) < ids.numel()
    again = embedding(PaddedSequence(ids, torch.full((5,), 30)))
    assert not torch.equal(again.values, vectors)
    assert torch.equal(embedding.eval()(ids), embedding.weight[ids])


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), "0.5"])
def test_rates_out_of_range(rate: Any) -> None:
    for make in (
        lambda: TokenEmbedding(5, 3, dropout=rate),
        lambda: TokenEmbedding(5, 3, word_dropout=rate),
        lambda: Projection(3, 5, dropout=rate),
    ):
        with pytest.raises(SettingError, match="dropout"):
            make()
    for part in (lambda: TokenEmbedding(5, 3, held=1), lambda: Projection(3, 5, held=None)):  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="held"):
            part()


# -------------------------------------------------------------------------------- where it stands


@pytest.mark.parametrize("held", [False, True])
def test_held_between_layers(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    stack = Stack([Recurrent(GRUCell(4, 8)), Recurrent(GRUCell(8, 8))], dropout=0.5, held=held)
    above, seen = stack.layers[1], []
    inner = above.through_time

    def watched(inputs: Any, *others: Any) -> Any:
        seen.append(inputs == 0)
        return inner(inputs, *others)

    monkeypatch.setattr(above, "through_time", watched)
    stack(torch.randn(5, 3, 4))
    (mask,) = seen
    assert 0.2 < float(mask.float().mean()) < 0.8
    assert bool((mask == mask[:1]).all()) == held
    assert not torch.equal(mask[0, 0], mask[0, 1])
    stack.eval()(torch.randn(5, 3, 4))
    assert not bool(seen[1].any())
    assert ("held=True" in repr(stack)) == held


KINDS: dict[str, dict[str, Any]] = {
    "all three": {"dropout": 0.5},
    "input": {"dropout_input": 0.5},
    "between": {"dropout_between": 0.5},
    "output": {"dropout_output": 0.5},
    "word": {"dropout_word": 0.5},
    "recurrent": {"dropout_recurrent": 0.5},
    "held": {"dropout": 0.5, "held": True},
}


def model_of(**settings: Any) -> LanguageModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"layers": 2, "hidden_size": 8, "vocabulary_size": 9}
    return LanguageModel(LanguageModelConfig(**sizes, **settings))


IDS = torch.randint(9, (12, 5), generator=torch.Generator().manual_seed(3))


def scores(model: LanguageModel) -> Tensor:
    with torch.no_grad():  # as the model is: predict would evaluate
        found: Tensor = model._predictions(Batch(IDS, None), None)[0]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_acts_in_training_alone(kind: str) -> None:
    model, plain = model_of(**KINDS[kind]), model_of()
    weights = {
        name.replace("parametrizations.", "").replace(".original", ""): value
        for name, value in model.state_dict().items()
    }
    plain.load_state_dict(weights)
    torch.manual_seed(1)
    first, second = scores(model), scores(model)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(scores(model), first)
    model.eval(), plain.eval()
    torch.testing.assert_close(scores(model), scores(plain), rtol=1e-6, atol=1e-7)
    assert torch.equal(scores(model), scores(model))


def test_a_rate_of_its_own_goes_before_the_common_one() -> None:
    model = model_of(dropout=0.5, dropout_input=0.0, dropout_output=0.1)
    assert model.encoder.embedding.dropout == 0
    assert model.encoder.layer.dropout == 0.5
    assert model.head.projection.dropout == 0.1
    assert [part.held for part in (model.encoder.embedding, model.encoder.layer)] == [False, False]
    held = model_of(held=True)
    assert held.encoder.embedding.held
    assert held.encoder.layer.held
    assert held.head.projection.held


def test_recurrent_dropout_is_weight_drop() -> None:
    model = model_of(dropout_recurrent=0.25)
    dropped = [name for name, part in model.named_modules() if isinstance(part, WeightDrop)]
    assert len(dropped) == 2
    assert all(".layer.layers." in name for name in dropped)
    cell = model.encoder.layer.layers[0].cell
    (name,) = cell.recurrent_parameters
    whole = cell.parametrizations[name].original
    torch.manual_seed(0)
    found = getattr(cell, name)
    kept = found != 0
    torch.testing.assert_close(found[kept], whole[kept] / 0.75)
    assert 0 < int((~kept).sum()) < kept.numel()
    assert torch.equal(getattr(cell.eval(), name), whole)


def test_a_projection_drops_before_it_scores() -> None:
    projection = Projection(50, 50, dropout=0.5, held=True)
    with torch.no_grad():
        projection.weight.copy_(torch.eye(50))
        torch.manual_seed(0)
        found = projection(ONES)
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(found, found[:1].expand_as(found))
    assert torch.equal(projection.eval()(ONES), ONES)


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.1, 0.5, 0.9, 0.995])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (401, 999)], ids=str)
def test_the_share_that_is_left_out(rate: float, shape: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    mask = mask_like(torch.ones(shape, dtype=torch.float64), rate)
    assert mask.shape == shape
    assert set(mask.unique().tolist()) <= {0.0, 1 / (1 - rate)}
    left_out = float((mask == 0).sum())
    deviation = (mask.numel() * rate * (1 - rate)) ** 0.5
    assert abs(left_out - rate * mask.numel()) <= 4 * deviation


def test_neighbors_in_a_mask_know_nothing_of_each_other() -> None:
    torch.manual_seed(4)
    mask = (mask_like(torch.ones(400_001), 0.5) == 0).double() - 0.5
    for apart in range(1, 9):
        product = (mask[:-apart] * mask[apart:]).mean() * 4
        assert abs(float(product)) < 4 / 400_000**0.5
