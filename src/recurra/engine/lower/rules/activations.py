"""Activation functions that are no instruction themselves, by their equations."""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.base import Lowering, Rules
from recurra.engine.lower.rules.elementwise import hardtanh

__all__ = ["RULES"]

RULES = Rules()


@RULES.of("silu")
def _silu(now: Lowering, a: Any) -> Value:
    return now.apply("mul", a, now.apply("sigmoid", a))


@RULES.of("gelu")
def _gelu(now: Lowering, a: Any, *, approximate: str = "none") -> Value:
    if approximate == "tanh":
        cube = now.apply("mul", now.apply("mul", a, a), a)
        inner = now.apply("add", a, now.apply("mul", cube, 0.044715))
        bent = now.apply("tanh", now.apply("mul", inner, math.sqrt(2 / math.pi)))
    else:
        bent = now.apply("erf", now.apply("mul", a, math.sqrt(0.5)))
    return now.apply("mul", now.apply("mul", a, 0.5), now.apply("add", bent, 1.0))


def _soft(now: Lowering, a: Any) -> Value:
    """log(1 + exp(a)) without overflow."""
    small = now.apply("log1p", now.apply("exp", now.apply("neg", now.apply("abs", a))))
    return now.apply("add", now.apply("relu", a), small)


@RULES.of("softplus")
def _softplus(now: Lowering, a: Any, beta: float = 1, threshold: float = 20) -> Value:
    scaled = now.apply("mul", a, beta)
    soft = now.apply("mul", _soft(now, scaled), 1 / beta)
    return now.apply("where", now.apply("gt", scaled, threshold), a, soft)


@RULES.of("log_sigmoid_forward")
def _log_sigmoid(now: Lowering, a: Any) -> tuple[Value, ...]:
    value = now.apply("neg", _soft(now, now.apply("neg", a)))
    return value, value  # the second is a buffer that nobody reads


@RULES.of("mish")
def _mish(now: Lowering, a: Any) -> Value:
    return now.apply("mul", a, now.apply("tanh", _soft(now, a)))


@RULES.of("hardsigmoid", "hardswish")
def _hardsigmoid(now: Lowering, a: Any) -> Value:
    gate = now.apply("mul", hardtanh(now, now.apply("add", a, 3.0), 0.0, 6.0), 1 / 6)
    return gate if now.name == "hardsigmoid" else now.apply("mul", a, gate)


@RULES.of("leaky_relu")
def _leaky(now: Lowering, a: Any, slope: float = 0.01) -> Value:
    return now.apply("where", now.apply("gt", a, 0.0), a, now.apply("mul", a, slope))


@RULES.of("elu")
def _elu(now: Lowering, a: Any, alpha: float = 1, scale: float = 1, inner: float = 1) -> Value:
    low = now.apply("mul", now.apply("expm1", now.apply("mul", a, inner)), alpha * scale)
    return now.apply("where", now.apply("gt", a, 0.0), now.apply("mul", a, scale), low)
