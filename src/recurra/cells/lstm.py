"""Long short-term memory, and its relatives with projection, peepholes and coupled gates."""

from __future__ import annotations

import abc
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.affine import ForgettingCell, Norm, candidate, gate, normalize
from recurra.cells.base import Noise, TorchForm, register
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer, initializer
from recurra.labels import named
from recurra.settings import check_size
from recurra.states import Tree

__all__ = [
    "CoupledLSTMCell",
    "LSTMBase",
    "LSTMCell",
    "LSTMState",
    "PeepholeLSTMCell",
    "ProjectedLSTMCell",
]


class LSTMState(NamedTuple):
    """What an LSTM carries.

    Args:
        h: hidden state ``[batch, hidden_size]``, which is also the output; ``[batch,
            projection_size]`` in a cell with projection.
        c: cell state ``[batch, hidden_size]``.
    """

    h: Tensor
    c: Tensor


class LSTMBase(ForgettingCell, abc.ABC):
    """Base of the kinds of LSTM: their settings, and a cell state normalized where it is read.

    A subclass writes its equation; where its forget gate is not the second block it says so in
    ``forget_block``.

    Args:
        input_size: width i of x.
        hidden_size: width h of c and of the gates.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts.
        norm: see :class:`recurra.AffineCell`.
        recurrent_dropout: see :class:`recurra.AffineCell`.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.
    """

    groups = (4,)

    def add_parameters(self, input_init: Initializer, recurrent_init: Initializer) -> None:
        """With ``norm``, gain and shift of c."""
        size = self.hidden_size
        self.cell_gain = nn.Parameter(torch.ones(size)) if self.norm else None
        self.cell_shift = nn.Parameter(torch.zeros(size)) if self.norm else None

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch, self.recurrent_size), self.zeros(batch))

    def squashed(self, c: Tensor) -> Tensor:
        r""":math:`\tanh c`, of the normalized c where the cell has a norm."""
        if self.cell_gain is not None:
            c = normalize(c, self.cell_gain, self.norm, self.cell_shift)
        return torch.tanh(c)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+h) + 4*h``; with ``norm`` also ``8*h + 2*h``."""
        formula, sizes = super().parameter_formula()
        return formula + (" + 2*h" if self.norm else ""), sizes


@register("lstm")
class LSTMCell(LSTMBase):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    .. math::

        i, f, g, o &= W x_t + U h_{t-1} + b \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t), \qquad y_t = h_t

    The 1997 paper has no forget gate and squashes with scaled sigmoids; this is the form in common
    use. Where ``torch.nn.LSTM`` has two biases, this has one. The forget bias starts at 1
    (Jozefowicz et al. 2015), not at 0. With ``norm``, c is normalized inside its tanh too, as Ba
    et al. do.

    Args:
        input_size: width i of x.
        hidden_size: width h of both parts of the state.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts; without a bias it has no effect.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [4h, i], ``recurrent_weight`` [4h, h], ``bias`` [4h], gates in the order
        i, f, g, o, as torch's; with ``norm`` also ``input_gain`` [4h], ``recurrent_gain`` [4h],
        ``cell_gain`` [h], ``cell_shift`` [h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        gates = self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise))
        i, f, g, o = gates.chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * candidate(g)
        h = gate("output gate", o) * self.squashed(c)
        return h, LSTMState(h, c)

    def torch_form(self) -> TorchForm | None:
        """Torch's LSTM kernel computes this very step, without ``norm``."""
        return None if self.norm else TorchForm("lstm", *self._torch_weights())


@register("lstm_projected")
class ProjectedLSTMCell(LSTMBase):
    r"""LSTM that carries and gives a narrower projection of h (Sak, Senior & Beaufays 2014).

    .. math::

        i, f, g, o &= W x_t + U h_{t-1} + b \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= P (\sigma(o) \odot \tanh(c_t)), \qquad y_t = h_t

    The paper adds peepholes, and a second projection that is not fed back; both are left out, as in
    ``torch.nn.LSTM(proj_size=...)``.

    Args:
        input_size: width i of x.
        hidden_size: width h of c and of the gates.
        projection_size: width r of h; half of ``hidden_size``, rounded up, unless given.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts.
        norm: see :class:`recurra.AffineCell`; c is normalized inside its tanh too.
        recurrent_dropout: see :class:`recurra.AffineCell`.
        input_init: how W and P start, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        as :class:`LSTMCell`, ``recurrent_weight`` being [4h, r]; and ``projection`` [r, h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        projection_size: int | None = None,
        bias: bool = True,
        forget_bias: float = 1.0,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        half = (check_size("hidden_size", hidden_size) + 1) // 2
        size = half if projection_size is None else check_size("projection_size", projection_size)
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            forget_bias=forget_bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )
        self.recurrent_size = self.output_size = size
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden_size, size))
        initializer(recurrent_init)(self.recurrent_weight, 4)
        self.projection = nn.Parameter(torch.empty(size, hidden_size))
        initializer(input_init)(self.projection, 1)

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        gates = self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise))
        i, f, g, o = gates.chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * candidate(g)
        wide = gate("output gate", o) * self.squashed(c)
        h = nn.functional.linear(named("before projection", wide), self.projection)
        return h, LSTMState(h, c)

    def torch_form(self) -> TorchForm | None:
        """Torch's LSTM kernel, without ``norm``; it knows a projection by its being narrower."""
        if self.norm or self.recurrent_size == self.hidden_size:
            return None
        return TorchForm("lstm", *self._torch_weights(), self.projection)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+r) + 4*h + r*h``."""
        formula, sizes = super().parameter_formula()
        return f"{formula} + r*h", sizes | {"r": self.recurrent_size}


@register("lstm_peephole")
class PeepholeLSTMCell(LSTMBase):
    r"""LSTM whose gates look at the cell state (Gers & Schmidhuber 2000).

    .. math::

        i, f, g, o &= W x_t + U h_{t-1} + b \\
        c_t &= \sigma(f + p_f \odot c_{t-1}) \odot c_{t-1}
            + \sigma(i + p_i \odot c_{t-1}) \odot \tanh(g) \\
        h_t &= \sigma(o + p_o \odot c_t) \odot \tanh(c_t), \qquad y_t = h_t

    Peepholes are diagonal, as in the paper, and start at 0. The paper's scaled sigmoids are tanh
    here.

    Args:
        input_size: width i of x.
        hidden_size: width h of both parts of the state.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts.
        norm: see :class:`recurra.AffineCell`; c is normalized inside its tanh too, not in front of
            the peepholes.
        recurrent_dropout: see :class:`recurra.AffineCell`.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        as :class:`LSTMCell`, and ``peepholes`` [3, h] in the order i, f, o.

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    def add_parameters(self, input_init: Initializer, recurrent_init: Initializer) -> None:
        """The peepholes."""
        super().add_parameters(input_init, recurrent_init)
        self.peepholes = nn.Parameter(torch.zeros(3, self.hidden_size))

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        gates = self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise))
        i, f, g, o = gates.chunk(4, 1)
        see_i, see_f, see_o = self.peepholes.unbind()
        forget = gate("forget gate", f + see_f * state.c)
        write = gate("input gate", i + see_i * state.c)
        c = forget * state.c + write * candidate(g)
        h = gate("output gate", o + see_o * c) * self.squashed(c)
        return h, LSTMState(h, c)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+h) + 4*h + 3*h``."""
        formula, sizes = super().parameter_formula()
        return f"{formula} + 3*h", sizes


@register("lstm_coupled")
class CoupledLSTMCell(LSTMBase):
    r"""LSTM that writes as much as it forgets (CIFG; Greff et al. 2017).

    .. math::

        f, g, o &= W x_t + U h_{t-1} + b \\
        c_t &= \sigma(f) \odot c_{t-1} + (1 - \sigma(f)) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t), \qquad y_t = h_t

    The paper keeps the input gate and sets f = 1 - i; here the forget gate is kept, so that its
    bias starts at 1 as everywhere. The paper's peepholes are left out.

    Args:
        input_size: width i of x.
        hidden_size: width h of both parts of the state.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts.
        norm: see :class:`recurra.AffineCell`; c is normalized inside its tanh too.
        recurrent_dropout: see :class:`recurra.AffineCell`.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``recurrent_weight`` [3h, h], ``bias`` [3h], gates in the order
        f, g, o; with ``norm`` as :class:`LSTMCell`.

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a number out of range.
    """

    groups = (3,)
    forget_block = 0

    def step(
        self, x: Tensor, state: LSTMState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, LSTMState]:
        """The equations of the class."""
        gates = self.input_product(x) + self.recurrent_product(self.dropped(state.h, noise))
        f, g, o = gates.chunk(3, 1)
        forget = gate("forget gate", f)
        c = forget * state.c + (1 - forget) * candidate(g)
        h = gate("output gate", o) * self.squashed(c)
        return h, LSTMState(h, c)
