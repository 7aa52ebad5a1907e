"""What moves features by constants: picked, turned around, padded, repeated, cut to a triangle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from recurra.engine.graph.values import Value, resized
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Rules
from recurra.engine.lower.rules.products import picked

__all__ = ["RULES"]

RULES = Rules()
_MOST = 1024  # pieces that are copied one by one


def _taken(now: Lowering, value: Value, axis: int, places: Sequence[int]) -> Value:
    """The features at places along an axis: pieces at an even distance are one."""
    graph, parts = now.graph, []
    at = 0
    while at < len(places):
        start, length = places[at], 1
        step = places[at + 1] - start if at + 1 < len(places) else 1
        while at + length < len(places) and places[at + length] == start + length * step:
            length += 1
        if step < 0 or (step > 1 and length == 2):
            length = 1
        if step == 0:
            one = graph.slice(value, axis, start, start + 1)
            parts.append(graph.expand(one, resized(value.shape, axis, length)))
        else:
            last = start + (length - 1) * step
            parts.append(graph.slice(value, axis, start, last + 1, step if length > 1 else 1))
        at += length
    if len(parts) > _MOST:
        raise now.refuse(f"moves {len(parts)} pieces one by one", "write x @ a matrix of 0 and 1")
    return graph.concat(parts, axis)


def _numbers(now: Lowering, index: Any, size: int) -> tuple[list[int], tuple[int, ...]]:
    """The numbers of an index that all rows share, counted from the front, and its shape."""
    if not isinstance(index, Operand) or index.known is None:
        raise now.refuse(
            "picks by numbers that rows compute", "write x.gather(1, index), or torch.where"
        )
    tensor = index.known()
    if tensor.dtype is torch.bool:
        tensor = tensor.nonzero()[:, 0]
    flat = [number + size * (number < 0) for number in tensor.flatten().tolist()]
    if any(not 0 <= number < size for number in flat):
        raise IndexError(f"an index beyond {size} features")
    return flat, tuple(tensor.shape)


@RULES.of("index_select")
def _index_select(now: Lowering, a: Operand, axis: int, index: Operand) -> Value:
    at = now.feature(a, axis)
    return _taken(now, a.value, at, _numbers(now, index, a.shape[at])[0])


@RULES.of("index")
def _index(now: Lowering, a: Operand, indices: list[Operand | None]) -> Value:
    only = indices[0]
    if a.axis is None and len(indices) == 1 and only is not None and only.axis is not None:
        return picked(now, a, only)
    places = [place for place, index in enumerate(indices) if index is not None]
    if places != list(range(places[0], places[-1] + 1)):
        raise now.refuse(
            "has an index on both sides of a colon",
            "write one axis after another, x[:, a][:, :, b]",
        )
    axes = [now.feature(a, place) for place in places]
    sizes = [a.shape[axis] for axis in axes]
    found = [_numbers(now, indices[p], size) for p, size in zip(places, sizes, strict=True)]
    shape = np.broadcast_shapes(*(shape for _, shape in found))
    flat = torch.zeros(shape, dtype=torch.int64)
    for (numbers, own), size in zip(found, sizes, strict=True):
        flat = flat * size + torch.tensor(numbers, dtype=torch.int64).view(own)
    first, last = axes[0], axes[-1] + 1
    value = now.graph.reshape(a.value, (*a.shape[:first], math.prod(sizes), *a.shape[last:]))
    return now.graph.reshape(_taken(now, value, first, flat.flatten().tolist()), now.features)


@RULES.of("gather")
def _gather(now: Lowering, a: Operand, axis: int, index: Operand, **_: Any) -> Value:
    """Each candidate where it is the one asked for."""
    graph, at = now.graph, now.feature(a, axis)
    if a.shape[at] > _MOST // 4:
        raise now.refuse(
            f"picks among {a.shape[at]} features",
            "write F.embedding(index, table), or a product with what is 1 at the index",
        )
    value = a.value
    for other, size in enumerate(index.shape):
        if other != at:
            value = graph.slice(value, other, 0, size)
    found = graph.full(math.nan, index.shape)
    for place in range(a.shape[at]):
        here = graph.apply("eq", index.value, float(place))
        found = graph.apply("where", here, graph.slice(value, at, place, place + 1), found)
    return found


@RULES.of("flip")
def _flip(now: Lowering, a: Operand, axes: Sequence[int]) -> Value:
    value = a.value
    for axis in axes:
        at = now.feature(a, axis)
        value = _taken(now, value, at, range(a.shape[at])[::-1])
    return value


@RULES.of("roll")
def _roll(now: Lowering, a: Operand, shifts: Sequence[int], axes: Sequence[int] = ()) -> Value:
    if not axes:
        raise now.refuse("without an axis mixes rows", ONE_ROW)
    value = a.value
    for shift, axis in zip(shifts, axes, strict=True):
        at = now.feature(a, axis)
        size = a.shape[at]
        value = _taken(now, value, at, [(place - shift) % size for place in range(size)])
    return value


@RULES.of("linalg_cross")
def _cross(now: Lowering, a: Operand, b: Operand, *, dim: int = -1) -> Value:
    """Each coordinate from the two others, in turn."""
    graph, at = now.graph, now.feature(a, dim)
    once, twice = [1, 2, 0], [2, 0, 1]
    ahead, behind = (
        graph.apply("mul", _taken(now, a.value, at, one), _taken(now, b.value, at, other))
        for one, other in ((once, twice), (twice, once))
    )
    return graph.apply("sub", ahead, behind)


def _sides(now: Lowering, a: Operand, pad: Sequence[int]) -> list[tuple[int, int, int]]:
    """Axes of features with what is added in front of and behind each; none may be the batch's."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [
        (now.feature(a, a.rank - 1 - place), *pair)
        for place, pair in enumerate(pairs)
        if pair != (0, 0)
    ]


@RULES.of("constant_pad_nd")
def _pad(now: Lowering, a: Operand, pad: Sequence[int], number: float = 0) -> Value:
    graph, value = now.graph, a.value
    for at, front, behind in _sides(now, a, pad):
        size = value.shape[at]
        value = graph.slice(value, at, max(-front, 0), size - max(-behind, 0))
        parts = [value]
        if front > 0:
            parts.insert(0, graph.full(number, resized(value.shape, at, front)))
        if behind > 0:
            parts.append(graph.full(number, resized(value.shape, at, behind)))
        value = graph.concat(parts, at)
    return value


@RULES.of(*(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)))
def _mirror(now: Lowering, a: Operand, pad: Sequence[int]) -> Value:
    value = a.value
    for at, front, behind in _sides(now, a, pad):
        last = value.shape[at] - 1
        places = list(range(-front, last + 1 + behind))
        if now.name.startswith("reflection"):
            places = [last - abs(last - abs(place)) for place in places]
        value = _taken(now, value, at, [min(max(place, 0), last) for place in places])
    return value


@RULES.of("repeat")
def _repeat(now: Lowering, a: Operand, times: Sequence[int]) -> Value:
    graph = now.graph
    missing = len(times) - a.rank
    shape = (1,) * missing + a.shape
    counts, axis = list(times), None if a.axis is None else a.axis + missing
    if axis is not None and counts.pop(axis) != 1:
        raise now.refuse("repeats rows", ONE_ROW)
    if axis is None and now.out.axis is not None:  # what all share, for each row
        counts.pop(now.out.axis)
        shape = shape[: now.out.axis] + shape[now.out.axis + 1 :]
    pairs = list(zip(counts, shape, strict=True))
    value = graph.reshape(a.value, itertools.chain(*((1, size) for _, size in pairs)))
    return graph.reshape(graph.expand(value, itertools.chain(*pairs)), now.features)


@RULES.of("unfold")
def _unfold(now: Lowering, a: Operand, axis: int, size: int, step: int) -> Value:
    """Windows along an axis; the places in a window are a new last axis."""
    graph, at = now.graph, now.feature(a, axis)
    count = (a.shape[at] - size) // step + 1
    parts = []
    for place in range(size):
        part = graph.slice(a.value, at, place, place + (count - 1) * step + 1, step)
        parts.append(graph.reshape(part, (*part.shape, 1)))
    return graph.concat(parts, len(a.shape))


@RULES.of("diagonal")
def _diagonal(now: Lowering, a: Operand, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """Of the flat matrix every so many-th number."""
    graph = now.graph
    one, other = now.feature(a, dim1), now.feature(a, dim2)
    rest = [axis for axis in range(len(a.shape)) if axis not in (one, other)]
    value = graph.permute(a.value, (*rest, one, other))
    *lead, height, width = value.shape
    count = min(height, width - offset) if offset >= 0 else min(height + offset, width)
    first = offset if offset >= 0 else -offset * width
    flat = graph.reshape(value, (*lead, height * width))
    stop = first + (count - 1) * (width + 1) + 1
    return graph.slice(flat, len(lead), first, stop, width + 1)


@RULES.of("tril", "triu")
def _triangle(now: Lowering, a: Operand, offset: int = 0) -> Value:
    now.feature(a, -1), now.feature(a, -2)
    ones = torch.ones(a.shape[-2:], dtype=torch.bool)
    kept = ones.tril(offset) if now.name == "tril" else ones.triu(offset)
    return now.graph.apply("where", now.fixed(kept), a.value, 0.0)


@RULES.of("diag_embed")
def _diag_embed(
    now: Lowering, a: Operand, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> Value:
    if (offset, dim1 % len(now.out.shape), dim2 % len(now.out.shape)) != (0, a.rank - 1, a.rank):
        raise now.refuse(
            "off the main diagonal of the last axes",
            "write F.pad or permute around torch.diag_embed",
        )
    graph, size = now.graph, a.shape[-1]
    column = graph.reshape(a.value, (*a.shape, 1))
    return graph.apply("where", now.fixed(torch.eye(size, dtype=torch.bool)), column, 0.0)
