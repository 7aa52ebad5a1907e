"""What is certain for a while: a chaotic map and its horizon."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data.synthetic.base import (
    BEGINNING,
    BLOCK,
    FollowedSource,
    Seed,
    block_draws,
    draws,
    finite_array,
    not_negative,
    seed_number,
)
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = ["Logistic"]

_AVERAGED = 100_000  # steps of an exponent that no formula gives
_SETTLED = 1000


class Logistic(FollowedSource):
    r"""The logistic map, seen through noise if asked; elements are numbers, ``[time, rows]``.

    .. math:: x_{t+1} = r\, x_t (1 - x_t), \qquad y_t = x_t + \sigma \varepsilon_t,
        \qquad \varepsilon_t \sim N(0, 1) \text{ independent}

    Noise is of what is seen alone: the map goes on without it. Whoever sees x knows all that
    follows; a small error grows by :math:`e^\lambda` a step.

    Args:
        r: above 0, at most 4.
        position: :math:`x_0`, above 0 and below 1, a number or one for each row; None draws it.
        noise: :math:`\sigma`, at least 0.
        rows: number of sequences.
        seed: of what is drawn.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: a setting out of its range, not one for each row, or no seed.

    Source: May, Simple Mathematical Models with Very Complicated Dynamics, 1976.
    """

    def __init__(
        self,
        r: float = 4.0,
        *,
        position: Any = None,
        noise: float = 0.0,
        rows: int = 1,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.r, self.noise = check_number("r", r), not_negative("noise", noise)
        if not 0 < self.r <= 4:
            raise SettingError(f"r: expected more than 0 and at most 4, got {r!r}")
        self.rows, self.dtype = check_size("rows", rows), dtype
        self._seed = seed_number(seed)
        start = draws(self._seed, BEGINNING).random(self.rows)
        if position is not None:
            start = finite_array("position", position)
        fits = start.ndim < 2 and start.size in (1, self.rows)
        if not (fits and ((start > 0) & (start < 1)).all()):
            raise SettingError(
                f"position: expected numbers above 0 and below 1 for {self.rows} rows, got "
                f"{position!r}"
            )
        super().__init__(np.broadcast_to(start, self.rows))

    def _walk(self, start: int, stop: int, state: Any) -> tuple[Any, Any]:
        made = np.zeros((stop - start, self.rows))
        for step in range(stop - start):
            made[step] = state
            state = self.r * state * (1 - state)
        return made, state

    def truth(self, start: int, stop: int) -> Tensor:
        """Steps start to stop - 1 without noise, float64 ``[time, rows]``.

        Raises:
            SettingError: not 0 <= start <= stop.
        """
        start = check_size("start", start, 0)
        return super()._make(start, check_size("stop", stop, start))

    def _make(self, start: int, stop: int) -> Tensor:
        values = super()._make(start, stop)
        if self.noise:
            values = values + self.noise * torch.from_numpy(
                block_draws(
                    self._seed,
                    start,
                    stop,
                    lambda chance: chance.standard_normal((BLOCK, self.rows)),
                )
            )
        return values.to(self.dtype)

    def ahead(self, x: Any, steps: int) -> Tensor:
        """Where the map is so many steps after ``x``, float64 of its shape.

        Raises:
            SettingError: steps below 0.
        """
        found = torch.as_tensor(x, dtype=torch.float64)
        for _ in range(check_size("steps", steps, 0)):
            found = self.r * found * (1 - found)
        return found

    @functools.cached_property
    def lyapunov(self) -> float:
        r"""The Lyapunov exponent in nats a step, :math:`\lambda = E \ln |r (1 - 2 x)|`.

        :math:`\ln 2` where r is 4; elsewhere a mean over 100,000 steps from 0.3, the first 1,000
        left out. Below 0 there is no chaos.
        """
        if self.r == 4:
            return math.log(2)
        x, total = 0.3, 0.0
        for step in range(_SETTLED + _AVERAGED):
            if step >= _SETTLED:
                total += math.log(max(abs(self.r * (1 - 2 * x)), 1e-300))
            x = self.r * x * (1 - x)
        return total / _AVERAGED

    def horizon_of_predictability(self, error: float, tolerance: float) -> float:
        r"""Steps until an error is no longer tolerated, :math:`\ln(\tau / \epsilon) / \lambda`.

        Args:
            error: of the present value, above 0.
            tolerance: at least the error.

        Returns:
            a number of at least 0; infinite where errors do not grow.

        Raises:
            SettingError: not 0 < error <= tolerance.
        """
        small, large = check_number("error", error), check_number("tolerance", tolerance)
        if not 0 < small <= large:
            raise SettingError(
                f"error: expected more than 0 and at most the tolerance {large:g}, got {error!r}"
            )
        return math.log(large / small) / self.lyapunov if self.lyapunov > 0 else math.inf
