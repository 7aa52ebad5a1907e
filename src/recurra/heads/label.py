"""One label for a whole sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from recurra.errors import SettingError, ShapeError, nearest
from recurra.heads.base import Head, log_frequencies
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence

__all__ = ["LabelHead", "Pool"]

Pool = Literal["last", "mean", "max", "attention"]
"""How the outputs of all steps become one vector."""


class LabelHead(Head):
    r"""A label for each row: of a text, a recording, a series.

    .. math:: z = W p + b

    p is what ``pool`` makes of the outputs y of a row's own steps:

    ===============  =======================================================
    ``"last"``       the layer's ``last``: where each direction of the top layer ends
    ``"mean"``       :math:`\frac{1}{n} \sum_t y_t`
    ``"max"``        :math:`\max_t y_t`, element by element
    ``"attention"``  :math:`\sum_t a_t y_t` (Yang et al. 2016)
    ===============  =======================================================

    with :math:`a = \mathrm{softmax}_t(u^\top \tanh(V y_t + c))`, u, V and c learned.

    Of an empty row p is zero, so that it gets what the bias says.

    Args:
        input_size: width of a step's output.
        classes: number of labels.
        pool: how steps become one vector.
        dropout: rate of dropout on p, in training only.

    Raises:
        SettingError: an unknown pool, or a rate out of range.
    """

    def __init__(
        self, input_size: int, classes: int, pool: Pool = "last", *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise SettingError(f"pool: {nearest(str(pool), get_args(Pool))}")
        self.input_size, self.output_size, self.pool = input_size, classes, pool
        self.attention = None
        if pool == "attention":
            self.attention = nn.Sequential(
                nn.Linear(input_size, input_size), nn.Tanh(), nn.Linear(input_size, 1, bias=False)
            )
        self.projection = Projection(input_size, classes, dropout=dropout)

    @property
    def reference(self) -> float:
        """The logarithm of the number of labels."""
        return math.log(self.output_size)

    @torch.no_grad()
    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Set the bias to what the classes' frequencies alone say of them.

        Args:
            counts: as of :meth:`recurra.LabelsHead.starts_at`.

        Raises:
            ShapeError: counts of more or fewer classes.
        """
        self.projection.bias.copy_(log_frequencies(counts, self.output_size))

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Tensor:
        """A layer's result to scores ``[batch, classes]``, before softmax."""
        scores: Tensor = self.projection(self.pooled(read))
        return scores

    def score(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Cross-entropy in nats, summed over rows, and their number.

        Args:
            predictions: ``[batch, classes]``.
            targets: numbers of classes ``[batch]``.

        Raises:
            ShapeError: targets of more or fewer rows, or one that is no class.
        """
        if targets.shape != predictions.shape[:1]:
            raise ShapeError(
                f"LabelHead: expected a class for each of {predictions.shape[0]} rows, got targets "
                f"{list(targets.shape)}."
            )
        wrong = (targets < 0) | (targets >= self.output_size)
        if bool(wrong.any()):
            raise ShapeError(
                f"LabelHead: expected targets 0 to {self.output_size - 1}, got "
                f"{int(targets[wrong][0])}."
            )
        total = nn.functional.cross_entropy(predictions, targets, reduction="sum")
        return total, len(targets)

    def pooled(self, read: LayerOutput) -> Tensor:
        """One vector for each row, ``[batch, input_size]``."""
        if self.pool == "last":
            return read.last
        outputs = read.outputs
        if not isinstance(outputs, PaddedSequence):
            outputs = PaddedSequence.from_padded(outputs)
        if self.pool == "mean" or outputs.time == 0:
            return outputs.mean()
        if self.attention is not None:
            looked = outputs.map(self.attention, torch.finfo(outputs.values.dtype).min)
            shares = looked.values.softmax(0)  # of an empty row all alike, of zeros
            return (shares * outputs.to_padded()).sum(0)
        highest = outputs.to_padded(fill=-torch.inf).amax(0)
        return highest.masked_fill((outputs.lengths == 0).unsqueeze(-1), 0)
