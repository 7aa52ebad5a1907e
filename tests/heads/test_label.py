"""One label for a row: what each pool makes of its steps, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recurra.errors import SettingError, ShapeError
from recurra.heads import LabelHead, LabelsHead
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence

LENGTHS = [3, 0, 1]


def result(fill: float = math.nan) -> LayerOutput:
    """Outputs ``[4, 3, 2]`` with something behind each row, and other numbers as their last."""
    values = torch.randn(4, 3, 2, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        values[length:, row] = fill
    last = torch.randn(3, 2, dtype=torch.float64)
    return LayerOutput(PaddedSequence(values, LENGTHS), last, None)


def pooled_by_hand(head: LabelHead, steps: Tensor) -> list[float]:
    """Of one row ``[steps, 2]`` in Python."""
    columns = list(zip(*steps.tolist(), strict=True))
    if not columns:
        return [0.0, 0.0]
    if head.pooling.pool == "max":
        return [max(column) for column in columns]
    shares = [1 / len(steps)] * len(steps)
    if head.pooling.attention is not None:
        first, _, second = head.pooling.attention
        looked = []
        for y in steps.tolist():
            hidden = [
                math.tanh(sum(w * x for w, x in zip(row, y, strict=True)) + b)
                for row, b in zip(first.weight.tolist(), first.bias.tolist(), strict=True)
            ]
            weights = second.weight.tolist()[0]
            looked.append(math.exp(sum(u * h for u, h in zip(weights, hidden, strict=True))))
        shares = [one / sum(looked) for one in looked]
    return [sum(s * x for s, x in zip(shares, column, strict=True)) for column in columns]


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_pools(pool: str) -> None:
    head = LabelHead(2, 3, pool).double()
    read = result()
    got = head.pooling(read)
    for row, steps in enumerate(read.outputs.to_list()):
        assert got[row].tolist() == pytest.approx(pooled_by_hand(head, steps), rel=1e-12)
    # A tensor has no padding: all of its steps count.
    plain = torch.randn(4, 1, 2, dtype=torch.float64)
    got = head.pooling(LayerOutput(plain, torch.zeros(1, 2), None))
    assert got[0].tolist() == pytest.approx(pooled_by_hand(head, plain[:, 0]), rel=1e-12)


def test_last_is_the_layers_own() -> None:
    read = result()
    assert torch.equal(LabelHead(2, 3).double().pooling(read), read.last)


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
def test_no_steps_at_all(pool: str) -> None:
    """Then a head says what its bias does, and learns that alone."""
    head = LabelHead(2, 3, pool).double()
    head.starts_at([5, 1, 0])
    nothing = torch.zeros(0, 2, 2, dtype=torch.float64, requires_grad=True)
    for outputs in (nothing, PaddedSequence(nothing, [0, 0])):
        said = head(LayerOutput(outputs, torch.zeros(2, 2, dtype=torch.float64), None))
        assert said.softmax(-1)[0].tolist() == pytest.approx([6 / 9, 2 / 9, 1 / 9])
        head.score(said, torch.tensor([0, 1]))[0].backward()
        assert head.projection.bias.grad.isfinite().all()
        assert not head.projection.weight.grad.any()


def test_score_is_nats_summed_over_rows() -> None:
    scores = torch.randn(3, 4, dtype=torch.float64)
    total, count = LabelHead(2, 4).score(scores, torch.tensor([2, 0, 3]))
    want = sum(
        math.log(sum(math.exp(z) for z in row)) - row[label]
        for row, label in zip(scores.tolist(), [2, 0, 3], strict=True)
    )
    assert (total.item(), count) == (pytest.approx(want, rel=1e-12), 3)
    empty, count = LabelHead(2, 4).score(scores[:0], torch.zeros(0, dtype=torch.int64))
    assert (empty.item(), count) == (0, 0)


def test_dropout_is_on_the_pooled_vector_in_training_only() -> None:
    head = LabelHead(1000, 1, dropout=0.25).double()
    head.projection.weight.data[:] = 1
    read = LayerOutput(None, torch.ones(8, 1000, dtype=torch.float64), None)
    assert (head.eval()(read) == 1000).all()
    kept = head.train()(read) * 0.75
    assert 600 < kept.min() < kept.max() < 900


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(SettingError, match="pool: did you mean 'mean'"):
        LabelHead(2, 3, "meen")  # type: ignore[arg-type]
    head = LabelHead(2, 3)
    with pytest.raises(ShapeError, match="a class for each of 4 rows, got targets \\[3\\]"):
        head.score(torch.zeros(4, 3), torch.zeros(3, dtype=torch.int64))
    for wrong in (3, -2, -100):  # torch would leave out the last without a word
        with pytest.raises(ShapeError, match=f"expected targets 0 to 2, got {wrong}"):
            head.score(torch.zeros(2, 3), torch.tensor([0, wrong]))
    total, count = head.score(torch.zeros(2, 3), torch.tensor([0, -1]))  # -1 takes no part
    assert (float(total), count) == (pytest.approx(math.log(3)), 1)
    with pytest.raises(ShapeError, match=r"counts of 3 labels, got \["):
        head.starts_at([1, 2])


def test_who_knows_nothing_loses_the_log_of_the_number_of_labels() -> None:
    label, labels = LabelHead(4, 3), LabelsHead(4, 7)
    assert label.reference == math.log(3)
    assert labels.reference == math.log(7)
    total, count = label.score(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1]))
    assert float(total) / count == pytest.approx(label.reference)
