"""An input that is read in the light of another: a film, and a question about it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.encoders.base import Encoder
from recurra.encoders.frames import Stem
from recurra.encoders.several import InputsEncoder, pooled
from recurra.errors import SettingError, ShapeError
from recurra.layers import Layer, LayerOutput, Pool, Pooling
from recurra.sequences import PaddedSequence
from recurra.settings import check_rate
from recurra.states import Tree

__all__ = ["AskingEncoder"]


class AskingEncoder(InputsEncoder):
    r"""One input asks, and stands beside every step of the other while that is read.

    .. math:: y = \mathrm{layer}([0; q; m], [v_1; q; m], \dots, [v_n; q; m]), \qquad
        q = \mathrm{pool}(\mathrm{encoder}(\mathrm{question}))

    v are vectors of the other input's steps; m is 1 where the question is missing, of which q is
    zero, and 0 elsewhere. The step before the first holds the question alone: so there is one where
    the other input is missing. (The question beside what is read as in Antol et al. 2015, but
    before the layers, not behind them: what is kept of a film hangs on what is asked.)

    Args:
        names: of the two inputs, in the order in which they are given.
        asks: name of the one that asks.
        question: reads it.
        stem: makes vectors of the other.
        layer: reads these beside the question.
        pool: how what was read of the question becomes q, see :class:`recurra.Pooling`.
        missing: as of :class:`recurra.SeveralEncoder`.

    Raises:
        SettingError: not two inputs of which one asks, a layer of another width, or a rate out of
            range.
    """

    causal = False

    def __init__(
        self,
        names: tuple[str, str],
        asks: str,
        question: Encoder,
        stem: Stem,
        layer: Layer,
        pool: Pool = "last",
        *,
        missing: float = 0.0,
    ) -> None:
        super().__init__()
        if asks not in names or len(names) != 2:
            raise SettingError(f"AskingEncoder: expected two inputs, one of {asks!r}, got {names}")
        width = stem.output_size + question.output_size + 1
        if layer.input_size not in (None, width):
            raise SettingError(
                f"AskingEncoder: vectors, question and mark have {width} numbers, the layer reads "
                f"{layer.input_size}"
            )
        self.names, self.asks = names, asks
        self.question, self.stem, self.layer = question, stem, layer
        self.pool = Pooling(question.output_size, pool)
        self.missing, self.output_size = check_rate("missing", missing), layer.output_size

    def initial_state(self, batch: int) -> Tree:
        """The layer's."""
        return self.layer.initial_state(batch)

    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """A PaddedSequence of each input to the layer's result, of one step more than was read.

        Raises:
            ShapeError: more or fewer inputs, or a state to go on from.
        """
        if state is not None:
            raise ShapeError("state: a question and what it is about are read whole; leave it out.")
        given = dict(zip(self.names, self.given(inputs), strict=True))
        question = given.pop(self.asks)
        (other,) = given.values()
        asked = pooled(question, self.question(question, None, context), self.pool)
        vectors = self.stem(other)
        values = vectors.to_padded()
        values = torch.cat([values.new_zeros(1, *values.shape[1:]), values])
        beside = torch.cat([values, asked.expand(len(values), -1, -1)], -1)
        result: LayerOutput = self.layer(PaddedSequence(beside, vectors.lengths + 1))
        return result
