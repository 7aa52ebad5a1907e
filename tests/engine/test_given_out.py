"""What a run gives belongs to whoever gets it: changing it in place changes no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from laws.subjects import Leaky
from torch import Tensor, nn

import recurra
from recurra.engine import torch_internals
from recurra.engine.machine import arguments, autograd
from recurra.states import leaves

TIME, BATCH, INPUT, HIDDEN = 5, 3, 3, 4
LENGTHS = [2, 5, 3]
RESETS = torch.zeros(TIME, BATCH, dtype=torch.bool)
RESETS[2, 1] = RESETS[1, 0] = True

SETTINGS: dict[str, dict[str, Any]] = {
    "whole": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": LENGTHS},
    "reverse, lengths": {"reverse": True, "lengths": LENGTHS},
    "resets": {"resets": RESETS},
    "all states": {"return_states": True},
    "all states, reverse, lengths": {"return_states": True, "reverse": True, "lengths": LENGTHS},
    "windows": {"checkpoint_every": 2},
    "no rows with steps": {"lengths": [0, 0, 0]},
}
CELLS: dict[str, Callable[[], recurra.Cell]] = {
    "Elman": lambda: recurra.ElmanCell(INPUT, HIDDEN),
    "GRU": lambda: recurra.GRUCell(INPUT, HIDDEN),
    "LSTM": lambda: recurra.LSTMCell(INPUT, HIDDEN),
    "projected": lambda: recurra.ProjectedLSTMCell(INPUT, HIDDEN),
    "Jordan": lambda: recurra.JordanCell(INPUT, HIDDEN, 2),
    "own": lambda: Leaky(INPUT, HIDDEN),
}
FORMS = ("Elman", "GRU", "LSTM", "projected")


@pytest.fixture(params=[True, False], ids=["shared", "copied"])
def sharing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch shares memory, and as it is done without."""
    if not request.param:
        monkeypatch.setattr(torch_internals, "_SHARING", False)
        for module in (torch_internals, arguments):
            monkeypatch.setattr(module, "ADDRESS", (Tensor.data_ptr, None))


def gradients(cell: recurra.Cell, change: bool, settings: dict[str, Any]) -> list[Tensor]:
    """Of a loss that weighs all that a run gives, which is changed in place or not."""
    x = torch.randn(TIME, BATCH, INPUT, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    result = recurra.run(cell, x, **settings)
    given = [result.outputs, *leaves(result.state), *leaves(result.states)]
    parts = []
    for leaf in given:
        weight = torch.sin(torch.arange(float(leaf.numel()))).view_as(leaf)
        parts.append((leaf.mul_(weight) if change else leaf * weight).sum())
    if change:
        with torch.no_grad():
            for leaf in given:
                leaf.fill_(float("nan"))
    wanted = [x, *cell.parameters()]
    found = torch.autograd.grad(sum(parts), wanted, allow_unused=True)
    return [torch.zeros_like(of) if g is None else g for of, g in zip(wanted, found, strict=True)]


def test_a_function_is_applied_with_what_torch_has_or_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell, settings = recurra.LSTMCell(INPUT, HIDDEN), {"backend": "native"}
    wanted = gradients(cell, False, settings)
    monkeypatch.delattr(torch._C._functorch, "unwrap_if_dead")
    slower = torch_internals.applied(autograd._Through)
    monkeypatch.undo()  # torch's own way needs it
    monkeypatch.setattr(autograd, "_through", slower)
    for got, want in zip(gradients(cell, False, settings), wanted, strict=True):
        assert torch.equal(got, want)


@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", CELLS)
def test_no_gradient_reads_what_was_given_out(kind: str, name: str) -> None:
    cell, settings = CELLS[kind](), SETTINGS[name]
    backends = ["native", "loop"]
    if kind in FORMS and "return_states" not in settings:
        backends.append("aten")
    for backend in backends:
        found = gradients(cell, True, {**settings, "backend": backend})
        wanted = gradients(cell, False, {**settings, "backend": backend})
        for got, want in zip(found, wanted, strict=True):
            assert torch.equal(got, want), backend


def test_all_that_is_given_has_memory_of_its_own() -> None:
    for backend in ("native", "loop"):
        x = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
        result = recurra.run(recurra.GRUCell(INPUT, HIDDEN), x, return_states=True, backend=backend)
        before = result.states.h.detach().clone()
        with torch.no_grad():
            result.outputs.zero_()
        assert torch.equal(result.states.h, before), backend
        assert torch.equal(result.state.h, before[-1]), backend


@pytest.mark.skipif(not torch_internals._SHARING, reason="torch shares no memory here")
def test_what_nobody_changes_is_not_copied() -> None:
    """Neither by the next layer, nor by a head, nor going back."""
    is_shared = torch._C._is_cow_tensor  # type: ignore[attr-defined]
    first, second = recurra.GRUCell(INPUT, HIDDEN), recurra.LSTMCell(HIDDEN, HIDDEN)
    x, kept = torch.randn(TIME, BATCH, INPUT), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        below = recurra.run(first, x, backend="native").outputs
        above = recurra.run(second, below, backend="native").outputs
    weight = nn.Parameter(torch.randn(7, HIDDEN))
    targets = torch.zeros(TIME, BATCH, dtype=torch.int64)
    recurra.projected_cross_entropy(above, weight, None, targets).backward()
    states = [tensor for tensor in kept if tensor.shape == (TIME + 1, BATCH, HIDDEN)]
    assert len(states) == 2
    assert all(map(is_shared, [below, above, *states]))
    above.detach().zero_()
    assert not is_shared(above)
