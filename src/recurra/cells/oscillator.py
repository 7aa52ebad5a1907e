"""Coupled oscillators: a cell whose units swing, so that gradients neither vanish nor explode."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, Noise, register
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer, initializer
from recurra.errors import SettingError
from recurra.labels import named
from recurra.settings import check_flag, check_number, check_size
from recurra.states import Tree

__all__ = ["CoRNNCell", "CoRNNState"]

linear = nn.functional.linear


class CoRNNState(NamedTuple):
    """What :class:`CoRNNCell` carries.

    Args:
        y: positions of the oscillators ``[batch, hidden_size]``, which are also the output.
        z: their velocities ``[batch, hidden_size]``.
    """

    y: Tensor
    z: Tensor


@register("cornn")
class CoRNNCell(Cell):
    r"""Coupled oscillatory recurrent network (coRNN; Rusch & Mishra 2021).

    .. math::

        z_t &= z_{t-1} + \Delta t \, (\tanh(V x_t + W y_{t-1} + U z_{t-1} + b)
            - \gamma y_{t-1} - \epsilon z_{t-1}) \\
        y_t &= y_{t-1} + \Delta t \, z_t

    The paper allows the damping to act on :math:`z_t` as well as on :math:`z_{t-1}`; here it is the
    latter, as in the code of its authors.

    Args:
        input_size: width i of x.
        hidden_size: number h of oscillators.
        dt: step of time :math:`\Delta t`, more than 0.
        gamma: frequency :math:`\gamma`.
        epsilon: damping :math:`\epsilon`.
        bias: whether there is a b.
        input_init: how V starts, a name of :func:`recurra.initializer`.
        recurrent_init: how W and U start.

    Parameters:
        ``input_weight`` [h, i], ``position_weight`` [h, h], ``velocity_weight`` [h, h], ``bias``
        [h].

    Raises:
        SettingError: an unknown initializer, a size below 1, or a number out of range.
    """

    recurrent_parameters = ("position_weight", "velocity_weight")
    input_size: int

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dt: float = 0.05,
        gamma: float = 2.0,
        epsilon: float = 4.0,
        bias: bool = True,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(check_size("input_size", input_size), hidden_size)
        self.dt = check_number("dt", dt)
        if self.dt <= 0:
            raise SettingError(f"dt: expected more than 0, got {dt!r}")
        self.gamma, self.epsilon = check_number("gamma", gamma), check_number("epsilon", epsilon)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.position_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.velocity_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if check_flag("bias", bias) else None
        initializer(input_init)(self.input_weight, 1)
        initializer(recurrent_init)(self.position_weight, 1)
        initializer(recurrent_init)(self.velocity_weight, 1)

    def initial_state(self, batch: int) -> CoRNNState:
        """At rest."""
        return CoRNNState(self.zeros(batch), self.zeros(batch))

    def step(
        self, x: Tensor, state: CoRNNState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, CoRNNState]:
        """The equations of the class."""
        before = linear(x, self.input_weight, self.bias) + linear(state.y, self.position_weight)
        before = named("pre-activation", before + linear(state.z, self.velocity_weight))
        force = torch.tanh(before) - self.gamma * state.y - self.epsilon * state.z
        z = state.z + self.dt * named("force", force)
        y = state.y + self.dt * z
        return y, CoRNNState(y, z)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``h*(i+2*h) + h``."""
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return "h*(i+2*h)" + (" + h" if self.bias is not None else ""), sizes
