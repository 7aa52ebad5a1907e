"""Forecasts without a state, against sums written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recurra.models import (
    Autoregression,
    Drift,
    LastValue,
    LinearMap,
    MeanValue,
    Rival,
    SeasonalNaive,
    Unconditional,
    Walk,
)

NAN = math.nan
HORIZON = 5


def column(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


def means(model: Rival, values: np.ndarray) -> np.ndarray:
    """Of the next step, at each step of one series."""
    return model.expect(Walk.of(values, [0]), np.arange(len(values)))[:, 0]


def series() -> list[np.ndarray]:
    """Some with gaps, one that begins with one, a short one, one without a value."""
    chance = np.random.default_rng(0)
    found = [chance.standard_normal((size, 2)) + 10 * size for size in (17, 12, 2, 4)]
    found[0][[3, 4, 16], 0] = NAN
    found[1][:3, 1] = NAN
    found[3][:, 0] = NAN
    return found


def shelf(every: list[np.ndarray], before: int = 2) -> tuple[Walk, list[int]]:
    """Series behind each other, with steps without a value before each and behind the last."""
    parts, begins, at = [], [], 0
    for one in every:
        parts += [np.full((before, 2), NAN), one]
        begins.append(at + before)
        at += before + len(one)
    return Walk.of(np.concatenate([*parts, np.full((HORIZON, 2), NAN)]), begins), begins


def last_of(read: np.ndarray, otherwise: float = 0.0) -> float:
    there = read[~np.isnan(read)]
    return float(there[-1]) if len(there) else otherwise


def filled(read: np.ndarray) -> list[float]:
    """At each step the last value that was there; 0 before the first."""
    return [last_of(read[: step + 1]) for step in range(len(read))]


def last_value(read: np.ndarray) -> list[float]:
    return [last_of(read)] * HORIZON


def mean_value(read: np.ndarray) -> list[float]:
    there = read[~np.isnan(read)]
    return [float(there.mean()) if len(there) else 0.0] * HORIZON


def seasonal(read: np.ndarray, season: int = 3) -> list[float]:
    found = []
    for step in range(HORIZON):
        place = len(read) - season + step % season
        usable = read[: place + 1] if place >= 0 else read[:0]
        found.append(last_of(usable, last_of(read)))
    return found


def drift(read: np.ndarray) -> list[float]:
    slope = 0.0
    if len(read) > 1 and not np.isnan(read[0]):
        slope = (last_of(read) - read[0]) / (len(read) - 1)
    return [last_of(read) + slope * (step + 1) for step in range(HORIZON)]


SIMPLE: list[tuple[Rival, Callable[[np.ndarray], list[float]]]] = [
    (LastValue(np.ones((HORIZON, 2))), last_value),
    (MeanValue(np.ones((HORIZON, 2))), mean_value),
    (SeasonalNaive(np.ones((HORIZON, 2)), 3), seasonal),
    (Drift(np.ones((HORIZON, 2))), drift),
]


@pytest.mark.parametrize(("model", "by_hand"), SIMPLE, ids=lambda x: type(x).__name__)
def test_simple_rivals_by_hand(model: Rival, by_hand: Any) -> None:
    """At all origins of several series: before the first step, and behind the last."""
    every = series()
    walk, begins = shelf(every)
    for one, begin in zip(every, begins, strict=True):
        found = model.expect(walk, begin + np.arange(len(one) + 1))
        assert found.shape == (len(one) + 1, HORIZON, 2)
        for step in range(len(one) + 1):
            for channel in range(2):
                wanted = by_hand(one[:step, channel])
                np.testing.assert_allclose(found[step, :, channel], wanted, atol=1e-9)


def test_deviations_are_those_of_the_errors() -> None:
    """A step of the horizon that nobody saw is as far as the one before it."""
    every = [column(1, 4, 2, 8, 3)]
    walk = Walk.of(every[0], [0])
    wide = np.concatenate([every[0], np.full((6, 1), NAN)])

    def wanted(origins: np.ndarray) -> np.ndarray:
        return np.stack([wide[o : o + 6] for o in origins])  # the sixth step never comes

    model = LastValue(np.ones((6, 1))).measured(walk, np.arange(1, 5), wanted)
    errors: list[list[float]] = [[] for _ in range(6)]
    for origin in range(1, 5):
        for step in range(5 - origin):
            errors[step].append(every[0][origin + step, 0] - every[0][origin - 1, 0])
    by_hand = [math.sqrt(np.mean(np.square(each))) if each else NAN for each in errors]
    by_hand[4] = by_hand[5] = by_hand[3]
    np.testing.assert_allclose(model.deviation[:, 0], by_hand)


def test_the_unconditional_density() -> None:
    model = Unconditional.fit([column(1, 2, NAN), column(6)])
    assert model.horizon == 1
    assert model.mean.item() == 3.0
    assert model.deviation.ravel().tolist() == pytest.approx([math.sqrt(14 / 3)])
    assert means(model, column(9, 9)).tolist() == [[3.0], [3.0]]
    nats = model.nats(column(3, NAN))
    assert float(nats[0, 0]) == pytest.approx(0.5 * math.log(2 * math.pi * 14 / 3))
    assert math.isnan(nats[1, 0])


def test_the_last_value_that_was_there() -> None:
    model = LastValue.fit([column(1, 3, NAN, 4)])  # differences 2 and 1
    assert model.deviation.item() == pytest.approx(math.sqrt(5 / 2))
    assert means(model, column(NAN, 5, NAN, 7)).ravel().tolist() == [0, 0, 5, 5]


def test_constants_have_a_density_that_is_finite() -> None:
    flat = column(*[0.0] * 50)
    for model in (
        Unconditional.fit([flat]),
        LastValue.fit([flat]),
        Autoregression.fit([flat], [flat]),
    ):
        assert np.isfinite(model.nats(flat)).all()
        assert model.deviation.item() == 1e-3


# ---- maps ----------------------------------------------------------------------------------------


def linear(every: list[np.ndarray], order: int, ridge: float) -> tuple[LinearMap, Walk, list[int]]:
    walk, begins = shelf(every)
    origins = np.concatenate(
        [begin + np.arange(len(one)) for one, begin in zip(every, begins, strict=True)]
    )

    def wanted(places: np.ndarray) -> np.ndarray:
        return walk.values[places[:, None] + np.arange(HORIZON)]

    return LinearMap.fit(walk, origins, wanted, (HORIZON, 2), order, ridge), walk, begins


def test_a_linear_map_by_hand() -> None:
    """By least squares of rows that are written out, with a ridge on all but what is added."""
    every, order, ridge = [one[1:] for one in series()[:2]], 4, 0.5
    model, walk, begins = linear(every, order, ridge)

    def read(one: np.ndarray, step: int, channel: int) -> tuple[list[float], float]:
        """What is read before a step, less the last; before the series stands its first value."""
        values = filled(one[:, channel])
        first = values[0]
        window = [values[n] if n >= 0 else first for n in range(step - order, step)]
        return [1.0, *(value - window[-1] for value in window)], window[-1]

    rows, came = [], []
    for one in every:
        for step in range(len(one)):
            for channel in range(2):
                after = [
                    one[n, channel] if n < len(one) else NAN for n in range(step, step + HORIZON)
                ]
                own, last = read(one, step, channel)
                if not np.isnan(after).any():
                    rows.append(own)
                    came.append(np.array(after) - last)
    x, y = np.array(rows), np.array(came)
    weight = ridge * len(rows) * np.eye(order + 1)
    weight[0, 0] = 1e-9
    np.testing.assert_allclose(model.map, np.linalg.solve(x.T @ x + weight, x.T @ y), atol=1e-8)
    for one, begin in zip(every, begins, strict=True):
        found = model.expect(walk, begin + np.arange(len(one) + 1))
        for step in range(len(one) + 1):
            for channel in range(2):
                own, last = read(one, step, channel)
                np.testing.assert_allclose(found[step, :, channel], own @ model.map + last)


def test_a_linear_map_of_no_origin_is_the_last_value() -> None:
    walk = Walk.of(column(1, 2, 3), [0])
    none = np.zeros(0, np.int64)
    model = LinearMap.fit(walk, none, lambda o: np.zeros((len(o), 2, 1)), (2, 1), 2)
    assert model.expect(walk, np.array([3])).tolist() == [[[3], [3]]]


def test_autoregression_finds_the_map_of_a_sine() -> None:
    """Without noise the next value is 2 cos(w) x - the value before it."""
    steps = np.arange(400)
    sine = column(*np.sin(0.7 * steps + 1))
    model = Autoregression.fit([sine[:300]], [sine[300:]])
    assert model.order >= 2
    assert model.deviation.item() < 2e-3 < model.early.item()
    assert float(np.abs(means(model, sine)[70:] - sine[70:]).max()) < 1e-3
    one = Autoregression.from_arrays(model.arrays())
    assert np.array_equal(means(one, sine), means(model, sine))


def test_autoregression_by_hand() -> None:
    """The map of the last values of both channels, the latest first; 0 before the first."""
    chance = np.random.default_rng(1)
    order = 3
    model = Autoregression(np.ones(2), chance.standard_normal((1 + 2 * order, 2)), [5.0, 6.0])
    assert model.order == order
    every = series()
    walk, begins = shelf(every)
    for one, begin in zip(every, begins, strict=True):
        origins = begin + np.arange(len(one) + 1)
        found, spread = model.expect(walk, origins), model.spread(walk, origins)
        both = np.stack([filled(one[:, channel]) for channel in range(2)], 1)
        for step in range(len(one) + 1):
            lags = [both[step - k] if step >= k else np.zeros(2) for k in range(1, order + 1)]
            wanted = np.concatenate([[1.0], *lags]) @ model.map
            np.testing.assert_allclose(found[step, 0], wanted, rtol=1e-9, atol=1e-9)
            assert spread[step, 0].tolist() == ([5, 6] if step < order else [1, 1])
        np.testing.assert_allclose(
            model._means(one), found[: len(one), 0], rtol=1e-9, atol=1e-9
        )  # what it is fitted by is what it says


def test_what_is_held_out_goes_on_from_what_was_before() -> None:
    """A sine that is cut would begin anew, with a window that is not full."""
    sine = column(*np.sin(0.7 * np.arange(400) + 1))
    model = Autoregression.fit([sine[:300]], [sine], [300])
    assert model.order >= 2
    assert float(model.nats(sine)[300:].max()) < -4
    assert np.isfinite(model.nats(sine)).all()


def test_autoregression_of_two_channels_reads_both() -> None:
    chance = np.random.default_rng(0)
    x = chance.standard_normal(3000)
    y = np.concatenate([[0], 0.8 * x[:-1]]) + 0.1 * chance.standard_normal(3000)
    both = np.stack([x, y], 1)
    model = Autoregression.fit([both[:2000]], [both[2000:]])
    assert float(model.deviation[0, 0]) == pytest.approx(1, abs=0.1)
    assert float(model.deviation[0, 1]) == pytest.approx(0.1, abs=0.02)
    assert float(model.map[1, 1]) == pytest.approx(0.8, abs=0.02)


def test_nothing_after_a_step_changes_what_was_expected_of_it() -> None:
    every = series()
    mapped, _, _ = linear(every[:2], 3, 0.1)
    auto = Autoregression.fit(every[:2], every[:2])
    long = np.random.default_rng(0).standard_normal((200, 2))
    changed = long.copy()
    changed[120:] = 1e6
    for model in (mapped, auto, *(each for each, _ in SIMPLE)):
        one, other = (
            model.expect(Walk.of(values, [0]), np.arange(201)) for values in (long, changed)
        )
        assert np.array_equal(one[:121], other[:121])
        assert not np.array_equal(one[121], other[121])


def test_nothing_of_another_series_is_read() -> None:
    every = series()
    mapped, _, _ = linear(every[:2], 3, 0.1)
    auto = Autoregression.fit(every[:2], every[:2])
    other = [1e6 * every[0], every[1], 1e6 * every[2], every[3]]
    for model in (mapped, auto, *(each for each, _ in SIMPLE)):
        found = []
        for some in (every, other):
            walk, begins = shelf(some)
            found.append(model.expect(walk, begins[1] + np.arange(len(every[1]) + 1)))
        assert np.array_equal(*found)


@pytest.mark.parametrize("kind", range(6))
def test_rivals_come_back_from_their_arrays(kind: int) -> None:
    every = series()
    mapped, walk, _ = linear(every, 3, 0.1)
    models = [mapped, Autoregression.fit(every[:2], every[:2]), *(each for each, _ in SIMPLE)]
    model = models[kind]
    one = type(model).from_arrays(model.arrays())
    origins = np.arange(2, 30)
    assert np.array_equal(one.expect(walk, origins), model.expect(walk, origins))
    assert np.array_equal(one.spread(walk, origins), model.spread(walk, origins))


def test_of_one_step_and_of_none() -> None:
    model = Autoregression.fit([column(1, 2, 3)], [column(NAN)])
    assert means(model, column(5)).shape == (1, 1)
    assert model.expect(Walk.of(np.zeros((0, 1)), [0]), np.zeros(0, np.int64)).shape == (0, 1, 1)
    assert model.nats(np.zeros((0, 1))).shape == (0, 1)
