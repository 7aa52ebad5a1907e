"""Activation functions that bend in one or two places."""

from __future__ import annotations

from typing import Any

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.activations import RULES as COMMON
from recurra.engine.lower.rules.base import Lowering, Operand, Rules

__all__ = ["RULES"]

RULES = Rules()


@RULES.of("glu")
def _glu(now: Lowering, a: Operand, axis: int = -1) -> Value:
    at = now.feature(a, axis)
    size, half = a.shape[at], a.shape[at] // 2
    value, gate = (now.graph.slice(a.value, at, *part) for part in ((0, half), (half, size)))
    return now.graph.apply("mul", value, now.graph.apply("sigmoid", gate))


@RULES.of("_prelu_kernel")
def _prelu(now: Lowering, a: Any, weight: Any) -> Value:
    above = now.apply("gt", a, 0.0)
    below = now.apply("where", above, 0.0, a)  # infinity times no gradient would be NaN
    return now.apply("where", above, a, now.apply("mul", weight, below))


@RULES.of("celu")
def _celu(now: Lowering, a: Any, alpha: float = 1.0) -> Any:
    return COMMON["elu"](now, a, alpha, 1, 1 / alpha)


@RULES.of("hardshrink")
def _hardshrink(now: Lowering, a: Any, bound: float = 0.5) -> Value:
    above = now.apply("gt", now.apply("abs", a), bound)
    return now.apply("where", above, a, _flat(now, a, bound))


def _flat(now: Lowering, a: Any, bound: float) -> Value:
    """0 within a bound; NaN stays, and neither has a gradient."""
    within = now.apply("ge", bound, now.apply("abs", a))
    return now.graph.stop(now.apply("where", within, 0.0, a))


@RULES.of("softshrink")
def _softshrink(now: Lowering, a: Any, bound: float = 0.5) -> Value:
    above, below = now.apply("gt", a, bound), now.apply("gt", -bound, a)
    value = now.apply("where", below, now.apply("add", a, bound), _flat(now, a, bound))
    return now.apply("where", above, now.apply("sub", a, bound), value)
