"""What all that is said of a number can be asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import SettingError

__all__ = [
    "NARROWEST",
    "Density",
    "Predictive",
    "checked_share",
    "last_axis",
    "map_density",
    "raw_of",
    "scale_of",
    "uniform_like",
    "width_of",
]

NARROWEST = 1e-3
"""The smallest scale, where channels have a deviation of about 1."""

_LEAST_WIDTH = 1e-6


class Predictive(Protocol):
    """What may be said of a number: where it is, and how sure that is."""

    @property
    def mean(self) -> Tensor:
        """Expected value ``[..., channels]``."""

    @property
    def deviation(self) -> Tensor:
        """Standard deviation ``[..., channels]``."""

    @property
    def width_unit(self) -> Tensor:
        """By what the widths of intervals are measured ``[..., channels]``; above 0."""

    def cdf(self, x: Tensor) -> Tensor:
        """How probable a value of at most ``x`` is."""

    def quantile(self, share: float) -> Tensor:
        """Below which so great a share lies."""

    def moved(self, shift: Tensor | float | None, scale: Tensor | float) -> Self:
        """What is said of ``shift + scale * X``; scale above 0, both broadcast to the channels."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, ``[..., channels]``, without gradient."""


class Density(Predictive, Protocol):
    """What a head may say of a number by its likelihood."""

    def log_density(self, x: Tensor) -> Tensor:
        """Of ``x``, ``[..., channels]``."""


def map_density(f: Callable[[Tensor], Any], density: Any) -> Any:
    """The same with what ``f`` makes of each of its tensors; what is none stays, as shares do."""
    return density._make(f(part) if isinstance(part, Tensor) else part for part in density)


def scale_of(raw: Tensor) -> Tensor:
    """``softplus`` above the smallest scale."""
    return functional.softplus(raw) + NARROWEST


def raw_of(scale: float, least: float = NARROWEST) -> float:
    """What ``softplus`` makes such a scale of."""
    return math.log(math.expm1(scale - least))


def width_of(deviation: Tensor) -> Tensor:
    """A unit of widths where there is no scale: the deviation, but never 0."""
    return deviation.clamp(min=_LEAST_WIDTH)


def checked_share(share: float) -> float:
    """A share that a quantile may have.

    Raises:
        SettingError: it is not between 0 and 1.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise SettingError(f"quantile: expected a share between 0 and 1, got {share!r}")
    return float(share)


def last_axis(value: Tensor | float) -> Tensor | float:
    """With an axis of size 1 behind the channels, where it is a tensor."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def uniform_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1) of that shape, in float64: in float32 no tail would be seen."""
    return torch.rand(like.shape, dtype=torch.float64, device=like.device, generator=generator)
