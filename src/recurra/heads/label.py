"""One label for a whole sequence, or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.heads.base import Explained, LabelingHead, Shown
from recurra.layers import LayerOutput, Pool, Pooled, Pooling, Projection
from recurra.losses import divergence

__all__ = ["LabelHead"]

UNKNOWN = -1
"""The number of a class that there is none of."""
_STEPS = 60  # each leaves two thirds of where a temperature may be
_SPREAD = 0.5
_COLDEST, _HOTTEST = -3.0, 3.0  # its logarithm


class LabelHead(LabelingHead):
    r"""A label for each row: of a text, a recording, a series.

    .. math:: z = W p + b

    p is what :class:`recurra.Pooling` makes of the outputs of a row's own steps; of an empty row it
    is zero, so that it gets what the bias says. Of one label the probabilities are softmax(z / T),
    of several sigmoid(z / T) each. T is 1 until :meth:`calibrate` sets it (Guo et al. 2017); it is
    in what is predicted, and not in the loss that is trained on.

    Args:
        input_size: width of a step's output.
        classes: number of labels.
        pool: how steps become one vector.
        hops: how often an attention looks at them, see :class:`recurra.Pooling`.
        dropout: rate of dropout on p, in training only.
        several: whether a row may have any number of labels, none too.
        weighted: whether labels count for the loss in training as :meth:`weigh` says, for classes
            of which few examples are there.
        calibrated: whether T is kept with the weights.

    Raises:
        SettingError: an unknown pool, or a rate out of range.
    """

    temperature: Tensor
    weights: Tensor | None

    def __init__(
        self,
        input_size: int,
        classes: int,
        pool: Pool = "last",
        *,
        hops: int = 1,
        dropout: float = 0.0,
        several: bool = False,
        weighted: bool = False,
        calibrated: bool = False,
    ) -> None:
        super().__init__()
        self.pooling = Pooling(input_size, pool, hops)
        self.input_size, self.output_size, self.several = input_size, classes, several
        self.projection = Projection(input_size, classes, dropout=dropout)
        self.register_buffer("temperature", torch.ones(()), persistent=calibrated)
        self.register_buffer("weights", torch.ones(classes) if weighted else None)

    @property
    def reference(self) -> float:
        """The logarithm of the number of labels; of several that of 2 for each."""
        return self.output_size * math.log(2) if self.several else super().reference

    @torch.no_grad()
    def starts_at(self, counts: Sequence[int] | Tensor, rows: int | None = None) -> None:
        """Set the bias to what the classes' frequencies alone say of them.

        Args:
            counts: as of :meth:`recurra.LabelsHead.starts_at`.
            rows: among how many they were counted, where rows have several labels.

        Raises:
            ShapeError: counts of more or fewer classes.
        """
        if not self.several or rows is None:
            super().starts_at(counts)
            return
        seen = torch.as_tensor(counts, dtype=torch.float64)
        self.projection.bias.copy_(((seen + 1) / (rows - seen + 1)).log())

    @torch.no_grad()
    def weigh(self, counts: Sequence[int] | Tensor, rows: int | None = None) -> None:
        r"""Let all classes count alike in training.

        A row of class k counts N / (K n_k); of several labels those that are there count (N - n_k)
        / n_k as much as those that are not, so that of each label both sides weigh alike.

        Args:
            counts: how often each of the K classes occurs among N; one that never does counts once.
            rows: N, where rows have several labels.
        """
        if self.weights is None:
            return
        seen = torch.as_tensor(counts, dtype=torch.float64).clamp(min=1)
        if self.several and rows is not None:
            self.weights.copy_((rows - seen).clamp(min=1) / seen)
        else:
            self.weights.copy_(seen.sum() / (len(seen) * seen))

    def named(self, predictions: Tensor) -> Tensor:
        """Which labels are named: the most probable, ``[batch]``; of several those of 1/2 or more.

        Args:
            predictions: what :meth:`predict` gave.

        Returns:
            numbers of classes ``[batch]``, or true and false ``[batch, classes]``.
        """
        return predictions >= 0 if self.several else predictions.argmax(-1)

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Tensor:
        """A layer's result to scores ``[batch, classes]``, before softmax."""
        scores: Tensor = self.projection(self.pooling(read))
        return scores

    def predict(self, read: LayerOutput, embedding: Tensor | None = None) -> Tensor:
        """Scores as they are calibrated, ``[batch, classes]``."""
        scores: Tensor = self(read, embedding)
        return scores / self.temperature

    def running(self, read: LayerOutput, before: Pooled | None = None) -> tuple[Tensor, Pooled]:
        """What is predicted after every step, ``[time, batch, classes]``, and what to go on from.

        Args:
            read: what a causal layer gave.
            before: what an earlier call returned.
        """
        vectors, after = self.pooling.running(read, before)
        return self.projection(vectors) / self.temperature, after

    def log_probabilities(self, predictions: Tensor) -> Tensor:
        """Of each class, from what :meth:`predict` gave; of several labels each by itself."""
        if self.several:
            return nn.functional.logsigmoid(predictions)
        return predictions.log_softmax(-1)

    def score(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Cross-entropy in nats, summed over rows (and several labels), and their number.

        Args:
            predictions: ``[batch, classes]``.
            targets: numbers of classes ``[batch]``, -1 for one that has none here and takes no
                part; of several labels 0 or 1 for each, ``[batch, classes]``.

        Raises:
            ShapeError: targets of more or fewer rows, or one that is no class.
        """
        count = len(targets) if self.several else int((targets != UNKNOWN).sum())
        return self.row_losses(predictions, targets).sum(), count

    def row_losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Of each row, as :meth:`score` sums them; arguments as there."""
        self._check(predictions, targets)
        weights = _like(self.weights if self.training else None, predictions)
        if self.several:
            wanted = targets.to(predictions.dtype)
            return nn.functional.binary_cross_entropy_with_logits(
                predictions, wanted, reduction="none", pos_weight=weights
            ).sum(1)
        return nn.functional.cross_entropy(
            predictions, targets, reduction="none", weight=weights, ignore_index=UNKNOWN
        )

    def explained(self, answer: Tensor, *, step: bool = False) -> Explained:
        """Log-probabilities of classes."""
        return Explained(self.log_probabilities(answer))

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """The labels that are named, and the nats of each row as they are calibrated."""
        scores = self.predict(read, embedding)
        nats = self.row_losses(scores, targets)
        if not self.several:
            nats = nats.masked_fill(targets == UNKNOWN, torch.nan)
        return Shown(self.named(scores), targets, nats)

    def distilled(
        self, predictions: Tensor, taught: Sequence[Tensor], targets: Tensor, temperature: float
    ) -> Tensor:
        """T² KL(teachers ‖ student), summed over rows; of several labels over these too.

        Args:
            predictions: ``[batch, classes]``, as those of teachers; as they are trained, before
                they are calibrated.
            taught: of each teacher.
            targets: as of :meth:`score`.
            temperature: T.
        """
        if self.several:  # sigmoid(z) is the softmax of z and 0
            predictions, *taught = (torch.stack([z, z * 0], -1) for z in (predictions, *taught))
        else:
            known = targets != UNKNOWN
            predictions, *taught = (z[known] for z in (predictions, *taught))
        return divergence(predictions, taught, temperature)

    def _check(self, predictions: Tensor, targets: Tensor) -> None:
        wanted = predictions.shape if self.several else predictions.shape[:1]
        if targets.shape != wanted:
            what = "0 or 1 for each class" if self.several else "a class"
            raise ShapeError(
                f"LabelHead: expected {what} for each of {predictions.shape[0]} rows, got targets "
                f"{list(targets.shape)}."
            )
        if self.several:
            return
        wrong = (targets < UNKNOWN) | (targets >= self.output_size)
        if bool(wrong.any()):
            raise ShapeError(
                f"LabelHead: expected targets 0 to {self.output_size - 1}, got "
                f"{int(targets[wrong][0])}."
            )

    @torch.no_grad()
    def calibrate(self, scores: Tensor, targets: Tensor) -> None:
        r"""Set T to what makes known labels most probable.

        Few labels tell little of T, and those of a model that makes no mistake among them would
        make it 0: that :math:`\log T` is near 0 counts as much as a normal density of deviation
        1/2 says.

        Args:
            scores: what :meth:`forward` gave of rows that were not trained on.
            targets: their classes, as of :meth:`score`.
        """
        if not self.several:
            scores, targets = scores[targets != UNKNOWN], targets[targets != UNKNOWN]
        self.temperature.fill_(_temperature(scores.double(), targets, self.several))

    def extra_repr(self) -> str:
        """What differs from one label of as many as there are."""
        return "several=True" if self.several else ""


def _like(weights: Tensor | None, values: Tensor) -> Tensor | None:
    return None if weights is None else weights.to(values.dtype)


def _temperature(scores: Tensor, targets: Tensor, several: bool) -> float:
    """The T of least loss by a search in thirds."""

    def loss(logarithm: float) -> float:
        unlikely = (logarithm / _SPREAD) ** 2 / 2 / len(scores)
        said = scores * math.exp(-logarithm)
        if several:
            wanted = targets.to(said.dtype)
            found: Any = nn.functional.binary_cross_entropy_with_logits(said, wanted)
        else:
            found = nn.functional.cross_entropy(said, targets)
        return float(found) + unlikely

    if not len(scores):
        return 1.0
    low, high = _COLDEST, _HOTTEST
    for _ in range(_STEPS):
        third = (high - low) / 3
        if loss(low + third) <= loss(high - third):
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)
