"""The native machine: what it promises beyond equal numbers."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

import recurra
import recurra_runtime
from recurra.cells.base import cell_by_name, cell_names
from recurra.states import leaves, map_tree

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """Several threads, whatever the machine has, and however small the work is."""
    monkeypatch.setattr("recurra.engine.machine.arguments._SHARED_FROM", 1.0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def outputs(cell, x, **options):
    with torch.no_grad():
        return recurra.run(cell, x, backend="native", **options)


def example(cell, time, batch):
    return map_tree(lambda leaf: torch.randn(time, batch, *leaf.shape[1:]), cell.example_input(1))


@pytest.mark.parametrize("name", cell_names())
def test_a_rows_bits_hang_on_nothing_else(name):
    """Not on its batch mates, nor on chunks, steps or threads."""
    cell = cell_by_name(name, 5, 20)
    x = example(cell, 40, 9)
    whole = outputs(cell, x)
    alone = outputs(cell, map_tree(lambda leaf: leaf[:, 4:5], x))
    assert torch.equal(whole.outputs[:, 4:5], alone.outputs)
    state, parts = None, []
    for start, stop in ((0, 17), (17, 18), (18, 40)):
        piece = outputs(cell, map_tree(lambda leaf, a=start, b=stop: leaf[a:b], x), state=state)
        state = piece.state
        parts.append(piece.outputs)
    assert torch.equal(torch.cat(parts), whole.outputs)
    for a, b in zip(leaves(state), leaves(whole.state), strict=True):
        assert torch.equal(a, b)
    for count in (1, 3, 16):
        torch.set_num_threads(count)
        assert torch.equal(outputs(cell, x).outputs, whole.outputs)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_gradients_are_the_same_at_any_thread_count(count, batch):
    torch.set_num_threads(count)
    cell = recurra.LSTMCell(6, 33)
    x = torch.randn(70, batch, 6, requires_grad=True)
    weight = torch.randn(70, batch, 33)

    def grads(backend):
        total = (recurra.run(cell, x, backend=backend).outputs * weight).sum()
        return torch.autograd.grad(total, [x, *cell.parameters()])

    first, again, wanted = grads("native"), grads("native"), grads("loop")
    for a, b, c in zip(first, again, wanted, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-4)


ROUTES = {
    "data": lambda cell: cell.recurrent_weight.data.mul_(0.5),
    "assigned": lambda cell: setattr(
        cell, "recurrent_weight", nn.Parameter(cell.recurrent_weight.detach() * 0.5)
    ),
    "data replaced": lambda cell: setattr(
        cell.recurrent_weight, "data", cell.recurrent_weight.data * 0.5
    ),
    "numpy": lambda cell: cell.recurrent_weight.detach().numpy().__imul__(0.5),
    "vector": lambda cell: nn.utils.vector_to_parameters(
        nn.utils.parameters_to_vector(cell.parameters()).detach() * 0.5, cell.parameters()
    ),
    "load": lambda cell: cell.load_state_dict(
        {name: value * 0.5 for name, value in cell.state_dict().items()}
    ),
    "load assign": lambda cell: cell.load_state_dict(
        {name: value * 0.5 for name, value in cell.state_dict().items()}, assign=True
    ),
    "fused": lambda cell: _fused_step(cell),
    "no bias": lambda cell: setattr(cell, "bias", None),
}


def _fused_step(cell):
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.1, fused=True)
    for parameter in cell.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    cell.zero_grad()


@pytest.mark.parametrize("route", ROUTES)
def test_weights_changed_by_any_route_are_the_ones_used(route):
    cell, x = recurra.GRUCell(3, 4), torch.randn(5, 2, 3)
    before = outputs(cell, x).outputs
    ROUTES[route](cell)
    after = outputs(cell, x).outputs
    assert not torch.equal(before, after) or route == "no bias"
    with torch.no_grad():
        wanted = recurra.run(cell, x, backend="loop").outputs
    torch.testing.assert_close(after, wanted)


class Tuned(recurra.Cell):
    """A cell with settings of every kind."""

    def __init__(self):
        super().__init__(3, 3)
        self.rate, self.activation = 0.5, torch.tanh
        self.settings = {"scale": 1.0, "more": [1.0, 2.0]}
        self.mask = torch.ones(3)
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = self.rate * state.h + self.settings["scale"] * self.activation(self.inner(x))
        h = h * self.mask * self.settings["more"][1]
        return h, recurra.HiddenState(h)


CHANGES = {
    "number": lambda cell: setattr(cell, "rate", 0.25),
    "function": lambda cell: setattr(cell, "activation", torch.sigmoid),
    "dictionary": lambda cell: cell.settings.update(scale=0.5),
    "list in it": lambda cell: cell.settings["more"].__setitem__(1, 0.3),
    "tensor replaced": lambda cell: setattr(cell, "mask", torch.tensor([0.0, 1.0, 0.5])),
    "tensor in place": lambda cell: cell.mask.mul_(0.5),
    "part replaced": lambda cell: cell.inner.__setitem__(1, nn.ReLU()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_attributes_changed_by_any_route_are_the_ones_used(change):
    cell, x = Tuned(), torch.randn(5, 2, 3)
    before = outputs(cell, x).outputs
    CHANGES[change](cell)
    after = outputs(cell, x).outputs
    assert not torch.equal(before, after)
    with torch.no_grad():
        torch.testing.assert_close(after, recurra.run(cell, x, backend="loop").outputs)


def test_second_derivatives_are_torchs_own():
    cell = recurra.GRUCell(2, 3).double()
    x = torch.randn(4, 2, 2, dtype=torch.double, requires_grad=True)
    lengths = torch.tensor([4, 2])

    def run(x, *_):
        return recurra.run(cell, x, lengths=lengths, backend="native").outputs

    assert torch.autograd.gradcheck(run, (x, *cell.parameters()))
    assert torch.autograd.gradgradcheck(run, (x, *cell.parameters()))


def test_inputs_that_lie_any_way():
    cell = recurra.LSTMCell(6, 5)
    x = torch.randn(3, 7, 6)
    ways = {
        "batch first": x.transpose(0, 1),
        "every other step": torch.randn(14, 3, 6)[::2],
        "expanded": torch.randn(7, 1, 6).expand(7, 3, 6),
        "a part of the features": torch.randn(7, 3, 11)[..., 2:8],
        "features turned": torch.randn(7, 6, 3).transpose(1, 2),
    }
    for way in ways.values():
        way = way.detach().requires_grad_()
        got = recurra.run(cell, way, backend="native").outputs
        wanted = recurra.run(cell, way, backend="loop").outputs
        torch.testing.assert_close(got, wanted)
        # Gradients that come in expanded, as from a sum, or turned.
        for total in (lambda y: y.sum(), lambda y: (y.transpose(0, 2) ** 2).mean()):
            a, b = (torch.autograd.grad(total(y), way, retain_graph=True)[0] for y in (got, wanted))
            torch.testing.assert_close(a, b)


def test_no_gradient_comes_in_for_what_is_not_used():
    cell = recurra.LSTMCell(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    for pick in (
        lambda r: r.state.c.sum(),
        lambda r: r.outputs[2].sum(),
        lambda r: r.state.h.sum(),
    ):
        a, b = (
            torch.autograd.grad(pick(recurra.run(cell, x, backend=name)), [x, *cell.parameters()])
            for name in ("native", "loop")
        )
        for one, other in zip(a, b, strict=True):
            torch.testing.assert_close(one, other)


def test_padding_may_hold_anything():
    cell = recurra.GRUCell(3, 4)
    lengths = torch.tensor([2, 5, 0])
    x = torch.randn(5, 3, 3)
    behind = torch.arange(5)[:, None] >= lengths
    foul = x.masked_fill(behind[..., None], torch.nan).requires_grad_()
    got = recurra.run(cell, foul, lengths=lengths, backend="native")
    assert not got.outputs[behind].any()
    weight = torch.randn(5, 3, 4).masked_fill(behind[..., None], torch.nan)
    got.outputs.backward(weight)
    assert not foul.grad[behind].any()
    for value in (foul.grad, *(p.grad for p in cell.parameters())):
        assert value.isfinite().all()


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_rows_of_any_lengths_are_divided_among_threads(count):
    """Also where each thread gets one row or two: lengths must fall in each one's part."""
    torch.set_num_threads(count)
    cell = recurra.GRUCell(3, 4)
    for batch in range(1, 3 * count):
        x, lengths = torch.randn(11, batch, 3), torch.randint(0, 12, (batch,))
        lengths[0] = 11
        with torch.no_grad():
            wanted = recurra.run(cell, x, lengths=lengths, backend="loop").outputs
        torch.testing.assert_close(outputs(cell, x, lengths=lengths).outputs, wanted)


def test_what_changed_between_forward_and_back_is_noticed():
    cell = recurra.GRUCell(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    result = recurra.run(cell, x, backend="native").outputs
    with torch.no_grad():
        cell.recurrent_weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.sum().backward()


def test_twice_back_through_one_graph():
    cell = recurra.LSTMCell(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    total = recurra.run(cell, x, backend="native").outputs.sum()
    first = torch.autograd.grad(total, x, retain_graph=True)[0]
    # Other calls in between must not take the memory that is kept for this one.
    for _ in range(3):
        recurra.run(cell, torch.randn(5, 2, 3), backend="native").outputs.sum().backward()
    assert torch.equal(torch.autograd.grad(total, x)[0], first)


def test_memory_is_given_back():
    from recurra_runtime.backend import core

    native = core()
    cell, x = recurra.LSTMCell(8, 16), torch.randn(50, 4, 8)
    recurra.run(cell, x, backend="native").outputs.sum().backward()
    waiting = native.kept_bytes()
    for _ in range(5):
        recurra.run(cell, x, backend="native").outputs.sum().backward()
        assert native.kept_bytes() == waiting


def test_a_fork_has_threads_of_its_own():
    cell, x = recurra.LSTMCell(8, 64), torch.randn(50, 8, 8)
    wanted = outputs(cell, x).outputs
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        same = torch.equal(outputs(cell, x).outputs, wanted)
        os.write(write, b"1" if same else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"


def test_calls_from_several_threads():
    from concurrent.futures import ThreadPoolExecutor

    cells = [recurra.GRUCell(4, size) for size in (5, 40, 33)]
    xs = [torch.randn(60, 5, 4) for _ in cells]
    wanted = [outputs(cell, x).outputs for cell, x in zip(cells, xs, strict=True)]

    def run(index):
        at = index % 3
        return torch.equal(outputs(cells[at], xs[at]).outputs, wanted[at])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(60)))


def test_a_norm_of_nothing_is_flat():
    class Normed(recurra.GRUCell):
        def step(self, x, state, context=None, noise=None):
            y, state = super().step(
                x / (1 + torch.linalg.vector_norm(x, dim=1, keepdim=True)), state
            )
            return y, state

    cell, x = Normed(3, 4), torch.randn(5, 2, 3)
    x[1:3, 1] = 0
    grads = []
    for backend in ("native", "loop"):
        given = x.clone().requires_grad_()
        recurra.run(cell, given, backend=backend).outputs.square().sum().backward()
        grads.append(given.grad)
    torch.testing.assert_close(*grads)


def test_a_first_call_in_inference_mode_does_not_decide_for_later_ones():
    class Own(recurra.Cell):
        def __init__(self):
            super().__init__(3, 4)
            self.read = nn.Linear(3, 4)
            self.norm = nn.LayerNorm(4)

        def initial_state(self, batch):
            return recurra.HiddenState(self.zeros(batch))

        def step(self, x, state, context=None, noise=None):
            h = torch.softmax(self.norm(self.read(x) + state.h), 1)
            return h, recurra.HiddenState(h)

    cell, x = Own(), torch.randn(5, 2, 3)
    with torch.inference_mode():
        first = recurra.run(cell, x, backend="native").outputs
    later = recurra.run(cell, x, backend="native").outputs
    assert torch.equal(first, later)
    later.sum().backward()
    assert cell.read.weight.grad is not None


def test_threads_may_change_between_forward_and_back():
    """The order in which rows were dealt is kept with what was kept of them."""
    cell, x = recurra.LSTMCell(6, 20), torch.randn(30, 7, 6, requires_grad=True)
    lengths = torch.tensor([30, 3, 17, 0, 30, 8, 21])

    def gradient(before, after, backend):
        torch.set_num_threads(before)
        total = recurra.run(cell, x, lengths=lengths, backend=backend).outputs.square().sum()
        torch.set_num_threads(after)
        return torch.autograd.grad(total, [x, *cell.parameters()])

    wanted = gradient(1, 1, "loop")
    for before, after in ((1, 2), (2, 1), (3, 2), (5, 3)):
        for a, b in zip(gradient(before, after, "native"), wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_memory_is_autograds_to_let_go():
    """Freed with the last result, freed by backward(), seen by hooks on what is saved."""
    import gc
    import weakref

    cell, x = recurra.JordanCell(8, 64), torch.randn(300, 4, 8)
    gc.collect()
    gc.disable()
    try:
        outputs = recurra.run(cell, x, backend="native").outputs
        gone = weakref.ref(outputs)
        del outputs
        assert gone() is None, "no cycle"
    finally:
        gc.enable()
    outputs = recurra.run(cell, x, backend="native").outputs
    outputs.sum().backward()
    with pytest.raises(RuntimeError, match="freed"):
        _ = outputs.grad_fn.saved_tensors
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.nbytes) or t, lambda t: t
    ):
        recurra.run(recurra.LSTMCell(8, 64), x, backend="native")
    assert sum(saved) > 300 * 4 * 5 * 64 * 4, "gates and states"


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_second_derivatives_with_resets(reverse, every):
    """As many rows as features: a mark that met the wrong axis would not be noticed."""
    torch.manual_seed(0)
    cell = recurra.GRUCell(3, 4).double()
    x = torch.randn(6, 4, 3, dtype=torch.float64, requires_grad=True)
    resets = torch.rand(6, 4) < 0.4

    def both(backend):
        options = {"resets": resets, "reverse": reverse, "checkpoint_every": every}
        y = recurra.run(cell, x, backend=backend, **options).outputs
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        return first, *torch.autograd.grad(first.square().sum(), x)

    for ours, wanted in zip(both("native"), both("loop"), strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-12, rtol=1e-9)


def test_lengths_that_change_later_are_those_of_the_call():
    layer = recurra.Recurrent(recurra.GRUCell(3, 4), backend="native")
    x = torch.randn(10, 3, 3, requires_grad=True)
    lengths = torch.tensor([2, 4, 1])
    (wanted,) = torch.autograd.grad(layer(x, lengths=lengths).outputs.square().sum(), x)
    loss = layer(x, lengths=lengths).outputs.square().sum()
    lengths.fill_(10)
    assert torch.equal(torch.autograd.grad(loss, x)[0], wanted)


def test_negated_views_are_what_they_stand_for():
    x = torch._neg_view(torch.randn(6, 2, 3))
    layer = recurra.Recurrent(recurra.GRUCell(3, 4), backend="native")
    state = recurra.HiddenState(torch._neg_view(torch.randn(2, 4)))
    plain = recurra.HiddenState(state.h.clone())
    assert torch.equal(layer(x, state).outputs, layer(x.clone(), plain).outputs)
    weight = torch.randn(9, 3)
    targets = torch.zeros(6, 2, dtype=torch.int64)
    got = recurra.projected_cross_entropy(x, weight, None, targets)
    torch.testing.assert_close(
        got, recurra.projected_cross_entropy(x.clone(), weight, None, targets)
    )
    own = torch.randn(6, 2, 3, requires_grad=True)
    grads = torch._neg_view(torch.randn(6, 2, 4))
    a, b = (torch.autograd.grad(layer(own).outputs, own, g)[0] for g in (grads, grads.clone()))
    assert torch.equal(a, b)


def test_several_gradients_at_once():
    """torch's own transform of the way back."""
    layer = recurra.Recurrent(recurra.LSTMCell(3, 4), backend="native")
    x = torch.randn(6, 2, 3, requires_grad=True)
    weight = torch.randn(9, 3, requires_grad=True)
    many = torch.randn(3, 6, 2, 4)
    y = layer(x).outputs
    together = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)[0]
    for grad, got in zip(many, together, strict=True):
        torch.testing.assert_close(got, torch.autograd.grad(y, x, grad, retain_graph=True)[0])
    loss = recurra.projected_cross_entropy(x, weight, None, torch.zeros(6, 2, dtype=torch.int64))
    scales = torch.tensor([1.0, -2.0])
    together = torch.autograd.grad(loss, x, scales, is_grads_batched=True, retain_graph=True)[0]
    (one,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(together, torch.stack([one, -2 * one]))


@pytest.mark.parametrize("every", [None, 7])
@pytest.mark.parametrize(
    "hooks",
    [
        (lambda t: t.clone(memory_format=torch.contiguous_format), lambda t: t),
        (lambda t: t, lambda t: torch.stack([t, t], -1)[..., 0]),
        (lambda t: t.double(), lambda t: t),
    ],
    ids=["contiguous", "strided", "another type"],
)
def test_hooks_may_give_back_what_was_saved_in_another_layout(hooks, every):
    cell = recurra.LSTMCell(6, 10)
    for parameter in cell.parameters():
        if parameter.dim() == 2:
            parameter.data = parameter.data.t().contiguous().t()
    x = torch.randn(20, 3, 6, requires_grad=True)
    wanted = torch.autograd.grad(recurra.run(cell, x).outputs.square().sum(), x)[0]
    with torch.autograd.graph.saved_tensors_hooks(*hooks):
        y = recurra.run(cell, x, backend="native", checkpoint_every=every).outputs
    torch.testing.assert_close(torch.autograd.grad(y.square().sum(), x)[0], wanted)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_forward_mode_runs_on_loop():
    from torch.autograd import forward_ad

    cell, x = recurra.GRUCell(3, 4), torch.randn(5, 2, 3)
    tangent = torch.randn_like(x)
    wanted = torch.func.jvp(lambda x: recurra.run(cell, x).outputs, (x,), (tangent,))[1]
    for learns in (True, False):
        cell.requires_grad_(learns)
        with forward_ad.dual_level():
            y = recurra.run(cell, forward_ad.make_dual(x, tangent)).outputs
            torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, wanted)


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.RNNCell, nn.LSTMCell])
def test_cells_of_torch_inside_of_a_step(kind):
    """They change parts of a product in place, which nobody else sees."""

    class Own(recurra.Cell):
        def __init__(self):
            super().__init__(3, 4)
            self.inner = kind(3, 4)
            self.two = kind is nn.LSTMCell

        def initial_state(self, batch):
            h = recurra.HiddenState(self.zeros(batch))
            return (h, recurra.HiddenState(self.zeros(batch))) if self.two else h

        def step(self, x, state, context=None, noise=None):
            if not self.two:
                h = self.inner(x, state.h)
                return h, recurra.HiddenState(h)
            h, c = self.inner(x, (state[0].h, state[1].h))
            return h, (recurra.HiddenState(h), recurra.HiddenState(c))

    cell, x = Own(), torch.randn(7, 2, 3, requires_grad=True)
    found = []
    for backend in ("native", "loop"):
        y = recurra.run(cell, x, backend=backend).outputs
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *cell.parameters()])])
    torch.testing.assert_close(*found)


def test_a_part_that_is_looked_at_twice_is_no_part():
    class Own(recurra.GRUCell):
        def step(self, x, state, context=None, noise=None):
            y, state = super().step(x, state)
            left, right = torch.unsafe_chunk(y + 1, 2, 1)
            seen = left.view(-1, 2)
            left.mul_(3)
            return torch.cat([seen, right], 1), state

    cell, x = Own(3, 4), torch.randn(7, 2, 3)
    torch.testing.assert_close(
        recurra.run(cell, x).outputs, recurra.run(cell, x, backend="loop").outputs
    )
