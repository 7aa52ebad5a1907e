"""CTC: the sum of all alignments, what fits, what does not, and padding."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import AlignmentHead, LayerOutput, PaddedSequence, ShapeError, least_steps

NAN = math.nan


def padded(*rows: Any, dtype: torch.dtype = torch.int64) -> PaddedSequence:
    return PaddedSequence.from_list([torch.tensor(row, dtype=dtype) for row in rows])


def said(lengths: list[int], labels: int, seed: int = 0) -> PaddedSequence:
    """Log-probabilities of rows, in float64."""
    torch.manual_seed(seed)
    rows = [torch.randn(n, labels + 1, dtype=torch.float64).log_softmax(-1) for n in lengths]
    return PaddedSequence.from_list(rows)


def joined(path: tuple[int, ...], blank: int) -> list[int]:
    kept = [s for at, s in enumerate(path) if not at or path[at - 1] != s]
    return [s for s in kept if s != blank]


def by_hand(logs: Tensor, text: list[int]) -> float:
    """-log of the sum over every alignment, one by one."""
    blank = logs.shape[1] - 1
    paths = itertools.product(range(blank + 1), repeat=len(logs))
    sums = [
        sum(float(logs[t, s]) for t, s in enumerate(path))
        for path in paths
        if joined(path, blank) == text
    ]
    return -float(torch.tensor(sums, dtype=torch.float64).logsumexp(0))


def test_the_loss_is_the_sum_over_all_alignments() -> None:
    texts = [[0, 1], [1, 1], [], [0]]
    logs = said([4, 5, 3, 1], 2)
    total, count = AlignmentHead(3, 2).double().score(logs, padded(*texts))
    wanted = sum(by_hand(row, text) for row, text in zip(logs.to_list(), texts, strict=True))
    assert float(total) == pytest.approx(wanted, abs=1e-12)
    assert count == 5


def test_gradients_are_those_of_finite_differences() -> None:
    head = AlignmentHead(3, 2).double()
    outputs = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)

    def loss(values: Tensor) -> Tensor:
        rows = PaddedSequence(values, torch.tensor([5, 3]))
        read = LayerOutput(rows, values[0], None)
        return head.loss(read, padded([0, 1, 1], [1]))[0]

    assert torch.autograd.gradcheck(loss, [outputs])


def test_padding_that_holds_nan_changes_neither_loss_nor_gradient() -> None:
    head, results = AlignmentHead(3, 2), []
    torch.manual_seed(0)
    values = torch.randn(5, 3, 3)
    for fill in (0.0, NAN):
        outputs = values.clone()
        outputs[3:, 0] = fill
        outputs.requires_grad_()
        targets = padded([0, 1], [1, 0, 1], [0])
        targets.values[2:, 0] = 0 if fill == 0 else 99
        head.zero_grad()
        read = LayerOutput(PaddedSequence(outputs, torch.tensor([3, 5, 5])), outputs[0], None)
        total, count = head.loss(read, targets)
        total.backward()
        assert head.projection.weight is not None
        assert outputs.grad is not None
        results.append((total.detach(), count, head.projection.weight.grad, outputs.grad))
    for plain, other in zip(*results, strict=True):
        torch.testing.assert_close(plain, other, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("steps", "text", "fits"),
    [
        (3, [0, 1, 0], True),
        (2, [0, 1, 0], False),
        (2, [0, 0], False),  # a blank stands between
        (3, [0, 0], True),
        (4, [0, 0, 0], False),
        (0, [0], False),
        (0, [], True),
        (5, [0, -1], False),  # a symbol that nobody has a name for
    ],
)
def test_what_cannot_be_said_is_in_no_loss(steps: int, text: list[int], fits: bool) -> None:
    head = AlignmentHead(3, 2)
    logs, targets = said([steps, 4], 2), padded(text, [1])
    assert head.fits(logs, targets).tolist() == [fits, True]
    total, count = head.score(logs, targets)
    alone = by_hand(logs.to_list()[1], [1])
    own = by_hand(logs.to_list()[0], text) if fits and steps else 0.0
    assert float(total) == pytest.approx(own + alone, abs=1e-12)
    assert count == 1 + (len(text) if fits else 0)


def test_nothing_that_fits_has_a_loss_of_0_that_can_be_derived() -> None:
    head = AlignmentHead(3, 2)
    outputs = torch.randn(2, 1, 3, requires_grad=True)
    total, count = head.loss(LayerOutput(outputs, outputs[-1], None), padded([0, 0]))
    total.backward()
    assert (float(total.detach()), count) == (0.0, 0)
    assert outputs.grad is not None
    assert not outputs.grad.any()


def test_least_steps_counts_repeats_within_a_row_alone() -> None:
    targets = padded([0, 0, 1], [1, 1], [])
    assert least_steps(targets).tolist() == [4, 3, 0]


def test_it_begins_with_the_frequencies_and_the_blank_for_the_rest() -> None:
    head = AlignmentHead(3, 2)
    head.starts_at(torch.tensor([30, 10]), 100)
    torch.testing.assert_close(head.projection.bias.softmax(0), torch.tensor([0.3, 0.1, 0.6]))
    with pytest.raises(ShapeError, match="counts of 2 symbols"):
        head.starts_at(torch.tensor([1]), 100)


def test_targets_that_are_none_are_refused() -> None:
    head = AlignmentHead(3, 2)
    with pytest.raises(ShapeError, match="symbols below 2, which is the blank, got 2"):
        head.score(said([4], 2), padded([0, 2]))
    with pytest.raises(ShapeError, match=r"\[symbols, batch\].*got \[2, 1, 1\]"):
        head.score(said([4], 2), torch.zeros(2, 1, 1))
    with pytest.raises(ShapeError, match=r"got \[1, 2\] beside \[4, 1, 3\]"):
        head.score(said([4], 2), padded([0], [1]))
