"""Norms of any order, and norms of groups of features."""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import Lowering, Operand, Rules
from recurra.engine.lower.rules.choices import either, is_nan, truth
from recurra.engine.lower.rules.reductions import euclidean

__all__ = ["RULES"]

RULES = Rules()


@RULES.of("native_group_norm")
def _group_norm(
    now: Lowering,
    a: Operand,
    weight: Operand | None,
    bias: Operand | None,
    rows: int,
    channels: int,
    places: int,
    groups: int,
    eps: float,
) -> tuple[Value, ...]:
    graph, count = now.graph, channels * places // groups
    grouped = graph.reshape(a.value, (groups, count))
    mean = graph.apply("mul", graph.sum(grouped, (1,)), 1 / count)
    centered = graph.apply("sub", grouped, mean)
    var = graph.sum(graph.apply("mul", centered, centered), (1,))
    var = graph.apply("add", graph.apply("mul", var, 1 / count), eps)
    scale = graph.apply("div", 1.0, graph.apply("sqrt", var))
    value = graph.reshape(graph.apply("mul", centered, scale), a.shape)
    for op, own in (("mul", weight), ("add", bias)):
        if own is not None:
            each = graph.reshape(own.value, (channels, *(1,) * (len(a.shape) - 1)))
            value = graph.apply(op, value, each)
    return value, graph.reshape(mean, (groups,)), graph.reshape(scale, (groups,))


@RULES.of("linalg_vector_norm")
def _norm(
    now: Lowering, a: Operand, order: float = 2, axes: Any = None, keepdim: bool = False, **_: Any
) -> Value:
    """By torch's own slopes, which are 0 where the norm has none."""
    graph, chosen, x = now.graph, now.axes(a, axes), a.value
    size = graph.apply("abs", x)
    if order == 0:
        return graph.reshape(graph.sum(truth(graph, x), chosen), now.features)
    if order == 1:
        return graph.reshape(graph.sum(size, chosen), now.features)
    if order == 2:
        return graph.reshape(euclidean(graph, x, chosen), now.features)
    if math.isinf(order):
        value, slope = _extreme(graph, x, size, order, chosen)
    else:
        value, slope = _rooted(graph, x, size, order, chosen)
    path = graph.sum(graph.apply("mul", x, graph.stop(slope)), chosen)
    return graph.reshape(graph.route(value, path), now.features)


@RULES.of("norm")
def _old_norm(
    now: Lowering, a: Operand, order: float | None = None, axes: Any = None, keepdim: bool = False
) -> Value:
    return _norm(now, a, 2 if order is None else order, axes)


def _extreme(
    graph: Graph, x: Value, size: Value, order: float, axes: tuple[int, ...]
) -> tuple[Value, Value]:
    """The largest size, or the least, and its slope: all that are largest share it."""
    if order > 0:
        value = graph.max(size, axes)
    else:
        value = graph.apply("neg", graph.max(graph.apply("neg", size), axes))
    nan = is_nan(graph, size)
    same = either(graph, graph.apply("eq", size, value), nan)
    share = graph.apply("div", same, graph.sum(same, axes))
    return value, graph.apply("mul", graph.apply("sign", x), share)


def _rooted(
    graph: Graph, x: Value, size: Value, order: float, axes: tuple[int, ...]
) -> tuple[Value, Value]:
    """The root of a sum of powers, and its slope."""
    total = graph.sum(graph.apply("pow", size, order), axes)
    value = graph.apply("pow", total, 1 / order)
    if order < 2:
        rise = graph.apply("mul", graph.apply("sign", x), graph.apply("pow", size, order - 1))
    else:
        rise = graph.apply("mul", x, graph.apply("pow", size, order - 2))
    if order < 1:
        rise = graph.apply("where", graph.apply("eq", x, 0.0), 0.0, rise)
        return value, graph.apply("mul", rise, graph.apply("pow", value, 1 - order))
    slope = graph.apply("div", rise, graph.apply("pow", value, order - 1))
    return value, graph.apply("where", graph.apply("eq", value, 0.0), 0.0, slope)
