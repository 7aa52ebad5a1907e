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
