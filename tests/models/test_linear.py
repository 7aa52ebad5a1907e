"""Densities of the next value without a state, against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurra.models.linear import Autoregression, LastValue, Unconditional

NAN = math.nan


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_the_unconditional_density():
    model = Unconditional.fit([column(1, 2, NAN), column(6)])
    assert model.mean.item() == 3.0
    assert model.deviation.item() == pytest.approx(math.sqrt(14 / 3))
    assert model.expect(column(9, 9)).tolist() == [[3.0], [3.0]]
    nats = model.nats(column(3, NAN))
    assert float(nats[0, 0]) == pytest.approx(0.5 * math.log(2 * math.pi * 14 / 3))
    assert math.isnan(nats[1, 0])


def test_the_last_value_that_was_there():
    model = LastValue.fit([column(1, 3, NAN, 4)])  # differences 2 and 1
    assert model.deviation.item() == pytest.approx(math.sqrt(5 / 2))
    assert model.expect(column(NAN, 5, NAN, 7)).ravel().tolist() == [0, 0, 5, 5]


def test_constants_have_a_density_that_is_finite():
    flat = column(*[0.0] * 50)
    for model in (
        Unconditional.fit([flat]),
        LastValue.fit([flat]),
        Autoregression.fit([flat], [flat]),
    ):
        assert np.isfinite(model.nats(flat)).all()
        assert model.deviation.item() == 1e-3


def test_autoregression_finds_the_map_of_a_sine():
    """Without noise the next value is 2 cos(w) x - the value before it."""
    steps = np.arange(400)
    series = column(*np.sin(0.7 * steps + 1))
    model = Autoregression.fit([series[:300]], [series[300:]])
    assert model.order >= 2
    assert model.deviation.item() < 2e-3 < model.early.item()
    assert float(np.abs(model.expect(series)[70:] - series[70:]).max()) < 1e-3
    one = Autoregression.from_arrays(model.arrays())
    assert np.array_equal(one.expect(series), model.expect(series))


def test_what_is_held_out_goes_on_from_what_was_before():
    """A sine that is cut would begin anew, with a window that is not full."""
    series = column(*np.sin(0.7 * np.arange(400) + 1))
    model = Autoregression.fit([series[:300]], [series], [300])
    assert model.order >= 2
    assert float(model.nats(series)[300:].max()) < -4
    assert np.isfinite(model.nats(series)).all()


def test_autoregression_of_two_channels_reads_both():
    chance = np.random.default_rng(0)
    x = chance.standard_normal(3000)
    y = np.concatenate([[0], 0.8 * x[:-1]]) + 0.1 * chance.standard_normal(3000)
    both = np.stack([x, y], 1)
    model = Autoregression.fit([both[:2000]], [both[2000:]])
    assert float(model.deviation[0]) == pytest.approx(1, abs=0.1)
    assert float(model.deviation[1]) == pytest.approx(0.1, abs=0.02)
    assert float(model.map[1, 1]) == pytest.approx(0.8, abs=0.02)


def test_nothing_after_a_step_changes_what_was_expected_of_it():
    chance = np.random.default_rng(0)
    series = chance.standard_normal((200, 2))
    for model in (LastValue.fit([series]), Autoregression.fit([series], [series])):
        before = model.expect(series)
        changed = series.copy()
        changed[120:] = 1e6
        assert np.array_equal(model.expect(changed)[:121], before[:121])


def test_of_one_step_and_of_none():
    model = Autoregression.fit([column(1, 2, 3)], [column(NAN)])
    assert model.expect(column(5)).shape == (1, 1)
    assert model.expect(np.zeros((0, 1))).shape == (0, 1)
