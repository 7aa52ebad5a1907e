"""Losses against sums written out in Python, in double; what stands in the padding is NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import ShapeError
from recurra.losses import (
    absolute_error,
    cross_entropy,
    projected_cross_entropy,
    reduce,
    squared_error,
)
from recurra.sequences import PaddedSequence

CLASSES = 4
LENGTHS = [[3, 0, 5, 1], [2, 2], [0, 0, 0], [4], []]
REDUCTIONS = ("mean", "sum", "rows", "none")
ERRORS: dict[str, tuple[Callable[..., Any], Callable[[float], float]]] = {
    "squared": (squared_error, lambda d: d * d),
    "absolute": (absolute_error, abs),
}


def reduced(rows: list[list[float]], reduction: str) -> Any:
    """The table at the top of :mod:`recurra.losses`, by hand."""
    values = [value for row in rows for value in row]
    if reduction == "mean":
        return sum(values) / len(values) if values else 0.0
    if reduction == "sum":
        return sum(values)
    if reduction == "rows":
        return sum(map(sum, rows)) / len(rows) if rows else 0.0
    return rows


def check(got: Any, rows: list[list[float]], reduction: str) -> None:
    want = reduced(rows, reduction)
    if reduction != "none":
        assert got.shape == ()
        assert got.item() == pytest.approx(want, rel=1e-12, abs=1e-15)
        return
    assert isinstance(got, PaddedSequence)
    assert got.values.dim() == 2
    assert not got.values[~got.mask].any()
    assert len(got.to_list()) == len(want)
    for one, other in zip(got.to_list(), want, strict=True):
        assert one.tolist() == pytest.approx(other, rel=1e-12)


def entropy(logits: list[float], target: int) -> float:
    return math.log(sum(math.exp(z) for z in logits)) - logits[target]


def classes(lengths: list[int], more: int = 2) -> tuple[Tensor, Tensor, list[list[float]]]:
    """Logits with NaN and targets with nonsense behind each row, and the loss of every step."""
    torch.manual_seed(len(lengths))
    time = max(lengths, default=0) + more
    logits = torch.randn(time, len(lengths), CLASSES, dtype=torch.float64)
    targets = torch.randint(CLASSES, (time, len(lengths)))
    rows = [
        [entropy(logits[t, b].tolist(), int(targets[t, b])) for t in range(length)]
        for b, length in enumerate(lengths)
    ]
    for b, length in enumerate(lengths):
        logits[length:, b] = math.nan
        targets[length:, b] = 999
    return logits, targets, rows


def given_as(how: str, one: Tensor, other: Tensor, lengths: list[int]) -> tuple[Any, Any, Any]:
    known = torch.tensor(lengths, dtype=torch.int64)
    first = PaddedSequence(one, known) if how in ("both", "first") else one
    second = PaddedSequence(other, known) if how in ("both", "second") else other
    return first, second, known if how == "lengths" else None


WAYS = ("both", "first", "second", "lengths")


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy(lengths: list[int], how: str, reduction: Any) -> None:
    logits, targets, rows = classes(lengths)
    logits.requires_grad_()
    z, y, known = given_as(how, logits, targets, lengths)
    got = cross_entropy(z, y, lengths=known, reduction=reduction)
    check(got, rows, reduction)
    (got.values if reduction == "none" else got).sum().backward()
    for b, length in enumerate(lengths):
        assert not logits.grad[length:, b].any()
        assert bool(logits.grad[:length, b].all()) or not length


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("how", WAYS)
def test_errors_of_numbers(name: str, shape: tuple[int, ...], lengths: list[int], how: str) -> None:
    loss, each = ERRORS[name]
    torch.manual_seed(1)
    size = (max(lengths, default=0) + 1, len(lengths), *shape)
    one, other = torch.randn(2, *size, dtype=torch.float64)
    rows = [
        [
            sum(
                each(p - y)
                for p, y in zip(
                    one[t, b].flatten().tolist(), other[t, b].flatten().tolist(), strict=True
                )
            )
            / math.prod(shape)
            for t in range(length)
        ]
        for b, length in enumerate(lengths)
    ]
    for b, length in enumerate(lengths):
        one[length:, b], other[length:, b] = math.nan, math.inf
    one.requires_grad_()
    for reduction in REDUCTIONS:
        p, y, known = given_as(how, one, other, lengths)
        check(loss(p, y, lengths=known, reduction=reduction), rows, reduction)
    loss(p, y, lengths=known).backward()
    assert one.grad.isfinite().all()


def test_plain_tensors_are_valid_to_the_end() -> None:
    logits, targets, rows = classes([3, 3], more=0)
    for reduction in REDUCTIONS:
        check(cross_entropy(logits, targets, reduction=reduction), rows, reduction)
    assert squared_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == 2.5
    assert absolute_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 4]])).item() == 1.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_targets_of_any_whole_type(dtype: torch.dtype) -> None:
    logits, targets, rows = classes([2, 2], more=0)
    check(cross_entropy(logits, targets.to(dtype)), rows, "mean")


def test_wrong_rules_do_not_pass() -> None:
    """Each twin is a mistake one could make; the sums by hand must tell it from the rule."""
    lengths = [3, 0, 5, 1]
    logits, targets, rows = classes(lengths)
    known = torch.tensor(lengths)
    each = cross_entropy(logits, targets, lengths=known, reduction="none").values
    row_means = each.sum(0) / known.clamp(min=1)
    twins = {
        "mean": [each.mean(), row_means.mean(), each.sum() / len(lengths)],
        "rows": [each.sum() / 3, row_means.mean(), each.sum() / each.shape[0]],
        "sum": [each.mean() * known.sum()],
        "none": [PaddedSequence(each + 1, known), PaddedSequence(each.flip(0), known)],
    }
    for reduction, wrong in twins.items():
        check(cross_entropy(logits, targets, lengths=known, reduction=reduction), rows, reduction)
        for twin in wrong:
            with pytest.raises(AssertionError):
                check(twin, rows, reduction)


def test_reduce_is_the_rule_alone() -> None:
    losses = PaddedSequence(torch.tensor([[1.0, 4.0], [2.0, math.nan]]), [2, 1])
    assert reduce(losses, "mean").item() == pytest.approx(7 / 3)
    assert reduce(losses, "sum").item() == 7
    assert reduce(losses, "rows").item() == 3.5
    assert reduce(losses, "none").values.tolist() == [[1, 4], [2, 0]]


def numbers(*size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.int64)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: cross_entropy(torch.zeros(3, 2, 4), numbers(3, 1)),
            r"predictions are \[3, 2, 4\] and targets \[3, 1\]; expected \[time, batch, classes\]",
        ),
        (
            lambda: cross_entropy(torch.zeros(3, 2), numbers(3, 2)),
            r"\[3, 2\] and targets \[3, 2\]; expected \[time, batch, classes\] and \[time, batch\]",
        ),
        (
            lambda: squared_error(torch.zeros(3, 2, 1), torch.zeros(3, 2)),
            r"predictions are \[3, 2, 1\] and targets \[3, 2\]; expected equal shapes",
        ),
        (
            lambda: absolute_error(torch.zeros(3), torch.zeros(3)),
            r"\[time, batch, ...\], got \[3\]",
        ),
        (
            lambda: squared_error(
                PaddedSequence(torch.zeros(3, 2), [3, 1]), PaddedSequence(torch.zeros(3, 2), [3, 2])
            ),
            "different lengths; they must agree",
        ),
        (
            lambda: squared_error(
                PaddedSequence(torch.zeros(3, 2), [3, 1]), torch.zeros(3, 2), lengths=numbers(2)
            ),
            "lengths: given beside a PaddedSequence",
        ),
        (
            lambda: squared_error(
                torch.zeros(3, 2), PaddedSequence(torch.zeros(3, 2), [3, 1]), lengths=numbers(2)
            ),
            "lengths: given beside a PaddedSequence",
        ),
        (
            lambda: squared_error(torch.zeros(3, 2), torch.zeros(3, 2), lengths=numbers(3)),
            r"first axis \(3\), which is time",
        ),
        (
            lambda: squared_error(torch.zeros(3, 2), torch.zeros(3, 2), reduction="total"),
            "expected 'mean', 'sum', 'rows' or 'none', got 'total'",
        ),
        (lambda: cross_entropy(torch.zeros(1, 1, 4), numbers(1, 1) + 4), "targets 0 to 3, got 4"),
        (lambda: cross_entropy(torch.zeros(1, 1, 4), numbers(1, 1) - 1), "targets 0 to 3, got -1"),
        # torch's own loss would leave this one out and say nothing
        (lambda: cross_entropy(torch.zeros(1, 1, 4), numbers(1, 1) - 100), "0 to 3, got -100"),
        (
            lambda: cross_entropy(torch.zeros(1, 1, 4), torch.zeros(1, 1)),
            "whole numbers as targets",
        ),
        (lambda: cross_entropy(torch.zeros(1, 1, 4), numbers(1, 1) > 0), "got torch.bool"),
    ],
)
def test_errors(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        wrong()


def test_differences_of_whole_numbers_do_not_overflow() -> None:
    small = torch.tensor([[3]], dtype=torch.uint8), torch.tensor([[5]], dtype=torch.uint8)
    assert absolute_error(*small).item() == 2
    wide = torch.tensor([[200]], dtype=torch.int16), torch.tensor([[1]], dtype=torch.int16)
    assert squared_error(*wide).item() == 199**2


# ---- projected ----------------------------------------------------------------------------------


def _apart(x: Tensor, weight: Tensor, bias: Any, targets: Tensor, **settings: Any) -> Tensor:
    scores = functional.linear(x, weight, bias)
    total: Tensor = cross_entropy(scores, targets, reduction="sum", **settings)
    return total


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    ("time", "batch", "h", "v"), [(1, 1, 3, 2), (7, 3, 5, 40), (90, 8, 4, 777)]
)
def test_projected_cross_entropy_is_that_of_the_scores(time, batch, h, v, biased):
    torch.manual_seed(0)
    x = torch.randn(time, batch, h, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(v, h, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(v, dtype=torch.float64, requires_grad=True) if biased else None
    targets = torch.randint(0, v, (time, batch))
    lengths = torch.randint(0, time + 1, (batch,))
    sources = [x, weight, *([bias] if biased else [])]
    for settings in ({}, {"lengths": lengths}):
        got = projected_cross_entropy(x, weight, bias, targets, **settings)
        wanted = _apart(x, weight, bias, targets, **settings)
        torch.testing.assert_close(got, wanted)
        for _ in range(2):  # also a second time
            ours, theirs = (
                torch.autograd.grad(0.3 * total, sources, retain_graph=True)
                for total in (got, wanted)
            )
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)


def test_projected_cross_entropy_in_parts() -> None:
    """Frozen weights, rows of a tensor that is wider, second derivatives, no gradients at all."""
    torch.manual_seed(0)
    wide = torch.randn(6, 2, 9, requires_grad=True)
    x, weight = wide[..., 2:7], torch.randn(11, 5)
    targets = torch.randint(0, 11, (6, 2))
    got = projected_cross_entropy(x, weight, None, targets)
    wanted = _apart(x, weight, None, targets)
    torch.testing.assert_close(got, wanted)
    a, b = (torch.autograd.grad(v, wide, create_graph=True)[0] for v in (got, wanted))
    torch.testing.assert_close(a, b)
    a, b = (torch.autograd.grad(g.square().sum(), wide)[0] for g in (a, b))
    torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(projected_cross_entropy(x, weight, None, targets), wanted)


def test_projected_cross_entropy_keeps_no_scores() -> None:
    """What autograd holds between forward and back is what went in."""
    saved: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    x, weight = torch.randn(50, 2, 8, requires_grad=True), torch.randn(300, 8, requires_grad=True)
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.numel()) or t, lambda t: t
    )
    with hooks:
        projected_cross_entropy(x, weight, None, torch.zeros(50, 2, dtype=torch.int64))
    assert sum(saved) < 100 * 300


def test_projected_cross_entropy_refuses() -> None:
    x, weight = torch.randn(4, 2, 3), torch.randn(5, 3)
    for targets, words in (
        (torch.full((4, 2), 5), r"targets 0 to 4, got 5"),
        (torch.full((4, 2), -1), r"targets 0 to 4, got -1"),
        (torch.zeros(4, 2), "whole numbers"),
        (torch.zeros(4, 3, dtype=torch.int64), "predictions are"),
    ):
        with pytest.raises(ShapeError, match=words):
            projected_cross_entropy(x, weight, None, targets)
    empty = projected_cross_entropy(x, weight, None, targets[:, :2], lengths=[0, 0])
    assert empty == 0


def test_projected_cross_entropy_refuses_weights_that_do_not_fit() -> None:
    x, targets = torch.randn(4, 2, 4), torch.zeros(4, 2, dtype=torch.int64)
    for weight, bias, words in (
        (torch.randn(5, 9), None, r"a weight \[classes, 4\].* got \[5, 9\]"),
        (torch.randn(5), None, r"a weight \[classes, 4\].* got \[5\]"),
        (torch.randn(5, 4), torch.randn(1), r"a bias \[5\].* got \[1\]"),
        (torch.randn(5, 4), torch.randn(4), r"a bias \[5\].* got \[4\]"),
        (None, None, "expected a tensor as weight, got NoneType"),
        ([[1.0]], None, "expected a tensor as weight, got list"),
        (torch.randn(5, 4), [1.0], "expected a tensor as bias, got list"),
        (torch.randn(5, 4).double(), None, "a weight of torch.float32 .*, got torch.float64"),
        (torch.randn(5, 4), torch.randn(5).double(), "a bias of torch.float32 .* torch.float64"),
    ):
        with pytest.raises(ShapeError, match=words):
            projected_cross_entropy(x, weight, bias, targets)  # type: ignore[arg-type]
    wide = torch.randn(5, 3)
    weight = torch.randn(5, 4)
    for bias in (wide[:, 0], torch.ones(1).expand(5)):
        torch.testing.assert_close(
            projected_cross_entropy(x, weight, bias, targets), _apart(x, weight, bias, targets)
        )
