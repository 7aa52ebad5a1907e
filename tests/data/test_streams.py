"""Windows over documents: by hand on tiny ones, and counted symbol by symbol on others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.batch import Batch
from recurra.data import Buckets, Windows, document_batches, stream
from recurra.errors import DataError, ShapeError
from recurra.sequences import PaddedSequence

START, END = 1, 2


def arrays(*documents: list[int]) -> list[np.ndarray[Any, Any]]:
    return [np.array(document, dtype=np.int64) for document in documents]


def numbered(lengths: list[int]) -> list[list[int]]:
    """Documents of these lengths, no two symbols alike."""
    ids = iter(range(3, 10_000))
    return [[next(ids) for _ in range(length)] for length in lengths]


some = st.lists(st.integers(0, 9), min_size=1, max_size=8)
few = st.integers(1, 5)

TINY = ([5, 6, 7], [], [8])
INPUTS = [START, 5, 6, 7, START, START, 8]
TARGETS = [5, 6, 7, END, END, 8, END]
FIRSTS = [True, False, False, False, True, True, False]


def test_stream_by_hand() -> None:
    ids = stream(arrays(*TINY))
    assert ids.tolist() == [*INPUTS, START]
    (window,) = Windows(ids, rows=1, size=9)
    assert window.inputs.flatten().tolist() == INPUTS
    assert window.targets.flatten().tolist() == TARGETS
    assert window.resets.flatten().tolist() == FIRSTS
    assert window.inputs.dtype == window.targets.dtype == torch.int64


def test_stream_of_nothing() -> None:
    assert stream([]).tolist() == [START]


@pytest.mark.parametrize(
    ("documents", "kind", "message"),
    [
        ("ab", DataError, "document 0: expected ids, whole numbers, got <U1 .*'a'.*vocabulary"),
        ([[3], [1.5]], DataError, r"document 1: expected ids, whole numbers, got float64 .*1\.5"),
        ([[True]], DataError, "document 0: expected ids, whole numbers, got bool"),
        ([[2**70]], DataError, "document 0: expected ids, whole numbers, got object"),
        ([3, 4], ShapeError, r"document 0: expected ids in one row \[symbols\], got \[\]"),
        ([[[3, 4]]], ShapeError, r"document 0: expected ids in one row .*got \[1, 2\]"),
        ([[[3], [4, 5]]], ShapeError, "document 0: expected ids in one row .*got rows"),
        ([[3], [4, START]], DataError, r"document 1: .* got <s> \(id 1\) at place 1\."),
        (np.array([1.0, 3.5, 1.0]), DataError, "stream: expected ids, whole numbers, got float64"),
        (np.array([[1, 3], [4, 1]]), ShapeError, r"stream: expected ids in one row .*got \[2, 2\]"),
    ],
    ids=str,
)
def test_what_is_no_ids(documents: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Windows(documents, rows=1, size=2)
    with pytest.raises(kind, match=message):
        Buckets(documents, rows=1)


def test_ids_of_any_whole_type() -> None:
    ids = stream([[3], np.array([4, 5], np.uint64), np.array([6], np.uint8), []])
    assert ids.dtype == np.int64
    assert ids.tolist() == [START, 3, START, 4, 5, START, 6, START, START]


def test_a_window_by_its_number() -> None:
    windows = Windows(arrays(*numbered([5, 0, 7, 3])), rows=2, size=3)
    for number, window in enumerate(windows):
        for name in ("inputs", "targets"):
            one, other = (evened(getattr(w, name)) for w in (windows[number], window))
            assert torch.equal(one.values, other.values)
            assert torch.equal(one.lengths, other.lengths)
    for number in (-1, len(windows)):
        with pytest.raises(IndexError, match="expected 0 to"):
            windows[number]


def test_windows_by_hand() -> None:
    # Seven steps on two rows: 1 5 6 7 | 1 1 8, and the first has one more.
    first, second = Windows(arrays(*TINY), rows=2, size=2)
    assert first.inputs.tolist() == [[START, START], [5, START]]
    assert first.targets.tolist() == [[5, END], [6, 8]]
    assert first.resets.tolist() == [[True, True], [False, True]]
    assert [row.tolist() for row in second.inputs.to_list()] == [[6, 7], [8]]
    assert [row.tolist() for row in second.targets.to_list()] == [[7, END], [END]]
    assert second.resets is None
    whole, last = Windows(arrays(*TINY), rows=2, size=3)
    assert whole.inputs.shape == (3, 2)
    assert [row.tolist() for row in last.inputs.to_list()] == [[7], []]
    assert [row.tolist() for row in last.targets.to_list()] == [[END], []]


def test_windows_without_a_beginning_have_no_resets() -> None:
    made = list(Windows(arrays([3, 4, 5, 6, 7, 8, 9]), rows=1, size=3))
    assert [batch.inputs.flatten().tolist() for batch in made] == [[1, 3, 4], [5, 6, 7], [8, 9]]
    assert [None if b.resets is None else b.resets.tolist() for b in made] == [
        [[True], [False], [False]],
        None,
        None,
    ]


def evened(values: Any) -> PaddedSequence:
    """Rows as such, also where all are of one length."""
    if isinstance(values, PaddedSequence):
        return values
    return PaddedSequence.from_padded(values)


@settings(max_examples=100, deadline=None)
@given(some, few, few)
def test_windows_go_on_where_they_stopped(lengths: list[int], rows: int, size: int) -> None:
    documents = numbered(lengths)
    inputs = [symbol for document in documents for symbol in [START, *document]]
    targets = [symbol for document in documents for symbol in [*document, END]]
    firsts = [place == 0 for document in documents for place in range(len(document) + 1)]
    steps = len(inputs) // rows
    if steps == 0:
        with pytest.raises(DataError, match=f"each of {rows} rows, got {len(inputs)} in all"):
            list(Windows(arrays(*documents), rows=rows, size=size))
        return

    read: list[list[tuple[int, int, bool]]] = [[] for _ in range(rows)]
    made = list(Windows(arrays(*documents), rows=rows, size=size))
    for batch in made:
        ids = evened(batch.inputs)
        marks = torch.zeros_like(ids.values).bool() if batch.resets is None else batch.resets
        assert batch.resets is None or batch.resets.any()
        assert not marks[~ids.mask].any()
        sides = ids.to_list(), evened(batch.targets).to_list(), marks.T
        for row, triple in enumerate(zip(*sides, strict=True)):
            read[row] += zip(*(side.tolist() for side in triple), strict=False)
    assert [len(batch.inputs) for batch in made[:-1]] == [size] * (len(made) - 1)
    assert 1 <= evened(made[-1].inputs).time <= size
    # Every step is there once, in order.
    assert sum(read, []) == list(zip(inputs, targets, firsts, strict=True))  # noqa: RUF017
    assert {len(row) - steps for row in read} <= {0, 1}
    assert Windows(arrays(*documents), rows=rows, size=size).symbols == len(inputs)
    assert isinstance(made[-1].inputs, PaddedSequence) == (len(inputs) % rows > 0)


def test_windows_need_a_symbol_for_each_row() -> None:
    for documents, number in (((), 0), (([3],), 2)):
        with pytest.raises(DataError, match=f"each of 3 rows, got {number} in all.*batch_size"):
            Windows(arrays(*documents), rows=3, size=2)


def test_document_batches_by_hand() -> None:
    groups = document_batches(arrays([5], [6, 7, 8], [9, 10]), rows=2, size=3)
    group, rest = (list(windows) for windows in groups)
    first, second = group
    assert first.inputs.values.tolist() == [[START, START], [6, 9], [7, 10]]
    assert first.targets.values.tolist() == [[6, 9], [7, 10], [8, END]]
    assert first.inputs.lengths.tolist() == first.targets.lengths.tolist() == [3, 3]
    assert [row.tolist() for row in second.inputs.to_list()] == [[8], []]
    assert [row.tolist() for row in second.targets.to_list()] == [[END], []]
    assert [row.tolist() for row in rest[0].inputs.to_list()] == [[START, 5]]
    assert [row.tolist() for row in rest[0].targets.to_list()] == [[5, END]]
    assert len(rest) == 1
    assert first.resets is None


def joined(group: list[Batch], name: str) -> list[list[int]]:
    """The rows of a group's windows, end to end."""
    rows: list[list[int]] = [[] for _ in group[0].inputs.lengths]
    for batch in group:
        sequence: PaddedSequence = getattr(batch, name)
        for row, part in zip(rows, sequence.to_list(), strict=True):
            row += part.tolist()
    return rows


@settings(max_examples=100, deadline=None)
@given(some, few, few)
def test_document_batches_lose_no_symbol(lengths: list[int], rows: int, size: int) -> None:
    documents = numbered(lengths)
    batches = document_batches(arrays(*documents), rows=rows, size=size)
    groups = [list(group) for group in batches]
    inputs = [row for group in groups for row in joined(group, "inputs")]
    targets = [row for group in groups for row in joined(group, "targets")]
    assert Counter(map(tuple, inputs)) == Counter((START, *document) for document in documents)
    assert targets == [[*row[1:], END] for row in inputs]
    count = sum(batch.targets.count for group in groups for batch in group)
    assert count == sum(lengths) + len(documents)
    assert [len(group[0].inputs.lengths) for group in groups[:-1]] == [rows] * (len(groups) - 1)
    for group in groups:
        assert all(batch.inputs.time <= size for batch in group)
    assert [len(row) for row in inputs] == sorted(map(len, inputs), reverse=True)


def test_document_batches_of_nothing() -> None:
    assert list(document_batches([], rows=2, size=2)) == []
