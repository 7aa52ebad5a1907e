"""Over features: sums, means, variances, norms, and what is built on them (softmax, layer norm)."""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Results, Rules, features

__all__ = ["RULES", "euclidean"]

RULES = Rules(
    {
        "sum": lambda now, a, axes=None, keepdim=False, **_: _reduced(
            now, now.graph.sum(a.value, now.axes(a, axes))
        ),
        "mean": lambda now, a, axes=None, keepdim=False, **_: _reduced(
            now, _average(now.graph, a.value, now.axes(a, axes))
        ),
    }
)


def _reduced(now: Lowering, value: Value) -> Value:
    """With the axes that the recorded result has."""
    return now.graph.reshape(value, now.features)


def _average(graph: Graph, value: Value, axes: tuple[int, ...], less: float = 0) -> Value:
    """The sum over axes by their number of elements, ``less`` so many; NaN where none is left."""
    count = math.prod(value.shape[axis] for axis in axes) - less
    return graph.apply("mul", graph.sum(value, axes), 1 / count if count > 0 else math.nan)


def _exact_mean(graph: Graph, value: Value, axes: tuple[int, ...]) -> Value:
    """A mean without the rounding of its sum: that of equal numbers is the number."""
    mean = _average(graph, value, axes)
    rest = graph.stop(_average(graph, graph.apply("sub", value, mean), axes))
    # It stays infinite or NaN where the mean is.
    finite = graph.apply("eq", rest, rest)
    return graph.apply("add", mean, graph.apply("where", finite, rest, 0.0))


@RULES.of("var", "std", "var_mean", "std_mean")
def _var(now: Lowering, a: Operand, axes: Any = None, **named: Any) -> Results:
    if axes is True or axes is False:
        raise now.refuse("is called without axes", ONE_ROW)
    less = named.get("correction")
    less = 1 if less is None else less
    graph, chosen = now.graph, now.axes(a, axes)
    mean = _exact_mean(graph, a.value, chosen)
    centered = graph.apply("sub", a.value, mean)
    deviates = now.name.startswith("std")
    found = (_deviation if deviates else _variance)(graph, centered, chosen, less)
    if now.name.endswith("mean"):
        return _reduced(now, found), graph.reshape(mean, features(now.results[1]))
    return _reduced(now, found)


def _variance(graph: Graph, centered: Value, axes: tuple[int, ...], less: float) -> Value:
    return _average(graph, graph.apply("mul", centered, centered), axes, less)


def _deviation(graph: Graph, centered: Value, axes: tuple[int, ...], less: float) -> Value:
    scaled, size = _scaled(graph, centered, axes)
    return graph.apply("mul", _root(graph, _variance(graph, scaled, axes, less)), size)


def _scaled(graph: Graph, value: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
    """A value by the largest over axes, whose squares are numbers; and that, 1 if it is none."""
    most = graph.stop(graph.max(graph.apply("abs", value), axes))
    some = graph.apply("mul", graph.apply("gt", most, 0.0), graph.apply("gt", math.inf, most))
    size = graph.apply("where", some, most, 1.0)
    return graph.apply("div", value, size), size


def _root(graph: Graph, total: Value) -> Value:
    """A square root that has no slope at zero, whatever comes in for it."""
    nothing = graph.apply("eq", total, 0.0)
    root = graph.apply("sqrt", graph.apply("where", nothing, 1.0, total))
    return graph.apply("where", nothing, 0.0, root)


@RULES.of("native_layer_norm")
def _layer_norm(
    now: Lowering, a: Operand, shape: list[int], weight: Any, bias: Any, eps: float
) -> tuple[Value, ...]:
    graph = now.graph
    axes = now.axes(a, range(a.rank - len(shape), a.rank))
    mean = _average(graph, a.value, axes)
    centered = graph.apply("sub", a.value, mean)
    var = _variance(graph, centered, axes, 0)
    scale = graph.apply("div", 1.0, graph.apply("sqrt", graph.apply("add", var, eps)))
    value = graph.apply("mul", centered, scale)
    if weight is not None:
        value = now.apply("mul", value, weight)
    if bias is not None:
        value = now.apply("add", value, bias)
    return value, mean, scale


@RULES.of("amax", "amin")
def _amax(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False) -> Value:
    graph = now.graph
    value, chosen = _side_by_side(graph, a.value, now.axes(a, axes))
    if now.name == "amax":
        return _reduced(now, graph.max(value, chosen))
    return _reduced(now, graph.apply("neg", graph.max(graph.apply("neg", value), chosen)))


def _side_by_side(
    graph: Graph, value: Value, axes: tuple[int, ...]
) -> tuple[Value, tuple[int, ...]]:
    """With these axes behind the others, so that they are one for an instruction.

    One after another they would share the gradient of equal numbers in other parts.
    """
    others = [axis for axis in range(len(value.shape)) if axis not in axes]
    behind = tuple(range(len(others), len(value.shape)))
    return graph.permute(value, (*others, *sorted(axes))), behind


def _exps(now: Lowering, a: Operand, axes: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """The number without the largest; exp of it; their sum."""
    graph = now.graph
    below = graph.apply("sub", a.value, graph.stop(graph.max(a.value, axes)))
    powers = graph.apply("exp", below)
    return below, powers, graph.sum(powers, axes)


@RULES.of("_softmax")
def _softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    _, powers, total = _exps(now, a, now.axes(a, axis))
    return now.graph.apply("div", powers, total)


@RULES.of("_log_softmax")
def _log_softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    below, _, total = _exps(now, a, now.axes(a, axis))
    return now.graph.apply("sub", below, now.graph.apply("log", total))


@RULES.of("logsumexp")
def _logsumexp(now: Lowering, a: Operand, axes: Any, keepdim: bool = False) -> Value:
    graph, chosen = now.graph, now.axes(a, axes)
    most = graph.stop(graph.max(a.value, chosen))
    # Infinity is not taken away: it would leave NaN.
    endless = graph.apply("eq", graph.apply("abs", most), math.inf)
    taken = graph.apply("where", endless, 0.0, most)
    powers = graph.apply("exp", graph.apply("sub", a.value, taken))
    found = graph.apply("add", graph.apply("log", graph.sum(powers, chosen)), taken)
    return _reduced(now, found)


def euclidean(graph: Graph, value: Value, axes: tuple[int, ...]) -> Value:
    """The root of the sum of squares, which may be beyond the largest number."""
    scaled, size = _scaled(graph, value, axes)
    total = graph.sum(graph.apply("mul", scaled, scaled), axes)
    # At zero the slope is 0, times what comes in: of x / |x| that is NaN, and so is the gradient.
    nothing = graph.apply("eq", total, 0.0)
    root = graph.apply("sqrt", graph.apply("add", total, nothing))
    some = graph.apply("mul", size, graph.apply("sub", 1.0, nothing))
    return graph.apply("mul", root, some)
