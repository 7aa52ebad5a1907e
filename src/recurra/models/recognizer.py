"""The recognizer: a recording or a picture in, a text of symbols out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, cast

import pydantic
import torch
from torch import Tensor

from recurra.encoders import FrameEncoder, Frames, PictureColumns, PictureLines, Stem
from recurra.errors import ShapeError
from recurra.heads import AlignmentHead
from recurra.layers.settings import LayerSettings, build_layers
from recurra.models.base import Model
from recurra.states import Tree
from recurra.twins import evaluating

__all__ = ["Recognizer", "RecognizerSettings"]

_FILTERS = 16  # channels of the first block of a network of pictures


class RecognizerSettings(LayerSettings):
    """What a person chooses about a recognizer, beside its layers.

    Args:
        stride: steps of a recording, or columns of a picture, that become one; if None 2, and 1
            where a network sees a picture, whose steps are some columns already.
        filters: numbers that a linear map makes of these; of a network of pictures channels of its
            first block (16 if None).
        across: columns of a picture that become one step where a network sees it, 4 or 2; narrow
            letters of print need 2.
        picture_as: whether the columns of a picture are read as they are (``"columns"``), or what a
            network of convolutions sees around them (``"convolved"``).
        mask_steps: longest run of steps that training hides, of which each row gets two (Park et
            al. 2019); 0 hides none.
        mask_numbers: the same of numbers beside each other, such as frequencies.
        distort: how far pictures are slanted, stretched and moved in training, at random, as a
            share of their height.
    """

    LOOSE: ClassVar[frozenset[str]] = LayerSettings.LOOSE | {
        "mask_steps",
        "mask_numbers",
        "distort",
    }

    cell: str = "gru"
    layers: int = pydantic.Field(2, ge=1, le=1000)
    hidden_size: int = pydantic.Field(128, ge=1, le=10**6)
    bidirectional: bool = True
    stride: int | None = pydantic.Field(None, ge=1, le=10**6)
    filters: int | None = pydantic.Field(None, ge=1, le=10**6)
    picture_as: Literal["convolved", "columns"] = "convolved"
    across: Literal[4, 2] = 4
    mask_steps: int = pydantic.Field(0, ge=0, le=10**6)
    mask_numbers: int = pydantic.Field(0, ge=0, le=10**6)
    distort: float = pydantic.Field(0.0, ge=0, le=0.5)

    def unread(self, picture: bool) -> Iterator[tuple[str, str]]:
        """Settings that such an input leaves without effect, each with why."""
        if not picture:
            yield "picture_as", "no picture is read"
        if not picture or self.picture_as == "columns":
            why = "columns are read as they are" if picture else "no picture is read"
            yield "across", why
            yield "distort", why


class Heard(NamedTuple):
    """What a recognizer carries from one part of a stream to the next.

    Args:
        layers: the state of its layers.
        rest: frames that wait until there are enough to be one step ``[frames, batch, numbers]``.
    """

    layers: Tree
    rest: Tensor


class Recognizer(Model):
    r"""A recurrent recognizer, which by default reads from both ends.

    .. math:: p(y \mid x) = \mathrm{CTC}(\mathrm{layers}(v_1 \dots v_n), y)

    v are the frames of a recording, some of them joined, or what stands around the columns of a
    picture from left to right; see :class:`recurra.AlignmentHead`.

    Args:
        config: settings.
        reads: numbers of a step; or height, width (0: any) and channels of a picture.
        symbols: how many there are, the blank not counted.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: RecognizerSettings

    def __init__(self, config: RecognizerSettings, *, reads: Sequence[int], symbols: int) -> None:
        stem = _stem(config, reads)
        encoder = FrameEncoder(stem, build_layers(config, stem.output_size))
        rate = config.rate("output")
        head = AlignmentHead(encoder.output_size, symbols, dropout=rate, held=config.held)
        super().__init__(encoder, head)
        self.config = config

    @property
    def alignment(self) -> AlignmentHead:
        """What says the symbols."""
        return cast(AlignmentHead, self.head)

    def steps(self, frames: int) -> int:
        """How many steps so many frames of a recording, or columns of a picture, become."""
        return _steps_of(cast(Any, self._read_by.stem), frames)

    @property
    def stride(self) -> int:
        """Frames that become a step; of pictures of what stands around their columns."""
        return _stride(cast(Any, self._read_by.stem))

    @property
    def _read_by(self) -> FrameEncoder:
        return cast(FrameEncoder, self.encoder)

    @torch.no_grad()
    def listen(self, frames: Tensor, heard: Heard | None = None) -> tuple[Tensor, Heard]:
        """What it says of the next frames of a stream: of a causal one.

        In evaluation mode and without gradients. Parts may be cut anywhere, whole = parts.

        Args:
            frames: ``[frames, batch, numbers]``.
            heard: what an earlier call returned, of the part before.

        Returns:
            log-probabilities ``[steps, batch, symbols + 1]`` of the steps that are complete, and
            what to go on from.

        Raises:
            ShapeError: it reads both ways, or pictures.
        """
        stem = self._read_by.stem
        if not isinstance(stem, Frames) or not self._read_by.layer.causal:
            raise ShapeError(
                "listen: this model reads both ways, or pictures, so it says something of whole "
                "examples alone. Train one of sound with model.bidirectional=false."
            )
        if heard is not None:
            frames = torch.cat([heard.rest, frames])
        cut = len(frames) // stem.stride * stem.stride
        return self._heard(frames[:cut], frames[cut:], heard)

    @torch.no_grad()
    def finish(self, heard: Heard) -> Tensor:
        """What it says of the frames that waited, with zeros behind them, as of a whole one."""
        return self._heard(heard.rest, heard.rest[:0], heard)[0]

    def _heard(self, frames: Tensor, rest: Tensor, heard: Heard | None) -> tuple[Tensor, Heard]:
        with evaluating(self):
            vectors = self._read_by.stem(frames)
            read = self._read_by.layer(vectors, None if heard is None else heard.layers)
            said = self.alignment(read)
        return said, Heard(read.state, rest)


def _steps_of(stem: Frames | PictureLines | PictureColumns, frames: int) -> int:
    """Steps that so many frames or columns become."""
    if isinstance(stem, PictureColumns):
        frames = stem.steps_of(frames)
    return -(-frames // _stride(stem))


def _stride(stem: Frames | PictureLines | PictureColumns) -> int:
    return stem.stride if isinstance(stem, Frames) else stem.frames.stride


def _stem(config: RecognizerSettings, reads: Sequence[int]) -> Stem:
    if len(reads) == 1:
        return _frames(config, reads[0], config.filters, 2)
    height, width, channels = reads
    if config.picture_as == "columns":
        line = _frames(config, height * channels, config.filters, 2)
        return PictureLines((height, width, channels), line)
    return PictureColumns(
        (height, width, channels),
        lambda size: _frames(config, size, None, 1),
        filters=config.filters or _FILTERS,
        across=config.across,
        distort=config.distort,
    )


def _frames(config: RecognizerSettings, size: int, filters: int | None, stride: int) -> Frames:
    return Frames(
        size,
        stride=config.stride or stride,
        filters=filters,
        dropout=config.dropout_input or 0.0,
        held=config.held,
        mask_steps=config.mask_steps,
        mask_numbers=config.mask_numbers,
    )
