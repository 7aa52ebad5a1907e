"""What each operation of ATen is in instructions: one table, a row for each operation.

A function here gets a :class:`Lowering` and the arguments of the call, tensors as :class:`Operand`,
and gives the value of the result, or a tuple where there are several. Its shape is that of the
recorded result without the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import torch

from recurra.engine.graph import Graph, Value
from recurra.engine.record import Called, Seen, Unrecordable

__all__ = ["TABLE", "Lowering", "Operand"]


class Operand(NamedTuple):
    """A tensor in a call.

    Args:
        value: in the graph; its shape is that of the tensor without the batch.
        axis: which axis of the tensor is the batch; None where there is none.
        rank: number of axes of the tensor.
    """

    value: Value
    axis: int | None
    rank: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features."""
        return self.value.shape


class Lowering:
    """The call that is being lowered.

    Args:
        graph: where instructions are added.
        call: the call.
        results: what was recorded of its results.
    """

    def __init__(self, graph: Graph, call: Called, results: list[Seen]) -> None:
        self.graph, self.call, self.results = graph, call, results

    @property
    def out(self) -> Seen:
        """The first result."""
        return self.results[0]

    @property
    def features(self) -> tuple[int, ...]:
        """The shape of the first result without the batch."""
        return features(self.out)

    def refuse(self, why: str) -> Unrecordable:
        """An error that names operation and line."""
        return Unrecordable(f"{self.call.name} {why} ({self.call.place})")

    def fits(self, operand: Any) -> Value | float:
        """An operand, its axes where those of the result are, for an elementwise instruction."""
        if not isinstance(operand, Operand):
            return float(operand)
        rank, axis = len(self.out.shape), self.out.axis
        missing = rank - operand.rank
        value = operand.value
        if axis is None:
            raise self.refuse("gives something that has no rows")
        if operand.axis is not None:
            if operand.axis + missing != axis:
                raise self.refuse("joins tensors whose batches are different axes")
            shape = (1,) * missing + value.shape
        else:
            shape = (1,) * missing + value.shape
            if shape[axis] != 1:
                raise self.refuse("joins rows with something else along the batch")
            shape = shape[:axis] + shape[axis + 1 :]
        return self.graph.reshape(value, shape)

    def apply(self, op: str, *operands: Any) -> Value:
        """An elementwise instruction on operands, values and numbers."""
        return self.graph.apply(
            op, *(o if isinstance(o, Value) else self.fits(o) for o in operands)
        )

    def feature(self, operand: Operand, axis: int, *, rows: bool = False) -> int:
        """An axis of a tensor as an axis of features."""
        at = axis % operand.rank
        if at == operand.axis:
            raise self.refuse("goes along the batch")
        return at - (operand.axis is not None and at > operand.axis)

    def axes(self, operand: Operand, axes: int | Iterable[int] | None) -> tuple[int, ...]:
        """Axes of a tensor as axes of features."""
        several = (axes,) if isinstance(axes, int) else tuple(axes or range(operand.rank))
        if operand.axis is not None and operand.axis in [a % operand.rank for a in several]:
            raise self.refuse("mixes rows")
        return tuple(self.feature(operand, axis) for axis in several)


def features(seen: Seen) -> tuple[int, ...]:
    """The shape of a tensor without the batch."""
    return tuple(size for axis, size in enumerate(seen.shape) if axis != seen.axis)


Result = Value | tuple[Value, ...]
Rule = TypeVar("Rule", bound=Callable[..., Result])
TABLE: dict[str, Callable[..., Result]] = {}
"""Operations by name."""


def _of(*names: str) -> Callable[[Rule], Rule]:
    def keep(function: Rule) -> Rule:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return keep


@_of("embedding")
def _embedding(now: Lowering, table: Operand, index: Operand, *rest: Any) -> Value:
    if table.axis is not None or index.axis != now.out.axis:
        raise now.refuse("looks up what each row has of its own")
    return now.graph.lookup(index.value, table.value)


# ---- elementwise ---------------------------------------------------------------------------------


def _plain(op: str) -> Callable[..., Result]:
    return lambda now, *operands, **_: now.apply(op, *operands)


for _name in [
    "neg",
    "abs",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "sigmoid",
    "tanh",
    "relu",
    "erf",
    "floor",
    "sin",
    "cos",
    "maximum",
    "minimum",
    "where",
    "gt",
    "ge",
    "eq",
]:
    TABLE[_name] = _plain(_name)
TABLE["sign"] = TABLE["sgn"] = _plain("sign")


@_of("add", "sub")
def _add(now: Lowering, a: Any, b: Any, *, alpha: float = 1) -> Value:
    b = b if alpha == 1 else now.apply("mul", b, alpha)
    return now.apply(now.call.name.rstrip("_"), a, b)


@_of("rsub")
def _rsub(now: Lowering, a: Any, b: Any, alpha: float = 1) -> Value:
    return now.apply("sub", b, a if alpha == 1 else now.apply("mul", a, alpha))


@_of("mul")
def _mul(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("mul", a, b)


@_of("div")
def _div(now: Lowering, a: Any, b: Any, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode not in (None, "floor"):
        raise now.refuse(f"rounds by {rounding_mode!r}, for which there is no instruction")
    if not isinstance(b, Operand) and _power_of_two(b) and rounding_mode is None:
        return now.apply("mul", a, 1 / b)
    value = now.apply("div", a, b)
    return now.apply("floor", value) if rounding_mode else value


def _power_of_two(number: float) -> bool:
    return number != 0 and abs(math.frexp(number)[0]) == 0.5


@_of("lt")
def _lt(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("gt", b, a)


@_of("le")
def _le(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("ge", b, a)


@_of("ne")
def _ne(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("sub", 1.0, now.apply("eq", a, b))


@_of("logical_and", "bitwise_and")
def _and(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("mul", _truth(now, a), _truth(now, b))


@_of("logical_or", "bitwise_or")
def _or(now: Lowering, a: Any, b: Any) -> Value:
    return now.apply("maximum", _truth(now, a), _truth(now, b))


@_of("logical_xor", "bitwise_xor")
def _xor(now: Lowering, a: Any, b: Any) -> Value:
    return _ne(now, _truth(now, a), _truth(now, b))


@_of("logical_not", "bitwise_not")
def _not(now: Lowering, a: Any) -> Value:
    return now.apply("sub", 1.0, _truth(now, a))


def _truth(now: Lowering, a: Any) -> Value:
    """1 where it is not 0."""
    return _ne(now, a, 0.0)


@_of("rsqrt")
def _rsqrt(now: Lowering, a: Any) -> Value:
    return now.apply("div", 1.0, now.apply("sqrt", a))


@_of("reciprocal")
def _reciprocal(now: Lowering, a: Any) -> Value:
    return now.apply("div", 1.0, a)


@_of("square")
def _square(now: Lowering, a: Any) -> Value:
    return now.apply("mul", a, a)


@_of("pow")
def _pow(now: Lowering, a: Any, b: Any) -> Value:
    if isinstance(b, Operand):
        return now.apply("pow", a, b)
    simple: dict[float, Callable[[], Value]] = {
        1: lambda: now.apply("add", a, 0.0),
        2: lambda: now.apply("mul", a, a),
        3: lambda: now.apply("mul", now.apply("mul", a, a), a),
        0.5: lambda: now.apply("sqrt", a),
        -0.5: lambda: _rsqrt(now, a),
        -1: lambda: _reciprocal(now, a),
        -2: lambda: _reciprocal(now, now.apply("mul", a, a)),
    }
    return simple.get(b, lambda: now.apply("pow", a, b))()


@_of("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(now: Lowering, a: Any, low: Any = None, high: Any = None, **named: Any) -> Value:
    name = now.call.name.rstrip("_")
    if name == "hardtanh":
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
    if name == "clamp_max":
        low, high = None, low
    low, high = named.get("min", low), named.get("max", high)
    value = a
    if low is not None:
        value = now.apply("where", now.apply("gt", low, value), low, value)
    if high is not None:
        value = now.apply("where", now.apply("gt", value, high), high, value)
    return now.apply("add", value, 0.0)


@_of("lerp")
def _lerp(now: Lowering, a: Any, b: Any, weight: Any) -> Value:
    return now.apply("add", a, now.apply("mul", weight, now.apply("sub", b, a)))


@_of("addcmul", "addcdiv")
def _addcmul(now: Lowering, a: Any, b: Any, c: Any, *, value: float = 1) -> Value:
    joined = now.apply("mul" if now.call.name.startswith("addcmul") else "div", b, c)
    return now.apply("add", a, now.apply("mul", joined, value))


@_of("masked_fill")
def _masked_fill(now: Lowering, a: Any, mask: Any, number: Any) -> Value:
    return now.apply("where", mask, number, a)


@_of("threshold")
def _threshold(now: Lowering, a: Any, bound: float, number: float) -> Value:
    return now.apply("where", now.apply("ge", bound, a), number, a)


@_of("silu")
def _silu(now: Lowering, a: Any) -> Value:
    return now.apply("mul", a, now.apply("sigmoid", a))


@_of("gelu")
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


@_of("softplus")
def _softplus(now: Lowering, a: Any, beta: float = 1, threshold: float = 20) -> Value:
    scaled = now.apply("mul", a, beta)
    soft = now.apply("mul", _soft(now, scaled), 1 / beta)
    return now.apply("where", now.apply("gt", scaled, threshold), a, soft)


@_of("log_sigmoid_forward")
def _log_sigmoid(now: Lowering, a: Any) -> tuple[Value, ...]:
    value = now.apply("neg", _soft(now, now.apply("neg", a)))
    return value, value  # the second is a buffer that nobody reads


@_of("mish")
def _mish(now: Lowering, a: Any) -> Value:
    return now.apply("mul", a, now.apply("tanh", _soft(now, a)))


@_of("hardsigmoid", "hardswish")
def _hardsigmoid(now: Lowering, a: Any) -> Value:
    gate = now.apply("mul", _clamp(now, now.apply("add", a, 3.0), 0.0, 6.0), 1 / 6)
    return gate if now.call.name.startswith("hardsigmoid") else now.apply("mul", a, gate)


@_of("leaky_relu")
def _leaky(now: Lowering, a: Any, slope: float = 0.01) -> Value:
    return now.apply("where", now.apply("gt", a, 0.0), a, now.apply("mul", a, slope))


@_of("elu")
def _elu(now: Lowering, a: Any, alpha: float = 1, scale: float = 1, inner: float = 1) -> Value:
    low = now.apply("mul", now.apply("expm1", now.apply("mul", a, inner)), alpha * scale)
    return now.apply("where", now.apply("gt", a, 0.0), now.apply("mul", a, scale), low)


# ---- shapes --------------------------------------------------------------------------------------


@_of("detach")
def _detach(now: Lowering, a: Operand) -> Value:
    return now.graph.stop(a.value)


@_of("alias", "clone", "lift_fresh", "contiguous")
def _same(now: Lowering, a: Operand, **_: Any) -> Value:
    return a.value


@_of("_to_copy", "to")
def _cast(now: Lowering, a: Operand, **_: Any) -> Value:
    kind, given = now.out.dtype, now.call
    if not kind.is_floating_point and kind is not torch.bool:
        raise now.refuse(f"makes {kind}, of which there are no instructions")
    del given
    return _truth(now, a) if kind is torch.bool else a.value


@_of("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten")
def _view(now: Lowering, a: Operand, *_: Any, **__: Any) -> Value:
    if a.axis is not None and now.out.axis is not None:
        whole = now.features
        if math.prod(a.shape[: a.axis]) != math.prod(whole[: now.out.axis]):
            raise now.refuse("moves features across the batch")
    return now.graph.reshape(a.value, now.features)


@_of("t", "transpose", "permute", "movedim")
def _permute(now: Lowering, a: Operand, *given: Any) -> Value:
    name = now.call.name
    if name == "permute":
        order = [axis % a.rank for axis in given[0]]
    else:
        one, other = (0, 1) if name == "t" else (given[0] % a.rank, given[1] % a.rank)
        order = list(range(a.rank))
        if a.rank > 1:
            order[one], order[other] = order[other], order[one]
    kept = [axis - (a.axis is not None and axis > a.axis) for axis in order if axis != a.axis]
    return now.graph.permute(a.value, kept)


@_of("expand", "expand_as", "repeat")
def _expand(now: Lowering, a: Operand, *_: Any, **__: Any) -> Value:
    missing = len(now.out.shape) - a.rank
    shape = (1,) * missing + a.shape
    if a.axis is None and now.out.axis is not None:
        full = (1,) * missing + a.shape
        shape = full[: now.out.axis] + full[now.out.axis + 1 :]
    if any(have not in (1, wanted) for have, wanted in zip(shape, now.features, strict=True)):
        raise now.refuse("repeats what has more than one element")
    return now.graph.expand(now.graph.reshape(a.value, shape), now.features)


@_of("slice", "narrow")
def _slice(
    now: Lowering,
    a: Operand,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Value:
    if axis % a.rank == a.axis:
        if now.out.axis is not None and step == 1 and start in (None, 0):
            return a.value
        raise now.refuse("cuts the batch")
    at = now.feature(a, axis)
    return now.graph.slice(a.value, at, *slice(start, stop, step).indices(a.shape[at]))


@_of("select")
def _select(now: Lowering, a: Operand, axis: int, index: int) -> Value:
    at = now.feature(a, axis)
    index %= a.shape[at]
    return now.graph.reshape(now.graph.slice(a.value, at, index, index + 1), now.features)


@_of("split", "split_with_sizes", "unbind", "chunk", "unsafe_split", "unsafe_chunk")
def _split(now: Lowering, a: Operand, *given: Any, **named: Any) -> tuple[Value, ...]:
    single = now.call.name == "unbind"
    axis = named.get(
        "dim", (given[0] if given else 0) if single else (given[1] if len(given) > 1 else 0)
    )
    at = now.feature(a, axis)
    parts, start = [], 0
    for result in now.results:
        size = 1 if single else features(result)[at]
        part = now.graph.slice(a.value, at, start, start + size)
        parts.append(now.graph.reshape(part, features(result)))
        start += size
    return tuple(parts)


@_of("cat", "concat", "stack")
def _concat(now: Lowering, given: list[Operand], axis: int = 0) -> Value:
    rank = len(now.out.shape)
    axis %= rank
    if axis == now.out.axis:
        raise now.refuse("joins along the batch")
    at = axis - (now.out.axis is not None and axis > now.out.axis)
    parts = []
    for operand in given:
        value = operand.value
        if operand.axis is None:  # all rows share it, so there is a size of one to drop
            raise now.refuse("joins rows with a tensor without a batch")
        if now.call.name == "stack":
            value = now.graph.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))
        parts.append(value)
    return now.graph.concat(parts, at)


@_of("zeros", "new_zeros", "zeros_like", "zero", "empty", "empty_like", "new_empty")
def _zeros(now: Lowering, *_: Any, **__: Any) -> Value:
    return _constant(now, 0.0)


@_of("ones", "new_ones", "ones_like")
def _ones(now: Lowering, *_: Any, **__: Any) -> Value:
    return _constant(now, 1.0)


@_of("full", "new_full", "full_like", "fill")
def _full(now: Lowering, *given: Any, **__: Any) -> Value:
    number = given[-1]
    if isinstance(number, Operand):
        return now.graph.expand(
            now.graph.reshape(number.value, (1,) * len(now.features)), now.features
        )
    return _constant(now, float(number))


def _constant(now: Lowering, number: float) -> Value:
    flat = now.graph.reshape(now.graph.constant(number), (1,) * len(now.features))
    return now.graph.expand(flat, now.features)


# ---- products ------------------------------------------------------------------------------------


@_of("mm", "matmul", "linear", "mv")
def _mm(now: Lowering, a: Operand, b: Operand) -> Value:
    return _product(now, a, b)


@_of("addmm", "addmv")
def _addmm(
    now: Lowering, c: Any, a: Operand, b: Operand, *, beta: float = 1, alpha: float = 1
) -> Value:
    return _plus(now, c, _product(now, a, b), beta, alpha)


@_of("bmm")
def _bmm(now: Lowering, a: Operand, b: Operand) -> Value:
    return _batched(now, a, b)


@_of("baddbmm")
def _baddbmm(
    now: Lowering, c: Any, a: Operand, b: Operand, *, beta: float = 1, alpha: float = 1
) -> Value:
    return _plus(now, c, _batched(now, a, b), beta, alpha)


def _plus(now: Lowering, c: Any, product: Value, beta: float, alpha: float) -> Value:
    if alpha != 1:
        product = now.apply("mul", product, alpha)
    if beta == 0:
        return product
    return now.apply("add", c if beta == 1 else now.apply("mul", c, beta), product)


def _product(now: Lowering, a: Operand, b: Operand) -> Value:
    """A matrix product of which one factor has rows and the other one is shared."""
    graph = now.graph
    if a.axis is not None and b.axis is not None:
        raise now.refuse("multiplies rows with rows, for which there is no instruction")
    if a.axis == 0:  # [batch, k] [k, n]
        weight = b.value if b.rank == 2 else graph.reshape(b.value, (*b.shape, 1))
        return graph.reshape(graph.linear(a.value, weight), now.features)
    if b.axis is not None and b.axis == b.rank - 1:  # [n, k] [k, batch]
        return graph.linear(b.value, graph.permute(a.value, (1, 0)))
    raise now.refuse("mixes rows")


def _batched(now: Lowering, a: Operand, b: Operand) -> Value:
    """Many products at once, of which one factor is shared by all rows: [g, m, k] [g, k, n]."""
    graph = now.graph
    if not a.value.rows and not b.value.rows:
        raise now.refuse("multiplies what has no rows")
    if a.value.rows and b.value.rows:
        return _of_rows(now, a, b)
    if a.value.rows and a.axis == 0 and b.axis == 0:  # [batch, m, k] [k, n], shared by expanding
        return graph.linear(a.value, b.value)
    if b.value.rows and a.axis == 0 and b.axis == 0:  # [m, k] [batch, k, n]
        swapped = graph.linear(graph.permute(b.value, (1, 0)), graph.permute(a.value, (1, 0)))
        return graph.permute(swapped, (1, 0))
    if a.value.rows and a.axis == 1 and b.axis is None:  # [g, batch, k] [g, k, n]
        parts = [
            graph.linear(_at(graph, a.value, group), _at(graph, b.value, group))
            for group in range(a.shape[0])
        ]
        wide = [graph.reshape(part, (1, *part.shape)) for part in parts]
        return graph.concat(wide, 0)
    if b.value.rows and b.axis == 2 and a.axis is None:  # [g, m, k] [g, k, batch]
        parts = [
            graph.linear(
                _at(graph, b.value, group), graph.permute(_at(graph, a.value, group), (1, 0))
            )
            for group in range(b.shape[0])
        ]
        return graph.concat([graph.reshape(part, (1, *part.shape)) for part in parts], 0)
    raise now.refuse("mixes rows")


def _at(graph: Graph, value: Value, index: int) -> Value:
    return graph.reshape(graph.slice(value, 0, index, index + 1), value.shape[1:])


def _of_rows(now: Lowering, a: Operand, b: Operand) -> Value:
    """Rows with rows, [batch, m, k] [batch, k, n]: by elements, for matrices are small there."""
    if a.axis != 0 or b.axis != 0:
        raise now.refuse("multiplies rows with rows along the batch")
    graph = now.graph
    (m, k), (_, n) = a.shape, b.shape
    left = graph.reshape(a.value, (m, k, 1))
    right = graph.reshape(b.value, (1, k, n))
    return graph.reshape(graph.sum(graph.apply("mul", left, right), (1,)), (m, n))


# ---- over features -------------------------------------------------------------------------------


def _reduced(now: Lowering, value: Value) -> Value:
    """With the axes that the recorded result has."""
    return now.graph.reshape(value, now.features)


@_of("sum")
def _sum(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduced(now, now.graph.sum(a.value, now.axes(a, axes)))


@_of("mean")
def _mean(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduced(now, _average(now.graph, a.value, now.axes(a, axes)))


def _average(graph: Graph, value: Value, axes: tuple[int, ...], less: float = 0) -> Value:
    count = math.prod(value.shape[axis] for axis in axes) - less
    return graph.apply("mul", graph.sum(value, axes), 1 / count if count > 0 else math.nan)


def _spread(
    graph: Graph, value: Value, axes: tuple[int, ...], less: float
) -> tuple[Value, Value, Value]:
    """Variance, mean, and the value without its mean."""
    mean = _average(graph, value, axes)
    centered = graph.apply("sub", value, mean)
    return _average(graph, graph.apply("mul", centered, centered), axes, less), mean, centered


@_of("var", "std", "var_mean", "std_mean")
def _var(now: Lowering, a: Operand, axes: Any = None, **named: Any) -> Result:
    if axes is True or axes is False:
        raise now.refuse("is called without axes")
    less = named.get("correction")
    less = 1 if less is None else less
    var, mean, _ = _spread(now.graph, a.value, now.axes(a, axes), less)
    if now.call.name.startswith("std"):
        var = now.graph.apply("sqrt", var)
    if now.call.name.endswith("mean"):
        return _reduced(now, var), now.graph.reshape(mean, features(now.results[1]))
    return _reduced(now, var)


@_of("native_layer_norm")
def _layer_norm(
    now: Lowering, a: Operand, shape: list[int], weight: Any, bias: Any, eps: float
) -> tuple[Value, ...]:
    graph = now.graph
    axes = now.axes(a, range(a.rank - len(shape), a.rank))
    var, mean, centered = _spread(graph, a.value, axes, 0)
    scale = graph.apply("div", 1.0, graph.apply("sqrt", graph.apply("add", var, eps)))
    value = graph.apply("mul", centered, scale)
    if weight is not None:
        value = now.apply("mul", value, weight)
    if bias is not None:
        value = now.apply("add", value, bias)
    return value, mean, scale


@_of("amax", "amin")
def _amax(now: Lowering, a: Operand, axes: Any = None, keepdim: bool = False) -> Value:
    graph = now.graph
    chosen = now.axes(a, axes)
    sign = now.call.name == "amin"
    value = graph.apply("neg", a.value) if sign else a.value
    most = graph.max(value, chosen)
    # The gradient goes to all that are largest, in equal parts, as torch shares it.
    same = graph.apply("eq", value, most)
    shared = graph.apply("div", value, graph.sum(same, chosen))
    found = graph.sum(graph.apply("where", same, shared, 0.0), chosen)
    return _reduced(now, graph.apply("neg", found) if sign else found)


def _exps(now: Lowering, a: Operand, axes: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """The largest; exp of what is below it; their sum."""
    graph = now.graph
    most = graph.max(a.value, axes)
    powers = graph.apply("exp", graph.apply("sub", a.value, most))
    return most, powers, graph.sum(powers, axes)


@_of("_softmax")
def _softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    _, powers, total = _exps(now, a, now.axes(a, axis))
    return now.graph.apply("div", powers, total)


@_of("_log_softmax")
def _log_softmax(now: Lowering, a: Operand, axis: int, half_to_float: bool) -> Value:
    most, _, total = _exps(now, a, now.axes(a, axis))
    below = now.graph.apply("sub", a.value, most)
    return now.graph.apply("sub", below, now.graph.apply("log", total))


@_of("logsumexp")
def _logsumexp(now: Lowering, a: Operand, axes: Any, keepdim: bool = False) -> Value:
    most, _, total = _exps(now, a, now.axes(a, axes))
    return _reduced(now, now.graph.apply("add", now.graph.apply("log", total), most))


@_of("linalg_vector_norm")
def _norm(
    now: Lowering, a: Operand, order: float = 2, axes: Any = None, keepdim: bool = False, **_: Any
) -> Value:
    graph = now.graph
    chosen = now.axes(a, axes)
    if order == 1:
        return _reduced(now, graph.sum(graph.apply("abs", a.value), chosen))
    if order != 2:
        raise now.refuse(f"of order {order} has no instruction")
    total = graph.sum(graph.apply("mul", a.value, a.value), chosen)
    return _reduced(now, graph.apply("sqrt", total))
