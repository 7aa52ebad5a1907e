"""How weights start, and what the settings of a cell may be."""

import math

import pytest
import torch
from cells.oracles import NORMED, OURS, settings_of

import recurra
from recurra.cells import cell_by_name
from recurra.engine import run
from recurra.errors import SettingError

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
