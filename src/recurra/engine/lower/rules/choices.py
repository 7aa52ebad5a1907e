"""What a number is (NaN, infinite, negative), and choices that hang on it."""

from __future__ import annotations

import math
from typing import Any

import torch

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.base import Lowering, Operand, Rules

__all__ = ["RULES", "both", "either", "negative", "nothing"]

RULES = Rules()


def both(now: Lowering, a: Any, b: Any) -> Value:
    """1 where two are 1."""
    return now.apply("mul", a, b)


def either(now: Lowering, a: Any, b: Any) -> Value:
    """1 where one of two is 1."""
    return now.apply("maximum", a, b)


def nothing(now: Lowering, a: Any) -> Value:
    """1 where it is NaN."""
    return now.apply("sub", 1.0, now.apply("eq", a, a))


def negative(now: Lowering, a: Any) -> Value:
    """1 where the sign is -, that of zero too."""
    zero = now.apply("eq", a, 0.0)
    return now.apply("gt", 0.0, now.apply("where", zero, now.apply("div", 1.0, a), a))


@RULES.of("isnan")
def _isnan(now: Lowering, a: Any) -> Value:
    return nothing(now, a)


@RULES.of("isinf")
def _isinf(now: Lowering, a: Any) -> Value:
    return now.apply("eq", now.apply("abs", a), math.inf)


@RULES.of("isposinf", "isneginf")
def _is_one_infinity(now: Lowering, a: Any) -> Value:
    return now.apply("eq", a, math.inf if now.name == "isposinf" else -math.inf)


@RULES.of("signbit")
def _signbit(now: Lowering, a: Any) -> Value:
    return negative(now, a)


@RULES.of("fmax", "fmin")
def _fmax(now: Lowering, a: Any, b: Any) -> Value:
    pair = (a, b) if now.name == "fmax" else (b, a)
    first = either(now, now.apply("ge", *pair), nothing(now, b))
    return now.apply("where", first, a, b)


@RULES.of("heaviside")
def _heaviside(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("where", now.apply("eq", a, 0.0), b, now.apply("gt", a, 0.0))


@RULES.of("nan_to_num")
def _nan_to_num(
    now: Lowering,
    a: Any,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Value:
    most = torch.finfo(now.out.dtype).max
    value = now.apply("where", nothing(now, a), nan or 0.0, a)
    high = now.apply("eq", a, math.inf)
    value = now.apply("where", high, most if posinf is None else posinf, value)
    low = now.apply("eq", a, -math.inf)
    return now.apply("where", low, -most if neginf is None else neginf, value)


@RULES.of("any", "all")
def _any(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False) -> Value:
    graph, true = now.graph, truth_of(now, a.value)
    found = true if now.name == "any" else graph.apply("sub", 1.0, true)
    found = graph.max(found, now.axes(a, axes))
    found = found if now.name == "any" else graph.apply("sub", 1.0, found)
    return graph.reshape(found, now.features)


def truth_of(now: Lowering, value: Value) -> Value:
    """1 where a value is not 0."""
    return now.graph.apply("sub", 1.0, now.graph.apply("eq", value, 0.0))


@RULES.of("nansum")
def _nansum(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    graph = now.graph
    there = graph.apply("eq", a.value, a.value)
    known = graph.apply("where", there, a.value, 0.0)
    return graph.reshape(graph.sum(known, now.axes(a, axes)), now.features)
