"""Densities and the head that gives them, against torch.distributions and by integration."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, distributions

from recurra.errors import SettingError, ShapeError
from recurra.heads import Distribution, NumbersHead, Point, Samples
from recurra.heads.densities import LEAST_FREEDOM, NARROWEST, Gaussian, GaussianMixture, Student
from recurra.heads.densities.quick import quick_quantile
from recurra.heads.numbers import losses_of
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence

KINDS = ("gaussian", "student", "mixture")
NAN = math.nan


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def given(outputs: Any) -> LayerOutput:
    return LayerOutput(outputs, torch.tensor(NAN), None)


def head_of(kind: Any, channels: int = 3) -> NumbersHead:
    torch.manual_seed(0)
    return NumbersHead(4, channels, kind, components=3).double()


def theirs(density: Any) -> distributions.Distribution:
    if isinstance(density, Gaussian):
        return distributions.Normal(density.mean, density.scale)
    if isinstance(density, Student):
        return distributions.StudentT(density.freedom, density.mean, density.scale)
    parts = distributions.Normal(density.means, density.scales)
    mixed = distributions.Categorical(logits=density.log_weights)
    return distributions.MixtureSameFamily(mixed, parts)


@pytest.mark.parametrize("kind", KINDS)
def test_densities_are_those_of_torch(kind):
    density = head_of(kind).density(head_of(kind)(given(draw(5, 2, 4))))
    other, x = theirs(density), draw(5, 2, 3, seed=1)
    torch.testing.assert_close(density.log_density(x), other.log_prob(x))
    torch.testing.assert_close(density.mean, other.mean)
    torch.testing.assert_close(density.deviation, other.stddev)
    if kind != "student":  # torch has none of it
        torch.testing.assert_close(density.cdf(x), other.cdf(x))


@pytest.mark.parametrize("kind", KINDS)
def test_densities_integrate_to_one_and_to_their_cdf(kind):
    head = head_of(kind, channels=1)
    density = head.density(2 * draw(6, head.projection.output_size))
    # By x = tan(u), so that the tails are there too.
    u = torch.linspace(-math.pi / 2, math.pi / 2, 400_001, dtype=torch.float64)[1:-1]
    x, step = u.tan(), float(u[1] - u[0])
    for row in range(6):
        one = density._make(part[row] for part in density)
        heights = one.log_density(x).exp() * (1 + x.square())
        grown = heights.cumsum(0) * step
        assert float(grown[-1]) == pytest.approx(1, abs=1e-4)
        places = torch.arange(20_000, len(x), 20_000)
        torch.testing.assert_close(one.cdf(x[places]), grown[places], atol=2e-3, rtol=0)
        twin = one._replace(**{one._fields[-1]: one[-1] * 1.5})  # no longer the same density
        off = twin.cdf(x[places]) - grown[places]
        assert float(off.abs().max()) > 5e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.5, 0.9, 0.9999])
def test_quantiles_are_where_the_cdf_has_their_share(kind, share):
    head = head_of(kind)
    read = given(draw(5, 2, 4))
    found = head.quantile(read, share)
    assert found.shape == (5, 2, 3)
    torch.testing.assert_close(
        head.cdf(read, found), torch.full_like(found, share), rtol=1e-6, atol=1e-12
    )


def test_student_cdf_where_it_is_known():
    """One degree of freedom is Cauchy's, two have a closed form; many are normal."""
    x = torch.linspace(-9, 9, 37, dtype=torch.float64)
    zero, one = torch.zeros(()).double(), torch.ones(()).double()
    cauchy = Student(zero, one, one).cdf(x)
    torch.testing.assert_close(cauchy, 0.5 + x.atan() / math.pi)
    torch.testing.assert_close(
        Student(zero, one, 2 * one).cdf(x), 0.5 + x / (2 * (2 + x.square()).sqrt())
    )
    torch.testing.assert_close(
        Student(zero, one, 1e8 * one).cdf(x), torch.special.ndtr(x), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_begins_near_a_standard_density(kind):
    head = head_of(kind)
    torch.nn.init.zeros_(head.projection.weight)
    numbers = head.predict(given(draw(5, 2, 4)))
    torch.testing.assert_close(numbers.mean, torch.zeros(5, 2, 3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(numbers.deviation, torch.ones(5, 2, 3).double(), atol=0.05, rtol=0)
    if kind == "mixture":
        assert len(numbers.parameters.means[0, 0, 0].unique()) == 3


def test_scale_and_freedom_are_bounded_below():
    raw = torch.full((1, 1, 3), -1e4, dtype=torch.float64)
    student = Student.of(raw)
    assert float(student.scale) == NARROWEST
    assert float(student.freedom) == LEAST_FREEDOM
    assert float(Gaussian.of(raw[..., :2]).scale) == NARROWEST
    assert bool(student.deviation.isfinite().all())
    assert float(GaussianMixture.of(raw).scales) == NARROWEST
    constant = Gaussian.of(torch.tensor([[0.0, -1e4]]).double()).log_density(torch.zeros(1))
    assert float(constant) == pytest.approx(-math.log(NARROWEST) - 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values_take_no_part(kind):
    """Neither in the loss, nor in its count, nor in any gradient."""
    head, outputs, targets = head_of(kind), draw(5, 2, 4), draw(5, 2, 3, seed=1)
    missing = torch.zeros(5, 2, 3, dtype=torch.bool)
    missing[1, 0, 2] = missing[3] = True
    total, count = head.loss(given(outputs), targets.masked_fill(missing, NAN))
    assert count == 30 - 1 - 6
    each = -head.density(head(given(outputs))).log_density(targets)
    assert float(total.detach()) == pytest.approx(float(each[~missing].sum().detach()), abs=1e-10)
    total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters())
    surprise = head.surprise(given(outputs), targets.masked_fill(missing, NAN))
    assert surprise.shape == (5, 2)
    assert surprise[3].isnan().all()
    assert surprise.isnan().sum() == 2
    assert float(surprise.nansum().detach()) == pytest.approx(float(total.detach()), abs=1e-10)
    # The broken twin: what is missing counts as 0.
    wrong, _ = head.loss(given(outputs), targets.masked_fill(missing, 0))
    assert abs(float((wrong - total).detach())) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_enters(kind):
    head, lengths = head_of(kind), torch.tensor([5, 0, 2])
    behind = torch.arange(5).unsqueeze(1) >= lengths
    targets = draw(5, 3, 3, seed=1)
    found = []
    for fill in (0.0, NAN):
        outputs = draw(5, 3, 4).masked_fill(behind.unsqueeze(2), fill).requires_grad_()
        read = given(PaddedSequence(outputs, lengths))
        numbers = head.predict(read)
        assert [part.lengths.tolist() for part in numbers.parameters] == [[5, 0, 2]] * len(
            numbers.parameters
        )
        assert numbers.mean.values.isfinite().all()
        surprise = head.surprise(read, targets.masked_fill(behind.unsqueeze(2), fill))
        assert surprise.lengths.tolist() == [5, 0, 2]
        surprise.values.sum().backward()
        assert outputs.grad.isfinite().all()
        assert not outputs.grad[behind].any()
        found.append((surprise.values, head.quantile(read, 0.3).values))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", get_args(Distribution))
def test_several_axes_are_as_many_numbers(kind):
    """A head of [4, 3] is a head of 12, with the same numbers elsewhere."""
    torch.manual_seed(0)
    wide, flat = (NumbersHead(4, shape, kind, components=3).double() for shape in ((4, 3), 12))
    wide.load_state_dict(flat.state_dict())
    read, targets = given(draw(5, 2, 4)), draw(5, 2, 12, seed=1).abs().round()
    targets[2, 1, 5] = NAN
    (one, count), (other, same) = (
        head.score(head(read), targets.view(5, 2, *head.shape)) for head in (wide, flat)
    )
    assert (count, same) == (119, 119)
    assert torch.equal(one, other)
    for ask in (
        lambda head: head.predict(read).mean,
        lambda head: head.quantile(read, 0.3),
        lambda head: head.cdf(read, targets.nan_to_num(1.0).view(5, 2, *head.shape)),
    ):
        assert torch.equal(ask(wide).flatten(2), ask(flat))
    assert torch.equal(wide.surprise(read, targets.view(5, 2, 4, 3)), flat.surprise(read, targets))
    with pytest.raises(ShapeError, match=r"expected targets \[5, 2, 4, 3\].*got \[5, 2, 3, 4\]"):
        wide.loss(read, targets.view(5, 2, 3, 4))


def test_losses_of_a_number_alone_are_what_they_are_called():
    density, x = Point(torch.tensor([0.0, 1.0, 2.0])), torch.tensor([0.5, 4.0, NAN])
    for kind, wanted in (("squared", [0.25, 9, 0]), ("absolute", [0.5, 3, 0])):
        losses, known = losses_of(kind, density, x)
        assert losses.tolist() == wanted
        assert known.tolist() == [True, True, False]
    assert losses_of("huber", density, x)[0].tolist() == [0.125, 2.5, 0]


def test_quantiles_of_many_are_quick_and_near():
    freedom = torch.tensor([2.1, 2.5, 5.0, 30.0, 1e6], dtype=torch.float64)
    density = Student(torch.full_like(freedom, 3.0), torch.full_like(freedom, 2.0), freedom)
    for share in (0.01, 0.3, 0.5, 0.9, 0.99):
        found = quick_quantile(density, share)
        torch.testing.assert_close(found, density.quantile(share), atol=2e-5, rtol=0)
    normal = Gaussian(torch.zeros(2), torch.ones(2))
    assert torch.equal(quick_quantile(normal, 0.7), normal.quantile(0.7))


def test_draws_are_a_density():
    values = torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 8.0]])
    samples = Samples(values)
    assert samples.mean.tolist() == [2.5, 2]
    assert samples.deviation.tolist() == pytest.approx([1.25**0.5, 12**0.5])
    assert samples.quantile(0.5).tolist() == [2.5, 0]
    assert samples.cdf(torch.tensor([2.0, -1.0])).tolist() == [0.5, 0]
    moved = samples.moved(torch.tensor([10.0, 0.0]), torch.tensor([2.0, 3.0]))
    assert moved.values.tolist() == [[18, 12, 16, 14], [0, 0, 0, 24]]
    assert samples.moved(None, torch.tensor([2.0, 2.0])).values.tolist() == (2 * values).tolist()
    path = samples.sample(torch.Generator().manual_seed(0))
    assert any(torch.equal(path, values[:, one]) for one in range(4))


def test_of_no_step():
    head = head_of("student")
    total, count = head.loss(given(draw(0, 2, 4)), draw(0, 2, 3))
    assert (float(total.detach()), count) == (0.0, 0)
    assert head.surprise(given(draw(0, 2, 4)), draw(0, 2, 3)).shape == (0, 2)
    assert head.predict(given(draw(0, 2, 4))).mean.shape == (0, 2, 3)


def test_refuses():
    with pytest.raises(SettingError, match="student"):
        NumbersHead(4, 3, "studnt")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="shape"):
        NumbersHead(4, 0)
    with pytest.raises(SettingError, match="shape"):
        NumbersHead(4, (3, 0))
    with pytest.raises(SettingError, match="components"):
        NumbersHead(4, 1, "mixture", components=0)
    head = head_of("gaussian")
    with pytest.raises(ShapeError, match=r"expected targets \[5, 2, 3\].*got \[5, 2, 2\]"):
        head.loss(given(draw(5, 2, 4)), draw(5, 2, 2))
    for share in (0, 1, NAN, True):
        with pytest.raises(SettingError, match="between 0 and 1"):
            head.quantile(given(draw(1, 1, 4)), share)
