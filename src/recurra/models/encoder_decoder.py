"""The encoder-decoder: something in, a sequence with steps of its own out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, cast

import pydantic
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.cells import cell_by_name, cell_origin, weight_drop
from recurra.cells.attention import AttentionCell, Score
from recurra.errors import SettingError
from recurra.heads import CopyingHead, DecoderHead, Decoding, ReadSymbols
from recurra.heads.base import whole_rows
from recurra.layers import Layer, Recurrent, Stack
from recurra.models.base import Model
from recurra.models.reading import ReadingSettings, Reads, build_encoder
from recurra.sections import contradiction, default
from recurra.states import Tree
from recurra.twins import evaluating

__all__ = ["EncoderDecoder", "EncoderDecoderConfig", "EncoderDecoderSettings"]


class EncoderDecoderSettings(ReadingSettings):
    """What a person chooses about an encoder-decoder, beside how it reads.

    The decoder has the encoder's cell, and its dropout of every kind.

    Args:
        attention: how the decoder looks back, see :class:`recurra.AttentionCell`; ``"none"`` leaves
            it what the encoder has read at its end alone.
        attention_size: width of keys and queries of the additive score; ``decoder_size`` if None.
        feeding: whether what was said with the help of an attention is read at the next step.
        aware: of where it has looked before, ``"coverage"`` or ``"location"``.
        places: how many steps of the encoder there may be at most, where ``aware`` is given.
        decoder_layers: how many; the lowest looks back.
        decoder_size: width of each; ``hidden_size`` if None.
        decoder_embedding: width of the vector of a symbol that was said; ``embedding_size`` or
            ``decoder_size`` if None.
        tied: whether scores are made of these vectors.
        copying: whether symbols may be copied from the text that is read, see
            :class:`recurra.CopyingHead`; what is read and said shares a vocabulary then.
        smoothing: of labels in training, see :class:`recurra.DecoderHead`.
        sampling: rate at which the decoder reads its own symbols in training, see there.
    """

    LOOSE: ClassVar[frozenset[str]] = ReadingSettings.LOOSE | {"smoothing", "sampling"}

    cell: str = "lstm"
    layers: int = pydantic.Field(1, ge=1, le=1000)
    hidden_size: int = pydantic.Field(256, ge=1, le=10**6)
    bidirectional: bool = True
    pool: Any = "last"
    attention: Literal["additive", "general", "dot", "none"] = "additive"
    attention_size: int | None = pydantic.Field(None, ge=1, le=10**6)
    feeding: bool = True
    aware: Literal["coverage", "location"] | None = None
    places: int = pydantic.Field(128, ge=1, le=10**5)
    decoder_layers: int = pydantic.Field(1, ge=1, le=1000)
    decoder_size: int | None = pydantic.Field(None, ge=1, le=10**6)
    decoder_embedding: int | None = pydantic.Field(None, ge=1, le=10**6)
    tied: bool = False
    copying: bool = False
    smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    sampling: float = pydantic.Field(0.0, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _attention_agrees(self) -> Self:
        if self.aware is not None and self.attention != "additive":
            why = f"an attention of the score {self.attention!r} knows nothing of it"
            raise contradiction(self, "aware", why, "model.attention='additive'")
        return self

    def unread(self, reads: Mapping[str, Reads]) -> Iterator[tuple[str, str]]:
        """But what the decoder has of it: cell and pooling."""
        own = {"cell", "cell_settings", "dropout_between", "dropout_recurrent", "held"}
        own |= {"residual", "pool"}
        yield from ((name, why) for name, why in super().unread(reads) if name not in own)
        if len(reads) > 1 and self.fuse == "late":
            for name in ("attention", "attention_size", "aware"):
                yield name, "inputs that are fused late are one step, at which it looks always"

    def idle(self) -> list[tuple[str, str]]:
        """Also what is said of an attention that is not there, or does not need it."""
        none = self.attention == "none"
        own = (
            ("attention_size", none or self.attention != "additive", f"attention={self.attention}"),
            ("feeding", none, "nothing is looked at"),
            ("places", self.aware is None, "it does not know where it has looked"),
        )
        chosen = [
            (name, why)
            for name, idle, why in own
            if idle and getattr(self, name) != default(self, name)
        ]
        used = {"dropout_recurrent"}  # what says is always recurrent
        if self.decoder_layers > 1:
            used |= {"residual", "dropout_between"} | ({"held"} if self.rate("between") else set())
        return [*(each for each in super().idle() if each[0] not in used), *chosen]


class EncoderDecoderConfig(EncoderDecoderSettings):
    """All that decides the shape of an encoder-decoder.

    Args:
        reads: what each input is, by name.
        symbols: that can be said.
    """

    reads: dict[str, Reads]
    symbols: int = pydantic.Field(ge=1, le=10**9)

    @pydantic.model_validator(mode="after")
    def _copies_agree(self) -> Self:
        read = [(one.form, one.sizes) for one in self.reads.values()]
        if self.copying and read != [("tokens", [self.symbols])]:
            why = "what is read and said has no vocabulary in common"
            raise contradiction(self, "copying", why, "data.joint=true, and one text that is read")
        if self.copying and self.sentences:
            why = "a sentence that is one step is no symbol"
            raise contradiction(self, "copying", why, "model.sentences=false")
        return self


class EncoderDecoder(Model):
    r"""A recurrent encoder-decoder (Cho et al. 2014, Sutskever et al. 2014, Bahdanau et al. 2015).

    .. math:: p(y_1 \dots y_n \mid x) = \prod_t p(y_t \mid y_1 \dots y_{t-1}, \mathrm{encoder}(x))

    See :class:`recurra.DecoderHead`.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig) -> None:
        encoder = build_encoder(config, config.reads)
        size = config.decoder_size or config.hidden_size
        width = config.decoder_embedding or config.embedding_size or size
        kind = CopyingHead if config.copying else DecoderHead
        head = kind(
            encoder.output_size,
            config.symbols,
            _decoder(config, encoder.output_size, width, size),
            embedding_size=width,
            pool=config.pool,
            tied=config.tied,
            smoothing=config.smoothing,
            sampling=config.sampling,
            dropout=config.rate("output"),
            dropout_input=config.rate("input"),
            held=config.held,
            deviation=config.embedding_spread,
        )
        super().__init__(encoder, head)
        self.config = config

    @property
    def decoder(self) -> DecoderHead:
        """What says the sequence; it follows the decoding protocol."""
        return cast(DecoderHead, self.head)

    @property
    def origins(self) -> dict[str, str]:
        """Also of the decoder's cell, where something else reads."""
        return {self.config.cell: cell_origin(self.config.cell)}

    @property
    def name(self) -> str:
        """What reads and says it, and whether it looks back."""
        body = self.config.reader(self.config.reads)
        return body if self.config.attention == "none" else f"{body} with attention"

    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Begin with what the symbols' frequencies alone say.

        Args:
            counts: how often each is said in what is trained on.
        """
        self.decoder.starts_at(counts)

    def _read(self, batch: Batch, state: Tree) -> tuple[Any, Tensor | None, Tree]:
        read, shared, state = super()._read(batch, state)
        return (ReadSymbols(*read, batch.inputs) if self.config.copying else read), shared, state

    @torch.no_grad()
    def teach(self, batch: Batch, state: Tree = None) -> tuple[Any, Tree]:
        """What it says after each true symbol, see :meth:`recurra.models.Model.teach`."""
        with evaluating(self):
            begun, state = self._predictions(batch, state)
            return self.decoder.forced(begun, batch.targets), state

    def check_teacher(self, teacher: Model) -> None:
        """A teacher may copy where a student does not, and the other way round.

        Raises:
            SettingError: it is no encoder-decoder.
        """
        if not isinstance(teacher, EncoderDecoder):
            super().check_teacher(teacher)

    @torch.no_grad()
    def begin(self, inputs: Any) -> Decoding:
        """What the decoder goes on from after inputs, in evaluation mode.

        Args:
            inputs: as of :class:`recurra.Batch`.
        """
        found: Decoding = self.predict(Batch(inputs, None))
        return found

    @torch.no_grad()
    def places(self, inputs: Any) -> int:
        """How many places the decoder has to look at, of the longest row.

        Args:
            inputs: as of :class:`recurra.Batch`.
        """
        with evaluating(self):
            read, _, _ = self._read(Batch(inputs, None), None)
            return whole_rows(read.outputs).time

    @torch.no_grad()
    def score_rows(self, batch: Batch) -> Tensor:
        """Nats of the targets of each row ``[batch]``, float64, in evaluation mode."""
        with evaluating(self):
            batch = batch.to(next(self.parameters()).device)
            begun, _ = self._predictions(batch, None)
            nats: Tensor = self.decoder.surprise(begun, batch.targets).to_padded()
            return nats.double().sum(0).cpu()


def _decoder(config: EncoderDecoderConfig, memory: int, width: int, size: int) -> Layer:
    layers: list[Layer] = []
    for number in range(config.decoder_layers):
        into = layers[-1].output_size if layers else width
        looks = not number and config.attention != "none"
        fed = size if looks and config.feeding else 0
        cell = cell_by_name(config.cell, into + fed, size, **config.cell_settings)
        if looks:
            _check_widths(config, memory, cell.output_size)
            score: Score = config.attention  # type: ignore[assignment]  # "none" is none of them
            cell = AttentionCell(
                cell,
                memory,
                attention_size=config.attention_size,
                score=score,
                feeding=config.feeding,
                aware=config.aware,
                places=config.places if config.aware else None,
            )
        layers.append(Recurrent(cell))
    stack = Stack(
        layers, dropout=config.rate("between"), residual=config.residual, held=config.held
    )
    if config.dropout_recurrent:
        weight_drop(stack, config.dropout_recurrent)
    return stack


def _check_widths(config: EncoderDecoderConfig, memory: int, width: int) -> None:
    """An attention without weights of its own multiplies what is as wide.

    Raises:
        SettingError: it is not; the settings that would make it so are told.
    """
    if config.attention != "dot" or memory == width:
        return
    ways = []
    if width == (config.decoder_size or config.hidden_size):
        ways.append(f"--set model.decoder_size={memory}")
    if config.bidirectional and memory == 2 * width:
        ways.append("--set model.bidirectional=false")
    ways.append("--set model.attention=general")
    raise SettingError(
        "model.attention: 'dot' expected an encoder and a decoder that are as wide, got an encoder "
        f"of {memory} numbers{' (both directions)' if config.bidirectional else ''} and a decoder "
        f"of {width}; {' or '.join(ways)}"
    )
