"""Layers from settings: what every model of a recipe has in common."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pydantic

from recurra.cells import cell_by_name, weight_drop
from recurra.cells.base import Cell
from recurra.errors import SettingError
from recurra.layers.attention import SelfAttention
from recurra.layers.base import Layer
from recurra.layers.bidirectional import Bidirectional
from recurra.layers.recurrent import Recurrent
from recurra.layers.stack import Stack
from recurra.layers.window import Window
from recurra.layers.window_attention import WindowAttention
from recurra.sections import Section, contradiction, default

__all__ = ["Body", "LayerSettings", "build_layers", "check_reads_on"]

Body = Literal["recurrent", "hybrid", "feed-forward", "window", "convolution", "transformer"]
"""What reads a sequence of vectors: a recurrence, or a rival of it."""

_HEADS = 4  # that attend beside each other


class LayerSettings(Section):
    """What a person chooses about the layers that read a sequence of vectors.

    Args:
        body: what they are: ``"recurrent"``; ``"hybrid"``, every second layer an attention to the
            last steps (:class:`recurra.WindowAttention`), the lowest recurrent; or, to see what
            memory buys, ``"feed-forward"`` (each step alone), ``"window"`` (some steps beside each
            other, see :class:`recurra.Window`),
            ``"convolution"`` (such windows above each other, each with twice the dilation of the
            one below) or ``"transformer"`` (:class:`recurra.SelfAttention` where it is
            ``bidirectional``, else :class:`recurra.WindowAttention`). These are as wide as
            recurrent layers would be, and see what comes too where ``bidirectional`` says so.
        kernel_size: steps that a window or a convolution sees.
        attention_window: steps that an attention which goes on from step to step looks at.
        cell: name of a registered cell.
        cell_settings: further arguments of that cell.
        layers: number of layers, each reading the one below.
        hidden_size: width of every layer, of each direction.
        bidirectional: whether every layer reads from both ends.
        dropout: rate at the input, between layers and at the output, where no rate of their own is
            given.
        dropout_input: rate at the input.
        dropout_between: rate between layers.
        dropout_output: rate at the output.
        dropout_recurrent: rate at which connections of the recurrent weights are left out, the same
            ones in all of a sequence or window (weight drop).
        held: whether dropout leaves out the same elements at every step of a sequence or window.
        residual: whether layers above the first add their input to their output.
    """

    LOOSE: ClassVar[frozenset[str]] = frozenset(
        {"dropout", "dropout_input", "dropout_between", "dropout_output", "dropout_word", "held"}
    )
    """Settings that say how such a model is trained, and not what it is."""

    body: Body = "recurrent"
    kernel_size: int = pydantic.Field(5, ge=1, le=10**4)
    attention_window: int = pydantic.Field(128, ge=1, le=10**5)
    cell: str = "lstm"
    cell_settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    layers: int = pydantic.Field(2, ge=1, le=1000)
    hidden_size: int = pydantic.Field(256, ge=1, le=10**6)
    bidirectional: bool = False
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    dropout_input: float | None = pydantic.Field(None, ge=0, lt=1)
    dropout_between: float | None = pydantic.Field(None, ge=0, lt=1)
    dropout_output: float | None = pydantic.Field(None, ge=0, lt=1)
    dropout_recurrent: float = pydantic.Field(0.0, ge=0, lt=1)
    held: bool = False
    residual: bool = False

    def rate(self, place: str) -> float:
        """Of dropout at a place: ``"input"``, ``"between"`` or ``"output"``."""
        own: float | None = getattr(self, f"dropout_{place}")
        return self.dropout if own is None else own

    @property
    def _unused_recurrent(self) -> bool:
        return not self.remembers and bool(self.dropout_recurrent)

    @property
    def remembers(self) -> bool:
        """Whether some layer is recurrent."""
        return self.body in ("recurrent", "hybrid")

    def idle(self) -> list[tuple[str, str]]:
        """Settings that somebody chose and that change nothing beside the others, each with why."""
        own = (self.dropout_input, self.dropout_between, self.dropout_output)
        rates = [self.rate("input"), self.rate("output")]
        if self.layers > 1:
            rates.append(self.rate("between"))
        one = "there is one layer"
        windows = self.body in ("window", "convolution")
        attends = self.body in ("hybrid", "transformer") and not self.bidirectional
        own_window = self.attention_window != default(self, "attention_window")
        own_size = self.kernel_size != default(self, "kernel_size")
        attending = self.body in ("hybrid", "transformer")
        whole = "it reads both ways, and so the whole" if attending else f"body is {self.body}"
        places = "at the input, between layers and at the output"
        found = (
            ("kernel_size", own_size and not windows, f"body is {self.body}"),
            ("attention_window", own_window and not attends, whole),
            ("body", self.body == "hybrid" and self.layers == 1, f"{one}, a recurrent one"),
            ("dropout_recurrent", self._unused_recurrent, "there is no recurrence"),
            ("residual", self.residual and self.layers == 1, one),
            ("dropout_between", bool(own[1]) and self.layers == 1, one),
            ("dropout", self.dropout and None not in own, "each place has a rate of its own"),
            ("held", self.held and not any(rates), f"nothing is dropped {places}"),
        )
        return [(name, why) for name, idle, why in found if idle]


def check_reads_on(settings: LayerSettings, predicted: str) -> None:
    """Refuse layers that cannot predict what comes next and carry on.

    Args:
        settings: of a model that does.
        predicted: what it predicts, in words.

    Raises:
        PydanticCustomError: such layers; it says which setting.
    """
    if settings.bidirectional:
        why = f"what reads from the end has seen the {predicted} it predicts"
        raise contradiction(settings, "bidirectional", why)


def build_layers(settings: LayerSettings, input_size: int, *, gapped: bool = False) -> Stack:
    """The layers of a model, from the one that reads the input upward.

    Args:
        settings: what they are.
        input_size: width of the vector that is read at each step.
        gapped: whether the lowest layer reads a :class:`recurra.cells.GappedInput`; those above it
            are of GRU cells then.

    Raises:
        SettingError: an unknown cell, a setting it does not take, sizes that do not join, or a cell
            that reads something else than it is given.
    """
    layers: list[Layer] = []
    for _ in range(settings.layers):  # a cell may give another width than it carries
        into = layers[-1].output_size if layers else input_size
        if not settings.remembers or (settings.body == "hybrid" and len(layers) % 2):
            layers.append(_rival(settings, len(layers), into))
        elif gapped:
            layers.append(Recurrent(_gapped_cell(settings, into, lowest=not layers)))
        elif settings.bidirectional:
            layers.append(Bidirectional(_cell(settings, into), _cell(settings, into)))
        else:
            layers.append(Recurrent(_cell(settings, into)))
    stack = Stack(
        layers,
        dropout=settings.rate("between"),
        residual=settings.residual,
        held=settings.held,
    )
    if settings.dropout_recurrent and settings.remembers:
        weight_drop(stack, settings.dropout_recurrent)
    return stack


def _rival(settings: LayerSettings, number: int, input_size: int) -> Layer:
    """A layer without memory, the lowest has the number 0."""
    width = settings.hidden_size * (2 if settings.bidirectional else 1)
    if settings.body in ("transformer", "hybrid"):
        heads = next(heads for heads in range(_HEADS, 0, -1) if not width % heads)
        rate = settings.rate("between")
        if settings.bidirectional:
            first = settings.body == "transformer" and number == 0
            return SelfAttention(input_size, width, heads, positions=first, dropout=rate)
        window = settings.attention_window
        return WindowAttention(input_size, width, heads, window=window, dropout=rate)
    convolves = settings.body == "convolution"
    sees = settings.kernel_size if convolves or (settings.body == "window" and not number) else 1
    return Window(
        input_size,
        width,
        sees,
        dilation=2**number if convolves else 1,
        centered=settings.bidirectional,
        residual=convolves,
    )


def _gapped_cell(settings: LayerSettings, input_size: int, *, lowest: bool) -> Cell:
    if lowest:
        own = settings.cell_settings
        return cell_by_name(settings.cell, input_size, settings.hidden_size, **own)
    return cell_by_name("gru", input_size, settings.hidden_size)


def _cell(settings: LayerSettings, input_size: int) -> Cell:
    cell = cell_by_name(settings.cell, input_size, settings.hidden_size, **settings.cell_settings)
    reads = cell.example_input(1)
    if isinstance(reads, tuple):
        raise SettingError(
            f"cell {settings.cell!r}: reads a {type(reads).__name__}, where one vector a step is "
            "given"
        )
    return cell
