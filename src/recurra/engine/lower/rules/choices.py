"""Truth, 1 or 0: what a number is (NaN, infinite, negative), and choices that hang on it."""

from __future__ import annotations

import math
from typing import Any

import torch

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import Lowering, Operand, Rules

__all__ = ["RULES", "both", "either", "is_nan", "negated", "negative", "truth"]

RULES = Rules(
    {
        "ne": lambda now, a, b: negated(now, now.apply("eq", a, b)),
        "logical_and": lambda now, a, b: both(now, truth(now, a), truth(now, b)),
        "logical_or": lambda now, a, b: either(now, truth(now, a), truth(now, b)),
        "logical_xor": lambda now, a, b: negated(
            now, now.apply("eq", truth(now, a), truth(now, b))
        ),
        "logical_not": lambda now, a: negated(now, truth(now, a)),
        "isnan": lambda now, a: is_nan(now, a),
        "isinf": lambda now, a: now.apply("eq", now.apply("abs", a), math.inf),
        "isposinf": lambda now, a: now.apply("eq", a, math.inf),
        "isneginf": lambda now, a: now.apply("eq", a, -math.inf),
        "heaviside": lambda now, a, b: now.apply(
            "where", now.apply("eq", a, 0.0), b, now.apply("gt", a, 0.0)
        ),
    }
)
RULES |= {f"bitwise_{name}": RULES[f"logical_{name}"] for name in ("and", "or", "xor", "not")}

To = Graph | Lowering
"""What instructions are added to; operands are of the call that is lowered, values of its graph."""


def both(to: To, a: Any, b: Any) -> Value:
    """1 where two are 1."""
    return to.apply("mul", a, b)


def either(to: To, a: Any, b: Any) -> Value:
    """1 where one of two is 1."""
    return to.apply("maximum", a, b)


def negated(to: To, a: Any) -> Value:
    """1 where it is 0."""
    return to.apply("sub", 1.0, a)


def truth(to: To, a: Any) -> Value:
    """1 where a number is not 0."""
    return negated(to, to.apply("eq", a, 0.0))


def is_nan(to: To, a: Any) -> Value:
    """1 where it is NaN."""
    return negated(to, to.apply("eq", a, a))


@RULES.of("signbit")
def negative(to: To, a: Any) -> Value:
    """1 where the sign is -, that of zero too."""
    zero = to.apply("eq", a, 0.0)
    return to.apply("gt", 0.0, to.apply("where", zero, to.apply("div", 1.0, a), a))


@RULES.of("fmax", "fmin")
def _fmax(now: Lowering, a: Any, b: Any) -> Value:
    pair = (a, b) if now.name == "fmax" else (b, a)
    first = either(now, now.apply("ge", *pair), is_nan(now, b))
    return now.apply("where", first, a, b)


@RULES.of("nan_to_num")
def _nan_to_num(
    now: Lowering,
    a: Any,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Value:
    most = torch.finfo(now.out.dtype).max
    value = now.apply("where", is_nan(now, a), nan or 0.0, a)
    high = now.apply("eq", a, math.inf)
    value = now.apply("where", high, most if posinf is None else posinf, value)
    low = now.apply("eq", a, -math.inf)
    return now.apply("where", low, -most if neginf is None else neginf, value)


@RULES.of("any", "all")
def _any(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False) -> Value:
    graph, true = now.graph, truth(now, a.value)
    found = true if now.name == "any" else negated(graph, true)
    found = graph.max(found, now.axes(a, axes))
    found = found if now.name == "any" else negated(graph, found)
    return graph.reshape(found, now.features)


@RULES.of("nansum")
def _nansum(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    graph = now.graph
    there = graph.apply("eq", a.value, a.value)
    known = graph.apply("where", there, a.value, 0.0)
    return graph.reshape(graph.sum(known, now.axes(a, axes)), now.features)
