"""The Jordan network: what is fed back is the output, not the hidden layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.affine import AffineCell, Norm
from recurra.cells.base import Noise, register
from recurra.cells.construction import checks_call
from recurra.cells.elman import Activation, named_activation
from recurra.cells.initializers import Initializer, initializer
from recurra.labels import named
from recurra.settings import check_size
from recurra.states import Tree

__all__ = ["JordanCell", "OutputState"]


class OutputState(NamedTuple):
    """The state of a cell that carries its output alone.

    Args:
        y: ``[batch, output_size]``.
    """

    y: Tensor


@register("jordan")
class JordanCell(AffineCell):
    r"""The Jordan cell (Jordan 1986): only its output is fed back.

    .. math::

        h_t &= \phi(W x_t + U y_{t-1} + b) \\
        y_t &= \psi(V h_t + b_y)

    Jordan's state units are a decaying sum of past outputs (that is a leak, :math:`\mu y_{t-1}`
    added to the state); here, as in most textbooks, they are the last output alone. Because y is
    what a target says it should be, :class:`recurra.Forced` can feed targets back in training, and
    then no gradient has to go through time.

    Args:
        input_size: width i of x.
        hidden_size: width h of the hidden layer.
        output_size: width r of y; ``hidden_size`` unless given.
        activation: :math:`\phi`, as in :class:`recurra.ElmanCell`.
        output_activation: :math:`\psi`, None for a linear read-out.
        bias: whether there are b and :math:`b_y`.
        norm: see :class:`recurra.AffineCell`.
        recurrent_dropout: share of y dropped in front of U, see there.
        input_init: how W and V start, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.

    Parameters:
        ``input_weight`` [h, i], ``recurrent_weight`` [h, r], ``bias`` [h], ``output_weight``
        [r, h], ``output_bias`` [r]; with ``norm`` also ``input_gain`` [h] and ``recurrent_gain``
        [h].

    Raises:
        SettingError: an unknown activation, norm or initializer, a size below 1, or a rate out of
            range.
    """

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        activation: str | Activation | None = "tanh",
        output_activation: str | Activation | None = None,
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        if output_size is not None:
            check_size("output_size", output_size)
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
            recurrent_size=output_size,
        )
        self.activation = named_activation(activation)
        self.output_activation = named_activation(output_activation)
        self.output_weight = nn.Parameter(torch.empty(self.output_size, hidden_size))
        initializer(input_init)(self.output_weight, 1)
        self.output_bias = nn.Parameter(torch.zeros(self.output_size)) if bias else None

    def initial_state(self, batch: int) -> OutputState:
        """Zeros."""
        return OutputState(self.zeros(batch, self.output_size))

    def step(
        self, x: Tensor, state: OutputState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, OutputState]:
        """The equations of the class."""
        before = named(
            "pre-activation",
            self.input_product(x) + self.recurrent_product(self.dropped(state.y, noise)),
        )
        h = named("hidden", before if self.activation is None else self.activation(before))
        y = nn.functional.linear(h, self.output_weight, self.output_bias)
        if self.output_activation is not None:
            y = self.output_activation(named("output pre-activation", y))
        return y, OutputState(y)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``h*(i+r) + h + r*h + r``."""
        formula, sizes = super().parameter_formula()
        more = " + r*h" + (" + r" if self.output_bias is not None else "")
        return formula + more, sizes | {"r": self.output_size}
