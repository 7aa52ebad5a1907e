"""Each rule of the gradient, on a graph of its own, is what differences say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from recurra.engine.graph.derive import _FLAT, _RULES, derive
from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import (
    BINARY,
    ELEMENTWISE,
    HELD,
    REDUCTIONS,
    SHARED,
    STEP,
    UNARY,
    Graph,
    Value,
)

TIME, BATCH = 2, 3
LEADS = {STEP: (TIME, BATCH), HELD: (BATCH,), SHARED: ()}
Build = Callable[[Graph, list[Value]], Value]


def run(graph: Graph, given: dict[Value, Tensor]) -> dict[int, Tensor]:
    numbers = {value.number: tensor for value, tensor in given.items()}
    return evaluate(graph.values, numbers, BATCH, TIME)


def agree(build: Build, inputs: Sequence[tuple[tuple[int, ...], int]]) -> None:
    """Gradients of all inputs, along three directions.

    Args:
        build: from a graph and its inputs to the value whose weighted sum is derived.
        inputs: shape and span of each.
    """
    graph = Graph()
    reads = [graph.input(place, *kind) for place, kind in enumerate(inputs)]
    output = build(graph, reads)
    # Away from bends, and inside of what logarithms and roots take.
    given = {v: (torch.rand(*LEADS[v.span], *v.shape) * 0.6 + 0.2).double() for v in reads}
    weight = torch.rand(*LEADS[output.span], *output.shape).double()

    comes = graph.input("comes", output.shape, output.span)
    given[comes] = weight
    gradients = derive(graph, {output: comes}, reads)
    check(graph, [g for g in gradients if g is not None])

    def total(changed: Value, by: Tensor) -> float:
        tensors = {**given, changed: given[changed] + by}
        return float((run(graph, tensors)[output.number] * weight).sum())

    found = run(graph, given)
    for value, gradient in zip(reads, gradients, strict=True):
        assert gradient is None or (gradient.shape, gradient.span) == (value.shape, value.span)
        for _ in range(3):
            way = torch.randn_like(given[value])
            slope = (total(value, 1e-5 * way) - total(value, -1e-5 * way)) / 2e-5
            ours = 0.0 if gradient is None else float((found[gradient.number] * way).sum())
            assert ours == pytest.approx(slope, rel=1e-6, abs=1e-8)


X = ((2, 3), STEP)
TOYS: dict[str, tuple[Build, list[tuple[tuple[int, ...], int]]]] = {
    **{op: (lambda g, v, op=op: g.apply(op, v[0]), [X]) for op in UNARY},
    **{op: (lambda g, v, op=op: g.apply(op, *v), [X, X]) for op in BINARY},
    "acosh": (lambda g, v: g.apply("acosh", g.apply("add", v[0], 1.0)), [X]),
    "route": (lambda g, v: g.route(g.apply("mul", v[0], 2.0), g.apply("add", v[0], v[0])), [X]),
    "where": (lambda g, v: g.apply("where", g.apply("gt", v[0], 0.5), v[1], v[2]), [X, X, X]),
    "reshape": (lambda g, v: g.apply("mul", g.reshape(v[0], (3, 2)), v[1]), [X, ((3, 2), STEP)]),
    "sum": (lambda g, v: g.sum(v[0], [0, 1]), [X]),
    "max": (lambda g, v: g.max(v[0], [1]), [X]),
    "expand": (lambda g, v: g.expand(v[0], (2, 3), STEP), [((1, 3), HELD)]),
    "concat": (lambda g, v: g.concat([v[0], g.apply("sin", v[1]), v[0]], 1), [X, ((2, 1), STEP)]),
    "permute": (lambda g, v: g.apply("mul", g.permute(v[0], (1, 0)), v[1]), [X, ((3, 2), STEP)]),
    "linear": (lambda g, v: g.linear(v[0], v[1]), [X, ((3, 4), SHARED)]),
    "lay": (lambda g, v: g.lay(g.permute(v[0], (1, 0))), [X]),
    "lookup": (
        lambda g, v: g.lookup(g.apply("floor", v[0]), v[1]),
        [((2,), HELD), ((1, 4), SHARED)],
    ),
    "matmul": (lambda g, v: g.matmul(v[0], v[1]), [((2, 3, 4), STEP), ((2, 4, 2), HELD)]),
    "window": (lambda g, v: g.window(v[0], 3, 1, 2), [((5, 2), STEP)]),
}


@pytest.mark.parametrize("op", sorted(_RULES))
def test_a_rule_is_what_differences_say(op: str) -> None:
    agree(*TOYS[op])


def test_what_has_no_rule_is_said_to_be_flat() -> None:
    """Gradients of gradients are the interpreter's: what derive makes needs no rules."""
    made = {"sigmoid_gradient", "tanh_gradient"}
    assert (ELEMENTWISE | REDUCTIONS) - _FLAT - made == set(_RULES) & (ELEMENTWISE | REDUCTIONS)
    assert not _FLAT & set(_RULES)


@pytest.mark.parametrize("op", sorted(_FLAT - {"stop"}))
def test_what_is_flat_has_no_gradient(op: str) -> None:
    agree(*TOYS[op])


BROADCAST = {
    "features": [X, ((1, 3), STEP)],
    "leading features": [X, ((3,), STEP)],
    "rows": [X, ((2, 3), SHARED)],
    "steps": [X, ((2, 3), HELD)],
    "features, steps and rows": [X, ((2, 1), SHARED)],
    "all features of held": [X, ((1,), HELD)],
}


@pytest.mark.parametrize("kind", BROADCAST)
@pytest.mark.parametrize("op", ["mul", "add", "sub", "maximum"])
def test_what_was_repeated_is_summed(op: str, kind: str) -> None:
    agree(lambda graph, v: graph.apply(op, *v), BROADCAST[kind])


CUTS: dict[str, list[tuple[int, int, int]]] = {
    "all of it": [(0, 2, 1), (2, 5, 1)],
    "with a hole": [(0, 1, 1), (3, 4, 1)],
    "that overlap": [(0, 3, 1), (2, 5, 1), (1, 4, 1)],
    "with steps": [(0, 5, 2), (1, 4, 2)],
    "the same twice": [(1, 3, 1), (1, 3, 1)],
}


@pytest.mark.parametrize("cut", CUTS)
def test_slices_go_back_to_their_places(cut: str) -> None:
    def build(graph: Graph, reads: list[Value]) -> Value:
        parts = [graph.slice(reads[0], 1, *bounds) for bounds in CUTS[cut]]
        bent = [graph.apply(op, part) for op, part in zip(("sin", "exp", "log"), parts)]  # noqa: B905
        return graph.concat([*bent, reads[0]], 1)

    agree(build, [((2, 5), STEP)])


def test_ties_are_shared_in_equal_parts_and_nan_is_for_all() -> None:
    graph = Graph()
    x, comes = graph.input("x", (4,), STEP), graph.input("comes", (1,), STEP)
    (gradient,) = derive(graph, {graph.max(x, [0]): comes}, [x])
    nan = float("nan")
    rows = torch.tensor([[2.0, 1.0, 2.0, 0.0], [3.0, 3.0, 3.0, 3.0], [nan, 1.0, 2.0, 0.0]])
    found = run(graph, {x: rows.expand(TIME, 3, 4), comes: torch.ones(TIME, 3, 1)})
    wanted = torch.tensor([[0.5, 0.0, 0.5, 0.0], [0.25] * 4, [nan] * 4])
    torch.testing.assert_close(
        found[gradient.number], wanted.expand(TIME, 3, 4), rtol=0, atol=0, equal_nan=True
    )


def test_what_hangs_on_nothing_gets_none() -> None:
    graph = Graph()
    x, other = graph.input("x", (2,), STEP), graph.input("other", (2,), STEP)
    stopped = graph.apply("mul", graph.stop(graph.apply("sin", other)), x)
    comes = graph.input("comes", (2,), STEP)
    first, second = derive(graph, {stopped: comes}, [x, other])
    assert second is None
    assert first is not None
    assert not any(value.op == "cos" for value in graph)
