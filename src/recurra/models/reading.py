"""An encoder from settings: what every model that reads examples has in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import pydantic

from recurra.encoders import (
    AlignedEncoder,
    AskingEncoder,
    Encoder,
    FrameEncoder,
    Frames,
    PictureLines,
    Pictures,
    Regions,
    Sentences,
    SeveralEncoder,
    Stem,
    TokenEncoder,
)
from recurra.errors import SettingError
from recurra.layers import Layer, Pool, Stack, TokenEmbedding, Window
from recurra.layers.settings import LayerSettings, build_layers
from recurra.sections import Section, contradiction

__all__ = ["ReadingSettings", "Reads", "build_encoder"]

Form = Literal["tokens", "frames", "pictures"]
_FILTERS = 16  # of the first block of a network of pictures


class Reads(Section):
    """What an input is, in numbers.

    Args:
        form: ``"tokens"`` (ids), ``"frames"`` (a vector a step) or ``"pictures"``.
        sizes: how many ids there are; how many numbers a step has; height, width and channels.
        steps: whether there may be more than one, as of a film.
        ends: of ids, those that end a sentence.
    """

    form: Form
    sizes: list[int]
    steps: bool = True
    ends: list[int] = pydantic.Field(default_factory=list)


class ReadingSettings(LayerSettings):
    """What a person chooses about how inputs are read.

    Measured numbers are dropped at the input only where ``dropout_input`` says so: a channel that
    is missing half of the time is another measurement, not a hint to rely on others.

    Args:
        embedding_size: width of a symbol's vector; ``hidden_size`` if None.
        embedding_spread: deviation of the normal numbers that these vectors start with. Of words
            that are seen a few times the start is most of what is ever read: large ones are noise
            by which texts are learned by heart.
        dropout_word: rate at which symbols have no vector at all, the same ones in all of a batch.
        sentences: whether the symbols of a sentence become one step, see
            :class:`recurra.encoders.Sentences`; of a text in which nothing ends one all of them.
        stride: steps of a series or a recording that become one.
        filters: of a series, numbers that a linear map makes of these; of pictures, channels of the
            first block of the network that sees them (16 if None).
        blocks: of pictures, blocks of that network at most; each halves height and width.
        picture_as: whether a picture is seen ``"whole"``; as ``"regions"``, a grid of places, each
            with what is seen there and where it is, so that a decoder can look at one after the
            other; or read step by step: ``"columns"`` from left to right, or ``"rows"``
            from the top.
        pool: how the outputs of all steps become one vector, see :class:`recurra.Pooling`.
        fuse: of several inputs, whether each is read by layers of its own (``"late"``); where they
            have like steps, all by the same (``"early"``); or, of two, one asks and stands beside
            every step of the other (``"ask"``), see :class:`recurra.encoders.AskingEncoder`.
        asks: with ``"ask"`` the name of the input that asks; the only text if None.
        dropout_missing: rate at which one of several inputs is left out in training.
    """

    LOOSE: ClassVar[frozenset[str]] = LayerSettings.LOOSE | {"embedding_spread", "dropout_missing"}

    embedding_size: int | None = pydantic.Field(None, ge=1, le=10**6)
    embedding_spread: float = pydantic.Field(0.1, gt=0, allow_inf_nan=False)
    dropout_word: float = pydantic.Field(0.0, ge=0, lt=1)
    sentences: bool = False
    stride: int = pydantic.Field(1, ge=1, le=10**6)
    filters: int | None = pydantic.Field(None, ge=1, le=10**6)
    blocks: int = pydantic.Field(3, ge=0, le=100)
    picture_as: Literal["whole", "regions", "columns", "rows"] = "whole"
    pool: Pool = "max"
    fuse: Literal["late", "early", "ask"] = "late"
    asks: str | None = None
    dropout_missing: float = pydantic.Field(0.0, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _questions_agree(self) -> Self:
        if self.asks is not None and self.fuse != "ask":
            raise contradiction(self, "asks", f"fuse={self.fuse!r} has none", "model.fuse='ask'")
        return self

    def asking(self, reads: Mapping[str, Reads]) -> str:
        """Name of the input that asks.

        Raises:
            SettingError: there are not two inputs, or it is not known which of them asks.
        """
        texts = [name for name, one in reads.items() if one.form == "tokens"]
        asks = self.asks or (texts[0] if len(texts) == 1 else None)
        if asks is None or len(reads) != 2 or asks not in reads:
            told = ", ".join(f"{name!r} ({one.form})" for name, one in reads.items())
            raise SettingError(
                "model.fuse: 'ask' expected two inputs, a question and what it is about, got "
                f"{told}; say by model.asks which of two asks, here {asks!r}"
            )
        return asks

    def reader(self, reads: Mapping[str, Reads]) -> str:
        """What reads such inputs: a cell, what stands in its place, or a network of pictures."""
        if all(self.unordered(one) for one in reads.values()):
            return "network of pictures"
        return self.cell if self.body == "recurrent" else self.body

    def unordered(self, reads: Reads) -> bool:
        """Whether it is seen at once, and there is nothing to remember."""
        return not reads.steps and self.picture_as in ("whole", "regions")

    def unread(self, reads: Mapping[str, Reads]) -> Iterator[tuple[str, str]]:
        """Settings that such inputs leave without effect, each with why."""
        forms = {one.form for one in reads.values()}
        if all(self.unordered(one) for one in reads.values()):
            names = ["body", "cell", "cell_settings", "layers", "kernel_size", "dropout_between"]
            names += ["dropout_recurrent", "residual", "held"]
            names += ["pool"] if self.picture_as == "whole" else []
            yield from ((name, "pictures are seen at once") for name in names)
        if "frames" not in forms and self.picture_as in ("whole", "regions"):
            yield "stride", "no input has a vector a step"
        if forms == {"tokens"}:
            yield "filters", "symbols are not filtered"
        if "pictures" not in forms or self.picture_as in ("columns", "rows"):
            yield "blocks", "no picture is seen whole or by regions"
        if "tokens" not in forms:
            for name in ("embedding_size", "embedding_spread", "dropout_word", "sentences"):
                yield name, "no input has symbols"
        if all(one.steps for one in reads.values()):
            yield "picture_as", "no input is a picture"
        if len(reads) == 1:
            yield "fuse", "there is one input"
            yield "asks", "there is one input"
            yield "dropout_missing", "there is one input"


def build_encoder(settings: ReadingSettings, reads: Mapping[str, Reads]) -> Encoder:
    """An encoder of one input, or of several.

    Args:
        settings: what it is.
        reads: by name; inputs are given in the order of these names.

    Raises:
        SettingError: an unknown cell, a setting that it does not take, sizes that do not join, or
            sentences that nothing ends.
    """
    texts = [one for one in reads.values() if one.form == "tokens"]
    if settings.sentences and texts and not any(one.ends for one in texts):
        raise SettingError(
            "model.sentences: no symbol that is read ends a sentence (. ! ?), so that each text "
            "would be one step. With data.punctuation=true such marks are words of their own"
        )
    reads = dict(sorted(reads.items()))  # as an artifact keeps them
    if len(reads) == 1:
        return _encoder(settings, next(iter(reads.values())))
    if settings.fuse == "early":
        stems = {name: _stem(settings, one) for name, one in reads.items()}
        width = sum(stem.output_size + 1 for stem in stems.values())
        layers = build_layers(settings, width)
        return AlignedEncoder(stems, layers, missing=settings.dropout_missing)
    if settings.fuse == "ask":
        return _asking(settings, reads)
    encoders = {name: _encoder(settings, one) for name, one in reads.items()}
    return SeveralEncoder(encoders, settings.pool, missing=settings.dropout_missing)


def _asking(settings: ReadingSettings, reads: Mapping[str, Reads]) -> Encoder:
    asks = settings.asking(reads)
    (other,) = (one for name, one in reads.items() if name != asks)
    question, stem = _encoder(settings, reads[asks]), _stem(settings, other)
    first, second = reads
    return AskingEncoder(
        (first, second),
        asks,
        question,
        stem,
        _layers(settings, other, stem.output_size + question.output_size + 1),
        settings.pool,
        missing=settings.dropout_missing,
    )


def _encoder(settings: ReadingSettings, reads: Reads) -> Encoder:
    stem = _stem(settings, reads)
    layers = _layers(settings, reads, stem.output_size)
    if isinstance(stem, TokenEmbedding):
        return TokenEncoder(stem, layers)
    return FrameEncoder(stem, layers)


def _layers(settings: ReadingSettings, reads: Reads, width: int) -> Layer:
    """What reads vectors of this width: of what is seen at once each by itself."""
    if settings.unordered(reads):
        size = settings.hidden_size * (2 if settings.bidirectional else 1)
        return Stack([Window(width, size)])
    return build_layers(settings, width)


def _stem(settings: ReadingSettings, reads: Reads) -> Stem:
    sizes = reads.sizes
    if reads.form == "tokens":
        embedding = TokenEmbedding(
            sizes[0],
            settings.embedding_size or settings.hidden_size,
            dropout=settings.rate("input"),
            word_dropout=settings.dropout_word,
            held=settings.held,
            deviation=settings.embedding_spread,
        )
        return Sentences(embedding, reads.ends) if settings.sentences else embedding
    if reads.form == "frames":
        return _frames(settings, sizes[0])
    height, width, channels = sizes
    network: dict[str, Any] = {
        "filters": settings.filters or _FILTERS,
        "blocks": settings.blocks,
        "dropout": settings.dropout_input or 0.0,
    }
    size = settings.hidden_size
    if settings.picture_as == "regions" and not reads.steps:
        return Regions((height, width, channels), size, **network)
    if settings.picture_as != "whole" and not reads.steps:
        rows = settings.picture_as == "rows"
        line = _frames(settings, (width if rows else height) * channels)
        return PictureLines((height, width, channels), line, rows=rows)
    return Pictures(height, width, channels, size, **network)


def _frames(settings: ReadingSettings, size: int) -> Frames:
    return Frames(
        size,
        stride=settings.stride,
        filters=settings.filters,
        dropout=settings.dropout_input or 0.0,
        held=settings.held,
    )
