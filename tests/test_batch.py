"""Batch: what one step of training reads, moved and told apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from recurra.batch import Batch
from recurra.sequences import PaddedSequence


class Fields(NamedTuple):
    words: Any
    marks: Any


def test_batch_moves_every_field() -> None:
    row = torch.ones(2, 1)
    batch = Batch(Fields(row, (row, None)), row, resets=None, context=Fields(row, "note"))
    moved = batch.to("meta")
    assert isinstance(moved.inputs, Fields)
    assert isinstance(moved.context, Fields)
    assert moved.resets is None
    assert moved.context.marks == "note"
    assert moved.inputs.marks[1] is None
    for tensor in (moved.inputs.words, moved.inputs.marks[0], moved.targets, moved.context.words):
        assert tensor.device.type == "meta"
    assert row.device.type == "cpu"
    sequence = PaddedSequence.from_list([[1.0, 2.0], [3.0]])
    moved = Batch(sequence, sequence).to("cpu")
    assert [row.tolist() for row in moved.targets.to_list()] == [[1, 2], [3]]


def test_a_batch_is_itself_alone() -> None:
    row = torch.ones(2, 1)
    batch, twin = Batch(row, row), Batch(row, row)
    assert batch == batch
    assert batch != twin
    assert len({batch, twin}) == 2


def test_rows_are_taken_by_number_in_any_order_and_again() -> None:
    rows = PaddedSequence.from_list([[1.0, 2.0], [3.0], []])
    batch = Batch(rows, torch.tensor([10, 11, 12]), context=torch.arange(3), target_axis=0)
    some = batch.part(lambda size: torch.tensor([size - 1, 0, 0]))
    assert some.inputs.lengths.tolist() == [0, 2, 2]
    assert some.inputs.values[:, 1].tolist() == [1.0, 2.0]
    assert some.targets.tolist() == [12, 10, 10]
    assert some.context.tolist() == [2, 0, 0]
