"""What is said. A head turns what a layer returned into predictions, and scores them."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.layers import Projection
from recurra.losses import cross_entropy, projected_cross_entropy
from recurra.sequences import PaddedSequence

__all__ = ["Head", "LabelsHead"]


class Head(nn.Module, abc.ABC):
    """Base of all heads."""

    reads: ClassVar[Literal["outputs", "last"]]
    """Which field of :class:`recurra.LayerOutput` the head takes."""

    input_size: int

    @property
    def tied_size(self) -> int | None:
        """Width of the embedding the head shares, or None."""
        return None

    @abc.abstractmethod
    def forward(self, read: Any, embedding: Tensor | None = None) -> Any:
        """Predictions from the field it reads.

        Args:
            read: that field.
            embedding: the encoder's table ``[v, e]``, for a head that shares it.
        """

    @abc.abstractmethod
    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Sum of the losses of all targets, and their number."""

    def loss(self, read: Any, targets: Any, embedding: Tensor | None = None) -> tuple[Tensor, int]:
        """What :meth:`score` says of what :meth:`forward` predicts; perhaps computed together."""
        return self.score(self(read, embedding), targets)


class LabelsHead(Head):
    """A label at every step: tagging, or the next symbol.

    Args:
        input_size: width of a step's output.
        labels: number of labels.
        tied_size: width of the embedding whose weights it shares, or None.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.
    """

    reads = "outputs"

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

    @torch.no_grad()
    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        r"""Set the bias to what the labels' frequencies alone say of them.

        .. math:: b_k = \log \frac{n_k + 1}{N + v}

        Before it has learned anything the head then predicts each label as often as it occurs.
        From a bias of 0 that would have to be learned, and an optimizer which moves a number by
        about its learning rate takes thousands of steps to get there: where labels are many, the
        layers below stand in for the bias with saturated states until then, and learn little else.

        Args:
            counts: how often each of the v labels occurs in what is trained on; a label that never
                does counts as if it occurred once in N + v.

        Raises:
            ShapeError: counts of more or fewer labels.
        """
        seen = torch.as_tensor(counts, dtype=torch.float64)
        if list(seen.shape) != [self.output_size]:
            raise ShapeError(
                f"starts_at: expected counts of {self.output_size} labels, got {list(seen.shape)}."
            )
        self.projection.bias.copy_(((seen + 1) / (seen.sum() + self.output_size)).log())

    def forward(self, read: Any, embedding: Tensor | None = None) -> Any:
        """``[time, batch, input_size]`` to scores ``[time, batch, labels]``, before softmax."""
        return self.projection(read, embedding)

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Cross-entropy in nats, summed over valid steps, and their number.

        Args:
            predictions: ``[time, batch, labels]``.
            targets: labels ``[time, batch]``; of the two, one or both may be a PaddedSequence.
        """
        total: Tensor = cross_entropy(predictions, targets, reduction="sum")
        return total, _count(predictions, targets)

    def loss(self, read: Any, targets: Any, embedding: Tensor | None = None) -> tuple[Tensor, int]:
        """:meth:`score` of :meth:`forward`, without a tensor of all scores on a CPU.

        Args:
            read: ``[time, batch, input_size]``.
            targets: as of :meth:`score`.
            embedding: as of :meth:`forward`.
        """
        if self._forward_hooks or self._forward_pre_hooks or self.projection._forward_hooks:
            return super().loss(read, targets, embedding)  # somebody wants to see the scores
        features, weight = self.projection.parts(read, embedding)
        total = projected_cross_entropy(features, weight, self.projection.bias, targets)
        return total, _count(read, targets)


def _count(values: Any, targets: Any) -> int:
    """Number of valid steps, of which either may know."""
    for known in (targets, values):
        if isinstance(known, PaddedSequence):
            return known.count
    return int(targets.numel())
