"""What is said of a number: moved, drawn, scored; counts, points and quantiles."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.errors import SettingError
from recurra.heads.densities import (
    EVEN_SHARES,
    LEAST_DISPERSION,
    LEAST_RATE,
    Gaussian,
    GaussianMixture,
    NegativeBinomial,
    Point,
    Poisson,
    Quantiles,
    Samples,
    Student,
    are_counts,
    crps_of,
    gamma,
    map_density,
)

SHARES = (0.05, 0.2, 0.5, 0.9)
REAL: dict[str, tuple[int, Any]] = {
    "gaussian": (2, Gaussian.of),
    "student": (3, Student.of),
    "mixture": (9, GaussianMixture.of),
    "point": (1, Point.of),
    "quantiles": (4, lambda raw: Quantiles.of(raw, SHARES)),
    "samples": (10, Samples),
}
COUNTS: dict[str, tuple[int, Any]] = {
    "poisson": (1, Poisson.of),
    "negative binomial": (2, NegativeBinomial.of),
}
ALL = REAL | COUNTS
SPREAD = [name for name in ALL if name not in ("point", "samples")]  # drawn each by itself
DRAWS = 40_000


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def raw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def said(name: str, *shape: int) -> Any:
    numbers, make = ALL[name]
    return make(2 * raw(*shape, numbers))


def many(name: str) -> tuple[Any, Tensor]:
    """Of three channels, and draws ``[DRAWS, 3]``."""
    numbers, make = ALL[name]
    one = raw(3, numbers, seed=4)
    return make(one), make(one.expand(DRAWS, 3, numbers)).sample(torch.Generator().manual_seed(1))


# ---- what all share ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL)
def test_moved_is_what_is_said_of_the_moved_number(name):
    density, x = said(name, 5, 3), raw(5, 3, seed=1)
    shift, scale = t(-2, 0, 7), t(0.1, 1, 30)
    moved, there = density.moved(shift, scale), shift + scale * x
    assert type(moved) is type(density)
    torch.testing.assert_close(moved.mean, shift + scale * density.mean)
    torch.testing.assert_close(moved.deviation, scale * density.deviation)
    torch.testing.assert_close(moved.cdf(there), density.cdf(x))
    torch.testing.assert_close(moved.quantile(0.3), shift + scale * density.quantile(0.3))
    if hasattr(density, "log_density"):
        expected = density.log_density(x) - scale.log()
        torch.testing.assert_close(moved.log_density(there), expected)
    plain = density.moved(None, 2.0)
    torch.testing.assert_close(plain.mean, 2 * density.mean)
    torch.testing.assert_close(density.moved(1.5, 1).mean, 1.5 + density.mean)


@pytest.mark.parametrize("name", ALL)
def test_draws_are_of_the_seed_and_without_gradient(name):
    numbers, make = ALL[name]
    density = make(raw(5, 3, numbers).float().requires_grad_())
    draws = [density.sample(torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert all(not each.requires_grad and each.shape == (5, 3) for each in draws)
    assert draws[0].dtype == torch.float32
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2]) == (name == "point")
    torch.manual_seed(0)
    first = density.sample()
    torch.manual_seed(0)
    assert torch.equal(density.sample(), first)
    assert make(raw(0, 3, numbers)).sample().shape == (0, 3)


@pytest.mark.parametrize("name", ALL)
def test_widths_are_measured_by_what_grows_with_the_scale(name):
    density = said(name, 5, 3)
    unit, moved = density.width_unit, density.moved(None, 3.0).width_unit
    assert unit.shape == (5, 3)
    assert (unit > 0).all()
    if name in ("gaussian", "student"):
        assert torch.equal(unit, density.scale)
    if name == "negative binomial":  # its dispersion stays: it grows a little less
        assert (moved > unit).all()
    elif name == "poisson":
        torch.testing.assert_close(moved, 3**0.5 * unit)
    else:
        torch.testing.assert_close(moved, unit if name == "point" else 3 * unit)
    still = Samples(torch.zeros(3, 4)).width_unit
    assert (still > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_each_tensor_is_mapped_and_shares_stay(name):
    density = said(name, 5, 3)
    one = map_density(lambda part: part[2], density)
    assert type(one) is type(density)
    assert torch.equal(one.mean, density.mean[2])
    assert getattr(one, "shares", None) == getattr(density, "shares", None)


@pytest.mark.parametrize("name", SPREAD)
def test_draws_have_the_mean_the_deviation_and_the_cdf(name):
    """To five standard errors; of the cdf by Dvoretzky, Kiefer and Wolfowitz, at 1e-9."""
    density, draws = many(name)
    error = density.deviation / DRAWS**0.5
    assert ((draws.mean(0) - density.mean).abs() < 5 * error).all()
    if name != "student":  # whose fourth moment is none
        fourth = (draws - density.mean).pow(4).mean(0)
        of_variance = ((fourth - density.deviation.pow(4)) / DRAWS).sqrt()
        assert ((draws.var(0) - density.deviation.square()).abs() < 5 * of_variance).all()
    far = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWS))
    for x in draws[:50]:
        share = (draws <= x).double().mean(0)
        assert ((share - density.cdf(x)).abs() < far).all()
    # The broken twin: draws of something a little wider.
    wider = density.mean + 1.2 * (draws - density.mean)
    off = torch.stack([((wider <= x).double().mean(0) - density.cdf(x)).abs() for x in draws[:50]])
    assert (off.max(0).values > far).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [-1e20, -1e3, 0, 1e3, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_finite(name, size, dtype):
    numbers, make = ALL[name]
    draws = make(torch.full((2000, 1, numbers), size, dtype=dtype)).sample(torch.Generator())
    assert draws.isfinite().all()
    if name in COUNTS:
        assert are_counts(draws).all()


def test_the_ends_of_chance_draw_finite_numbers(monkeypatch):
    low = torch.full((4, 3), -1e4, dtype=torch.float64)
    for u in (0.0, 1 - 2.0**-53):
        monkeypatch.setattr(
            torch, "rand", lambda *a, u=u, **k: torch.full(a[0], u, dtype=torch.float64)
        )
        assert Student.of(low).sample().isfinite().all()
        assert NegativeBinomial.of(low[:, :2]).sample().isfinite().all()
        four = Quantiles.of(low.new_zeros(4, 4), SHARES)
        assert torch.equal(four.sample(), four.values[:, 0 if u == 0 else -1])


def test_gamma_draws_are_gamma_distributed():
    stats = pytest.importorskip("scipy.stats")
    shapes = t(0.01, 0.3, 1, 2.5, 1e6)
    draws = gamma.gamma_draws(shapes.expand(DRAWS, 5), torch.Generator().manual_seed(0))
    far = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWS))
    for shape, column in zip(shapes.tolist(), draws.T.numpy(), strict=True):
        assert stats.kstest(column, stats.gamma(shape).cdf).statistic < far
    assert stats.kstest(draws[:, 1].numpy(), stats.gamma(0.35).cdf).statistic > far


# ---- counts ------------------------------------------------------------------------------------

MEANS, DISPERSIONS = t(1e-3, 0.4, 3, 70, 5e3), t(1e-3, 0.2, 1, 8)


def counted() -> list[tuple[Any, Any]]:
    """Ours, and SciPy's."""
    stats = pytest.importorskip("scipy.stats")
    mean, dispersion = torch.meshgrid(MEANS, DISPERSIONS, indexing="ij")
    theirs = stats.nbinom(1 / dispersion.numpy(), 1 / (1 + (mean * dispersion).numpy()))
    return [
        (Poisson(MEANS), stats.poisson(MEANS.numpy())),
        (NegativeBinomial(mean, dispersion), theirs),
    ]


@pytest.mark.parametrize("kind", [0, 1])
def test_counts_are_those_of_scipy(kind):
    ours, theirs = counted()[kind]
    torch.testing.assert_close(ours.mean, torch.tensor(theirs.mean()))
    torch.testing.assert_close(ours.deviation, torch.tensor(theirs.std()))
    for k in (0, 1, 4, 90, 6000):
        x = torch.full_like(ours.mean, k)
        torch.testing.assert_close(ours.log_density(x), torch.tensor(theirs.logpmf(k)))
        for near in (x, x + 0.7):
            torch.testing.assert_close(ours.cdf(near), torch.tensor(theirs.cdf(k)))
    assert not ours.cdf(torch.full_like(ours.mean, -0.5)).any()
    assert ours.cdf(torch.full_like(ours.mean, math.nan)).isnan().all()


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("share", [1e-6, 0.05, 0.37, 0.5, 0.9, 1 - 1e-6])
def test_quantiles_are_the_smallest_counts_that_reach_their_share(kind, share):
    ours, theirs = counted()[kind]
    found = ours.quantile(share)
    torch.testing.assert_close(found, torch.tensor(theirs.ppf(share)), rtol=0, atol=0)
    assert (ours.cdf(found) >= share).all()
    assert (ours.cdf(found - 1) < share).all()


def test_quantiles_at_ties():
    """Where a cdf is the share itself, the count is that one, and not the next."""
    geometric = NegativeBinomial(t(1), t(1))  # P(X <= k) = 1 - 2^-(k + 1)
    assert [float(geometric.quantile(1 - 0.5 ** (k + 1))) for k in range(20)] == list(range(20))
    assert [float(geometric.quantile(1 - 0.5 ** (k + 1) + 1e-9)) for k in range(9)] == list(
        range(1, 10)
    )
    for density in (Poisson(t(3.7)), NegativeBinomial(t(3.7), t(0.4))):
        for k in range(12):
            assert float(density.quantile(float(density.cdf(t(k))))) == k


def test_no_count_has_no_probability():
    for density in (Poisson(t(2.0)), NegativeBinomial(t(2.0), t(0.5))):
        for x in (-1, 0.5, math.inf, math.nan):
            assert float(density.log_density(t(x))) == -math.inf
    assert are_counts(t(0, 3, 0.5, -1, math.nan)).tolist() == [True, True, False, False, False]


def test_gradients_of_counts_are_those_of_differences():
    x = t(0, 1, 9, 400)
    for name, (numbers, make) in COUNTS.items():
        parameters = raw(4, numbers, seed=2).requires_grad_()
        assert torch.autograd.gradcheck(lambda p, m=make: m(p).log_density(x), parameters), name


def test_rate_and_dispersion_are_bounded_below():
    low = torch.full((1, 2), -1e4)
    assert float(Poisson.of(low[:, :1]).rate) == pytest.approx(LEAST_RATE)
    negative = NegativeBinomial.of(low)
    assert float(negative.mean) == pytest.approx(LEAST_RATE)
    assert float(negative.dispersion) == pytest.approx(LEAST_DISPERSION)
    for x in (0.0, 1.0, 50.0):
        found = float(negative.log_density(torch.full((1,), x)))
        assert found == pytest.approx(float(Poisson(t(LEAST_RATE)).log_density(t(x))), abs=1e-2)


def test_large_counts_in_float32_keep_their_digits():
    stats = pytest.importorskip("scipy.stats")
    m, a, k = 8e4, 0.01, 75_000
    found = NegativeBinomial(torch.tensor(m), torch.tensor(a)).log_density(torch.tensor(float(k)))
    assert float(found) == pytest.approx(stats.nbinom(1 / a, 1 / (1 + m * a)).logpmf(k), abs=1e-5)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_scaled_and_never_shifted(name):
    density = said(name, 5, 3)
    for shift in (None, 0, 0.0, torch.zeros(3)):
        moved = density.moved(shift, t(1, 2, 10))
        torch.testing.assert_close(moved.mean, density.mean * t(1, 2, 10))
        assert torch.equal(moved[-1], density[-1]) == (name == "negative binomial")
    for shift in (1, torch.tensor([0.0, 1, 0])):
        with pytest.raises(SettingError, match="no shift of counts"):
            density.moved(shift, 1)


# ---- points and quantiles ----------------------------------------------------------------------


def test_a_point_has_no_spread():
    point, x = Point.of(raw(5, 3, 1)), raw(5, 3, seed=1)
    assert not point.deviation.any()
    assert torch.equal(point.cdf(point.value), torch.ones(5, 3).double())
    assert torch.equal(point.cdf(x), (x >= point.value).double())
    assert torch.equal(point.quantile(0.1), point.value)
    assert torch.equal(point.sample(), point.value)
    torch.testing.assert_close(crps_of(point, x), (x - point.value).abs())
    with pytest.raises(SettingError, match="between 0 and 1"):
        point.quantile(1)


def test_quantiles_by_their_equation():
    a = [0.3, -1.0, 2.0, 0.5, 40.0]
    step = [math.log1p(math.exp(v)) for v in a]
    by_hand = [2 - step[1] - step[0], 2 - step[1], 2, 2 + step[3], 2 + step[3] + step[4]]
    found = Quantiles.of(t(*a).unsqueeze(0), (0.1, 0.2, 0.5, 0.8, 0.9))
    torch.testing.assert_close(found.values, t(*by_hand).unsqueeze(0))
    two = Quantiles.of(t(0.3, 5.0), (0.4, 0.6)).values
    torch.testing.assert_close(two, t(5 - step[0], 5))


@pytest.mark.parametrize("size", [1, 100, 1e5])
def test_quantiles_never_cross(size):
    values = Quantiles.of((size * raw(50, 3, 4)).float(), SHARES).values
    assert (values.diff(dim=-1) >= 0).all()
    assert values.isfinite().all()


def test_quantiles_begin_as_those_of_a_normal_density():
    shares = (0.01, 0.1, 0.5, 0.7, 0.9)
    found = Quantiles.of(t(*Quantiles.normal(shares)), shares)
    torch.testing.assert_close(found.values, torch.special.ndtri(t(*shares)))
    assert Quantiles.normal((0.5,)) == [0.0]


def test_lines_between_quantiles_by_hand():
    four = Quantiles(t(-1, 0, 2, 3), (0.1, 0.3, 0.7, 0.9))
    asked = {0.05: -1, 0.1: -1, 0.2: -0.5, 0.3: 0, 0.5: 1, 0.7: 2, 0.85: 2.75, 0.9: 3, 0.99: 3}
    for share, value in asked.items():
        assert float(four.quantile(share)) == pytest.approx(value)
    passed = {-1.1: 0, -1: 0.1, -0.5: 0.2, 0: 0.3, 1: 0.5, 2.75: 0.85, 3: 1, 9: 1}
    for value, share in passed.items():
        assert float(four.cdf(t(value))) == pytest.approx(share)
    assert float(four.cdf(t(math.nan))) != float(four.cdf(t(math.nan)))
    single = Quantiles(t(4.0), (0.5,))
    assert [float(single.cdf(t(x))) for x in (3, 4, 5)] == [0, 1, 1]
    assert float(single.quantile(0.9)) == float(single.mean) == float(single.sample()) == 4
    equal = Quantiles(t(0, 1, 1, 2), (0.1, 0.3, 0.7, 0.9))
    assert [float(equal.cdf(t(x))) for x in (0.5, 1, 1.5)] == pytest.approx([0.2, 0.7, 0.8])


def test_mean_and_deviation_of_quantiles_are_integrals():
    integrate = pytest.importorskip("scipy.integrate")
    four = Quantiles(t(-1, 0, 2, 3), (0.1, 0.3, 0.7, 0.9))
    at = lambda share: float(four.quantile(share))  # noqa: E731
    mean = integrate.quad(at, 0, 1, points=four.shares)[0]
    assert float(four.mean) == pytest.approx(mean)
    square = integrate.quad(lambda share: (at(share) - mean) ** 2, 0, 1, points=four.shares)[0]
    assert float(four.deviation) == pytest.approx(square**0.5)


def test_quantiles_say_what_is_wrong():
    for shares in ((), (0.5, 0.5), (0.9, 0.1), (0, 0.5), (0.5, 1.0)):
        with pytest.raises(SettingError, match="expected"):
            Quantiles.of(torch.zeros(1, len(shares)), shares)
    with pytest.raises(SettingError, match="one for each of 3 quantiles, got 2"):
        Quantiles.of(torch.zeros(1, 3), (0.1, 0.9))


# ---- scores ------------------------------------------------------------------------------------


def test_pinball_by_hand():
    three = Quantiles(t(-1, 0, 2).expand(2, 3), (0.1, 0.5, 0.9))
    found = three.pinball(t(1, -3))
    by_hand = [0.1 * 2 + 0.5 * 1 + 0.1 * 1, 0.9 * 2 + 0.5 * 3 + 0.1 * 5]
    torch.testing.assert_close(found, 2 / 3 * t(*by_hand))
    torch.testing.assert_close(crps_of(three, t(1, -3), three.shares), found)


CLOSED = {
    "gaussian": Gaussian(t(0.5), t(1.7)),
    "student": Student(t(0.5), t(1.7), t(2.3)),
    "student, light tails": Student(t(0.5), t(1.7), t(30)),
    "mixture": GaussianMixture(t(-1, 1, 0).log_softmax(-1), t(-2, 0.1, 5), t(1, 0.1, 3)),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("x", [-3, -0.2, 0.9, 6])
def test_crps_is_its_integral(name, x):
    """By y = x + tan(u), so that the tails are there too."""
    density = CLOSED[name]
    u = torch.linspace(0, math.pi / 2, 20_002, dtype=torch.float64)[1:-1]
    steps = u.tan()
    left, right = density.cdf(x - steps), density.cdf(x + steps)
    heights = (left.square() + (1 - right).square()) * (1 + steps.square())
    found = float(heights.sum() * (u[1] - u[0]))
    assert float(density.crps(t(x))) == pytest.approx(found, abs=1e-4)


def test_crps_by_many_quantiles_comes_near_the_integral():
    gaussian, x = said("gaussian", 5, 3), raw(5, 3, seed=1)
    shares = [(k + 0.5) / 4000 for k in range(4000)]
    exact = gaussian.crps(x)
    # The trapezoid loses at most about the spread times the square of a part at a kink, and the
    # tails beyond the last share.
    torch.testing.assert_close(crps_of(gaussian, x, shares), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(crps_of(gaussian, x), exact, rtol=5e-3, atol=0)
    many = Quantiles(torch.stack([gaussian.quantile(s) for s in shares], -1), tuple(shares))
    torch.testing.assert_close(many.pinball(x), crps_of(gaussian, x, shares))
    assert EVEN_SHARES[:2] == (0.005, 0.015)


@pytest.mark.parametrize("name", ["student", "mixture"])
def test_crps_of_an_expression_is_that_by_quantiles(name):
    density, x = said(name, 2, 3), 2 * raw(2, 3, seed=1)
    shares = [(k + 0.5) / 25 for k in range(25)]
    torch.testing.assert_close(crps_of(density, x, shares), density.crps(x), rtol=0.06, atol=0)
    narrow = type(density).of(raw(2, 3, 3).float())
    assert narrow.crps(x.float()).dtype == torch.float32


@pytest.mark.parametrize("name", COUNTS)
def test_crps_of_counts_is_a_sum(name):
    density, x = many(name)[0], t(0, 1, 4)
    k = torch.arange(2000, dtype=torch.float64).unsqueeze(1)
    by_hand = (density.cdf(k) - (k >= x).double()).square().sum(0)
    shares = [(k + 0.5) / 250 for k in range(250)]
    # Where a quantile jumps by 1, up to half a share is on the wrong side; tails beyond.
    torch.testing.assert_close(crps_of(density, x, shares), by_hand, rtol=0.01, atol=0.5 / 250)


def test_scores_say_what_is_wrong():
    with pytest.raises(SettingError, match="at least one"):
        crps_of(Point(t(0)), t(0), ())
    with pytest.raises(SettingError, match="between 0 and 1"):
        crps_of(Gaussian(t(0), t(1)), t(0), (0.5, 1))
