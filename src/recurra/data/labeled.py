"""Whole rows of numbers, each with its label, and the batches that a training reads from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.data.order import LikeLengths
from recurra.errors import DataError, ShapeError
from recurra.sequences import PaddedSequence
from recurra.settings import check_size
from recurra_runtime.vocabulary import Ids

__all__ = ["ExampleRow", "LabeledRows", "row_batches"]

ExampleRow = npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]
"""What is read of an example, ``[time, ...]``: ids or numbers, or a tuple of several inputs."""


class LabeledRows:
    """Batches of whole rows of like length with a label each; a pass counts rows.

    Args:
        rows: of each example; one may be empty.
        labels: numbers of their classes ``[rows]``, or of several labels 0 or 1 ``[rows,
            classes]``.
        size: rows in a batch; the last of a pass may have fewer.
        seed: of the draws, see :class:`recurra.data.LikeLengths`.

    Raises:
        SettingError: a size below 1.
        DataError: no row.
        ShapeError: labels of more or fewer rows.
    """

    def __init__(
        self, rows: Sequence[ExampleRow], labels: npt.ArrayLike, *, size: int, seed: int = 0
    ) -> None:
        self.rows = check_size("rows", size)
        if not len(rows):
            raise DataError("data: expected at least one example, got none.")
        self._labels = np.asarray(labels, np.int64)
        if self._labels.shape[:1] != (len(rows),):
            raise ShapeError(
                f"labels: expected one for each of {len(rows)} rows, got "
                f"{list(self._labels.shape)}."
            )
        self._rows = rows
        self._order = LikeLengths(np.array([_steps_of(row) for row in rows]), rows=size, seed=seed)

    @property
    def symbols(self) -> int:
        """Labels predicted in a pass: one a row."""
        return len(self._rows)

    @property
    def padding(self) -> float:
        """Share of the steps of the first pass that are padding."""
        return self._order.padding()

    def __len__(self) -> int:
        """Batches in a pass."""
        return len(self._order)

    def count(self, symbols: int) -> int:
        """How many batches have so many rows."""
        return -(-symbols // self.rows)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted through all passes."""
        chosen = self._order.rows_of(step)
        return _batch([self._rows[n] for n in chosen], self._labels[chosen])

    def begins(self, step: int) -> bool:
        """Always: no row goes on in another batch."""
        return True


def row_batches(
    rows: Sequence[ExampleRow], labels: npt.ArrayLike | None = None, *, size: int = 64
) -> Iterator[tuple[Ids, Batch]]:
    """Each row once, those of like length together, with its place among all: for scores, answers.

    Args:
        rows: of each example.
        labels: as of :class:`LabeledRows`, or None.
        size: rows in a batch.
    """
    order = np.argsort([-_steps_of(row) for row in rows], kind="stable")
    for first in range(0, len(order), size):
        places = order[first : first + size]
        known = None if labels is None else np.asarray(labels, np.int64)[places]
        yield places, _batch([rows[n] for n in places], known)


def _steps_of(row: ExampleRow) -> int:
    """Of the longest of its inputs."""
    return max(map(len, row)) if isinstance(row, tuple) else len(row)


def _batch(rows: Sequence[ExampleRow], labels: npt.NDArray[np.int64] | None) -> Batch:
    if isinstance(rows[0], tuple):
        inputs: Any = tuple(_beside(some) for some in zip(*rows, strict=True))
    else:
        inputs = _beside(rows)
    return Batch(inputs, None if labels is None else torch.from_numpy(labels), target_axis=0)


def _beside(rows: Sequence[Any]) -> PaddedSequence:
    """As :meth:`recurra.PaddedSequence.from_list` of ids or numbers, with one array for all."""
    lengths = [len(row) for row in rows]
    first = rows[0]
    kind = np.int64 if np.issubdtype(first.dtype, np.integer) else first.dtype
    values = np.zeros((max(lengths), len(rows), *first.shape[1:]), kind)
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        values[:length, number] = row
    return PaddedSequence(torch.from_numpy(values), torch.tensor(lengths))
