"""Lyapunov exponents where they are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import recurra
from recurra import Cell, HiddenState
from recurra.diagnosis import lyapunov
from recurra.diagnosis.dynamics import exponents
from recurra.errors import SettingError, ShapeError


def linear(matrix: Tensor) -> Cell:
    """The cell s' = matrix s."""
    cell = recurra.ElmanCell(1, len(matrix), activation=None).to(matrix.dtype)
    with torch.no_grad():
        cell.recurrent_weight.copy_(matrix)
    return cell


def nothing(time: int, batch: int = 1) -> Tensor:
    return torch.zeros(time, batch, 1, dtype=torch.float64)


def turning(modulus: float, angle: float) -> Tensor:
    c, s = modulus * math.cos(angle), modulus * math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


DRAWN = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0].double()
MATRICES = {
    "diagonal": torch.diag(torch.tensor([0.2, 1.3, 0.9], dtype=torch.float64)),
    "complex pairs": DRAWN @ torch.block_diag(turning(1.1, 0.7), turning(0.6, 2.0)) @ DRAWN.T,
    "not normal": torch.tensor([[0.9, 30.0, -7], [0, 0.5, 20], [0, 0, -1.2]], dtype=torch.float64),
    "a pair, not normal": torch.block_diag(turning(0.95, 0.3), turning(0.4, 1.0))
    + torch.triu(torch.full((4, 4), 10.0, dtype=torch.float64), 2),
}


@pytest.mark.parametrize("name", MATRICES)
def test_of_a_linear_cell_they_are_the_logarithms_of_its_eigenvalues(name: str) -> None:
    matrix = MATRICES[name]
    wanted = torch.linalg.eigvals(matrix).abs().log().sort(descending=True).values
    found = lyapunov(linear(matrix), nothing(2000), transient=200)
    torch.testing.assert_close(found.exponents[0], wanted, rtol=0, atol=1e-3)
    two = lyapunov(linear(matrix), nothing(2000), transient=200, leading=2)
    assert two.exponents.shape == (1, 2)
    torch.testing.assert_close(two.exponents[0], wanted[:2], rtol=0, atol=1e-3)


def test_the_transient_is_dropped() -> None:
    """Of a matrix that is not normal the first steps say something else."""
    cell = linear(MATRICES["not normal"])
    with_it = lyapunov(cell, nothing(60))
    without = lyapunov(cell, nothing(60), transient=40)
    wanted = math.log(1.2)
    assert abs(float(without.exponents[0, 0]) - wanted) < 1e-3
    assert abs(float(with_it.exponents[0, 0]) - wanted) > 1e-2
    assert without.counted.tolist() == [20]


class Logistic(Cell):
    """x' = 4 x (1 - x), whose exponent is ln 2."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch) + 0.3)

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = 4 * state.h * (1 - state.h)
        return h, HiddenState(h)


def test_chaos() -> None:
    found = lyapunov(Logistic(), nothing(20_000, 2), transient=100, dtype=torch.float64)
    assert found.exponents[:, 0].tolist() == pytest.approx([math.log(2)] * 2, abs=0.01)


def test_each_row_counts_its_own_steps() -> None:
    cell = recurra.GRUCell(1, 4).double()
    inputs = torch.randn(30, 3, 1, dtype=torch.float64)
    lengths = [30, 0, 12]
    inputs[12:, 2] = math.nan
    inputs[:, 1] = math.nan
    found = lyapunov(cell, inputs, lengths=lengths, transient=10)
    assert found.counted.tolist() == [20, 0, 2]
    assert found.exponents[1].isnan().all()
    assert found.growth[12:, 2].isnan().all()
    alone = lyapunov(cell, inputs[:12, 2:], transient=10)
    # Another row begins with other directions, which ten steps have turned but not quite.
    torch.testing.assert_close(
        found.exponents[2].sum(), alone.exponents[0].sum(), rtol=1e-9, atol=0
    )
    assert lyapunov(cell, inputs[:0]).exponents.shape == (3, 4)


def test_the_sum_is_what_happens_to_volumes() -> None:
    """Whatever the directions, the sum of growths is the logarithm of the determinant."""
    cell = recurra.LSTMCell(2, 3).double()
    inputs = torch.randn(15, 2, 2, dtype=torch.float64)
    found = lyapunov(cell, inputs)
    volumes = recurra.diagnosis.jacobians(cell, inputs).matrices.det().abs().log()
    torch.testing.assert_close(found.growth.sum(-1), volumes, rtol=1e-8, atol=1e-8)


def test_what_is_wiped_out_is_minus_infinity() -> None:
    found = lyapunov(linear(torch.diag(torch.tensor([0.5, 0.0]).double())), nothing(50))
    assert found.exponents[0].tolist() == [pytest.approx(math.log(0.5), abs=0.02), -math.inf]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = recurra.LSTMCell(2, 3).double()
    inputs = torch.randn(15, 3, 2, dtype=torch.float64)
    whole = lyapunov(cell, inputs, lengths=[15, 4, 9])
    monkeypatch.setattr(exponents, "_BLOCK", 3 * 36 * 8 * 4)  # four steps
    parts = lyapunov(cell, inputs, lengths=[15, 4, 9])
    torch.testing.assert_close(parts.growth, whole.growth, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_numbers_out_of_range_are_refused() -> None:
    cell = recurra.GRUCell(1, 4)
    inputs = torch.zeros(3, 2, 1)
    with pytest.raises(SettingError, match="leading: expected a whole number of 1 to 4, got 5"):
        lyapunov(cell, inputs, leading=5)
    with pytest.raises(SettingError, match="transient"):
        lyapunov(cell, inputs, transient=-1)
    with pytest.raises(ShapeError, match="Take fewer rows"):
        lyapunov(cell, inputs, memory=100)
