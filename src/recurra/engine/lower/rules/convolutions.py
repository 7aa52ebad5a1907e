"""Convolutions along one axis or two: products over the lines of a picture that is laid out flat.

A picture ``[height, width, channels]`` whose lines follow each other is one long list of points.
What a row of the kernel covers stands side by side in it, so each row is one product over a view of
the list, and nothing is copied. Points that would reach over the edge are computed too, and cut
away.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import Lowering, Operand, Rules

__all__ = ["RULES", "work"]

RULES = Rules()
_GROUPS = 8  # products of their own; more are slower than torch's kernel


def work(graph: Graph) -> tuple[int, int]:
    """Multiplications of all convolutions for one row, and points of the largest."""
    multiplied, points = 0, 0
    for value in graph:
        lines = value.inputs[0] if value.op == "linear" else value
        while lines.op in ("reshape", "slice"):
            lines = lines.inputs[0]
        if value.op == "linear" and lines.op == "window":
            multiplied += value.size * value.inputs[0].shape[-1]
            points = max(points, value.shape[0])
    return multiplied, points


class _Kernel(NamedTuple):
    """How a kernel goes over a picture: along height, then width."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def reach(self) -> int:
        """Points from the first to the last that a row of it covers."""
        return (self.size[1] - 1) * self.dilation[1]

    def line(self, width: int) -> int:
        """Points from one line of a picture to the next.

        The zeros right of one are those left of the next, unless they are more than are covered at
        a time, or lines are taken apart.
        """
        beside = self.padding[1]
        taken = self.dilation[1] == 1 or self.stride == (1, 1)
        return width + (beside if taken and beside <= self.reach else 2 * beside)

    def results(self, picture: Sequence[int]) -> tuple[int, int]:
        """Height and width of what comes of a picture."""
        sizes = zip(picture, self.size, self.stride, self.padding, self.dilation, strict=True)
        high, wide = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in sizes]
        return high, wide


@RULES.of("convolution")
def _convolution(
    now: Lowering,
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _: Any,
    groups: int,
) -> Value:
    if transposed:
        raise now.refuse("is transposed", "write an upsampling and an ordinary convolution")
    if len(stride) > 2:
        raise now.refuse("goes along three axes", "put one of them among the channels")
    if x.axis != 0 or x.times > 1 or weight.value.rows:
        raise now.refuse(
            "reads no rows [batch, channels, ...], or a kernel that rows have of their own",
            "write x.unfold(...) and a product of the windows",
        )
    if groups > _GROUPS:
        raise now.refuse(
            f"has {groups} groups", f"write up to {_GROUPS}, or x.unfold(...) and a product"
        )
    graph, line = now.graph, len(stride) == 1
    picture, kernel = x.value, weight.value
    if line:  # a picture of one line
        picture = graph.reshape(picture, (picture.shape[0], 1, picture.shape[1]))
        kernel = graph.reshape(kernel, (*kernel.shape[:2], 1, kernel.shape[2]))
    spread = [(1, *given) if line else tuple(given) for given in (stride, padding, dilation)]
    if line:
        spread[1] = (0, *padding)
    how = _Kernel(kernel.shape[2:], *spread)  # type: ignore[arg-type]
    parts = []
    each, out = picture.shape[0] // groups, kernel.shape[0] // groups
    for group in range(groups):
        read = graph.slice(picture, 0, group * each, (group + 1) * each)
        own = graph.slice(kernel, 0, group * out, (group + 1) * out)
        own = graph.permute(own, (2, 3, 1, 0))
        add = None if bias is None else bias.value
        if add is not None:
            add = graph.slice(add, 0, group * out, (group + 1) * out)
        parts.append(graph.lay(graph.permute(_points(graph, read, own, add, how), (2, 0, 1))))
    return graph.reshape(graph.concat(parts, 0), now.features)


def _points(graph: Graph, picture: Value, kernel: Value, bias: Value | None, how: _Kernel) -> Value:
    """``[height, width, out]`` of a picture and a kernel ``[h, w, channels, out]``."""
    total, start = None, 0
    for part in picture.inputs if _joined(picture) else (picture,):
        own = graph.slice(kernel, 2, start, start + part.shape[0])
        start += part.shape[0]
        found = _part(graph, part, own, how)
        total = found if total is None else graph.apply("add", total, found)
    assert total is not None
    if bias is not None:
        total = graph.apply("add", total, bias)
    high, wide = how.results(picture.shape[1:])
    across = how.line(picture.shape[2]) if how.stride == (1, 1) else wide
    return graph.slice(graph.reshape(total, (high, across, total.shape[-1])), 1, 0, wide)


def _joined(picture: Value) -> bool:
    """Is it several pictures side by side, some of which may be there before others?"""
    return picture.op == "concat" and picture.settings == (0,)


def _part(graph: Graph, picture: Value, kernel: Value, how: _Kernel) -> Value:
    """Points of the result ``[points, out]``; with stride 1, those over the edge too."""
    height, width, channels, out = kernel.shape
    high, wide = how.results(picture.shape[1:])
    across = how.line(picture.shape[2])
    tall = picture.shape[1] + 2 * how.padding[0]
    flat = _flat(graph, picture, how)
    plain = how.dilation[1] == 1
    total = None
    for row, column in itertools.product(range(height), (0,) if plain else range(width)):
        own = kernel if plain else graph.slice(kernel, 1, column, column + 1)
        own = graph.slice(own, 0, row, row + 1)
        covered = own.shape[1]
        if how.stride == (1, 1):
            first = row * how.dilation[0] * across + column * how.dilation[1]
            lines = graph.window(flat, covered, first, high * across)
        else:
            every = graph.window(flat, covered, 0, tall * across)
            lines = graph.reshape(every, (tall, across, covered * channels))
            for axis, begin, count in ((0, row, high), (1, column, wide)):
                begin *= how.dilation[axis]
                step = how.stride[axis]
                lines = graph.slice(lines, axis, begin, begin + (count - 1) * step + 1, step)
            lines = graph.reshape(lines, (high * wide, covered * channels))
        found = graph.linear(lines, graph.reshape(own, (covered * channels, out)))
        total = found if total is None else graph.apply("add", total, found)
    assert total is not None
    return total


def _flat(graph: Graph, picture: Value, how: _Kernel) -> Value:
    """``[points, channels]``, zeros between lines and around all."""
    channels, high, wide = picture.shape
    across, (above, beside) = how.line(wide), how.padding
    lines = graph.permute(picture, (1, 2, 0))
    if across > wide:
        gap = graph.full(0.0, (high, across - wide, channels))
        lines = graph.concat([lines, gap], 1)
    lines = graph.reshape(lines, (high * across, channels))
    before, behind = above * across + beside, above * across + how.reach + 1
    ends = [graph.full(0.0, (count, channels)) for count in (before, behind) if count]
    return graph.concat([*ends[:-1], lines, ends[-1]], 0)
