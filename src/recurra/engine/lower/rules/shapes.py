"""Shapes and views: what moves, cuts, joins, repeats or makes numbers and computes none."""

from __future__ import annotations

import math
from typing import Any

import torch

from recurra.engine.graph.values import Value
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Rules, features
from recurra.engine.lower.rules.choices import truth

__all__ = ["RULES"]

_SAME = ("alias", "clone", "lift_fresh", "contiguous")
_ZEROS = ("zeros", "new_zeros", "zeros_like", "zero", "empty", "empty_like", "new_empty")
RULES = Rules(
    {
        "detach": lambda now, a: now.graph.stop(a.value),
        **dict.fromkeys(_SAME, lambda now, a, **_: a.value),
        **dict.fromkeys(_ZEROS, lambda now, *_, **__: now.graph.full(0.0, now.features)),
        **dict.fromkeys(
            ("ones", "new_ones", "ones_like"),
            lambda now, *_, **__: now.graph.full(1.0, now.features),
        ),
    }
)


@RULES.of("_to_copy", "to")
def _cast(now: Lowering, a: Operand, **_: Any) -> Value:
    if now.out.dtype is torch.bool:
        return truth(now, a)
    if now.out.dtype.is_floating_point or not a.dtype.is_floating_point:
        return a.value
    size = now.graph.apply("floor", now.graph.apply("abs", a.value))  # toward zero
    return now.graph.apply("mul", now.graph.apply("sign", a.value), size)


@RULES.of("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten")
def _view(now: Lowering, a: Operand, *_: Any, **__: Any) -> Value:
    ahead, axis = a.axis, now.out.axis
    if None not in (ahead, axis) and math.prod(a.shape[:ahead]) != math.prod(now.features[:axis]):
        raise now.refuse(
            "moves features across the batch",
            "let the batch stay the first axis, view(len(x), ...)",
        )
    return now.graph.reshape(a.value, now.features)


@RULES.of("t", "transpose", "permute", "movedim")
def _permute(now: Lowering, a: Operand, *given: Any) -> Value:
    if now.name == "permute":
        order = [axis % a.rank for axis in given[0]]
    else:
        one, other = (0, 1) if now.name == "t" else (given[0] % a.rank, given[1] % a.rank)
        order = list(range(a.rank))
        if a.rank > 1:
            order[one], order[other] = order[other], order[one]
    kept = [now.feature(a, axis) for axis in order if axis != a.axis]
    if a.times > 1:
        kept.insert(order.index(a.axis), a.axis)  # type: ignore[arg-type]
    return now.graph.permute(a.value, kept)


@RULES.of("expand", "expand_as")
def _expand(now: Lowering, a: Operand, *_: Any, **__: Any) -> Value:
    shape = (1,) * (len(now.out.shape) - a.rank) + a.shape
    if a.axis is None and now.out.axis is not None and now.out.times == 1:
        shape = shape[: now.out.axis] + shape[now.out.axis + 1 :]
    if any(have not in (1, wanted) for have, wanted in zip(shape, now.features, strict=True)):
        raise now.refuse(
            "repeats what has more than one element", "write x.repeat(...) or torch.cat"
        )
    return now.graph.expand(now.graph.reshape(a.value, shape), now.features)


@RULES.of("slice", "narrow")
def _slice(
    now: Lowering,
    a: Operand,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Value:
    if axis % a.rank == a.axis:
        whole = now.out.axis is not None and now.out.times == a.times
        if whole and step == 1 and start in (None, 0):
            return a.value
        raise now.refuse("cuts the batch", ONE_ROW)
    at = now.feature(a, axis)
    return now.graph.slice(a.value, at, *slice(start, stop, step).indices(a.shape[at]))


@RULES.of("select")
def _select(now: Lowering, a: Operand, axis: int, index: int) -> Value:
    at = now.feature(a, axis)
    index %= a.shape[at]
    return now.graph.reshape(now.graph.slice(a.value, at, index, index + 1), now.features)


@RULES.of("split", "split_with_sizes", "unbind", "chunk", "unsafe_split", "unsafe_chunk")
def _split(now: Lowering, a: Operand, *given: Any, **named: Any) -> tuple[Value, ...]:
    single = now.name == "unbind"
    rest = given if single else given[1:]  # behind the sizes, which the results tell
    at = now.feature(a, named.get("dim", rest[0] if rest else 0))
    parts, start = [], 0
    for result in now.results:
        size = 1 if single else features(result)[at]
        part = now.graph.slice(a.value, at, start, start + size)
        parts.append(now.graph.reshape(part, features(result)))
        start += size
    return tuple(parts)


@RULES.of("cat", "concat", "stack")
def _concat(now: Lowering, given: list[Operand], axis: int = 0) -> Value:
    rank = len(now.out.shape)
    axis %= rank
    if axis == now.out.axis:
        raise now.refuse("joins along the batch", ONE_ROW)
    at = axis - (now.out.axis is not None and now.out.times == 1 and axis > now.out.axis)
    parts = []
    for operand in given:
        value = operand.value
        if operand.axis is None:
            raise now.refuse(
                "joins rows with a tensor without a batch",
                "write tensor.expand(len(x), ...) for it",
            )
        if now.name == "stack":
            value = now.graph.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))
        parts.append(value)
    return now.graph.concat(parts, at)


@RULES.of("full", "new_full", "full_like", "fill")
def _full(now: Lowering, *given: Any, **__: Any) -> Value:
    number = given[-1]
    if isinstance(number, Operand):
        flat = now.graph.reshape(number.value, (1,) * len(now.features))
        return now.graph.expand(flat, now.features)
    return now.graph.full(number, now.features)
