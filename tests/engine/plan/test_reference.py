"""The interpreter defines what instructions mean: it gives what a step gives, forward and back."""

from __future__ import annotations

import pytest
import torch

import recurra
from recurra.cells.base import cell_by_name, cell_names
from recurra.engine.backends.loop import LOOP
from recurra.engine.call import Call
from recurra.engine.kept import given_of, recorded
from recurra.engine.pipeline import planned_step
from recurra.engine.plan.phases import CallKind
from recurra.engine.plan.reference import through_time
from recurra.engine.prepare import prepare
from recurra.states import leaves, map_tree

LENGTHS = torch.tensor([3, 6, 0, 5])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("norm", [None, "layer", "rms"])
@pytest.mark.parametrize("name", cell_names())
def test_interpreter_is_loop(name, norm, reverse):
    try:
        cell = cell_by_name(name, 5, 8, **({"norm": norm} if norm else {})).double()
    except (TypeError, recurra.SettingError):
        pytest.skip("the cell has no norm")
    x = map_tree(
        lambda leaf: torch.randn(6, 4, *leaf.shape[1:]).double().requires_grad_(),
        cell.example_input(1),
    )
    state = map_tree(lambda leaf: torch.randn_like(leaf), cell.initial_state(4))
    call = prepare(cell, Call(x, state, LENGTHS, reverse=reverse))
    run = LOOP.offer(cell, call)()
    wanted = [run.outputs, *leaves(run.state)]
    given = given_of(call)
    record = recorded(cell, call, given)
    planned = planned_step(record.lowered, record.names, CallKind(()))
    tensors = {("from" if n == "state" else n, i): leaf for (n, i), leaf in given}
    tensors |= {("shared", i): value for i, value in enumerate(record.shared(cell))}
    found = through_time(planned, 6, 4, LENGTHS, reverse, tensors)
    weights = [torch.randn_like(out) for out in wanted]
    sources = [*leaves(x), *cell.parameters()]
    grads = []
    for result in (wanted, found):
        total = sum((a * b).sum() for a, b in zip(result, weights, strict=True))
        grads.append(torch.autograd.grad(total, sources, allow_unused=True))
    for a, b in zip([*wanted, *grads[0]], [*found, *grads[1]], strict=True):
        if a is None or b is None:
            assert a is b is None or not (b if a is None else a).any()
        else:
            torch.testing.assert_close(b.reshape(a.shape), a, rtol=1e-9, atol=1e-9)
