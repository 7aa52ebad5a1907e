"""The gradient of a graph, as more values of the same graph: one rule for each instruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from recurra.engine.graph.slopes import SLOPES
from recurra.engine.graph.values import HELD, SHARED, STEP, Graph, Value, resized

__all__ = ["derive"]


def derive(
    graph: Graph, cotangents: Mapping[Value, Value], wanted: Sequence[Value]
) -> list[Value | None]:
    """Add the gradients of inputs to a graph.

    Args:
        graph: what was computed; it grows.
        cotangents: from an output to what comes in for it, of its shape.
        wanted: inputs whose gradients are wanted.

    Returns:
        for each of ``wanted`` its gradient, summed over rows where all rows share it; None where
        none of the outputs hangs on it.
    """
    forward = list(graph.values)
    moving = _moving(forward, set(wanted))
    found: dict[Value, list[Value]] = {}
    parts: dict[Value, list[tuple[Value, Value]]] = {}
    for output, cotangent in cotangents.items():
        found.setdefault(output, []).append(cotangent)
    for value in reversed(forward):
        if value not in moving:
            continue
        total = _total(graph, value, found.pop(value, []), parts.pop(value, []))
        if total is None:
            continue
        if value in wanted:
            found[value] = [total]
        if not value.inputs:
            continue
        for index, operand in enumerate(value.inputs):
            if operand not in moving:
                continue
            if value.op == "slice":
                parts.setdefault(operand, []).append((value, total))
                continue
            given = _RULES[value.op](graph, value, total, index)
            if given is not None:
                found.setdefault(operand, []).append(_unbroadcast(graph, given, operand))
    return [found[value][0] if value in found else None for value in wanted]


def _moving(values: list[Value], wanted: set[Value]) -> set[Value]:
    """The values that change when a wanted one does."""
    moving = set(wanted)
    for value in values:
        if value.op not in _FLAT and any(read in moving for read in value.inputs):
            moving.add(value)
    return moving


_FLAT = frozenset({"sign", "floor", "gt", "ge", "eq", "stop", "trunc", "round"})
"""Instructions without a gradient."""


def _total(
    graph: Graph, value: Value, whole: list[Value], parts: list[tuple[Value, Value]]
) -> Value | None:
    """The sum of all that comes in for a value."""
    total = None
    for each in [*whole, *_joined(graph, value, parts)]:
        total = each if total is None else graph.apply("add", total, each)
    return None if total is None else graph.expand(total, value.shape, value.span)


def _joined(graph: Graph, value: Value, parts: list[tuple[Value, Value]]) -> list[Value]:
    """What came in for slices of a value, those that lie side by side as one."""
    by_axis: dict[int, list[tuple[int, int, Value]]] = {}
    loose = []
    for cut, given in parts:
        axis, start, stop, step = cut.settings
        if step == 1:
            by_axis.setdefault(axis, []).append((start, stop, given))
        else:
            loose.append(graph.pad(given, axis, start, step, value.shape[axis]))
    for axis, pieces in by_axis.items():
        while pieces:  # each round takes slices that do not overlap
            end, row, rest = 0, [], []
            for start, stop, given in sorted(pieces, key=lambda piece: piece[:2]):
                if start < end:
                    rest.append((start, stop, given))
                    continue
                if start > end:
                    row.append(_zeros(graph, value, axis, start - end))
                row.append(given)
                end = stop
            if end < value.shape[axis]:
                row.append(_zeros(graph, value, axis, value.shape[axis] - end))
            loose.append(graph.concat(row, axis))
            pieces = rest
    return loose


def _zeros(graph: Graph, like: Value, axis: int, size: int) -> Value:
    """Of the shape of a slice."""
    return graph.full(0.0, resized(like.shape, axis, size))


def _unbroadcast(graph: Graph, given: Value, operand: Value) -> Value:
    """Summed over what the operand was broadcast along: features, steps, rows."""
    missing = len(given.shape) - len(operand.shape)
    axes = [
        axis
        for axis, size in enumerate(given.shape)
        if axis < missing or (operand.shape[axis - missing] == 1 and size != 1)
    ]
    value = graph.sum(given, axes)
    if missing > 0:
        value = graph.reshape(value, value.shape[missing:])
    if value.span > SHARED == operand.span:
        return graph.row_sum(value)
    return graph.time_sum(value) if value.span == STEP > HELD == operand.span else value


Rule = Callable[[Graph, Value, Value, int], Value | None]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def keep(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return keep


def _unary(rule: Callable[[Graph, Value, Value, Value], Value]) -> Rule:
    """A rule that gets graph, what comes in, operand and result."""
    return lambda graph, value, g, _: rule(graph, g, value.inputs[0], value)


_RULES["neg"] = _unary(lambda graph, g, x, y: graph.apply("neg", g))
_RULES["abs"] = _unary(lambda graph, g, x, y: graph.apply("mul", g, graph.apply("sign", x)))
_RULES["exp"] = _unary(lambda graph, g, x, y: graph.apply("mul", g, y))
# Not y + 1, which cancels below.
_RULES["expm1"] = _unary(lambda graph, g, x, y: graph.apply("mul", g, graph.apply("exp", x)))
_RULES["log"] = _unary(lambda graph, g, x, y: graph.apply("div", g, x))
_RULES["log1p"] = _unary(lambda graph, g, x, y: graph.apply("div", g, graph.apply("add", x, 1.0)))
_RULES["sqrt"] = _unary(lambda graph, g, x, y: graph.apply("div", graph.apply("mul", g, 0.5), y))
_RULES["sigmoid"] = _unary(lambda graph, g, x, y: graph.apply("sigmoid_gradient", g, y))
_RULES["tanh"] = _unary(lambda graph, g, x, y: graph.apply("tanh_gradient", g, y))
_RULES["relu"] = _unary(
    lambda graph, g, x, y: graph.apply("where", graph.apply("ge", 0.0, y), 0.0, g)  # NaN: g
)
_RULES["sin"] = _unary(lambda graph, g, x, y: graph.apply("mul", g, graph.apply("cos", x)))
_RULES["cos"] = _unary(
    lambda graph, g, x, y: graph.apply("neg", graph.apply("mul", g, graph.apply("sin", x)))
)
_RULES["reshape"] = _unary(lambda graph, g, x, y: graph.reshape(g, x.shape))
_RULES["lay"] = _unary(lambda graph, g, x, y: g)
_RULES["sum"] = _unary(lambda graph, g, x, y: graph.expand(g, x.shape))
_RULES["expand"] = _unary(lambda graph, g, x, y: g)  # summed again by _unbroadcast
_RULES |= {
    "route": lambda graph, value, g, index: g if index else None,
    "add": lambda graph, value, g, index: g,
    "sub": lambda graph, value, g, index: graph.apply("neg", g) if index else g,
    "mul": lambda graph, value, g, index: graph.apply("mul", g, value.inputs[1 - index]),
    **SLOPES,
}


@_rule("div")
def _div(graph: Graph, value: Value, g: Value, index: int) -> Value:
    over = graph.apply("div", g, value.inputs[1])
    return graph.apply("neg", graph.apply("mul", over, value)) if index else over


@_rule("maximum", "minimum")
def _maximum(graph: Graph, value: Value, g: Value, index: int) -> Value:
    mine, other = value.inputs[index], value.inputs[1 - index]
    lost = graph.apply("gt", *((other, mine) if value.op == "maximum" else (mine, other)))
    # As torch shares it; beside NaN both get all.
    half = graph.apply("where", graph.apply("eq", mine, other), graph.apply("mul", g, 0.5), g)
    return graph.apply("where", lost, 0.0, half)


@_rule("max")
def _max(graph: Graph, value: Value, g: Value, index: int) -> Value:
    # In equal parts to all that are largest, as torch shares it; NaN where none is.
    x = value.inputs[0]
    same = graph.apply("eq", x, value)
    return graph.apply(
        "div", graph.apply("where", same, g, 0.0), graph.sum(same, value.settings[0])
    )


@_rule("pow")
def _pow(graph: Graph, value: Value, g: Value, index: int) -> Value:
    base, power = value.inputs
    if index == 0:
        lower = graph.apply("sub", power, 1.0)
        root = lower.op == "constant" and lower.settings[0] == 0.5  # torch's, NaN below 0
        less = graph.apply("sqrt", base) if root else graph.apply("pow", base, lower)
        slope = graph.apply("mul", g, graph.apply("mul", power, less))
        # x ** 0 is flat, also where 0 * 0 ** -1 would be NaN.
        return graph.apply("where", graph.apply("eq", power, 0.0), 0.0, slope)
    slope = graph.apply("mul", g, graph.apply("mul", value, graph.apply("log", base)))
    flat = graph.apply("mul", graph.apply("eq", base, 0.0), graph.apply("ge", power, 0.0))
    return graph.apply("where", flat, 0.0, slope)


@_rule("where")
def _where(graph: Graph, value: Value, g: Value, index: int) -> Value | None:
    chosen = value.inputs[0]
    if index == 0:
        return None
    return graph.apply("where", chosen, *((g, 0.0) if index == 1 else (0.0, g)))


@_rule("concat")
def _concat(graph: Graph, value: Value, g: Value, index: int) -> Value:
    (axis,) = value.settings
    start = sum(part.shape[axis] for part in value.inputs[:index])
    return graph.slice(g, axis, start, start + value.inputs[index].shape[axis])


@_rule("permute")
def _permute(graph: Graph, value: Value, g: Value, index: int) -> Value:
    order = value.settings[0]
    return graph.permute(g, sorted(range(len(order)), key=order.__getitem__))


@_rule("linear")
def _linear(graph: Graph, value: Value, g: Value, index: int) -> Value:
    x, weight = value.inputs
    if index:
        return graph.outer(x, g)
    return graph.linear(g, graph.permute(weight, (1, 0)))


@_rule("lookup")
def _lookup(graph: Graph, value: Value, g: Value, index: int) -> Value | None:
    numbers, table = value.inputs
    if index == 0:
        return None
    (flat,) = value.settings
    if flat >= 0:
        mask = graph.reshape(graph.apply("eq", numbers, float(flat)), (*numbers.shape, 1))
        g = graph.apply("where", mask, 0.0, g)
    return graph.scatter(numbers, g, table.shape[0])


@_rule("matmul")
def _matmul(graph: Graph, value: Value, g: Value, index: int) -> Value:
    other = value.inputs[1 - index]
    axes = list(range(len(other.shape)))
    turned = graph.permute(other, (*axes[:-2], axes[-1], axes[-2]))
    return graph.matmul(turned, g) if index else graph.matmul(g, turned)


@_rule("window")
def _window(graph: Graph, value: Value, g: Value, index: int) -> Value:
    width, first = value.settings
    return graph.fold(g, width, first, value.inputs[0].shape[0])
