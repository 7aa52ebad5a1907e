"""The Elman network: the plain recurrent cell, and its identity-initialized relative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from recurra.cells.affine import GatedCell, Norm
from recurra.cells.base import HiddenState, Noise, TorchForm, register
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer
from recurra.errors import SettingError, nearest
from recurra.labels import named
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
class ElmanCell(GatedCell):
    r"""The Elman cell (Elman 1990), also called simple or vanilla recurrent cell.

    .. math::

        h_t = \phi(W x_t + U h_{t-1} + b), \qquad y_t = h_t

    Elman's paper uses the logistic sigmoid; tanh is the default here, as in torch and Keras. Where
    ``torch.nn.RNN`` has two biases, this has one. With ``norm`` each product is normalized by
    itself, as in the gated cells; Ba et al. normalize the sum of the two here.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        activation: a name (gelu, relu, sigmoid, silu, softsign, tanh), any function of a tensor,
            or None for a linear cell.
        bias: whether there is a b.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [h, i], ``recurrent_weight`` [h, h], ``bias`` [h]; with ``norm`` also
        ``input_gain`` [h] and ``recurrent_gain`` [h].

    Raises:
        SettingError: an unknown activation, norm or initializer, a size below 1, or a rate out of
            range.
    """

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation | None = "tanh",
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )
        self.activation = named_activation(activation)

    @staticmethod
    def irnn(
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
    ) -> ElmanCell:
        """The IRNN (Le, Jaitly & Hinton 2015): identity recurrent matrix, zero bias, ReLU.

        The paper draws the input weights from a normal of deviation 0.001; glorot is kept here.
        """
        return ElmanCell(
            input_size,
            hidden_size,
            activation="relu",
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init="identity",
        )

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equation of the class."""
        before = named(
            "pre-activation",
            self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise)),
        )
        h = before if self.activation is None else self.activation(before)
        return h, HiddenState(h)

    def torch_form(self) -> TorchForm | None:
        """Torch's kernel, for tanh and ReLU without ``norm``."""
        if self.norm:
            return None
        kind: Literal["rnn_tanh", "rnn_relu"]
        if self.activation is torch.tanh:
            kind = "rnn_tanh"
        elif self.activation is torch.relu:
            kind = "rnn_relu"
        else:
            return None
        return TorchForm(kind, *self._torch_weights())


def named_activation(given: str | Activation | None) -> Activation | None:
    """The function of a name; spellings of tanh and ReLU that torch has a kernel for become one."""
    if isinstance(given, str):
        if given not in _NAMED:
            raise SettingError(f"activation: no {given!r}; {nearest(given, _NAMED)}")
        return _NAMED[given]
    if given is not None and (not callable(given) or isinstance(given, type)):
        raise SettingError(f"activation: expected a name, a function or none, got {given!r}")
    if type(given) is nn.Tanh or given is nn.functional.tanh:
        return torch.tanh
    if type(given) is nn.ReLU or given is nn.functional.relu:
        return torch.relu
    return given


register("irnn")(ElmanCell.irnn)
