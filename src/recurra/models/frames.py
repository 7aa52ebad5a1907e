"""Level and scale of a row of a series: what a forecaster takes away before it reads."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from recurra.encoders.steps import last_known

__all__ = ["Around", "Frame", "Normalize", "frame_of", "spread_of", "surroundings"]

Normalize = Literal["none", "last", "mean", "standard", "robust"]
Around = Literal["level", "last", "season"]

_LEAST = 1e-3  # of a scale: a row that never changes is not blown up
_PRIOR = 4  # steps of deviation 1 that every row is thought to have shown before
_NORMAL = 1.349  # deviations that the middle half of a normal density spans


class Frame(NamedTuple):
    """Of each row and channel what is taken away, and what it is divided by.

    Args:
        level: ``[batch, channels]``.
        scale: the same.
        plain: whether they are 0 and 1.
    """

    level: Tensor
    scale: Tensor
    plain: bool

    def inward(self, values: Tensor) -> Tensor:
        """``[time, batch, channels]`` less the level, by the scale."""
        return values if self.plain else (values - self.level) / self.scale

    def repeated(self, times: int) -> Frame:
        """Each row so many times, beside itself."""
        level = self.level.repeat_interleave(times, 0)
        return Frame(level, self.scale.repeat_interleave(times, 0), self.plain)


def frame_of(values: Tensor, normalize: Normalize, counts: bool = False) -> Frame:
    """The frame of rows ``[time, batch, channels]``; NaN is missing.

    A row without a value has 0 and 1.

    Args:
        values: of the steps that are read.
        normalize: by what of them, see :class:`recurra.models.SeriesModelSettings`.
        counts: whether the level stays 0, and a scale is at least 1.
    """
    zero = values.new_zeros(values.shape[1:])
    if normalize == "none" or not len(values):
        return Frame(zero, zero + 1, True)
    if normalize == "last":
        found = last_known(values)[-1]
        return Frame(found.nan_to_num(0.0), zero + 1, False)
    if normalize == "robust":
        shares = values.new_tensor([0.25, 0.5, 0.75])
        low, middle, high = values.nanquantile(shares, 0)
        return Frame(middle.nan_to_num(0.0), _floored((high - low) / _NORMAL), False)
    mean = values.nanmean(0)
    if normalize == "mean":
        size = values.abs().nanmean(0)
        if counts:
            return Frame(zero, 1 + size.nan_to_num(0.0), False)
        return Frame(mean.nan_to_num(0.0), _floored(size), False)
    deviation = (values - mean).square().nanmean(0).sqrt()
    return Frame(mean.nan_to_num(0.0), _floored(deviation), False)


def _floored(scale: Tensor) -> Tensor:
    known = scale.nan_to_num(1.0)
    return torch.where(known > _LEAST, known, torch.ones_like(known))


def spread_of(values: Tensor) -> Tensor:
    r"""How far the values of rows are from their means ``[batch, channels]``; NaN is missing.

    .. math::
        \sqrt{\frac{n s^2 + 4}{n + 4}}

    of n values of deviation s, in units of the deviation of the whole series: what a row has shown
    counts by how much it has shown.

    Args:
        values: ``[time, batch, channels]``, of the steps that are read.
    """
    known = (~values.isnan()).sum(0)
    squares = (values - values.nanmean(0)).square().nansum(0)
    return ((squares + _PRIOR) / (known + _PRIOR)).sqrt()


def surroundings(
    values: Tensor,
    frame: Frame,
    around: Around,
    origins: int,
    horizon: int,
    patch: int,
    season: int,
) -> Tensor:
    """What forecasts are differences from ``[origins, batch, horizon, channels]``.

    Args:
        values: that are read ``[time, batch, channels]``.
        frame: of the rows; its level stands where nothing else is known.
        around: what of them.
        origins: how many of the last patches are one.
        horizon: steps that are said.
        patch: steps of one.
        season: steps of one.
    """
    level = frame.level[None, :, None].expand(origins, -1, horizon, -1)
    if around == "level":
        return level
    time = len(values)
    ends = torch.arange(origins, device=values.device) - (origins - 1)
    ends = time - 1 + ends * patch  # the last step that each has read
    filled = last_known(values)
    if around == "last":
        found = filled[ends.clamp(min=0)][:, :, None].expand(-1, -1, horizon, -1)
    else:
        ahead = torch.arange(horizon, device=values.device) % season - season + 1
        place = ends[:, None] + ahead  # [origins, horizon]
        there = place >= 0
        known = values[place.clamp(min=0)].transpose(1, 2)  # [origins, batch, horizon, channels]
        last = filled[ends.clamp(min=0)][:, :, None].expand_as(known)
        usable = there[:, None, :, None] & ~known.isnan()
        found = torch.where(usable, known, last)
    return torch.where(found.isnan(), level, found)
