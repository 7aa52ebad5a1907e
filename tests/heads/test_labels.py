"""Heads and what they are made of, against products and sums written out in Python."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.errors import SettingError, ShapeError
from recurra.heads import LabelsHead
from recurra.layers import LayerOutput, Projection, TokenEmbedding
from recurra.sequences import PaddedSequence

LENGTHS = [3, 0, 1]
VALID = [(t, b) for b, length in enumerate(LENGTHS) for t in range(length)]


def product(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [sum(w * x for w, x in zip(row, vector, strict=True)) for row in matrix]


def read(size: int) -> Tensor:
    """Outputs of a layer ``[4, 3, size]`` with NaN behind each row."""
    values = torch.randn(4, 3, size, dtype=torch.float64)
    for b, length in enumerate(LENGTHS):
        values[length:, b] = math.nan
    return values.requires_grad_()


def given(outputs: Any) -> LayerOutput:
    """A layer's result, of which the head takes the outputs alone."""
    return LayerOutput(outputs, torch.tensor(math.nan), None)


def scores_by_hand(head: LabelsHead, y: list[float], table: Tensor | None) -> list[float]:
    own = head.projection.weight
    for weight in (own, table):
        if weight is not None:
            y = product(weight.tolist(), y)
    return [z + b for z, b in zip(y, head.projection.bias.tolist(), strict=True)]


HEADS = {"own": (5, None), "tied": (5, 5), "tied, other size": (5, 2)}


def head_of(name: str) -> tuple[LabelsHead, Tensor | None]:
    size, tied = HEADS[name]
    head = LabelsHead(size, 4, tied_size=tied).double()
    torch.nn.init.normal_(head.projection.bias)
    table = None if tied is None else torch.randn(4, tied, dtype=torch.float64, requires_grad=True)
    return head, table


@pytest.mark.parametrize("name", HEADS)
def test_scores(name: str) -> None:
    head, table = head_of(name)
    values = read(5)
    predictions = head(given(PaddedSequence(values, LENGTHS)), table)
    assert isinstance(predictions, PaddedSequence)
    assert predictions.values.shape == (4, 3, 4)
    assert not predictions.values[~predictions.mask].any()
    plain = head(given(values[:1]), table)
    for t, b in VALID:
        want = scores_by_hand(head, values[t, b].tolist(), table)
        assert predictions.values[t, b].tolist() == pytest.approx(want, rel=1e-12)
        if t == 0:
            assert plain[t, b].tolist() == pytest.approx(want, rel=1e-12)
    assert head.tied_size == HEADS[name][1]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("padded", ["both", "predictions", "targets"])
def test_score_sums_nats_over_valid_steps(name: str, padded: str) -> None:
    head, table = head_of(name)
    values = read(5)
    labels = torch.randint(4, (4, 3))
    want = 0.0
    for t, b in VALID:
        z = scores_by_hand(head, values[t, b].tolist(), table)
        want += math.log(sum(map(math.exp, z))) - z[int(labels[t, b])]
    predictions = head(given(PaddedSequence(values, LENGTHS)), table)
    targets: Any = PaddedSequence(labels, LENGTHS)
    if padded == "predictions":
        targets = labels
    if padded == "targets":
        predictions = predictions.values
    total, count = head.score(predictions, targets)
    assert count == len(VALID)
    assert total.item() == pytest.approx(want, rel=1e-12)
    total.backward()
    weights = [p for p in (*head.parameters(), table) if p is not None]
    for weight in (*weights, values):
        assert weight.grad.isfinite().all()
        assert weight.grad.any()
    assert not values.grad[3:].any()


def test_score_of_plain_tensors_counts_every_step() -> None:
    head, _ = head_of("own")
    predictions = torch.zeros(3, 2, 4, dtype=torch.float64)
    total, count = head.score(predictions, torch.ones(3, 2, dtype=torch.int64))
    assert count == 6
    assert total.item() == pytest.approx(6 * math.log(4))
    empty = PaddedSequence(torch.ones(3, 2, dtype=torch.int64), [0, 0])
    total, count = head.score(predictions, empty)
    assert (total.item(), count) == (0, 0)


def test_a_tied_head_owns_no_table() -> None:
    assert [tuple(p.shape) for p in LabelsHead(5, 4, tied_size=5).parameters()] == [(4,)]
    shapes = [tuple(p.shape) for p in LabelsHead(5, 4, tied_size=2).parameters()]
    assert sorted(shapes) == [(2, 5), (4,)]
    with pytest.raises(ShapeError, match="tied, but no embedding was passed"):
        LabelsHead(5, 4, tied_size=5)(given(torch.zeros(1, 1, 5)))


def test_dropout_is_for_training_only() -> None:
    head = LabelsHead(1000, 2, dropout=0.25).double()
    head.projection.weight.data[:] = 1
    ones = torch.ones(1, 40, 1000, dtype=torch.float64)
    head.eval()
    assert (head(given(ones)) == 1000).all()
    head.train()
    kept = (head(given(ones))[0, :, 0] * 0.75).tolist()  # how many of 1000 are kept, scaled up
    seen = [round(number) for number in kept]
    assert kept == pytest.approx(seen)
    assert len(set(seen)) > 1
    assert sum(seen) / 40_000 == pytest.approx(0.75, abs=5 * math.sqrt(0.75 * 0.25 / 40_000))


@pytest.mark.parametrize("rate", [-0.1, 1.0, math.nan])
def test_rates_out_of_range(rate: float) -> None:
    for make in (
        lambda: LabelsHead(2, 3, dropout=rate),
        lambda: Projection(2, 3, dropout=rate),
        lambda: TokenEmbedding(2, 3, dropout=rate),
    ):
        with pytest.raises(SettingError, match="expected 0 <= rate < 1"):
            make()


def test_embedding_looks_up_valid_ids_alone() -> None:
    table = TokenEmbedding(6, 2).double()
    ids = torch.tensor([[4, 5], [0, 99], [4, -7]])
    vectors = table(PaddedSequence(ids, [3, 1]))
    rows = table.weight.tolist()
    assert [row.tolist() for row in vectors.to_list()] == [[rows[4], rows[0], rows[4]], [rows[5]]]
    vectors.values.sum().backward()
    assert table.weight.grad.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0], [2, 2], [1, 1]]
    assert table(torch.tensor([[3]])).tolist() == [[rows[3]]]
    for wrong in (6, -1):
        with pytest.raises(ShapeError, match=f"ids: expected 0 to 5, got {wrong}"):
            table(torch.tensor([[0, wrong]]))


# ------------------------------------------------------------------------------- before it learned


def test_a_head_starts_at_the_frequencies_of_its_labels() -> None:
    head = LabelsHead(5, 4)
    head.starts_at([6, 0, 1, 3])  # 10 seen, and one more of each
    expected = [math.log(count / 14) for count in (7, 1, 2, 4)]
    assert head.projection.bias.tolist() == pytest.approx(expected, rel=1e-6)
    said = head(given(torch.zeros(1, 1, 5))).softmax(-1).flatten().tolist()
    assert said == pytest.approx([7 / 14, 1 / 14, 2 / 14, 4 / 14], rel=1e-6)
    head.starts_at(torch.zeros(4, dtype=torch.int64))  # nothing is known: all alike
    assert head.projection.bias.tolist() == pytest.approx([-math.log(4)] * 4, rel=1e-6)
    assert head.projection.bias.requires_grad


@pytest.mark.parametrize("counts", [[1, 2, 3], [[1, 2, 3, 4]], 4])
def test_counts_are_those_of_all_labels(counts: Any) -> None:
    with pytest.raises(ShapeError, match=r"counts of 4 labels, got \["):
        LabelsHead(5, 4).starts_at(counts)
