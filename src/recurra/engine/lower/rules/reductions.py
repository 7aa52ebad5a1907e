"""Over features: sums, means, variances, norms, and what is built on them (softmax, layer norm)."""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Result, Rules, features

__all__ = ["RULES"]

RULES = Rules()


def _reduced(now: Lowering, value: Value) -> Value:
    """With the axes that the recorded result has."""
    return now.graph.reshape(value, now.features)


@RULES.of("sum")
def _sum(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduced(now, now.graph.sum(a.value, now.axes(a, axes)))


@RULES.of("mean")
def _mean(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduced(now, _average(now.graph, a.value, now.axes(a, axes)))


def _average(graph: Graph, value: Value, axes: tuple[int, ...], less: float = 0) -> Value:
    """The sum over axes by their number of elements, ``less`` so many; NaN where none is left."""
    count = math.prod(value.shape[axis] for axis in axes) - less
    return graph.apply("mul", graph.sum(value, axes), 1 / count if count > 0 else math.nan)


def _spread(
    graph: Graph, value: Value, axes: tuple[int, ...], less: float
) -> tuple[Value, Value, Value]:
    """Variance, mean, and the value without its mean."""
    mean = _average(graph, value, axes)
    centered = graph.apply("sub", value, mean)
    return _average(graph, graph.apply("mul", centered, centered), axes, less), mean, centered


@RULES.of("var", "std", "var_mean", "std_mean")
def _var(now: Lowering, a: Operand, axes: Any = None, **named: Any) -> Result:
    if axes is True or axes is False:
        raise now.refuse("is called without axes", ONE_ROW)
    less = named.get("correction")
    less = 1 if less is None else less
    var, mean, _ = _spread(now.graph, a.value, now.axes(a, axes), less)
    if now.name.startswith("std"):
        var = now.graph.apply("sqrt", var)
    if now.name.endswith("mean"):
        return _reduced(now, var), now.graph.reshape(mean, features(now.results[1]))
    return _reduced(now, var)


@RULES.of("native_layer_norm")
def _layer_norm(
    now: Lowering, a: Operand, shape: list[int], weight: Any, bias: Any, eps: float
) -> tuple[Value, ...]:
    graph = now.graph
    axes = now.axes(a, range(a.rank - len(shape), a.rank))
    var, mean, centered = _spread(graph, a.value, axes, 0)
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
    chosen = now.axes(a, axes)
    least = now.name == "amin"
    value = graph.apply("neg", a.value) if least else a.value
    most = graph.max(value, chosen)
    # The gradient goes to all that are largest, in equal parts, as torch shares it.
    same = graph.apply("eq", value, most)
    shared = graph.apply("div", value, graph.sum(same, chosen))
    found = graph.sum(graph.apply("where", same, shared, 0.0), chosen)
    return _reduced(now, graph.apply("neg", found) if least else found)


def _exps(now: Lowering, a: Operand, axes: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """The largest; exp of what is below it; their sum."""
    graph = now.graph
    most = graph.max(a.value, axes)
    powers = graph.apply("exp", graph.apply("sub", a.value, most))
    return most, powers, graph.sum(powers, axes)


@RULES.of("_softmax")
def _softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    _, powers, total = _exps(now, a, now.axes(a, axis))
    return now.graph.apply("div", powers, total)


@RULES.of("_log_softmax")
def _log_softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    most, _, total = _exps(now, a, now.axes(a, axis))
    below = now.graph.apply("sub", a.value, most)
    return now.graph.apply("sub", below, now.graph.apply("log", total))


@RULES.of("logsumexp")
def _logsumexp(now: Lowering, a: Operand, axes: Any, keepdim: bool = False) -> Value:
    most, _, total = _exps(now, a, now.axes(a, axes))
    return _reduced(now, now.graph.apply("add", now.graph.apply("log", total), most))
