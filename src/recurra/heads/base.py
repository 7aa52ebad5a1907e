"""What a head is, and how one that names labels begins."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import SettingError, ShapeError
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence

__all__ = ["Explained", "Head", "LabelingHead", "Shown", "log_frequencies", "whole_rows"]


class Explained(NamedTuple):
    """Numbers of an answer, of which one or some are explained.

    Args:
        values: of rows ``[rows, ...]``, or of their steps, as a PaddedSequence.
        labels: whether they belong to labels, of which the one with the highest number is meant
            unless another is told; else the mean of all is.
        last: whether a row's last step is meant unless another is told; else the mean of all is.
    """

    values: Any
    labels: bool = True
    last: bool = True


class Shown(NamedTuple):
    """Answers beside what should have been answered, for people to look at.

    Labels and symbols are their numbers; -1 is one that nobody has a name for.

    Args:
        said: of rows a tensor ``[rows, ...]``, of steps a PaddedSequence ``[time, rows, ...]``.
        wanted: the same; a sequence may have other steps than what is said.
        nats: how little what was wanted was expected, of rows ``[rows]``, of its steps a
            PaddedSequence ``[time, rows]``; NaN where nothing was wanted. Of numbers it is their
            loss, and None where nothing tells.
    """

    said: Any
    wanted: Any
    nats: Any = None


class Head(nn.Module, abc.ABC):
    """Base of all heads: of what a layer returned each takes what it needs."""

    input_size: int

    @property
    def tied_size(self) -> int | None:
        """Width of the embedding the head shares, or None."""
        return None

    @property
    def reference(self) -> float | None:
        """The mean loss of one that finds all answers alike; None where a loss has no such level.

        What is continuous has none: a density may be as high as it likes.
        """
        return None

    @abc.abstractmethod
    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Predictions from what a layer returned.

        Args:
            read: the layer's result.
            embedding: the encoder's table ``[v, e]``, for a head that shares it.
        """

    @abc.abstractmethod
    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Sum of the losses of all targets, and their number."""

    def loss(
        self, read: LayerOutput, targets: Any, embedding: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """What :meth:`score` says of what :meth:`forward` predicts; perhaps computed together."""
        return self.score(self(read, embedding), targets)

    def row_losses(self, predictions: Any, targets: Any) -> Tensor | None:
        """What :meth:`score` sums in evaluation, of each row ``[rows]``.

        None where a head does not say it.

        Args:
            predictions: what :meth:`forward` gave.
            targets: as of :meth:`score`.
        """
        return None

    def predict(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """What is answered, a tree whose leaves lead by row or are ``[time, batch, ...]``.

        What :meth:`forward` gives, unless a head answers with something else than it scores: paths
        where it scores steps.

        Args:
            read: as of :meth:`forward`, like the other.
            embedding: as of :meth:`forward`.
        """
        return self(read, embedding)

    def numbers(self, answer: Any, targets: Any = None) -> Any:
        """What is compared where two answers are: of rows a tensor, of steps a PaddedSequence.

        Args:
            answer: what :meth:`predict` gave.
            targets: of a head whose answer hangs on them.
        """
        return answer

    def explained(self, answer: Any, *, step: bool = False) -> Explained | None:
        """What is explained of an answer, unless told; None: its loss.

        Args:
            answer: what :meth:`predict` gave.
            step: whether a step of it is told.
        """
        return None

    def show(
        self, read: LayerOutput, targets: Any, embedding: Tensor | None = None
    ) -> Shown | None:
        """What is answered beside what should have been; None where a head does not say it.

        Args:
            read: as of :meth:`forward`.
            targets: as of :meth:`score`.
            embedding: as of :meth:`forward`.
        """
        return None

    def teach(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """What a student is held against, see :meth:`distilled`; as of :meth:`forward`."""
        return self(read, embedding)

    def distilled(
        self, predictions: Any, taught: Sequence[Any], targets: Any, temperature: float
    ) -> Tensor:
        """How far predictions are from those of teachers, summed as :meth:`score` sums losses.

        Of labels T² KL(teachers ‖ student), both softened by T (Hinton et al. 2015).

        Args:
            predictions: what :meth:`forward` gave.
            taught: what :meth:`teach` of each teacher gave, of the same batch.
            targets: as of :meth:`score`; what has none takes no part.
            temperature: T.

        Raises:
            SettingError: this head does not say how; the message names it.
            ShapeError: a teacher says something of another shape.
        """
        raise SettingError(
            f"distil.teacher: {type(self).__name__} does not say how far it is from a teacher (by "
            "a `distilled` of its own); train without one, or with another head"
        )


class LabelingHead(Head):
    """Base of heads that score labels or symbols by a :class:`recurra.Projection`.

    ``output_size`` is how many there are, ``projection`` what scores them.
    """

    output_size: int
    projection: Projection

    @property
    def reference(self) -> float:
        """The logarithm of the number of labels."""
        return math.log(self.output_size)

    @torch.no_grad()
    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Set the bias to what the labels' frequencies alone say of them.

        Args:
            counts: how often each label occurs; :func:`recurra.heads.base.log_frequencies` says
                what becomes of them, and why.

        Raises:
            ShapeError: counts of more or fewer labels.
        """
        self.projection.bias.copy_(log_frequencies(counts, self.output_size))


def whole_rows(values: Any) -> PaddedSequence:
    """Padded rows as they are; a tensor as rows that are all of its length."""
    return values if isinstance(values, PaddedSequence) else PaddedSequence.from_padded(values)


def log_frequencies(counts: Sequence[int] | Tensor, labels: int) -> Tensor:
    r"""Logarithms of how often labels occur, as a bias that a head begins with.

    .. math:: b_k = \log \frac{n_k + 1}{N + v}

    Before it has learned anything the head then predicts each label as often as it occurs.
    From a bias of 0 that would have to be learned, and an optimizer which moves a number by
    about its learning rate takes thousands of steps to get there: where labels are many, the
    layers below stand in for the bias with saturated states until then, and learn little else.

    Args:
        counts: how often each of the v labels occurs in what is trained on; a label that never
            does counts as if it occurred once in N + v.
        labels: how many there are.

    Raises:
        ShapeError: counts of more or fewer labels.
    """
    seen = torch.as_tensor(counts, dtype=torch.float64)
    if list(seen.shape) != [labels]:
        raise ShapeError(f"starts_at: expected counts of {labels} labels, got {list(seen.shape)}.")
    return ((seen + 1) / (seen.sum() + labels)).log()
