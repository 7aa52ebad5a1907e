"""The Elman network: the plain recurrent cell, and its identity-initialized relative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, HiddenState, Noise, TorchForm, register
from recurra.cells.initializers import Initializer, initializer
from recurra.checks import check_flag
from recurra.errors import SettingError, nearest
from recurra.states import Tree

__all__ = ["ElmanCell"]

Activation = Callable[[Tensor], Tensor]

_NAMED: dict[str, Activation] = {
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": nn.functional.silu,
    "softsign": nn.functional.softsign,
    "tanh": torch.tanh,
}


@register("elman")
class ElmanCell(Cell):
    r"""The Elman cell (Elman 1990), also called simple or vanilla recurrent cell.

    .. math::

        h_t = \phi(W_x x_t + W_h h_{t-1} + b), \qquad y_t = h_t

    Elman's paper uses the logistic sigmoid; tanh is the default here, as in torch and Keras. Where
    ``torch.nn.RNN`` has two biases, this has one.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        activation: a name (gelu, relu, sigmoid, silu, softsign, tanh), any function of a tensor,
            or None for a linear cell.
        bias: whether there is a b.
        input_init: how :math:`W_x` starts, a name of :func:`recurra.initializer`.
        recurrent_init: how :math:`W_h` starts.

    Parameters:
        ``input_weight`` [h, i], ``recurrent_weight`` [h, h], ``bias`` [h].

    Raises:
        SettingError: an unknown activation or initializer, or a size below 1.
    """

    input_size: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation | None = "tanh",
        bias: bool = True,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = _activation(activation)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if check_flag("bias", bias) else None
        initializer(input_init)(self.input_weight, 1)
        initializer(recurrent_init)(self.recurrent_weight, 1)

    @staticmethod
    def irnn(input_size: int, hidden_size: int) -> ElmanCell:
        """The IRNN (Le, Jaitly & Hinton 2015): identity recurrent matrix, zero bias, ReLU.

        The paper draws the input weights from a normal of deviation 0.001; glorot is kept here.
        """
        return ElmanCell(input_size, hidden_size, activation="relu", recurrent_init="identity")

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equation of the class."""
        before = nn.functional.linear(x, self.input_weight, self.bias) + nn.functional.linear(
            state.h, self.recurrent_weight
        )
        h = before if self.activation is None else self.activation(before)
        return h, HiddenState(h)

    def torch_form(self) -> TorchForm | None:
        """Torch's kernel, for tanh and ReLU."""
        kind: Literal["rnn_tanh", "rnn_relu"]
        if self.activation is torch.tanh:
            kind = "rnn_tanh"
        elif self.activation is torch.relu:
            kind = "rnn_relu"
        else:
            return None
        biases = None if self.bias is None else (self.bias, torch.zeros_like(self.bias))
        return TorchForm(kind, self.input_weight, self.recurrent_weight, biases)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``h*(i+h) + h``."""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return "h*(i+h)" + (" + h" if self.bias is not None else ""), sizes


def _activation(given: str | Activation | None) -> Activation | None:
    """The function of a name; spellings of tanh and ReLU that torch has a kernel for become one."""
    if isinstance(given, str):
        if given not in _NAMED:
            raise SettingError(f"activation: no {given!r}; {nearest(given, _NAMED)}")
        return _NAMED[given]
    if given is not None and not callable(given):
        raise SettingError(f"activation: expected a name, a function or none, got {given!r}")
    if type(given) is nn.Tanh or given is nn.functional.tanh:
        return torch.tanh
    if type(given) is nn.ReLU or given is nn.functional.relu:
        return torch.relu
    return given


register("irnn")(ElmanCell.irnn)
