"""How far a head is from teachers, against sums written out in Python; the padding holds NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from recurra.errors import SettingError, ShapeError
from recurra.heads import CRFHead, LabelHead, LabelsHead, NumbersHead
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence

LENGTHS = [3, 0, 1]
VALID = [(t, b) for b, length in enumerate(LENGTHS) for t in range(length)]


def softmax(scores: Sequence[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in scores]
    return [power / sum(powers) for power in powers]


def by_hand(z: Tensor, taught: Sequence[Tensor], temperature: float) -> float:
    """T² KL of one row."""
    every = [softmax(other.tolist(), temperature) for other in taught]
    wanted = [sum(p) / len(every) for p in zip(*every, strict=True)]
    said = softmax(z.tolist(), temperature)
    terms = (p * (math.log(p) - math.log(q)) for p, q in zip(wanted, said, strict=True))
    return temperature**2 * sum(terms)


def draw(*shape: int) -> Tensor:
    return 3 * torch.randn(*shape, dtype=torch.float64)


def padded(size: int) -> PaddedSequence:
    values = draw(4, 3, size)
    for b, length in enumerate(LENGTHS):
        values[length:, b] = math.nan
    return PaddedSequence(values, torch.tensor(LENGTHS))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.7])
@pytest.mark.parametrize("teachers", [1, 2])
def test_labels(teachers: int, temperature: float) -> None:
    head, said = LabelsHead(2, 5).double(), padded(5)
    z = said.values.requires_grad_()
    taught = [padded(5) for _ in range(teachers)]
    targets = PaddedSequence(torch.zeros(4, 3, dtype=torch.int64), said.lengths)
    wanted = sum(
        by_hand(said.values[at], [t.values[at] for t in taught], temperature) for at in VALID
    )
    # The lengths are known to what is said, to the targets alone, or to both.
    for mine in (said, z):
        found = head.distilled(mine, taught, targets, temperature)
        assert math.isclose(found.item(), wanted, rel_tol=1e-12)
    (gradient,) = torch.autograd.grad(found, z)
    for t in range(4):
        for b in range(3):
            assert bool(gradient[t, b].any()) == ((t, b) in VALID)
    assert bool(gradient.isfinite().all())


def test_the_gradient_is_as_large_at_any_temperature() -> None:
    """Near the teacher, of soft scores: 1/T² of KL is what T² is for."""
    norms, z = [], 0.01 * draw(20, 5)
    for temperature in (1.0, 10.0):
        own = (z + 0.001).requires_grad_()
        loss = LabelsHead(2, 5).distilled(
            own[None], [z[None].flip(-1)], torch.zeros(1, 20), temperature
        )
        norms.append(float(torch.autograd.grad(loss, own)[0].norm()))
    assert math.isclose(*norms, rel_tol=0.02)


def test_one_label_where_there_is_one() -> None:
    head, z, other = LabelHead(2, 5).double(), draw(3, 5), draw(3, 5)
    z[1] = other[1] = math.nan  # has no label here
    found = head.distilled(z, [other], torch.tensor([4, -1, 0]), 2.0)
    wanted = by_hand(z[0], [other[0]], 2.0) + by_hand(z[2], [other[2]], 2.0)
    assert math.isclose(found.item(), wanted, rel_tol=1e-12)


def test_several_labels() -> None:
    head, z, taught = LabelHead(2, 4, several=True).double(), draw(3, 4), [draw(3, 4), draw(3, 4)]
    found = head.distilled(z, taught, torch.zeros(3, 4), 3.0)

    def pair(scores: Tensor) -> Tensor:
        return torch.stack([scores, torch.zeros(())])

    wanted = sum(
        by_hand(pair(z[b, k]), [pair(other[b, k]) for other in taught], 3.0)
        for b in range(3)
        for k in range(4)
    )
    assert math.isclose(found.item(), wanted, rel_tol=1e-12)


def test_numbers_by_their_means() -> None:
    head = NumbersHead(2, 3, "gaussian").double()
    teacher = NumbersHead(4, 3, "student").double()
    read, other = draw(4, 2, 2), draw(4, 2, 4)
    targets = draw(4, 2, 3)
    targets[1, 0, 2] = math.nan
    taught = teacher.teach(LayerOutput(other, other[-1], None))
    said = head(LayerOutput(read, read[-1], None))
    mean = head.density(said).mean
    wanted = sum(
        (mean[at] - taught[at]).item() ** 2
        for at in [(t, b, c) for t in range(4) for b in range(2) for c in range(3)]
        if not math.isnan(targets[at])
    )
    found = head.distilled(said, [taught], targets, 2.0)
    assert math.isclose(found.item(), wanted, rel_tol=1e-12)
    middle = head.distilled(said, [taught + 1, taught - 1], targets, 2.0)
    assert math.isclose(middle.item(), wanted, rel_tol=1e-12)


def test_a_teacher_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected scores \[3, 5\], as the student's, got \[3, 4"):
        LabelHead(2, 5).distilled(draw(3, 5), [draw(3, 4)], torch.zeros(3), 2.0)
    head = NumbersHead(2, 1).double()
    numbers = head(LayerOutput(read := draw(4, 2, 2), read[-1], None))
    with pytest.raises(ShapeError):
        head.distilled(numbers, [draw(4, 2, 2)], draw(4, 2, 1), 2.0)


def test_a_head_that_cannot_says_so() -> None:
    with pytest.raises(SettingError, match=r"distil.teacher: CRFHead does not say how far it is"):
        CRFHead(2, 3).distilled(draw(3, 1, 3), [draw(3, 1, 3)], torch.zeros(3, 1), 2.0)
