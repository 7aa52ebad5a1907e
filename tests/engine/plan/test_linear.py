"""Which steps are linear recurrences, by cells whose equations say so."""

import pytest
import torch

import recurra
from recurra.cells import cell_by_name, cell_names
from recurra.engine import explain

LINEAR = {"mingru", "minlstm"}


def is_linear(cell):
    (choice,) = explain(cell).choices
    told = "a linear recurrence" in str(choice)
    assert choice.plan.linear is told
    return told


@pytest.mark.parametrize("name", sorted(cell_names()))
def test_registered_cells(name):
    cell = cell_by_name(name, 4, 4)
    assert is_linear(cell) is (name in LINEAR)


class Step(recurra.Cell):
    """A step of two tensors."""

    def __init__(self, equation):
        super().__init__(4, 4)
        self.equation = equation

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = self.equation(x, state.h)
        return h, recurra.HiddenState(h)


@pytest.mark.parametrize(
    ("linear", "equation"),
    [
        (True, lambda x, h: 0.9 * h + 0.1 * x),
        (True, lambda x, h: torch.lerp(h, x, torch.sigmoid(x))),
        (True, lambda x, h: h / (1 + x * x) - x),
        (True, lambda x, h: torch.where(x > 0, h, -h)),
        (False, lambda x, h: h * h + x),
        (False, lambda x, h: torch.tanh(h) + x),
        (False, lambda x, h: x / (2 + h)),
        (False, lambda x, h: torch.where(h > 0, x, h)),
        (False, lambda x, h: h.flip(1) + x),
        (False, lambda x, h: h @ torch.ones(4, 4) + x),
        (False, lambda x, h: torch.tanh(x)),
    ],
)
def test_equations(linear, equation):
    assert is_linear(Step(equation)) is linear
