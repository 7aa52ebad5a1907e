"""Probabilities of whole numbers of at least 0.

All is computed in float64. Of counts of up to about a million quantiles are exact; of 1e9 a cdf is
right to about 1e-6.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import SettingError
from recurra.heads.densities.base import checked_share, width_of
from recurra.heads.densities.beta import incomplete_beta
from recurra.heads.densities.gamma import gamma_draws

__all__ = ["LEAST_DISPERSION", "LEAST_RATE", "NegativeBinomial", "Poisson", "are_counts"]

LEAST_RATE = 1e-6
"""The smallest mean: what is never seen may still come."""
LEAST_DISPERSION = 1e-6
"""The smallest excess of the variance, of the squared mean: a Poisson distribution but for that."""

_HALVINGS = 200  # of where a quantile may be: from any range of floats to 1
_TIE = 1e-14  # so near to a share a cdf has reached it
_LARGEST = 1e15  # mean of a draw: torch draws whole numbers of 64 bits


def are_counts(x: Tensor) -> Tensor:
    """Where numbers are whole and at least 0."""
    return (x >= 0) & (x == x.floor()) & x.isfinite()


class Poisson(NamedTuple):
    r"""Counts that come independently.

    .. math:: \log P(k) = k \log m - m - \log k!
    """

    rate: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 1]``."""
        return cls(_rate_of(raw.squeeze(-1)))

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.rate

    @property
    def deviation(self) -> Tensor:
        r""":math:`\sqrt m`."""
        return self.rate.sqrt()

    @property
    def width_unit(self) -> Tensor:
        """The deviation."""
        return width_of(self.deviation)

    def log_density(self, x: Tensor) -> Tensor:
        """Log probability of ``x``, ``[..., channels]``; -inf where it is no count.

        A loss asks :func:`are_counts` before.
        """
        m, (known, k) = self.rate.double(), _counted(x)
        found = k * m.log() - m - torch.lgamma(k + 1)
        return found.masked_fill(~known, -math.inf).to(self.rate.dtype)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a count of at most ``x`` is, by the incomplete gamma function."""
        k = x.double().floor()
        found = torch.special.gammaincc(k.clamp(min=0) + 1, self.rate.double())
        return torch.where(k < 0, 0, found).to(self.rate.dtype)

    def quantile(self, share: float) -> Tensor:
        """The smallest count whose cdf is at least so great a share."""
        return _smallest(type(self)(self.rate.double()), share).to(self.rate.dtype)

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """A Poisson distribution whose mean is ``scale`` times this one's, scale above 0.

        Raises:
            SettingError: a shift other than 0, which is none of counts.
        """
        _check_no_shift(shift)
        return type(self)(self.rate * scale)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, ``[..., channels]``, without gradient."""
        return _drawn(self.rate.double(), generator).to(self.rate.dtype)


class NegativeBinomial(NamedTuple):
    r"""Counts that vary more than independent ones: the variance is :math:`m + \alpha m^2`.

    .. math:: \log P(k) = \log \frac{\Gamma(k + r)}{\Gamma(r)\, k!} + k \log(\alpha m)
        - (k + r) \log(1 + \alpha m), \qquad r = 1 / \alpha

    Args:
        mean: m.
        dispersion: :math:`\alpha`.
    """

    mean: Tensor
    dispersion: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 2]``."""
        mean, dispersion = raw.unbind(-1)
        return cls(_rate_of(mean), functional.softplus(dispersion) + LEAST_DISPERSION)

    @property
    def deviation(self) -> Tensor:
        r""":math:`\sqrt{m + \alpha m^2}`."""
        return (self.mean * (1 + self.dispersion * self.mean)).sqrt()

    @property
    def width_unit(self) -> Tensor:
        """The deviation."""
        return width_of(self.deviation)

    def log_density(self, x: Tensor) -> Tensor:
        """Log probability of ``x``, ``[..., channels]``; -inf where it is no count.

        A loss asks :func:`are_counts` before.
        """
        (r, odds), (known, k) = self._wide(), _counted(x)
        ways = torch.lgamma(k + r) - torch.lgamma(r) - torch.lgamma(k + 1)
        found = ways + k * odds.log() - (k + r) * odds.log1p()
        return found.masked_fill(~known, -math.inf).to(self.mean.dtype)

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a count of at most ``x`` is, by the incomplete beta function."""
        (r, odds), k = self._wide(), x.double().floor()
        found = incomplete_beta(r, k.clamp(min=0) + 1, 1 / (1 + odds), odds / (1 + odds))
        return torch.where(k < 0, 0, found).to(self.mean.dtype)

    def quantile(self, share: float) -> Tensor:
        """The smallest count whose cdf is at least so great a share."""
        wide = type(self)(self.mean.double(), self.dispersion.double())
        return _smallest(wide, share).to(self.mean.dtype)

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """One whose mean is ``scale`` times this one's, scale above 0; the dispersion stays.

        Raises:
            SettingError: a shift other than 0, which is none of counts.
        """
        _check_no_shift(shift)
        return self._replace(mean=self.mean * scale)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, ``[..., channels]``, without gradient.

        A Poisson distribution whose rate is drawn from a gamma distribution.
        """
        r, odds = self._wide()
        rate = gamma_draws(r, generator) * odds
        return _drawn(rate, generator).to(self.mean.dtype)

    def _wide(self) -> tuple[Tensor, Tensor]:
        """In float64, r and alpha m: logarithms of large factorials nearly cancel."""
        dispersion = self.dispersion.double()
        return 1 / dispersion, dispersion * self.mean.double()


class _Counts(Protocol):
    @property
    def mean(self) -> Tensor: ...

    @property
    def deviation(self) -> Tensor: ...

    def cdf(self, x: Tensor) -> Tensor: ...


def _rate_of(raw: Tensor) -> Tensor:
    return functional.softplus(raw) + LEAST_RATE


def _counted(x: Tensor) -> tuple[Tensor, Tensor]:
    """Where numbers are counts, and these in float64; 0 elsewhere."""
    known = are_counts(x)
    return known, x.double().masked_fill(~known, 0)


def _check_no_shift(shift: Tensor | float | None) -> None:
    if shift is not None and bool(torch.as_tensor(shift != 0).any()):
        raise SettingError(
            f"moved: expected no shift of counts, which begin with 0, got {shift!r}. Scale them "
            "alone, or say them by a density of real numbers."
        )


def _drawn(rate: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.poisson(rate.clamp(max=_LARGEST), generator)


def _smallest(density: _Counts, share: float) -> Tensor:
    """The smallest whole number whose cdf is at least the share, by halving where it may be."""
    share = checked_share(share)
    # By Cantelli's inequality no quantile is farther from the mean, on either side.
    odds = math.sqrt(share / (1 - share))
    low = (density.mean - density.deviation / odds).floor().clamp(min=0) - 1  # below it
    high = (density.mean + odds * density.deviation).ceil() + 1
    for _ in range(_HALVINGS):
        middle = ((low + high) / 2).floor()
        reached = density.cdf(middle) >= share * (1 - _TIE)
        low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
        if not bool((high - low > 1).any()):
            break
    return high
