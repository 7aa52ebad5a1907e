"""Symbols that are read, and what is given beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from recurra.batch import Tokens
from recurra.encoders.base import Encoder
from recurra.errors import SettingError, ShapeError
from recurra.layers import Layer, LayerOutput, TokenEmbedding
from recurra.sequences import PaddedSequence
from recurra.states import Tree

__all__ = ["TokenEncoder"]


class TokenEncoder(Encoder):
    r"""Reads symbols: an embedding, then a layer.

    With conditions, the vectors of what is given stand beside the symbol's at every step,

    .. math:: x_t = [E s_t; C_1 c_{1,t}; \dots; C_k c_{k,t}]

    so they may change where documents do.

    Args:
        embedding: gives a vector for each symbol.
        layer: reads the vectors.
        conditions: gives a vector for each value of a condition, one embedding a condition.

    Raises:
        SettingError: the layer does not read vectors of the embeddings' width.
    """

    def __init__(
        self, embedding: TokenEmbedding, layer: Layer, conditions: Iterable[TokenEmbedding] = ()
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.conditions = nn.ModuleList(conditions)
        self.layer = layer
        width = embedding.output_size + sum(c.output_size for c in self._conditions())
        if width != layer.input_size:
            raise SettingError(
                f"TokenEncoder: the embedding gives {width} numbers, the layer reads "
                f"{layer.input_size}"
            )
        self.output_size = layer.output_size
        self.causal = layer.causal

    def _conditions(self) -> list[TokenEmbedding]:
        return [cast(TokenEmbedding, part) for part in self.conditions]

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
        """Ids ``[time, batch]`` to the layer's result.

        Args:
            inputs: a tensor or a PaddedSequence; with conditions :class:`recurra.Tokens`.
            state: as in :meth:`recurra.Layer.forward`, like the others.
            context: offered to the cells.
            resets: where documents begin.

        Raises:
            ShapeError: conditions that were not given, or others than there are.
        """
        result: LayerOutput = self.layer(self._vectors(inputs), state, context, resets=resets)
        return result

    def _vectors(self, inputs: Any) -> Any:
        ids, given = cast(Any, inputs if isinstance(inputs, Tokens) else (inputs, None))
        conditions = self._conditions()
        _check_given(ids, given, len(conditions))
        vectors = self.embedding(ids)
        if not conditions:
            return vectors
        packed = isinstance(vectors, PaddedSequence)
        parts = [vectors.values if packed else vectors]
        for number, embedding in enumerate(conditions):
            value = given.map(lambda g, n=number: g[..., n]) if packed else given[..., number]
            found = embedding(value)
            parts.append(found.values if packed else found)
        joined = torch.cat(parts, -1)
        return PaddedSequence(joined, vectors.lengths) if packed else joined


def _check_given(ids: Any, given: Any, conditions: int) -> None:
    """Is there what the model needs beside every symbol, and nothing else?"""
    if given is None and not conditions:
        return
    kind, shape = _form(ids)
    wanted = [*shape[:2], conditions]
    if not conditions:
        raise ShapeError(
            f"inputs: the model has no conditions, got some {_form(given)[1]}. Give it ids alone."
        )
    if given is None or _form(given) != (kind, wanted):
        got = "none" if given is None else "a {} {}".format(*_form(given))
        raise ShapeError(
            f"inputs: expected Tokens(ids, given), given a {kind} {wanted} of ids of the model's "
            f"{conditions} conditions, got {got}. Windows, Buckets and document_batches make them "
            "of given=; step by step, start(batch, given) takes them."
        )
    if kind == "PaddedSequence" and not torch.equal(ids.lengths, given.lengths):
        raise ShapeError(
            f"inputs: expected ids and given of the same lengths, got {ids.lengths.tolist()} and "
            f"{given.lengths.tolist()}."
        )


def _form(value: Any) -> tuple[str, list[int]]:
    """A sequence's kind, and its shape."""
    if isinstance(value, PaddedSequence):
        return "PaddedSequence", list(value.values.shape)
    return "tensor", list(value.shape)
