"""What an encoder is: it turns a batch's inputs into what a layer returns."""

from __future__ import annotations

import abc
from typing import Any

from torch import Tensor, nn

from recurra.layers import LayerOutput
from recurra.states import Tree

__all__ = ["Encoder"]


class Encoder(nn.Module, abc.ABC):
    """Base of all encoders.

    ``output_size`` is the width of what it gives, ``causal`` whether a state can be carried on, and
    ``embedding_weight`` the ``[v, e]`` table of symbols that a head may share, or None. ``names``
    are those of its inputs in order, where it reads a tuple of them whose fields have none.
    """

    output_size: int
    causal: bool
    names: tuple[str, ...] = ()

    @property
    def embedding_weight(self) -> Tensor | None:
        """The table of symbols that a tied head shares; None if there is none."""
        return None

    @abc.abstractmethod
    def initial_state(self, batch: int) -> Tree:
        """The state before the first step, for ``batch`` rows."""

    @abc.abstractmethod
    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """Read a batch's inputs; arguments as in :meth:`recurra.Layer.forward`."""
