"""Every registered cell against the equations of its paper, written here once more in NumPy.

An oracle sees a cell's settings and its parameters by name, in the documented order of blocks, and
nothing of its code. Weights, biases, gains and the state to start from are all random.
"""

import inspect
import math

import numpy as np
import pytest
import torch

import recurra
from recurra.cells import GappedInput, GRUDState, Noise, cell_by_name, cell_names
from recurra.cells.base import _REGISTERED
from recurra.engine import run
from recurra.errors import SettingError
from recurra.states import leaves

INPUT, HIDDEN, TIME, BATCH = 3, 4, 5, 3
EXACT = 1e-12
# Other tests register cells of their own for a while.
OURS = tuple(n for n in cell_names() if _REGISTERED[n].__module__.startswith("recurra."))


def settings_of(name):
    return tuple(inspect.signature(_REGISTERED[name]).parameters)


# ---- what the oracles are made of ---------------------------------------------------------------


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


ACTIVATIONS = {
    "gelu": lambda v: v * 0.5 * (1 + np.vectorize(math.erf)(v / math.sqrt(2))),
    "relu": lambda v: np.where(v > 0, v, 0.0),
    "sigmoid": sigmoid,
    "silu": lambda v: v * sigmoid(v),
    "softsign": lambda v: v / (1 + np.abs(v)),
    "tanh": np.tanh,
    None: lambda v: v,
}


def normal(v, norm):
    """Of each row: mean 0 and deviation 1 (layer), or a mean square of 1 (rms)."""
    if norm is None:
        return v
    if norm == "layer":
        v = v - v.mean(1, keepdims=True)
    return v / np.sqrt((v * v).mean(1, keepdims=True) + 1e-5)


def products(p, side, value, groups, norm=None, only=None):
    """``W v`` block by block, by letter; all blocks of a group are normalized as one vector."""
    weight, gain = p[f"{side}_weight"], p.get(f"{side}_gain")
    size = len(weight) // len("".join(groups))
    found, at = {}, 0
    for group in groups:
        rows = slice(at, at + size * len(group))
        at = rows.stop
        if only in (None, group):
            product = normal(value @ weight[rows].T, norm)
            product = product if norm is None else product * gain[rows]
            found |= zip(group, np.split(product, len(group), axis=1), strict=True)
    return found


def biases(p, groups):
    letters = "".join(groups)
    if "bias" not in p:
        return dict.fromkeys(letters, 0.0)
    return dict(zip(letters, np.split(p["bias"], len(letters)), strict=True))


def sums(p, x, kept, groups, norm=None):
    """``W x + U h + b`` by letter."""
    reads = products(p, "input", x, groups, norm)
    keeps = products(p, "recurrent", kept, groups, norm)
    b = biases(p, groups)
    return {letter: reads[letter] + keeps[letter] + b[letter] for letter in reads}


def squashed(p, c, norm):
    """``tanh c``, in a cell with a norm of the normalized c."""
    return np.tanh(normal(c, norm) * p["cell_gain"] + p["cell_shift"] if norm else c)


# ---- one step of each cell ----------------------------------------------------------------------
# (parameters, x, state, mask of the operand of U, settings) to (y, state)


def elman(p, x, s, mask, norm=None, activation="tanh"):
    (h,) = s
    h = ACTIVATIONS[activation](sums(p, x, h * mask, ["h"], norm)["h"])
    return h, (h,)


def irnn(p, x, s, mask, norm=None):
    return elman(p, x, s, mask, norm, activation="relu")


def jordan(p, x, s, mask, norm=None, activation="tanh", output_activation=None, output_size=None):
    (y,) = s
    h = ACTIVATIONS[activation](sums(p, x, y * mask, ["h"], norm)["h"])
    y = ACTIVATIONS[output_activation](h @ p["output_weight"].T + p.get("output_bias", 0.0))
    return y, (y,)


def lstm(p, x, s, mask, norm=None):
    h, c = s
    a = sums(p, x, h * mask, ["ifgo"], norm)
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    h = sigmoid(a["o"]) * squashed(p, c, norm)
    return h, (h, c)


def lstm_projected(p, x, s, mask, norm=None, projection_size=None):
    wide, (_, c) = lstm(p, x, s, mask, norm)
    h = wide @ p["projection"].T
    return h, (h, c)


def lstm_peephole(p, x, s, mask, norm=None):
    h, c = s
    a = sums(p, x, h * mask, ["ifgo"], norm)
    see_i, see_f, see_o = p["peepholes"]
    write, forget = sigmoid(a["i"] + see_i * c), sigmoid(a["f"] + see_f * c)
    c = forget * c + write * np.tanh(a["g"])
    h = sigmoid(a["o"] + see_o * c) * squashed(p, c, norm)
    return h, (h, c)


def lstm_coupled(p, x, s, mask, norm=None):
    h, c = s
    a = sums(p, x, h * mask, ["fgo"], norm)
    c = sigmoid(a["f"]) * c + (1 - sigmoid(a["f"])) * np.tanh(a["g"])
    h = sigmoid(a["o"]) * squashed(p, c, norm)
    return h, (h, c)


def mlstm(p, x, s, mask, norm=None):
    h, c = s
    m = (x @ p["input_factor"].T) * ((h * mask) @ p["recurrent_factor"].T)
    a = sums(p, x, m, ["ifgo"], norm)
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    h = sigmoid(a["o"]) * squashed(p, c, norm)
    return h, (h, c)


def slstm(p, x, s, mask, norm=None):
    h, c, n, m = s
    a = sums(p, x, h * mask, ["ifzo"], norm)
    kept = np.log(sigmoid(a["f"])) + m
    most = np.maximum(kept, a["i"])
    c = np.exp(kept - most) * c + np.exp(a["i"] - most) * np.tanh(a["z"])
    n = np.exp(kept - most) * n + np.exp(a["i"] - most)
    h = sigmoid(a["o"]) * c / n
    return h, (h, c, n, most)


def gru(p, x, s, mask, norm=None):
    (h,) = s
    groups = ["rz", "n"]
    w, u = products(p, "input", x, groups, norm), products(p, "recurrent", h * mask, groups, norm)
    b = biases(p, groups)
    r, z = sigmoid(w["r"] + u["r"] + b["r"]), sigmoid(w["z"] + u["z"] + b["z"])
    n = np.tanh(w["n"] + b["n"] + r * (u["n"] + p.get("recurrent_bias", 0.0)))
    h = (1 - z) * n + z * h
    return h, (h,)


def gru_reset_before(p, x, s, mask, norm=None):
    (h,) = s
    groups = ["rz", "n"]
    w, b = products(p, "input", x, groups, norm), biases(p, groups)
    u = products(p, "recurrent", h * mask, groups, norm, only="rz")
    r, z = sigmoid(w["r"] + u["r"] + b["r"]), sigmoid(w["z"] + u["z"] + b["z"])
    u = products(p, "recurrent", r * (h * mask), groups, norm, only="n")
    n = np.tanh(w["n"] + u["n"] + b["n"])
    h = (1 - z) * n + z * h
    return h, (h,)


def mgu(p, x, s, mask, norm=None):
    (h,) = s
    groups = ["f", "n"]
    w, b = products(p, "input", x, groups, norm), biases(p, groups)
    f = products(p, "recurrent", h * mask, groups, norm, only="f")["f"]
    f = sigmoid(w["f"] + f + b["f"])
    n = products(p, "recurrent", f * (h * mask), groups, norm, only="n")["n"]
    n = np.tanh(w["n"] + n + b["n"])
    h = (1 - f) * h + f * n
    return h, (h,)


def mingru(p, x, s, mask):
    (h,) = s
    w, b = products(p, "input", x, ["zn"]), biases(p, ["zn"])
    z, n = sigmoid(w["z"] + b["z"]), w["n"] + b["n"]
    h = (1 - z) * h + z * n
    return h, (h,)


def minlstm(p, x, s, mask):
    (h,) = s
    w, b = products(p, "input", x, ["fin"]), biases(p, ["fin"])
    f, i, n = sigmoid(w["f"] + b["f"]), sigmoid(w["i"] + b["i"]), w["n"] + b["n"]
    h = f / (f + i) * h + i / (f + i) * n
    return h, (h,)


def indrnn(p, x, s, mask, activation="relu"):
    (h,) = s
    before = x @ p["input_weight"].T + p["recurrent_weight"] * h + p.get("bias", 0.0)
    h = ACTIVATIONS[activation](before)
    return h, (h,)


def cornn(p, x, s, mask, dt=0.05, gamma=2.0, epsilon=4.0):
    y, z = s
    drive = x @ p["input_weight"].T + p.get("bias", 0.0)
    drive = np.tanh(drive + y @ p["position_weight"].T + z @ p["velocity_weight"].T)
    z = z + dt * (drive - gamma * y - epsilon * z)
    y = y + dt * z
    return y, (y, z)


def grud_step(p, x, seen, delta, last, h, mask=1.0, norm=None):
    """GRU-D where the time unseen and the last values are known: equations of the paper alone."""
    fade_x = np.exp(-np.maximum(0, p["input_decay"] * delta + p["input_decay_bias"]))
    fade_h = np.exp(-np.maximum(0, delta @ p["hidden_decay"].T + p["hidden_decay_bias"]))
    x = np.where(seen, x, fade_x * last + (1 - fade_x) * p["mean"])
    h = fade_h * h
    groups, b = ["rz", "n"], biases(p, ["rz", "n"])
    w, v = products(p, "input", x, groups, norm), products(p, "observed", seen * 1.0, groups)
    u = products(p, "recurrent", h * mask, groups, norm, only="rz")
    r = sigmoid(w["r"] + u["r"] + v["r"] + b["r"])
    z = sigmoid(w["z"] + u["z"] + v["z"] + b["z"])
    u = products(p, "recurrent", r * (h * mask), groups, norm, only="n")
    n = np.tanh(w["n"] + u["n"] + v["n"] + b["n"])
    return (1 - z) * h + z * n


def grud(p, x, s, mask, norm=None):
    values, seen, gap = x
    h, last, unseen = s
    delta = gap + unseen
    h = grud_step(p, values, seen, delta, last, h, mask, norm)
    return h, (h, np.where(seen, values, last), np.where(seen, 0.0, delta))


ORACLES = {
    "cornn": cornn,
    "elman": elman,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "grud": grud,
    "indrnn": indrnn,
    "irnn": irnn,
    "jordan": jordan,
    "lstm": lstm,
    "lstm_coupled": lstm_coupled,
    "lstm_peephole": lstm_peephole,
    "lstm_projected": lstm_projected,
    "mgu": mgu,
    "mingru": mingru,
    "minlstm": minlstm,
    "slstm": slstm,
    "lstm_multiplicative": mlstm,
}
NORMED = (
    "grud",
    "irnn",
    "elman",
    "gru",
    "gru_reset_before",
    "jordan",
    "lstm",
    "lstm_coupled",
    "lstm_peephole",
    "lstm_projected",
    "mgu",
    "lstm_multiplicative",
    "slstm",
)
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


def random_cell(name, seed=0, **settings):
    """A cell in float64 of which no number is where it started."""
    torch.manual_seed(seed)
    cell = cell_by_name(name, INPUT, HIDDEN, **settings).double()
    with torch.no_grad():
        for value in (*cell.parameters(), *cell.buffers()):
            value.copy_(0.8 * torch.randn_like(value) + 0.1)
    return cell


def numbers(cell):
    named = (*cell.named_parameters(), *cell.named_buffers())
    return {name: value.detach().numpy() for name, value in named}


def random_inputs(cell):
    """Numbers; of a cell with gaps NaN where nothing was observed, and gaps of all lengths."""
    if not isinstance(cell, recurra.GRUDCell):
        return torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    seen = torch.rand(TIME, BATCH, INPUT) < 0.4
    values = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64).masked_fill(~seen, float("nan"))
    return GappedInput(values, seen, 3 * torch.rand(TIME, BATCH, 1, dtype=torch.float64))


def through_time(oracle, cell, x, state, mask, settings):
    """Outputs and states of all steps."""
    p, s, outputs, states = numbers(cell), tuple(leaf.numpy() for leaf in leaves(state)), [], []
    for t in range(TIME):
        now = tuple(leaf[t].numpy() for leaf in x) if isinstance(x, tuple) else x[t].numpy()
        y, s = oracle(p, now, s, mask, **settings)
        outputs.append(y)
        states.append(s)
    return np.stack(outputs), [np.stack(field) for field in zip(*states, strict=True)]


def worst(ours, theirs):
    return np.abs(ours.detach().numpy() - theirs).max()


# ---- the comparison -----------------------------------------------------------------------------


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


# ---- GRU-D from time stamps ---------------------------------------------------------------------


def grud_from_stamps(cell, values, seen, stamps):
    """The paper's recipe: intervals and last values are made from the time stamps beforehand."""
    p, h, outputs = numbers(cell), np.zeros((BATCH, HIDDEN)), []
    delta, last = np.zeros((TIME, BATCH, INPUT)), np.zeros((TIME, BATCH, INPUT))
    for b in range(BATCH):
        for d in range(INPUT):
            for t in range(TIME):
                before = [s for s in range(t) if seen[s, b, d]]
                since = before[-1] if before else 0
                delta[t, b, d] = stamps[t, b] - stamps[since, b]
                last[t, b, d] = values[before[-1], b, d] if before else p["mean"][d]
    for t in range(TIME):
        h = grud_step(p, values[t], seen[t], delta[t], last[t], h)
        outputs.append(h)
    return np.stack(outputs), delta


def test_grud_from_time_stamps():
    cell = random_cell("grud")
    values, seen, _ = random_inputs(cell)
    seen[:, 0, 0] = False  # a feature that never comes
    seen[0, 1] = False  # a row that starts with nothing
    seen[1:4, 2, 1] = False  # unseen for several steps between two sights
    seen[0, 2, 1] = seen[4, 2, 1] = True
    values = torch.randn_like(values).masked_fill(~seen, float("nan"))
    stamps = torch.tensor([[0.0, 2.0, 7.5], [1.0, 2.5, 7.5], [1.5, 9.0, 8.0]]).double()
    stamps = torch.cat([stamps, stamps[2:] + 0.25, stamps[2:] + 4])
    gap = torch.diff(stamps, dim=0, prepend=stamps[:1]).unsqueeze(2)
    got = recurra.named_values(run, cell, GappedInput(values, seen, gap))
    wanted, delta = grud_from_stamps(cell, values.numpy(), seen.numpy(), stamps.numpy())
    assert np.isfinite(wanted).all()
    assert worst(got["time unseen"], delta) <= EXACT
    assert worst(got.result.outputs, wanted) <= EXACT
    assert delta[4, 2, 1] == 4.5


def test_grud_flags_may_be_numbers():
    cell = random_cell("grud")
    x = random_inputs(cell)
    wanted = run(cell, x).outputs
    for dtype in (torch.float64, torch.int64):
        got = run(cell, x._replace(observed=x.observed.to(dtype))).outputs
        torch.testing.assert_close(got, wanted, rtol=EXACT, atol=EXACT)


def test_grud_takes_no_gradient_from_what_is_missing():
    cell = random_cell("grud")
    x = random_inputs(cell)
    values = x.x.requires_grad_()
    run(cell, x._replace(x=values)).outputs.sum().backward()
    assert not values.grad[~x.observed].any()
    assert values.grad[x.observed].all()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in cell.parameters())


def test_grud_keeps_its_mean():
    mean = torch.tensor([1.0, -2.0, 3.0])
    cell = recurra.GRUDCell(3, 4, mean=mean)
    mean.zero_()
    assert cell.mean.tolist() == [1.0, -2.0, 3.0]
    assert "mean" not in dict(cell.named_parameters())
    other = recurra.GRUDCell(3, 4)
    assert not other.mean.any()
    other.load_state_dict(cell.state_dict())
    assert other.mean.tolist() == [1.0, -2.0, 3.0]
    start = other.initial_state(2)
    assert isinstance(start, GRUDState)
    assert start.last.tolist() == [[1.0, -2.0, 3.0]] * 2
    # A value that was never seen is at its mean, however long ago nothing was seen.
    gap = 1 + torch.rand(4, 2, 1)
    nothing = GappedInput(torch.full((4, 2, 3), float("nan")), torch.zeros(4, 2, 3), gap)
    seen = recurra.named_values(run, other, nothing)
    assert torch.allclose(seen["filled input"], cell.mean.expand(4, 2, 3))


def test_grud_far_from_a_sight_is_at_the_mean():
    cell = random_cell("grud")
    with torch.no_grad():
        cell.input_decay.fill_(1.0)
        cell.hidden_decay.fill_(1.0)
    seen = torch.tensor([True, False]).view(2, 1, 1).expand(2, 1, INPUT)
    x = GappedInput(torch.ones(2, 1, INPUT).double(), seen, torch.tensor([0.0, 1e4]).view(2, 1, 1))
    found = recurra.named_values(run, cell, x._replace(gap=x.gap.double()))
    assert torch.allclose(found["filled input"][1, 0], cell.mean)
    assert (found["hidden decay"][1] == 0).all()


# ---- minLSTM far out ----------------------------------------------------------------------------


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


# ---- recurrent dropout --------------------------------------------------------------------------


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


# ---- how weights start --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("lstm", 1),
        ("lstm_projected", 1),
        ("lstm_peephole", 1),
        ("lstm_coupled", 0),
        ("lstm_multiplicative", 1),
    ],
)
def test_forget_bias_stands_in_its_block(name, block):
    for settings in ({}, {"norm": "layer"}, {"forget_bias": -2.5}):
        cell = cell_by_name(name, 2, 3, **settings)
        blocks = cell.bias.view(-1, 3)
        assert (blocks[block] == settings.get("forget_bias", 1.0)).all()
        assert not blocks[[row for row in range(len(blocks)) if row != block]].any()
        bare = cell_by_name(name, 2, 3, bias=False, **settings)
        assert "bias" not in dict(bare.named_parameters())
        # The block is the forget gate's: a large bias there keeps c.
        with torch.no_grad():
            blocks[block] = 100.0
        seen = recurra.named_values(run, cell, torch.randn(1, 1, 2))
        assert (seen["forget gate"] == 1).all()


ORTHOGONAL = ("recurrent_weight", "recurrent_factor", "position_weight", "velocity_weight")
GLOROT = (
    "input_weight",
    "input_factor",
    "observed_weight",
    "hidden_decay",
    "output_weight",
    "projection",
)
ONES = ("input_gain", "recurrent_gain", "cell_gain")
ZEROS = (
    "recurrent_bias",
    "output_bias",
    "input_decay_bias",
    "hidden_decay_bias",
    "cell_shift",
    "peepholes",
)


@pytest.mark.parametrize("name", OURS)
def test_every_weight_starts_as_stated(name):
    torch.manual_seed(0)
    settings = {"norm": "layer"} if name in NORMED else {}
    cell = cell_by_name(name, 30, 20, **settings)
    for own, value in cell.named_parameters():
        if own in ORTHOGONAL and name == "irnn":
            assert torch.equal(value, torch.eye(20))
        elif own in ORTHOGONAL and name == "indrnn":
            assert 0 <= value.min() < 0.2
            assert 0.8 < value.max() <= 1
        elif own in ORTHOGONAL:
            assert torch.allclose(value.T @ value, torch.eye(value.shape[1]), atol=1e-5)
        elif own in GLOROT:
            bound = math.sqrt(6 / sum(value.shape))
            assert 0.9 * bound < value.abs().max() <= bound
            assert value.mean().abs() < 0.1 * bound
        elif own in ONES:
            assert (value == 1).all()
        elif own == "input_decay":
            assert (value == 0.1).all()
        elif own == "bias" and "lstm" in name and name != "minlstm":
            assert sorted(set(value.tolist())) == [0.0, 1.0]
        else:
            assert own in (*ZEROS, "bias")
            assert not value.any()


@pytest.mark.parametrize("name", [name for name in OURS if "input_init" in settings_of(name)])
def test_initializers_reach_their_weights(name):
    cell = cell_by_name(name, 3, 4, input_init="zeros")
    for own, value in cell.named_parameters():
        if own in GLOROT:
            assert not value.any()
        elif own in ORTHOGONAL:
            assert value.any()
    if "recurrent_init" in settings_of(name):
        cell = cell_by_name(name, 3, 4, recurrent_init="zeros")
        assert not any(v.any() for own, v in cell.named_parameters() if own in ORTHOGONAL)
        assert cell.input_weight.any()


# ---- settings -----------------------------------------------------------------------------------

WRONG = [
    ("norm", "layr", r"did you mean 'layer'\?"),
    ("norm", True, "Known: layer, rms"),
    ("recurrent_dropout", 1.0, "0 <= rate < 1"),
    ("recurrent_dropout", -0.1, "0 <= rate < 1"),
    ("recurrent_dropout", "0.5", "expected a number"),
    ("bias", "no", "expected true or false"),
    ("bias", 1, "expected true or false"),
    ("activation", "thanh", r"did you mean 'tanh'\?"),
    ("activation", 3, "expected a name, a function or none"),
    ("forget_bias", "1", "expected a number"),
    ("forget_bias", True, "expected a number"),
    ("output_size", 0, "a whole number of at least 1"),
    ("output_size", 2.0, "a whole number of at least 1"),
    ("dt", "fast", "expected a number"),
    ("gamma", None, "expected a number"),
    ("epsilon", "1", "expected a number"),
]


@pytest.mark.parametrize("name", OURS)
def test_wrong_settings_are_named(name):
    known = settings_of(name)
    for setting, value, words in WRONG:
        if setting in known:
            with pytest.raises(SettingError, match=words) as error:
                cell_by_name(name, 2, 3, **{setting: value})
            assert setting in str(error.value)
            assert repr(value) in str(error.value)
    for setting in ("input_init", "recurrent_init"):
        if setting in known:
            with pytest.raises(SettingError, match=r"no 'glorott'; did you mean 'glorot'\?"):
                cell_by_name(name, 2, 3, **{setting: "glorott"})
    for sizes, setting in (((0, 3), "input_size"), ((2, 0), "hidden_size"), ((2, -1), "hidden")):
        with pytest.raises(SettingError, match=f"{setting}.*at least 1, got {min(sizes)}"):
            cell_by_name(name, *sizes)


@pytest.mark.parametrize("name", OURS)
def test_a_setting_that_no_cell_takes(name):
    with pytest.raises(SettingError, match=f"cell '{name}'.*'color'"):
        cell_by_name(name, 2, 3, color="red")
    with pytest.raises(SettingError, match=f"cell '{name}'.*input_size"):
        cell_by_name(name, 2, 3, input_size=4)


def test_a_mean_of_another_width():
    with pytest.raises(SettingError, match=r"mean: expected one for each of 3 features, got \[2\]"):
        recurra.GRUDCell(3, 4, mean=torch.zeros(2))
