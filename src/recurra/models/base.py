"""A model is one encoder and one head: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import cell_origin
from recurra.encoders import Encoder
from recurra.errors import SettingError, ShapeError
from recurra.heads import Head
from recurra.heads.base import Explained, Shown
from recurra.layers import LayerOutput
from recurra.states import Tree
from recurra.twins import evaluating

__all__ = ["Model", "Scored"]


class Scored(NamedTuple):
    """How well a model did on a batch.

    Sums rather than means, so that windows of one text, parts of one batch and processes of one
    job add up to the same number.

    Args:
        total: sum of the losses.
        count: number of predictions.
        state: what to carry on to the next window.
    """

    total: Tensor
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    state: Tree


class Model(nn.Module):
    """One encoder and one head.

    ``config`` holds the settings that decide its shape, which an artifact keeps.

    Args:
        encoder: reads the inputs.
        head: makes predictions from what the encoder returned.

    Raises:
        SettingError: the head reads another width than the encoder gives, or shares an embedding
            that the encoder does not have.
    """

    config: Any

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        if head.input_size != encoder.output_size:
            raise SettingError(
                f"model: {type(head).__name__} reads {head.input_size} numbers, "
                f"{type(encoder).__name__} gives {encoder.output_size}"
            )
        table = encoder.embedding_weight
        if head.tied_size is not None and (table is None or table.shape[1] != head.tied_size):
            width = "none" if table is None else f"one of width {table.shape[1]}"
            raise SettingError(
                f"model: {type(head).__name__} shares an embedding of width {head.tied_size}, "
                f"{type(encoder).__name__} has {width}"
            )
        self.encoder = encoder
        self.head = head

    @property
    def origins(self) -> dict[str, str]:
        """Where the cells it names were defined: an artifact keeps this, to say what is missing."""
        recurrent = getattr(self.config, "body", "recurrent") in ("recurrent", "hybrid")
        cell = getattr(self.config, "cell", None) if recurrent else None
        return {} if cell is None else {cell: cell_origin(cell)}

    @property
    def name(self) -> str:
        """What it is called in a table: its cell, or what stands in place of recurrence."""
        body = getattr(self.config, "body", "recurrent")
        return body if body != "recurrent" else getattr(self.config, "cell", type(self).__name__)

    def forward(self, batch: Batch, state: Tree = None) -> Scored:
        """Score the batch's targets.

        Args:
            batch: inputs and targets.
            state: what an earlier window's :class:`Scored` carried; the initial state if None.
        """
        read, shared, state = self._read(batch, state)
        total, count = self.head.loss(read, batch.targets, shared)
        return Scored(total, count, state)

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a prediction; 0 if there is none."""
        scored = self(batch)
        mean: Tensor = scored.total / max(scored.count, 1)
        return mean

    @torch.no_grad()
    def score(self, sequences: Iterable[Iterable[Batch]]) -> tuple[float, int]:
        """Exact score of whole sequences, in evaluation mode and without gradients.

        Args:
            sequences: for each group of sequences its windows in order; the state is carried from
                one to the next, and starts anew with each group.

        Returns:
            sum of the losses, and number of predictions.
        """
        total, count = 0.0, 0
        device = next(self.parameters()).device
        with evaluating(self):
            for group in sequences:
                state = None
                for batch in group:
                    scored = self(batch.to(device), state)
                    state = scored.state
                    total, count = total + float(scored.total), count + scored.count
        return total, count

    def row_losses(self, batch: Batch) -> Tensor | None:
        """The loss of each row, see :meth:`recurra.heads.Head.row_losses`; as it is evaluated.

        Args:
            batch: inputs and targets.
        """
        read, shared, _ = self._read(batch, None)
        return self.head.row_losses(self.head(read, shared), batch.targets)

    def numbers(self, answer: Any, batch: Batch) -> Any:
        """What is compared of answers, see :meth:`recurra.heads.Head.numbers`."""
        return self.head.numbers(answer, batch.targets)

    def explained(self, answer: Any, *, step: bool = False) -> Explained | None:
        """What is explained of an answer, see :meth:`recurra.heads.Head.explained`."""
        return self.head.explained(answer, step=step)

    def answer(self, batch: Batch) -> Any:
        """What :meth:`predict` gives, with gradients, and in the mode that the model is in."""
        read, shared, _ = self._read(batch, None)
        return self.head.predict(read, shared)

    @torch.no_grad()
    def predict(self, batch: Batch) -> Any:
        """What the head answers to the batch's inputs, see :meth:`recurra.heads.Head.predict`.

        For labels these are scores. In evaluation mode and without gradients.
        """
        with evaluating(self):
            return self.answer(batch.to(next(self.parameters()).device))

    @torch.no_grad()
    def show(self, batch: Batch) -> Shown | None:
        """Answers beside the batch's targets, see :meth:`recurra.heads.Head.show`.

        In evaluation mode and without gradients, on the CPU.
        """
        with evaluating(self):
            batch = batch.to(next(self.parameters()).device)
            read, shared, _ = self._read(batch, None)
            found = self.head.show(read, batch.targets, shared)
        if found is None:
            return None
        return Shown(*(None if each is None else each.to("cpu") for each in found))

    # ---- teachers --------------------------------------------------------------------------------

    @torch.no_grad()
    def teach(self, batch: Batch, state: Tree = None) -> tuple[Any, Tree]:
        """What a student is held against, and what to carry on to the next window.

        In evaluation mode and without gradients.

        Args:
            batch: as of :meth:`forward`, like the other.
            state: what an earlier call gave.
        """
        with evaluating(self):
            read, shared, state = self._read(batch, state)
            return self.head.teach(read, shared), state

    def check_teacher(self, teacher: Model) -> None:
        """Whether this model can learn from another one of its task, over the same fronts.

        Raises:
            SettingError: it cannot; the message says why.
        """
        if type(self.head).distilled is Head.distilled:
            raise SettingError(
                f"distil.teacher: {type(self.head).__name__} has no `distilled`, which would say "
                "how far it is from a teacher; train without a teacher, or with another head"
            )
        if type(teacher.head) is not type(self.head):
            raise SettingError(
                f"distil.teacher: expected a teacher with a {type(self.head).__name__}, as the "
                f"student has, got {type(teacher.head).__name__}"
            )

    def distilled(
        self, batch: Batch, state: Tree, taught: Sequence[Any], temperature: float
    ) -> tuple[Scored, Tensor]:
        """Score the targets, and how far this model is from teachers.

        Args:
            batch: as of :meth:`forward`, like the other.
            state: what an earlier call gave.
            taught: what :meth:`teach` of each teacher gave of this batch.
            temperature: see :meth:`recurra.heads.Head.distilled`.

        Returns:
            as :meth:`forward`, and the sum that :meth:`recurra.heads.Head.distilled` gives.
        """
        read, shared, state = self._read(batch, state)
        said = self.head(read, shared)
        total, count = self.head.score(said, batch.targets)
        soft = self.head.distilled(said, taught, batch.targets, temperature)
        return Scored(total, count, state), soft

    def _predictions(self, batch: Batch, state: Tree) -> tuple[Any, Tree]:
        read, shared, state = self._read(batch, state)
        return self.head(read, shared), state

    def _read(self, batch: Batch, state: Tree) -> tuple[LayerOutput, Tensor | None, Tree]:
        """What the layers gave, the embedding that it shares, and the new state."""
        read = self.encoder(batch.inputs, state, batch.context, batch.resets)
        shared = self.encoder.embedding_weight if self.head.tied_size is not None else None
        return read, shared, read.state

    def initial_state(self, batch: int) -> Tree:
        """The encoder's state before the first step, for ``batch`` rows.

        Raises:
            ShapeError: the encoder is not causal, so that nothing can be carried.
        """
        if not self.encoder.causal:
            raise ShapeError("state: this model reads both ways, so it cannot go step by step.")
        return self.encoder.initial_state(batch)
