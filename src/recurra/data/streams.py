"""Documents end to end in rows, read in windows whose state is carried from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from recurra.checks import check_size
from recurra.errors import DataError
from recurra.sequences import Batch, PaddedSequence
from recurra_runtime.vocabulary import END, START, Ids

__all__ = ["Windows", "document_batches", "stream"]


def stream(documents: Sequence[Ids]) -> Ids:
    """All documents end to end, each behind its ``<s>``, and one more ``<s>`` at the end.

    A document of n symbols takes n + 1 steps: step t reads ``stream[t]`` and predicts
    ``stream[t + 1]``, or ``</s>`` where another document begins there. So one array says what is
    read, what is predicted and where documents begin; it may be a file mapped into memory.
    """
    start = np.array([START], np.int64)
    return np.concatenate([part for ids in documents for part in (start, ids)] + [start])


class Windows:
    """One pass over all documents: ``rows`` places of the stream at once, ``size`` steps at a time.

    Row b goes on in the next window where it stopped in this one, so its state is to be carried;
    the windows mark where documents begin. The last steps, fewer than ``rows``, that do not fill a
    column are left out; the last window may be shorter. Every iteration is a pass from the start;
    it gives batches with ids ``[time, rows]`` as inputs and targets, and resets (None where there
    are none in the window). Any window can also be had by its number.

    Args:
        documents: ids, or what :func:`stream` made of them.
        rows: batch of the windows.
        size: steps in a window.

    Raises:
        SettingError: rows or size below 1.
        DataError: fewer symbols than rows.
    """

    def __init__(self, documents: Sequence[Ids] | Ids, *, rows: int, size: int) -> None:
        self.rows, self.size = check_size("rows", rows), check_size("size", size)
        self._stream = documents if isinstance(documents, np.ndarray) else stream(documents)
        self._steps = (len(self._stream) - 1) // rows
        if self._steps == 0:
            raise DataError(
                f"data: expected at least one symbol for each of {rows} rows, got "
                f"{len(self._stream) - 1} in all. Give more text, or a smaller "
                "training.batch_size."
            )

    @property
    def symbols(self) -> int:
        """Symbols predicted in a pass."""
        return self.rows * self._steps

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-self._steps // self.size)

    def __getitem__(self, number: int) -> Batch:
        """The window of a number.

        Raises:
            IndexError: there is none.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"windows: expected 0 to {len(self) - 1}, got {number}")
        start, stop = number * self.size, min((number + 1) * self.size, self._steps)
        places = [row * self._steps for row in range(self.rows)]
        cut = [self._stream[place + start : place + stop + 1] for place in places]
        ids = torch.from_numpy(np.stack(cut, 1).astype(np.int64))
        firsts, targets = ids[:-1] == START, ids[1:]
        targets = torch.where(targets == START, END, targets)
        return Batch(ids[:-1], targets, firsts if bool(firsts.any()) else None)

    def __iter__(self) -> Iterator[Batch]:
        """A pass from the start."""
        return (self[number] for number in range(len(self)))


def document_batches(
    documents: Sequence[Ids], *, rows: int = 32, size: int = 256
) -> Iterator[Iterator[Batch]]:
    """Whole documents, some at a time, each in windows: for exact scores.

    Every row starts anew with its document and is predicted to its end, so no symbol is lost and
    none is read without its past. Only one window is padded at a time.

    Args:
        documents: ids.
        rows: documents beside each other, those of like length together.
        size: steps in a window.

    Yields:
        for each group of documents its windows, whose state is to be carried.
    """
    check_size("rows", rows), check_size("size", size)
    order = sorted(range(len(documents)), key=lambda n: len(documents[n]), reverse=True)
    for first in range(0, len(order), rows):
        yield _group([documents[n] for n in order[first : first + rows]], size)


def _group(documents: Sequence[Ids], size: int) -> Iterator[Batch]:
    """The windows of documents beside each other; shorter ones are empty rows in the end."""
    inputs = [np.concatenate([[START], ids]) for ids in documents]
    targets = [np.concatenate([ids, [END]]) for ids in documents]
    for start in range(0, len(inputs[0]), size):
        span = slice(start, start + size)
        yield Batch(
            PaddedSequence.from_list([row[span] for row in inputs]),
            PaddedSequence.from_list([row[span] for row in targets]),
        )
