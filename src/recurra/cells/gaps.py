"""GRU-D: values that are missing at times, and gaps between the times they are there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.affine import AffineCell, Norm, candidate, gate
from recurra.cells.base import Noise, register
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer, initializer
from recurra.errors import SettingError
from recurra.labels import named
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
class GRUDCell(AffineCell):
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
    since its last step.

    Args:
        input_size: number i of features.
        hidden_size: width h of the state.
        mean: :math:`\bar x`, a tensor ``[i]``, a buffer that is saved with the weights; zeros
            unless given.
        bias: whether gates and candidate have a b. The decays always do.
        norm: ``"layer"``, ``"rms"`` or None, see :class:`recurra.AffineCell`; of the products with
            W and U, r and z being one group and n another.
        recurrent_dropout: share of h dropped in front of U, see there.
        input_init: how W, V and :math:`W_\gamma` start, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [3h, i], ``observed_weight`` [3h, i], ``recurrent_weight`` [3h, h],
        ``bias`` [3h], blocks in the order r, z, n; with ``norm`` also ``input_gain`` [3h] and
        ``recurrent_gain`` [3h]; ``input_decay`` [i], ``input_decay_bias`` [i],
        ``hidden_decay`` [h, i], ``hidden_decay_bias`` [h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, a rate out of range, or a
            mean of another width or of numbers that are not finite.
    """

    groups = (2, 1)
    bookkeeping = ("last", "unseen")
    mean: Tensor

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        mean: Tensor | None = None,
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )
        self.observed_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.hidden_decay = nn.Parameter(torch.empty(hidden_size, input_size))
        initializer(input_init)(self.observed_weight, 3)
        initializer(input_init)(self.hidden_decay, 1)
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
        if not given.is_complex():
            given = given.detach().to(torch.get_default_dtype(), copy=True)
        if given.is_complex() or not (given.is_meta or given.isfinite().all()):
            raise SettingError(f"mean: expected finite numbers [{input_size}], got {mean!r}")
        self.register_buffer("mean", given)

    def initial_state(self, batch: int) -> GRUDState:
        """Zeros; every feature was last seen at its mean."""
        return GRUDState(
            self.zeros(batch),
            self.mean.repeat(batch, 1),  # a copy: who writes into a state must not reach it
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
        kept = self.dropped(h, noise)
        read = self.input_product(filled) + linear(seen.to(h.dtype), self.observed_weight)
        read_r, read_z, read_n = read.chunk(3, 1)
        kept_r, kept_z = self.recurrent_product(kept, group=0).chunk(2, 1)
        r, z = gate("reset gate", read_r + kept_r), gate("update gate", read_z + kept_z)
        n = candidate(read_n + self.recurrent_product(r * kept, group=1))
        h = (1 - z) * h + z * n
        last = torch.where(seen, values, state.last)
        return h, GRUDState(h, last, torch.where(seen, torch.zeros_like(delta), delta))

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``3*h*(i+h) + 3*h + 3*h*i + 2*i + h*i + h``."""
        formula, sizes = super().parameter_formula()
        return f"{formula} + 3*h*i + 2*i + h*i + h", sizes
