"""Where nothing comes in: every sum of a cell is 0 there, which is where many functions bend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import recurra
import recurra_runtime
from recurra.cells.base import cell_by_name, cell_names
from recurra.states import leaves, map_tree

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


def without_bias(cell: recurra.Cell) -> recurra.Cell:
    """Of what a cell reads and keeps, nothing is left at zero input."""
    for name, parameter in cell.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
    return cell.double()


def gradients(cell: recurra.Cell, x: Any, state: Any, backend: Any) -> list[Tensor | None]:
    x, state = (map_tree(lambda leaf: leaf.clone(), tree) for tree in (x, state))
    sources = [leaf.requires_grad_() for leaf in (*leaves(x), *leaves(state)) if real(leaf)]
    result = recurra.run(cell, x, state=state, backend=backend)
    ends = [result.outputs, *(leaf for leaf in leaves(result.state) if leaf.requires_grad)]
    weights = [torch.linspace(0.5, 1.5, end.numel()).double().view(end.shape) for end in ends]
    total = sum((end * weight).sum() for end, weight in zip(ends, weights, strict=True))
    return list(torch.autograd.grad(total, [*sources, *cell.parameters()], allow_unused=True))


def real(leaf: Tensor) -> bool:
    return leaf.is_floating_point()


@pytest.mark.parametrize("name", cell_names())
def test_gradients_at_zero_are_those_of_the_step(name: str) -> None:
    cell = without_bias(cell_by_name(name, 3, 4))
    x = map_tree(lambda leaf: leaf.new_zeros(4, 2, *leaf.shape[1:]), cell.example_input(1))
    state = map_tree(torch.zeros_like, cell.initial_state(2))
    ours, theirs = (gradients(cell, x, state, backend) for backend in ("native", "loop"))
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:
            assert not (a if b is None else b).any()  # type: ignore[union-attr]
        else:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [recurra.MinLSTMCell, recurra.SLSTMCell, recurra.GRUDCell])
def test_gradients_at_zero_are_differences(kind: Any) -> None:
    """By finite differences; GRU-D's decay bends where its own bias is 0."""
    cell = kind(3, 4).double()
    for name, parameter in cell.named_parameters():
        if name.endswith("decay_bias"):
            nn.init.constant_(parameter, 0.1)
    tree = map_tree(lambda leaf: leaf.new_zeros(3, 2, *leaf.shape[1:]), cell.example_input(1))
    numbers = leaves(tree)[0].requires_grad_()

    def outputs(x: Tensor) -> Tensor:
        whole = x if isinstance(tree, Tensor) else tree._replace(x=x, observed=tree.observed | True)
        return recurra.run(cell, whole, backend="native").outputs

    assert torch.autograd.gradcheck(outputs, (numbers,), eps=1e-6, atol=1e-7, rtol=1e-6)


class Begins(recurra.Cell):
    """Its initial state is learned, and positive: it starts at softplus(0)."""

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.start = nn.Parameter(torch.zeros(4))
        self.read = nn.Linear(3, 4, bias=False)

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.start.expand(batch, 4))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = functional.softplus(self.read(x) + state.h)
        return h, recurra.HiddenState(h - h.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_learned_state_that_starts_at_a_bend_learns(dtype: torch.dtype) -> None:
    cell = Begins().to(dtype)
    x = torch.zeros(3, 2, 3, dtype=dtype)
    outputs = recurra.run(cell, x, backend="native").outputs
    (start,) = torch.autograd.grad(outputs[0].sum(), cell.start)
    assert torch.equal(start, torch.ones(4, dtype=dtype))  # two rows, 1/2 each
