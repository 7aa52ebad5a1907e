"""Numbers that are read step by step: series, sound, pictures one after another."""

from __future__ import annotations

import math
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

__all__ = ["FrameEncoder", "Frames", "PictureLines", "Pictures", "Regions", "Stem"]


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
        values = _values(inputs)
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
            vectors = _each(vectors, lambda one: mapped(one).relu())
        return dropout(vectors, self.dropout, self.training, held=self.held)

    def _beside(self, inputs: Any) -> Any:
        if not isinstance(inputs, PaddedSequence):
            return _joined(inputs, self.stride)
        values = _joined(mask_padding(inputs.values, inputs.lengths), self.stride)
        lengths = (inputs.lengths + self.stride - 1) // self.stride
        return PaddedSequence(values, lengths)


def _hidden(inputs: Any, steps: int, numbers: int) -> Any:
    """Two runs of steps, and two of numbers, are 0 in each row; runs are of any length up to it."""
    values = _values(inputs)
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


def _values(inputs: Any) -> Tensor:
    values: Tensor = inputs.values if isinstance(inputs, PaddedSequence) else inputs
    return values


def _joined(values: Tensor, stride: int) -> Tensor:
    time, batch = values.shape[:2]
    more = -time % stride
    if more:
        values = torch.cat([values, values.new_zeros(more, *values.shape[1:])])
    parts = values.view(-1, stride, batch, values.shape[2])
    return parts.transpose(1, 2).flatten(2)


def _each(vectors: Any, function: Any) -> Any:
    if isinstance(vectors, PaddedSequence):
        return vectors.map(function)
    made = function(vectors.flatten(0, 1))
    return made.view(*vectors.shape[:2], made.shape[1])


class Pictures(nn.Module):
    r"""A vector for each picture, by a small convolutional network.

    Blocks of a 3 x 3 convolution, :math:`\max(0, x)` and the highest of each 2 x 2 pixels, with
    twice the channels of the block before, then a linear map of all that is left.

    Args:
        height: of a picture.
        width: of it.
        channels: of it.
        output_size: numbers of its vector.
        filters: channels of the first block.
        blocks: at most; fewer where a picture would become smaller than 2 x 2.
        dropout: rate of dropout on the vector, in training only.

    Raises:
        SettingError: a size below 1, or a rate out of range.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        output_size: int,
        *,
        filters: int = 16,
        blocks: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape = (
            check_size("height", height),
            check_size("width", width),
            check_size("channels", channels),
        )
        self.output_size = check_size("output_size", output_size)
        self.dropout = check_rate("dropout", dropout)
        self.blocks, left = _blocks(self.shape, filters, blocks)
        self.map = nn.Linear(math.prod(left), output_size)

    def forward(self, inputs: Any) -> Any:
        """``[time, batch, height, width, channels]`` to ``[time, batch, output_size]``."""
        values = _values(inputs)
        if tuple(values.shape[2:]) != self.shape:
            raise ShapeError(
                "inputs: expected pictures [time, batch, height, width, channels] of "
                f"{list(self.shape)}, got {list(values.shape)}."
            )
        vectors = _each(inputs, self._one)
        return dropout(vectors, self.dropout, self.training)

    def _one(self, pictures: Tensor) -> Tensor:
        seen = self.blocks(pictures.permute(0, 3, 1, 2))
        vectors: Tensor = self.map(seen.flatten(1)).relu()
        return vectors


def _blocks(
    shape: tuple[int, int, int], filters: int, blocks: int
) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """Convolutions, and height, width and channels of what they leave of a picture."""
    height, width, into = shape
    layers: list[nn.Module] = []
    out = check_size("filters", filters)
    for _ in range(check_size("blocks", blocks, 0)):
        if min(height, width) < 4:
            break
        layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        height, width, into, out = height // 2, width // 2, out, 2 * out
    return nn.Sequential(*layers), (height, width, into)


class Regions(nn.Module):
    r"""A picture as places beside each other, each with what is seen there, and where it is.

    .. math:: v_{ij} = \max(0, W [f_{ij}; i; j] + b)

    f is what the blocks of :class:`Pictures` leave of the picture, i and j run from -1 to 1. Places
    are told line by line; that is an order to walk over them, no more.

    Args:
        shape: height, width and channels of a picture.
        output_size: numbers of a place.
        filters: channels of the first block.
        blocks: at most; fewer where a picture would become smaller than 2 x 2.
        dropout: rate of dropout on the vectors, in training only.

    Raises:
        SettingError: a size below 1, or a rate out of range.
    """

    where: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        output_size: int,
        *,
        filters: int = 16,
        blocks: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape, self.dropout = shape, check_rate("dropout", dropout)
        self.output_size = check_size("output_size", output_size)
        self.blocks, (height, width, channels) = _blocks(shape, filters, blocks)
        self.steps = height * width
        self.map = nn.Linear(channels + 2, output_size)
        lines, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        where = torch.cartesian_prod(lines, columns).view(self.steps, 1, 2)
        self.register_buffer("where", where, persistent=False)

    def forward(self, inputs: PaddedSequence) -> PaddedSequence:
        """One picture a row or none, ``[1, batch, height, width, channels]``, to its places."""
        values = one_picture(inputs, self.shape)  # [batch, height, width, channels]
        seen = self.blocks(values.permute(0, 3, 1, 2)).flatten(2).permute(2, 0, 1)
        told = torch.cat([seen, self.where.expand(-1, seen.shape[1], -1)], -1)
        vectors = dropout(self.map(told).relu(), self.dropout, self.training)
        return PaddedSequence(vectors, inputs.lengths * self.steps)


def lines_of_any_width(inputs: PaddedSequence, shape: tuple[int, int, int]) -> PaddedSequence:
    """Rows of columns, if they are such.

    Raises:
        ShapeError: others.
    """
    height, _, channels = shape
    if tuple(inputs.values.shape[2:]) != (height, channels):
        raise ShapeError(
            "inputs: expected pictures of any width, [columns, batch, height, channels] of "
            f"{[height, channels]}, got {list(inputs.values.shape)}."
        )
    return inputs


def one_picture(inputs: PaddedSequence, shape: tuple[int, int, int]) -> Tensor:
    """Of each row its picture, of one without zeros."""
    if inputs.time > 1 or tuple(inputs.values.shape[2:]) != shape:
        raise ShapeError(
            "inputs: expected a picture a row, [1, batch, height, width, channels] of "
            f"{list(shape)}, got {list(inputs.values.shape)}."
        )
    return inputs.to_padded(1)[0]


class PictureLines(nn.Module):
    """A picture as a sequence: its columns from left to right, or its rows from the top.

    Args:
        shape: height, width and channels; of a width of 0 each row is a picture as wide as it has
            columns.
        frames: reads the pixels of a line as a step.
        rows: whether lines are rows.

    Raises:
        SettingError: frames of another width than a line has, or rows of any width.
    """

    def __init__(self, shape: tuple[int, int, int], frames: Frames, *, rows: bool = False) -> None:
        super().__init__()
        self.shape, self.rows = shape, check_flag("rows", rows)
        height, width, channels = shape
        if rows and not width:
            raise SettingError("PictureLines: expected pictures of one width to read their rows")
        self.steps, line = (height, width) if rows else (width, height)
        if frames.input_size != line * channels:
            raise SettingError(
                f"PictureLines: a line has {line * channels} numbers, the frames read "
                f"{frames.input_size}"
            )
        self.frames, self.output_size = frames, frames.output_size

    def forward(self, inputs: PaddedSequence) -> Any:
        """One picture a row or none, ``[1, batch, height, width, channels]``, to its lines.

        Of any width: ``[columns, batch, height, channels]``.
        """
        if not self.shape[1]:
            read = lines_of_any_width(inputs, self.shape)
            return self.frames(PaddedSequence(read.values.flatten(2), read.lengths))
        values = one_picture(inputs, self.shape)  # [batch, height, width, channels]
        lines = values if self.rows else values.transpose(1, 2)
        joined = lines.flatten(2).transpose(0, 1)
        return self.frames(PaddedSequence(joined, inputs.lengths * self.steps))


class FrameEncoder(Encoder):
    """Reads numbers: a vector of what stands at each step, then a layer.

    Args:
        stem: makes the vectors, such as :class:`Frames` or :class:`Pictures`.
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
                "inputs: several steps are read together (stride, sentences), so rows are read "
                "whole: leave state and resets out."
            )
        result: LayerOutput = self.layer(self.stem(inputs), state, context, resets=resets)
        return result
