"""Series whose best forecast is known: every answer is checked by a second way to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.data import (
    ARMA,
    Arithmetic,
    BouncingBall,
    Gappy,
    Logistic,
    RandomWalk,
    SeasonalTrend,
    Sine,
)
from recurra.errors import SettingError

DOUBLE: dict[str, Any] = {"dtype": torch.float64}
MODELS = {
    "white": ((), ()),
    "ar": ((0.6, -0.3), ()),
    "ma": ((), (0.8, 0.3)),
    "arma": ((0.5, 0.3), (0.4, -0.2, 0.1)),
}


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def covariances(ar: Any, ma: Any, count: int) -> np.ndarray:
    """Autocovariances by the sum over 4000 psi weights, worked out by a filter."""
    psi = np.zeros(4000)
    for j in range(len(psi)):
        psi[j] = 1.0 if j == 0 else (ma[j - 1] if j <= len(ma) else 0.0)
        psi[j] += sum(a * psi[j - i] for i, a in enumerate(ar, 1) if i <= j)
    return np.array([psi[: len(psi) - k] @ psi[k:] for k in range(count)])


# ---- ARMA --------------------------------------------------------------------------------------


def test_weights_and_errors_by_hand():
    r"""AR(1): :math:`\psi_j = a^j`; MA(1): 1, b, 0; ARMA(1, 1): :math:`a^{j-1} (a + b)`."""
    torch.testing.assert_close(ARMA([0.5]).weights(4), t(1, 0.5, 0.25, 0.125))
    torch.testing.assert_close(ARMA([], [0.4]).weights(4), t(1, 0.4, 0, 0))
    torch.testing.assert_close(ARMA([0.5], [0.4]).weights(4), t(1, 0.9, 0.45, 0.225))
    torch.testing.assert_close(ARMA([0.5], noise=2).optimal_errors(3), 4 * t(1, 1.25, 1.3125))
    torch.testing.assert_close(ARMA(noise=3).optimal_errors(2), t(9, 9))


@pytest.mark.parametrize("name", MODELS)
def test_an_arma_follows_its_equation(name):
    """Innovations taken out of the values are independent and of the variance that is given."""
    ar, ma = MODELS[name]
    x = ARMA(ar, ma, 0.5, mean=7, rows=50, seed=1, **DOUBLE).take(2000).numpy() - 7
    innovations = np.zeros_like(x)
    for step in range(len(ar), len(x)):
        past = sum(a * x[step - i] for i, a in enumerate(ar, 1))
        past = past + sum(b * innovations[step - j] for j, b in enumerate(ma, 1) if j <= step)
        innovations[step] = x[step] - past
    late = innovations[500:]  # what was not known at the start is forgotten
    assert late.var() == pytest.approx(0.25, abs=5 * 0.25 * (2 / late.size) ** 0.5)
    for lag in (1, 2, 3):
        together = (late[lag:] * late[:-lag]).mean()
        assert abs(together) < 5 * 0.25 / late.size**0.5


@pytest.mark.parametrize("name", MODELS)
def test_an_arma_begins_in_its_stationary_law(name):
    """At the very first steps: variances and covariances are those of any other."""
    ar, ma = MODELS[name]
    rows = 5000
    first = ARMA(ar, ma, 2.0, rows=rows, seed=3, **DOUBLE).take(4).numpy()
    known = 4 * covariances(ar, ma, 4)
    for step in range(4):
        for lag in range(step + 1):
            found = (first[step] * first[step - lag]).mean()
            error = known[0] * (2 / rows) ** 0.5
            assert abs(found - known[lag]) < 5 * error, (step, lag)
    assert abs(first.mean()) < 5 * (known[0] / rows) ** 0.5


@pytest.mark.parametrize("name", MODELS)
def test_the_forecast_is_the_conditional_mean(name):
    """Of a normal law: by the covariances of past and future, solved."""
    ar, ma = MODELS[name]
    source = ARMA(ar, ma, 1.7, mean=3, rows=2, seed=5, **DOUBLE)
    history, known = source.take(9), covariances(ar, ma, 20)
    gap = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    for ahead in (1, 2, 5):
        across = known[8 + ahead - np.arange(9)]
        by_hand = 3 + np.linalg.solve(known[gap], across) @ (history.numpy() - 3)
        found = source.forecast(history, ahead)
        assert found.shape == (ahead, 2)
        torch.testing.assert_close(found[-1], torch.from_numpy(by_hand))
        torch.testing.assert_close(source.forecast(history[:, 0], ahead), found[:, 0])
    torch.testing.assert_close(source.forecast(history[:0], 2), torch.full((2, 2), 3.0).double())


@pytest.mark.parametrize("name", MODELS)
def test_the_forecast_has_the_optimal_errors(name):
    """And a forecast by anything else has more: the last value, and the mean."""
    ar, ma = MODELS[name]
    rows = 5000
    source = ARMA(ar, ma, rows=rows, seed=6, **DOUBLE)
    whole = source.take(44)
    history, coming = whole[:40], whole[40:]
    squares = (source.forecast(history, 4) - coming).square()
    optimal = source.optimal_errors(4)
    error = squares.std(1) / rows**0.5
    assert ((squares.mean(1) - optimal).abs() < 5 * error).all()
    assert ((history[-1] - coming).square().mean(1) > optimal + 5 * error).all()
    if name != "white":
        assert float(coming[0].square().mean()) > float(optimal[0] + 5 * error[0])


def test_rows_of_an_arma_are_independent():
    first = ARMA([0.5], rows=2, seed=1, **DOUBLE).take(2000)
    assert abs(float((first[:, 0] * first[:, 1]).mean())) < 5 * (4 / 3) * 2 / 2000**0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ARMA([1.0]), "ar: expected stationary"),
        (lambda: ARMA([0.5, 0.5]), "ar: expected stationary"),
        (lambda: ARMA([2, -1]), "ar: expected stationary"),
        (lambda: ARMA([], [-1]), r"ma: expected invertible.*from \[-1.0\]"),
        (lambda: ARMA([], [0.0, 1.3]), "ma: expected invertible"),
        (lambda: ARMA([math.nan]), "ar: expected finite"),
        (lambda: ARMA([[0.5]]), "ar: expected a list"),
        (lambda: ARMA(["a"]), "ar: expected finite"),
        (lambda: ARMA([0.5], noise=-1), "noise: expected at least 0"),
        (lambda: ARMA([0.5], rows=0), "rows"),
        (lambda: ARMA([0.5]).optimal_errors(0), "horizon"),
        (lambda: ARMA([0.5]).forecast([1.0, math.nan], 1), "history: expected finite"),
        (lambda: ARMA([0.5]).forecast([[[1.0]]], 1), "history: expected"),
        (lambda: RandomWalk(noise=-1), "noise: expected at least 0"),
        (lambda: RandomWalk().forecast([], 1), "at least one step"),
        (lambda: RandomWalk().optimal_errors(0), "horizon"),
        (lambda: SeasonalTrend(0), "period"),
        (lambda: SeasonalTrend(3, shape=[1, 2]), "shape: expected a number for each of 3"),
        (lambda: SeasonalTrend(3, noise=-1), "noise: expected at least 0"),
        (lambda: Logistic(4.1), "r: expected more than 0"),
        (lambda: Logistic(0), "r: expected more than 0"),
        (lambda: Logistic(position=1.0), "position: expected"),
        (lambda: Logistic(position=[0.1, 0.2]), "position: expected"),
        (lambda: Logistic(noise=-1), "noise: expected at least 0"),
        (lambda: Logistic().horizon_of_predictability(0, 1), "error: expected"),
        (lambda: Logistic().horizon_of_predictability(0.2, 0.1), "error: expected"),
        (lambda: Gappy(Arithmetic(), 0.1), "source: expected real numbers"),
        (lambda: Gappy(RandomWalk(), 1.0), "share"),
        (lambda: BouncingBall().ahead(torch.zeros(3), 1), "element: expected"),
        (lambda: BouncingBall().straight_errors(0), "horizon"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(SettingError, match=message):
        make()


# ---- a walk, a season --------------------------------------------------------------------------


def test_a_walk_is_a_sum_of_independent_moves():
    walk = RandomWalk(0.3, 2.0, rows=100, seed=1, **DOUBLE)
    x = walk.take(2000)
    moves = torch.cat([x[:1], x.diff(dim=0)])
    size = moves.numel()
    assert float(moves.mean()) == pytest.approx(0.3, abs=5 * 2 / size**0.5)
    assert float(moves.var()) == pytest.approx(4, abs=5 * 4 * (2 / size) ** 0.5)
    off = moves - 0.3
    assert abs(float((off[1:] * off[:-1]).mean())) < 5 * 4 / size**0.5
    still = RandomWalk(0.5, 0, **DOUBLE).take(4)
    torch.testing.assert_close(still, t(0.5, 1, 1.5, 2).unsqueeze(1))


def test_nothing_beats_the_last_value_and_drift():
    walk = RandomWalk(0.3, 2.0, rows=5000, seed=2, **DOUBLE)
    torch.testing.assert_close(walk.optimal_errors(3), t(4, 8, 12))
    x = walk.take(13)
    squares = (walk.forecast(x[:10], 3) - x[10:]).square()
    error = squares.std(1) / 5000**0.5
    assert ((squares.mean(1) - walk.optimal_errors(3)).abs() < 5 * error).all()
    torch.testing.assert_close(walk.forecast(t(1, 5), 3), t(5.3, 5.6, 5.9))


def test_season_and_trend_by_hand():
    plain = SeasonalTrend(4, 3, 0.5, level=10, **DOUBLE)
    by_hand = t(10, 13.5, 11, 8.5, 12, 15.5, 13, 10.5)
    torch.testing.assert_close(plain.take(8), by_hand.unsqueeze(1))
    shaped = SeasonalTrend(3, 2, shape=[1, 0, -4], **DOUBLE).take(5)
    torch.testing.assert_close(shaped, t(2, 0, -8, 2, 0).unsqueeze(1))
    assert plain.optimal_error == 0


def test_what_a_season_leaves_is_its_noise():
    source = SeasonalTrend(7, 3, 0.5, 2.0, rows=50, seed=1, **DOUBLE)
    left = source.take(1500) - source.expected(0, 1500).unsqueeze(1)
    size = left.numel()
    assert float(left.square().mean()) == pytest.approx(
        source.optimal_error, abs=5 * 4 * (2 / size) ** 0.5
    )
    assert source.optimal_error == 4
    assert abs(float((left[:, 0] * left[:, 1]).mean())) < 5 * 4 / 1500**0.5


# ---- gaps --------------------------------------------------------------------------------------


def test_a_share_is_missing_and_the_rest_is_the_truth():
    truth = Sine([0.3, 2], noise=0.5, sampling_rate=7, seed=4)
    gappy = Gappy(truth, 0.3, seed=4)
    seen, whole, missing = gappy.take(20_000), truth.take(20_000), gappy.missing(0, 20_000)
    assert torch.equal(seen.isnan(), missing)
    assert torch.equal(seen[~missing], whole[~missing])
    assert torch.equal(gappy.source.take(20_000), whole)
    share = missing.double()
    far = 5 * (0.21 / share.numel()) ** 0.5
    assert float(share.mean()) == pytest.approx(0.3, abs=far)
    # At random: it has nothing to do with the value, the row, or the step before.
    together = (share[1:] - 0.3) * (share[:-1] - 0.3)
    assert abs(float(together.mean())) < 5 * 0.21 / together.numel() ** 0.5
    across = (share[:, 0] - 0.3) * (share[:, 1] - 0.3)
    assert abs(float(across.mean())) < 5 * 0.21 / 20_000**0.5
    with_values = (share - 0.3) * whole
    assert abs(float(with_values.mean())) < 5 * float(with_values.std()) / share.numel() ** 0.5


def test_gaps_of_the_same_seed_do_not_tell_the_values():
    """Where a ball begins is drawn as uniformly as what is missing, from the same seed."""
    places, missing = [], []
    for seed in range(400):
        ball = BouncingBall(seed=seed, **DOUBLE)
        places.append(ball.take(1)[0, 0, 0])
        missing.append(Gappy(ball, 0.5, seed=seed).missing(0, 1)[0, 0, 0].double())
    together = torch.stack([torch.stack(places), torch.stack(missing)])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 5 / 400**0.5


def test_gaps_are_reproduced_and_are_of_every_number_of_a_vector():
    ball = BouncingBall((5, 7), radius=1, rows=2, seed=1)
    seen = Gappy(ball, 0.5, seed=2).take(400)
    assert seen.shape == (400, 2, 4)
    assert torch.equal(seen.isnan(), Gappy(ball, 0.5, seed=2).take(400).isnan())
    assert not torch.equal(seen.isnan(), Gappy(ball, 0.5, seed=3).take(400).isnan())
    assert 0 < int(seen.isnan().any(-1).sum()) > int(seen.isnan().all(-1).sum())
    assert not Gappy(ball, 0).take(50).isnan().any()


# ---- chaos, a ball -----------------------------------------------------------------------------


def test_a_logistic_map_by_its_closed_form():
    r"""With r = 4, :math:`x_t = \sin^2(2^t \arcsin \sqrt{x_0})`."""
    found = Logistic(position=[0.2, 0.7], rows=2, **DOUBLE).take(15)
    turns = (2.0 ** torch.arange(15).double()).unsqueeze(1) * t(0.2, 0.7).sqrt().asin()
    torch.testing.assert_close(found, turns.sin().square(), atol=1e-10, rtol=0)
    source = Logistic(3.2, position=0.3, **DOUBLE)
    torch.testing.assert_close(source.take(2)[1], t(3.2 * 0.3 * 0.7))
    torch.testing.assert_close(source.ahead(source.take(1)[0], 6), source.take(7)[6])


def test_noise_is_of_what_is_seen_alone():
    clear, noisy = Logistic(seed=3, **DOUBLE), Logistic(noise=0.1, seed=3, **DOUBLE)
    assert torch.equal(noisy.truth(0, 3000), clear.take(3000))
    off = noisy.take(3000) - noisy.truth(0, 3000)
    assert float(off.square().mean()) == pytest.approx(0.01, abs=5 * 0.01 * (2 / 3000) ** 0.5)
    assert not torch.equal(clear.take(3), Logistic(seed=4, **DOUBLE).take(3))


def test_the_lyapunov_exponent():
    assert Logistic().lyapunov == math.log(2)
    # A mean over an orbit comes near to what is exact.
    x = Logistic(seed=1, **DOUBLE).take(50_000)
    grown = (4 * (1 - 2 * x)).abs().log()
    assert float(grown.mean()) == pytest.approx(math.log(2), abs=0.02)
    # At r = 2.5 all come to 0.6, where the slope is r (1 - 1.2); at 3.2 to a cycle of two.
    assert Logistic(2.5).lyapunov == pytest.approx(math.log(0.5), abs=1e-6)
    assert Logistic(3.2).lyapunov == pytest.approx(
        math.log(abs(-(3.2**2) + 2 * 3.2 + 4)) / 2, abs=1e-6
    )
    assert Logistic(3.9).lyapunov > 0


def test_a_small_error_grows_until_the_horizon():
    chaos = Logistic(seed=2, rows=400, **DOUBLE)
    assert chaos.horizon_of_predictability(1e-6, 1e-6) == 0
    assert chaos.horizon_of_predictability(0.01, 0.16) == pytest.approx(4)
    assert Logistic(2.5).horizon_of_predictability(1e-6, 0.1) == math.inf
    x = chaos.take(31)[30].clamp(1e-3, 1 - 1e-3)  # by now in its stationary law
    steps = 10
    off = (chaos.ahead(x + 1e-9, steps) - chaos.ahead(x, steps)).abs() / 1e-9
    # The mean logarithm grows by lambda a step, of orbits that begin anywhere by chance.
    logs = off.log()
    error = float(logs.std()) / 400**0.5
    assert float(logs.mean()) == pytest.approx(steps * math.log(2), abs=5 * error)


def test_a_ball_ahead_is_where_it_will_be():
    ball = BouncingBall((5, 7), radius=1, rows=3, speed=0.8, seed=1, **DOUBLE)
    whole = ball.take(60)
    for steps in (0, 1, 7, 30):
        torch.testing.assert_close(ball.ahead(whole[:20], steps), whole[steps : 20 + steps])


def test_who_knows_no_walls_errs_by_what_they_turn():
    """One axis, [0, 4], from 3 by 1: at 3, 4, 3, 2, ... where 5, 6 and 7 would have been."""
    ball = BouncingBall([4], radius=0, position=[3], velocity=[1], **DOUBLE)
    torch.testing.assert_close(ball.straight_errors(3, stop=1), t(0, 4, 16))
    # Of step 1, on the wall, it has turned already; from 3 downward there is none for 3 steps.
    torch.testing.assert_close(ball.straight_errors(2, start=1, stop=3), t(0, 0))
    slow = BouncingBall([400], radius=0, position=[3], velocity=[1], **DOUBLE)
    assert not slow.straight_errors(3, stop=50).any()
    two = BouncingBall((4, 400), radius=0, position=[3, 200], velocity=[1, 1], **DOUBLE)
    torch.testing.assert_close(two.straight_errors(3, stop=1), t(0, 4, 16))
