"""Steps of any shape and type run natively, and give what the loop gives, gradients too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine.backends.own_cells import (
    Attending,
    Clock,
    ConvLSTM,
    Convolved,
    Counted,
    FromTheEnd,
    Heads,
    Ids,
    OfConstants,
    Shaped,
    Source,
    Wide,
    Writing,
)
from torch import nn

import recurra
import recurra_runtime
from recurra.errors import BackendError
from recurra.states import leaves, map_tree

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)
TIME, BATCH, MEMORY = 7, 5, 4
LENGTHS = torch.tensor([7, 3, 0, 5, 1])

CELLS = {
    "ids": Ids,
    "ids, padding": lambda: Ids(padding_idx=3),
    "several ids": lambda: Ids(3),
    "ids from the end": FromTheEnd,
    "counter": Clock,
    **{f"attention, {how}": lambda how=how: Attending(how) for how in ("additive", "einsum", "at")},
    "attention, bmm": lambda: Attending("bmm"),
    "heads": Heads,
    "matrix": Writing,
    "y of two axes": lambda: Shaped((2, 3)),
    "y of three axes": lambda: Shaped((1, 3, 2)),
    "y a number": lambda: Shaped(()),
    "pictures": ConvLSTM,
    "narrow behind wide": Wide,
    "of constants": OfConstants,
}
CALLS: dict[str, dict[str, Any]] = {
    "whole": {},
    "lengths": {"lengths": LENGTHS},
    "reverse": {"lengths": LENGTHS, "reverse": True},
    "resets": {"lengths": LENGTHS, "resets": torch.arange(35).view(7, 5) % 4 == 1},
    "resets, reverse": {"resets": torch.arange(35).view(7, 5) % 3 == 1, "reverse": True},
    "checkpoints": {"lengths": LENGTHS, "checkpoint_every": 2},
}


def made(make, dtype):
    torch.manual_seed(0)
    return make().to(dtype)


def inputs(cell, dtype=torch.float32, time=TIME, batch=BATCH):
    """x and a context; what has gradients asks for them."""
    like = cell.example_input(1)
    shape = (time, batch, *like.shape[1:])
    whole = not like.is_floating_point()
    x = torch.randint(0, 10, shape) if whole else torch.randn(shape, dtype=dtype)
    context = None
    if cell.takes_context:
        memory = torch.randn(batch, MEMORY, 5, dtype=dtype, requires_grad=True)
        context = Source(memory, torch.tensor([4, 1, 2, 3, 4])[:batch])
    return x.requires_grad_(not whole), context


def everything(cell, x, context, backend, **call):
    """All that a call gives, and the gradients of all that is of floating point."""
    run = recurra.run(cell, x, context=context, backend=backend, return_states=True, **call)
    found = leaves((run.outputs, run.state, run.states))
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (leaf * torch.rand(leaf.shape, dtype=leaf.dtype, generator=generator)).sum()
        for leaf in found
        if leaf.is_floating_point()
    )
    sources = [leaf for leaf in [x, *leaves(context), *cell.parameters()] if leaf.requires_grad]
    grads = torch.autograd.grad(total, sources, allow_unused=True)
    zeros = [torch.zeros_like(s) if g is None else g for s, g in zip(sources, grads, strict=True)]
    return found, zeros


def must_be_the_loops(cell, x, context, **call):
    ours, theirs = (everything(cell, x, context, b, **call) for b in ("native", "loop"))
    bound = 1e-9 if next(cell.parameters()).dtype is torch.float64 else 2e-4
    for a, b in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound, equal_nan=True)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", CELLS)
def test_what_the_loop_gives(name, call):
    cell = made(CELLS[name], torch.float64)
    must_be_the_loops(cell, *inputs(cell, torch.float64), **CALLS[call])


@pytest.mark.parametrize("name", CELLS)
def test_in_single_precision(name):
    cell = made(CELLS[name], torch.float32)
    must_be_the_loops(cell, *inputs(cell), lengths=LENGTHS)


@pytest.mark.parametrize(("time", "batch"), [(0, 5), (7, 0), (1, 1)])
@pytest.mark.parametrize("name", ["ids", "counter", "attention, bmm", "y a number", "pictures"])
def test_few_steps_and_rows(name, time, batch):
    cell = made(CELLS[name], torch.float32)
    must_be_the_loops(cell, *inputs(cell, time=time, batch=batch))


@pytest.mark.parametrize("core", [True, False], ids=["native", "numpy"])
@pytest.mark.parametrize("name", CELLS)
def test_frozen(name, core, monkeypatch):
    if not core:
        monkeypatch.setattr("recurra_runtime.session.core", lambda: None)
    cell = made(CELLS[name], torch.float32)
    x, context = inputs(cell)
    session = recurra.Recurrent(cell).frozen(BATCH, context)
    with torch.no_grad():
        wanted = recurra.run(cell, x, context=context, backend="loop")
    got = np.stack([session.step(now.detach().numpy()) for now in x])
    np.testing.assert_allclose(got, wanted.outputs, rtol=1e-4, atol=1e-5)
    for own, leaf in zip(session.state, leaves(wanted.state), strict=True):
        np.testing.assert_allclose(own, leaf, rtol=1e-4, atol=1e-5)


# ---- whole numbers ------------------------------------------------------------------------------


def test_an_id_that_is_no_row_is_an_error():
    cell, x = made(Ids, torch.float32), torch.full((3, 2), 4)
    x[2, 1] = 10
    for lengths in (None, [3, 3]):
        with pytest.raises(IndexError, match=r"Ids: index 10 is out of range.*table of 10 rows"):
            recurra.run(cell, x, lengths=lengths, backend="native")
    with pytest.raises(IndexError):
        recurra.run(cell, x, backend="loop")
    session = recurra.Recurrent(cell).frozen(2)
    with pytest.raises(ValueError, match="whole numbers from 0 to 9"):
        session.step(np.array([1, 10]))


@pytest.mark.parametrize("core", [True, False], ids=["native", "numpy"])
def test_a_counter_that_leaves_its_table_is_an_error(core, monkeypatch):
    if not core:
        monkeypatch.setattr("recurra_runtime.session.core", lambda: None)
    cell = made(Clock, torch.float32)
    session = recurra.Recurrent(cell).frozen()
    h, _, seen = session.state
    session.state = (h, np.full((1, 1), 199), seen)
    session.step(np.zeros((1, 3), np.float32))
    with pytest.raises(IndexError, match="index 200 is out of range"):
        session.step(np.zeros((1, 3), np.float32))
    assert session.state[1] == 200, "the state is what it was"


def test_an_id_in_the_padding_is_nobodys():
    cell, x = made(Ids, torch.float32), torch.randint(0, 10, (TIME, BATCH))
    for t, row in np.ndindex(*x.shape):
        if t >= LENGTHS[row]:
            x[t, row] = -7
    must_be_the_loops(cell, x, None, lengths=LENGTHS)


def test_padding_gets_no_gradient():
    cell = made(lambda: Ids(padding_idx=3), torch.float32)
    x = torch.full((TIME, BATCH), 3)
    recurra.run(cell, x, backend="native").outputs.sum().backward()
    assert not cell.table.weight.grad.any()


def test_counts_keep_their_types_and_are_exact():
    cell = made(Clock, torch.float32)
    state = cell.initial_state(2)._replace(t=torch.tensor([[0], [150]]))
    run = recurra.run(cell, torch.randn(9, 2, 3), state, backend="native", return_states=True)
    assert run.state.t.tolist() == [[9], [159]]
    assert (run.state.t.dtype, run.state.seen.dtype) == (torch.int64, torch.bool)
    assert run.states.t[:, 1, 0].tolist() == list(range(151, 160))
    assert not run.state.t.requires_grad


def test_counts_that_floats_cannot_tell_apart_are_the_loops():
    cell = made(lambda: Clock(7), torch.float32)
    x = torch.randn(12, 2, 3)
    run, wanted = (recurra.run(cell, x, backend=b) for b in ("native", "loop"))
    assert torch.equal(run.state.t, wanted.state.t)
    assert int(run.state.t[0]) > 1 << 24
    assert "of 16,777,216 or above" in str(recurra.explain(cell, x, state=run.state))
    recurra.run(cell, x[:2], run.state)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1 << 24), (torch.float64, 1 << 53)])
@pytest.mark.parametrize("below", [3, 1, 0])
def test_a_count_does_not_stick_at_the_bound(dtype, bound, below):
    class Counts(recurra.Cell):
        def initial_state(self, batch):
            return Counted(self.zeros(batch), torch.zeros(batch, 1).long(), torch.zeros(batch, 1))

        def step(self, x, state, context=None, noise=None):
            h = torch.tanh(x + state.h)
            return h, Counted(h, state.t + self.by, state.seen)

    cell = Counts(3, 3).to(dtype)
    x = torch.randn(9, 2, 3, dtype=dtype)
    for by in (1, -1):
        cell.by = by
        begin = cell.initial_state(2)
        begin = begin._replace(t=torch.full((2, 1), by * (bound - below)), seen=x[0, :, :1])
        run = recurra.run(cell, x, begin, backend="native" if below else None)
        assert run.state.t.tolist() == [[by * (bound - below + 9)]] * 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e20])
def test_a_count_that_is_made_of_no_whole_number_is_torchs(number):
    class Rounds(Clock):
        def step(self, x, state, context=None, noise=None):
            return torch.cat([x, x], 1), state._replace(t=x[:, :1].long())

    cell = made(Rounds, torch.float32)
    x = torch.randn(4, 2, 3)
    x[:, 0, 0] = number
    run, wanted = (
        recurra.run(cell, x, backend=backend, return_states=True) for backend in ("native", "loop")
    )
    assert torch.equal(run.state.t, wanted.state.t)
    assert torch.equal(run.states.t, wanted.states.t)


def test_a_count_that_is_only_given_out_is_exact_too():
    class Tells(Clock):
        def step(self, x, state, context=None, noise=None):
            return state.t.expand(-1, 6) * ((1 << 24) + 1), super().step(x, state)[1]

    cell = made(Tells, torch.float32)
    y = recurra.run(cell, torch.randn(4, 2, 3), backend="native").outputs
    assert y[:, 0, 0].tolist() == [t * ((1 << 24) + 1) for t in range(4)]


class Divided(Clock):
    """Quotients and remainders of x by all divisors of a buffer."""

    def __init__(self):
        super().__init__()
        self.by = torch.tensor([-7, -3, -1, 1, 2, 5, 4095, 16777215])

    def example_input(self, batch):
        return torch.zeros(batch, 1, dtype=torch.int64)

    def step(self, x, state, context=None, noise=None):
        down, left = x.div(self.by, rounding_mode="floor"), x % self.by
        y = torch.cat([down, left, x.div(self.by, rounding_mode="trunc"), x.fmod(self.by)], 1)
        return y.unsqueeze(1), state


def test_whole_numbers_are_divided_as_torch_does():
    near = torch.tensor([0, 1, 6, 7, 8, 4094, 4095, 12285, 12286, (1 << 24) - 2, (1 << 24) - 1])
    x = torch.cat([near, -near, torch.randint(1 - (1 << 24), 1 << 24, (500,))]).view(-1, 1, 1)
    ours, loop = (recurra.run(Divided(), x, backend=b).outputs for b in ("native", "loop"))
    assert ours.dtype is torch.int64
    assert torch.equal(ours, loop)


# ---- context ------------------------------------------------------------------------------------


def test_a_memory_of_no_steps_is_torchs():
    cell = made(lambda: Attending("additive"), torch.float32)
    x, context = inputs(cell)
    context = context._replace(lengths=torch.tensor([4, 0, 2, 3, 0]))
    must_be_the_loops(cell, x, context)
    assert recurra.run(cell, x, context=context, backend="native").outputs[:, 1].isnan().all()


def test_what_hangs_on_the_context_alone_is_computed_once_a_row():
    cell = made(lambda: Attending("bmm"), torch.float32)
    x, context = inputs(cell)
    told = str(recurra.explain(cell, x, context=context))
    once, through = (
        next(line for line in told.splitlines() if line.strip().startswith(f"forward, {when}"))
        for when in ("once a row", "through time")
    )
    assert "linear 5 to 6" in once
    assert "linear 5 to 6" not in through
    assert "matmul 1 by 6 by 4" in through


# ---- convolutions -------------------------------------------------------------------------------

CONVOLUTIONS = {
    "1d": (lambda: nn.Conv1d(3, 4, 3, padding=1), (3, 6)),
    "1d, no padding": (lambda: nn.Conv1d(3, 4, 4), (3, 6)),
    "1d, of one point": (lambda: nn.Conv1d(3, 4, 1, bias=False), (3, 6)),
    "1d, much padding": (lambda: nn.Conv1d(3, 4, 2, padding=3), (3, 6)),
    "1d, strides": (lambda: nn.Conv1d(3, 4, 3, padding=1, stride=2), (3, 7)),
    "strides": (lambda: nn.Conv2d(2, 4, 3, padding=1, stride=(2, 1)), (2, 6, 5)),
    "dilation": (lambda: nn.Conv2d(2, 4, 3, padding=2, dilation=2), (2, 6, 5)),
    "both": (lambda: nn.Conv2d(2, 4, 2, padding=2, dilation=(1, 2), stride=2), (2, 6, 5)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 6, 5)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), (4, 6, 5)),
    "no square": (lambda: nn.Conv2d(2, 4, (2, 3), padding=(0, 1)), (2, 6, 5)),
    "more than a tile": (lambda: nn.Conv1d(18, 20, 3, padding=1), (18, 21)),
    "one channel": (lambda: nn.Conv2d(1, 1, 3, padding=1), (1, 6, 5)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    make, shape = CONVOLUTIONS[name]
    cell = made(lambda: Convolved(make(), *shape), torch.float64)
    must_be_the_loops(cell, *inputs(cell, torch.float64), lengths=LENGTHS)


def test_large_ones_are_torchs():
    cell = made(ConvLSTM, torch.float32)
    few, many = (torch.zeros(2, rows, 2, 5, 4) for rows in (16, 128))
    assert "runs on 'native'" in str(recurra.explain(cell, few))
    told = str(recurra.explain(cell, many))
    assert "runs on 'loop'" in told
    assert "torch's own kernel is faster" in told


REFUSED = {
    "transposed": (lambda: Convolved(nn.ConvTranspose2d(2, 2, 3), 2, 6, 5), "an upsampling"),
    "three axes": (lambda: Convolved(nn.Conv3d(1, 1, 3), 1, 4, 4, 4), "among the channels"),
    "groups": (lambda: Convolved(nn.Conv1d(16, 16, 3, groups=16), 16, 5), "up to 8"),
    "sparse": (lambda: Ids(sparse=True), "leave out sparse"),
    "by frequency": (lambda: Ids(scale_grad_by_freq=True), "leave out scale_grad_by_freq"),
}


class Bare(recurra.Cell):
    """A state with a field of no features, which is used or handed on."""

    def __init__(self, used):
        super().__init__(3, 6)
        self.used, self.read = used, nn.Linear(6, 6)

    def initial_state(self, batch):
        return Counted(self.zeros(batch), self.zeros(batch)[:, :0], self.zeros(batch)[:, :1])

    def step(self, x, state, context=None, noise=None):
        h = self.read(torch.cat([x, state.h[:, :3], state.t], 1)).tanh()
        t = torch.tanh(state.t) * h[:, :1] if self.used else state.t
        return h, state._replace(h=h + t.sum(1, keepdim=True), t=t)


@pytest.mark.parametrize("used", [False, True])
def test_a_state_of_no_features_is_the_loops(used):
    cell = made(lambda: Bare(used), torch.float32)
    x = torch.randn(4, 2, 3)
    run = recurra.run(cell, x)
    assert run.state.t.shape == (2, 0)
    run.outputs.sum().backward()
    told = "a tensor of shape \\[0\\] a row, which has no numbers"
    assert "runs on 'loop'" in str(recurra.explain(cell))
    with pytest.raises(BackendError, match=told):
        recurra.run(cell, x, backend="native")
    with pytest.raises(BackendError, match=told):
        recurra.Recurrent(cell).frozen(batch=2)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name):
    make, advice = REFUSED[name]
    cell = made(make, torch.float32)
    x = map_tree(torch.Tensor.detach, inputs(cell)[0])
    with pytest.raises(BackendError, match=advice):
        recurra.run(cell, x, backend="native")
