"""Conditions beside every symbol, and batches of whole documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.batch import Tokens
from recurra.data import (
    Batches,
    Buckets,
    ByteVocabulary,
    Windows,
    document_batches,
    documents_of,
    encode_to_file,
    open_stream,
    starts_of,
    stream,
    streams,
)
from recurra.errors import DataError, SettingError, ShapeError
from recurra.sequences import PaddedSequence

START, END = 1, 2

lengths_of = st.lists(st.integers(0, 9), min_size=1, max_size=8)
few = st.integers(1, 5)


def numbered(lengths: list[int]) -> list[np.ndarray[Any, Any]]:
    """Documents of these lengths; every symbol of document n is n + 3."""
    return [np.full(length, number + 3) for number, length in enumerate(lengths)]


def labels(count: int) -> np.ndarray[Any, Any]:
    """Two conditions of each document, which tell its number."""
    return np.stack([np.arange(count), 100 + np.arange(count) % 7], 1)


def told_of(number: int) -> list[int]:
    return [number, 100 + number % 7]


# ---------------------------------------------------------------------------------------- streams


@settings(max_examples=100, deadline=None)
@given(lengths_of, st.integers(1, 5))
def test_documents_come_back(lengths: list[int], chunk: int) -> None:
    documents = numbered(lengths)
    ids = stream(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_CHUNK", chunk)
        assert starts_of(ids).tolist() == [n for n, symbol in enumerate(ids) if symbol == START]
        found = documents_of(ids)
    assert [part.tolist() for part in found] == [part.tolist() for part in documents]
    assert all(part.dtype == np.int64 for part in found)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, []),
        (1, [[3]]),
        (2, [[3, 4]]),
        (3, [[3, 4]]),  # the end too
        (4, [[3, 4], []]),
        (5, [[3, 4], [], [5]]),
        (6, [[3, 4], [], [5]]),
        (99, [[3, 4], [], [5]]),
        (None, [[3, 4], [], [5]]),
    ],
)
def test_a_limit_of_symbols(limit: int | None, expected: list[list[int]]) -> None:
    ids = np.array([START, 3, 4, START, START, 5, START], np.uint8)
    assert [part.tolist() for part in documents_of(ids, limit=limit)] == expected


def test_no_stream() -> None:
    assert starts_of(np.zeros(0, np.int64)).tolist() == []
    assert documents_of(np.array([START])) == []


@pytest.mark.parametrize(
    ("ids", "limit", "kind", "message"),
    [
        (np.zeros(0, np.int64), None, DataError, r"begin with <s> \(id 1\), got none"),
        (np.array([3, START]), None, DataError, r"begin with <s> \(id 1\), got 3"),
        (np.array([[START]]), None, ShapeError, r"ids in one row \[symbols\], got \[1, 1\]"),
        (np.array([1.0, 3.0]), None, DataError, "ids, whole numbers, got float64"),
        (np.array([START, 3, START]), -5, SettingError, "limit: .*at least 0, got -5"),
        (np.array([START, 3, START]), 1.5, SettingError, r"limit: .*at least 0, got 1\.5"),
    ],
)
def test_what_is_no_stream(ids: Any, limit: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        documents_of(ids, limit=limit)


# ------------------------------------------------------------------------------------- conditions


def by_hand(lengths: list[int]) -> list[tuple[int, int, list[int]]]:
    """What is read, predicted and given at every step."""
    steps = []
    for number, length in enumerate(lengths):
        read = [START, *[number + 3] * length]
        predicted = [*[number + 3] * length, END]
        pairs = zip(read, predicted, strict=True)
        steps += [(symbol, following, told_of(number)) for symbol, following in pairs]
    return steps


@settings(max_examples=200, deadline=None)
@given(lengths_of, few, few, st.sampled_from([np.int64, np.int32, np.uint8]))
def test_every_step_has_what_is_given_of_its_document(
    lengths: list[int], rows: int, size: int, dtype: Any
) -> None:
    whole = by_hand(lengths)
    steps = len(whole) // rows
    if steps == 0:
        return
    known = np.asfortranarray(labels(len(lengths)).astype(dtype))
    read: list[list[Any]] = [[] for _ in range(rows)]
    for batch in Windows(numbered(lengths), rows=rows, size=size, given=known):
        assert isinstance(batch.inputs, Tokens)
        sides = [*batch.inputs, batch.targets]
        if not isinstance(batch.targets, PaddedSequence):
            sides = [PaddedSequence.from_padded(side) for side in sides]
        ids, given, targets = sides
        assert given.values.dtype == torch.int64
        assert given.values.shape == (*ids.values.shape, 2)
        by_row = zip(ids.to_list(), targets.to_list(), given.to_list(), strict=True)
        for row, step in enumerate(by_row):
            read[row] += zip(*(side.tolist() for side in step), strict=True)
    assert [step for row in read for step in row] == whole


def test_rows_that_begin_in_a_document_of_a_file(tmp_path: Path) -> None:
    texts = ["aaaa", "bbb", "", "ccccc"]  # 5 + 4 + 1 + 6 steps on two rows
    encode_to_file(texts, ByteVocabulary(), tmp_path / "some.ids")
    ids = open_stream(tmp_path / "some.ids")
    windows = Windows(ids, rows=2, size=3, given=labels(4))
    first, second, third = [batch.inputs.given[:, :, 0].T.tolist() for batch in windows]
    assert first == [[0, 0, 0], [1, 2, 3]]
    assert second == [[0, 0, 1], [3, 3, 3]]
    assert third == [[1, 1], [3, 3]]


@settings(max_examples=60, deadline=None)
@given(lengths_of, few, few)
def test_whole_documents_have_what_is_given_of_them(
    lengths: list[int], rows: int, size: int
) -> None:
    documents, known = numbered(lengths), labels(len(lengths))
    found: list[tuple[int, list[int]]] = []
    for group in document_batches(documents, rows=rows, size=size, given=known):
        for batch in group:
            ids, given = batch.inputs
            for row, told in zip(ids.to_list(), given.to_list(), strict=True):
                assert len(row) == len(told)
                found += zip(row.tolist(), told.tolist(), strict=True)
    expected = [(symbol, told) for symbol, _, told in by_hand(lengths)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (2,), (0, 2)])
def test_conditions_of_other_documents(shape: tuple[int, ...]) -> None:
    documents, wrong = numbered([3, 4]), np.zeros(shape, np.int64)
    message = r"given: expected ids of conditions \[2, conditions\].* got \[" + str(shape[0])
    with pytest.raises(ShapeError, match=message):
        Windows(documents, rows=1, size=2, given=wrong)
    with pytest.raises(ShapeError, match=message):
        Buckets(documents, rows=1, given=wrong)
    with pytest.raises(ShapeError, match=message):
        next(document_batches(documents, given=wrong))


# ---------------------------------------------------------------------------------------- buckets


def passed(batches: Batches, number: int) -> list[list[list[int]]]:
    """The documents of a pass, batch by batch."""
    steps = range(number * len(batches), (number + 1) * len(batches))
    return [[row.tolist() for row in batches.batch(n).inputs.to_list()] for n in steps]


def distinct(lengths: list[int]) -> list[list[int]]:
    ids = iter(range(3, 10_000))
    return [[next(ids) for _ in range(length)] for length in lengths]


@settings(max_examples=60, deadline=None)
@given(lengths_of, few, st.integers(0, 3))
def test_every_document_once_a_pass(lengths: list[int], rows: int, number: int) -> None:
    documents = distinct(lengths)
    buckets = Buckets([np.array(d, np.int64) for d in documents], rows=rows, seed=1)
    made = passed(buckets, number)
    assert Counter(tuple(row) for batch in made for row in batch) == Counter(
        (START, *document) for document in documents
    )
    assert sorted(map(len, made), reverse=True)[:-1] == [rows] * (len(buckets) - 1)
    predicted = 0
    for step in range(len(buckets)):
        batch = buckets.batch(step)
        assert batch.resets is None
        assert buckets.begins(step)
        predicted += batch.targets.count
        for row, targets in zip(batch.inputs.to_list(), batch.targets.to_list(), strict=True):
            assert targets.tolist() == [*row.tolist()[1:], END]
    assert predicted == buckets.symbols == sum(lengths) + len(lengths)


def many() -> list[np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    return [np.full(length, n + 3) for n, length in enumerate(draw.integers(0, 40, 500))]


def test_another_order_each_pass_and_the_same_again() -> None:
    documents = many()
    buckets = Buckets(documents, rows=4, seed=5)
    passes = [passed(buckets, number) for number in range(3)]
    assert passes[0] != passes[1] != passes[2]
    # Not only the batches in another order: others meet.
    meetings = [{tuple(map(tuple, batch)) for batch in made} for made in passes]
    assert len(meetings[0] & meetings[1]) < 10
    # A batch is found by its number alone, in any order of asking.
    again = Buckets(stream(documents).astype(np.uint16), rows=4, seed=5)
    for step in (2 * len(again) + 7, 3, len(again), 0):
        want = passes[step // len(again)][step % len(again)]
        assert [row.tolist() for row in again.batch(step).inputs.to_list()] == want
    assert passed(Buckets(documents, rows=4, seed=6), 0) != passes[0]


def test_padding_is_what_it_says_and_little() -> None:
    buckets = Buckets(many(), rows=8)
    steps = filled = 0
    for number in range(len(buckets)):
        inputs = buckets.batch(number).inputs
        steps += inputs.values.shape[0] * inputs.values.shape[1]
        filled += inputs.count
    assert buckets.padding == pytest.approx(1 - filled / steps)
    unsorted = [int(max(map(len, part)) + 1) * 8 for part in zip(*[iter(many())] * 8, strict=False)]
    assert buckets.padding < 0.1 < 1 - buckets.symbols / sum(unsorted)
    assert Buckets(numbered([5] * 7), rows=3).padding == 0


def test_how_many_batches_have_so_many_symbols() -> None:
    buckets = Buckets(numbered([3] * 10), rows=2)  # five batches of eight symbols
    assert len(buckets) == 5
    assert [buckets.count(n) for n in (0, 1, 8, 9, 40)] == [0, 1, 1, 2, 5]
    windows = Windows(numbered([3] * 10), rows=2, size=4)
    assert [windows.count(n) for n in (0, 1, 8, 9, 40)] == [0, 1, 1, 2, 5]
    assert [step for step in range(12) if windows.begins(step)] == [0, 5, 10]
    assert torch.equal(windows.batch(7).inputs, windows[2].inputs)


@settings(max_examples=60, deadline=None)
@given(lengths_of, few)
def test_bucketed_documents_have_what_is_given_of_them(lengths: list[int], rows: int) -> None:
    buckets = Buckets(numbered(lengths), rows=rows, given=labels(len(lengths)))
    found: list[tuple[int, int, list[int]]] = []
    for step in range(len(buckets)):
        batch = buckets.batch(step)
        ids, given = batch.inputs
        assert torch.equal(ids.lengths, given.lengths)
        for parts in zip(ids.to_list(), batch.targets.to_list(), given.to_list(), strict=True):
            found += zip(*(part.tolist() for part in parts), strict=True)
    assert sorted(found) == sorted(by_hand(lengths))


def test_no_document() -> None:
    with pytest.raises(DataError, match="at least one document, got none"):
        Buckets([], rows=2)
