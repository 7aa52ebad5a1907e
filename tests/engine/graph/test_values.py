"""A graph is what its class says."""

from __future__ import annotations

import inspect
import textwrap

import pytest

from recurra.engine.graph import interpreter, laws
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
    others = set(interpreter._OTHERS) | {"input", "constant"}
    assert others == set(laws._SHAPES)
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
