"""Documents end to end in rows, read in windows whose state is carried from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from recurra.checks import check_size
from recurra.errors import DataError
from recurra.sequences import Batch, PaddedSequence
from recurra_runtime.vocabulary import END, START, Ids

__all__ = ["Windows", "document_batches", "stream"]


def stream(documents: Sequence[Ids]) -> tuple[Tensor, Tensor, Tensor]:
    """All documents end to end: what is read, what is predicted, and where each begins.

    A document of n symbols takes n + 1 steps: it reads ``<s>`` and its symbols, and predicts its
    symbols and ``</s>``.

    Returns:
        inputs ``[steps]``, targets ``[steps]`` (both int64) and firsts ``[steps]`` (bool).
    """
    inputs = [np.concatenate([[START], ids]) for ids in documents]
    targets = [np.concatenate([ids, [END]]) for ids in documents]
    firsts = [np.arange(len(part)) == 0 for part in inputs]
    none = np.zeros(0, np.int64)  # np.concatenate needs one part
    return (
        torch.from_numpy(np.concatenate([none, *inputs]).astype(np.int64)),
        torch.from_numpy(np.concatenate([none, *targets]).astype(np.int64)),
        torch.from_numpy(np.concatenate([none, *firsts]).astype(np.bool_)),
    )


class Windows:
    """One pass over all documents: ``rows`` places of the stream at once, ``size`` steps at a time.

    Row b goes on in the next window where it stopped in this one, so its state is to be carried;
    the windows mark where documents begin. The last steps, fewer than ``rows``, that do not fill a
    column are left out; the last window may be shorter. Every iteration is a pass from the start;
    it gives batches with ids ``[time, rows]`` as inputs and targets, and resets (None where there
    are none in the window).

    Args:
        documents: ids.
        rows: batch of the windows.
        size: steps in a window.

    Raises:
        SettingError: rows or size below 1.
        DataError: fewer symbols than rows.
    """

    def __init__(self, documents: Sequence[Ids], *, rows: int, size: int) -> None:
        self.rows, self.size = check_size("rows", rows), check_size("size", size)
        parts = stream(documents)
        steps = len(parts[0]) // rows
        if steps == 0:
            raise DataError(
                f"data: expected at least one symbol for each of {rows} rows, got "
                f"{len(parts[0])} in all. Give more text, or a smaller training.batch_size."
            )
        self._inputs, self._targets, self._firsts = (
            part[: rows * steps].view(rows, steps).t().contiguous() for part in parts
        )

    @property
    def symbols(self) -> int:
        """Symbols predicted in a pass."""
        return self._inputs.numel()

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-len(self._inputs) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        """A pass from the start."""
        for start in range(0, len(self._inputs), self.size):
            span = slice(start, start + self.size)
            resets = self._firsts[span]
            some = resets if bool(resets.any()) else None
            yield Batch(self._inputs[span], self._targets[span], some)


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
