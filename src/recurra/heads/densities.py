"""Densities of a number, whose parameters a linear map gives.

Each is a named tuple of tensors ``[..., channels]`` (of a mixture ``[..., channels, components]``),
made by ``of`` from ``[..., channels, numbers]`` of any real numbers. A scale is at least
:data:`NARROWEST`: a channel that never changes has a density that is finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import SettingError

__all__ = [
    "LEAST_FREEDOM",
    "NARROWEST",
    "Density",
    "Gaussian",
    "GaussianMixture",
    "Student",
    "raw_of",
    "scale_of",
]

NARROWEST = 1e-3
"""The smallest scale, where channels have a deviation of about 1."""
LEAST_FREEDOM = 2.1
"""Degrees of freedom of a Student-t density: from 2 downward it has no deviation."""

_HALVINGS = 80  # of where a quantile may be
_DOUBLINGS = 200
_TERMS = 300  # of a continued fraction
_TINY = 1e-300


class Density(Protocol):
    """What a head may say of a number."""

    @property
    def mean(self) -> Tensor:
        """Expected value ``[..., channels]``."""

    @property
    def deviation(self) -> Tensor:
        """Standard deviation ``[..., channels]``."""

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is."""

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""


def scale_of(raw: Tensor) -> Tensor:
    """``softplus`` above the smallest scale."""
    return functional.softplus(raw) + NARROWEST


def raw_of(scale: float, least: float = NARROWEST) -> float:
    """What ``softplus`` makes such a scale of."""
    return math.log(math.expm1(scale - least))


class Gaussian(NamedTuple):
    r"""A normal density.

    .. math:: \log p(x) = -\tfrac12 z^2 - \log s - \tfrac12 \log 2\pi, \qquad z = (x - m) / s
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 2]``."""
        mean, scale = raw.unbind(-1)
        return cls(mean, scale_of(scale))

    @property
    def deviation(self) -> Tensor:
        """The scale."""
        return self.scale

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""
        return _log_normal(x, self.mean, self.scale)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is."""
        found: Tensor = torch.special.ndtr((x - self.mean) / self.scale)
        return found

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""
        one = torch.tensor(_checked(share), dtype=self.mean.dtype, device=self.mean.device)
        found: Tensor = self.mean + self.scale * torch.special.ndtri(one)
        return found


class Student(NamedTuple):
    r"""A Student-t density, with :math:`\nu` degrees of freedom: its tails know of outliers.

    .. math:: \log p(x) = \log \frac{\Gamma((\nu + 1)/2)}{\Gamma(\nu/2) \sqrt{\nu\pi}\, s}
        - \frac{\nu + 1}{2} \log\left(1 + \frac{z^2}{\nu}\right), \qquad z = (x - m) / s
    """

    mean: Tensor
    scale: Tensor
    freedom: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 3]``."""
        mean, scale, freedom = raw.unbind(-1)
        return cls(mean, scale_of(scale), functional.softplus(freedom) + LEAST_FREEDOM)

    @property
    def deviation(self) -> Tensor:
        r""":math:`s \sqrt{\nu / (\nu - 2)}`."""
        return self.scale * (self.freedom / (self.freedom - 2)).sqrt()

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""
        nu, z = self.freedom, (x - self.mean) / self.scale
        level = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (nu * math.pi).log()
        return level - self.scale.log() - (nu + 1) / 2 * torch.log1p(z.square() / nu)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is, by the incomplete beta function."""
        nu, z = self.freedom.double(), ((x - self.mean) / self.scale).double()
        tail = 0.5 * _incomplete_beta(nu / 2, nu.new_full((), 0.5), nu / (nu + z.square()))
        return torch.where(z > 0, 1 - tail, tail).to(self.mean.dtype)

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""
        return _inverse(self, _checked(share))


class GaussianMixture(NamedTuple):
    r"""A sum of normal densities: :math:`p(x) = \sum_k w_k\, N(x; m_k, s_k)`.

    Args:
        log_weights: logarithms of w, ``[..., channels, components]``.
        means: m.
        scales: s.
    """

    log_weights: Tensor
    means: Tensor
    scales: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 3 * components]``."""
        weights, means, scales = raw.chunk(3, -1)
        return cls(weights.log_softmax(-1), means, scale_of(scales))

    @property
    def mean(self) -> Tensor:
        """Expected value ``[..., channels]``."""
        return (self.log_weights.exp() * self.means).sum(-1)

    @property
    def deviation(self) -> Tensor:
        """Of each about its mean, and of the means about theirs."""
        apart = (self.means - self.mean.unsqueeze(-1)).square() + self.scales.square()
        return (self.log_weights.exp() * apart).sum(-1).sqrt()

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""
        each = _log_normal(x.unsqueeze(-1), self.means, self.scales)
        return (self.log_weights + each).logsumexp(-1)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is."""
        each = torch.special.ndtr((x.unsqueeze(-1) - self.means) / self.scales)
        found: Tensor = (self.log_weights.exp() * each).sum(-1)
        return found

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""
        return _inverse(self, _checked(share))


def _log_normal(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    z = (x - mean) / scale
    return -0.5 * z.square() - scale.log() - 0.5 * math.log(2 * math.pi)


def _checked(share: float) -> float:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise SettingError(f"quantile: expected a share between 0 and 1, got {share!r}")
    return float(share)


def _inverse(density: Any, share: float) -> Tensor:
    """The quantile, by halving where it may be; in float64."""
    wide = density._make(part.double() for part in density)
    middle, width = wide.mean, wide.deviation
    low, high = middle - width, middle + width
    for _ in range(_DOUBLINGS):
        far, near = wide.cdf(low) > share, wide.cdf(high) < share
        if not (far.any() or near.any()):
            break
        width = 2 * width
        low, high = torch.where(far, middle - width, low), torch.where(near, middle + width, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = wide.cdf(middle) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    found: Tensor = ((low + high) / 2).to(density.mean.dtype)
    return found


def _incomplete_beta(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """The regularized incomplete beta function, by Lentz's continued fraction (DLMF 8.17.22)."""
    a, b = a.expand_as(x), b.expand_as(x)
    mirrored = x > (a + 1) / (a + b + 2)  # where it converges quickly
    one, other = torch.where(mirrored, b, a), torch.where(mirrored, a, b)
    at = torch.where(mirrored, 1 - x, x)
    front = (
        torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
        + one * at.clamp(min=_TINY).log() + other * torch.log1p(-at.clamp(max=1 - 1e-16))
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
        if bool(((d * c - 1).abs() < 1e-15).all()):
            break
    return found
