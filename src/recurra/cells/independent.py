"""Independent units: each sees its own past alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, HiddenState, Noise, register
from recurra.cells.construction import checks_call
from recurra.cells.elman import Activation, named_activation
from recurra.cells.initializers import Initializer, initializer
from recurra.labels import named
from recurra.settings import check_flag, check_size
from recurra.states import Tree

__all__ = ["IndRNNCell"]


@register("indrnn")
class IndRNNCell(Cell):
    r"""Independently recurrent units (IndRNN; Li, Li, Cook, Zhu & Gao 2018).

    .. math::

        h_t = \phi(W x_t + u \odot h_{t-1} + b), \qquad y_t = h_t

    Units meet in the layer above, so a stack of at least two is the usual network. u starts uniform
    between 0 and 1. For memories over T steps the paper bounds :math:`|u| \le 2^{1/T}`, at the
    start and while training; the latter is the user's to do
    (``cell.recurrent_weight.data.clamp_``).

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        activation: :math:`\phi`, ReLU as in the paper unless given; as in
            :class:`recurra.ElmanCell`.
        bias: whether there is a b.
        input_init: how W starts, a name of :func:`recurra.initializer`.

    Parameters:
        ``input_weight`` [h, i], ``recurrent_weight`` [h], ``bias`` [h].

    Raises:
        SettingError: an unknown activation or initializer, or a size below 1.
    """

    recurrent_parameters = ("recurrent_weight",)
    input_size: int

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation | None = "relu",
        bias: bool = True,
        input_init: str | Initializer = "glorot",
    ) -> None:
        super().__init__(check_size("input_size", input_size), hidden_size)
        self.activation = named_activation(activation)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.rand(hidden_size))
        initializer(input_init)(self.input_weight, 1)
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if check_flag("bias", bias) else None

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equation of the class."""
        read = nn.functional.linear(x, self.input_weight, self.bias)
        before = named("pre-activation", read + self.recurrent_weight * state.h)
        h = before if self.activation is None else self.activation(before)
        return h, HiddenState(h)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``h*i + h + h``."""
        more = " + h" if self.bias is not None else ""
        return f"h*i + h{more}", {"i": self.input_size, "h": self.hidden_size}
