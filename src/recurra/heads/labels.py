"""A label at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.heads.base import Explained, LabelingHead, Shown, whole_rows
from recurra.layers import LayerOutput, Projection
from recurra.losses import cross_entropy, divergence, projected_cross_entropy
from recurra.sequences import PaddedSequence

__all__ = ["LabelsHead"]


class LabelsHead(LabelingHead):
    """A label at every step: tagging, or the next symbol.

    Args:
        input_size: width of a step's output.
        labels: number of labels.
        tied_size: width of the embedding whose weights it shares, or None.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.
    """

    def __init__(
        self,
        input_size: int,
        labels: int,
        *,
        tied_size: int | None = None,
        dropout: float = 0.0,
        held: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, labels
        self.projection = Projection(
            input_size, labels, tied_size=tied_size, dropout=dropout, held=held
        )

    @property
    def tied_size(self) -> int | None:
        """Width of the embedding the head shares, or None."""
        return self.projection.tied_size

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Outputs ``[time, batch, input_size]`` to scores ``[time, batch, labels]``, no softmax."""
        return self.projection(read.outputs, embedding)

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Cross-entropy in nats, summed over valid steps, and their number.

        Args:
            predictions: ``[time, batch, labels]``.
            targets: labels ``[time, batch]``; of the two, one or both may be a PaddedSequence.
        """
        total: Tensor = cross_entropy(predictions, targets, reduction="sum")
        return total, _count(predictions, targets)

    def row_losses(self, predictions: Any, targets: Any) -> Tensor:
        """Of each row, as :meth:`score` sums them; arguments as there."""
        lost = cross_entropy(predictions, targets, reduction="none")
        total: Tensor = whole_rows(lost).to_padded().sum(0)
        return total

    def numbers(self, answer: Any, targets: Any = None) -> PaddedSequence:
        """Scores of labels at every step."""
        return whole_rows(answer)

    def explained(self, answer: Any, *, step: bool = False) -> Explained:
        """Log-probabilities of labels at every step."""
        return Explained(whole_rows(answer).map(lambda scores: scores.log_softmax(-1)))

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """The most probable label of each step, and the nats of the true one."""
        scores = whole_rows(self(read, embedding))
        wanted = targets if isinstance(targets, PaddedSequence) else scores._with(targets)
        known = wanted.map(lambda labels: labels.clamp(min=0))
        lost: PaddedSequence = cross_entropy(scores, known, reduction="none")
        strange = wanted.valid() < 0
        nats = lost.with_valid(lost.valid().masked_fill(strange, torch.nan))
        return Shown(scores.map(lambda valid: valid.argmax(-1)), wanted, nats)

    def loss(
        self, read: LayerOutput, targets: Any, embedding: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """:meth:`score` of :meth:`forward`, without a tensor of all scores on a CPU.

        Args:
            read: its outputs are ``[time, batch, input_size]``.
            targets: as of :meth:`score`.
            embedding: as of :meth:`forward`.
        """
        if self._forward_hooks or self._forward_pre_hooks or self.projection._forward_hooks:
            return super().loss(read, targets, embedding)  # somebody wants to see the scores
        features, weight = self.projection.parts(read.outputs, embedding)
        total = projected_cross_entropy(features, weight, self.projection.bias, targets)
        return total, _count(read.outputs, targets)

    def distilled(
        self, predictions: Any, taught: Sequence[Any], targets: Any, temperature: float
    ) -> Tensor:
        """T² KL(teachers ‖ student), summed over valid steps (of words: Kim & Rush 2016).

        Args:
            predictions: ``[time, batch, labels]``, as those of teachers.
            taught: of each teacher.
            targets: as of :meth:`score`.
            temperature: T.
        """
        said = predictions if isinstance(predictions, PaddedSequence) else targets
        valid = [_valid(scores, said) for scores in (predictions, *taught)]
        return divergence(valid[0], valid[1:], temperature)


def _valid(scores: Any, beside: Any) -> Tensor:
    """Scores of valid steps, which they know or what is beside them, ``[steps, labels]``."""
    if isinstance(beside, PaddedSequence) and not isinstance(scores, PaddedSequence):
        scores = PaddedSequence(scores, beside.lengths)
    found: Tensor = scores.valid() if isinstance(scores, PaddedSequence) else scores.flatten(0, 1)
    return found


def _count(values: Any, targets: Any) -> int:
    """Number of valid steps, of which either may know."""
    for known in (targets, values):
        if isinstance(known, PaddedSequence):
            return known.count
    return int(targets.numel())
