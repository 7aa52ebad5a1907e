"""Multiplicative LSTM: every symbol has, in effect, a recurrent matrix of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.cells.affine import candidate, gate
from recurra.cells.base import Noise, register
from recurra.cells.initializers import Initializer
from recurra.cells.lstm import LSTMBase, LSTMState
from recurra.labels import named
from recurra.states import Tree

__all__ = ["MultiplicativeLSTMCell"]


@register("lstm_multiplicative")
class MultiplicativeLSTMCell(LSTMBase):
    r"""Multiplicative LSTM (Krause, Lu, Murray & Renals 2016).

    .. math::

        m &= (W_m x_t) \odot (U_m h_{t-1}) \\
        i, f, g, o &= W x_t + U m + b \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t), \qquad y_t = h_t

    The paper squashes :math:`c_t \odot \sigma(o)`, here the output gate stands outside the tanh, as
    in the LSTM and in the code that followed the paper.

    Args:
        input_size: width i of x.
        hidden_size: width h of both parts of the state, and of m.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts.
        norm: see :class:`recurra.AffineCell`; c is normalized inside its tanh too.
        recurrent_dropout: share of h dropped in front of :math:`U_m`.
        input_init: how the maps of x start, a name of :func:`recurra.initializer`.
        recurrent_init: how U and :math:`U_m` start.

    Parameters:
        as :class:`recurra.LSTMCell`, and ``input_factor`` [h, i], ``recurrent_factor`` [h, h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    recurrent_parameters = ("recurrent_weight", "recurrent_factor")

    def add_parameters(self, input_init: Initializer, recurrent_init: Initializer) -> None:
        """The maps of m."""
        super().add_parameters(input_init, recurrent_init)
        self.input_factor = nn.Parameter(torch.empty(self.hidden_size, self.input_size))
        self.recurrent_factor = nn.Parameter(torch.empty(self.hidden_size, self.hidden_size))
        input_init(self.input_factor, 1)
        recurrent_init(self.recurrent_factor, 1)

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        kept = nn.functional.linear(self.dropped(state.h, noise), self.recurrent_factor)
        m = named("intermediate", nn.functional.linear(x, self.input_factor) * kept)
        i, f, g, o = (self.input_product(x) + self.recurrent_product(m)).chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * candidate(g)
        h = gate("output gate", o) * self.squashed(c)
        return h, LSTMState(h, c)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+h) + 4*h + h*(i+h)``."""
        formula, sizes = super().parameter_formula()
        return f"{formula} + h*(i+h)", sizes
