"""Sessions whose matrices are kept in fewer bits: what they compute, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import recurra
from recurra.models import LanguageModel, LanguageModelConfig
from recurra_runtime import Session, native_available
from recurra_runtime.narrow import product_with

needs_native = pytest.mark.skipif(not native_available(), reason="there is no native module")
KEPT = ("bfloat16", "int8")


def steps(session, xs):
    return np.stack([session.step(x) for x in xs])


def layer_and_steps(width=40, count=30, rows=1, cell=recurra.LSTMCell):
    torch.manual_seed(0)
    layer = recurra.Recurrent(cell(width, width)).eval()
    xs = np.random.default_rng(0).standard_normal((count, rows, width)).astype("float32")
    return layer, xs


@pytest.mark.parametrize("rows", [1, 3, 6])
@pytest.mark.parametrize("weights", KEPT)
@pytest.mark.parametrize("core", ["native", "numpy"])
def test_near_what_all_bits_give(weights, rows, core, monkeypatch):
    if core == "numpy":
        monkeypatch.setattr("recurra_runtime.session.core", lambda: None)
    layer, xs = layer_and_steps(rows=rows)
    full = steps(layer.frozen(rows), xs)
    got = steps(layer.frozen(rows, weights=weights), xs)
    off = np.abs(got - full).max()
    assert 0 < off < 0.02 * np.abs(full).max()


@pytest.mark.parametrize("weights", KEPT)
@needs_native
def test_native_and_numpy_agree(weights, monkeypatch):
    layer, xs = layer_and_steps(width=70)
    native = steps(layer.frozen(weights=weights), xs)
    monkeypatch.setattr("recurra_runtime.session.core", lambda: None)
    np.testing.assert_allclose(steps(layer.frozen(weights=weights), xs), native, atol=1e-4)


@needs_native
def test_bfloat16_is_a_session_of_rounded_weights():
    layer, xs = layer_and_steps()
    narrow = steps(layer.frozen(weights="bfloat16"), xs)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if weight.dim() == 2:
                weight.copy_(weight.bfloat16().float())
            assert weight.dim() < 3, name
    np.testing.assert_array_equal(narrow, steps(layer.frozen(), xs))


@pytest.mark.parametrize("depth", [15, 16, 511, 512, 513, 1100])
def test_int8_by_its_definition(depth):
    rng = np.random.default_rng(depth)
    matrix, x = rng.standard_normal((depth, 5)), rng.standard_normal((2, depth))
    matrix, x = matrix.astype("float32"), x.astype("float32")
    got = product_with(matrix, "int8")(x)
    wanted = np.zeros((2, 5))
    for row in range(2):
        for column in range(5):
            for first in range(0, depth, 512):
                w, v = matrix[first : first + 512, column], x[row, first : first + 512]
                if depth >= 16:
                    scale, of_x = abs(w).max() / 127, abs(v).max() / 32767
                    w, v = np.round(w / scale) * scale, np.round(v / of_x) * of_x
                wanted[row, column] += float(np.dot(w.astype(float), v.astype(float)))
    # One whole number of a row may fall to the other side of a half.
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    error = abs(got - x.astype(float) @ matrix).max()
    assert error < 1e-6 if depth < 16 else 1e-4 < error < 0.05 * np.sqrt(depth)


@pytest.mark.parametrize("weights", KEPT)
def test_threads_and_rows_beside_change_no_bit(weights):
    layer, xs = layer_and_steps(width=300, count=5, rows=3)
    together = steps(layer.frozen(3, weights=weights), xs)
    program = layer.frozen().program
    for threads in (1, 2, 3):
        got = steps(Session(program, 3, threads=threads, weights=weights), xs)
        np.testing.assert_array_equal(got, together)
    for row in range(3):
        alone = steps(layer.frozen(1, weights=weights), xs[:, row : row + 1])
        np.testing.assert_array_equal(alone[:, 0], together[:, row])


@pytest.mark.parametrize("weights", KEPT)
def test_rows_that_are_chosen_go_on(weights):
    layer, xs = layer_and_steps(rows=2)
    session, whole = layer.frozen(2, weights=weights), layer.frozen(2, weights=weights)
    steps(session, xs[:4]), steps(whole, xs[:4])
    session.select([1])
    np.testing.assert_array_equal(steps(session, xs[4:, 1:]), steps(whole, xs[4:])[:, 1:])


@pytest.mark.parametrize("weights", KEPT)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_in_its_row(weights, bad):
    torch.manual_seed(0)
    layer = recurra.Recurrent(recurra.ElmanCell(20, 20)).eval()
    session = layer.frozen(2, weights=weights)
    x = np.ones((2, 20), "float32")
    x[1, 3] = bad
    got = session.step(x)
    assert np.isfinite(got[0]).all()
    if weights == "int8" or np.isnan(bad):
        assert np.isnan(got[1]).all()
    assert np.isfinite(session.step(np.ones((2, 20), "float32"))[0]).all()


@pytest.mark.parametrize("weights", KEPT)
def test_zeros_and_the_smallest_numbers(weights):
    layer, _ = layer_and_steps()
    for size in (0, 1e-38, 1e-44):
        x = np.full((1, 40), size, "float32")
        got, full = layer.frozen(weights=weights).step(x), layer.frozen().step(x)
        np.testing.assert_allclose(got, full, atol=1e-6)


def test_drop_ins_and_language_models():
    torch.manual_seed(0)
    own = recurra.LSTM(30, 40, num_layers=2).eval()
    x = np.ones((1, 30), "float32")
    near = own.frozen(weights="int8").step(x)
    assert 0 < np.abs(near - own.frozen().step(x)).max() < 0.01
    model = LanguageModel(LanguageModelConfig(vocabulary_size=30, hidden_size=40)).eval()
    ids = np.zeros(1, np.int64)
    near = model.frozen(weights="int8").step(ids)
    assert 0 < np.abs(near - model.frozen().step(ids)).max() < 0.02


@pytest.mark.parametrize("weights", ["int4", "float32", 8, b"int8", True, ["int8"]])
def test_other_weights_are_refused(weights):
    layer, _ = layer_and_steps()
    with pytest.raises(ValueError, match="weights: expected None, 'bfloat16' or 'int8'"):
        layer.frozen(weights=weights)


@pytest.mark.parametrize("weights", KEPT)
def test_float64_keeps_its_bits(weights):
    layer = recurra.Recurrent(recurra.GRUCell(20, 20)).double().eval()
    with pytest.raises(ValueError, match="computes in float64"):
        layer.frozen(weights=weights)
