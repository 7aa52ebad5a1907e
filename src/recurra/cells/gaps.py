"""GRU-D: values that are missing at times, and gaps between the times they are there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.affine import candidate, gate
from recurra.cells.base import Cell, Noise, register
from recurra.cells.initializers import Initializer, initializer
from recurra.checks import check_flag, check_size
from recurra.errors import SettingError
from recurra.names import named
from recurra.states import Tree

__all__ = ["GRUDCell", "GRUDState", "GappedInput"]

linear = nn.functional.linear


class GappedInput(NamedTuple):
    """What :class:`GRUDCell` reads.

    Args:
        x: values ``[batch, input_size]``; anything, NaN too, where nothing was observed.
        observed: bool ``[batch, input_size]``, or numbers 0 and 1.
        gap: time since the step before ``[batch, 1]``, 0 at the first, in any unit.
    """

    x: Tensor
    observed: Tensor
    gap: Tensor


class GRUDState(NamedTuple):
    """What :class:`GRUDCell` carries.

    Args:
        h: hidden state ``[batch, hidden_size]``, which is also the output.
        last: each feature's last observed value ``[batch, input_size]``.
        unseen: how long each has not been observed, up to this step, ``[batch, input_size]``.
    """

    h: Tensor
    last: Tensor
    unseen: Tensor


@register("grud")
class GRUDCell(Cell):
    r"""GRU-D (Che, Purushotham, Cho, Sontag & Liu 2018): what is old decays, at a rate it learns.

    .. math::

        \delta_t &= \text{gap}_t + (1 - m_{t-1}) \odot \delta_{t-1} \\
        \gamma_x &= \exp(-\max(0, w_x \odot \delta_t + b_x)), \qquad
        \gamma_h = \exp(-\max(0, W_\gamma \delta_t + b_\gamma)) \\
        \hat x &= m_t \odot x_t
            + (1 - m_t) \odot (\gamma_x \odot x' + (1 - \gamma_x) \odot \bar x) \\
        \hat h &= \gamma_h \odot h_{t-1} \\
        r &= \sigma(W_r \hat x + U_r \hat h + V_r m_t + b_r) \\
        z &= \sigma(W_z \hat x + U_z \hat h + V_z m_t + b_z) \\
        n &= \tanh(W_n \hat x + U_n (r \odot \hat h) + V_n m_t + b_n) \\
        h_t &= (1 - z) \odot \hat h + z \odot n, \qquad y_t = h_t

    m is what was observed, x' each feature's last observed value, and :math:`\bar x` its mean over
    the training data. As in the paper, z is the share of the new. The paper computes :math:`\delta`
    from time stamps beforehand; here the state carries it, so that a stream needs only the time
    since its last step. Of the state only h is a hidden state: zone out ``{"h": rate}``.

    Args:
        input_size: number i of features.
        hidden_size: width h of the state.
        mean: :math:`\bar x`, a tensor ``[i]``, a buffer that is saved with the weights; zeros
            unless given.
        bias: whether gates and candidate have a b. The decays always do.
        input_init: how W, V and :math:`W_\gamma` start, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``observed_weight`` [3h, i], ``recurrent_weight`` [3h, h],
        ``bias`` [3h], blocks in the order r, z, n; ``input_decay`` [i], ``input_decay_bias`` [i],
        ``hidden_decay`` [h, i], ``hidden_decay_bias`` [h].

    Raises:
        SettingError: an unknown initializer, a size below 1, or a mean of another width.
    """

    input_size: int
    mean: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        mean: Tensor | None = None,
        bias: bool = True,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(check_size("input_size", input_size), hidden_size)
        rows = 3 * hidden_size
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(rows, hidden_size))
        self.observed_weight = nn.Parameter(torch.empty(rows, input_size))
        self.hidden_decay = nn.Parameter(torch.empty(hidden_size, input_size))
        initializer(input_init)(self.input_weight, 3)
        initializer(recurrent_init)(self.recurrent_weight, 3)
        initializer(input_init)(self.observed_weight, 3)
        initializer(input_init)(self.hidden_decay, 1)
        self.bias = nn.Parameter(torch.zeros(rows)) if check_flag("bias", bias) else None
        # Small and positive: at 0 the decay would neither act nor, behind its max, learn.
        self.input_decay = nn.Parameter(torch.full((input_size,), 0.1))
        self.input_decay_bias = nn.Parameter(torch.zeros(input_size))
        self.hidden_decay_bias = nn.Parameter(torch.zeros(hidden_size))
        try:
            given = torch.zeros(input_size) if mean is None else torch.as_tensor(mean)
        except (TypeError, ValueError, RuntimeError):
            raise SettingError(f"mean: expected numbers [{input_size}], got {mean!r}") from None
        if given.shape != (input_size,):
            raise SettingError(
                f"mean: expected one for each of {input_size} features, got {list(given.shape)}"
            )
        self.register_buffer("mean", given.detach().to(torch.get_default_dtype(), copy=True))

    def initial_state(self, batch: int) -> GRUDState:
        """Zeros; every feature was last seen at its mean."""
        return GRUDState(
            self.zeros(batch),
            self.mean.expand(batch, -1),
            self.zeros(batch, self.input_size),
        )

    def example_input(self, batch: int) -> GappedInput:
        """Everything 0, nothing observed."""
        x = self.zeros(batch, self.input_size)
        return GappedInput(x, torch.zeros_like(x, dtype=torch.bool), self.zeros(batch, 1))

    def step(
        self, x: GappedInput, state: GRUDState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, GRUDState]:
        """The equations of the class."""
        values, observed, gap = x
        seen = observed != 0
        delta = named("time unseen", gap.to(state.unseen.dtype) + state.unseen)
        decay = -torch.relu(self.input_decay * delta + self.input_decay_bias)
        fade_x = named("input decay", torch.exp(decay))
        decay = -torch.relu(linear(delta, self.hidden_decay, self.hidden_decay_bias))
        fade_h = named("hidden decay", torch.exp(decay))
        guess = fade_x * state.last + (1 - fade_x) * self.mean
        filled = named("filled input", torch.where(seen, values, guess))
        h = fade_h * state.h
        read = linear(filled, self.input_weight, self.bias)
        read = read + linear(seen.to(h.dtype), self.observed_weight)
        read_gates, read_n = read.tensor_split([2 * self.hidden_size], 1)
        keep_gates, keep_n = self.recurrent_weight.tensor_split([2 * self.hidden_size])
        r, z = (read_gates + linear(h, keep_gates)).chunk(2, 1)
        r, z = gate("reset gate", r), gate("update gate", z)
        n = candidate(read_n + linear(r * h, keep_n))
        h = (1 - z) * h + z * n
        last = torch.where(seen, values, state.last)
        return h, GRUDState(h, last, torch.where(seen, torch.zeros_like(delta), delta))

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``3*h*(2*i+h) + 3*h + 2*i + h*i + h``."""
        more = " + 3*h" if self.bias is not None else ""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return f"3*h*(2*i+h){more} + 2*i + h*i + h", sizes
