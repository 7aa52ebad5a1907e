"""From the outputs of all steps to one vector, at the end or after every step of a stream."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from recurra.errors import SettingError, nearest
from recurra.layers.base import LayerOutput
from recurra.lengths import last_step
from recurra.sequences import PaddedSequence

__all__ = ["Pool", "Pooled", "Pooling"]

Pool = Literal["last", "mean", "max", "attention"]
"""How the outputs of all steps become one vector."""


class Pooled(NamedTuple):
    """What was pooled so far of each row, to go on from.

    Args:
        vector: sum, maximum, or sum of weighted outputs, ``[batch, size]``.
        weight: how many steps, or the sum of their weights, ``[batch]``.
        highest: of attention the highest score, by which the weights are divided, ``[batch]``.
    """

    vector: Tensor
    weight: Tensor
    highest: Tensor


class Pooling(nn.Module):
    r"""One vector p for each row, of the outputs y of its own steps.

    ===============  =======================================================
    ``"last"``       the layer's ``last``: where each direction of the top layer ends
    ``"mean"``       :math:`\frac{1}{n} \sum_t y_t`
    ``"max"``        :math:`\max_t y_t`, element by element
    ``"attention"``  :math:`\sum_t a_t y_t` (Yang et al. 2016)
    ===============  =======================================================

    with :math:`a = \mathrm{softmax}_t(u^\top \tanh(V y_t + c))`, u, V and c learned. Of an empty
    row p is zero.

    Args:
        size: width of y.
        pool: which of them.

    Raises:
        SettingError: an unknown one.
    """

    def __init__(self, size: int, pool: Pool = "last") -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise SettingError(f"pool: {nearest(str(pool), get_args(Pool))}")
        self.size, self.pool = size, pool
        self.attention = None
        if pool == "attention":
            self.attention = nn.Sequential(
                nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1, bias=False)
            )

    def forward(self, read: LayerOutput) -> Tensor:
        """``[batch, size]`` of what a layer gave."""
        if self.pool == "last":
            return read.last
        outputs = _padded(read.outputs)
        if self.pool == "mean" or outputs.time == 0:
            return outputs.mean()
        if self.attention is not None:
            shares = self._looked(outputs).softmax(0)  # of an empty row all alike, of zeros
            return (shares * outputs.to_padded()).sum(0)
        highest = outputs.to_padded(fill=-torch.inf).amax(0)
        return highest.masked_fill((outputs.lengths == 0).unsqueeze(-1), 0)

    def _looked(self, outputs: PaddedSequence) -> Tensor:
        """Scores ``[time, batch, 1]``, the lowest number there is in the padding."""
        assert self.attention is not None
        return outputs.map(self.attention, torch.finfo(outputs.values.dtype).min).values

    def running(self, read: LayerOutput, before: Pooled | None = None) -> tuple[Tensor, Pooled]:
        """P of each row as if it ended with each step, ``[time, batch, size]``.

        Args:
            read: what a causal layer gave.
            before: what an earlier call returned, of the steps before these.

        Returns:
            the vectors, zero in the padding, and what to go on from.
        """
        outputs = _padded(read.outputs)
        before = self._nothing(outputs) if before is None else before
        if self.pool == "last":
            found = outputs.to_padded(), before
        elif self.pool == "mean":
            found = _averaged(before, outputs)
        elif self.pool == "max":
            values = torch.cat([before.vector.unsqueeze(0), outputs.to_padded(fill=-torch.inf)])
            highest = values.cummax(0).values[1:]
            found = highest, before._replace(vector=_last(highest, outputs, before.vector))
        else:
            found = self._attended(outputs, before)
        vectors, after = found
        return vectors.masked_fill(~outputs.mask.unsqueeze(-1), 0), after

    def _nothing(self, outputs: PaddedSequence) -> Pooled:
        batch, values = outputs.batch, outputs.values
        low = torch.finfo(values.dtype).min
        start = -torch.inf if self.pool == "max" else 0.0
        zeros = values.new_zeros(batch)
        return Pooled(values.new_full((batch, self.size), start), zeros, zeros + low)

    def _attended(self, outputs: PaddedSequence, before: Pooled) -> tuple[Tensor, Pooled]:
        """Step by step: a higher score changes what all weights before it are divided by."""
        scores, values, mask = self._looked(outputs)[..., 0], outputs.to_padded(), outputs.mask
        vectors, state = [], before
        for score, value, valid in zip(scores, values, mask, strict=True):
            top = torch.maximum(state.highest, score)
            kept, new = (state.highest - top).exp(), (score - top).exp()
            grown = Pooled(
                state.vector * kept.unsqueeze(-1) + value * new.unsqueeze(-1),
                state.weight * kept + new,
                top,
            )
            state = Pooled(
                torch.where(valid.unsqueeze(-1), grown.vector, state.vector),
                torch.where(valid, grown.weight, state.weight),
                torch.where(valid, grown.highest, state.highest),
            )
            vectors.append(state.vector / state.weight.clamp(min=1e-30).unsqueeze(-1))
        return torch.stack(vectors) if vectors else values, state

    def extra_repr(self) -> str:
        """Which."""
        return f"{self.size}, {self.pool!r}"


def _padded(outputs: Tensor | PaddedSequence) -> PaddedSequence:
    padded = isinstance(outputs, PaddedSequence)
    return outputs if padded else PaddedSequence.from_padded(outputs)  # type: ignore[return-value,arg-type]


def _averaged(before: Pooled, outputs: PaddedSequence) -> tuple[Tensor, Pooled]:
    counted = outputs.mask.to(before.weight.dtype)
    sums = torch.cat([before.vector.unsqueeze(0), outputs.to_padded()]).cumsum(0)[1:]
    counts = torch.cat([before.weight.unsqueeze(0), counted]).cumsum(0)[1:]
    after = before._replace(
        vector=_last(sums, outputs, before.vector), weight=_last(counts, outputs, before.weight)
    )
    return sums / counts.clamp(min=1).unsqueeze(-1), after


def _last(values: Tensor, outputs: PaddedSequence, before: Tensor) -> Tensor:
    """Each row's at its own last step; what was before where it has none."""
    empty = (outputs.lengths == 0).view(-1, *(1,) * (before.dim() - 1))
    return torch.where(empty, before, last_step(values, outputs.lengths))
