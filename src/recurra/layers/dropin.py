"""``recurra.RNN``, ``recurra.LSTM`` and ``recurra.GRU``: torch.nn's layers on Recurra's engine.

They take torch.nn's arguments, have its parameters under its names and return what it returns, so
an import is all that changes. They add ``lengths=`` beside a tensor, rows in any order and empty
ones too, ``resets=``, the state after every step, and a choice of backends.

==============================================  ==========================================
what goes in                                    what comes out
==============================================  ==========================================
``[time, batch, i]``, perhaps ``lengths=``      ``[time, batch, directions * r]``
``[batch, time, i]``, with ``batch_first=True``  ``[batch, time, directions * r]``
``[time, i]``, one row                          ``[time, directions * r]``
torch's PackedSequence                          a PackedSequence of the same rows
a :class:`recurra.PaddedSequence`               a PaddedSequence
a list of rows ``[time, i]``                    a PaddedSequence
==============================================  ==========================================

i is ``input_size``; r is ``hidden_size``, or ``proj_size`` where that is not 0. No steps or no
rows give an empty output and hx back, where torch.nn raises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import AffineCell, ElmanCell, GRUCell, LSTMCell, LSTMState, ProjectedLSTMCell
from recurra.cells.construction import checks_call
from recurra.engine import BackendName
from recurra.errors import SettingError, nearest
from recurra.layers.dropin_base import RNNBase

__all__ = ["GRU", "LSTM", "RNN"]


class RNN(RNNBase):
    r"""The Elman network (Elman 1990) in the shape of ``torch.nn.RNN``.

    .. math::

        h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    Layers above the first read the outputs of the one below. The cell is
    :class:`recurra.ElmanCell`.

    Args:
        input_size: width i of an input.
        hidden_size: width h of the state and of an output.
        num_layers: how many layers stand above each other.
        nonlinearity: the function :math:`\phi`, ``"tanh"`` or ``"relu"``.
        bias: whether there are :math:`b_{ih}` and :math:`b_{hh}`.
        batch_first: whether tensors are ``[batch, time, ...]``.
        dropout: rate of dropout between layers, 0 to 1, in training only.
        bidirectional: whether each layer also reads every row from its end.
        proj_size: 0: only an LSTM has a projection.
        device: where the parameters live.
        dtype: their type.
        backend: forces a backend of :func:`recurra.engine.run`; None chooses.

    Parameters:
        ``weight_ih_l0`` [h, i], ``weight_hh_l0`` [h, h], ``bias_ih_l0`` [h], ``bias_hh_l0`` [h];
        ``..._reverse`` of the other direction; ``..._l1`` of the next layer, which reads
        ``directions * h``.

    Raises:
        SettingError: a setting that torch.nn would refuse.
        BackendError: an unknown backend.

    Example:
        >>> layer = recurra.RNN(8, 16, num_layers=2)
        >>> output, h_n = layer(torch.randn(5, 3, 8), lengths=[5, 0, 2])
        >>> output.shape, h_n.shape
        (torch.Size([5, 3, 16]), torch.Size([2, 3, 16]))
    """

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: BackendName | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            backend=backend,
        )

    @property
    def mode(self) -> str:
        """Torch's name of the nonlinearity: ``"RNN_TANH"`` or ``"RNN_RELU"``."""
        return f"RNN_{self.nonlinearity.upper()}"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "mode":
            name, value = "nonlinearity", str(value).removeprefix("RNN_").lower()
        if name == "nonlinearity" and value not in ("tanh", "relu"):
            raise SettingError(f"nonlinearity: no {value!r}; {nearest(value, ['relu', 'tanh'])}")
        super().__setattr__(name, value)
        if name == "nonlinearity" and "_cells" in self.__dict__:
            self._cells = self._make_cells()

    def _make_cell(self, input_size: int) -> AffineCell:
        return ElmanCell(input_size, self.hidden_size, activation=self.nonlinearity, bias=self.bias)


class LSTM(RNNBase):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997) in the shape of ``torch.nn.LSTM``.

    .. math::

        i, f, g, o &= W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh} \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t)

    With ``proj_size`` h is narrower (Sak, Senior & Beaufays 2014):
    :math:`h_t = W_{hr} (\sigma(o) \odot \tanh(c_t))`. Layers above the first read the outputs of
    the one below. The cells are :class:`recurra.LSTMCell` and :class:`recurra.ProjectedLSTMCell`,
    but weights start as torch.nn's do, the forget gate's bias too.

    Args:
        input_size: width i of an input.
        hidden_size: width h of c and of the gates.
        num_layers: how many layers stand above each other.
        bias: whether there are :math:`b_{ih}` and :math:`b_{hh}`.
        batch_first: whether tensors are ``[batch, time, ...]``.
        dropout: rate of dropout between layers, 0 to 1, in training only.
        bidirectional: whether each layer also reads every row from its end.
        proj_size: width r of h and of an output, below ``hidden_size``; 0 for no projection, and r
            is ``hidden_size``.
        device: where the parameters live.
        dtype: their type.
        backend: forces a backend of :func:`recurra.engine.run`; None chooses.

    Parameters:
        ``weight_ih_l0`` [4h, i], ``weight_hh_l0`` [4h, r], ``bias_ih_l0`` [4h], ``bias_hh_l0``
        [4h], with ``proj_size`` ``weight_hr_l0`` [r, h]; gates in the order i, f, g, o;
        ``..._reverse`` of the other direction; ``..._l1`` of the next layer, which reads
        ``directions * r``.

    Raises:
        SettingError: a setting that torch.nn would refuse.
        BackendError: an unknown backend.

    Example:
        >>> layer = recurra.LSTM(8, 16, bidirectional=True)
        >>> output, (h_n, c_n) = layer(torch.randn(5, 3, 8), lengths=[5, 0, 2])
        >>> output.shape, h_n.shape
        (torch.Size([5, 3, 32]), torch.Size([2, 3, 16]))
    """

    mode = "LSTM"
    _state = LSTMState

    def _make_cell(self, input_size: int) -> AffineCell:
        if not self.proj_size:
            return LSTMCell(input_size, self.hidden_size, bias=self.bias)
        return ProjectedLSTMCell(
            input_size, self.hidden_size, projection_size=self.proj_size, bias=self.bias
        )


class GRU(RNNBase):
    r"""Gated recurrent unit (Cho et al. 2014) in the shape of ``torch.nn.GRU``.

    .. math::

        r &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n &= \tanh(W_{in} x_t + b_{in} + r \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}

    The reset gate acts after the recurrent product, as in torch.nn and cuDNN; the paper resets
    before it. Layers above the first read the outputs of the one below. The cell is
    :class:`recurra.GRUCell`.

    Args:
        input_size: width i of an input.
        hidden_size: width h of the state and of an output.
        num_layers: how many layers stand above each other.
        bias: whether there are the biases :math:`b`.
        batch_first: whether tensors are ``[batch, time, ...]``.
        dropout: rate of dropout between layers, 0 to 1, in training only.
        bidirectional: whether each layer also reads every row from its end.
        proj_size: 0: only an LSTM has a projection.
        device: where the parameters live.
        dtype: their type.
        backend: forces a backend of :func:`recurra.engine.run`; None chooses.

    Parameters:
        ``weight_ih_l0`` [3h, i], ``weight_hh_l0`` [3h, h], ``bias_ih_l0`` [3h], ``bias_hh_l0``
        [3h]; gates in the order r, z, n; ``..._reverse`` of the other direction; ``..._l1`` of the
        next layer, which reads ``directions * h``.

    Raises:
        SettingError: a setting that torch.nn would refuse.
        BackendError: an unknown backend.

    Example:
        >>> layer = recurra.GRU(8, 16, batch_first=True)
        >>> output, h_n = layer(torch.randn(3, 5, 8), lengths=[5, 0, 2])
        >>> output.shape, h_n.shape
        (torch.Size([3, 5, 16]), torch.Size([1, 3, 16]))
    """

    mode = "GRU"

    def _make_cell(self, input_size: int) -> AffineCell:
        return GRUCell(input_size, self.hidden_size, bias=self.bias)

    def _cell_biases(self, read: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """Of the two biases of r and z only the sum matters; that of n is inside the reset."""
        gates = 2 * self.hidden_size
        of_gates = nn.functional.pad(kept[:gates], (0, self.hidden_size))
        return {"bias": read + of_gates, "recurrent_bias": kept[gates:]}
