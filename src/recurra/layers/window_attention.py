"""Attention to the last steps alone, which goes on from window to window."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.layers.attention import SelfAttention
from recurra.layers.base import LayerOutput
from recurra.layers.window import past_of
from recurra.lengths import Marks, mask_padding, valid_mask
from recurra.settings import check_size
from recurra.states import Tree

__all__ = ["WindowAttention"]

_BLOCK = 64  # steps that look back together, at least
_NEVER = -1e30  # of what is not there; finite, for rows without anything


class Looked(NamedTuple):
    """The steps that a :class:`WindowAttention` may still look at.

    Args:
        keys: ``[batch, window - 1, output_size]``, the last step last.
        values: the same.
        there: ``[batch, window - 1]``, 1 where there is one, else 0.
    """

    keys: Tensor
    values: Tensor
    there: Tensor


class WindowAttention(SelfAttention):
    r"""A layer of a Transformer that looks at the last w steps (Beltagy et al. 2020), and streams.

    .. math::

        u_t = V x_t \qquad
        v_t = u_t + \mathrm{attention}(\mathrm{norm}(u)_{t-w+1} \dots \mathrm{norm}(u)_t) \qquad
        y_t = v_t + W_2 \max(0, W_1 \mathrm{norm}(v_t))

    V is there where sizes differ. How far back a step lies is told by a number for each distance
    and head, learned, which is added to the scores (Shaw et al. 2018, in the form of Raffel et al.
    2020); so a step's place in the whole means nothing, and whole = chunks = steps. The state holds
    keys and values of w - 1 steps, however long the row: a stream costs the same at every step.
    Between recurrent layers it makes a hybrid (De et al. 2024).

    Args:
        input_size: width of x.
        output_size: width of y.
        heads: how many attend beside each other; they part the width.
        window: w, the step itself included.
        dropout: rate of dropout on what is added, in training only.

    Raises:
        SettingError: sizes that do not fit.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        heads: int = 4,
        *,
        window: int = 128,
        dropout: float = 0.0,
    ) -> None:
        whole = input_size != output_size
        super().__init__(
            input_size, output_size, heads, ahead=False, positions=whole, dropout=dropout
        )
        self.window = check_size("window", window)
        self.near = nn.Parameter(torch.zeros(window, heads))

    @property
    def causal(self) -> bool:
        """Always."""
        return True

    def initial_state(self, batch: int) -> Looked:
        """Nothing was there."""
        behind, like = self.window - 1, self.near
        none = like.new_zeros(batch, behind, self.output_size)
        return Looked(none, none, like.new_zeros(batch, behind))

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """Blocks of steps, each with those before it."""
        lengths, resets = (None, None) if marks is None else (marks.lengths, marks.resets)
        time, batch = inputs.shape[:2]
        read = inputs if lengths is None else mask_padding(inputs, lengths)
        if self.read is not None:
            read = self.read(read)
        start = self.initial_state(batch) if state is None else state
        query, key, value = self.attend(self.norms[0](read)).chunk(3, -1)
        keys = torch.cat([start.keys.transpose(0, 1).to(key.dtype), key])
        values = torch.cat([start.values.transpose(0, 1).to(key.dtype), value])
        own = key.new_ones(time, batch) if lengths is None else valid_mask(lengths, time).to(key)
        there = torch.cat([start.there.T.to(key.dtype), own])
        segments = None
        if resets is not None:
            number = resets.cumsum(0)
            segments = torch.cat([number.new_zeros(self.window - 1, batch), number])
        looked = self.joined(self._seen_by(query, keys, values, there, segments))
        outputs = self._around(read, looked, lengths)
        size = self.window - 1
        past = Looked(
            past_of(keys, size, lengths, segments),
            past_of(values, size, lengths, segments),
            past_of(there.unsqueeze(2), size, lengths, segments).squeeze(2),
        )
        return LayerOutput(outputs, self.read_last(outputs, lengths), past)

    def _seen_by(
        self, query: Tensor, keys: Tensor, values: Tensor, there: Tensor, segments: Tensor | None
    ) -> Tensor:
        """What each step finds ``[time, batch, output_size]``."""
        time, behind = len(query), self.window - 1
        if time == 1 and segments is None:
            return self._one(query[0], keys, values, there).unsqueeze(0)
        size = max(self.window, _BLOCK)
        found = []
        for at in range(0, time, size):
            end = min(at + size, time)
            some = slice(at, end + behind)
            part = None if segments is None else segments[some]
            found.append(self._block(query[at:end], keys[some], values[some], there[some], part))
        return torch.cat(found) if found else torch.zeros_like(query)

    def _one(self, query: Tensor, keys: Tensor, values: Tensor, there: Tensor) -> Tensor:
        """Of one step: sums that a stream runs as they are."""
        batch, places, heads = len(query), len(keys), self.heads
        width = self.output_size // heads
        key, value = (
            each.transpose(0, 1).reshape(batch, places, heads, width) for each in (keys, values)
        )
        scores = (query.reshape(batch, 1, heads, width) * key).sum(-1) * width**-0.5
        scores = scores + self.near.flip(0) + (there.T.unsqueeze(-1) - 1) * -_NEVER
        found = (torch.softmax(scores, 1).unsqueeze(-1) * value).sum(1)
        return found.reshape(batch, self.output_size)

    def _block(
        self, query: Tensor, keys: Tensor, values: Tensor, there: Tensor, segments: Tensor | None
    ) -> Tensor:
        """Of some steps, with as many before them as the first may look at."""
        time, places, behind = len(query), len(keys), self.window - 1
        batch, width = query.shape[1], self.output_size // self.heads
        steps = torch.arange(time, device=query.device).unsqueeze(1)
        back = steps + behind - torch.arange(places, device=query.device)
        far = (back < 0) | (back > behind)
        allowed = there.T.bool().unsqueeze(1) & ~far  # [batch, time, places]
        if segments is not None:
            allowed &= (segments.unsqueeze(0) == segments[behind:].unsqueeze(1)).permute(2, 0, 1)
        allowed |= back == 0
        bias = self.near[back.clamp(0, behind)].permute(2, 0, 1)
        mask = bias.unsqueeze(0).masked_fill(~allowed.unsqueeze(1), -torch.inf)
        q, k, v = (
            each.reshape(len(each), batch, self.heads, width).permute(1, 2, 0, 3)
            for each in (query, keys, values)
        )
        looked = torch.softmax(q @ k.transpose(2, 3) * width**-0.5 + mask, -1) @ v
        return looked.permute(2, 0, 1, 3).reshape(time, batch, self.output_size)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, window={self.window}"
