"""Series of chance, and the best forecast of each: ARMA, a random walk, season and trend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data.synthetic.base import (
    BEGINNING,
    BLOCK,
    Floats,
    FollowedSource,
    Seed,
    SyntheticSource,
    block_draws,
    draws,
    finite_array,
    not_negative,
    seed_number,
)
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = ["ARMA", "RandomWalk", "SeasonalTrend"]

_NEAR = 1e-7  # to 1: by so much are roots known that fall together


class ARMA(FollowedSource):
    r"""An autoregressive moving average from its stationary law; elements are numbers.

    .. math::
        x_t - \mu = \sum_i a_i (x_{t-i} - \mu) + e_t + \sum_j b_j e_{t-j},
        \qquad e_t \sim N(0, \sigma^2) \text{ independent}

    Args:
        ar: a, the nearest first; none is allowed.
        ma: b, the nearest first; none is allowed.
        noise: :math:`\sigma`, at least 0.
        mean: :math:`\mu`.
        rows: number of independent sequences.
        seed: of their chance.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: numbers that are none, coefficients that are not stationary (a root of
            :math:`z^p = \sum a_i z^{p-i}` is not within the unit circle) or not invertible (one of
            :math:`z^q = -\sum b_j z^{q-j}` is not), rows below 1, or no seed.

    Source: Brockwell and Davis, Time Series: Theory and Methods, chapters 3 and 5.
    """

    def __init__(
        self,
        ar: Sequence[float] = (),
        ma: Sequence[float] = (),
        noise: float = 1.0,
        *,
        mean: float = 0.0,
        rows: int = 1,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.ar, self.ma = _coefficients("ar", ar), _coefficients("ma", ma)
        _check_roots("ar", "stationary", self.ar)
        _check_roots("ma", "invertible", -self.ma)
        self.noise, self.mean = not_negative("noise", noise), check_number("mean", mean)
        self.rows, self.dtype = check_size("rows", rows), dtype
        self._seed = seed_number(seed)
        # A state is the last p values, then the last q innovations, the nearest first.
        p, size = max(len(self.ar), 1), max(len(self.ar), 1) + len(self.ma)
        self._matrix = np.zeros((size, size))
        self._matrix[0, : len(self.ar)], self._matrix[0, p:] = self.ar, self.ma
        for place in range(1, size):
            self._matrix[place, place - 1] = place != p
        self._new = np.zeros(size)  # where an innovation enters
        self._new[[0, p] if len(self.ma) else [0]] = 1.0
        self._law = _stationary(self._matrix, np.outer(self._new, self._new))
        values, vectors = np.linalg.eigh(self._law)
        chance = draws(self._seed, BEGINNING)
        unit = chance.standard_normal((self.rows, size)) * np.sqrt(values.clip(min=0))
        super().__init__(self.noise * unit @ vectors.T)

    def _walk(self, start: int, stop: int, state: Any) -> tuple[Any, Any]:
        fresh = self.noise * _normal(self._seed, start, stop, self.rows)
        made = np.zeros((stop - start, self.rows))
        for step in range(stop - start):
            state = state @ self._matrix.T + fresh[step][:, None] * self._new
            made[step] = state[:, 0]
        return made + self.mean, state

    def _make(self, start: int, stop: int) -> Tensor:
        return super()._make(start, stop).to(self.dtype)

    def weights(self, count: int) -> Tensor:
        r"""How innovations come back, :math:`x_t - \mu = \sum_j \psi_j e_{t-j}`, ``[count]``.

        :math:`\psi_0 = 1`, :math:`\psi_j = b_j + \sum_i a_i \psi_{j-i}`.

        Raises:
            SettingError: a count below 1.
        """
        found = [1.0]
        for j in range(1, check_size("count", count)):
            past = sum(a * found[j - i] for i, a in enumerate(self.ar, 1) if i <= j)
            found.append(past + (self.ma[j - 1] if j <= len(self.ma) else 0.0))
        return torch.tensor(found, dtype=torch.float64)

    def optimal_errors(self, horizon: int) -> Tensor:
        r"""The least mean squared errors 1 to horizon steps ahead, ``[horizon]``.

        :math:`\sigma^2 \sum_{j < k} \psi_j^2` for k steps, of one who knows all the past.

        Raises:
            SettingError: a horizon below 1.
        """
        return self.noise**2 * self.weights(check_size("horizon", horizon)).square().cumsum(0)

    def forecast(self, history: Any, horizon: int) -> Tensor:
        r"""The best forecast, :math:`E[x_{t+k} \mid x_0 \dots x_t]`, by Kalman's filter.

        Args:
            history: ``[time, rows]`` or ``[time]``, any number of steps and rows.
            horizon: steps ahead.

        Returns:
            float64 ``[horizon, rows]`` or ``[horizon]``.

        Raises:
            SettingError: numbers that are none, another number of axes, or a horizon below 1.
        """
        given, horizon = _history(history), check_size("horizon", horizon)
        past = given.reshape(len(given), math.prod(given.shape[1:])) - self.mean
        state, spread = np.zeros((past.shape[1], len(self._new))), self._law
        for values in past:
            gain = spread[0] / spread[0, 0]
            state = (state + (values - state[:, 0])[:, None] * gain) @ self._matrix.T
            left = self._matrix @ (spread - np.outer(gain, spread[0])) @ self._matrix.T
            spread = left + np.outer(self._new, self._new)
        found = np.zeros((horizon, past.shape[1]))
        for step in range(horizon):
            found[step] = state[:, 0] + self.mean
            state = state @ self._matrix.T
        return torch.from_numpy(found.reshape(horizon, *given.shape[1:]))


class RandomWalk(FollowedSource):
    r"""Random walks: nothing beats the last value plus drift. Elements are numbers.

    .. math:: x_t = x_{t-1} + d + e_t, \qquad x_{-1} = 0, \qquad e_t \sim N(0, \sigma^2)

    Args:
        drift: d.
        noise: :math:`\sigma`, at least 0.
        rows: number of independent walks.
        seed: of their chance.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: numbers that are none, noise or rows out of range, or no seed.
    """

    def __init__(
        self,
        drift: float = 0.0,
        noise: float = 1.0,
        *,
        rows: int = 1,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.drift, self.noise = check_number("drift", drift), not_negative("noise", noise)
        self.rows, self.dtype, self._seed = check_size("rows", rows), dtype, seed_number(seed)
        super().__init__(np.zeros((1, self.rows)))

    def _walk(self, start: int, stop: int, state: Any) -> tuple[Any, Any]:
        moves = self.drift + self.noise * _normal(self._seed, start, stop, self.rows)
        made = np.concatenate([state, moves]).cumsum(0)
        return made[1:], made[-1:]

    def _make(self, start: int, stop: int) -> Tensor:
        return super()._make(start, stop).to(self.dtype)

    def optimal_errors(self, horizon: int) -> Tensor:
        r"""The least mean squared errors, :math:`k \sigma^2` for k steps ahead, ``[horizon]``.

        Raises:
            SettingError: a horizon below 1.
        """
        return self.noise**2 * _ahead(horizon)

    def forecast(self, history: Any, horizon: int) -> Tensor:
        """The best forecast: the last value, and drift for each step.

        Args:
            history: ``[time, rows]`` or ``[time]``, at least one step.
            horizon: steps ahead.

        Returns:
            float64 ``[horizon, rows]`` or ``[horizon]``.

        Raises:
            SettingError: numbers that are none, no step, or a horizon below 1.
        """
        given = _history(history)
        if len(given) == 0:
            raise SettingError("history: expected at least one step, got none")
        steps = _ahead(horizon).reshape(-1, *[1] * (given.ndim - 1))
        return torch.from_numpy(given[-1:]) + self.drift * steps


class SeasonalTrend(SyntheticSource):
    r"""A level, a trend, a season and noise; elements are numbers, ``[time, rows]``.

    .. math:: x_t = l + b\,t + A\, s_{t \bmod m} + \sigma \varepsilon_t,
        \qquad \varepsilon_t \sim N(0, 1) \text{ independent}

    Args:
        period: m, whole steps.
        amplitude: A.
        slope: b a step.
        noise: :math:`\sigma`, at least 0.
        level: l.
        shape: s, one number for each step of a period; None is
            :math:`\sin(2 \pi t / m)`.
        rows: number of sequences, which differ by their noise alone.
        seed: of the noise.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: numbers that are none or out of range, a shape of another length, or no seed.
    """

    def __init__(
        self,
        period: int,
        amplitude: float = 1.0,
        slope: float = 0.0,
        noise: float = 0.0,
        *,
        level: float = 0.0,
        shape: Sequence[float] | None = None,
        rows: int = 1,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.period, self.amplitude = (
            check_size("period", period),
            check_number("amplitude", amplitude),
        )
        self.slope, self.level = check_number("slope", slope), check_number("level", level)
        self.noise, self.rows = not_negative("noise", noise), check_size("rows", rows)
        turns = np.arange(self.period) / self.period
        wave = np.sin(2 * math.pi * turns) if shape is None else _coefficients("shape", shape)
        if len(wave) != self.period:
            raise SettingError(
                f"shape: expected a number for each of {self.period} steps, got {len(wave)}"
            )
        self.shape, self.dtype, self._seed = wave, dtype, seed_number(seed)

    @property
    def optimal_error(self) -> float:
        r"""The least mean squared error, however far ahead: :math:`\sigma^2`."""
        return self.noise**2

    def expected(self, start: int, stop: int) -> Tensor:
        """The best forecast of steps start to stop - 1, without their noise, float64 ``[time]``.

        Raises:
            SettingError: not 0 <= start <= stop.
        """
        start = check_size("start", start, 0)
        time = np.arange(start, check_size("stop", stop, start))
        season = self.amplitude * self.shape[time % self.period]
        return torch.from_numpy(self.level + self.slope * time + season)

    def _make(self, start: int, stop: int) -> Tensor:
        noise = torch.from_numpy(_normal(self._seed, start, stop, self.rows))
        return (self.expected(start, stop).unsqueeze(1) + self.noise * noise).to(self.dtype)


def _normal(seed: int, start: int, stop: int, rows: int) -> Floats:
    return block_draws(seed, start, stop, lambda chance: chance.standard_normal((BLOCK, rows)))


def _ahead(horizon: int) -> Tensor:
    return torch.arange(1, check_size("horizon", horizon) + 1, dtype=torch.float64)


def _coefficients(name: str, values: Any) -> Floats:
    array = finite_array(name, values)
    if array.ndim != 1:
        raise SettingError(f"{name}: expected a list of numbers, got {values!r}")
    return array


def _history(values: Any) -> Floats:
    array = finite_array("history", values)
    if array.ndim not in (1, 2):
        raise SettingError(
            f"history: expected [time] or [time, rows], got shape {list(array.shape)}"
        )
    return array


def _check_roots(name: str, what: str, coefficients: Floats) -> None:
    largest = max(np.abs(np.roots([1.0, *-coefficients])), default=0.0)
    if largest > 1 - _NEAR:
        raise SettingError(
            f"{name}: expected {what} coefficients, whose roots are all below 1 in size; got one "
            f"of {largest:.6g} from {(coefficients if name == 'ar' else -coefficients).tolist()}"
        )


def _stationary(matrix: Floats, entering: Floats) -> Floats:
    """The covariance that a step does not change: P = F P F' + Q."""
    size = len(matrix)
    system = np.eye(size * size) - np.kron(matrix, matrix)
    found = np.linalg.solve(system, entering.ravel()).reshape(size, size)
    same: Floats = (found + found.T) / 2
    return same
