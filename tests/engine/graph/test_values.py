"""A graph is what its class says, and its laws see what breaks them."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap

import pytest

from recurra.engine.graph import interpreter
from recurra.engine.graph import values as module
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import BINARY, HELD, SHARED, STEP, UNARY, Graph
from recurra_runtime.instructions import TABLE


def test_the_example_runs(capsys):
    text = inspect.getdoc(Graph)
    example = textwrap.dedent(text.split("::\n")[1])
    exec(example, vars(module).copy())
    told = capsys.readouterr().out.strip()
    assert told == example.rsplit("print(y)  # ", 1)[1].strip()


def test_equal_values_are_one():
    graph = Graph()
    x = graph.input("x", (3,), STEP)
    assert graph.apply("tanh", x) is graph.apply("tanh", x)
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.apply("mul", x, 1.0) is x
    halves = [graph.slice(x, 0, 0, 2), graph.slice(x, 0, 2, 3)]
    assert graph.concat(halves, 0) is x
    check(graph)


def test_every_instruction_of_the_machine_is_one_of_graphs():
    """The runtime's table is the only list of them; what each means stands in the interpreter."""
    told = {row.name for row in TABLE if row.kind == "elementwise"} - {"copy", "fma"}
    assert set(UNARY | BINARY | {"where"}) == told == set(interpreter._ELEMENTWISE)
    assert {"tanh", "copy"} & UNARY == {"tanh"}
    assert {"add", "where"} & BINARY == {"add"}


def test_spans_and_shapes():
    graph = Graph()
    x = graph.input("x", (2, 3), STEP)
    held = graph.input("h", (3,), HELD)
    weight = graph.input("w", (3, 5), SHARED)
    product = graph.linear(held, weight)
    assert (product.shape, product.span) == ((5,), HELD)
    both = graph.apply("add", x, held)
    assert (both.shape, both.span) == ((2, 3), STEP)
    assert graph.outer(x, graph.linear(x, weight)).shape == (3, 5)
    assert graph.time_sum(both).span == HELD
    full = graph.full(2.0, (4, 1), STEP)
    assert (full.shape, full.span) == ((4, 1), STEP)
    with pytest.raises(ValueError, match="do not fit"):
        graph.apply("add", x, graph.input("y", (4,), STEP))
    check(graph, [full])


# What is made wrong of a value, and what its law says to that.
BROKEN = {
    "linear": ({"shape": (4,)}, "expected"),
    "tanh": ({"span": HELD}, "expected"),
    "reshape": ({"shape": ()}, "another size"),
    "slice": ({"settings": (0, 1, 7, 1)}, "bounds"),
    "place": ({"settings": (0, 6, 1)}, "bounds"),
    "permute": ({"settings": ((0, 0),)}, "order"),
    "concat": ({"settings": (1,)}, "side by side"),
    "sum": ({"inputs": ()}, "takes 1 operands"),
    "erf": ({"op": "erfinv"}, "no such instruction"),
    "neg": ({"number": 0}, "not its place"),
}


@pytest.mark.parametrize("op", BROKEN)
def test_a_broken_value_is_named(op):
    graph = Graph()
    x = graph.input("x", (2, 3), STEP)
    linear = graph.linear(x, graph.input("w", (3, 5), SHARED))
    graph.permute(graph.apply("tanh", linear), (1, 0))
    graph.place(graph.slice(linear, 0, 0, 1), 0, 1, 1, 2)
    graph.concat([x, graph.apply("neg", graph.sum(x, [0]))], 0)
    graph.apply("erf", graph.reshape(x, (6,)))
    check(graph)
    changes, words = BROKEN[op]
    place = next(value.number for value in graph if value.op == op)
    graph.values[place] = dataclasses.replace(graph.values[place], **changes)
    with pytest.raises(ValueError, match=words) as problem:
        check(graph)
    assert str(graph.values[place]) in str(problem.value)


def test_an_output_of_another_graph_is_seen():
    graph, other = Graph(), Graph()
    value = other.apply("tanh", other.input("x", (2,), STEP))
    with pytest.raises(ValueError, match="not in the graph"):
        check(graph, [value])
