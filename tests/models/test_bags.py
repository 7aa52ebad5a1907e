"""Rivals that read symbols in no order, against their sums in NumPy and optima that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from recurra.models import BagOfSymbols, Majority, MeanOfVectors
from recurra.models.bags import _counted, _descend

ROWS = [np.array(row, np.uint16) for row in ([3, 4, 4], [], [5], [3, 3, 5, 6], [4])]
LABELS = np.array([0, 1, 1, 2, 0])


def examples(count: int, seed: int = 0) -> tuple[list[Any], Any]:
    """Rows of three symbols of twelve; the smallest one says the class, nine times of ten."""
    draw = np.random.default_rng(seed)
    rows = list(draw.integers(0, 12, (count, 3)))
    labels = np.array([int(row.min() > 2) for row in rows])
    return rows, np.where(draw.random(count) < 0.9, labels, 1 - labels)


def test_majority() -> None:
    said = Majority.fit(LABELS, 4).log_probabilities(ROWS).exp()
    assert said.shape == (5, 4)
    assert said[2].tolist() == pytest.approx([3 / 9, 3 / 9, 2 / 9, 1 / 9])


def test_what_a_bag_says_by_hand() -> None:
    torch.manual_seed(0)
    rarity = torch.rand(7, dtype=torch.float64)
    bag = BagOfSymbols(torch.randn(7, 3).double(), torch.randn(3).double(), rarity)
    for row, said in zip(ROWS, bag.log_probabilities(ROWS), strict=True):
        x = np.log1p(np.bincount(row, minlength=7)) * rarity.numpy()
        x /= max(np.linalg.norm(x), 1e-12)
        z = x @ bag.weight.numpy() + bag.bias.numpy()
        assert said.tolist() == pytest.approx((z - np.log(np.exp(z).sum())).tolist(), rel=1e-9)
    assert bag.log_probabilities([]).shape == (0, 3)


def test_a_bag_is_at_the_least_loss() -> None:
    """There the gradient of loss and penalty, by torch itself, is zero."""
    rows, labels = examples(60)
    zero = BagOfSymbols(
        torch.zeros(12, 2).double(), torch.zeros(2).double(), torch.ones(12).double()
    )
    read = zero._weighted(_counted(rows))
    answers = torch.from_numpy(labels)
    weight, bias = _descend(zero, read, read.transposed(12), answers, 1.0)
    weight.requires_grad_(), bias.requires_grad_()
    said = BagOfSymbols(weight, bias, zero.rarity).log_probabilities(rows)
    nats = -said.gather(1, answers.unsqueeze(1)).mean()
    (nats + weight.square().sum() / 2 / 60).backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert weight.grad.abs().max() < 1e-5 < weight.detach().abs().max()
    assert bias.grad.abs().max() < 1e-5


@pytest.mark.parametrize("kind", [BagOfSymbols, MeanOfVectors])
def test_what_they_learn(kind: Any) -> None:
    rows, labels = examples(600)
    held = examples(200, 1)
    state = torch.get_rng_state()
    made = kind.fit(rows, labels, held, symbols=12, classes=2)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's draws change
    others, answers = examples(500, 2)
    said = made.log_probabilities(others)
    assert said.exp().sum(1).tolist() == pytest.approx([1] * 500)
    assert (said.argmax(1).numpy() == answers).mean() > 0.8
    again = kind.fit(rows, labels, held, symbols=12, classes=2)
    arrays = made.arrays()
    assert all(torch.equal(value, arrays[name]) for name, value in again.arrays().items())
    read = kind.from_arrays({name: value.clone() for name, value in arrays.items()})
    assert torch.equal(read.log_probabilities(others), said)


@pytest.mark.parametrize("kind", [BagOfSymbols, MeanOfVectors])
def test_rows_without_symbols(kind: Any) -> None:
    made = kind.fit(ROWS, LABELS, (ROWS, LABELS), symbols=7, classes=3)
    said = made.log_probabilities([ROWS[1], ROWS[1]])
    assert said.isfinite().all()
    assert torch.equal(said[0], said[1])
    assert not math.isnan(float(made.log_probabilities(ROWS).sum()))
