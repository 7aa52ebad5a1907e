"""Recurrent dropout: one held mask in front of the product, and never on the carry."""

import pytest
import torch
from cells.oracles import BATCH, EXACT, INPUT, NORMED, TIME, random_cell, random_inputs

import recurra
from recurra.cells import Noise, cell_by_name
from recurra.engine import run
from recurra.states import leaves


@pytest.mark.parametrize("name", NORMED)
def test_recurrent_dropout_draws_one_scaled_mask(name):
    torch.manual_seed(0)
    cell = cell_by_name(name, INPUT, 50, recurrent_dropout=0.3)
    noise = cell.noise(7, 40)
    assert noise.step is None, "a mask of each step would be new at each"
    assert noise.held.shape == (40, leaves(cell.initial_state(1))[0].shape[1])
    values = noise.held.unique()
    assert torch.allclose(values, torch.tensor([0.0, 1 / 0.7]))
    assert noise.held.mean().item() == pytest.approx(1, abs=0.08)
    assert (noise.held[0] != noise.held[1]).any(), "rows have masks of their own"
    assert cell_by_name(name, INPUT, 50).noise(7, 40) is None


def test_recurrent_dropout_is_off_in_evaluation():
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    cell = random_cell("gru", recurrent_dropout=0.5)
    plain = random_cell("gru")
    torch.manual_seed(0)
    assert not torch.allclose(run(cell, x).outputs, run(plain, x).outputs)
    assert torch.allclose(run(cell.eval(), x).outputs, run(plain, x).outputs)


@pytest.mark.parametrize(
    ("name", "field", "label", "share"),
    [
        ("gru", "h", "update gate", lambda z: z),
        ("gru_reset_before", "h", "update gate", lambda z: z),
        ("mgu", "h", "forget gate", lambda f: 1 - f),
        ("lstm", "c", "forget gate", lambda f: f),
        ("lstm_projected", "c", "forget gate", lambda f: f),
        ("lstm_coupled", "c", "forget gate", lambda f: f),
        ("lstm_multiplicative", "c", "forget gate", lambda f: f),
    ],
)
def test_recurrent_dropout_leaves_the_carry_alone(name, field, label, share):
    """With all of the operand dropped, the gradient still goes through time by the carry."""
    cell = random_cell(name, recurrent_dropout=0.5)
    start = cell.initial_state(1)
    state = type(start)(*(torch.randn_like(leaf).requires_grad_() for leaf in start))
    noise = Noise(held=torch.zeros(1, leaves(start)[0].shape[1], dtype=torch.float64))
    x = random_inputs(cell)[:, :1]
    seen = recurra.named_values(run, cell, x, state, noise=noise)
    end, begin = getattr(seen.result.state, field), getattr(state, field)
    (found,) = torch.autograd.grad(end.sum(), begin, retain_graph=True)
    assert torch.allclose(found, share(seen[label]).prod(0), rtol=0, atol=EXACT)
    if field == "c":
        (through_h,) = torch.autograd.grad(end.sum(), state.h, allow_unused=True)
        assert through_h is None or not through_h.any()
