"""What is said without a density: one value, or some quantiles."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import SettingError
from recurra.heads.densities.base import checked_share, last_axis, raw_of, uniform_like
from recurra.heads.densities.scores import pinball

__all__ = ["Point", "Quantiles"]


class Point(NamedTuple):
    """A value that is said without a spread.

    Args:
        value: ``[..., channels]``.
        unit: by what the widths of intervals are measured, the same shape; 1 where absent.
    """

    value: Tensor
    unit: Tensor | None = None

    @classmethod
    def of(cls, raw: Tensor) -> Self:
        """Of ``[..., channels, 1]``."""
        return cls(raw.squeeze(-1))

    @property
    def mean(self) -> Tensor:
        """The value."""
        return self.value

    @property
    def deviation(self) -> Tensor:
        """0: none is said."""
        return torch.zeros_like(self.value)

    @property
    def width_unit(self) -> Tensor:
        """The unit."""
        return torch.ones_like(self.value) if self.unit is None else self.unit

    def cdf(self, x: Tensor) -> Tensor:
        """1 from the value upward, 0 below."""
        return (x >= self.value).to(self.value.dtype)

    def quantile(self, share: float) -> Tensor:
        """The value."""
        checked_share(share)
        return self.value

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """``shift + scale * value``."""
        moved = self.value * scale
        unit = None if self.unit is None else self.unit * scale
        return type(self)(moved if shift is None else shift + moved, unit)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The value, without gradient."""
        return self.value.detach().clone()


class Quantiles(NamedTuple):
    r"""Some quantiles, and straight lines between; the outermost hold what lies beyond them.

    They never cross. The one in the middle, number c of n, is free, and each further one is a step
    away outward:

    .. math::
        q_c = a_c, \qquad q_i = q_{i-1} + \log(1 + e^{a_i}) \text{ for } i > c, \qquad
        q_i = q_{i+1} - \log(1 + e^{a_i}) \text{ for } i < c, \qquad c = \lfloor n / 2 \rfloor

    Args:
        values: ``[..., channels, n]``, ascending.
        shares: of each, ascending between 0 and 1: fixed, and the same everywhere.
    """

    values: Tensor
    shares: tuple[float, ...]

    @classmethod
    def of(cls, raw: Tensor, shares: Sequence[float]) -> Self:
        """Of ``[..., channels, n]``.

        Raises:
            SettingError: shares that do not ascend between 0 and 1, or another number of them.
        """
        known = _checked(shares)
        if raw.shape[-1] != len(known):
            raise SettingError(
                f"shares: expected one for each of {raw.shape[-1]} quantiles, got {len(known)}"
            )
        center = len(known) // 2
        middle, steps = raw[..., center : center + 1], functional.softplus(raw)
        up = middle + steps[..., center + 1 :].cumsum(-1)
        down = middle - steps[..., :center].flip(-1).cumsum(-1).flip(-1)
        return cls(torch.cat([down, middle, up], -1), known)

    @staticmethod
    def normal(shares: Sequence[float]) -> list[float]:
        """The numbers that :meth:`of` makes the quantiles of a standard normal density of.

        Raises:
            SettingError: shares that do not ascend between 0 and 1.
        """
        known = _checked(shares)
        found = torch.special.ndtri(torch.tensor(known, dtype=torch.float64)).tolist()
        center = len(known) // 2
        steps = [raw_of(b - a, 0.0) for a, b in pairwise(found)]
        return [*steps[:center], found[center], *steps[center:]]

    @property
    def mean(self) -> Tensor:
        """Of the quantile function, by trapezoids; the outermost hold their shares."""
        bounds = (0.0, *self.shares, 1.0)
        weights = [(high - low) / 2 for low, high in zip(bounds, bounds[2:], strict=False)]
        weights[0] += bounds[1] / 2
        weights[-1] += (1 - bounds[-2]) / 2
        return (self.values * self.values.new_tensor(weights)).sum(-1)

    @property
    def deviation(self) -> Tensor:
        """Of what :meth:`sample` draws: straight lines, and the outermost by their shares."""
        apart = self.values - self.mean.unsqueeze(-1)
        low, high = apart[..., :-1], apart[..., 1:]
        widths = self.values.new_tensor([b - a for a, b in pairwise(self.shares)])
        inside = (widths * (low.square() + low * high + high.square()) / 3).sum(-1)
        first, last = self.shares[0], 1 - self.shares[-1]
        return (inside + first * apart[..., 0].square() + last * apart[..., -1].square()).sqrt()

    @property
    def width_unit(self) -> Tensor:
        """Half of the way between the outermost."""
        return (self.values[..., -1] - self.values[..., 0]) / 2

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is: 0 below the first, 1 from the last upward."""
        values, x = self.values, x.unsqueeze(-1)
        passed = (values <= x).sum(-1, keepdim=True)  # where some are equal, the last
        below, above = self._around(passed)
        values, shares = values.expand(*passed.shape[:-1], -1), self._shares().to(values.dtype)
        part = _part(x, values.gather(-1, below), values.gather(-1, above))
        found = torch.lerp(shares[below], shares[above], part)
        found = torch.where(passed == 0, 0, torch.where(passed == len(self.shares), 1, found))
        return torch.where(x.isnan(), math.nan, found).squeeze(-1)

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies: on a line between two, or the outermost."""
        share = checked_share(share)
        above = bisect_left(self.shares, share)
        if above == 0 or above == len(self.shares):
            return self.values[..., max(above - 1, 0)]
        low, high = self.shares[above - 1 : above + 1]
        below, beyond = self.values[..., above - 1], self.values[..., above]
        return torch.lerp(below, beyond, (share - low) / (high - low))

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """The quantiles of ``shift + scale * X``; scale above 0."""
        moved = self.values * last_axis(scale)
        return self._replace(values=moved if shift is None else last_axis(shift) + moved)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The quantile of a share drawn for each, ``[..., channels]``, without gradient."""
        shares = self._shares()
        share = uniform_like(self.values[..., :1], generator).clamp(shares[0], shares[-1])
        below, above = self._around(torch.searchsorted(shares, share))
        part = _part(share, shares[below], shares[above]).to(self.values.dtype)
        low, high = self.values.gather(-1, below), self.values.gather(-1, above)
        return torch.lerp(low, high, part).squeeze(-1)

    def pinball(self, x: Tensor) -> Tensor:
        r"""Twice the mean pinball loss of the quantiles, ``[..., channels]``.

        .. math:: \frac 2n \sum_i \max(\tau_i (x - q_i), (\tau_i - 1)(x - q_i))

        With many shares, evenly spread, it comes near the continuous ranked probability score.
        """
        shares = self._shares().to(self.values.dtype)
        return 2 * pinball(x.unsqueeze(-1), self.values, shares).mean(-1)

    def _around(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of the quantiles before and at a place; at both ends one twice."""
        return (place - 1).clamp(min=0), place.clamp(max=len(self.shares) - 1)

    def _shares(self) -> Tensor:
        return torch.tensor(self.shares, dtype=torch.float64, device=self.values.device)


def _part(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How much of the way from low to high; 0 where there is none."""
    return (x - low) / torch.where(high > low, high - low, 1)


def _checked(shares: Sequence[float]) -> tuple[float, ...]:
    found = tuple(map(checked_share, shares))
    if not found or any(low >= high for low, high in pairwise(found)):
        raise SettingError(f"shares: expected some, each above the one before, got {shares!r}")
    return found
