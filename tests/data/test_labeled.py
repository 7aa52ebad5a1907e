"""Rows with a label each: every one once in a pass, like beside like, cut among processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.data import LabeledRows, LikeLengths, row_batches
from recurra.errors import DataError, SettingError, ShapeError
from recurra.training.processes import Processes

ROWS = [np.full(length, number) for number, length in enumerate([3, 0, 5, 2, 2, 9, 1])]
LABELS = np.arange(len(ROWS)) % 3


def seen(batch):
    """Rows of a batch and their labels; a row tells its number by its symbols."""
    pairs = zip(batch.inputs.to_list(), batch.targets, strict=True)
    return [(row.tolist(), label) for row, label in pairs]


def test_a_pass_has_every_row_once_with_its_label() -> None:
    batches = LabeledRows(ROWS, LABELS, size=3, seed=5)
    assert (len(batches), batches.symbols, batches.count(4)) == (3, 7, 2)
    for epoch in range(2):
        found = [pair for n in range(3) for pair in seen(batches.batch(3 * epoch + n))]
        assert sorted(map(str, found)) == sorted(
            map(str, zip((row.tolist() for row in ROWS), torch.from_numpy(LABELS), strict=True))
        )
    assert batches.begins(1)
    assert batches.batch(0).inputs.values.dtype == torch.int64


def test_passes_differ_and_seeds_do() -> None:
    lengths = np.zeros(40, np.int64)
    one, other = LikeLengths(lengths, rows=8, seed=0), LikeLengths(lengths, rows=8, seed=1)
    orders = [tuple(one.rows_of(n).tolist()) for n in (0, 5)] + [tuple(other.rows_of(0).tolist())]
    assert len(set(orders)) == 3
    again = LikeLengths(lengths, rows=8, seed=0)
    assert again.rows_of(5).tolist() == one.rows_of(5).tolist()


def test_little_is_padded() -> None:
    draw = np.random.default_rng(0)
    rows = [np.zeros(n, np.int64) for n in draw.integers(0, 100, 1000)]
    batches = LabeledRows(rows, np.zeros(1000, np.int64), size=10)
    assert 0 < batches.padding < 0.02
    steps = sum(batches.batch(n).inputs.values.numel() for n in range(len(batches)))
    assert batches.padding == pytest.approx(1 - sum(map(len, rows)) / steps)


def test_processes_have_rows_with_their_own_labels() -> None:
    batch = LabeledRows(ROWS, LABELS, size=5).batch(0)
    parts = [Processes(rank, 3).part(batch) for rank in range(3)]
    assert [part.inputs.batch for part in parts] == [1, 2, 2]
    together = [pair for part in parts for pair in seen(part)]
    assert [row for row, _ in together] == [row for row, _ in seen(batch)]
    assert [int(label) for _, label in together] == batch.targets.tolist()


def test_scored_rows_come_back_to_their_places() -> None:
    found = {}
    for places, batch in row_batches(ROWS, LABELS, size=3):
        found |= dict(zip(places.tolist(), seen(batch), strict=True))
    assert [found[n] for n in range(7)] == [
        (r.tolist(), k) for r, k in zip(ROWS, LABELS, strict=True)
    ]
    assert all(batch.targets is None for _, batch in row_batches(ROWS))
    assert list(row_batches([])) == []


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="at least one example"):
        LabeledRows([], np.zeros(0), size=3)
    with pytest.raises(SettingError, match="rows"):
        LabeledRows(ROWS, LABELS, size=0)
    with pytest.raises(ShapeError, match="one for each of 7 rows"):
        LabeledRows(ROWS, LABELS[:3], size=3)
