"""Documents as one stream of ids, and the batches that a training reads from it.

``Windows`` reads on from batch to batch, for long texts; ``Buckets`` reads whole documents of like
length, for lines. Both give the batch of any step by its number, so a training that stops has
nothing to remember of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.batch import Batch, Tokens
from recurra.data.order import LikeLengths
from recurra.errors import DataError, ShapeError
from recurra.sequences import PaddedSequence
from recurra.settings import check_size
from recurra_runtime.vocabulary import END, START, Ids

__all__ = [
    "Batches",
    "Buckets",
    "Windows",
    "document_batches",
    "documents_of",
    "starts_of",
    "stream",
]

Stream = npt.NDArray[Any]
_CHUNK = 1 << 24


def stream(documents: Sequence[Ids]) -> Ids:
    """All documents end to end, each behind its ``<s>``, and one more ``<s>`` at the end.

    A document of n symbols takes n + 1 steps: step t reads ``stream[t]`` and predicts
    ``stream[t + 1]``, or ``</s>`` where another document begins there. So one array says what is
    read, what is predicted and where documents begin; it may be a file mapped into memory.

    Args:
        documents: ids of each, ``[symbols]``; a document may be empty.

    Raises:
        DataError: something else than ids, or a ``<s>`` inside a document.
        ShapeError: ids that do not stand in one row.
    """
    start, parts = np.array([START], np.int64), []
    for number, document in enumerate(documents):
        parts += [start, _checked(document, f"document {number}")]
        if (places := np.flatnonzero(parts[-1] == START)).size:
            raise DataError(
                f"document {number}: expected symbols, got <s> (id {START}) at place {places[0]}. "
                "It stands before a document only and is put there by itself; leave it out."
            )
    return np.concatenate([*parts, start])


def _checked(ids: Any, name: str) -> Ids:
    """Ids of one document."""
    try:
        found = np.asarray(ids)
    except ValueError:  # rows of several lengths
        raise ShapeError(f"{name}: expected ids in one row [symbols], got rows.") from None
    _check_ids(found, name)
    return found.astype(np.int64, copy=False)


def _check_ids(ids: Stream, name: str) -> None:
    """Whole numbers in one row; an empty list has no type."""
    if ids.size and ids.dtype.kind not in "iu":
        raise DataError(
            f"{name}: expected ids, whole numbers, got {ids.dtype} such as {ids.flat[0]!r}. "
            "A vocabulary encodes text as ids."
        )
    if ids.ndim != 1:
        raise ShapeError(f"{name}: expected ids in one row [symbols], got {list(ids.shape)}.")


def _as_stream(documents: Sequence[Ids] | Stream) -> Stream:
    """A stream as it is, or one made of documents."""
    if not isinstance(documents, np.ndarray):
        return stream(documents)
    _check_ids(documents, "stream")
    return documents


def starts_of(ids: Stream) -> Ids:
    """Places of ``<s>`` in a stream, ``[documents + 1]``; it is read in chunks."""
    found = [
        np.flatnonzero(np.asarray(ids[place : place + _CHUNK]) == START) + place
        for place in range(0, len(ids), _CHUNK)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def documents_of(ids: Stream, *, limit: int | None = None) -> list[Ids]:
    """The documents of a stream.

    Args:
        ids: what :func:`stream` made.
        limit: how many symbols are enough; the last document is cut there.

    Raises:
        DataError: something that does not begin with ``<s>``, and so is no stream.
        SettingError: a limit below 0.
        ShapeError: ids that do not stand in one row.
    """
    if limit is not None:
        check_size("limit", limit, 0)
    _check_ids(np.asarray(ids), "stream")
    if not len(ids) or ids[0] != START:
        raise DataError(
            f"stream: expected ids that begin with <s> (id {START}), got "
            f"{int(ids[0]) if len(ids) else 'none'}. recurra.data.stream makes one of documents."
        )
    ids = ids if limit is None else ids[: limit + 1]
    places = starts_of(ids).tolist()
    ends = [*places[1:], len(ids)]
    pairs = [(start, stop) for start, stop in zip(places, ends, strict=True)]
    if places and places[-1] == len(ids) - 1:  # the mark behind the last document
        pairs.pop()
    return [np.asarray(ids[start + 1 : stop], np.int64) for start, stop in pairs]


class Batches(Protocol):
    """What a training reads: the batch of every step, by number."""

    rows: int

    @property
    def symbols(self) -> int:
        """Symbols predicted in a pass."""

    def __len__(self) -> int:
        """Batches in a pass."""

    def count(self, symbols: int) -> int:
        """How many batches of a pass have so many symbols together, or a little more."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted through all passes."""

    def begins(self, step: int) -> bool:
        """Whether nothing is carried into a step."""


class Windows:
    """One pass over all documents: ``rows`` places of the stream at once, ``size`` steps at a time.

    Row b goes on in the next window where it stopped in this one, so its state is to be carried;
    the windows mark where documents begin. Every iteration is a pass from the start; it gives
    batches with ids ``[time, rows]`` as inputs and targets, and resets (None where there are none
    in the window). The last window may be shorter; where the rows do not divide the steps, the
    first rows have one more, and that window's ids are PaddedSequences. Any window can also be had
    by its number.

    Args:
        documents: ids, or what :func:`stream` made of them.
        rows: batch of the windows.
        size: steps in a window.
        given: ids of the conditions of each document ``[documents, conditions]``, or None.

    Raises:
        SettingError: rows or size below 1.
        DataError: fewer symbols than rows, or as :func:`stream`.
        ShapeError: conditions of more or fewer documents, or as :func:`stream`.
    """

    def __init__(
        self,
        documents: Sequence[Ids] | Stream,
        *,
        rows: int,
        size: int,
        given: Ids | None = None,
    ) -> None:
        self.rows, self.size = check_size("rows", rows), check_size("size", size)
        self._stream = _as_stream(documents)
        self._steps, self._longer = divmod(len(self._stream) - 1, rows)
        if self._steps == 0:
            raise DataError(
                f"data: expected at least one symbol for each of {rows} rows, got "
                f"{len(self._stream) - 1} in all. Give more text, or a smaller "
                "training.batch_size."
            )
        numbers = np.arange(rows)
        self._begins = numbers * self._steps + np.minimum(numbers, self._longer)
        # Rows of one length begin evenly; one view of them all is cut faster than each of them.
        self._rows = [
            self._evenly(0, self._longer, self._steps + 1),
            self._evenly(self._longer, rows, self._steps),
        ]
        self._given = self._starts = None
        if given is not None:
            self._starts = starts_of(self._stream)
            self._given = _conditions(given, len(self._starts) - 1)

    def _evenly(self, first: int, last: int, steps: int) -> Stream:
        """Some rows of so many steps, with what follows the last one ``[rows, steps + 1]``."""
        ids = self._stream.view(np.ndarray)[self._begins[first] if first < last else 0 :]
        shape, skip = (last - first, steps + 1), ids.strides[0]
        return np.lib.stride_tricks.as_strided(ids, shape, (steps * skip, skip), writeable=False)

    @property
    def symbols(self) -> int:
        """Symbols predicted in a pass."""
        return len(self._stream) - 1

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-self.symbols // (self.rows * self.size))

    def __getitem__(self, number: int) -> Batch:
        """The window of a number.

        Raises:
            IndexError: there is none.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"windows: expected 0 to {len(self) - 1}, got {number}")
        start = number * self.size
        stop = min(start + self.size, self._steps + (self._longer > 0))
        ids = np.full((stop - start + 1, self.rows), END, np.int64)
        longer, others = (rows[:, start : stop + 1].T for rows in self._rows)
        ids[:, : self._longer] = longer
        ids[: len(others), self._longer :] = others
        read = torch.from_numpy(ids)
        starts = read == START
        firsts, targets = starts[:-1], read[1:].masked_fill(starts[1:], END)
        lengths = None
        if stop > self._steps:  # what stands behind the end of a shorter row begins the next one
            firsts[-1, self._longer :] = False
            lengths = torch.full((self.rows,), self._steps - start)
            lengths[: self._longer] += 1
        inputs: Any = _lengthy(read[:-1], lengths)
        if self._given is not None:
            assert self._starts is not None
            before = np.searchsorted(self._starts, self._begins + start, side="right") - 1
            before = np.minimum(before, len(self._given) - 1)  # an empty row behind all documents
            document = torch.from_numpy(before) + (firsts.cumsum(0) - firsts[:1].long())
            inputs = Tokens(inputs, _lengthy(torch.from_numpy(self._given)[document], lengths))
        return Batch(inputs, _lengthy(targets, lengths), firsts if bool(firsts.any()) else None)

    def __iter__(self) -> Iterator[Batch]:
        """A pass from the start."""
        return (self[number] for number in range(len(self)))

    def count(self, symbols: int) -> int:
        """How many windows of a pass have so many symbols; the last of a pass may be shorter."""
        return -(-symbols // (self.rows * self.size))

    def batch(self, step: int) -> Batch:
        """The window of a step; every pass is the same."""
        return self[step % len(self)]

    def begins(self, step: int) -> bool:
        """Whether a pass begins."""
        return step % len(self) == 0


class Buckets:
    """Whole documents of like length beside each other, in another order in every pass.

    :class:`recurra.data.LikeLengths` draws it.

    Args:
        documents: ids, or what :func:`stream` made of them.
        rows: documents in a batch; the last of a pass may have fewer.
        given: ids of the conditions of each document ``[documents, conditions]``, or None.
        seed: of the draws.

    Raises:
        SettingError: rows below 1.
        DataError: no document, or as :func:`stream`.
        ShapeError: conditions of more or fewer documents, or as :func:`stream`.
    """

    def __init__(
        self,
        documents: Sequence[Ids] | Stream,
        *,
        rows: int,
        given: Ids | None = None,
        seed: int = 0,
    ) -> None:
        self.rows = check_size("rows", rows)
        self._stream = _as_stream(documents)
        starts = starts_of(self._stream)
        self._starts, self._lengths = starts[:-1], np.diff(starts) - 1
        self._given = None if given is None else _conditions(given, len(self._lengths))
        if len(self._lengths) == 0:
            raise DataError("data: expected at least one document, got none.")
        self._order = LikeLengths(self._lengths, rows=self.rows, seed=seed)

    @property
    def symbols(self) -> int:
        """Symbols predicted in a pass."""
        return len(self._stream) - 1

    @property
    def padding(self) -> float:
        """Share of the steps of the first pass that are padding."""
        return self._order.padding(1)

    def __len__(self) -> int:
        """Batches in a pass."""
        return len(self._order)

    def count(self, symbols: int) -> int:
        """How many batches have so many symbols, on average."""
        return -(-symbols * len(self) // self.symbols)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted through all passes."""
        chosen = self._order.rows_of(step)
        documents = [
            np.asarray(self._stream[start : start + length + 1], np.int64)
            for start, length in zip(self._starts[chosen], self._lengths[chosen], strict=True)
        ]
        inputs = PaddedSequence.from_list(documents)
        targets = PaddedSequence.from_list([_targets(ids) for ids in documents])
        if self._given is None:
            return Batch(inputs, targets)
        given = self._given[chosen]
        return Batch(Tokens(inputs, _spread(given, inputs)), targets)

    def begins(self, step: int) -> bool:
        """Always: no document goes on in another batch."""
        return True


def document_batches(
    documents: Sequence[Ids], *, rows: int = 32, size: int = 256, given: Ids | None = None
) -> Iterator[Iterator[Batch]]:
    """Whole documents, some at a time, each in windows: for exact scores.

    Every row starts anew with its document and is predicted to its end, so no symbol is lost and
    none is read without its past. Only one window is padded at a time.

    Args:
        documents: ids.
        rows: documents beside each other, those of like length together.
        size: steps in a window.
        given: ids of the conditions of each document ``[documents, conditions]``, or None.

    Yields:
        for each group of documents its windows, whose state is to be carried.

    Raises:
        ShapeError: conditions of more or fewer documents.
    """
    check_size("rows", rows), check_size("size", size)
    if given is not None:
        given = _conditions(given, len(documents))
    order = sorted(range(len(documents)), key=lambda n: len(documents[n]), reverse=True)
    for first in range(0, len(order), rows):
        some = order[first : first + rows]
        begun = [np.concatenate([[START], documents[n]]) for n in some]
        yield _group(begun, size, None if given is None else given[some])


def _group(documents: Sequence[Ids], size: int, given: Ids | None) -> Iterator[Batch]:
    """The windows of documents beside each other; shorter ones are empty rows in the end."""
    predicted = [_targets(ids) for ids in documents]
    for start in range(0, max(map(len, documents)), size):
        span = slice(start, start + size)
        inputs = PaddedSequence.from_list([ids[span] for ids in documents])
        targets = PaddedSequence.from_list([ids[span] for ids in predicted])
        yield Batch(inputs if given is None else Tokens(inputs, _spread(given, inputs)), targets)


def _lengthy(values: Tensor, lengths: Tensor | None) -> Any:
    """Values ``[time, rows, ...]`` as they are, or as rows of several lengths."""
    return values if lengths is None else PaddedSequence(values, lengths)


def _conditions(given: Ids, documents: int) -> Ids:
    """Checked, and as torch takes them."""
    given = np.ascontiguousarray(given, np.int64)
    if given.ndim != 2 or len(given) != documents:
        raise ShapeError(
            f"given: expected ids of conditions [{documents}, conditions], a row for each document,"
            f" got {list(given.shape)}."
        )
    return given


def _targets(document: Ids) -> Ids:
    """What is predicted of a document with its ``<s>``."""
    return np.append(document[1:], END)


def _spread(given: Ids, steps: PaddedSequence) -> PaddedSequence:
    """The conditions of rows at every step."""
    time = steps.values.shape[0]
    values = torch.from_numpy(given).unsqueeze(0).expand(time, *given.shape)
    return PaddedSequence(values, steps.lengths)
