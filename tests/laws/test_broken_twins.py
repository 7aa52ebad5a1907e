"""Something broken for every law, which it must catch: a law that cannot fail is none."""

import itertools

import pytest
import torch
from laws import means, of_cells, of_layers
from laws.subjects import HIDDEN, INPUT, Leaky, UserCell, cell
from torch import nn
from torch.autograd.gradcheck import GradcheckError

import recurra
import recurra_runtime
from recurra import HiddenState, labels, named
from recurra.engine import pipeline
from recurra.engine.backends import segments
from recurra.engine.machine import compiled

clock = itertools.count(1)


def built(kind):
    def make():
        torch.manual_seed(0)
        return kind(INPUT, HIDDEN).double()

    return make


class WrongForm(recurra.LSTMCell):
    """Its kernel computes a slightly different step."""

    def torch_form(self):
        form = super().torch_form()
        return form._replace(input_weight=form.input_weight * (1 + 1e-8))


class WrongGradient(Leaky):
    on_loop = "its gradient is its own"

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * 1.001

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        return self.Scaled.apply(y), state


class MixesRows(Leaky):
    on_loop = "its rows see each other"

    def step(self, x, state, context=None, noise=None):
        return super().step(x - 1e-6 * x.sum(0), state)


class Counts(Leaky):
    """Remembers how often it was called: not pure, so steps depend on more than the state."""

    on_loop = "it is another number each time"

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        return y + 1e-6 * next(clock), state


class InPlace(Leaky):
    def step(self, x, state, context=None, noise=None):
        y, new = super().step(x, state)
        state.h.add_(1)
        return y, new


class Caches(Leaky):
    """Keeps a copy of its weights from the first call on."""

    on_loop = "its first call is another one"

    def step(self, x, state, context=None, noise=None):
        if not hasattr(self, "kept"):
            self.kept = [
                p.detach().clone() for p in (*self.read.parameters(), *self.keep.parameters())
            ]
        w, b, u = self.kept
        h = 0.9 * state.h + 0.1 * torch.tanh(
            nn.functional.linear(x, w, b) + nn.functional.linear(state.h, u)
        )
        return h + 0 * self.read.weight.sum(), HiddenState(h)


class Unsaved(Leaky):
    """Part of what it knows is no parameter and no buffer."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.offset = 1e-6 * next(clock)

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        return y + self.offset, state


class WrongFormula(recurra.LSTMCell):
    def parameter_formula(self):
        return "4*h*(i+h) + 8*h", {"i": self.input_size, "h": self.hidden_size}


class Drifts(Leaky):
    """Starts from another state at every call."""

    def initial_state(self, batch):
        return HiddenState(self.zeros(batch) + 1e-6 * next(clock))


class NamesOne(Leaky):
    """A value that is another from the second row on."""

    on_loop = "it writes into a part of a value"

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        wrong = y.clone()
        wrong[3:4] += 1e-6
        named("shifted", wrong if len(y) > 1 else y)
        return y, state


class NamesMates(Leaky):
    """The value it names is not that of its row alone."""

    on_loop = "its rows see each other"

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        named("mixed", y + 1e-6 * y.sum(0))
        return y, state


class NamesWrongly(Leaky):
    """Naming is no identity: what is named is what is given on."""

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        if labels._COLLECTING:
            y = y + 1e-12
        return y, state


BROKEN = [
    ("definition", WrongForm),
    ("gradient", WrongGradient),
    ("chunks", Counts),
    ("rows_alone", MixesRows),
    ("reversal", Counts),
    ("nothing", Drifts),
    ("repeatable", Counts),
    ("saved", Unsaved),
    ("weights_used", Caches),
    ("parameters_given", Caches),
    ("pure", InPlace),
    ("counted", WrongFormula),
    ("names", NamesMates),
    ("names", NamesOne),
    ("names", NamesWrongly),
]


@pytest.mark.parametrize(("law", "kind"), BROKEN)
def test_broken_cell(law, kind):
    with pytest.raises((AssertionError, GradcheckError)):
        of_cells.CELL_LAWS[law](built(kind))


@pytest.mark.skipif(not recurra_runtime.native_available(), reason="there is no native module")
@pytest.mark.parametrize("kind", [MixesRows, Counts, WrongGradient])
def test_a_refusal_without_excuse(kind, monkeypatch):
    """What native refuses is no longer asked of it, so that nothing may be refused in silence."""
    monkeypatch.delattr(kind, "on_loop", raising=False)
    with pytest.raises(means.NotNative):
        means.backends(built(kind)())


@pytest.mark.skipif(not recurra_runtime.native_available(), reason="there is no native module")
def test_an_excuse_without_refusal(monkeypatch):
    monkeypatch.setattr(Leaky, "on_loop", "none", raising=False)
    with pytest.raises(means.NotNative):
        means.backends(built(Leaky)())


def whole_rows(call):
    """Segments that do not know of lengths."""
    yield segments.Segment(0, call.time, call.batch)


def forgets_resets(call, state, time):
    return state


def breaks_lengths(monkeypatch, home):
    """Where lengths are kept: in the segments of the loop, or in the rows of the machine."""
    if home == "loop":
        monkeypatch.setattr("recurra_runtime.native_reason", lambda: "It is off.")
        monkeypatch.setattr(segments, "segments", whole_rows)
    else:
        kept = compiled.Machine.rows
        monkeypatch.setattr(
            compiled.Machine, "rows", lambda self, t, b, lengths, *how: kept(self, t, b, None, *how)
        )


def breaks_resets(monkeypatch, home):
    if home == "loop":
        monkeypatch.setattr("recurra_runtime.native_reason", lambda: "It is off.")
        monkeypatch.setattr(segments, "_reset", forgets_resets)
    else:
        kept = pipeline.bind
        monkeypatch.setattr(pipeline, "bind", lambda *args, resets: kept(*args, resets=False))


HOMES = ["loop", "native"] if recurra_runtime.native_available() else ["loop"]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("law", ["definition", "padding", "reversal", "every_state"])
def test_broken_lengths(law, home, monkeypatch):
    breaks_lengths(monkeypatch, home)
    with pytest.raises(AssertionError):
        of_cells.CELL_LAWS[law](lambda: cell("leaky"))


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("law", ["definition", "resets_cut"])
def test_broken_resets(law, home, monkeypatch):
    breaks_resets(monkeypatch, home)
    with pytest.raises(AssertionError):
        of_cells.CELL_LAWS[law](lambda: cell("gru"))


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("law", ["layer_forms", "layer_padding"])
def test_broken_layer_lengths(law, home, monkeypatch):
    breaks_lengths(monkeypatch, home)
    with pytest.raises(AssertionError):
        of_layers.LAYER_LAWS[law](lambda: recurra.Recurrent(built(UserCell)()))


class ForgetsState(recurra.Recurrent):
    def through_time(self, inputs, marks, state, context):
        return super().through_time(inputs, marks, None, context)


class WrongLast(recurra.Recurrent):
    def read_last(self, outputs, lengths):
        return outputs[-1] if len(outputs) else super().read_last(outputs, lengths)


class WrongStatedWidth(recurra.Recurrent):
    def __init__(self, cell):
        super().__init__(cell)
        self.output_size += 1


class HoldsWeights(recurra.Recurrent):
    """Runs a copy of its cell, made when it was built."""

    def __init__(self, cell):
        super().__init__(cell)
        import copy

        self.copies = [copy.deepcopy(cell)]

    def through_time(self, inputs, marks, state, context):
        held = recurra.Recurrent(self.copies[0])
        return held.through_time(inputs, marks, state, context)


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        ("layer_chunks", ForgetsState),
        ("layer_rows", WrongLast),
        ("layer_sizes", WrongStatedWidth),
        ("layer_saved", HoldsWeights),
    ],
)
def test_broken_layer(law, kind):
    with pytest.raises(AssertionError):
        of_layers.LAYER_LAWS[law](lambda: kind(built(Leaky)()))


def test_every_law_has_a_twin():
    caught = {law for law, _ in BROKEN} | {"padding", "every_state", "resets_cut"}
    assert caught == set(of_cells.CELL_LAWS)
    layered = {"layer_forms", "layer_rows", "layer_padding"}
    layered |= {"layer_chunks", "layer_sizes", "layer_saved"}
    assert layered == set(of_layers.LAYER_LAWS)


def test_tolerance():
    value = torch.randn(5, dtype=torch.float64)
    means.close(value, value + 0.5 * means.EXACT)
    with pytest.raises(AssertionError):
        means.close(value, value + 5 * means.EXACT)
