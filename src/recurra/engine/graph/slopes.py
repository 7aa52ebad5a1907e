"""Gradients of the rarer functions, by the very formulas of torch, so that corners agree too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from recurra.engine.graph.values import Graph, Value

__all__ = ["SLOPES"]

Slope = Callable[[Graph, Value, Value, int], Value]


def _rsqrt(graph: Graph, x: Value) -> Value:
    return graph.apply("div", 1.0, graph.apply("sqrt", x))


def _square(graph: Graph, x: Value) -> Value:
    return graph.apply("mul", x, x)


def _times(slope: Callable[[Graph, Value, Value], Value]) -> Slope:
    """What comes in times a slope, which is told graph, operand and result."""
    return lambda graph, value, g, index: graph.apply(
        "mul", g, slope(graph, value.inputs[0], value)
    )


def _over(divisor: Callable[[Graph, Value], Value]) -> Slope:
    """What comes in over something of the operand."""
    return lambda graph, value, g, index: graph.apply("div", g, divisor(graph, value.inputs[0]))


def _logarithm(base: int) -> Slope:
    """First over x: times log(base) a small one would vanish."""
    return lambda graph, value, g, index: graph.apply(
        "mul", graph.apply("div", g, value.inputs[0]), 1 / math.log(base)
    )


def _bell(sign: int) -> Slope:
    """Of the error function, or of what it lacks to 1."""
    return _times(
        lambda graph, x, y: graph.apply(
            "mul",
            graph.apply("exp", graph.apply("neg", _square(graph, x))),
            sign * 2 / math.sqrt(math.pi),
        )
    )


def _asin(graph: Graph, x: Value, y: Value) -> Value:
    return _rsqrt(graph, graph.apply("sub", 1.0, _square(graph, x)))


def _atan2(graph: Graph, value: Value, g: Value, index: int) -> Value:
    a, b = value.inputs
    far = graph.apply("add", _square(graph, a), _square(graph, b))
    # At no angle, which is flat; squares that vanish are none either.
    over = graph.apply("where", graph.apply("eq", far, 0.0), 0.0, graph.apply("div", 1.0, far))
    other = graph.apply("neg", a) if index else b
    return graph.apply("mul", graph.apply("mul", g, other), over)


def _fmod(graph: Graph, value: Value, g: Value, index: int) -> Value:
    if not index:
        return g
    times = graph.apply("trunc", graph.apply("div", *value.inputs))
    return graph.apply("mul", graph.apply("neg", g), times)


def _hypot(graph: Graph, value: Value, g: Value, index: int) -> Value:
    return graph.apply("mul", g, graph.apply("div", value.inputs[index], value))


SLOPES: Mapping[str, Slope] = MappingProxyType(
    {
        "exp2": _times(lambda graph, x, y: graph.apply("mul", y, math.log(2))),
        "log2": _logarithm(2),
        "log10": _logarithm(10),
        "erf": _bell(1),
        "erfc": _bell(-1),
        "tan": _times(lambda graph, x, y: graph.apply("add", _square(graph, y), 1.0)),
        "asin": _times(_asin),
        "acos": _times(lambda graph, x, y: graph.apply("neg", _asin(graph, x, y))),
        "atan": _over(lambda graph, x: graph.apply("add", _square(graph, x), 1.0)),
        "sinh": _times(lambda graph, x, y: graph.apply("cosh", x)),
        "cosh": _times(lambda graph, x, y: graph.apply("sinh", x)),
        "asinh": _times(
            lambda graph, x, y: _rsqrt(graph, graph.apply("add", _square(graph, x), 1.0))
        ),
        "acosh": _times(
            lambda graph, x, y: _rsqrt(graph, graph.apply("sub", _square(graph, x), 1.0))
        ),
        "atanh": _over(lambda graph, x: graph.apply("sub", 1.0, _square(graph, x))),
        "fmod": _fmod,
        "hypot": _hypot,
        "atan2": _atan2,
    }
)
"""By name: what an operand gets, from graph, value, what comes in for that, and its index."""
