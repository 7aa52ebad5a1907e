"""What a step changes of its cell is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import recurra
from recurra.engine.record.changed import changed, held_now


class Counting(recurra.Cell):
    """A step that changes what it is told to."""

    def __init__(self, change: Any) -> None:
        super().__init__(3, 3)
        self.read = nn.Linear(3, 3)
        self.change = (change,)  # in a tuple: it is none of the cell's own functions
        self.count, self.log, self.table = 0, [], {"a": 1}

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        self.change[0](self)
        h = torch.tanh(self.read(x) + state.h)
        return h, recurra.HiddenState(h)


def count(cell: Any) -> None:
    cell.count += 1


def log(cell: Any) -> None:
    cell.log.append(1.0)


def table(cell: Any) -> None:
    cell.table["a"] += 1


def new(cell: Any) -> None:
    vars(cell)["fresh"] = object()


@pytest.mark.parametrize(
    ("change", "name"), [(count, "count"), (log, "log"), (table, "table"), (new, "fresh")]
)
def test_the_attribute_is_named(change: Any, name: str) -> None:
    for cell, place in (
        (Counting(change), "self"),
        (recurra.Zoneout(Counting(change)), "self.cell"),
    ):
        said = str(recurra.explain(cell))
        assert f"changes what it reads, other than its state, in {place}.{name}; what" in said


def test_what_is_not_of_the_cell_has_no_name() -> None:
    cell = Counting(count)
    before = held_now(cell)
    assert changed(cell, before) == []
    with torch.no_grad():
        cell.read.weight.add_(1)
    assert changed(cell, before) == []
    cell.eval()
    del cell.table
    assert changed(cell, before) == ["self.training", "self.read.training", "self.table"]
