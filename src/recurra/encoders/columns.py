"""A picture read from left to right: what a network of convolutions sees around its columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.encoders.frames import Frames
from recurra.errors import ShapeError
from recurra.sequences import PaddedSequence
from recurra.settings import check_rate, check_size

__all__ = ["PictureColumns"]

_ACROSS = 4  # columns that become one step


class PictureColumns(nn.Module):
    r"""A picture as a sequence from left to right, seen by a small convolutional network.

    Three blocks of a 3 x 3 convolution, :math:`\max(0, x)` and the highest of each 2 x 2 pixels (of
    each 2 x 1 in the third), with twice the channels of the block before (Shi et al. 2017). What is
    left of four columns is one step, whose numbers the frames join.

    Args:
        shape: height, width and channels of a picture, at least 8 x 4 pixels.
        frames: makes what reads the steps of so many numbers.
        filters: channels of the first block.
        distort: in training pictures are slanted, stretched and moved at random, so far.

    Raises:
        SettingError: a size below 1, or a rate out of range.
        ShapeError: smaller pictures.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        frames: Callable[[int], Frames],
        *,
        filters: int = 16,
        distort: float = 0.0,
    ) -> None:
        super().__init__()
        height, width, channels = self.shape = shape
        if height < 8 or width < _ACROSS:
            raise ShapeError(
                f"pictures: expected at least 8 x {_ACROSS} pixels, got {height} x {width}. "
                "data.picture_size makes them larger; model.picture_as=columns reads any."
            )
        self.distort = check_rate("distort", distort)
        layers: list[nn.Module] = []
        into, out = channels, check_size("filters", filters)
        for across in (2, 2, 1):
            pool = nn.MaxPool2d((2, across))
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(), pool]
            into, out = out, 2 * out
        self.blocks = nn.Sequential(*layers)
        self.steps = width // _ACROSS
        self.frames = frames(into * (height // 8))
        self.output_size = self.frames.output_size

    def forward(self, inputs: PaddedSequence) -> Any:
        """One picture a row or none, ``[1, batch, height, width, channels]``, to its steps."""
        if inputs.time > 1 or tuple(inputs.values.shape[2:]) != self.shape:
            raise ShapeError(
                "inputs: expected a picture a row, [1, batch, height, width, channels] of "
                f"{list(self.shape)}, got {list(inputs.values.shape)}."
            )
        padded = inputs.masked()
        seen = self._seen(padded.to_padded(1)[0].permute(0, 3, 1, 2))
        joined = seen.flatten(1, 2).permute(2, 0, 1)  # [steps, batch, channels * height]
        return self.frames(PaddedSequence(joined, inputs.lengths * self.steps))

    def _seen(self, pictures: Tensor) -> Tensor:
        if self.training and self.distort:
            pictures = _distorted(pictures, self.distort)
        seen: Tensor = self.blocks(pictures)
        return seen


def _distorted(pictures: Tensor, amount: float) -> Tensor:
    """Pictures ``[batch, channels, height, width]``, each slanted, stretched and moved.

    Args:
        pictures: what stands beyond their edges is what stands there.
        amount: at most, as a share of the height.
    """
    height, width = pictures.shape[2:]
    slant, wide, high, right, down, turn = amount * (
        2 * torch.rand(6, len(pictures), device=pictures.device) - 1
    )
    ratio = height / width
    rows = [
        torch.stack([1 + wide, slant * 2 * ratio, right * ratio], 1),
        torch.stack([turn / 4, 1 + high, down], 1),
    ]
    grid = nn.functional.affine_grid(
        torch.stack(rows, 1).to(pictures.dtype), list(pictures.shape), align_corners=False
    )
    return nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
