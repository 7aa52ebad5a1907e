"""How probable a t as far from 0 is by chance."""

from __future__ import annotations

import math

__all__ = ["two_sided"]

_TINY, _STEPS = 1e-300, 10_000


def two_sided(t: float, freedom: float) -> float:
    r"""How probable a Student's t at least as far from 0 is, at any degrees of freedom f above 0.

    .. math:: P = I_{f / (f + t^2)}(f / 2, 1 / 2)

    with the regularized incomplete beta function (Abramowitz and Stegun 1964, 26.7.1).
    """
    square = t * t
    if not math.isfinite(square):
        return 0.0
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Its continued fraction where that is short (ibid. 26.5.8), else that of 1 - x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1 / (1 + d2 / (1 + ...)), from the front (Lentz 1976)."""
    above, below, found = 1.0, 0.0, 1.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1 / (1 + d * below or _TINY)
        above = 1 + d / above or _TINY
        found *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return found
