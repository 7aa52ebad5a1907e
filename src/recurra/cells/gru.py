"""Gated recurrent units, in both conventions of where the reset gate acts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, HiddenState, Noise, TorchForm, register
from recurra.cells.initializers import Initializer, initializer
from recurra.checks import check_flag
from recurra.states import Tree

__all__ = ["GRUCell", "GRUResetBeforeCell"]

linear = nn.functional.linear


class _GatedUnit(Cell):
    """What both conventions share: the weights and the state."""

    input_size: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = None
        if check_flag("bias", bias):
            self.bias = nn.Parameter(torch.zeros(3 * hidden_size))
        initializer(input_init)(self.input_weight, 3)
        initializer(recurrent_init)(self.recurrent_weight, 3)

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.zeros(batch))


@register("gru")
class GRUCell(_GatedUnit):
    r"""Gated recurrent unit with the reset gate after the recurrent product.

    .. math::

        r &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        z &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n &= \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + b'_n)) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \qquad y_t = h_t

    This is the form of cuDNN, of ``torch.nn.GRU`` and of Keras (``reset_after=True``); Cho et al.
    (2014) reset before the product, which is :class:`GRUResetBeforeCell`, and write z for what is
    1 - z here. Where torch has two biases for each gate, this has one, and a second for n alone.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there are biases.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``recurrent_weight`` [3h, h], ``bias`` [3h], gates in the order
        r, z, n, as torch's; ``recurrent_bias`` [h] is :math:`b'_n`.

    Raises:
        SettingError: an unknown initializer, or a size below 1.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )
        self.recurrent_bias = nn.Parameter(torch.zeros(hidden_size)) if bias else None

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        read_r, read_z, read_n = linear(x, self.input_weight, self.bias).chunk(3, dim=1)
        kept_r, kept_z, kept_n = linear(state.h, self.recurrent_weight).chunk(3, dim=1)
        if self.recurrent_bias is not None:
            kept_n = kept_n + self.recurrent_bias
        r, z = torch.sigmoid(read_r + kept_r), torch.sigmoid(read_z + kept_z)
        n = torch.tanh(read_n + r * kept_n)
        h = (1 - z) * n + z * state.h
        return h, HiddenState(h)

    def torch_form(self) -> TorchForm:
        """Torch's GRU kernel computes this very step."""
        biases = None
        if self.bias is not None and self.recurrent_bias is not None:
            none = self.recurrent_bias.new_zeros(2 * self.hidden_size)
            biases = (self.bias, torch.cat([none, self.recurrent_bias]))
        return TorchForm("gru", self.input_weight, self.recurrent_weight, biases)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``3*h*(i+h) + 4*h``."""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return "3*h*(i+h)" + (" + 4*h" if self.bias is not None else ""), sizes


@register("gru_reset_before")
class GRUResetBeforeCell(_GatedUnit):
    r"""Gated recurrent unit with the reset gate before the recurrent product (Cho et al. 2014).

    .. math::

        r &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        z &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n &= \tanh(W_n x_t + U_n (r \odot h_{t-1}) + b_n) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \qquad y_t = h_t

    The paper writes z for what is 1 - z here, and has no biases in its equations.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``recurrent_weight`` [3h, h], ``bias`` [3h], gates in the order
        r, z, n.

    Raises:
        SettingError: an unknown initializer, or a size below 1.
    """

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        h, size = state.h, self.hidden_size
        read_gates, read_n = linear(x, self.input_weight, self.bias).tensor_split([2 * size], dim=1)
        keep_gates, keep_n = self.recurrent_weight.tensor_split([2 * size])
        r, z = torch.sigmoid(read_gates + linear(h, keep_gates)).chunk(2, dim=1)
        n = torch.tanh(read_n + linear(r * h, keep_n))
        h = (1 - z) * n + z * h
        return h, HiddenState(h)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``3*h*(i+h) + 3*h``."""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return "3*h*(i+h)" + (" + 3*h" if self.bias is not None else ""), sizes
