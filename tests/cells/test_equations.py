"""Every registered cell against its oracle.

Weights, biases, gains and the state to start from are all random.
"""

import math

import numpy as np
import pytest
import torch
from cells.oracles import (
    ACTIVATIONS,
    BATCH,
    EXACT,
    HIDDEN,
    INPUT,
    NORMED,
    ORACLES,
    OURS,
    random_cell,
    random_inputs,
    settings_of,
    through_time,
    worst,
)

import recurra
from recurra.cells import Noise, cell_by_name
from recurra.engine import run
from recurra.states import leaves

CASES = [(name, {}) for name in ORACLES]
CASES += [(name, {"bias": False}) for name in ORACLES]
CASES += [("elman", {"activation": activation}) for activation in ACTIVATIONS]
CASES += [("indrnn", {"activation": activation}) for activation in ("tanh", None)]
CASES += [
    ("jordan", {"output_size": 2}),
    ("jordan", {"output_size": 6, "activation": "relu", "output_activation": "sigmoid"}),
    ("lstm_projected", {"projection_size": 3}),
    ("lstm_projected", {"projection_size": HIDDEN}),
    ("cornn", {"dt": 0.3, "gamma": 1.5, "epsilon": 0.5}),
]
CASES += [(name, {"norm": norm}) for name in NORMED for norm in ("layer", "rms")]
CASES += [(name, {"norm": "layer", "bias": False}) for name in NORMED]
CASES += [(name, {"recurrent_dropout": 0.4}) for name in NORMED]
CASES += [(name, {"recurrent_dropout": 0.4, "norm": "rms"}) for name in NORMED]


def test_every_cell_has_its_oracle():
    assert set(ORACLES) == set(OURS)
    assert set(NORMED) == {name for name in OURS if "norm" in settings_of(name)}


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_equation(name, settings):
    cell = random_cell(name, **settings)
    x = random_inputs(cell)
    state = type(cell.initial_state(1))(
        *(torch.randn_like(leaf) for leaf in cell.initial_state(BATCH))
    )
    if name == "grud":
        state = state._replace(unseen=state.unseen.abs())
    held, mask = None, 1.0
    if "recurrent_dropout" in settings:
        width = leaves(state)[0].shape[1]
        held = torch.tensor([[0.0, 1 / 0.6], [1 / 0.6, 0.0], [1 / 0.6, 1 / 0.6]])
        held = held.double().repeat(1, width)[:, :width]
        mask = held.numpy()
    given = {k: v for k, v in settings.items() if k not in ("bias", "recurrent_dropout")}
    wanted, every = through_time(ORACLES[name], cell, x, state, mask, given)
    noise = None if held is None else Noise(held=held)
    got = run(cell.eval(), x, state, noise=noise, return_states=True, backend="loop")
    assert np.isfinite(wanted).all()
    assert worst(got.outputs, wanted) <= EXACT
    for ours, theirs in zip(leaves(got.states), every, strict=True):
        assert worst(ours, theirs) <= EXACT
    # The backend that is chosen where nobody asks for one.
    assert worst(run(cell, x, state, noise=noise).outputs, wanted) <= EXACT


@pytest.mark.parametrize("name", ORACLES)
def test_every_parameter_takes_part(name):
    """Otherwise two wrongs in it would agree."""
    cell = random_cell(name)
    x = random_inputs(cell)
    before = run(cell, x).outputs
    for parameter in cell.parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(0.05)
        assert (run(cell, x).outputs - before).abs().max() > 1e-7
        with torch.no_grad():
            parameter.copy_(kept)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_every_gain_takes_part(norm):
    for name in NORMED:
        cell = random_cell(name, norm=norm)
        x = random_inputs(cell)
        before = run(cell, x).outputs
        gains = [p for n, p in cell.named_parameters() if n.endswith(("gain", "shift"))]
        assert len(gains) == (4 if "lstm" in name and name != "slstm" else 2)
        for gain in gains:
            with torch.no_grad():
                gain.mul_(1.1)
            after = run(cell, x).outputs
            assert (after - before).abs().max() > 1e-5
            before = after


def test_a_group_is_normalized_at_once():
    """One large block takes the others' size away; a norm of each block alone would not."""
    cell = random_cell("lstm", norm="layer")
    x = random_inputs(cell)
    with torch.no_grad():
        cell.recurrent_gain.zero_()
        before = run(cell, x, return_states=True).states.c
        cell.input_weight[3 * HIDDEN :] *= 100  # of the output gate, which c never sees
        after = run(cell, x, return_states=True).states.c
    assert (after - before).abs().max() > 1e-2
    gru = random_cell("gru", norm="layer")
    with torch.no_grad():
        gates = run(gru, x).outputs
        gru.input_weight[2 * HIDDEN :] *= 100  # n is a group of its own: its scale falls out
        assert (run(gru, x).outputs - gates).abs().max() < 1e-3


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_equal_to_the_cells_of_torch(kind):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, f"{kind}Cell")(INPUT, HIDDEN, dtype=torch.float64)
    ours = cell_by_name(kind.lower(), INPUT, HIDDEN).double()
    with torch.no_grad():
        ours.input_weight.copy_(theirs.weight_ih)
        ours.recurrent_weight.copy_(theirs.weight_hh)
        ours.bias.copy_(theirs.bias_ih)
        if kind == "LSTM":
            ours.bias += theirs.bias_hh
        else:
            ours.bias[: 2 * HIDDEN] += theirs.bias_hh[: 2 * HIDDEN]
            ours.recurrent_bias.copy_(theirs.bias_hh[2 * HIDDEN :])
    state = [torch.randn(BATCH, HIDDEN, dtype=torch.float64) for _ in ours.initial_state(1)]
    mine = type(ours.initial_state(1))(*state)
    for x in random_inputs(ours):
        y, mine = ours(x, mine)
        state = theirs(x, tuple(state) if kind == "LSTM" else state[0])
        state = list(state) if kind == "LSTM" else [state]
        assert (y - state[0]).abs().max() <= EXACT
        assert all((a - b).abs().max() <= EXACT for a, b in zip(mine, state, strict=True))


@pytest.mark.parametrize(
    ("f", "i", "share"),
    [
        (-800.0, -800.0, 0.5),
        (-800.0, -801.0, 1 / (1 + math.exp(-1))),
        (800.0, 800.0, 0.5),
        (-800.0, 800.0, 0.0),
        (800.0, -800.0, 1.0),
        (800.0, 0.0, 2 / 3),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_minlstm_far_out(f, i, share, dtype):
    """Both gates are 0 to rounding, and 0 / 0 no number."""
    cell = recurra.MinLSTMCell(1, 1).to(dtype)
    with torch.no_grad():
        cell.input_weight.copy_(torch.tensor([[f], [i], [5.0]]))
    x = torch.ones(1, 1, 1, dtype=dtype)
    h = torch.full((1, 1), 2.0, dtype=dtype, requires_grad=True)
    got = run(cell, x, recurra.HiddenState(h)).outputs
    got.sum().backward()
    assert got.item() == pytest.approx(share * 2 + (1 - share) * 5, rel=1e-6)
    assert h.grad.item() == pytest.approx(share, rel=1e-6)
    # d share / d f = share (1 - share) (1 - sigmoid f); for i with the other sign.
    away_f, away_i = float(f < 0), float(i < 0) if i else 0.5
    slope = share * (1 - share) * (2 - 5)
    wanted = [slope * away_f, -slope * away_i, 1 - share]
    assert cell.bias.grad.tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-12)
