"""Wrappers against their own sentences: what they do to x, to y and to the state, by hand."""

import copy
import itertools
from typing import NamedTuple

import pytest
import torch
from laws.subjects import UserCell
from torch import Tensor
from torch.nn.functional import layer_norm, rms_norm
from torch.nn.utils import parametrize

import recurra
from recurra import Forced, ForcedInput, HeldDropout, Normalized, Residual, Zoneout, weight_drop
from recurra.cells import ElmanCell, GappedInput, GRUCell, JordanCell, LSTMCell, Noise
from recurra.engine import run
from recurra.errors import SettingError
from recurra.states import map_tree

TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 5
LENGTHS = [6, 0, 4]


def double(cell):
    """In float64, and with no number where it started: a bias of 0 hides that it is not used."""
    cell = cell.double()
    with torch.no_grad():
        for value in cell.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return cell


def rows(width=INPUT, time=TIME, batch=BATCH):
    return torch.randn(time, batch, width, dtype=torch.float64)


def gapped():
    """Everything observed here and there, NaN elsewhere."""
    seen = torch.rand(TIME, BATCH, INPUT) < 0.6
    return GappedInput(rows().masked_fill(~seen, float("nan")), seen, rows(1).abs())


def same(a, b, tolerance=1e-12):
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance)


class Silent(recurra.Cell):
    """Does not say what it reads."""

    def __init__(self):
        super().__init__(None, HIDDEN)

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        return state.h + x, recurra.HiddenState(state.h + x)


class Deep(NamedTuple):
    pair: tuple[Tensor, Tensor]


class DeepCell(recurra.Cell):
    """A state of one field that is a tuple."""

    def initial_state(self, batch):
        return Deep((self.zeros(batch), self.zeros(batch)))

    def step(self, x, state, context=None, noise=None):
        return state.pair[0] + x, Deep((state.pair[0] + x, state.pair[1]))


class Bare(DeepCell):
    """A state that is no named tuple."""

    def initial_state(self, batch):
        return self.zeros(batch)


# ---- held dropout -------------------------------------------------------------------------------


def test_held_dropout_draws_two_scaled_masks():
    cell = HeldDropout(recurra.ProjectedLSTMCell(40, 60, projection_size=50), 0.25, 0.5)
    noise = cell.noise(TIME, 30)
    assert noise.step == (None, None), "a mask of each step would be new at each"
    (mask_x, mask_y), inner = noise.held
    assert inner is None
    assert mask_x.shape == (30, 40)
    assert mask_y.shape == (30, 50), "as wide as y, not as the cell inside"
    for mask, rate in ((mask_x, 0.25), (mask_y, 0.5)):
        assert torch.allclose(mask.unique(), torch.tensor([0.0, 1 / (1 - rate)]))
        assert mask.mean().item() == pytest.approx(1, abs=0.1)
        assert (mask[0] != mask[1]).any()


@pytest.mark.parametrize("rates", [(0.3, 0.4), (0.3, 0.0), (0.0, 0.4), (0.0, 0.0)])
def test_held_dropout_is_the_cell_between_the_masks(rates):
    """The same at all steps; and no mask is on what is carried."""
    inner = double(recurra.LSTMCell(INPUT, HIDDEN))
    cell = HeldDropout(inner, *rates)
    noise = cell.noise(TIME, BATCH)
    mask_x, mask_y = noise.held[0]
    assert [mask is not None for mask in (mask_x, mask_y)] == [rate > 0 for rate in rates]
    x = rows()
    got = run(cell, x, noise=noise, lengths=LENGTHS)
    wanted = run(inner, x if mask_x is None else x * mask_x, lengths=LENGTHS)
    assert same(got.outputs, wanted.outputs if mask_y is None else wanted.outputs * mask_y)
    assert same(got.state.h, wanted.state.h)
    assert same(got.state.c, wanted.state.c)
    assert (got.state.h[0] != 0).all(), "y is masked, the h that is fed back is not"


def test_held_dropout_expects_what_it_evaluates_to():
    """The mean over all masks of y, each weighted by its probability."""
    inner = double(recurra.GRUCell(INPUT, 3))
    cell = HeldDropout(inner, 0.0, 0.3)
    x, mean = rows(batch=1), torch.zeros(TIME, 1, 3, dtype=torch.float64)
    for bits in itertools.product([0, 1], repeat=3):
        mask = torch.tensor([bits], dtype=torch.float64) / 0.7
        chance = 0.7 ** sum(bits) * 0.3 ** (3 - sum(bits))
        noise = Noise((None, None), ((None, mask), None))
        mean += chance * run(cell, x, noise=noise).outputs.detach()
    assert same(mean, run(cell.eval(), x).outputs)
    assert same(run(cell, x).outputs, run(inner, x).outputs)


def test_held_dropout_gives_what_is_dropped_no_gradient():
    cell = HeldDropout(double(recurra.GRUCell(INPUT, HIDDEN)), 0.5, 0.5)
    noise = cell.noise(TIME, BATCH)
    x = rows().requires_grad_()
    run(cell, x, noise=noise).outputs.sum().backward()
    dropped = (noise.held[0][0] == 0).expand(TIME, -1, -1)
    assert dropped.any()
    assert not x.grad[dropped].any()
    assert x.grad[~dropped].all()


def test_held_dropout_draws_anew_for_each_run():
    cell = HeldDropout(double(recurra.ElmanCell(INPUT, 50, activation=None)), 0.0, 0.5)
    x = torch.ones(TIME, 1, INPUT, dtype=torch.float64)
    first, second = (run(cell, x).outputs == 0 for _ in range(2))
    assert (first == first[0]).all()
    assert (second == second[0]).all()
    assert (first != second).any()


def test_held_dropout_masks_the_first_field_alone():
    inner = double(recurra.GRUDCell(INPUT, HIDDEN))
    cell = HeldDropout(inner, 0.5, 0.0)
    x = gapped()
    noise = cell.noise(TIME, BATCH)
    mask = noise.held[0][0]
    wanted = run(inner, x._replace(x=x.x * mask)).outputs
    assert same(run(cell, x, noise=noise).outputs, wanted)
    around = HeldDropout(Forced(inner, "h"), 0.5, 0.0)
    noise = around.noise(TIME, BATCH)
    assert noise.held[0][0].shape == (BATCH, INPUT), "the first leaf, however deep"
    target = rows(HIDDEN)
    masked = x._replace(x=x.x * noise.held[0][0])
    wanted = run(around.cell, ForcedInput(masked, target))
    got = run(around, ForcedInput(x, target), noise=noise)
    assert same(got.outputs, wanted.outputs)
    assert torch.equal(got.state.h, target[-1]), "a target is no input to drop"


def test_held_dropout_of_an_unknown_input():
    with pytest.raises(SettingError, match=r"HeldDropout: Silent .*input=0"):
        HeldDropout(Silent(), 0.1, 0.1)
    cell = HeldDropout(Silent(), 0.0, 0.5)
    x = torch.ones(TIME, BATCH, HIDDEN)
    kept = run(cell, x).outputs[0] != 0
    assert kept.any()
    assert not kept.all()


# ---- normalized ---------------------------------------------------------------------------------


def normalized(v, gain, shift, norm):
    if norm == "layer":
        return layer_norm(v, gain.shape, gain, shift)
    return rms_norm(v, gain.shape, gain, eps=1e-5) + shift


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("input", [True, False])
@pytest.mark.parametrize("output", [True, False])
def test_normalized_by_hand(norm, input, output):
    inner = recurra.LSTMCell(INPUT, HIDDEN)
    cell = double(Normalized(inner, input=input, output=output, norm=norm))
    names = {"input_gain", "input_shift"} if input else set()
    names |= {"output_gain", "output_shift"} if output else set()
    own = {name for name, _ in cell.named_parameters() if not name.startswith("cell.")}
    assert own == names
    x, state, outputs = rows(), inner.initial_state(BATCH), []
    for values in x:
        if input:
            values = normalized(values, cell.input_gain, cell.input_shift, norm)
        y, state = inner.step(values, state)
        if output:
            y = normalized(y, cell.output_gain, cell.output_shift, norm)
            state = state._replace(h=y)  # what is fed back is what was said
        outputs.append(y)
    got = run(cell, x)
    assert same(got.outputs, torch.stack(outputs))
    assert same(got.state.h, state.h)
    assert same(got.state.c, state.c)


def test_normalized_starts_as_the_plain_norm():
    cell = Normalized(recurra.ProjectedLSTMCell(INPUT, HIDDEN, projection_size=3))
    assert cell.input_gain.tolist() == [1.0] * INPUT
    assert cell.output_gain.tolist() == [1.0] * 3
    assert not cell.input_shift.any()
    assert not cell.output_shift.any()
    outputs = run(cell, rows().float()).outputs
    assert outputs.mean(2).abs().max() < 1e-5
    with torch.no_grad():
        cell.output_shift.fill_(7.0)
    assert torch.allclose(run(cell, rows().float()).outputs.mean(2), torch.full((TIME, BATCH), 7.0))


def test_normalized_leaves_a_state_that_is_not_y():
    inner = UserCell(INPUT, HIDDEN)
    cell = double(Normalized(inner, input=False))
    x = rows()
    got, plain = run(cell, x), run(inner, x)
    assert same(got.state.h, plain.state.h)
    assert same(got.state.trace, plain.state.trace)
    wanted = normalized(plain.outputs, cell.output_gain, cell.output_shift, "layer")
    assert same(got.outputs, wanted)


def test_normalized_reads_the_first_field():
    inner = recurra.GRUDCell(INPUT, HIDDEN)
    cell = double(Normalized(inner, output=False))
    x = gapped()._replace(x=rows(), observed=torch.ones(TIME, BATCH, INPUT, dtype=torch.bool))
    wanted = x._replace(x=normalized(x.x, cell.input_gain, cell.input_shift, "layer"))
    assert same(run(cell, x).outputs, run(inner, wanted).outputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Normalized(recurra.GRUCell(2, 3), norm="batch"), "norm: no 'batch'"),
        (lambda: Normalized(recurra.GRUCell(2, 3), input="no"), "Normalized, input.*'no'"),
        (lambda: Normalized(recurra.GRUCell(2, 3), output=1), "Normalized, output.*got 1"),
        (lambda: Normalized(Silent()), r"Silent has no input_size.*Set input=False"),
        (lambda: HeldDropout(recurra.GRUCell(2, 3), 1.0), r"HeldDropout, input: .* got 1\.0"),
        (lambda: HeldDropout(recurra.GRUCell(2, 3), 0.1, -1), "HeldDropout, output: .* got -1"),
        (lambda: HeldDropout(recurra.GRUCell(2, 3), "0.1"), "HeldDropout, input: .*'0.1'"),
        (lambda: Residual(recurra.GRUCell(2, 3)), "Residual: .*GRUCell.* 2 -> 3"),
        (lambda: Residual(UserCell(3, 3)), "Residual: .*UserCell.* 3 -> 4"),
        (lambda: Residual(Silent()), "Residual: .*Silent.* None -> 5"),
        (lambda: Zoneout(recurra.GRUCell(2, 3), {"h": 2.0}), r"Zoneout, h: .* got 2\.0"),
        (lambda: Zoneout(recurra.GRUCell(2, 3), {"c": 0.1}), "Zoneout: no field 'c' .*GRUCell"),
        (lambda: Zoneout(Bare(3, 3)), "Zoneout: .*named tuple, Bare has a Tensor"),
        (lambda: Forced(recurra.JordanCell(2, 3), "h"), "Forced: no field 'h' .*JordanCell"),
        (lambda: Forced(DeepCell(3, 3), "pair"), "Forced: the field 'pair' is not one tensor"),
        (lambda: Forced(Bare(3, 3), "h"), "Forced: .*named tuple, Bare has a Tensor"),
        (lambda: weight_drop(recurra.GRUCell(2, 3), 1.0), r"0 <= rate < 1, got 1\.0"),
        (lambda: weight_drop(recurra.GRUCell(2, 3), names="recurent_weight"), "'recurrent_weight'"),
        (lambda: weight_drop(torch.nn.Linear(2, 3)), "Linear does not say.*names=.*weight"),
        (lambda: weight_drop(recurra.MinGRUCell(2, 3)), "MinGRUCell does not say.*input_weight"),
        (lambda: weight_drop(recurra.GRUCell(2, 3), names=()), "GRUCell does not say"),
        (lambda: weight_drop(weight_drop(recurra.GRUCell(2, 3))), "GRUCell: .*already"),
    ],
)
def test_wrong_settings_are_named(make, words):
    with pytest.raises(SettingError, match=words):
        make()


# ---- residual -----------------------------------------------------------------------------------


def test_residual_adds_what_was_read():
    inner = double(recurra.LSTMCell(HIDDEN, HIDDEN))
    x = rows(HIDDEN)
    got, plain = run(Residual(inner), x, lengths=LENGTHS), run(inner, x, lengths=LENGTHS)
    valid = torch.arange(TIME).view(-1, 1, 1) < torch.tensor(LENGTHS).view(1, -1, 1)
    assert same(got.outputs, plain.outputs + x * valid)
    assert same(got.state.h, plain.state.h)
    assert same(got.state.c, plain.state.c)


def test_residual_adds_the_first_field():
    inner = double(recurra.GRUDCell(HIDDEN, HIDDEN))
    x = GappedInput(rows(HIDDEN), torch.ones(TIME, BATCH, HIDDEN), rows(1).abs())
    assert same(run(Residual(inner), x).outputs, run(inner, x).outputs + x.x)
    forced = Residual(Forced(inner, "h"))
    read = ForcedInput(x, rows(HIDDEN))
    assert same(run(forced, read).outputs, run(forced.cell, read).outputs + x.x)


# ---- zoneout with a mapping ---------------------------------------------------------------------


def test_zoneout_of_one_field_keeps_the_others_new():
    inner = double(recurra.LSTMCell(INPUT, 40))
    cell = Zoneout(inner, {"c": 0.4})
    assert cell.rates == {"h": 0.0, "c": 0.4}
    noise = cell.noise(TIME, BATCH)
    masks = noise.step[0]
    assert masks.h is None
    assert masks.c.shape == (TIME, BATCH, 40)
    assert (masks.c[0] != masks.c[1]).any(), "one draw a step"
    assert masks.c.float().mean().item() == pytest.approx(0.4, abs=0.06)
    x, state = rows(), inner.initial_state(BATCH)
    got = run(cell, x, noise=noise, return_states=True)
    for t in range(TIME):
        y, new = inner.step(x[t], state)
        state = new._replace(c=torch.where(masks.c[t], state.c, new.c))
        assert same(got.outputs[t], y)
        assert same(got.states.h[t], state.h)
        assert same(got.states.c[t], state.c)


def test_zoneout_of_each_field_at_its_own_rate():
    inner = double(recurra.LSTMCell(INPUT, HIDDEN))
    cell = Zoneout(inner, {"c": 0.4, "h": 0.1}).eval()
    x, state = rows(), inner.initial_state(BATCH)
    got = run(cell, x)
    for t in range(TIME):
        _, new = inner.step(x[t], state)
        state = recurra.LSTMState(0.1 * state.h + 0.9 * new.h, c=0.4 * state.c + (1 - 0.4) * new.c)
        assert same(got.outputs[t], state.h), "y is the h that is carried on"
    assert same(got.state.c, state.c)


# ---- teacher forcing ----------------------------------------------------------------------------


def test_forced_is_feeding_the_truth_by_hand():
    inner = double(recurra.JordanCell(INPUT, HIDDEN, 2))
    forced = Forced(inner, "y")
    x, target = rows(), rows(2)
    got = run(forced, ForcedInput(x, target), lengths=LENGTHS)
    before = torch.cat([torch.zeros(1, BATCH, 2, dtype=torch.float64), target[:-1]])
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            one = slice(row, row + 1)
            y, _ = inner.step(x[t, one], recurra.OutputState(before[t, one]))
            assert same(got.outputs[t, one], y)
            assert not torch.allclose(y, target[t, one]), "y stays what the cell says"
    assert torch.equal(got.state.y[0], target[5, 0])
    assert not got.state.y[1].any()
    assert torch.equal(got.state.y[2], target[3, 2])


def test_forced_lets_no_gradient_cross_steps():
    inner = double(recurra.JordanCell(INPUT, HIDDEN, 2))
    x, target = rows().requires_grad_(), rows(2)
    for cell, crosses in ((Forced(inner, "y"), False), (inner, True)):
        read = ForcedInput(x, target) if cell is not inner else x
        (found,) = torch.autograd.grad(run(cell, read).outputs[3].sum(), x)
        assert found[3].all()
        assert bool(found[:3].any()) == crosses
        assert not found[4:].any()


def test_forced_runs_freely_without_the_wrapper():
    """The same weights on what the cell said itself: forcing its own outputs changes nothing."""
    inner = double(recurra.JordanCell(INPUT, HIDDEN, 2))
    forced = Forced(inner, "y")
    assert forced.cell is inner
    x = rows()
    free = run(forced.cell, x)
    assert same(run(forced, ForcedInput(x, free.outputs)).outputs, free.outputs)
    assert not torch.allclose(run(forced, ForcedInput(x, rows(2))).outputs, free.outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_forced_targets_take_the_type_of_the_field(dtype):
    cell = Forced(recurra.JordanCell(INPUT, HIDDEN, 2), "y")
    target = (rows(2) > 0).to(dtype)
    got = run(cell, ForcedInput(rows().float(), target))
    assert got.state.y.dtype == torch.float32
    assert torch.equal(got.state.y, target[-1].float())
    wanted = run(cell, ForcedInput(rows().float(), target.float()))
    assert got.outputs.dtype == wanted.outputs.dtype == torch.float32


def test_forced_h_of_an_lstm_leaves_c_to_carry():
    inner = double(recurra.LSTMCell(INPUT, HIDDEN))
    x, target, state, outputs = (
        rows().requires_grad_(),
        rows(HIDDEN),
        inner.initial_state(BATCH),
        [],
    )
    for t in range(TIME):
        y, state = inner.step(x[t], state)
        state = state._replace(h=target[t])
        outputs.append(y)
    got = run(Forced(inner, "h"), ForcedInput(x, target))
    assert same(got.outputs, torch.stack(outputs))
    assert same(got.state.c, state.c)
    assert torch.equal(got.state.h, target[-1])
    (found,) = torch.autograd.grad(got.outputs[3].sum(), x)
    assert found[:3].all(), "c is on a path through time"


def test_forced_reads_a_tuple_inside_its_own():
    inner = double(recurra.GRUDCell(INPUT, HIDDEN))
    forced = Forced(inner, "h")
    example = forced.example_input(2)
    assert type(example.x) is GappedInput
    assert example.target.shape == (2, HIDDEN)
    x, target, state = gapped(), rows(HIDDEN), inner.initial_state(BATCH)
    got = run(forced, ForcedInput(x, target))
    for t in range(TIME):
        y, state = inner.step(GappedInput(*(field[t] for field in x)), state)
        state = state._replace(h=target[t])
        assert same(got.outputs[t], y)
    assert same(got.state.last, state.last)
    assert same(got.state.unseen, state.unseen)


def test_forced_inside_a_layer_reads_rows():
    forced = Forced(double(recurra.JordanCell(INPUT, HIDDEN, 2)), "y")
    x, target = rows(), rows(2)
    wanted = recurra.Recurrent(forced)(ForcedInput(x, target), lengths=LENGTHS)
    as_rows = ForcedInput(
        *([values[:length, row] for row, length in enumerate(LENGTHS)] for values in (x, target))
    )
    got = recurra.Recurrent(forced)(as_rows)
    assert same(got.outputs.values, wanted.outputs)
    assert same(got.last, wanted.last)


# ---- weight drop --------------------------------------------------------------------------------


def dropped_names(module):
    return {
        name.replace("parametrizations.", "").removesuffix(".original")
        for name, _ in module.named_parameters()
        if name.endswith(".original")
    }


def test_weight_drop_finds_the_recurrent_weights():
    cell = weight_drop(recurra.LSTMCell(INPUT, HIDDEN), 0.5)
    assert dropped_names(cell) == {"recurrent_weight"}
    layer = weight_drop(recurra.Recurrent(Zoneout(recurra.GRUCell(INPUT, HIDDEN))), 0.5)
    assert dropped_names(layer) == {"cell.cell.recurrent_weight"}
    stack = recurra.Stack(
        [
            recurra.Bidirectional(recurra.LSTMCell(2, 3), recurra.MGUCell(2, 3)),
            recurra.Recurrent(recurra.IndRNNCell(6, 3)),
        ]
    )
    assert dropped_names(weight_drop(stack)) == {
        "layers.0.forward_layer.cell.recurrent_weight",
        "layers.0.backward_layer.cell.recurrent_weight",
        "layers.1.cell.recurrent_weight",
    }
    assert dropped_names(weight_drop(torch.nn.LSTM(2, 3, num_layers=2))) == {
        "weight_hh_l0",
        "weight_hh_l1",
    }
    some = weight_drop(recurra.LSTMCell(2, 3), 0.5, "input_weight")
    assert dropped_names(some) == {"input_weight"}
    both = weight_drop(recurra.LSTMCell(2, 3), 0.5, ("input_weight", "bias"))
    assert dropped_names(both) == {"input_weight", "bias"}


def drawn(cell, x, **settings):
    """Outputs of a run, and the weight that it used."""
    torch.manual_seed(5)
    outputs = run(cell, x, **settings).outputs
    torch.manual_seed(5)
    return outputs, cell.recurrent_weight.detach()


def test_weight_drop_draws_once_a_run():
    """A run with connections left out is the run of one cell without them, at all steps."""
    plain = double(recurra.GRUCell(INPUT, HIDDEN))
    cell = weight_drop(copy.deepcopy(plain), 0.4)
    x = rows()
    whole = plain.recurrent_weight.detach()
    for backend in ("loop", "aten"):
        outputs, weight = drawn(cell, x, backend=backend, lengths=LENGTHS)
        dropped = weight == 0
        assert 0.2 < dropped.double().mean() < 0.6
        assert same(weight[~dropped], whole[~dropped] / 0.6)
        other = copy.deepcopy(plain)
        with torch.no_grad():
            other.recurrent_weight.copy_(weight)
        assert same(outputs, run(other, x, lengths=LENGTHS).outputs)
    assert not torch.allclose(run(cell, x).outputs, run(cell, x).outputs), "each run draws anew"
    cell.eval()
    assert same(run(cell, x).outputs, run(plain, x).outputs)
    assert torch.equal(run(cell, x).outputs, run(cell, x).outputs)


@pytest.mark.parametrize("backend", ["loop", "aten"])
def test_weight_drop_trains_what_is_left(backend):
    cell = weight_drop(double(recurra.LSTMCell(INPUT, HIDDEN)), 0.5)
    outputs, weight = drawn(cell, rows(), backend=backend)
    outputs.square().sum().backward()
    found = cell.parametrizations.recurrent_weight.original.grad
    assert (weight == 0).any()
    assert not found[weight == 0].any()
    assert found[weight != 0].all()


def test_weight_drop_comes_off_again():
    plain = double(recurra.GRUCell(INPUT, HIDDEN))
    cell = weight_drop(copy.deepcopy(plain), 0.5)
    saved = cell.state_dict()["parametrizations.recurrent_weight.original"]
    assert torch.equal(saved, plain.recurrent_weight), "the whole weight is saved"
    other = weight_drop(double(recurra.GRUCell(INPUT, HIDDEN)), 0.5)
    other.load_state_dict(cell.state_dict())
    x = rows()
    assert same(run(other.eval(), x).outputs, run(plain, x).outputs)
    parametrize.remove_parametrizations(other, "recurrent_weight", leave_parametrized=False)
    assert type(other) is recurra.GRUCell
    assert set(other.state_dict()) == set(plain.state_dict())
    assert torch.equal(other.recurrent_weight, plain.recurrent_weight)
    assert same(run(other.train(), x).outputs, run(plain, x).outputs)


def test_weight_drop_of_a_layer_is_drawn_once_for_each_cell():
    stack = recurra.Stack(
        [
            recurra.Recurrent(recurra.GRUCell(INPUT, HIDDEN)),
            recurra.Recurrent(recurra.LSTMCell(HIDDEN, 3)),
        ]
    )
    plain = copy.deepcopy(double(stack))
    weight_drop(stack, 0.4)
    x = rows()
    torch.manual_seed(5)
    outputs = stack(x).outputs
    torch.manual_seed(5)
    with torch.no_grad():
        for old, new in zip(plain.layers, stack.layers, strict=True):
            old.cell.recurrent_weight.copy_(new.cell.recurrent_weight)
            assert not old.cell.recurrent_weight.all()
    assert same(outputs, plain(x).outputs)


@pytest.mark.skipif(not hasattr(recurra, "LSTM"), reason="needs recurra.LSTM")
def test_weight_drop_of_a_drop_in():
    layer = recurra.LSTM(INPUT, HIDDEN, num_layers=2).double()
    plain = copy.deepcopy(layer)
    weight_drop(layer, 0.4)
    assert dropped_names(layer) == {"weight_hh_l0", "weight_hh_l1"}
    x = rows()
    first, second = layer(x)[0], layer(x)[0]
    assert not torch.allclose(first, second)
    assert same(layer.eval()(x)[0], plain(x)[0])
    # Whole and step by step, with one draw: the same connections at every step.
    layer.train()
    with parametrize.cached():
        whole, _ = layer(x)
        state, outputs = None, []
        for t in range(TIME):
            y, state = layer(x[t : t + 1], state)
            outputs.append(y)
    assert same(torch.cat(outputs), whole)


# ---- wrappers around wrappers -------------------------------------------------------------------


def nested():
    inner = recurra.GRUCell(INPUT, INPUT, recurrent_dropout=0.4)
    return double(HeldDropout(Residual(Zoneout(Normalized(inner, input=False), 0.3)), 0.2, 0.5))


def test_nested_wrappers_by_hand():
    """Each takes its own part of the noise and hands the rest on."""
    cell = nested()
    normal = cell.cell.cell.cell
    inner = normal.cell
    noise = cell.noise(TIME, BATCH)
    (mask_x, mask_y), inside = noise.held
    held = inside[1][1][1]  # behind the residual, the zoneout and the norm
    zones = noise.step[1][1][0].h
    assert held.shape == mask_x.shape == mask_y.shape == (BATCH, INPUT)
    assert zones.shape == (TIME, BATCH, INPUT)
    x, h = rows(), torch.zeros(BATCH, INPUT, dtype=torch.float64)
    got = run(cell, x, noise=noise, return_states=True)
    for t in range(TIME):
        read = x[t] * mask_x
        new, _ = inner.step(read, recurra.HiddenState(h), None, Noise(held=held))
        new = normalized(new, normal.output_gain, normal.output_shift, "layer")
        h = torch.where(zones[t], h, new)
        assert same(got.states.h[t], h)
        assert same(got.outputs[t], (h + read) * mask_y)


def test_nested_noise_is_replayed():
    cell = nested()
    x = rows()
    torch.manual_seed(3)
    drawn_in_run = run(cell, x, lengths=LENGTHS).outputs
    torch.manual_seed(3)
    noise = cell.noise(TIME, BATCH)
    for training in (True, False):
        cell.train(training)
        assert torch.equal(run(cell, x, noise=noise, lengths=LENGTHS).outputs, drawn_in_run)
    assert not torch.allclose(run(cell, x, lengths=LENGTHS).outputs, drawn_in_run)
    assert not torch.allclose(run(cell.train(), x, lengths=LENGTHS).outputs, drawn_in_run)


def test_only_parts_in_training_draw():
    cell = nested().eval()
    assert run(cell, rows()).outputs.all()
    cell.train()
    cell.cell.eval()
    (mask_x, _), inside = cell.noise(TIME, BATCH).held
    assert mask_x is not None
    assert inside is None


def test_the_order_of_wrappers_counts():
    """A mask inside the residual leaves what was read, one outside takes it too."""
    inner = double(recurra.GRUCell(INPUT, INPUT))
    x = rows()
    noise = Noise((None, None), ((None, torch.zeros(BATCH, INPUT, dtype=torch.float64)), None))
    inside = Residual(HeldDropout(inner, 0.0, 0.5))
    assert not run(HeldDropout(Residual(inner), 0.0, 0.5), x, noise=noise).outputs.any()
    assert torch.equal(
        run(inside, x, noise=Noise((None, noise.step), (None, noise.held))).outputs, x
    )


@pytest.mark.parametrize("outside", ["normalized", "zoneout", "residual"])
@pytest.mark.parametrize("cell", [ElmanCell, LSTMCell, GRUCell, JordanCell])
def test_a_mask_that_drops_nothing_is_evaluation(outside, cell):
    """Around held dropout a wrapper does the same in both modes."""
    inner = HeldDropout(cell(4, 4), 0.2, 0.3)
    around = {
        "normalized": lambda: Normalized(inner),
        "zoneout": lambda: Zoneout(inner, {inner.initial_state(1)._fields[0]: 0.0}),
        "residual": lambda: Residual(inner),
    }[outside]().double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    noise = around.noise(6, 3)
    ones = Noise(map_tree(torch.zeros_like, noise.step), map_tree(torch.ones_like, noise.held))
    trained = run(around, x, noise=ones)
    around.eval()
    assert torch.allclose(run(around, x).outputs, trained.outputs, rtol=0, atol=1e-12)


def test_zoneout_of_everything_around_held_dropout():
    """y stays the cell's own word in both modes: what is masked is no field of the state."""
    around = Zoneout(HeldDropout(GRUCell(3, 4), 0.0, 0.5), 0.999999).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    around.eval()
    evaluated = run(around, x)
    assert evaluated.outputs.abs().max() > 0.05
    assert evaluated.state.h.abs().max() < 1e-3
