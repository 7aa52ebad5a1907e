"""Long short-term memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, Noise, TorchForm, register
from recurra.cells.initializers import Initializer, initializer
from recurra.checks import check_flag, check_number
from recurra.states import Tree

__all__ = ["LSTMCell", "LSTMState"]


class LSTMState(NamedTuple):
    """What an LSTM carries.

    Args:
        h: hidden state ``[batch, hidden_size]``, which is also the output.
        c: cell state ``[batch, hidden_size]``.
    """

    h: Tensor
    c: Tensor


@register("lstm")
class LSTMCell(Cell):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    .. math::

        i, f, g, o &= W_x x_t + W_h h_{t-1} + b \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t), \qquad y_t = h_t

    The 1997 paper has no forget gate and squashes with scaled sigmoids; this is the form in common
    use. Where ``torch.nn.LSTM`` has two biases, this has one. The forget bias starts at 1
    (Jozefowicz et al. 2015), not at 0.

    Args:
        input_size: width i of x.
        hidden_size: width h of both parts of the state.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts; without a bias it must be left as is.
        input_init: how :math:`W_x` starts, a name of :func:`recurra.initializer`.
        recurrent_init: how :math:`W_h` starts.

    Parameters:
        ``input_weight`` [4h, i], ``recurrent_weight`` [4h, h], ``bias`` [4h], gates in the order
        i, f, g, o, as torch's.

    Raises:
        SettingError: an unknown initializer, a size below 1, or a forget bias that is no number.
    """

    input_size: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        forget_bias: float = 1.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        initializer(input_init)(self.input_weight, 4)
        initializer(recurrent_init)(self.recurrent_weight, 4)
        self.bias = None
        if check_flag("bias", bias):
            start = torch.zeros(4, hidden_size)
            start[1] = check_number("forget_bias", forget_bias)
            self.bias = nn.Parameter(start.flatten())

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        gates = nn.functional.linear(x, self.input_weight, self.bias) + nn.functional.linear(
            state.h, self.recurrent_weight
        )
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, LSTMState(h, c)

    def torch_form(self) -> TorchForm:
        """Torch's LSTM kernel computes this very step."""
        biases = None if self.bias is None else (self.bias, torch.zeros_like(self.bias))
        return TorchForm("lstm", self.input_weight, self.recurrent_weight, biases)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+h) + 4*h``."""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return "4*h*(i+h)" + (" + 4*h" if self.bias is not None else ""), sizes
