"""Whole rows of ids, each with one label, and the batches that a training reads from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from recurra.batch import Batch
from recurra.data.order import LikeLengths
from recurra.errors import DataError, ShapeError
from recurra.sequences import PaddedSequence
from recurra.settings import check_size
from recurra_runtime.vocabulary import Ids

__all__ = ["LabeledRows", "row_batches"]


class LabeledRows:
    """Batches of whole rows of like length with a label each; a pass counts rows.

    Args:
        rows: ids of each, ``[symbols]``; a row may be empty.
        labels: numbers of their classes ``[rows]``.
        size: rows in a batch; the last of a pass may have fewer.
        seed: of the draws, see :class:`recurra.data.LikeLengths`.

    Raises:
        SettingError: a size below 1.
        DataError: no row.
        ShapeError: labels of more or fewer rows.
    """

    def __init__(self, rows: Sequence[Ids], labels: Ids, *, size: int, seed: int = 0) -> None:
        self.rows = check_size("rows", size)
        if not len(rows):
            raise DataError("data: expected at least one text, got none.")
        if np.shape(labels) != (len(rows),):
            raise ShapeError(
                f"labels: expected one for each of {len(rows)} rows, got {list(np.shape(labels))}."
            )
        self._ids, self._labels = rows, np.asarray(labels, np.int64)
        self._order = LikeLengths(np.array([len(ids) for ids in rows]), rows=size, seed=seed)

    @property
    def symbols(self) -> int:
        """Labels predicted in a pass: one a row."""
        return len(self._ids)

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
        return _batch([self._ids[n] for n in chosen], self._labels[chosen])

    def begins(self, step: int) -> bool:
        """Always: no row goes on in another batch."""
        return True


def row_batches(
    rows: Sequence[Ids], labels: Ids | None = None, *, size: int = 64
) -> Iterator[tuple[Ids, Batch]]:
    """Each row once, those of like length together, with its place among all: for scores, answers.

    Args:
        rows: ids of each.
        labels: numbers of their classes ``[rows]``, or None.
        size: rows in a batch.
    """
    order = np.argsort([-len(ids) for ids in rows], kind="stable")
    for first in range(0, len(order), size):
        places = order[first : first + size]
        known = None if labels is None else np.asarray(labels, np.int64)[places]
        yield places, _batch([rows[n] for n in places], known)


def _batch(rows: Sequence[Ids], labels: Ids | None) -> Batch:
    inputs = PaddedSequence.from_list([np.asarray(ids, np.int64) for ids in rows])
    return Batch(inputs, None if labels is None else torch.from_numpy(labels), target_axis=0)
