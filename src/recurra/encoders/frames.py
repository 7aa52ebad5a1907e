"""Numbers that are read step by step: series, sound; and what reads any vectors of steps."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recurra.encoders.base import Encoder
from recurra.errors import SettingError, ShapeError
from recurra.layers import Layer, LayerOutput
from recurra.layers.dropout import dropout
from recurra.lengths import mask_padding
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_rate, check_size
from recurra.states import Tree

__all__ = ["FrameEncoder", "Frames", "Stem"]


class Stem(Protocol):
    """A module that makes a vector of what is read at each step."""

    output_size: int

    def __call__(self, inputs: Any) -> Any:
        """``[time, batch, ...]``, a tensor or a PaddedSequence, to ``[time, batch, size]``."""


def together(stem: Stem) -> bool:
    """Whether a stem makes one step of several, which may stand on both sides of a cut."""
    return bool(getattr(stem, "together", False))


class Frames(nn.Module):
    r"""Vectors of numbers as they are, or some of them made into one.

    .. math:: v_t = [x_{st}; \dots; x_{st + s - 1}] \quad\text{or}\quad
        v_t = \max(0, W [x_{st}; \dots; x_{st + s - 1}] + b)

    s is ``stride``: a row of n steps becomes one of n / s, rounded up, with zeros behind its end.
    Where it is more than 1 nothing can be carried on: a part may end between them.

    Args:
        input_size: numbers in a step.
        stride: steps that become one.
        filters: numbers that the map W makes of them; None for no such map.
        dropout: rate of dropout on v, in training only.
        held: whether it leaves out the same elements at every step of a row.
        mask_steps: in training runs of x of so many steps at most are 0, two in each row, none of
            them longer than a quarter of it (Park et al. 2019).
        mask_numbers: the same of numbers beside each other, such as frequencies.

    Raises:
        SettingError: a size below 1, or a rate out of range.
    """

    def __init__(
        self,
        input_size: int,
        *,
        stride: int = 1,
        filters: int | None = None,
        dropout: float = 0.0,
        held: bool = False,
        mask_steps: int = 0,
        mask_numbers: int = 0,
    ) -> None:
        super().__init__()
        self.input_size, self.stride = (
            check_size("input_size", input_size),
            check_size("stride", stride),
        )
        self.dropout, self.held = check_rate("dropout", dropout), check_flag("held", held)
        self.masks = (
            check_size("mask_steps", mask_steps, 0),
            check_size("mask_numbers", mask_numbers, 0),
        )
        together = input_size * stride
        self.map = None if filters is None else nn.Linear(together, check_size("filters", filters))
        self.output_size = together if filters is None else filters

    @property
    def together(self) -> bool:
        """Whether several steps become one."""
        return self.stride > 1

    def forward(self, inputs: Any) -> Any:
        """``[time, batch, input_size]`` to ``[time / stride, batch, output_size]``."""
        values = values_of(inputs)
        if values.dim() != 3 or values.shape[2] != self.input_size:
            raise ShapeError(
                f"inputs: expected {self.input_size} numbers a step, [time, batch, "
                f"{self.input_size}], got {list(values.shape)}."
            )
        if self.training and any(self.masks):
            inputs = _hidden(inputs, *self.masks)
        vectors = self._beside(inputs) if self.stride > 1 else inputs
        if self.map is not None:
            mapped = self.map
            vectors = map_steps(vectors, lambda one: mapped(one).relu())
        return dropout(vectors, self.dropout, self.training, held=self.held)

    def _beside(self, inputs: Any) -> Any:
        if not isinstance(inputs, PaddedSequence):
            return _joined(inputs, self.stride)
        values = _joined(mask_padding(inputs.values, inputs.lengths), self.stride)
        lengths = (inputs.lengths + self.stride - 1) // self.stride
        return PaddedSequence(values, lengths)


def _hidden(inputs: Any, steps: int, numbers: int) -> Any:
    """Two runs of steps, and two of numbers, are 0 in each row; runs are of any length up to it."""
    values = values_of(inputs)
    time, batch, size = values.shape
    lengths = getattr(inputs, "lengths", None)
    ends = values.new_full((batch,), time) if lengths is None else lengths.to(values.dtype)
    gone = _runs(time, ends, steps)[:, :, None] | _runs(size, 0 * ends + size, numbers).T[None]
    hidden = values.masked_fill(gone, 0)
    return hidden if lengths is None else PaddedSequence(hidden, lengths)


def _runs(size: int, ends: Tensor, longest: int) -> Tensor:
    """Two runs of places below each row's end, a quarter of it at most; bool ``[size, batch]``."""
    limit = (ends / 4).floor().clamp(max=longest)
    places = torch.arange(size, device=ends.device)[:, None]
    found = torch.zeros(size, len(ends), dtype=torch.bool, device=ends.device)
    for _ in range(2):
        length = (torch.rand_like(ends) * (limit + 1)).floor()
        begin = (torch.rand_like(ends) * (ends - length + 1)).floor()
        found |= (places >= begin) & (places < begin + length)
    return found


def values_of(inputs: Any) -> Tensor:
    """A tensor as it is, or the one of padded rows."""
    values: Tensor = inputs.values if isinstance(inputs, PaddedSequence) else inputs
    return values


def _joined(values: Tensor, stride: int) -> Tensor:
    time, batch = values.shape[:2]
    more = -time % stride
    if more:
        values = torch.cat([values, values.new_zeros(more, *values.shape[1:])])
    parts = values.view(-1, stride, batch, values.shape[2])
    return parts.transpose(1, 2).flatten(2)


def map_steps(vectors: Any, function: Any) -> Any:
    """A function of ``[count, ...]`` over all steps, or the valid ones of padded rows."""
    if isinstance(vectors, PaddedSequence):
        return vectors.map(function)
    made = function(vectors.flatten(0, 1))
    return made.view(*vectors.shape[:2], made.shape[1])


class FrameEncoder(Encoder):
    """Reads numbers: a vector of what stands at each step, then a layer.

    Args:
        stem: makes the vectors, such as :class:`Frames` or :class:`recurra.Pictures`.
        layer: reads them.

    Raises:
        SettingError: the layer reads vectors of another width.
    """

    def __init__(self, stem: Stem, layer: Layer) -> None:
        super().__init__()
        if layer.input_size not in (None, stem.output_size):
            raise SettingError(
                f"FrameEncoder: the stem gives {stem.output_size} numbers, the layer reads "
                f"{layer.input_size}"
            )
        self.stem, self.layer = stem, layer
        self.output_size = layer.output_size
        # Steps that are read together may stand on both sides of a cut.
        self.causal = layer.causal and not together(stem)

    def initial_state(self, batch: int) -> Tree:
        """The layer's."""
        return self.layer.initial_state(batch)

    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """``[time, batch, ...]`` to the layer's result; arguments as of the layer.

        Raises:
            ShapeError: a state to go on from, or resets, where several steps are read together.
        """
        if together(self.stem) and (state is not None or resets is not None):
            raise ShapeError(
                "inputs: several steps are read together (stride, sentences, pictures), so rows "
                "are read whole: leave state and resets out."
            )
        result: LayerOutput = self.layer(self.stem(inputs), state, context, resets=resets)
        return result
