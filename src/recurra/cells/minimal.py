"""Minimal cells: the minimal gated unit, and minGRU and minLSTM, whose gates see x alone."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor, nn

from recurra.cells.affine import GatedCell, candidate, gate
from recurra.cells.base import Cell, HiddenState, Noise, register
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer, initializer
from recurra.labels import named
from recurra.settings import check_flag, check_size
from recurra.states import Tree

__all__ = ["MGUCell", "MinGRUCell", "MinLSTMCell"]


@register("mgu")
class MGUCell(GatedCell):
    r"""Minimal gated unit (Zhou, Wu, Zhang & Zhou 2016): one gate forgets and resets.

    .. math::

        f &= \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        n &= \tanh(W_n x_t + U_n (f \odot h_{t-1}) + b_n) \\
        h_t &= (1 - f) \odot h_{t-1} + f \odot n, \qquad y_t = h_t

    As in the paper, h stays where f is 0.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`; f and n are groups of
            their own.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [2h, i], ``recurrent_weight`` [2h, h], ``bias`` [2h], blocks in the order
        f, n; with ``norm`` also ``input_gain`` [2h] and ``recurrent_gain`` [2h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a rate out of range.
    """

    groups = (1, 1)

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        kept = self.dropped(state.h, noise)
        read_f, read_n = self.input_product(x).chunk(2, 1)
        f = gate("forget gate", read_f + self.recurrent_product(kept, group=0))
        n = candidate(read_n + self.recurrent_product(f * kept, group=1))
        h = (1 - f) * state.h + f * n
        return h, HiddenState(h)


class _InputGated(Cell, abc.ABC):
    """Blocks of W x + b and nothing recurrent but the carry."""

    blocks: ClassVar[int]
    input_size: int

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        input_init: str | Initializer = "glorot",
    ) -> None:
        super().__init__(check_size("input_size", input_size), hidden_size)
        rows = self.blocks * hidden_size
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        initializer(input_init)(self.input_weight, self.blocks)
        self.bias = nn.Parameter(torch.zeros(rows)) if check_flag("bias", bias) else None

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.zeros(batch))

    def _blocks(self, x: Tensor) -> tuple[Tensor, ...]:
        """The blocks of W x + b."""
        return nn.functional.linear(x, self.input_weight, self.bias).chunk(self.blocks, 1)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``k*h*i + k*h`` with k blocks."""
        more = f" + {self.blocks}*h" if self.bias is not None else ""
        return f"{self.blocks}*h*i{more}", {"i": self.input_size, "h": self.hidden_size}


@register("mingru")
class MinGRUCell(_InputGated):
    r"""minGRU (Feng et al. 2024): a GRU whose gate and candidate see x alone.

    .. math::

        z &= \sigma(W_z x_t + b_z) \\
        n &= W_n x_t + b_n \\
        h_t &= (1 - z) \odot h_{t-1} + z \odot n, \qquad y_t = h_t

    As in the paper, z is the share of the new. Its appendix squashes n with a function that stays
    positive, so that a scan can run in logarithms; the plain form is kept here.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        input_init: how W starts, a name of :func:`recurra.initializer`.

    Parameters:
        ``input_weight`` [2h, i], ``bias`` [2h], blocks in the order z, n.

    Raises:
        SettingError: an unknown initializer, or a size below 1.
    """

    blocks = 2

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        z, n = self._blocks(x)
        z = gate("update gate", z)
        h = (1 - z) * state.h + z * named("candidate", n)
        return h, HiddenState(h)


@register("minlstm")
class MinLSTMCell(_InputGated):
    r"""minLSTM (Feng et al. 2024): gates and candidate see x alone, and the gates sum to 1.

    .. math::

        f &= \sigma(W_f x_t + b_f), \qquad i = \sigma(W_i x_t + b_i), \qquad n = W_n x_t + b_n \\
        h_t &= \frac{f}{f + i} \odot h_{t-1} + \frac{i}{f + i} \odot n, \qquad y_t = h_t

    The shares are computed as :math:`\sigma(\log f - \log i)`, which stays finite where both gates
    are 0 to rounding; the gates that are named are these shares. The paper's candidate for a scan
    in logarithms is not used, as in :class:`MinGRUCell`.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        input_init: how W starts, a name of :func:`recurra.initializer`.

    Parameters:
        ``input_weight`` [3h, i], ``bias`` [3h], blocks in the order f, i, n.

    Raises:
        SettingError: an unknown initializer, or a size below 1.
    """

    blocks = 3

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equations of the class."""
        f, i, n = self._blocks(x)
        f, i = named("forget gate pre-activation", f), named("input gate pre-activation", i)
        # log sigmoid(a) = -softplus(-a)
        share = torch.sigmoid(nn.functional.softplus(-i) - nn.functional.softplus(-f))
        share = named("forget gate", share)
        h = share * state.h + named("input gate", 1 - share) * named("candidate", n)
        return h, HiddenState(h)
