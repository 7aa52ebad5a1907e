"""From the outputs of all steps to one vector, at the end or after every step of a stream."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from recurra.errors import SettingError, ShapeError, nearest
from recurra.layers.base import LayerOutput
from recurra.lengths import last_step
from recurra.sequences import PaddedSequence
from recurra.settings import check_size

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

    An attention may look several times (hops; Sukhbaatar et al. 2015), each time with what it has
    found before in mind, so that one step may tell which other one to look at:

    .. math:: a^{(k)} = \mathrm{softmax}_t(u_k^\top \tanh(V y_t + Q_k p^{(k - 1)} + c)), \qquad
        p^{(k)} = \sum_t a^{(k)}_t y_t, \qquad p^{(0)} = 0

    p is the last of these; V and c are the same for all. (In the paper what was found is added to
    the question; here y is all there is, and a question stands beside what is read.)

    Args:
        size: width of y.
        pool: which of them.
        hops: how often an attention looks.

    Raises:
        SettingError: an unknown one, or several hops of what is no attention.
    """

    def __init__(self, size: int, pool: Pool = "last", hops: int = 1) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise SettingError(f"pool: {nearest(str(pool), get_args(Pool))}")
        self.size, self.pool, self.hops = size, pool, check_size("hops", hops)
        if hops > 1 and pool != "attention":
            raise SettingError(f"hops: an attention alone looks {hops} times, pool is {pool!r}")
        self.attention = None
        self.more = nn.ModuleList(_Hop(size) for _ in range(hops - 1))
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
            values = outputs.to_padded()
            found = (shares * values).sum(0)
            keys = outputs.map(self.attention[0]) if self.hops > 1 else outputs
            for hop in self.more:
                found = (hop(keys, found).softmax(0) * values).sum(0)
            return found
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

        Raises:
            ShapeError: an attention of several hops, which looks back at all steps.
        """
        if self.hops > 1:
            raise ShapeError(
                f"pool: an attention that looks {self.hops} times needs all steps again each time, "
                "so it pools whole rows alone. Take hops=1 for a stream."
            )
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
        often = f", hops={self.hops}" if self.hops > 1 else ""
        return f"{self.size}, {self.pool!r}{often}"


class _Hop(nn.Module):
    """One more look of an attention, with what was found before in mind."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, keys: PaddedSequence, found: Tensor) -> Tensor:
        """Scores ``[time, batch, 1]``, the lowest number there is in the padding."""
        asked = self.query(found).expand(keys.time, -1, -1)
        beside = PaddedSequence(asked, keys.lengths).valid()
        scores = self.score(torch.tanh(keys.valid() + beside))
        return keys.with_valid(scores, torch.finfo(scores.dtype).min).values


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
