"""Pictures: seen whole, by regions, or read line by line."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recurra.encoders.frames import Frames, map_steps, values_of
from recurra.errors import SettingError, ShapeError
from recurra.layers.dropout import dropout
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_rate, check_size

__all__ = ["PictureLines", "Pictures", "Regions"]


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
        values = values_of(inputs)
        if tuple(values.shape[2:]) != self.shape:
            raise ShapeError(
                "inputs: expected pictures [time, batch, height, width, channels] of "
                f"{list(self.shape)}, got {list(values.shape)}."
            )
        vectors = map_steps(inputs, self._one)
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
    together = True  # all places are of one picture

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

    @property
    def together(self) -> bool:
        """Whether it reads several lines at once: those of one picture, or some as one step."""
        return bool(self.shape[1]) or self.frames.together

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
