"""Functions of one or two numbers beside arithmetic: of angles, of powers, of what is left over.

Where the gradient of a formula would be another than torch's, or lost at its edges, torch's own
slope goes with the value.
"""

from __future__ import annotations

import math
from typing import Any

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.base import Lowering, Rules
from recurra.engine.lower.rules.choices import both, either, is_nan, negative
from recurra.engine.lower.rules.elementwise import clamp, divided

__all__ = ["RULES", "log_add_exp"]

RULES = Rules(
    {
        "ceil": lambda now, a: now.apply("neg", now.apply("floor", now.apply("neg", a))),
        "frac": lambda now, a: now.apply("sub", a, now.apply("trunc", a)),
        "logaddexp": lambda now, a, b: log_add_exp(now, a, b),
        "deg2rad": lambda now, a: now.apply("mul", a, math.pi / 180),
        "rad2deg": lambda now, a: now.apply("mul", a, 180 / math.pi),
    }
)


@RULES.of("round")
def _round(now: Lowering, a: Any, *, decimals: int = 0) -> Value:
    scale = 10.0 ** abs(decimals)
    there, back = ("mul", "div") if decimals >= 0 else ("div", "mul")
    return now.apply(back, now.apply("round", now.apply(there, a, scale)), scale)


@RULES.of("floor_divide")
def floored(now: Lowering, a: Any, b: Any) -> Value:
    """The quotient without what is behind its point, downwards; as it is, not as it is rounded."""
    if not now.out.dtype.is_floating_point:  # so small that no quotient is rounded to the next
        return now.apply("floor", now.apply("div", a, b))
    left = now.apply("fmod", a, b)
    alike = now.apply("eq", now.apply("gt", 0.0, left), now.apply("gt", 0.0, b))
    times = now.apply("div", now.apply("sub", a, left), b)
    more = either(now, now.apply("eq", left, 0.0), alike)
    times = now.apply("where", more, times, now.apply("sub", times, 1.0))
    whole = now.apply("floor", times)
    whole = now.apply("add", whole, now.apply("gt", now.apply("sub", times, whole), 0.5))
    quotient = now.apply("div", a, b)
    nothing_left = now.apply("mul", quotient, 0.0)  # its sign
    found = now.apply("where", now.apply("eq", times, 0.0), nothing_left, whole)
    return now.graph.stop(now.apply("where", now.apply("eq", b, 0.0), quotient, found))


@RULES.of("div")
def _div(now: Lowering, a: Any, b: Any, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return floored(now, a, b)
    value = divided(now, a, b)
    return now.apply("trunc", value) if rounding_mode else value


@RULES.of("remainder")
def _remainder(now: Lowering, a: Any, b: Any) -> Value:
    if not now.out.dtype.is_floating_point:
        return now.apply("sub", a, now.apply("mul", floored(now, a, b), b))
    left = now.apply("fmod", a, b)
    zero = now.apply("eq", left, 0.0)
    alike = now.apply("eq", now.apply("gt", 0.0, left), now.apply("gt", 0.0, b))
    value = now.apply("where", either(now, zero, alike), left, now.apply("add", left, b))
    return now.curved(value, (a, 1.0), (b, now.apply("neg", floored(now, a, b))))


def log_add_exp(now: Lowering, a: Any, b: Any) -> Value:
    """log(exp(a) + exp(b)) without overflow."""
    apart = now.apply("neg", now.apply("abs", now.apply("sub", a, b)))
    larger = now.apply("maximum", a, b)
    value = now.apply("add", larger, now.apply("log1p", now.apply("exp", apart)))
    return now.curved(_if_equal_infinities(now, a, b, value), *_shares(now, a, b, "exp"))


@RULES.of("logaddexp2")
def _log_add_exp2(now: Lowering, a: Any, b: Any) -> Value:
    apart = now.apply("neg", now.apply("abs", now.apply("sub", a, b)))
    more = now.apply("mul", now.apply("log1p", now.apply("exp2", apart)), 1 / math.log(2))
    value = now.apply("add", now.apply("maximum", a, b), more)
    return now.curved(_if_equal_infinities(now, a, b, value), *_shares(now, a, b, "exp2"))


def _if_equal_infinities(now: Lowering, a: Any, b: Any, value: Value) -> Value:
    endless = now.apply("eq", now.apply("abs", a), math.inf)
    return now.apply("where", both(now, endless, now.apply("eq", a, b)), a, value)


def _shares(now: Lowering, a: Any, b: Any, power: str) -> tuple[tuple[Any, Value], ...]:
    """What part of the sum each of two is, which is the slope of its logarithm."""

    def share(mine: Any, other: Any) -> Value:
        odds = now.apply(power, now.apply("sub", other, mine))
        return now.apply("div", 1.0, now.apply("add", odds, 1.0))

    return (a, share(a, b)), (b, share(b, a))


@RULES.of("xlogy")
def _xlogy(now: Lowering, a: Any, b: Any) -> Value:
    zero, log = now.apply("eq", a, 0.0), now.apply("log", b)
    value = now.apply("where", zero, 0.0, now.apply("mul", a, log))
    value = now.apply("where", is_nan(now, b), b, value)
    flat = both(now, zero, now.apply("ge", 0.0, b))
    slope = now.apply("where", flat, 0.0, log)
    return now.curved(value, (a, slope), (b, now.apply("div", a, b)))


@RULES.of("sinc")
def _sinc(now: Lowering, a: Any) -> Value:
    turn = now.apply("mul", a, math.pi)
    sine = now.apply("sin", turn)
    value = now.apply("where", now.apply("eq", a, 0.0), 1.0, now.apply("div", sine, turn))
    rise = now.apply("sub", now.apply("mul", turn, now.apply("cos", turn)), sine)
    square = now.apply("mul", now.apply("mul", a, a), math.pi)
    slope = now.apply("where", now.apply("eq", square, 0.0), 0.0, now.apply("div", rise, square))
    return now.curved(value, (a, slope))


@RULES.of("logit")
def _logit(now: Lowering, a: Any, eps: float | None = None) -> Value:
    low, high = (0.0, 1.0) if eps is None else (eps, 1 - eps)
    inside = a if eps is None else clamp(now, a, low, high)
    value = now.apply("log", now.apply("div", inside, now.apply("sub", 1.0, inside)))
    within = both(now, now.apply("ge", a, low), now.apply("ge", high, a))
    slope = now.apply("div", 1.0, now.apply("mul", a, now.apply("sub", 1.0, a)))
    slope = slope if eps is not None else now.apply("abs", slope)  # also at -0
    beyond = math.nan if eps is None else 0.0
    return now.curved(value, (a, now.apply("where", within, slope, beyond)))


@RULES.of("copysign")
def _copysign(now: Lowering, a: Any, b: Any) -> Value:
    size = now.apply("abs", a)
    value = now.apply("where", negative(now, b), now.apply("neg", size), size)
    ratio = now.apply("where", now.apply("eq", a, 0.0), 0.0, now.apply("div", value, a))
    return now.curved(value, (a, ratio))
