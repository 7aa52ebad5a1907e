"""Autocorrelations of the errors of the first step."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.tasks.forecasting.first_errors import FirstErrors


def of(*series: np.ndarray, lags: int = 5, order: slice = slice(None)) -> tuple[float, ...]:
    errors = FirstErrors()
    for number, values in enumerate(series):
        steps = np.arange(len(values))[order] + 10 * number
        errors.add(np.full(len(steps), number), steps, values[order])
    return errors.correlations(lags)


def remembering(steps: int, share: float, seed: int = 0) -> np.ndarray:
    """An AR(1) of two channels, far from 0 and of other sizes ``[steps, 2]``."""
    noise = np.random.default_rng(seed).standard_normal((steps, 2))
    for step in range(1, steps):
        noise[step] += share * noise[step - 1]
    return noise * [1.0, 100.0] + [5.0, -300.0]


def test_of_an_autoregression_they_are_its_powers() -> None:
    found = of(remembering(20_000, 0.7))
    assert found == pytest.approx([0.7**lag for lag in range(1, 6)], abs=0.03)


def test_they_are_those_of_the_definition_in_any_order() -> None:
    row = remembering(40, 0.5)[:, :1]
    apart = (row - row.mean())[:, 0]
    wanted = [(apart[lag:] * apart[:-lag]).sum() / (apart**2).sum() for lag in range(1, 6)]
    assert of(row) == pytest.approx(wanted)
    assert of(row, order=slice(None, None, -1)) == pytest.approx(wanted)


def test_each_channel_counts_alike_whatever_its_size() -> None:
    row = np.concatenate([remembering(20_000, 0.8)[:, :1], 1e4 * remembering(20_000, 0.0, 1)], 1)
    assert of(row)[0] == pytest.approx(0.8 / 3, abs=0.02)


def test_series_do_not_go_on_in_one_another() -> None:
    """Each is its own: two that are steady apart from noise are noise."""
    chance = np.random.default_rng(1)
    steady = [chance.standard_normal((2000, 1)) + level for level in (-50, 50)]
    assert np.abs(of(*steady)).max() < 0.06


def test_what_is_missing_counts_as_nothing() -> None:
    row = remembering(20_000, 0.7)
    row[::3] = np.nan
    (first, *_) = of(row)
    assert first == pytest.approx(0.7 / 2, abs=0.03)  # half of the pairs of those that are there


def test_few_steps_tell_few_lags_or_none() -> None:
    assert len(of(remembering(12, 0.5), lags=40)) == 3
    assert of(remembering(3, 0.5)) == ()
    assert of(np.ones((40, 1))) == ()
    assert of() == ()
    assert of(remembering(40, 0.5), lags=0) == ()
