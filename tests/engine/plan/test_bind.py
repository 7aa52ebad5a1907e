"""The graph of one kind of call means what the step means."""

from __future__ import annotations

import pytest
import torch

from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.values import SHARED, STEP, Graph
from recurra.engine.lower.lowering import Lowered, Shared
from recurra.engine.plan.bind import bind


@pytest.mark.parametrize("lead", [(), (4,)])
@pytest.mark.parametrize("order", ["xh", "hx", "xhx", "hxh", "xxh"])
def test_a_product_of_parts_is_the_sum_of_theirs(order: str, lead: tuple[int, ...]) -> None:
    """Of those that hang on the state and those that do not: the latter are known before time."""
    sizes = {"x": 2, "h": 3}
    graph = Graph()
    given = {name: torch.randn(5, *lead, size).double() for name, size in sizes.items()}
    weight = torch.randn(sum(sizes[name] for name in order), 3).double()
    rows = {
        name: graph.input(("given", place), (*lead, sizes[name]), STEP)
        for place, name in enumerate(sizes)
    }
    shared = graph.input(("shared", 0), weight.shape, SHARED)
    whole = graph.linear(graph.concat([rows[name] for name in order], len(lead)), shared)
    kind = torch.float64
    known = Shared({0: weight}, (), (0,), {})
    lowered = Lowered(graph, (whole, whole), known, kind, (kind, kind))

    bound, inputs, y, [new] = bind(lowered, [("x", 0), ("state", 0)], resets=False)
    assert y is new
    found = {inputs["x", 0].number: given["x"], inputs["state", 0].number: given["h"]}
    found = evaluate(bound, found | {inputs["shared", 0].number: weight}, 5)
    expected = torch.cat([given[name] for name in order], -1) @ weight
    torch.testing.assert_close(found[y.number], expected)
    apart = [v for v in bound if v.op == "linear" and v.inputs[0] is inputs["x", 0]]
    assert len(apart) == order.count("x")
