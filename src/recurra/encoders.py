"""What is read. An encoder turns a batch's inputs into what a layer returns."""

from __future__ import annotations

import abc
from typing import Any

from torch import Tensor, nn

from recurra.errors import SettingError
from recurra.layers import Layer, LayerOutput, TokenEmbedding
from recurra.states import Tree

__all__ = ["Encoder", "TokenEncoder"]


class Encoder(nn.Module, abc.ABC):
    """Base of all encoders.

    ``output_size`` is the width of what it gives, ``causal`` whether a state can be carried on, and
    ``embedding_weight`` the ``[v, e]`` table of symbols that a head may share, or None.
    """

    output_size: int
    causal: bool

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


class TokenEncoder(Encoder):
    """Reads symbols: an embedding, then a layer.

    Args:
        embedding: gives a vector for each symbol.
        layer: reads the vectors.

    Raises:
        SettingError: the layer does not read vectors of the embedding's width.
    """

    def __init__(self, embedding: TokenEmbedding, layer: Layer) -> None:
        super().__init__()
        if embedding.output_size != layer.input_size:
            raise SettingError(
                f"TokenEncoder: the embedding gives {embedding.output_size} numbers, the layer "
                f"reads {layer.input_size}"
            )
        self.embedding = embedding
        self.layer = layer
        self.output_size = layer.output_size
        self.causal = layer.causal

    @property
    def embedding_weight(self) -> Tensor:
        """The embedding's table, ``[v, e]``."""
        return self.embedding.weight

    def initial_state(self, batch: int) -> Tree:
        """The layer's."""
        return self.layer.initial_state(batch)

    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """Ids ``[time, batch]``, a tensor or a PaddedSequence, to the layer's result."""
        result: LayerOutput = self.layer(self.embedding(inputs), state, context, resets=resets)
        return result
