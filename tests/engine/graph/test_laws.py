"""The laws of a graph see what breaks them, and name it."""

from __future__ import annotations

import dataclasses

import pytest

from recurra.engine.graph.laws import check
from recurra.engine.graph.values import HELD, SHARED, STEP, Graph, Value

# What is made wrong of a value, and what its law says to that.
BROKEN = {
    "linear": ({"shape": (4,)}, "expected"),
    "tanh": ({"span": HELD}, "expected"),
    "reshape": ({"shape": ()}, "another size"),
    "slice": ({"settings": (0, 1, 7, 1)}, "bounds"),
    "pad": ({"settings": (0, 6, 1)}, "bounds"),
    "permute": ({"settings": ((0, 0),)}, "order"),
    "concat": ({"settings": (1,)}, "side by side"),
    "sum": ({"inputs": ()}, "takes 1 operands"),
    "erf": ({"op": "erfinv"}, "no such instruction"),
    "neg": ({"number": 0}, "not its index"),
    "outer": ({"span": STEP}, "expected"),
    "row_sum": ({"span": HELD}, "expected"),
    "time_sum": ({"span": STEP}, "expected"),
    "lookup": ({"shape": (3,)}, "expected"),
    "max": ({"settings": ((0,),)}, "expected"),
    "expand": ({"shape": (2, 2)}, "do not fit"),
    "where": ({"shape": (3,)}, "expected"),
    "stop": ({"span": SHARED}, "expected"),
}


@pytest.mark.parametrize("op", BROKEN)
def test_a_broken_value_is_named(op):
    graph = Graph()
    x = graph.input("x", (2, 3), STEP)
    linear = graph.linear(x, graph.input("w", (3, 5), SHARED))
    graph.permute(graph.apply("tanh", linear), (1, 0))
    graph.pad(graph.slice(linear, 0, 0, 1), 0, 1, 1, 2)
    graph.concat([x, graph.apply("neg", graph.sum(x, [0]))], 0)
    graph.apply("erf", graph.reshape(x, (6,)))
    graph.outer(x, linear)
    graph.row_sum(graph.time_sum(graph.max(x, [1])))
    graph.lookup(graph.input("index", (), STEP), graph.input("table", (4, 2), SHARED))
    graph.stop(graph.apply("where", x, graph.expand(graph.sum(x, [0]), (2, 3)), 0.0))
    check(graph)
    changes, words = BROKEN[op]
    place = next(value.number for value in graph if value.op == op)
    graph.values[place] = dataclasses.replace(graph.values[place], **changes)
    with pytest.raises(ValueError, match=words) as problem:
        check(graph)
    assert str(graph.values[place]) in str(problem.value)


def broken(op: str, *inputs: Value, settings: tuple[object, ...] = ()) -> None:
    """A value of these inputs, of shape and span of the first."""
    graph = Graph()
    graph.values = [*inputs]
    graph.values.append(Value(len(inputs), op, inputs, inputs[0].shape, inputs[0].span, settings))
    check(graph)


def given(number: int, shape: tuple[int, ...], span: int = STEP) -> Value:
    return Value(number, "input", (), shape, span, (number,))


def test_weights_and_tables_are_shared_by_all_rows():
    """And fit what they meet."""
    broken("linear", given(0, (3,)), given(1, (3, 3), SHARED))
    with pytest.raises(ValueError, match="all rows share"):
        broken("linear", given(0, (3,)), given(1, (3, 3), HELD))
    with pytest.raises(ValueError, match=r"a weight \[k, n\]"):
        broken("linear", given(0, (3,)), given(1, (4, 3), SHARED))
    with pytest.raises(ValueError, match="a table"):
        broken("lookup", given(0, ()), given(1, (4, 3), STEP))
    with pytest.raises(ValueError, match="leading features"):
        broken("outer", given(0, (2, 3)), given(1, (4, 3)))


def test_what_is_read_is_computed_before():
    """Of this graph, not of another one with the same numbers."""
    first, second = given(0, (3,)), given(1, (3,))
    graph = Graph()
    graph.values = [dataclasses.replace(second, number=0, op="neg", inputs=(second,)), second]
    with pytest.raises(ValueError, match="not computed before"):
        check(graph)
    graph.values = [first, Value(1, "neg", (given(0, (3,)),), (3,), STEP)]
    with pytest.raises(ValueError, match="not computed before"):
        check(graph)


def test_an_output_of_another_graph_is_seen():
    graph, other = Graph(), Graph()
    value = other.apply("tanh", other.input("x", (2,), STEP))
    with pytest.raises(ValueError, match="not in the graph"):
        check(graph, [value])
