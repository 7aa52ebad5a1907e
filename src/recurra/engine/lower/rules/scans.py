"""Along an axis, one number after another: running sums, products, maxima; where the largest is.

By pairs: neighbors are joined, then neighbors of these. What an element reads is what lies before
it and nothing else, so NaN and infinity go no further than they do in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Results, Rules, features
from recurra.engine.lower.rules.choices import either, is_nan
from recurra.engine.lower.rules.functions import log_add_exp

__all__ = ["RULES"]

RULES = Rules(
    {
        "cumsum": lambda now, a, axis, **_: _scanned(
            now.graph, (a.value,), now.feature(a, axis), _by(now.graph, "add")
        )[0],
        "max": lambda now, a, axis=None, keepdim=False: _largest(now, a, axis, least=False),
        "min": lambda now, a, axis=None, keepdim=False: _largest(now, a, axis, least=True),
        "argmax": lambda now, a, axis=None, keepdim=False: _largest(now, a, axis, least=False)[1],
        "argmin": lambda now, a, axis=None, keepdim=False: _largest(now, a, axis, least=True)[1],
    }
)

Several = tuple[Value, ...]
Join = Callable[[Several, Several], Several]
"""Of what comes earlier and what comes later."""


def _scanned(graph: Graph, values: Several, axis: int, join: Join) -> Several:
    """At each place what all up to it come to."""
    size, reach = values[0].shape[axis], 1
    while reach < size:
        early = tuple(graph.slice(value, axis, 0, size - reach) for value in values)
        late = tuple(graph.slice(value, axis, reach, size) for value in values)
        joined = join(early, late)
        values = tuple(
            graph.concat([graph.slice(value, axis, 0, reach), more], axis)
            for value, more in zip(values, joined, strict=True)
        )
        reach *= 2
    return values


def _reduced(graph: Graph, values: Several, axis: int, join: Join) -> Several:
    """What all along an axis come to, which stays with size 1; in order."""
    while (size := values[0].shape[axis]) > 1:
        even = size - size % 2
        first = tuple(graph.slice(value, axis, 0, even, 2) for value in values)
        second = tuple(graph.slice(value, axis, 1, even, 2) for value in values)
        joined = join(first, second)
        if even < size:
            joined = tuple(
                graph.concat([pair, graph.slice(value, axis, even, size)], axis)
                for value, pair in zip(values, joined, strict=True)
            )
        values = joined
    return values


def _by(graph: Graph, op: str) -> Join:
    return lambda early, late: (graph.apply(op, early[0], late[0]),)


@RULES.of("cumprod")
def _running_product(now: Lowering, a: Operand, axis: int, **_: Any) -> Value:
    """One after another: two large numbers behind a zero may be infinite between them."""
    graph, at = now.graph, now.feature(a, axis)
    parts = [graph.slice(a.value, at, place, place + 1) for place in range(a.shape[at])]
    for place, part in enumerate(parts[1:]):
        parts[place + 1] = graph.apply("mul", parts[place], part)
    return graph.concat(parts, at)


@RULES.of("logcumsumexp")
def _log_running(now: Lowering, a: Operand, axis: int) -> Value:
    def join(early: Several, late: Several) -> Several:
        return (log_add_exp(now, *(a._replace(value=v) for v in (early[0], late[0]))),)

    return _scanned(now.graph, (a.value,), now.feature(a, axis), join)[0]


@RULES.of("prod")
def _prod(now: Lowering, a: Operand, axis: int | None = None, *_: Any, **__: Any) -> Value:
    graph, value = now.graph, a.value
    for at in now.axes(a, axis):
        (value,) = _reduced(graph, (value,), at, _by(graph, "mul"))
    return graph.reshape(value, now.features)


def _place(now: Lowering, a: Operand, axis: int) -> Value:
    """The numbers of places along an axis of features."""
    shape = [1] * len(a.shape)
    shape[axis] = a.shape[axis]
    return now.graph.expand(now.fixed(torch.arange(a.shape[axis]).view(shape)), a.shape)


def _larger(graph: Graph, *, least: bool, latest: bool) -> Join:
    """The larger, or least, of two numbers with its place; NaN is larger than all.

    Args:
        graph: where it is computed.
        least: whether the smaller one is wanted.
        latest: whether of equal ones the later is taken.
    """

    def join(early: Several, late: Several) -> Several:
        mine, other = (late, early) if latest else (early, late)
        pair = (other[0], mine[0]) if least else (mine[0], other[0])
        nan = is_nan(graph, mine[0])
        chosen = either(graph, graph.apply("ge", *pair), nan)
        return tuple(graph.apply("where", chosen, a, b) for a, b in zip(mine, other, strict=True))

    return join


@RULES.of("cummax", "cummin")
def _running_max(now: Lowering, a: Operand, axis: int) -> Results:
    at = now.feature(a, axis)
    join = _larger(now.graph, least=now.name == "cummin", latest=True)
    return _scanned(now.graph, (a.value, _place(now, a, at)), at, join)


def _largest(now: Lowering, a: Operand, axis: int | None, *, least: bool) -> Several:
    """The largest along an axis and its place, with the axes that the results have."""
    if axis is None:
        raise now.refuse("without an axis mixes rows", ONE_ROW)
    at = now.feature(a, axis)
    join = _larger(now.graph, least=least, latest=False)
    found = _reduced(now.graph, (a.value, _place(now, a, at)), at, join)
    return tuple(now.graph.reshape(value, now.features) for value in found)


@RULES.of("aminmax")
def _aminmax(
    now: Lowering, a: Operand, *, dim: int | None = None, keepdim: bool = False
) -> Results:
    if dim is None:
        raise now.refuse("without an axis mixes rows", ONE_ROW)
    graph, at = now.graph, now.feature(a, dim)
    return tuple(
        graph.reshape(_evenly(graph, a.value, at, least=least), features(result))
        for least, result in zip((True, False), now.results, strict=True)
    )


def _evenly(graph: Graph, value: Value, axis: int, *, least: bool) -> Value:
    """The largest, or least, whose gradient all that are largest share."""
    turned = graph.apply("neg", value) if least else value
    most = graph.max(turned, (axis,))
    most = graph.apply("neg", most) if least else most
    same = graph.apply("eq", value, most)
    share = graph.stop(graph.apply("div", same, graph.sum(same, (axis,))))
    return graph.route(most, graph.sum(graph.apply("mul", value, share), (axis,)))
