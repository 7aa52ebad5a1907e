"""The incomplete beta function, which torch lacks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["incomplete_beta"]

_TERMS = 2000  # of a continued fraction; the root of the smaller parameter is enough, and 10
_TINY = 1e-300


def incomplete_beta(a: Tensor, b: Tensor, x: Tensor, rest: Tensor) -> Tensor:
    """The regularized incomplete beta function, by Lentz's continued fraction (DLMF 8.17.22).

    Args:
        a: above 0, as the others in float64.
        b: above 0.
        x: 0 to 1.
        rest: 1 - x, which whoever calls knows without a loss of digits.
    """
    mirrored = x > (a + 1) / (a + b + 2)  # where it converges quickly
    one, other = torch.where(mirrored, b, a), torch.where(mirrored, a, b)
    at, beyond = torch.where(mirrored, rest, x), torch.where(mirrored, x, rest)
    front = (
        torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
        + one * at.clamp(min=_TINY).log() + other * beyond.clamp(min=_TINY).log()
    )  # fmt: skip
    found = front.exp() * _fraction(one, other, at) / one
    return torch.where(mirrored, 1 - found, found)


def _fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    nonzero: Callable[[Tensor], Tensor] = lambda v: torch.where(v.abs() < _TINY, _TINY, v)  # noqa: E731
    c, d = torch.ones_like(x), 1 / nonzero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / nonzero(1 + even * d), nonzero(1 + even / c)
        found = found * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / nonzero(1 + odd * d), nonzero(1 + odd / c)
        found = found * d * c
        if not bool(((d * c - 1).abs() >= 1e-15).any()):  # NaN waits for nothing
            break
    return found
