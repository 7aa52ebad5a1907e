"""A layer that sees some steps beside each other and remembers nothing else: recurrence's rival."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.layers.base import Layer, LayerOutput
from recurra.lengths import Marks, last_step, mask_padding, spread, valid_mask
from recurra.settings import check_flag, check_size
from recurra.states import Tree

__all__ = ["Window", "past_of"]


class Past(NamedTuple):
    """What a window has yet to see again.

    Args:
        inputs: the last ones, ``[batch, (size - 1) * dilation, input_size]``, zeros before a row
            begins.
    """

    inputs: Tensor


class Window(Layer):
    r"""Some inputs beside each other, and a linear map of them.

    .. math::

        y_t = \max(0, b + \sum_{j=0}^{k-1} W_j x_{t - jd})

    k is ``size`` and d ``dilation``; before its row begins x is 0. A size of 1 sees a step alone: a
    feed-forward net. Layers above each other with growing dilation are a temporal convolution (Bai
    et al. 2018), which adds x to y where both are of one width.

    Args:
        input_size: width of x.
        output_size: width of y.
        size: how many inputs are seen.
        dilation: steps from one of them to the next.
        centered: whether the step stands in the middle of what it sees; else it is the last, and
            the layer causal. Of an even size the middle is the later of two.
        residual: whether x is added where it is as wide as y.

    Raises:
        SettingError: a size that is no whole number of at least 1.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        size: int = 1,
        *,
        dilation: int = 1,
        centered: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.input_size: int = check_size("input_size", input_size)
        self.output_size = check_size("output_size", output_size)
        self.size, self.dilation = check_size("size", size), check_size("dilation", dilation)
        self.centered = check_flag("centered", centered) and self.size > 1
        self.residual = check_flag("residual", residual) and input_size == output_size
        self.weight = nn.Parameter(torch.empty(output_size, self.size * input_size))
        self.bias = nn.Parameter(torch.zeros(output_size))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        ahead = (self.size - 1) // 2 if self.centered else 0
        self._offsets = [(ahead - j) * self.dilation for j in range(self.size)]

    @property
    def causal(self) -> bool:
        """Unless the step stands in the middle."""
        return not self.centered

    def initial_state(self, batch: int) -> Past:
        """Zeros."""
        return Past(self.weight.new_zeros(batch, -self._offsets[-1], self.input_size))

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """One product over all steps."""
        lengths, resets = (None, None) if marks is None else (marks.lengths, marks.resets)
        time, batch = inputs.shape[:2]
        read = inputs if lengths is None else mask_padding(inputs, lengths)
        start = self.initial_state(batch) if state is None else state
        behind, ahead = -self._offsets[-1], self._offsets[0]
        after = read.new_zeros(ahead, batch, self.input_size)
        joined = torch.cat([start.inputs.transpose(0, 1).to(read.dtype), read, after])
        parts = [joined[behind + at : behind + at + time] for at in self._offsets]
        segments = None
        if resets is not None:  # what stands on the other side of one is not seen
            number = resets.cumsum(0)
            end = number[-1:] if time else number.new_zeros(1, batch)
            segments = torch.cat([torch.zeros_like(end).expand(behind, -1), number])
            sides = torch.cat([segments, end.expand(ahead, -1)])
            parts = [
                part * spread(sides[behind + at : behind + at + time] == number, part)
                for at, part in zip(self._offsets, parts, strict=True)
            ]
        outputs = (torch.cat(parts, -1) @ self.weight.T + self.bias).relu()
        if self.residual:
            outputs = outputs + read
        if lengths is not None:
            outputs = outputs * spread(valid_mask(lengths, time), outputs)
        past = past_of(joined[: behind + time], behind, lengths, segments)
        return LayerOutput(outputs, self.read_last(outputs, lengths), Past(past))

    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """At each row's own last step."""
        return last_step(outputs, lengths)

    def extra_repr(self) -> str:
        """Sizes."""
        told = f"{self.input_size}, {self.output_size}, size={self.size}, dilation={self.dilation}"
        return told + (", centered=True" if self.centered else "")


def past_of(joined: Tensor, size: int, lengths: Tensor | None, segments: Tensor | None) -> Tensor:
    """The last so many inputs of each row, those of an earlier sequence as zeros."""
    if lengths is None and segments is None:
        return joined[joined.shape[0] - size :].transpose(0, 1)
    batch = joined.shape[1]
    steps = torch.arange(size, device=joined.device).unsqueeze(1)
    whole = torch.full((batch,), joined.shape[0] - size, device=joined.device)
    at = steps + (whole if lengths is None else lengths)
    rows = torch.arange(batch, device=joined.device)
    past = joined[at, rows]
    if segments is not None and size:
        found = segments[at, rows]
        past = past * spread(found == found[-1:], past)
    return past.transpose(0, 1)
