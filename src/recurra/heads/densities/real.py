"""Densities of real numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from recurra.heads.densities.base import (
    checked_share,
    last_axis,
    map_density,
    scale_of,
    uniform_like,
    width_of,
)
from recurra.heads.densities.beta import incomplete_beta

__all__ = ["LEAST_FREEDOM", "Gaussian", "GaussianMixture", "Student"]

LEAST_FREEDOM = 2.1
"""Degrees of freedom of a Student-t density: from 2 downward it has no deviation."""

_HALVINGS = 80  # of where a quantile may be
_DOUBLINGS = 200


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

    @property
    def width_unit(self) -> Tensor:
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
        one = torch.tensor(checked_share(share), dtype=self.mean.dtype, device=self.mean.device)
        found: Tensor = self.mean + self.scale * torch.special.ndtri(one)
        return found

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """The density of ``shift + scale * X``; scale above 0."""
        return self._replace(mean=_moved(self.mean, shift, scale), scale=self.scale * scale)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, ``[..., channels]``, without gradient."""
        return self.mean + self.scale * _normal_like(self.mean, generator)

    def crps(self, x: Tensor) -> Tensor:
        r"""Continuous ranked probability score, :math:`\int (F(y) - [y \ge x])^2\, dy`.

        .. math:: s \left( z\, (2 \Phi(z) - 1) + 2 \varphi(z) - 1 / \sqrt{\pi} \right)

        Source: Gneiting and Raftery, Strictly Proper Scoring Rules, 2007.
        """
        return _apart(x - self.mean, self.scale) - self.scale / math.sqrt(math.pi)


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

    @property
    def width_unit(self) -> Tensor:
        """The scale."""
        return self.scale

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""
        nu, z = self.freedom, (x - self.mean) / self.scale
        level = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (nu * math.pi).log()
        return level - self.scale.log() - (nu + 1) / 2 * torch.log1p(z.square() / nu)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is, by the incomplete beta function."""
        nu, z = self.freedom.double(), ((x - self.mean) / self.scale).double()
        total = nu + z.square()
        tail = 0.5 * incomplete_beta(nu / 2, nu.new_full((), 0.5), nu / total, z.square() / total)
        return torch.where(z > 0, 1 - tail, tail).to(self.mean.dtype)

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""
        return _inverse(self, checked_share(share))

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """The density of ``shift + scale * X``; scale above 0."""
        return self._replace(mean=_moved(self.mean, shift, scale), scale=self.scale * scale)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        r"""One draw of each, ``[..., channels]``, without gradient.

        .. math:: t = \sqrt{\nu (u^{-2/\nu} - 1)}\, \cos 2 \pi v, \qquad u, v \text{ uniform}

        Source: Bailey, Polar Generation of Random Variates with the t-Distribution, 1994.
        """
        nu = self.freedom.double()
        u, v = uniform_like(self.mean, generator), uniform_like(self.mean, generator)
        far = (nu * torch.expm1(-2 / nu * torch.log1p(-u))).sqrt()  # 1 - u is never 0
        return self.mean + self.scale * (far * (2 * math.pi * v).cos()).to(self.mean.dtype)

    def crps(self, x: Tensor) -> Tensor:
        r"""Continuous ranked probability score, :math:`\int (F(y) - [y \ge x])^2\, dy`.

        .. math:: s \left( z\, (2 F(z) - 1) + \frac{2}{\nu - 1} \left( (\nu + z^2) f(z)
            - \sqrt\nu\, \frac{B(1/2, \nu - 1/2)}{B(1/2, \nu/2)^2} \right) \right)

        Source: Jordan, Krueger and Lerch, Evaluating Probabilistic Forecasts with scoringRules,
        2019.
        """
        one: Self = map_density(Tensor.double, self)
        nu, z = one.freedom, (x.double() - one.mean) / one.scale
        height = (one.log_density(x.double()) + one.scale.log()).exp()
        least = nu.sqrt() * (_log_beta_half(nu - 0.5) - 2 * _log_beta_half(nu / 2)).exp()
        inside = z * (2 * one.cdf(x.double()) - 1) + 2 / (nu - 1) * (
            (nu + z.square()) * height - least
        )
        return (one.scale * inside).to(self.mean.dtype)


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

    @property
    def width_unit(self) -> Tensor:
        """The deviation."""
        return width_of(self.deviation)

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
        return _inverse(self, checked_share(share))

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """The density of ``shift + scale * X``; scale above 0."""
        by = last_axis(scale)
        means = _moved(self.means, None if shift is None else last_axis(shift), by)
        return self._replace(means=means, scales=self.scales * by)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, ``[..., channels]``, without gradient: of a component by its weight."""
        weights = self.log_weights.exp()
        chosen = torch.multinomial(weights.flatten(0, -2), 1, generator=generator)
        chosen = chosen.view(*weights.shape[:-1], 1)
        mean, scale = self.means.gather(-1, chosen), self.scales.gather(-1, chosen)
        return (mean + scale * _normal_like(mean, generator)).squeeze(-1)

    def crps(self, x: Tensor) -> Tensor:
        r"""Continuous ranked probability score, :math:`\int (F(y) - [y \ge x])^2\, dy`.

        With :math:`A(m, s)` the mean distance of a normal number from 0,

        .. math:: \sum_k w_k\, A(x - m_k, s_k)
            - \tfrac12 \sum_{k,l} w_k w_l\, A(m_k - m_l, \sqrt{s_k^2 + s_l^2})

        Source: Grimit and others, The Continuous Ranked Probability Score for Circular Variables
        and Its Application to Mesoscale Forecast Ensemble Verification, 2006.
        """
        weights, spread = self.log_weights.exp(), self.scales.square()
        between = self.means.unsqueeze(-1) - self.means.unsqueeze(-2)
        pairs = _apart(between, (spread.unsqueeze(-1) + spread.unsqueeze(-2)).sqrt())
        inner = (weights.unsqueeze(-1) * weights.unsqueeze(-2) * pairs).sum((-2, -1))
        return (weights * _apart(x.unsqueeze(-1) - self.means, self.scales)).sum(-1) - inner / 2


def _apart(mean: Tensor, scale: Tensor) -> Tensor:
    """Mean distance from 0 of a normal number."""
    z = mean / scale
    height = (-0.5 * z.square()).exp() * math.sqrt(2 / math.pi)
    return mean * torch.erf(z * math.sqrt(0.5)) + scale * height


def _log_beta_half(b: Tensor) -> Tensor:
    """Logarithm of B(1/2, b)."""
    return 0.5 * math.log(math.pi) + torch.lgamma(b) - torch.lgamma(b + 0.5)


def _moved(mean: Tensor, shift: Tensor | float | None, scale: Tensor | float) -> Tensor:
    return mean * scale if shift is None else shift + mean * scale


def _normal_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


def _log_normal(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    z = (x - mean) / scale
    return -0.5 * z.square() - scale.log() - 0.5 * math.log(2 * math.pi)


def _inverse(density: Any, share: float) -> Tensor:
    """The quantile, by halving where it may be; in float64."""
    wide = map_density(Tensor.double, density)
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
