"""Symbols in and symbols out: the embedding that reads them and the projection that scores them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.layers.dropout import dropout, word_dropout
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_rate, check_size

__all__ = ["Projection", "TokenEmbedding"]


class TokenEmbedding(nn.Module):
    """One vector for each symbol of a vocabulary, with dropout.

    Args:
        vocabulary_size: number of symbols v.
        embedding_size: width e of a vector.
        dropout: rate of dropout on the vectors, in training only.
        word_dropout: rate at which symbols have no vector at all, in training only; the same ones
            in all of a call (Gal & Ghahramani 2016).
        held: whether dropout leaves out the same elements at every step of a row.
        deviation: of the normal numbers that vectors start with; unless told that of
            ``torch.nn.Embedding``.

    Raises:
        SettingError: a rate out of range.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        *,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        held: bool = False,
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        self.input_size = check_size("vocabulary_size", vocabulary_size)
        self.output_size = check_size("embedding_size", embedding_size)
        self.dropout = check_rate("dropout", dropout)
        self.word_dropout = check_rate("word_dropout", word_dropout)
        self.held = check_flag("held", held)
        self.weight = nn.Parameter(torch.empty(vocabulary_size, embedding_size))
        nn.init.normal_(self.weight, std=deviation)

    def forward(self, ids: Any) -> Any:
        """``[time, batch]`` ids, a tensor or a PaddedSequence, to ``[time, batch, e]``.

        Raises:
            ShapeError: an id outside the vocabulary.
        """
        table = word_dropout(self.weight, self.word_dropout, self.training)
        if isinstance(ids, PaddedSequence):
            vectors: Any = ids.map(lambda elements: self._vectors(elements, table))
        else:
            vectors = self._vectors(ids, table)
        return dropout(vectors, self.dropout, self.training, held=self.held)

    def _vectors(self, ids: Tensor, table: Tensor) -> Tensor:
        try:
            return nn.functional.embedding(ids, table)
        except IndexError:
            wrong = ids[(ids < 0) | (ids >= self.input_size)]
            raise ShapeError(
                f"ids: expected 0 to {self.input_size - 1}, got {int(wrong[0])}. Were they made "
                "with another vocabulary?"
            ) from None

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``v*e``."""
        return "v*e", {"v": self.input_size, "e": self.output_size}


class Projection(nn.Module):
    r"""Scores of all v symbols from a vector, with weights of its own or tied to an embedding.

    .. math::

        z = W y + b \qquad\text{or, tied,}\qquad z = E P y + b

    E is the embedding (Press & Wolf 2017, Inan et al. 2017), passed at every call, never owned;
    P is there only where y is not as wide as E's vectors.

    Args:
        input_size: width h of y.
        vocabulary_size: number of symbols v.
        tied_size: width e of the embedding to share, or None for weights of its own.
        dropout: rate of dropout on y, in training only.
        held: whether it leaves out the same elements at every step of a row.

    Raises:
        SettingError: a rate out of range.
    """

    def __init__(
        self,
        input_size: int,
        vocabulary_size: int,
        *,
        tied_size: int | None = None,
        dropout: float = 0.0,
        held: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, vocabulary_size
        self.tied_size = tied_size
        self.dropout = check_rate("dropout", dropout)
        self.held = check_flag("held", held)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        rows = vocabulary_size if tied_size is None else tied_size
        self.weight = None
        if rows != input_size or tied_size is None:
            self.weight = nn.Parameter(torch.empty(rows, input_size))
            nn.init.xavier_uniform_(self.weight)

    def forward(self, values: Any, embedding: Tensor | None = None) -> Any:
        """``[..., h]`` to ``[..., v]``, a tensor or a PaddedSequence.

        Args:
            values: what the layers gave.
            embedding: ``[v, e]``, for a tied projection.
        """
        features, weight = self.parts(values, embedding)
        return _mapped(features, lambda y: nn.functional.linear(y, weight, self.bias))

    def parts(self, values: Any, embedding: Tensor | None = None) -> tuple[Any, Tensor]:
        """What the last product reads: features ``[..., e]`` and weights ``[v, e]``.

        Args:
            values: what the layers gave.
            embedding: ``[v, e]``, for a tied projection.

        Raises:
            ShapeError: the projection is tied, and no embedding was passed.
        """
        values = dropout(values, self.dropout, self.training, held=self.held)
        own = self.weight
        if self.tied_size is None:
            assert own is not None
            return values, own
        if embedding is None:
            raise ShapeError("Projection: tied, but no embedding was passed to its forward.")
        if own is not None:
            values = _mapped(values, lambda y: nn.functional.linear(y, own))
        return values, embedding

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``v*h + v``; tied ``e*h + v``, or ``v`` alone where sizes are equal."""
        sizes = {"v": self.output_size}
        if self.weight is None:
            return "v", sizes
        if self.tied_size is None:
            return "v*h + v", sizes | {"h": self.input_size}
        return "e*h + v", sizes | {"e": self.tied_size, "h": self.input_size}


def _mapped(values: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A function of valid elements, of a tensor or a PaddedSequence."""
    return values.map(function) if isinstance(values, PaddedSequence) else function(values)
