"""The laws of a graph: what must hold, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from recurra.engine.graph.values import (
    ARITIES,
    ELEMENTWISE,
    HELD,
    REDUCTIONS,
    SHARED,
    SUMS,
    Graph,
    Value,
    broadcast,
    resized,
)

__all__ = ["check"]

Shape = tuple[int, ...]


def check(graph: Graph, outputs: Iterable[Value] = ()) -> None:
    """Each value must read earlier ones, and have the shape and span that its instruction gives.

    Args:
        graph: what is checked.
        outputs: values that must be in it.

    Raises:
        ValueError: naming the value that breaks one.
    """
    for index, value in enumerate(graph.values):
        try:
            if value.number != index:
                raise ValueError("its number is not its index")
            for read in value.inputs:
                if read.number >= index or graph.values[read.number] is not read:
                    raise ValueError("it reads what is not computed before it")
            _check_value(value)
        except ValueError as problem:
            raise ValueError(f"{value}: {problem}") from None
    there = set(graph.values)
    for value in outputs:
        if value not in there:
            raise ValueError(f"{value}: an output that is not in the graph")


def _check_value(value: Value) -> None:
    if value.op not in ARITIES:
        raise ValueError("there is no such instruction")
    arity = ARITIES[value.op]
    if arity is not None and len(value.inputs) != arity:
        raise ValueError(f"it takes {arity} operands")
    shapes = [read.shape for read in value.inputs]
    shape = broadcast(*shapes) if value.op in ELEMENTWISE else _SHAPES[value.op](value, *shapes)
    span = _span(value)
    if (shape, span) != (value.shape, value.span):
        raise ValueError(f"expected {list(shape)} of span {span}")


def _span(value: Value) -> int:
    spans = [read.span for read in value.inputs]
    if value.op in ("input", "constant"):
        return value.span
    if value.op in SUMS - {"time_sum"}:
        return SHARED
    if value.op == "time_sum":
        return HELD
    return max(*spans, value.span) if value.op == "expand" else max(spans)


# ---- shapes, from an instruction and the shapes of what it reads ---------------------------------


def _reduced(value: Value, read: Shape) -> Shape:
    return tuple(1 if axis in value.settings[0] else size for axis, size in enumerate(read))


def _reshape(value: Value, read: Shape) -> Shape:
    if value.size != value.inputs[0].size:
        raise ValueError("what it reads has another size")
    return value.shape


def _permute(value: Value, read: Shape) -> Shape:
    if sorted(value.settings[0]) != list(range(len(read))):
        raise ValueError("its order is none of all axes")
    return tuple(read[axis] for axis in value.settings[0])


def _slice(value: Value, read: Shape) -> Shape:
    axis, start, stop, step = value.settings
    if not 0 <= start < stop <= read[axis] or step < 1:
        raise ValueError("its bounds are outside of what it reads")
    return resized(read, axis, len(range(start, stop, step)))


def _pad(value: Value, read: Shape) -> Shape:
    axis, start, step = value.settings
    size = value.shape[axis]
    if not 0 <= start < size or len(range(start, size, step)) < read[axis]:
        raise ValueError("its bounds are outside of what it gives")
    return resized(read, axis, size)


def _concat(value: Value, *parts: Shape) -> Shape:
    (axis,) = value.settings
    if len({resized(part, axis, 0) for part in parts}) != 1:
        raise ValueError("its parts do not fit side by side")
    return resized(parts[0], axis, sum(part[axis] for part in parts))


def _window(value: Value, read: Shape) -> Shape:
    width, first = value.settings
    if len(read) != 2 or not 0 < value.shape[0] <= read[0] - width - first + 1:
        raise ValueError("its lines are outside of what it reads")
    return (value.shape[0], width * read[1])


def _fold(value: Value, read: Shape) -> Shape:
    width, first = value.settings
    if len(read) != 2 or first + read[0] + width - 1 > value.shape[0]:
        raise ValueError("its lines are outside of what it gives")
    return (value.shape[0], read[1] // width)


def _route(value: Value, read: Shape, path: Shape) -> Shape:
    if path != read or value.inputs[0].span != value.inputs[1].span:
        raise ValueError("its path has another shape or span than what it reads")
    return read


def _linear(value: Value, x: Shape, weight: Shape) -> Shape:
    if value.inputs[1].rows or len(weight) != 2 or x[-1] != weight[0]:
        raise ValueError("it needs rows [..., k] and a weight [k, n] that all rows share")
    return (*x[:-1], weight[1])


def _lookup(value: Value, index: Shape, table: Shape) -> Shape:
    if value.inputs[1].rows or len(table) != 2:
        raise ValueError("it needs a table [k, n] that all rows share")
    return (*index, table[1])


def _scatter(value: Value, index: Shape, given: Shape) -> Shape:
    if given[:-1] != index:
        raise ValueError("it needs a row [n] for each of its numbers")
    return (value.shape[0], given[-1])


def _matmul(value: Value, a: Shape, b: Shape) -> Shape:
    if len(a) < 2 or a[:-2] != b[:-2] or a[-1] != b[-2]:
        raise ValueError("it needs [..., m, k] and [..., k, n]")
    return (*a[:-1], b[-1])


def _outer(value: Value, x: Shape, y: Shape) -> Shape:
    if x[:-1] != y[:-1]:
        raise ValueError("its operands have different leading features")
    return (x[-1], y[-1])


_SHAPES: dict[str, Callable[..., Shape]] = {
    **dict.fromkeys(("input", "constant"), lambda value: value.shape),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(("stop", "lay", "row_sum", "time_sum"), lambda value, read: read),
    "reshape": _reshape,
    "permute": _permute,
    "expand": lambda value, read: broadcast(read, value.shape),
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "window": _window,
    "fold": _fold,
    "route": _route,
    "linear": _linear,
    "lookup": _lookup,
    "scatter": _scatter,
    "matmul": _matmul,
    "outer": _outer,
}
