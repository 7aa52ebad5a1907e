"""A cell that looks back, against its equation written out, and by the laws that all cells keep."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import recurra
import recurra.engine as engine
from recurra.cells import AttentionCell, GRUCell, LSTMCell, Memory
from recurra.errors import SettingError, ShapeError
from recurra.sequences import PaddedSequence

INPUT, HIDDEN, MEMORY, PLACES, BATCH, TIME = 3, 4, 5, 6, 4, 5
LENGTHS = [6, 0, 2, 5]  # of the memories
KINDS: dict[str, dict[str, Any]] = {
    "additive": {"attention_size": 7},
    "after the recurrence": {"feeding": False},
    "general": {"score": "general"},
    "dot": {"score": "dot"},
    "coverage": {"aware": "coverage", "places": 8},
    "location": {"aware": "location", "places": 8},
}


def made(kind: str, seed: int = 0) -> AttentionCell:
    torch.manual_seed(seed)
    settings = KINDS[kind]
    width = MEMORY if kind == "dot" else HIDDEN
    fed = width if settings.get("feeding", True) else 0
    cell = AttentionCell(LSTMCell(INPUT + fed, width), MEMORY, **settings).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return cell


def rows(seed: int = 1, fill: float = math.nan) -> PaddedSequence:
    """What is looked at, with NaN behind each row."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(PLACES, BATCH, MEMORY, dtype=torch.float64, generator=generator)
    for row, length in enumerate(LENGTHS):
        values[length:, row] = fill
    return PaddedSequence(values.requires_grad_(), LENGTHS)


def inputs(time: int = TIME) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(time, BATCH, INPUT, dtype=torch.float64, generator=generator)


def by_hand(cell: AttentionCell, kind: str, x: Tensor, row: int) -> list[Tensor]:
    """One row, alone, place by place."""
    memory = rows().values.detach()[: LENGTHS[row], row]
    state = cell.cell.initial_state(1)
    y = torch.zeros(1, cell.output_size, dtype=torch.float64)
    looked = torch.zeros(len(memory), dtype=torch.float64)
    said = []
    for step in x:
        read = torch.cat([step[None], y], 1) if cell.feeding else step[None]
        h, state = cell.cell.step(read, state)
        scores = []
        for place, m in enumerate(memory):
            if kind == "dot":
                scores.append(h[0] @ m)
            elif kind == "general":
                scores.append(h[0] @ (cell.keys @ m))
            else:
                inside = cell.query @ h[0] + cell.keys @ m
                if kind == "coverage":
                    inside = inside + cell.looks[:, 0] * looked[place]
                if kind == "location":
                    around = functional.pad(looked, (3, 3))[place : place + 7]
                    inside = inside + cell.looks @ (cell.filters[:, 0] @ around)
                scores.append(cell.scores @ torch.tanh(inside))
        found = torch.zeros(MEMORY, dtype=torch.float64)
        if len(memory):
            weights = torch.stack(scores).softmax(0)
            found = weights @ memory
            looked = looked + weights if kind == "coverage" else weights
        y = torch.tanh(cell.mix @ torch.cat([h[0], found]))[None]
        said.append(y[0])
    return said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["loop", "native"])
def test_the_equation(kind: str, backend: Any) -> None:
    cell, x = made(kind), inputs()
    outputs, _, _ = engine.run(cell, x, context=cell.memory(rows()), backend=backend)
    for row in range(BATCH):
        torch.testing.assert_close(
            outputs[:, row], torch.stack(by_hand(cell, kind, x[:, row], row))
        )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_loop_and_padding_has_none(kind: str) -> None:
    cell, found = made(kind), {}
    for backend in ("loop", "native"):
        memory, x = rows(), inputs().requires_grad_()
        outputs, _, _ = engine.run(cell, x, context=cell.memory(memory), backend=backend)
        (outputs * torch.arange(1.0, BATCH + 1, dtype=torch.float64)[:, None]).sum().backward()
        found[backend] = [x.grad, memory.values.grad, *(p.grad for p in cell.parameters())]
        cell.zero_grad()
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    of_memory = found["loop"][1]
    for row, length in enumerate(LENGTHS):
        assert not of_memory[length:, row].any()
        assert not length or of_memory[:length, row].any()


@pytest.mark.parametrize("kind", KINDS)
def test_whole_chunks_and_steps(kind: str) -> None:
    cell, x = made(kind), inputs()
    memory = cell.memory(rows())
    layer = recurra.Recurrent(cell)
    whole = layer(x, context=memory)
    for sizes in ((2, 3), (1,) * TIME):
        state, said, at = None, [], 0
        for size in sizes:
            part = layer(x[at : at + size], state, memory)
            said.append(part.outputs)
            state, at = part.state, at + size
        torch.testing.assert_close(torch.cat(said), whole.outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_more_room_and_mates_change_nothing(kind: str) -> None:
    cell, x = made(kind), inputs()
    layer = recurra.Recurrent(cell)
    whole = layer(x, context=cell.memory(rows())).outputs
    wide = rows().values.detach()
    wide = torch.cat([wide, wide.new_full((2, BATCH, MEMORY), math.nan)])
    roomy = cell.memory(PaddedSequence(wide, LENGTHS))
    torch.testing.assert_close(layer(x, context=roomy).outputs, whole)
    for row, length in enumerate(LENGTHS):
        alone = PaddedSequence(wide[: max(length, 1), row : row + 1], [length])
        said = layer(x[:, row : row + 1], context=cell.memory(alone)).outputs
        torch.testing.assert_close(said[:, 0], whole[:, row])


def test_weights_have_a_name_and_sum_to_1() -> None:
    cell = made("additive")
    layer = recurra.Recurrent(cell)
    seen = recurra.named_values(layer, inputs(), context=cell.memory(rows()))
    weights = seen["attention"]
    assert weights.shape == (TIME, BATCH, 8)
    torch.testing.assert_close(weights.sum(2), torch.ones(TIME, BATCH, dtype=torch.float64))
    for row, length in enumerate(LENGTHS):
        assert not length or not weights[:, row, length:].any()


def test_a_memory_has_a_round_number_of_places() -> None:
    cell = made("additive")
    assert cell.memory(rows()).values.shape == (BATCH, 8, MEMORY)
    room = [
        cell.memory(PaddedSequence(torch.zeros(n, 1, MEMORY).double(), [n])) for n in range(300)
    ]
    sizes = [len(memory.values[0]) for memory in room]
    assert all(n <= size <= max(1.25 * n, n + 3, 4) for n, size in enumerate(sizes))
    assert sorted({*sizes})[:8] == [4, 8, 12, 16, 20, 24, 28, 32]
    assert sorted({*sizes})[8:16] == [40, 48, 56, 64, 80, 96, 112, 128]
    empty = PaddedSequence(torch.zeros(0, 2, MEMORY, dtype=torch.float64), [0, 0])
    memory = cell.memory(empty)
    assert memory.values.shape == (2, 4, MEMORY)
    assert recurra.Recurrent(cell)(inputs()[:, :2], context=memory).outputs.isfinite().all()


def test_a_gru_looks_back_too() -> None:
    torch.manual_seed(0)
    cell = AttentionCell(GRUCell(INPUT + HIDDEN, HIDDEN), MEMORY).double()
    said, state = cell(inputs()[0], context=cell.memory(rows()))
    assert said.shape == (BATCH, HIDDEN)
    torch.testing.assert_close(state.y, said)


def test_what_is_refused() -> None:
    inner = LSTMCell(INPUT + HIDDEN, HIDDEN)
    with pytest.raises(SettingError, match="'additive', 'general', 'dot', got 'best'"):
        AttentionCell(inner, MEMORY, score="best")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="needs a memory as wide as the cell's output, got 5"):
        AttentionCell(inner, MEMORY, score="dot")
    with pytest.raises(SettingError, match="says how many places"):
        AttentionCell(inner, MEMORY, aware="coverage")
    with pytest.raises(SettingError, match="with feeding the cell reads x and its own output"):
        AttentionCell(LSTMCell(HIDDEN, HIDDEN), MEMORY)
    cell = made("coverage")
    with pytest.raises(ShapeError, match="expected a memory as context"):
        cell(inputs()[0])
    with pytest.raises(ShapeError, match=r"expected \[places, batch, 5\], got \[6, 4, 3\]"):
        cell.memory(PaddedSequence(torch.zeros(6, 4, 3), [6] * 4))
    with pytest.raises(ShapeError, match="at most 8 places, got 9"):
        cell.memory(PaddedSequence(torch.zeros(9, 4, MEMORY, dtype=torch.float64), [9] * 4))
    assert isinstance(made("dot").memory(rows()), Memory)
