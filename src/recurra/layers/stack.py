"""Layers above each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from torch import Tensor, nn

from recurra.errors import SettingError, ShapeError
from recurra.layers.base import Layer, LayerOutput
from recurra.layers.dropin_base import RNNBase
from recurra.layers.dropout import dropout
from recurra.lengths import Marks
from recurra.settings import check_flag, check_rate
from recurra.states import Tree

__all__ = ["Stack"]

# By torch's name of a kind, the cell that does the same in a Recurrent.
_CELLS = {
    "GRU": "GRUCell",
    "LSTM": "LSTMCell",
    "RNN_RELU": "ElmanCell",
    "RNN_TANH": "ElmanCell",
}


class Stack(Layer):
    r"""A deep recurrent network: each layer reads the outputs of the one below.

    .. math::

        x^{(k+1)}_t = D(y^{(k)}_t) \quad\text{or, with residual,}\quad
        x^{(k+1)}_t = D(y^{(k)}_t + x^{(k)}_t)

    D is dropout, in training only and between layers only. Residuals stand around every layer but
    the first, whose input has a width of its own.

    Args:
        layers: from the one that reads the input upward.
        dropout: rate of D, at least 0 and below 1.
        residual: whether layers above the first add their input to their output.
        held: whether D leaves out the same elements at every step of a row.

    Raises:
        SettingError: no layers, sizes that do not join, something that is no Layer, or a rate out
            of range.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        dropout: float = 0.0,
        residual: bool = False,
        held: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(layers, Iterable):
            raise SettingError(f"Stack: expected a list of layers, got {type(layers).__name__}")
        stacked = list(layers)
        _check(stacked, dropout, residual)
        self.layers = nn.ModuleList(stacked)
        self.dropout = dropout
        self.residual = check_flag("residual", residual)
        self.held = check_flag("held", held)
        self.input_size, self.output_size = stacked[0].input_size, stacked[-1].output_size

    def _each(self) -> list[Layer]:
        return [cast(Layer, layer) for layer in self.layers]

    @property
    def causal(self) -> bool:
        """True if every layer is."""
        return all(layer.causal for layer in self._each())

    def initial_state(self, batch: int) -> Tree:
        """A tuple, one state for each layer."""
        return tuple(layer.initial_state(batch) for layer in self._each())

    def check_start(self, state: Tree) -> None:
        """Take a tuple, what each layer can begin from; None is a layer's own initial state.

        Raises:
            ShapeError: something else.
        """
        layers = self._each()
        if not isinstance(state, tuple) or len(state) != len(layers):
            raise ShapeError(
                f"state of Stack: expected a tuple of {len(layers)} states, one a layer, got "
                f"{type(state).__name__}. Pass the state that an earlier call returned."
            )
        for layer, part in zip(layers, state, strict=True):
            if part is not None:
                layer.check_start(part)

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """Layer by layer."""
        layers = self._each()
        carried = (None,) * len(layers) if state is None else state
        ends, last = [], None
        for number, (layer, start) in enumerate(zip(layers, carried, strict=True)):
            if number:
                inputs = dropout(inputs, self.dropout, self.training, held=self.held)
            outputs, last, end = layer.through_time(inputs, marks, start, context)
            if number and self.residual:
                outputs = outputs + inputs
                last = last + layer.read_last(inputs, marks and marks.lengths)
            inputs = outputs
            ends.append(end)
        return LayerOutput(inputs, cast(Tensor, last), tuple(ends))

    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Where the top layer reads it."""
        return self._each()[-1].read_last(outputs, lengths)

    def extra_repr(self) -> str:
        """What stands between the layers."""
        held = ", held=True" if self.held else ""
        return f"dropout={self.dropout}, residual={self.residual}{held}"


def _check(layers: list[Any], dropout: float, residual: bool) -> None:
    if not layers:
        raise SettingError("Stack: expected at least one layer, got none")
    check_rate("Stack, dropout", dropout)
    for number, layer in enumerate(layers):
        if isinstance(layer, RNNBase | nn.RNNBase):
            name = type(layer).__name__
            raise SettingError(
                f"Stack: layer {number}, {name}, has torch.nn's shape and returns (output, h_n). "
                f"Use Recurrent({_CELLS.get(layer.mode)}(...)), or in place of the stack "
                f"{name}(..., num_layers={len(layers)})."
            )
        if not isinstance(layer, Layer):
            raise SettingError(
                f"Stack: layer {number} is a {type(layer).__name__}; expected a recurra layer, "
                "such as Recurrent(cell)"
            )
        if number and layer.input_size not in (None, layers[number - 1].output_size):
            raise SettingError(
                f"Stack: layer {number} reads {layer.input_size} numbers, but layer {number - 1} "
                f"gives {layers[number - 1].output_size}"
            )
        if number and residual and layer.input_size != layer.output_size:
            raise SettingError(
                f"Stack: residual needs layer {number} to give as much as it reads, got "
                f"{layer.input_size} -> {layer.output_size}"
            )
