"""A layer whose steps look at each other and carry nothing on: recurrence's rival."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.errors import SettingError
from recurra.layers.base import Layer, LayerOutput
from recurra.lengths import Marks, last_step, mask_padding, spread, valid_mask
from recurra.masks import drop
from recurra.settings import check_flag, check_rate, check_size
from recurra.states import Tree

__all__ = ["SelfAttention"]

_WAVE = 10_000.0  # the longest, of Vaswani et al.
_WIDER = 4  # how much wider than y the layer inside is
# What is added begins at this share of torch's start: outputs of a recurrent layer are small then,
# and would drown in it. With 1, a hybrid of characters is 0.2 nats behind after a million of them.
_BEGINS = 0.1


class SelfAttention(Layer):
    r"""A layer of a small Transformer encoder (Vaswani et al. 2017), norms first (Xiong et al.).

    .. math::

        u_t = V x_t + p_t \qquad
        v = u + \mathrm{attention}(\mathrm{norm}(u)) \qquad
        y = v + W_2 \max(0, W_1 \mathrm{norm}(v))

    V and the sines p of the step's number are there in the first of several alone
    (``positions=True``); a row's steps look at each other, at none of another sequence, and at none
    of the padding. What is added begins small (as in Radford et al. 2019, there by depth), so that
    the layer begins as what it reads. Nothing can be carried on, so that it is not causal, whether
    or not each step looks at those behind it too.

    Args:
        input_size: width of x.
        output_size: width of y.
        heads: how many attend beside each other; they part the width.
        ahead: whether a step sees what comes after it.
        positions: whether it begins with V and p.
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
        ahead: bool = True,
        positions: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size: int = check_size("input_size", input_size)
        self.output_size = check_size("output_size", output_size)
        self.heads = check_size("heads", heads)
        if output_size % heads:
            raise SettingError(
                f"SelfAttention: expected a width that {heads} heads can part, got {output_size}"
            )
        if not positions and input_size != output_size:
            raise SettingError(
                f"SelfAttention: without positions y is as wide as x, got {input_size} and "
                f"{output_size}"
            )
        self.ahead, self.dropout = check_flag("ahead", ahead), check_rate("dropout", dropout)
        self.read = nn.Linear(input_size, output_size) if check_flag("pos", positions) else None
        self.norms = nn.ModuleList(nn.LayerNorm(output_size) for _ in range(2))
        self.attend = nn.Linear(output_size, 3 * output_size)
        self.joined = nn.Linear(output_size, output_size)
        self.wide = nn.Linear(output_size, _WIDER * output_size)
        self.narrow = nn.Linear(_WIDER * output_size, output_size)
        with torch.no_grad():
            for added in (self.joined, self.narrow):
                for parameter in added.parameters():
                    parameter.mul_(_BEGINS)

    @property
    def causal(self) -> bool:
        """False: nothing is carried on."""
        return False

    def initial_state(self, batch: int) -> Tree:
        """None is needed."""
        return ()

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """All steps at once."""
        lengths, resets = (None, None) if marks is None else (marks.lengths, marks.resets)
        time, batch = inputs.shape[:2]
        read = inputs if lengths is None else mask_padding(inputs, lengths)
        if self.read is not None:
            read = self.read(read) + _positions(time, self.output_size, read).unsqueeze(1)
        seen = self._seen(time, batch, lengths, resets, read.device)
        outputs = self._around(read, self._attention(self.norms[0](read), seen), lengths)
        return LayerOutput(outputs, self.read_last(outputs, lengths), ())

    def _around(self, read: Tensor, looked: Tensor, lengths: Tensor | None) -> Tensor:
        """What was found, added to what was read, and the layer inside; zero at padded steps."""
        values = read + self._dropped(looked)
        inside = self.wide(self.norms[1](values)).relu()
        outputs = values + self._dropped(self.narrow(self._dropped(inside)))
        if lengths is None:
            return outputs
        return outputs * spread(valid_mask(lengths, len(outputs)), outputs)

    def _attention(self, values: Tensor, seen: Tensor | None) -> Tensor:
        time, batch, width = values.shape
        parts = self.attend(values).view(time, batch, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 1, 3, 0, 4)
        looked = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        joined: Tensor = self.joined(looked.permute(2, 0, 1, 3).reshape(time, batch, width))
        return joined

    def _seen(
        self,
        time: int,
        batch: int,
        lengths: Tensor | None,
        resets: Tensor | None,
        device: torch.device,
    ) -> Tensor | None:
        """``[batch, 1, time, time]``, which steps each step looks at: always at itself."""
        steps = torch.arange(time, device=device)
        found = torch.ones(batch, time, time, dtype=torch.bool, device=device)
        if lengths is None and resets is None and self.ahead:
            return None
        if lengths is not None:
            found &= valid_mask(lengths, time).T.unsqueeze(1)
        if resets is not None:
            number = resets.cumsum(0).T
            found &= number.unsqueeze(2) == number.unsqueeze(1)
        if not self.ahead:
            found &= steps.unsqueeze(1) >= steps
        return (found | torch.eye(time, dtype=torch.bool, device=device)).unsqueeze(1)

    def _dropped(self, values: Tensor) -> Tensor:
        return drop(values, self.dropout) if self.dropout and self.training else values

    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """At each row's own last step."""
        return last_step(outputs, lengths)


def _positions(time: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of the steps' numbers, ``[time, width]``."""
    steps = torch.arange(time, device=like.device, dtype=like.dtype).unsqueeze(1)
    half = torch.arange(0, width, 2, device=like.device, dtype=like.dtype)
    waves = steps * torch.exp(half * (-math.log(_WAVE) / width))
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)[:, :width]
