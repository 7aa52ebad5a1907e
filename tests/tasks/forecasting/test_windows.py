"""Windows of series: every step once, in its order, with the state that belongs to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.sequences import PaddedSequence
from recurra.tasks.forecasting.windows import SeriesWindows, Stretch, groups_of, read_of
from recurra_runtime.fronts import Series

NAN = math.nan


def count_up(steps: int, begin: int = 0) -> np.ndarray:
    return np.arange(begin, begin + steps, dtype=np.float32)[:, None]


def rows_of(value):
    return value.to_list() if isinstance(value, PaddedSequence) else list(value.unbind(1))


def test_what_is_read_is_what_the_front_gives():
    values = np.array([[1, NAN], [NAN, 3], [5, 6]], np.float32)
    front = Series(["a", "b"], [0, 0], [1, 1], mask=True)
    assert np.array_equal(read_of(values), front.encode(values))


@pytest.mark.parametrize(("rows", "size"), [(1, 7), (3, 5), (4, 100), (50, 2)])
def test_every_step_is_read_once_and_in_order(rows, size):
    series = [count_up(23, 1), count_up(0), count_up(1, 100), count_up(31, 1000)]
    windows = SeriesWindows(series, rows=rows, size=size)
    assert windows.symbols == 55
    assert windows.rows == max(1, min(rows, 55 // size))
    seen = [[] for _ in range(windows.rows)]
    for step in range(len(windows)):
        batch = windows.batch(step)
        firsts = rows_of(batch.resets) if batch.resets is not None else None
        for row, (read, wanted) in enumerate(
            zip(rows_of(batch.inputs), rows_of(batch.targets), strict=True)
        ):
            marks = torch.zeros(len(read)) if firsts is None else firsts[row][: len(read)]
            for (value, missing), (target,), first in zip(
                read.tolist(), wanted.tolist(), marks.tolist(), strict=True
            ):
                # A series begins with nothing known, and only then.
                assert missing == float(target in (1, 100, 1000)) == float(first)
                assert missing or value == target - 1
                seen[row].append(target)
    every = [float(v) for one in series for v in one.ravel()]
    assert [target for row in seen for target in row] == every
    assert windows.begins(0)
    assert windows.begins(len(windows))
    again = windows.batch(len(windows))
    assert [len(row) for row in rows_of(again.targets)] == [
        len(row) for row in rows_of(windows.batch(0).targets)
    ]


@pytest.mark.parametrize("first", [0, 1, 40, 1500, 2499])
def test_a_stretch_reads_what_is_before_it_and_scores_its_own(first):
    one = Stretch(count_up(2500), first)
    ((some, windows),) = groups_of([one])
    assert some == [one]
    reads, targets = [], []
    for batch in windows:
        reads += batch.inputs.values[:, 0].tolist()
        targets += batch.targets.values[:, 0, 0].tolist()
    begin = max(first - 1000, 0)
    assert len(targets) == 2500 - begin
    assert all(math.isnan(target) for target in targets[: first - begin])
    assert targets[first - begin :] == list(range(first, 2500))
    assert reads[0] == ([0, 1] if begin == 0 else [begin - 1, 0])
    assert [value for value, _ in reads[1:]] == list(range(begin, 2499))


def test_pieces_are_the_whole():
    one = Stretch(count_up(2500), 100)
    pieces = list(one.pieces(1000))
    assert [(piece.first, len(piece.values)) for piece in pieces] == [
        (100, 1100), (1100, 2100), (2100, 2500)
    ]  # fmt: skip
    assert sum(piece.known for piece in pieces) == one.known == 2400


def test_what_is_missing_is_not_known():
    values = count_up(10)
    values[[3, 7]] = NAN
    assert Stretch(values, 5).known == 4
    assert SeriesWindows([values], rows=1, size=4).symbols == 8
