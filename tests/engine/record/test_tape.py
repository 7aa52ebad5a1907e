"""What a recording sees, and what it refuses by name and line."""

from __future__ import annotations

import cProfile
import pstats
import sys
from typing import NamedTuple

import pytest
import torch
from torch.nn import functional

import recurra
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import STEP
from recurra.engine.lower.lowering import lower
from recurra.engine.record import tape
from recurra.engine.record.tape import record
from recurra.engine.record.unrecordable import Unrecordable


class Held(NamedTuple):
    h: torch.Tensor


WEIGHT = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


def refusal(step) -> str:
    """Why a step of x and h, both of width 4, is not recorded and lowered."""

    def example(batch):
        return torch.randn(batch, 4), Held(torch.randn(batch, 4))

    with pytest.raises(Unrecordable) as problem:
        lower(record(lambda x, state: step(x, state.h), example), [STEP, STEP])
    return str(problem.value)


def step_of(y):
    return y, Held(y)


REFUSED = {
    "mean over rows": (lambda x, h: step_of(h - h.mean(0)), "mixes rows"),
    "sum of all": (lambda x, h: step_of(h * x.sum()), "mixes rows"),
    "batch norm": (
        lambda x, h: step_of(functional.batch_norm(h, None, None, training=True)),
        "native_batch_norm",
    ),
    "first row": (lambda x, h: step_of(h + x[0]), "goes along the batch"),
    "some rows": (lambda x, h: step_of(torch.cat([h[:5], h[5:]])), "cuts it"),
    "flipped rows": (lambda x, h: step_of(h.flip(0)), "flip"),
    "gram of rows": (lambda x, h: step_of((h @ h.T) @ x), "the batch in several axes"),
    "batch as a number": (lambda x, h: step_of(h / h.shape[0]), "batch size as a number"),
    "another path": (
        lambda x, h: step_of(h.tanh() if len(h) > 15 else h),
        "another path when it is called again",
    ),
    "merged behind": (
        lambda x, h: step_of(h.T.reshape(-1, 2).softmax(1).reshape(4, -1).T),
        "features across the batch",
    ),
    "random": (lambda x, h: step_of(h + torch.randn_like(h)), "draws random numbers"),
    "dropout": (lambda x, h: step_of(functional.dropout(h, 0.5)), "draws random numbers"),
    "a look": (lambda x, h: step_of(h if x.sum() > 0 else x), "looks at the numbers"),
    "a number taken": (lambda x, h: step_of(h * float(x[0, 0])), "looks at the numbers"),
    "state in place": (lambda x, h: step_of(h.mul_(0.5)), "changes an argument"),
    "a part in place": (lambda x, h: step_of(_written(h * 2, x)), "view or has views"),
    "outside in place": (lambda x, h: step_of(h + WEIGHT.add_(0).sum()), "outside the step"),
    "narrow numbers": (lambda x, h: step_of(h + x.to(torch.int8)), "int8"),
    "no instruction": (lambda x, h: step_of(torch.erfinv(h.tanh())), "no instruction for erfinv"),
    "sorted": (lambda x, h: step_of(h.sort(1).values), "sort"),
}


def _written(value, x):
    value[:, :2] += x[:, :2]
    return value


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name):
    step, words = REFUSED[name]
    told = refusal(step)
    assert words in told
    if "path" not in words:
        assert "test_tape.py, line" in told


def test_a_recording_is_a_lawful_graph():
    cell = recurra.LSTMCell(3, 4)
    recording = record(
        lambda x, s: cell.step(x, s), lambda b: (torch.randn(b, 3), cell.initial_state(b))
    )
    lowered = lower(recording, [STEP] * 3)
    check(lowered.graph, lowered.outputs)
    assert [value.shape for value in lowered.outputs] == [(4,)] * 3
    assert len(lowered.shared.wanted) == 3


def test_what_is_refused_runs_on_the_loop_and_says_why():
    class Odd(recurra.Cell):
        def initial_state(self, batch):
            return Held(self.zeros(batch))

        def step(self, x, state, context=None, noise=None):
            h = torch.tanh(x + state.h)
            return h, Held(h - h.mean(0))

    cell = Odd(4, 4)
    told = str(recurra.explain(cell))
    assert "runs on 'loop'" in told
    assert "mean mixes rows (test_tape.py, line" in told
    assert "h - h.mean(0)" in told
    with pytest.raises(recurra.BackendError, match="mixes rows"):
        recurra.run(cell, torch.randn(3, 2, 4), backend="native")


@pytest.mark.parametrize("batch_sized", [False, True])
def test_features_of_the_size_of_a_recorded_batch(batch_sized):
    """Sizes like those of the recorded batches are told apart from them."""
    width = 13 if batch_sized else 17
    cell = recurra.GRUCell(width, 13)
    x = torch.randn(4, 17, width)
    wanted = recurra.run(cell, x, backend="loop").outputs
    torch.testing.assert_close(recurra.run(cell, x, backend="native").outputs, wanted)


def test_whoever_watches_sees_what_the_step_calls_and_not_the_tape():
    """Also what an operation calls that is written in Python."""
    operations = torch.library.Library("recurra_tests", "DEF")
    operations.define("twice(Tensor x) -> Tensor")

    def twice(x):
        return x * 2

    operations.impl("twice", twice, "CPU")

    def inner(x):
        return torch.ops.recurra_tests.twice(x).tanh()

    def step(x, h):
        return step_of(inner(x) + h)

    seen = set()

    def watch(frame, event, arg):
        seen.add(frame.f_code)

    sys.setprofile(watch)
    try:
        record(step, lambda batch: (torch.randn(batch, 4), torch.randn(batch, 4)))
        still = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert still is watch
    assert seen >= {step.__code__, inner.__code__, twice.__code__}
    assert tape._line.__code__ not in seen
    assert tape._Tape._check.__code__ not in seen


def test_a_profiler_of_pythons_own_goes_on():
    def afterwards():
        return None

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        recurra.run(recurra.GRUCell(3, 4), torch.randn(2, 1, 3))
        recurra.GRU(3, 4).frozen()
        afterwards()
    finally:
        profiler.disable()
    names = {name for _, _, name in pstats.Stats(profiler).stats}
    assert {"lowered_step", "afterwards"} <= names
