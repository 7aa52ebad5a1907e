"""The LSTM with exponential gates and a normalizer."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from recurra.cells.affine import ForgettingCell, candidate, gate
from recurra.cells.base import Noise, register
from recurra.labels import named
from recurra.states import Tree

__all__ = ["SLSTMCell", "SLSTMState"]


class SLSTMState(NamedTuple):
    """What an :class:`SLSTMCell` carries, each ``[batch, hidden_size]``.

    Args:
        h: its output.
        c: the cell state, divided by :math:`e^m`.
        n: the normalizer, divided by :math:`e^m`.
        m: the stabilizer, the logarithm of what c and n are divided by.
    """

    h: Tensor
    c: Tensor
    n: Tensor
    m: Tensor


@register("slstm")
class SLSTMCell(ForgettingCell):
    r"""sLSTM: an exponential input gate, a normalizer to keep it in bounds (Beck et al. 2024).

    .. math::

        i, f, z, o &= W x_t + U h_{t-1} + b \\
        c_t &= \sigma(f) \odot c_{t-1} + e^i \odot \tanh(z) \\
        n_t &= \sigma(f) \odot n_{t-1} + e^i \\
        h_t &= \sigma(o) \odot c_t / n_t, \qquad y_t = h_t

    c and n are kept divided by :math:`e^{m}`, with
    :math:`m_t = \max(\log \sigma(f) + m_{t-1}, i)`, so that no exponential overflows; h stays what
    it is, since m cancels.

    The paper lets f be exponential or a sigmoid, and mixes heads by a block-diagonal U; here f is a
    sigmoid and U is whole. Its normalization, convolution and projections around the cell are left
    out.

    Args:
        input_size: width i of x.
        hidden_size: width h of every part of the state.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts; without a bias it has no effect.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [4h, i], ``recurrent_weight`` [4h, h], ``bias`` [4h], blocks in the order
        i, f, z, o; with ``norm`` also ``input_gain`` [4h] and ``recurrent_gain`` [4h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    groups = (4,)
    bookkeeping: ClassVar[tuple[str, ...]] = ("c", "n", "m")

    def initial_state(self, batch: int) -> SLSTMState:
        """Zeros: nothing was written, and nothing counted."""
        return SLSTMState(*(self.zeros(batch) for _ in range(4)))

    def step(
        self, x: Tensor, state: SLSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, SLSTMState]:
        """The equations of the class, with c and n divided by the exponential of m."""
        before = self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise))
        i, f, z, o = before.chunk(4, 1)
        kept = logsigmoid(named("forget gate pre-activation", f)) + state.m
        m = torch.maximum(kept, i)
        write = torch.exp(named("input gate pre-activation", i) - m)
        forget = torch.exp(kept - m)
        c = forget * state.c + write * candidate(z)
        n = forget * state.n + write
        h = gate("output gate", o) * c / named("normalizer", n)
        return h, SLSTMState(h, c, n, m)
