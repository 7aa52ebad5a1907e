"""Activation functions that are no instruction themselves, by their equations."""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.base import Lowering, Operand, Rules
from recurra.engine.lower.rules.elementwise import hardtanh

__all__ = ["RULES"]

RULES = Rules(
    {
        "silu": lambda now, a: now.apply("mul", a, now.apply("sigmoid", a)),
        "softplus": lambda now, a, beta=1, threshold=20: _soft(
            now, a, now.apply("mul", a, beta), threshold, beta
        ),
        "mish": lambda now, a: now.apply("mul", a, now.apply("tanh", _soft(now, a, a, 20.0, 1.0))),
        "leaky_relu": lambda now, a, slope=0.01: now.apply(
            "where", now.apply("gt", a, 0.0), a, now.apply("mul", a, slope)
        ),
    }
)


@RULES.of("gelu")
def _gelu(now: Lowering, a: Any, *, approximate: str = "none") -> Value:
    if approximate == "tanh":
        cube = now.apply("mul", now.apply("mul", a, a), a)
        inner = now.apply("add", a, now.apply("mul", cube, 0.044715))
        bent = now.apply("tanh", now.apply("mul", inner, math.sqrt(2 / math.pi)))
    else:
        bent = now.apply("erf", now.apply("mul", a, math.sqrt(0.5)))
    return now.apply("mul", now.apply("mul", a, 0.5), now.apply("add", bent, 1.0))


def _soft(now: Lowering, a: Any, scaled: Any, threshold: float, beta: float) -> Value:
    """log(1 + exp(scaled)) / beta, and above a threshold ``a``.

    The branch that is not taken is computed at 0: at infinity its gradient would be 0 times that.
    """
    above = now.apply("gt", scaled, threshold)
    power = now.apply("exp", now.apply("where", above, 0.0, scaled))
    return now.apply("where", above, a, now.apply("mul", now.apply("log1p", power), 1 / beta))


@RULES.of("log_sigmoid_forward")
def _log_sigmoid(now: Lowering, a: Any) -> tuple[Value, ...]:
    below = now.apply("gt", 0.0, a)
    # -|a|, which has a slope at 0 too.
    size = now.apply("where", below, a, now.apply("neg", a))
    rest = now.apply("log1p", now.apply("exp", size))
    value = now.apply("sub", now.apply("where", below, a, 0.0), rest)
    return value, value  # the second is a buffer that nobody reads


@RULES.of("hardsigmoid")
def _hardsigmoid(now: Lowering, a: Any) -> Value:
    gate = now.apply("mul", now.apply("add", a, 3.0), 1 / 6)
    bounded = now.apply("minimum", now.apply("maximum", gate, 0.0), 1.0)
    inside = now.apply("gt", 3.0, now.apply("abs", a))  # of NaN it is 0, and so is the gradient
    return now.apply("where", inside, gate, now.graph.stop(bounded))


@RULES.of("hardswish")
def _hardswish(now: Lowering, a: Any) -> Value:
    gate = hardtanh(now, now.apply("add", a, 3.0), 0.0, 6.0)
    return now.apply("mul", a, now.apply("mul", gate, 1 / 6))


@RULES.of("elu")
def _elu(now: Lowering, a: Any, alpha: float = 1, scale: float = 1, inner: float = 1) -> Value:
    above = now.apply("gt", a, 0.0)
    # At 0 where it is not taken: at infinity its gradient would be 0 times that.
    power = now.apply("expm1", now.apply("mul", now.apply("where", above, 0.0, a), inner))
    low = now.apply("mul", power, alpha * scale)
    return now.apply("where", above, now.apply("mul", a, scale), low)


@RULES.of("celu")
def _celu(now: Lowering, a: Any, alpha: float = 1.0) -> Value:
    return _elu(now, a, alpha, 1, 1 / alpha)


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
