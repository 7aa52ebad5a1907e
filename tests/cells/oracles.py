"""One step of each cell, written once more in NumPy from the equations of its paper.

An oracle sees a cell's settings and its parameters by name, in the documented order of blocks, and
nothing of its code.
"""

import inspect
import math

import numpy as np
import torch

import recurra
from recurra.cells import GappedInput, cell_by_name, cell_names
from recurra.cells.base import _REGISTERED
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
