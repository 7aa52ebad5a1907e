"""Symbols in the order of the steps, where nobody says which step says which."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recurra.decoding import best_path
from recurra.errors import ShapeError
from recurra.heads.base import Explained, Head, Shown, whole_rows
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence

__all__ = ["AlignmentHead", "least_steps"]

_UNSAID = 1e-6  # how probable a symbol that never occurs is taken to be at the start


def least_steps(targets: PaddedSequence) -> Tensor:
    """Steps that each row of symbols ``[symbols, batch]`` needs at least, int64 ``[batch]``.

    One a symbol, and between two that are alike one more for the blank.
    """
    values, lengths = targets.values, targets.lengths
    again = values[1:] == values[:-1]
    places = torch.arange(1, max(len(values), 1), device=values.device)[:, None]
    return lengths + (again & (places < lengths)).sum(0)


class AlignmentHead(Head):
    r"""Connectionist temporal classification (Graves et al. 2006).

    .. math::

        p(y \mid x) = \sum_{\pi \in B^{-1}(y)} \prod_t p(\pi_t \mid x_t), \qquad
        p(\cdot \mid x_t) = \mathrm{softmax}(W h_t + c)

    Each step says a symbol or nothing, the blank; B joins equal symbols beside each other and then
    leaves the blanks out. All alignments of the steps with the text are summed. Symbols are
    numbered from 0, the blank behind the last.

    A text that needs more steps than there are (:func:`least_steps`) has the probability 0, as has
    one with a negative number, a symbol that nobody has a name for: such rows are in no loss, and
    :meth:`fits` tells which they are. A row of no step has no text but the empty one; an empty text
    is scored by its blanks and counts no symbol.

    Args:
        input_size: width of a step's output.
        labels: number of symbols, the blank not counted.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.

    Raises:
        SettingError: a rate out of range.
    """

    def __init__(
        self, input_size: int, labels: int, *, dropout: float = 0.0, held: bool = False
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, labels + 1
        self.projection = Projection(input_size, labels + 1, dropout=dropout, held=held)

    @property
    def blank(self) -> int:
        """Number of the symbol that says nothing."""
        return self.output_size - 1

    @property
    def reference(self) -> float:
        """The logarithm of the number of symbols."""
        return math.log(self.blank)

    @torch.no_grad()
    def starts_at(self, counts: Tensor, steps: int) -> None:
        """Set the bias to what frequencies alone say: a symbol at one step each, else the blank.

        Args:
            counts: how often each symbol occurs in what is trained on ``[labels]``.
            steps: of all rows.

        Raises:
            ShapeError: counts of more or fewer symbols.
        """
        if list(counts.shape) != [self.blank]:
            raise ShapeError(
                f"starts_at: expected counts of {self.blank} symbols, got {list(counts.shape)}."
            )
        silent = (steps - counts.sum()).clamp(min=1).view(1)
        shares = torch.cat([counts, silent]).double() / max(steps, 1)
        self.projection.bias.copy_(shares.clamp(min=_UNSAID).log())

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Outputs ``[time, batch, input_size]`` to log-probabilities ``[time, batch, labels + 1]``.

        The last is that of the blank.
        """
        scores = self.projection(read.outputs, embedding)
        if isinstance(scores, PaddedSequence):
            return scores.map(lambda some: some.log_softmax(-1))
        return scores.log_softmax(-1)

    def fits(self, predictions: Any, targets: Any) -> Tensor:
        """Which rows have the symbols and the steps that their texts need, bool ``[batch]``."""
        said, texts = whole_rows(predictions), whole_rows(targets)
        known = (texts.masked().values >= 0).all(0)
        return known & (least_steps(texts) <= said.lengths)

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Sum of -log p of all texts that fit in nats, and the number of their symbols.

        Args:
            predictions: log-probabilities ``[time, batch, labels + 1]``.
            targets: symbols ``[symbols, batch]``; of the two, one or both may be a PaddedSequence.

        Raises:
            ShapeError: a target that is the blank or none of the symbols, or none of these shapes.
        """
        losses, chosen = self._losses(predictions, targets)
        return losses.sum(), int(whole_rows(targets).lengths[chosen].sum())

    def row_losses(self, predictions: Any, targets: Any) -> Tensor:
        """Of each row, 0 where the text does not fit; arguments as of :meth:`score`."""
        losses, chosen = self._losses(predictions, targets)
        rows = losses.new_zeros(whole_rows(predictions).batch)
        return rows.index_copy(0, chosen, losses)

    def numbers(self, answer: Any, targets: Any = None) -> PaddedSequence:
        """Log-probabilities of symbols and the blank at every step."""
        return whole_rows(answer)

    def explained(self, answer: Any, *, step: bool = False) -> Explained | None:
        """These, where a step is told: which step says which symbol nobody knows beforehand."""
        return Explained(whole_rows(answer)) if step else None

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """The symbols of the best path, and the nats of each whole text; NaN of one too long."""
        said, texts = whole_rows(self(read, embedding)), whole_rows(targets)
        paths = [best_path(row.cpu(), blank=self.blank).symbols for row in said.to_list()]
        nats = self.row_losses(said, texts).masked_fill(~self.fits(said, texts), torch.nan)
        own = [torch.tensor(path, dtype=torch.int64) for path in paths]
        return Shown(PaddedSequence.from_list(own), texts, nats)

    def _losses(self, predictions: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """Of rows whose texts fit, and which these are."""
        said, texts = whole_rows(predictions), whole_rows(targets)
        self._check(said.values, texts)
        chosen = (self.fits(said, texts) & (said.lengths > 0)).nonzero()[:, 0]
        if not len(chosen):
            return said.values[:0].flatten(), chosen
        said, texts = said.select_rows(chosen), texts.select_rows(chosen)
        losses = nn.functional.ctc_loss(
            said.masked().values,
            texts.masked().values.T.long(),
            said.lengths,
            texts.lengths,
            blank=self.blank,
            reduction="none",
        )
        return losses, chosen

    def _check(self, values: Tensor, targets: PaddedSequence) -> None:
        if targets.values.dim() != 2 or values.shape[1:] != (targets.batch, self.output_size):
            raise ShapeError(
                "targets: expected symbols [symbols, batch] beside log-probabilities [time, batch, "
                f"{self.output_size}], got {list(targets.values.shape)} beside "
                f"{list(values.shape)}."
            )
        known = targets.valid()
        if known.numel() and int(known.max()) >= self.blank:
            raise ShapeError(
                f"targets: expected symbols below {self.blank}, which is the blank, got "
                f"{int(known.max())}."
            )
