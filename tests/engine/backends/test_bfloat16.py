"""Under autocast the machine multiplies what it rounded to bfloat16, and sums in float32."""

import pytest
import torch
from laws.subjects import Leaky

import recurra
from recurra import ElmanCell, GRUCell, HiddenState, LSTMCell, Recurrent, Zoneout
from recurra.engine import explain, run
from recurra.engine.backends import native

short = pytest.mark.skipif(
    not native.bfloat16_products(), reason="this CPU has no quick products in bfloat16"
)


class Plain(recurra.Cell):
    """Nothing but two products."""

    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.w = torch.nn.Parameter(torch.randn(units, inputs))
        self.u = torch.nn.Parameter(torch.randn(units, units) / units)

    def initial_state(self, batch):
        return HiddenState(self.w.new_zeros(batch, self.hidden_size))

    def step(self, x, state, context=None, noise=None):
        h = x @ self.w.T + state.h @ self.u.T
        return h, HiddenState(h)


def rounded(tensor):
    return tensor.bfloat16().float()


def in_bfloat16(cell, inputs, state=None, **settings):
    with torch.autocast("cpu", torch.bfloat16):
        return run(cell, inputs, state, backend="native", **settings)


def with_gradients(cell, result, weights):
    cell.zero_grad()
    (result.outputs * weights).sum().backward()
    return [p.grad.clone() for p in cell.parameters()]


@short
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 33, 70])
@pytest.mark.parametrize(("depth", "width"), [(1, 1), (2, 16), (7, 33), (64, 48), (301, 70)])
def test_a_product_is_that_of_rounded_numbers(rows, depth, width):
    """To the bit: one chain of additions in the order of the depth, whatever the tiles.

    Matrix units add in an order of their own.
    """
    torch.manual_seed(0)
    cell, x, weights = Plain(depth, width), torch.randn(1, rows, depth), torch.randn(1, rows, width)
    weights = rounded(weights)
    got = in_bfloat16(cell, x)
    found = with_gradients(cell, got, weights)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(rounded(parameter))
    wanted = run(cell, rounded(x), backend="native")
    pairs = [(got.outputs, wanted.outputs)]
    pairs += list(zip(found, with_gradients(cell, wanted, weights), strict=True))
    for a, b in pairs:
        if native.bfloat16_products() == "amx":
            assert (a - b).abs().max() <= 1e-5 * b.abs().max() + 1e-6
        else:
            assert torch.equal(a, b)


@short
@pytest.mark.parametrize("value", [0.0, -0.0, float("inf"), float("nan"), 3e38, 1e-40])
def test_numbers_at_the_borders(value):
    cell, x = Plain(3, 2), torch.full((1, 2, 3), value)
    with torch.no_grad():
        cell.w.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.0]]))
    wanted = rounded(x)[..., 0] * torch.tensor([1.0, 0.5]) + 0 * value
    got = in_bfloat16(cell, x).outputs[0]
    assert torch.allclose(got, wanted, atol=1e-38, equal_nan=True)


@short
@pytest.mark.parametrize("make", [LSTMCell, GRUCell, ElmanCell, Leaky])
def test_mates_padding_and_windows_change_no_bit(make):
    torch.manual_seed(0)
    cell, x, lengths = make(5, 37), torch.randn(40, 7, 5), torch.tensor([40, 3, 17, 1, 40, 0, 22])
    weights = torch.randn(40, 7, 37)
    whole = in_bfloat16(cell, x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        if length:
            alone = in_bfloat16(cell, x[:length, row : row + 1])
            assert torch.equal(alone.outputs[:, 0], whole.outputs[:length, row])
        assert not whole.outputs[length:, row].any()
    gradients = with_gradients(cell, whole, weights)
    again = in_bfloat16(cell, x, lengths=lengths, checkpoint_every=7)
    assert torch.equal(again.outputs, whole.outputs)
    for a, b in zip(gradients, with_gradients(cell, again, weights), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


@short
@pytest.mark.parametrize("make", [LSTMCell, GRUCell, ElmanCell, Leaky])
def test_gradients_are_near_those_of_float32(make):
    torch.manual_seed(0)
    cell, x, weights = make(16, 48), torch.randn(60, 6, 16), torch.randn(60, 6, 48)
    exact = with_gradients(cell, run(cell, x, backend="native"), weights)
    near = with_gradients(cell, in_bfloat16(cell, x), weights)
    for a, b in zip(exact, near, strict=True):
        assert 0 < (a - b).abs().max() < 0.02 * a.abs().max()


@short
def test_what_comes_in_bfloat16_goes_on_in_float32():
    layer = Recurrent(Zoneout(GRUCell(4, 3))).eval()
    project = torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        read = project(torch.randn(5, 2, 4))
        assert read.dtype is torch.bfloat16
        result = layer(read)
    assert result.outputs.dtype is torch.float32
    result.outputs.sum().backward()
    assert project.weight.grad.dtype is torch.float32


@short
def test_explain_tells():
    with torch.autocast("cpu", torch.bfloat16):
        assert "products are in bfloat16" in str(explain(LSTMCell(3, 4), torch.randn(5, 2, 3)))
    assert "bfloat16" not in str(explain(LSTMCell(3, 4), torch.randn(5, 2, 3)))


def test_without_quick_products(monkeypatch):
    """In float32, whatever kernels torch has: on some of these CPUs they only raise an error."""
    monkeypatch.setattr(native, "bfloat16_products", lambda: "")
    x = torch.randn(5, 2, 3)
    for cell in (Plain(3, 4), LSTMCell(3, 4)):
        wanted = run(cell, x, backend="native").outputs
        with torch.autocast("cpu", torch.bfloat16):
            assert explain(cell, x).choices[0].backend == "native"
            assert torch.equal(run(cell, x).outputs, wanted)


def test_other_types_are_not_rounded():
    x = torch.randn(5, 2, 3)
    cell = LSTMCell(3, 4)
    with torch.autocast("cpu", torch.float16):
        assert explain(cell, x).choices[0].backend != "native"
    exact = cell.double()
    with torch.autocast("cpu", torch.bfloat16):
        got = run(exact, x.double()).outputs
    assert torch.equal(got, run(exact, x.double()).outputs)


@pytest.mark.parametrize("rows", [8, 21, 40])
def test_large_products_have_the_same_bits_each_time(rows):
    """Of a matrix beyond the nearer caches ways are tried in turn, all to the same bits."""
    torch.manual_seed(0)
    cell, x = Plain(600, 512), torch.randn(1, rows, 600)
    first = run(cell, x, backend="native").outputs
    assert all(torch.equal(run(cell, x, backend="native").outputs, first) for _ in range(20))
    some = run(cell, x[:, :5], backend="native").outputs  # few rows are not tried
    assert torch.equal(some, first[:, :5])
