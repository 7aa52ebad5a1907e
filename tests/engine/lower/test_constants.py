"""What a recording takes from numbers: indices; and gradients that go another way than these."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import recurra
import recurra_runtime
from recurra.engine.graph.derive import derive
from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import STEP, Graph

needs_native = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


class Picks(recurra.Cell):
    """h = x in the order of a buffer."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.register_buffer("order", torch.tensor([2, 0, 1, 3]))

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = x[:, self.order.flip(0)] + 0.5 * state.h
        return h, recurra.HiddenState(h)


class Clamped(Picks):
    """Numbers that are bounded with gradients off, in place: the gradient they had goes on."""

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        size = (x * x + state.h).clone()
        with torch.no_grad():
            size.clamp_(min=0.25)
        return x / size, recurra.HiddenState(x / size)


def results(cell: Any, backend: str) -> list[Tensor]:
    x = torch.linspace(-2, 2, 3 * 5 * 4).view(3, 5, 4).requires_grad_()
    y = recurra.run(cell, x, backend=backend).outputs
    (dx,) = torch.autograd.grad((y * torch.arange(4)).sum(), x)
    return [y.detach(), dx]


@needs_native
@pytest.mark.parametrize("change", ["in place", "another tensor"])
def test_an_index_that_changes_is_recorded_anew(change: str) -> None:
    cell = Picks()
    for order in ([2, 0, 1, 3], [3, 3, 0, 1]):
        if change == "in place":
            cell.order.copy_(torch.tensor(order))
        else:
            cell.order = torch.tensor(order)
        for ours, theirs in zip(results(cell, "native"), results(cell, "loop"), strict=True):
            torch.testing.assert_close(ours, theirs)


class Turned(Picks):
    """h = sums of x in the order of a table that is turned."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor([[2, 0, 1, 3], [1, 1, 0, 2], [3, 2, 1, 0]]))

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        scale = torch.tensor([1.0, 0.5, -2.0])
        h = (x[:, self.order.t()] * scale).sum(2) + 0.5 * state.h
        return h, recurra.HiddenState(h)


@needs_native
def test_an_index_may_be_turned() -> None:
    cell = Turned()
    assert recurra.explain(cell).choices[0].backend == "native"
    for order in (cell.order.clone(), cell.order.flip(1)):
        cell.order.copy_(order)
        for ours, theirs in zip(results(cell, "native"), results(cell, "loop"), strict=True):
            torch.testing.assert_close(ours, theirs)


@needs_native
def test_what_is_bounded_without_gradients_keeps_its_gradient() -> None:
    for ours, theirs in zip(results(Clamped(), "native"), results(Clamped(), "loop"), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert theirs.any()


def test_a_gradient_takes_another_way_than_the_number() -> None:
    graph = Graph()
    x, dy = graph.input("x", (3,), STEP), graph.input("dy", (3,), STEP)
    y = graph.route(graph.apply("floor", x), graph.apply("mul", x, 3.0))
    (dx,) = derive(graph, {y: dy}, [x])
    check(graph, [y, dx])
    bare, there_is = graph.without_routes()
    assert all(value.op != "route" for value in bare)
    check(bare, [there_is[y], there_is[dx]])
    given = {x.number: torch.tensor([[0.5, -1.5, 2.0]]), dy.number: torch.ones(1, 3)}
    found = evaluate(graph.values, given, 1)
    assert found[y.number].tolist() == [[0.0, -2.0, 2.0]]
    assert found[dx.number].tolist() == [[3.0, 3.0, 3.0]]


def test_a_way_of_another_shape_is_no_graph() -> None:
    graph = Graph()
    x = graph.input("x", (3,), STEP)
    graph._make("route", (x, graph.slice(x, 0, 0, 1)), (3,), STEP)
    with pytest.raises(ValueError, match="its path has another shape"):
        check(graph)


@needs_native
def test_an_index_that_is_trained_is_refused() -> None:
    class Trained(Picks):
        def __init__(self) -> None:
            super().__init__()
            self.rank = torch.nn.Parameter(torch.tensor([0.3, 0.1, 0.2, 0.4]))

        def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
            h = x[:, self.rank.argsort()]
            return h, recurra.HiddenState(h)

    with pytest.raises(recurra.BackendError, match="an index hangs on what is trained"):
        results(Trained(), "native")


@needs_native
def test_too_many_pieces_are_refused_with_advice() -> None:
    class Many(Picks):
        def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
            h = x.repeat(1, 400).flip(1)[:, :4]
            return h, recurra.HiddenState(h)

    with pytest.raises(recurra.BackendError, match="write x @ a matrix of 0 and 1"):
        results(Many(), "native")
