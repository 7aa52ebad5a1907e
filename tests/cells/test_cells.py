"""Cells against numbers by hand, and against torch.nn through its own weights."""

import inspect
import itertools

import pytest
import torch

import recurra
from recurra.cells import Noise, cell_by_name, cell_names, initializer
from recurra.cells.base import _REGISTERED
from recurra.engine import run
from recurra.errors import SettingError

tensor = torch.tensor


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def textbook():
    cell = recurra.ElmanCell(2, 2).double()
    with torch.no_grad():
        cell.input_weight.copy_(double([[0.1, 0.2], [0.3, 0.4]]))
        cell.recurrent_weight.copy_(double([[0.5, 0.6], [0.7, 0.8]]))
        cell.bias.fill_(0.1)
    return cell


@pytest.mark.parametrize("backend", ["loop", "aten"])
def test_elman_by_hand(textbook, backend):
    x = double([[[1.0, 2.0]], [[1.0, 2.0]]])
    outputs = run(textbook, x, backend=backend).outputs
    wanted = double([[[0.5370496, 0.8336546]], [[0.8783996, 0.9777135]]])
    assert torch.allclose(outputs, wanted, rtol=0, atol=5e-8)


def test_elman_before_the_activation(textbook):
    textbook.activation = None
    y, _ = textbook(double([[1.0, 2.0]]))
    assert torch.allclose(y, double([[0.6, 1.2]]), rtol=0, atol=1e-15)


def test_changed_activation_is_the_one_used(textbook):
    x = -torch.ones(1, 1, 2, dtype=torch.float64)
    assert (run(textbook, x).outputs < 0).all()
    textbook.activation = torch.relu
    assert (run(textbook, x).outputs == 0).all()
    textbook.activation = torch.sigmoid
    wanted = torch.sigmoid(textbook.input_weight @ x[0, 0] + textbook.bias)
    assert torch.allclose(run(textbook, x).outputs[0, 0], wanted)


def test_lstm_by_hand():
    # One unit, every weight and bias told apart: i, f, g, o.
    cell = recurra.LSTMCell(1, 1).double()
    with torch.no_grad():
        cell.input_weight.copy_(double([[0.1], [0.2], [0.3], [0.4]]))
        cell.recurrent_weight.copy_(double([[0.5], [0.6], [0.7], [0.8]]))
        cell.bias.copy_(double([0.01, 0.02, 0.03, 0.04]))
    from math import exp, tanh

    def sigmoid(v):
        return 1 / (1 + exp(-v))

    x, h, c = 2.0, 0.25, -0.5
    i = sigmoid(0.1 * x + 0.5 * h + 0.01)
    f = sigmoid(0.2 * x + 0.6 * h + 0.02)
    g = tanh(0.3 * x + 0.7 * h + 0.03)
    o = sigmoid(0.4 * x + 0.8 * h + 0.04)
    new_c = f * c + i * g
    new_h = o * tanh(new_c)
    start = recurra.LSTMState(double([[h]]), double([[c]]))
    y, state = cell(double([[x]]), start)
    assert state.c.item() == pytest.approx(new_c, abs=1e-14)
    assert state.h.item() == pytest.approx(new_h, abs=1e-14)
    assert y is state.h


@pytest.mark.parametrize("after", [True, False])
def test_gru_by_hand(after):
    kind = recurra.GRUCell if after else recurra.GRUResetBeforeCell
    cell = kind(1, 1).double()
    with torch.no_grad():
        cell.input_weight.copy_(double([[0.1], [0.2], [0.3]]))
        cell.recurrent_weight.copy_(double([[0.5], [0.6], [0.7]]))
        cell.bias.copy_(double([0.01, 0.02, 0.03]))
        if after:
            cell.recurrent_bias.fill_(0.04)
    from math import exp, tanh

    def sigmoid(v):
        return 1 / (1 + exp(-v))

    x, h = 2.0, 0.25
    r = sigmoid(0.1 * x + 0.5 * h + 0.01)
    z = sigmoid(0.2 * x + 0.6 * h + 0.02)
    candidate = r * (0.7 * h + 0.04) if after else 0.7 * (r * h)
    n = tanh(0.3 * x + 0.03 + candidate)
    wanted = (1 - z) * n + z * h
    y, _ = cell(double([[x]]), recurra.HiddenState(double([[h]])))
    assert y.item() == pytest.approx(wanted, abs=1e-14)


TORCH = {
    "elman": (torch.nn.RNN, {"nonlinearity": "tanh"}),
    "irnn": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
}


def taken_from_torch(name, theirs, bias):
    """Our cell with the weights of torch's layer, through its state_dict."""
    settings = {} if name == "irnn" else {"bias": bias}
    ours = cell_by_name(name, theirs.input_size, theirs.hidden_size, **settings)
    ours.to(theirs.weight_ih_l0.dtype)
    state = theirs.state_dict()
    mine = {
        "input_weight": state["weight_ih_l0"],
        "recurrent_weight": state["weight_hh_l0"],
    }
    if bias and name == "gru":
        size = theirs.hidden_size
        both, n = state["bias_ih_l0"].clone(), state["bias_hh_l0"]
        both[: 2 * size] += n[: 2 * size]
        mine |= {"bias": both, "recurrent_bias": n[2 * size :]}
    elif bias:
        mine["bias"] = state["bias_ih_l0"] + state["bias_hh_l0"]
    ours.load_state_dict(mine)
    return ours


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", ["loop", "aten"])
@pytest.mark.parametrize(
    ("name", "bias"),
    [*itertools.product(TORCH, [True]), ("elman", False), ("lstm", False), ("gru", False)],
)
def test_equal_to_torch(name, bias, backend, dtype):
    kind, settings = TORCH[name]
    torch.manual_seed(0)
    theirs = kind(3, 5, bias=bias, dtype=dtype, **settings)
    ours = taken_from_torch(name, theirs, bias)
    x = torch.randn(7, 4, 3, dtype=dtype)
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = run(ours, mine, backend=backend)
    want, end = theirs(yours)
    weight = torch.randn_like(want)
    (got.outputs * weight).sum().backward()
    (want * weight).sum().backward()
    ends = end if isinstance(end, tuple) else (end,)
    pairs = [(got.outputs, want), (mine.grad, yours.grad)]
    pairs += [(a, b[0]) for a, b in zip(got.state, ends, strict=True)]
    pairs += [
        (ours.input_weight.grad, theirs.weight_ih_l0.grad),
        (ours.recurrent_weight.grad, theirs.weight_hh_l0.grad),
    ]
    if bias:
        pairs.append((ours.bias.grad, theirs.bias_ih_l0.grad))
    if bias and name == "gru":
        pairs.append((ours.recurrent_bias.grad, theirs.bias_hh_l0.grad[10:]))
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12

    def agree(a, b):
        return (a - b).abs().max() <= tolerance * b.abs().max()

    assert all(agree(a, b) for a, b in pairs)
    assert not any(agree(a + 5 * tolerance * b.abs().max(), b) for a, b in pairs)


def test_parameter_counts():
    i, h = 7, 11
    for name, count in {
        "elman": h * (i + h) + h,
        "lstm": 4 * h * (i + h) + 4 * h,
        "gru": 3 * h * (i + h) + 3 * h + h,
        "gru_reset_before": 3 * h * (i + h) + 3 * h,
    }.items():
        made = cell_by_name(name, i, h)
        assert sum(p.numel() for p in made.parameters()) == count
    two = torch.nn.LSTM(i, h)
    assert sum(p.numel() for p in two.parameters()) == 4 * h * (i + h) + 8 * h


def test_irnn():
    cell = recurra.ElmanCell.irnn(3, 4)
    assert torch.equal(cell.recurrent_weight, torch.eye(4))
    assert not cell.bias.any()
    y, _ = cell(torch.zeros(1, 3), recurra.HiddenState(tensor([[1.0, -2.0, 3.0, 0.0]])))
    assert y.tolist() == [[1.0, 0.0, 3.0, 0.0]]


def test_forget_bias():
    start = recurra.LSTMCell(2, 3).bias
    assert start.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
    assert recurra.LSTMCell(2, 3, forget_bias=2.5).bias[3:6].tolist() == [2.5] * 3


def test_weights_start_as_stated():
    torch.manual_seed(0)
    cell = recurra.LSTMCell(30, 40)
    assert cell.input_weight.abs().max() <= (6 / (30 + 160)) ** 0.5
    assert cell.input_weight.abs().max() > 0.95 * (6 / (30 + 160)) ** 0.5
    columns = cell.recurrent_weight.T @ cell.recurrent_weight
    assert torch.allclose(columns, torch.eye(40), atol=1e-5)


@pytest.mark.parametrize("name", ["glorot", "orthogonal", "identity", "normal", "torch", "zeros"])
def test_initializers(name):
    torch.manual_seed(0)
    weight = torch.full((120, 40), float("nan"))
    initializer(name)(weight, 3)
    assert weight.isfinite().all()
    if name == "identity":
        assert torch.equal(weight, torch.eye(40).repeat(3, 1))
    if name == "normal":
        assert weight.std() == pytest.approx(40**-0.5, rel=0.05)
    if name == "torch":
        assert 0.97 * 40**-0.5 < weight.abs().max() <= 40**-0.5
    if name == "zeros":
        assert not weight.any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: initializer("ortogonal"), "orthogonal"),
        (lambda: initializer("identity")(torch.empty(6, 2), 2), "square"),
        (lambda: recurra.ElmanCell(2, 3, activation="thanh"), "tanh"),
        (lambda: recurra.LSTMCell(0, 3), "input_size: expected a whole number"),
        (lambda: recurra.LSTMCell(3, -1), "hidden_size"),
        (lambda: recurra.GRUCell(3, 2.5), "hidden_size"),
        (lambda: recurra.GRUCell(True, 2), "input_size"),
        (lambda: cell_by_name("lstn", 2, 3), "did you mean 'lstm'"),
        (lambda: cell_by_name("lstm", 2, 3, forget=1), "forget"),
        (lambda: recurra.Zoneout(recurra.LSTMCell(2, 3), {"hh": 0.1}), "no field 'hh'"),
        (lambda: recurra.Zoneout(recurra.LSTMCell(2, 3), 1.0), "0 <= rate < 1"),
        (lambda: recurra.Zoneout(recurra.LSTMCell(2, 3), -0.1), "0 <= rate < 1"),
    ],
)
def test_settings_are_checked(make, words):
    with pytest.raises(SettingError, match=words):
        make()


@pytest.mark.parametrize("name", cell_names())
def test_numbers_that_are_none_are_refused(name):
    """By every numeric setting of every cell."""
    for setting in inspect.signature(_REGISTERED[name]).parameters.values():
        if setting.annotation == "float":
            for value in (float("nan"), float("inf"), 1j, "1", None):
                with pytest.raises(SettingError, match=setting.name):
                    cell_by_name(name, 2, 3, **{setting.name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 1j])
def test_a_mean_is_of_finite_numbers(value):
    with pytest.raises(SettingError, match="mean: expected finite numbers"):
        recurra.GRUDCell(2, 3, mean=[value, 0.0])


def test_register():
    @recurra.register("test only")
    class Own(recurra.ElmanCell):
        pass

    assert isinstance(cell_by_name("test only", 2, 3), Own)
    with pytest.raises(SettingError, match="is taken"):
        recurra.register("test only")(recurra.ElmanCell)
    from recurra.cells import base

    del base._REGISTERED["test only"]


def test_a_cell_without_a_step_is_none():
    class Half(recurra.Cell):
        def initial_state(self, batch):
            return recurra.HiddenState(self.zeros(batch))

    with pytest.raises(TypeError, match="step"):
        Half(2, 3)


def test_zeros_follow_the_parameters():
    cell = recurra.GRUCell(2, 3).double()
    assert cell.initial_state(4).h.dtype == torch.float64
    assert recurra.GRUCell(2, 3).bfloat16().initial_state(4).h.dtype == torch.bfloat16


# ---- zoneout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.3, {"h": 0.1, "c": 0.45}])
def test_zoneout_evaluates_to_its_expectation(rate):
    """The mean over all masks, each weighted by its probability, is the evaluated step."""
    torch.manual_seed(0)
    cell = recurra.Zoneout(recurra.LSTMCell(2, 2), rate).double()
    state = recurra.LSTMState(*torch.randn(2, 1, 2, dtype=torch.float64))
    x = torch.randn(1, 2, dtype=torch.float64)
    mean = [torch.zeros(1, 2, dtype=torch.float64) for _ in range(3)]
    for bits in itertools.product([True, False], repeat=4):
        masks = recurra.LSTMState(tensor([bits[:2]]), tensor([bits[2:]]))
        chance = 1.0
        for field in ("h", "c"):
            for kept in getattr(masks, field)[0].tolist():
                chance *= cell.rates[field] if kept else 1 - cell.rates[field]
        y, new = cell.step(x, state, None, Noise((masks, None), (None, None)))
        mean = [m + chance * v for m, v in zip(mean, (y, *new), strict=True)]
    cell.eval()
    y, new = cell(x, state)
    for a, b in zip(mean, (y, *new), strict=True):
        assert (a - b).abs().max() <= 1e-6
    assert y is new.h
    broken = recurra.Zoneout(cell.cell, 0.31 if rate == 0.3 else {"h": 0.11, "c": 0.45}).eval()
    assert (mean[1] - broken(x, state)[1].h).abs().max() > 1e-6


def test_zoneout_in_training_keeps_or_takes():
    torch.manual_seed(0)
    inner = recurra.GRUCell(3, 50)
    cell = recurra.Zoneout(inner, 0.4)
    state = recurra.HiddenState(torch.randn(20, 50))
    x = torch.randn(20, 3)
    new, _ = inner(x, state)
    got = run(cell, x.unsqueeze(0), state)
    kept = got.state.h == state.h
    torch.testing.assert_close(got.state.h, torch.where(kept, state.h, new))
    assert 0.35 < kept.float().mean() < 0.45
    assert torch.equal(got.outputs[0], got.state.h)


def test_zoneout_leaves_other_outputs_alone():
    """y is mixed only where it is a field of the state."""

    class Apart(recurra.ElmanCell):
        def step(self, x, state, context=None, noise=None):
            y, state = super().step(x, state)
            return 2 * y, state

    torch.manual_seed(0)
    inner = Apart(3, 5)
    cell = recurra.Zoneout(inner, 0.9)
    x = torch.randn(1, 4, 3)
    torch.testing.assert_close(run(cell, x).outputs[0], inner(x[0])[0])


def test_rates_changed_later_are_used():
    cell = recurra.Zoneout(recurra.GRUCell(3, 4), 0.5).eval()
    x = torch.randn(2, 4, 3)
    first = run(cell, x).outputs
    cell.rates["h"] = 0.0
    assert torch.equal(run(cell, x).outputs, run(cell.cell, x).outputs)
    assert not torch.equal(first, run(cell, x).outputs)


def test_zoneout_with_a_rate_of_zero_is_the_cell():
    torch.manual_seed(0)
    cell = recurra.Zoneout(recurra.LSTMCell(3, 4), 0.0)
    x = torch.randn(5, 2, 3)
    for lengths in (None, [5, 0], [0, 0]):
        got = run(cell, x, lengths=lengths)
        wanted = run(cell.cell, x, lengths=lengths)
        assert torch.equal(got.outputs, wanted.outputs)
        assert torch.equal(got.state.c, wanted.state.c)


def test_zoneout_leaves_a_counter_alone():
    from typing import NamedTuple

    class Counted(NamedTuple):
        h: torch.Tensor
        steps: torch.Tensor

    class Counting(recurra.ElmanCell):
        def initial_state(self, batch):
            return Counted(self.zeros(batch), torch.zeros(batch, dtype=torch.int64))

        def step(self, x, state, context=None, noise=None):
            y, new = super().step(x, state)
            return y, Counted(new.h, state.steps + 1)

    for training in (True, False):
        cell = recurra.Zoneout(Counting(3, 4), 0.5).train(training)
        assert run(cell, torch.randn(5, 2, 3), lengths=[5, 3]).state.steps.tolist() == [5, 3]


def test_a_step_of_another_signature_is_refused_where_it_is_written():
    with pytest.raises(recurra.SettingError, match=r"Own.step: .* got step\(self, x, state\)"):

        class Own(recurra.GRUCell):
            def step(self, x, state):
                return super().step(x, state)

    class Star(recurra.GRUCell):
        def step(self, *given, **named):
            return super().step(*given, **named)

    assert Star(3, 4)(torch.zeros(2, 3))[0].shape == (2, 4)
