"""Gated recurrent units, in both conventions of where the reset gate acts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.cells.affine import GatedCell, candidate, gate
from recurra.cells.base import HiddenState, Noise, TorchForm, register
from recurra.cells.initializers import Initializer
from recurra.states import Tree

__all__ = ["GRUCell", "GRUResetBeforeCell"]


@register("gru")
class GRUCell(GatedCell):
    r"""Gated recurrent unit with the reset gate after the recurrent product.

    .. math::

        r &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        z &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n &= \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + b'_n)) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \qquad y_t = h_t

    This is the form of cuDNN, of ``torch.nn.GRU`` and of Keras (``reset_after=True``); Cho et al.
    (2014) reset before the product, which is :class:`GRUResetBeforeCell`. Chung et al. (2014) write
    z for what is 1 - z here. Where torch has two biases for each gate, this has one, and a second
    for n alone.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there are biases.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`; r and z are one
            group, n another, as in Ba et al.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``recurrent_weight`` [3h, h], ``bias`` [3h], gates in the order
        r, z, n, as torch's; ``recurrent_bias`` [h] is :math:`b'_n`; with ``norm`` also
        ``input_gain`` [3h] and ``recurrent_gain`` [3h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a rate out of range.
    """

    groups = (2, 1)

    def add_parameters(self, input_init: Initializer, recurrent_init: Initializer) -> None:
        """:math:`b'_n`."""
        zeros = torch.zeros(self.hidden_size)
        self.recurrent_bias = nn.Parameter(zeros) if self.bias is not None else None

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        read_r, read_z, read_n = self.input_product(x).chunk(3, 1)
        kept_r, kept_z, kept_n = self.recurrent_product(self.dropped(state.h, noise)).chunk(3, 1)
        if self.recurrent_bias is not None:
            kept_n = kept_n + self.recurrent_bias
        r, z = gate("reset gate", read_r + kept_r), gate("update gate", read_z + kept_z)
        n = candidate(read_n + r * kept_n)
        h = (1 - z) * n + z * state.h
        return h, HiddenState(h)

    def torch_form(self) -> TorchForm | None:
        """Torch's GRU kernel computes this very step, without ``norm``."""
        if self.norm:
            return None
        biases = None
        if self.bias is not None and self.recurrent_bias is not None:
            none = self.recurrent_bias.new_zeros(2 * self.hidden_size)
            biases = (self.bias, torch.cat([none, self.recurrent_bias]))
        return TorchForm("gru", self.input_weight, self.recurrent_weight, biases)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``3*h*(i+h) + 3*h + h``."""
        formula, sizes = super().parameter_formula()
        return formula + (" + h" if self.bias is not None else ""), sizes


@register("gru_reset_before")
class GRUResetBeforeCell(GatedCell):
    r"""Gated recurrent unit with the reset gate before the recurrent product (Cho et al. 2014).

    .. math::

        r &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        z &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n &= \tanh(W_n x_t + U_n (r \odot h_{t-1}) + b_n) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \qquad y_t = h_t

    The paper has no biases in its equations; Chung et al. (2014) write z for what is 1 - z here.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`; r and z are one
            group, n another.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``recurrent_weight`` [3h, h], ``bias`` [3h], gates in the order
        r, z, n; with ``norm`` also ``input_gain`` [3h] and ``recurrent_gain`` [3h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a rate out of range.
    """

    groups = (2, 1)

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        kept = self.dropped(state.h, noise)
        read_r, read_z, read_n = self.input_product(x).chunk(3, 1)
        kept_r, kept_z = self.recurrent_product(kept, group=0).chunk(2, 1)
        r, z = gate("reset gate", read_r + kept_r), gate("update gate", read_z + kept_z)
        n = candidate(read_n + self.recurrent_product(r * kept, group=1))
        h = (1 - z) * n + z * state.h
        return h, HiddenState(h)
