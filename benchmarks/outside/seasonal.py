"""Many series with a season each, by NumPy alone: the same numbers under every interpreter.

Series ``i`` at step ``t`` is ::

    y = c (b + s[t mod 24] + a[t] + d e[t])

* ``c = exp(n)``, ``n`` standard normal: its scale;
* ``b`` uniform in -10 to 10: its level;
* ``s``: its day, ``sum over k = 1..4 of (p_k cos(2 pi k t / 24) + q_k sin(2 pi k t / 24)) / k``
  with ``p``, ``q`` standard normal, divided by its root mean square, so that this is 1;
* ``a``: a slow AR(1), ``a[t] = f a[t-1] + sqrt(1 - f^2) v u[t]`` from ``a[0] = v u[0]``, with ``f``
  uniform in 0.95 to 0.995 and deviation ``v`` uniform in 0.3 to 1;
* ``d`` uniform in 0.2 to 0.5: noise; ``u`` and ``e`` are standard normal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PERIOD = 24


class Made(NamedTuple):
    """Series, and what each was made of.

    Args:
        y: ``[series, steps]``.
        scale: ``c`` of each.
        persistence: ``f``.
        spread: ``v``.
        noise: ``d``.
    """

    y: Floats
    scale: Floats
    persistence: Floats
    spread: Floats
    noise: Floats

    def floor(self, h: int) -> Floats:
        """Deviation ``[series, h]`` that is left to who knows all but what comes after the origin.

        Nobody does: it needs the parameters, and ``a`` at the origin apart from its noise.
        """
        fades = self.persistence[:, None] ** (2 * np.arange(1, h + 1))
        slow = self.spread[:, None] ** 2 * (1 - fades)
        return self.scale[:, None] * np.sqrt(slow + self.noise[:, None] ** 2)


def make(series: int = 1000, steps: int = 500, seed: int = 0) -> Made:
    """Series of one seed; more steps or series change all of them."""
    draw = np.random.default_rng(seed)
    scale = np.exp(draw.standard_normal(series))
    level = draw.uniform(-10, 10, series)
    f, v = draw.uniform(0.95, 0.995, series), draw.uniform(0.3, 1.0, series)
    d = draw.uniform(0.2, 0.5, series)
    k = np.arange(1, 5)
    angles = 2 * np.pi * k[:, None] * np.arange(PERIOD) / PERIOD
    day = (draw.standard_normal((series, 4)) / k) @ np.cos(angles)
    day += (draw.standard_normal((series, 4)) / k) @ np.sin(angles)
    day /= np.sqrt(np.mean(day**2, axis=1, keepdims=True))
    u, e = draw.standard_normal((2, steps, series))
    slow = np.empty((steps, series))
    slow[0] = v * u[0]
    for t in range(1, steps):
        slow[t] = f * slow[t - 1] + np.sqrt(1 - f**2) * v * u[t]
    season = day.T[np.arange(steps) % PERIOD]
    return Made((scale * (level + season + slow + d * e)).T.copy(), scale, f, v, d)


def errors(y: Floats, forecast: Floats) -> dict[str, float]:
    """Mean absolute and squared error of the last steps, scaled by each series' training part.

    Args:
        y: ``[series, steps]``.
        forecast: of the last of them, ``[series, h]``; what lies before is the training part.
    """
    h = forecast.shape[1]
    apart = (y[:, -h:] - forecast) / y[:, :-h].std(axis=1, keepdims=True)
    return {"mae": float(np.abs(apart).mean()), "mse": float((apart**2).mean())}
