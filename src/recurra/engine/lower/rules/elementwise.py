"""Arithmetic and comparisons: operations on the numbers at one place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from recurra.engine.graph.values import UNARY, Value
from recurra.engine.lower.rules.base import Lowering, Operand, Results, Rules

__all__ = ["RULES", "clamp", "divided", "hardtanh"]

# What ATen names as the machine does; a rule of its own, where there is one, comes later.
_ALIKE = (*UNARY, "mul", "maximum", "minimum", "fmod", "hypot", "atan2", "where", "gt", "ge", "eq")
RULES = Rules(dict.fromkeys(_ALIKE, lambda now, *operands: now.apply(now.name, *operands)))
RULES |= {
    "sgn": lambda now, a: now.apply("sign", a),
    "rsub": lambda now, a, b, alpha=1: now.apply(
        "sub", b, a if alpha == 1 else now.apply("mul", a, alpha)
    ),
    "lt": lambda now, a, b: now.apply("gt", b, a),
    "le": lambda now, a, b: now.apply("ge", b, a),
    "rsqrt": lambda now, a: now.apply("div", 1.0, now.apply("sqrt", a)),
    "reciprocal": lambda now, a: now.apply("div", 1.0, a),
    "square": lambda now, a: now.apply("mul", a, a),
    "masked_fill": lambda now, a, mask, number: now.apply("where", mask, number, a),
    "threshold": lambda now, a, bound, number: now.apply(
        "where", now.apply("ge", bound, a), number, a
    ),
}


@RULES.of("add", "sub")
def _add(now: Lowering, a: Any, b: Any, *, alpha: float = 1) -> Value:
    b = b if alpha == 1 else now.apply("mul", b, alpha)
    return now.apply(now.name, a, b)


def divided(now: Lowering, a: Any, b: Any) -> Value:
    """A quotient; by a power of two a product, which is the same."""
    if not isinstance(b, Operand) and _power_of_two(b):
        return now.apply("mul", a, 1 / b)
    return now.apply("div", a, b)


def _value(now: Lowering, a: Any) -> Value:
    """An operand as it is: a sum with 0 is no instruction."""
    return now.apply("add", a, 0.0)


def _power_of_two(number: float) -> bool:
    """Is its reciprocal exact, in every type?"""
    fraction, exponent = math.frexp(number)
    return abs(fraction) == 0.5 and abs(exponent) < 100


@RULES.of("pow")
def _pow(now: Lowering, a: Any, b: Any) -> Results:
    if isinstance(b, Operand):
        return now.apply("pow", a, b)
    simple: dict[float, Callable[[], Results]] = {
        1: lambda: _value(now, a),
        2: lambda: now.apply("mul", a, a),
        3: lambda: now.apply("mul", now.apply("mul", a, a), a),
        0.5: lambda: now.apply("sqrt", a),
        -0.5: lambda: RULES["rsqrt"](now, a),
        -1: lambda: RULES["reciprocal"](now, a),
        -2: lambda: RULES["square"](now, RULES["reciprocal"](now, a)),
    }
    return simple.get(b, lambda: now.apply("pow", a, b))()


@RULES.of("clamp", "clamp_min", "clamp_max")
def clamp(now: Lowering, a: Any, low: Any = None, high: Any = None, **named: Any) -> Value:
    """Between two bounds, numbers or operands; None for none. NaN stays, and has no gradient."""
    if now.name == "clamp_max":
        low, high = None, low
    low, high = named.get("min", low), named.get("max", high)
    value, inside = _value(now, a), []
    if low is not None:
        value = now.apply("maximum", value, low)
        inside.append(now.apply("ge", a, low))
    if high is not None:
        value = now.apply("minimum", value, high)
        inside.append(now.apply("ge", high, a))
    kept = inside[0] if len(inside) == 1 else now.apply("mul", *inside)
    plain = now.graph.stop(value)
    value = now.apply("where", kept, a, plain)
    # A bound gets the gradient where it alone is the value.
    if isinstance(low, Operand):
        under = now.apply("gt", low, a)
        if high is not None:
            under = now.apply("mul", under, now.apply("gt", high, low))
        value = now.apply("where", under, low, value)
    if isinstance(high, Operand):
        over = now.apply("gt", a, high)
        if low is not None:
            over = now.apply("maximum", over, now.apply("gt", low, high))
            # Also where one of the others is NaN, which is then the value.
            known = now.apply("eq", plain, plain)
            high = now.apply("add", high, now.apply("where", known, -0.0, plain))
        value = now.apply("where", over, high, value)
    return value


@RULES.of("hardtanh")
def hardtanh(now: Lowering, a: Any, low: float = -1.0, high: float = 1.0) -> Value:
    """The same, with no gradient at the bounds themselves, where that of ``clamp`` has one."""
    value = now.apply("where", now.apply("ge", low, a), low, a)
    return now.apply("where", now.apply("ge", value, high), high, value)


@RULES.of("lerp")
def _lerp(now: Lowering, a: Any, b: Any, weight: Any) -> Value:
    # From the end that is nearer, as torch does: from the other one it would be a difference.
    way = now.apply("sub", b, a)
    if not isinstance(weight, Operand):
        far = abs(weight) >= 0.5
        return now.apply("add", b if far else a, now.apply("mul", way, weight - far))
    behind = now.apply("ge", now.apply("abs", weight), 0.5)
    near = now.apply("where", behind, b, a)
    return now.apply("add", near, now.apply("mul", now.apply("sub", weight, behind), way))


@RULES.of("addcmul")
def _addcmul(now: Lowering, a: Any, b: Any, c: Any, *, value: float = 1) -> Value:
    # In the order of torch, back too: another one overflows elsewhere.
    by_b, by_c = now.apply("mul", c, value), now.apply("mul", b, value)
    product = now.apply("mul", by_c, c)
    return now.apply("add", a, now.curved(product, (b, by_b), (c, by_c)))


@RULES.of("addcdiv")
def _addcdiv(now: Lowering, a: Any, b: Any, c: Any, *, value: float = 1) -> Value:
    quotient = now.apply("div", now.apply("mul", b, value), c)
    by_b, by_c = now.apply("div", value, c), now.apply("neg", now.apply("div", quotient, c))
    return now.apply("add", a, now.curved(quotient, (b, by_b), (c, by_c)))
