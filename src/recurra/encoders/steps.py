"""Steps of a series with all that is known beside them, as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.gaps import GappedInput

__all__ = ["GappedSteps", "SeriesSteps", "StepVectors", "beside_channels", "last_known"]


class SeriesSteps(NamedTuple):
    """Rows of series.

    Args:
        values: that are to be said further on, ``[time, batch, channels]``; NaN is missing.
        past: other numbers of these steps ``[time, batch, past]``; NaN is missing.
        ahead: numbers that are known of the step after each, ``[time, batch, known]``.
        codes: categories, whole numbers ``[time, batch, categories]``: of the step after each those
            that are known ahead, of the step itself the others.
        future: what is known of the steps that are said, ``[origins, batch, horizon, known]``.
        future_codes: their categories ``[origins, batch, horizon, categories]``; of those that are
            not known ahead anything.
    """

    values: Tensor
    past: Tensor
    ahead: Tensor
    codes: Tensor
    future: Tensor
    future_codes: Tensor

    @property
    def later(self) -> tuple[str, ...]:
        """Names of the fields that are of no step that was read."""
        return ("future", "future_codes")

    def one_ahead(self, value: Tensor, step: int) -> SeriesSteps:
        """The row of one step of the horizon, counted from 1, of which ``value`` was said.

        Args:
            value: ``[1, batch, channels]``.
            step: that comes next.
        """
        unknown = torch.full_like(value[..., :1], torch.nan).expand(-1, -1, self.past.shape[2])
        codes = self.future_codes[-1:, :, step]
        return SeriesSteps(
            value, unknown, self.future[-1:, :, step], codes, self.future, self.future_codes
        )


def beside_channels(steps: SeriesSteps) -> SeriesSteps:
    """Each channel as a row of its own, whose number is one more category.

    Rows of ``[time, batch, channels]`` become ``batch * channels``.
    """
    time, rows, channels = steps.values.shape
    number = torch.arange(channels, device=steps.values.device).repeat(rows)

    def again(part: Tensor) -> Tensor:
        return part.repeat_interleave(channels, 1)

    def with_number(codes: Tensor) -> Tensor:
        wide = again(codes)
        own = number.view(1, -1, *[1] * (codes.dim() - 2)).expand(*wide.shape[:-1], 1)
        return torch.cat([wide, own], -1)

    return SeriesSteps(
        steps.values.reshape(time, rows * channels, 1),
        again(steps.past),
        again(steps.ahead),
        with_number(steps.codes),
        again(steps.future),
        with_number(steps.future_codes),
    )


class StepVectors(nn.Module):
    r"""What is read of a step.

    .. math:: v_t = [z_t, m_t, p_t, q_t, u_{t+1}, E_1 c_1, \dots]

    z are values and m marks of those that are missing, p and q the same of what is known up to now,
    u is what is known ahead, and E the vectors of categories c, of which 0 is one that was not
    there in training.

    Args:
        channels: of the values.
        past: numbers that are known up to now.
        known: those known ahead.
        categories: how many each of the categories has.
        ahead: which of these are known ahead.
        embedding_size: of a category's vector, at most half as wide as there are categories.
        forward: whether what is read of a missing value is the last one that was there, and not 0.
    """

    def __init__(
        self,
        *,
        channels: int,
        past: int = 0,
        known: int = 0,
        categories: Sequence[int] = (),
        ahead: Sequence[bool] = (),
        embedding_size: int = 8,
        forward: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.past, self.known, self.forward_fill = channels, past, known, forward
        self.ahead = list(ahead)
        widths = [min(embedding_size, (count + 1) // 2 or 1) for count in categories]
        self.embeddings = nn.ModuleList(
            nn.Embedding(count, width) for count, width in zip(categories, widths, strict=True)
        )
        self.output_size = 2 * (channels + past) + known + sum(widths)
        self.future_size = known + sum(w for w, a in zip(widths, self.ahead, strict=True) if a)

    def forward(self, steps: SeriesSteps, values: Tensor) -> Tensor:
        """``[time, batch, output_size]``.

        Args:
            steps: the rows.
            values: theirs, without level and scale.
        """
        missing = values.isnan()
        read = last_known(values) if self.forward_fill else values
        parts = [read.nan_to_num(0.0), missing.to(values.dtype)]
        if self.past:
            parts += [steps.past.nan_to_num(0.0), steps.past.isnan().to(values.dtype)]
        if self.known:
            parts.append(steps.ahead.nan_to_num(0.0))
        parts += [table(steps.codes[..., n]) for n, table in enumerate(self.embeddings)]
        return torch.cat(parts, -1)

    def future(self, steps: SeriesSteps) -> Tensor:
        """What is known of the steps that are said ``[origins, batch, horizon, future_size]``."""
        parts = [steps.future.nan_to_num(0.0)]
        for number, table in enumerate(self.embeddings):
            if self.ahead[number]:
                parts.append(table(steps.future_codes[..., number]))
        return torch.cat(parts, -1)


class GappedSteps(nn.Module):
    """Vectors of :class:`StepVectors` as :class:`recurra.GRUDCell` reads them.

    Args:
        vectors: what made them.
        gaps: whether the first of what is known up to now is the time since the step before; else
            it is 1.
    """

    def __init__(self, vectors: StepVectors, *, gaps: bool = False) -> None:
        super().__init__()
        self.channels, self.past, self.gaps = vectors.channels, vectors.past, gaps
        self.rest = vectors.output_size - 2 * (vectors.channels + vectors.past)
        self.output_size = vectors.channels + vectors.past + self.rest

    def forward(self, inputs: Tensor) -> GappedInput:
        """Values, which of them are there, and time since the step before."""
        channels, past = self.channels, self.past
        value, lost, other, absent, rest = torch.split(
            inputs, [channels, channels, past, past, self.rest], -1
        )
        there = torch.cat([1 - lost, 1 - absent, torch.ones_like(rest)], -1)
        gap = other[..., :1] if self.gaps else torch.ones_like(value[..., :1])
        return GappedInput(torch.cat([value, other, rest], -1), there, gap)


def last_known(values: Tensor) -> Tensor:
    """At each step of ``[time, ...]`` the last value that is there; NaN before the first."""
    steps = torch.arange(len(values), device=values.device).view(-1, *[1] * (values.dim() - 1))
    place = torch.where(values.isnan(), -1, steps).cummax(0).values
    found = values.gather(0, place.clamp(min=0))
    return torch.where(place < 0, torch.nan, found)
