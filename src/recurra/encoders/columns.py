"""A picture read from left to right: what a network of convolutions sees around its columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.encoders.frames import Frames
from recurra.encoders.pictures import lines_of_any_width, one_picture
from recurra.errors import SettingError, ShapeError
from recurra.sequences import PaddedSequence
from recurra.settings import check_rate, check_size

__all__ = ["PictureColumns"]

_POOLED = {4: (2, 2, 1), 2: (2, 1, 1)}  # by columns that become one step, those of each block


class PictureColumns(nn.Module):
    r"""A picture as a sequence from left to right, seen by a small convolutional network.

    Three blocks of a 3 x 3 convolution, :math:`\max(0, x)` and the highest of each 2 x 2 pixels (of
    each 2 x 1 in the third), with twice the channels of the block before (Shi et al. 2017). What is
    left of four columns is one step, whose numbers the frames join; or of two, where the second
    block takes 2 x 1 too.

    Pictures of one width are read one a row; of a width of 0 each row is a picture as wide as it
    has columns, with zeros on both sides of it.

    Args:
        shape: height, width and channels of a picture, at least 8 x 4 pixels; width 0: any.
        frames: makes what reads the steps of so many numbers.
        filters: channels of the first block.
        across: columns that become one step, 4 or 2.
        distort: in training pictures are slanted, stretched and moved at random, so far; those of
            any width become only narrower, so that nothing leaves them at their ends.

    Raises:
        SettingError: a size below 1, another number of columns, or a rate out of range.
        ShapeError: smaller pictures.
    """

    together = True  # it sees what stands on both sides of a column

    def __init__(
        self,
        shape: tuple[int, int, int],
        frames: Callable[[int], Frames],
        *,
        filters: int = 16,
        across: int = 4,
        distort: float = 0.0,
    ) -> None:
        super().__init__()
        height, width, channels = self.shape = shape
        if across not in _POOLED:
            raise SettingError(f"across: expected 4 or 2 columns, got {across!r}")
        if height < 8 or 0 < width < across:
            raise ShapeError(
                f"pictures: expected at least 8 x {across} pixels, got {height} x {width}. "
                "data.picture_size makes them larger; model.picture_as=columns reads any."
            )
        self.across = across
        self.distort = check_rate("distort", distort)
        layers: list[nn.Module] = []
        into, out = channels, check_size("filters", filters)
        for each in _POOLED[across]:
            pool = nn.MaxPool2d((2, each))
            layers += [nn.Conv2d(into, out, 3, padding=1), pool, nn.ReLU()]  # of fewer pixels
            into, out = out, 2 * out
        self.blocks = nn.Sequential(*layers)
        self.frames = frames(into * (height // 8))
        self.output_size = self.frames.output_size

    def steps_of(self, columns: int) -> int:
        """Of how many steps the frames read a picture of so many columns."""
        width = self.shape[1]
        return width // self.across if width else -(-columns // self.across)

    def forward(self, inputs: PaddedSequence) -> Any:
        """One picture a row or none, ``[1, batch, height, width, channels]``, to its steps.

        Of any width: ``[columns, batch, height, channels]``.
        """
        if not self.shape[1]:
            return self.frames(self._seen_free(lines_of_any_width(inputs, self.shape)))
        seen = self._seen(one_picture(inputs, self.shape).permute(0, 3, 1, 2))
        joined = seen.flatten(1, 2).permute(2, 0, 1)  # [steps, batch, channels * height]
        return self.frames(PaddedSequence(joined, inputs.lengths * self.steps_of(0)))

    def _seen_free(self, lines: PaddedSequence) -> PaddedSequence:
        """What is seen of rows ``[columns, batch, height, channels]``, as of each alone.

        A convolution sees zeros behind the end of a row, whatever its batch mates are.
        """
        widths = lines.lengths
        more = max(-lines.time % self.across, self.across - lines.time)
        pictures = nn.functional.pad(lines.masked().values.permute(1, 3, 2, 0), (0, more))
        if self.training and self.distort:
            pictures = _distorted(pictures, self.distort, widths)
        for layer in self.blocks:
            before = pictures.shape[3]
            if isinstance(layer, nn.Conv2d):
                behind = torch.arange(before, device=widths.device) >= widths[:, None]
                pictures = pictures.masked_fill(behind[:, None, None], 0)
            pictures = layer(pictures)
            across = before // pictures.shape[3]
            widths = (widths + across - 1) // across
        return PaddedSequence(pictures.flatten(1, 2).permute(2, 0, 1), widths)

    def _seen(self, pictures: Tensor) -> Tensor:
        if self.training and self.distort:
            pictures = _distorted(pictures, self.distort)
        seen: Tensor = self.blocks(pictures)
        return seen


def _distorted(pictures: Tensor, amount: float, widths: Tensor | None = None) -> Tensor:
    """Pictures ``[batch, channels, height, width]``, each slanted, stretched and moved.

    Args:
        pictures: what stands beyond their edges is what stands there.
        amount: at most, as a share of the height.
        widths: columns of each ``[batch]``, if not all of them.
    """
    height, width = pictures.shape[2:]
    slant, wide, high, right, down, turn = amount * (
        2 * torch.rand(6, len(pictures), device=pictures.device) - 1
    )
    ratio, turn = height / width, turn / 4
    middle = torch.zeros_like(wide)  # of each picture, where that of all columns is 0
    if widths is not None:
        last = (widths - 1).clamp(min=0)[:, None]
        places = torch.arange(width, device=last.device).minimum(last)[:, None, None]
        pictures = pictures.gather(3, places.expand(-1, *pictures.shape[1:3], -1))
        share = widths.clamp(min=1) / width
        middle, wide, turn = share - 1, wide.abs(), turn / share
    rows = [
        torch.stack([1 + wide, slant * 2 * ratio, right * ratio - wide * middle], 1),
        torch.stack([turn, 1 + high, down - turn * middle], 1),
    ]
    grid = nn.functional.affine_grid(
        torch.stack(rows, 1).to(pictures.dtype), list(pictures.shape), align_corners=False
    )
    return nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
