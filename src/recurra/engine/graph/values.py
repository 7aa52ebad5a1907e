"""What one step computes: values in order, each an instruction on earlier ones.

Every value has a feature shape and a span: ``SHARED`` by all rows, ``HELD`` (each row has its own,
the same at every step) or ``STEP`` (each row has one at every step). No instruction lets a row see
another one, so a graph of rows means the same for one row, a batch, or all steps of a sequence at
once. Gradients need four that add up: ``time_sum`` over steps, ``row_sum``, ``outer`` and
``scatter`` over all there is.

Operands of elementwise instructions are broadcast over features as NumPy does, and over rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from recurra_runtime.instructions import TABLE

__all__ = [
    "ARITIES",
    "BINARY",
    "ELEMENTWISE",
    "HELD",
    "MOVES",
    "REDUCTIONS",
    "SHARED",
    "STEP",
    "SUMS",
    "UNARY",
    "VIEWS",
    "Graph",
    "Value",
    "broadcast",
    "resized",
]

SHARED, HELD, STEP = 0, 1, 2
"""Spans: one for all rows, one for each row, one for each row and step."""

# All but what the machine has for itself alone: moves, and sums that are fused.
_TABLE = [row for row in TABLE if row.name not in ("copy", "fma")]


def _named(kind: str, *arities: int) -> frozenset[str]:
    return frozenset(row.name for row in _TABLE if row.kind == kind and row.arity in arities)


UNARY, BINARY = _named("elementwise", 1), _named("elementwise", 2)
ELEMENTWISE = UNARY | BINARY | _named("elementwise", 3)
"""Instructions on numbers at one place."""
REDUCTIONS = _named("reduction", 1)
"""Instructions over axes of features."""
SUMS = _named("sum", 1, 2)
"""Instructions that add up over rows or steps."""
VIEWS = frozenset({"reshape", "slice", "permute", "expand", "stop", "window"})
"""Instructions whose result is a part, or another shape, of what they read."""
MOVES = VIEWS | {"input", "constant", "concat", "pad", "lay"}
"""Instructions that move numbers at most, and are no operation on them."""
ARITIES: dict[str, int | None] = {
    **{row.name: row.arity for row in _TABLE},
    **dict.fromkeys((*VIEWS, "pad", "lay"), 1),
    **dict.fromkeys(("input", "constant"), 0),
    "route": 2,
    "concat": None,
}
"""How many values each instruction reads; None for any number."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Value:
    """The result of an instruction.

    Args:
        number: its index in the graph.
        op: the instruction; ``input`` for what is given, ``constant`` for a number.
        inputs: what it reads.
        shape: of its features, without steps and rows.
        span: what there is one for: ``SHARED``, ``HELD`` or ``STEP``.
        settings: what else the instruction needs, by its kind: the name of an input, the number of
            a constant, axes, bounds, an order.
    """

    number: int
    op: str
    inputs: tuple[Value, ...]
    shape: tuple[int, ...]
    span: int
    settings: tuple[Any, ...] = ()

    @property
    def size(self) -> int:
        """Number of features."""
        return math.prod(self.shape)

    @property
    def rows(self) -> bool:
        """Whether each row has its own."""
        return self.span > SHARED

    @property
    def operations(self) -> int:
        """Additions, multiplications and functions that it is, for one row in one step."""
        if self.op in MOVES:
            return 0
        if self.op == "linear":
            return 2 * self.size * self.inputs[1].shape[0]
        if self.op == "matmul":
            return 2 * self.size * self.inputs[0].shape[-1]
        if self.op == "outer":
            return 2 * self.inputs[0].size * self.inputs[1].shape[-1]
        return self.inputs[-1].size if self.op in REDUCTIONS | SUMS else self.size

    def __str__(self) -> str:
        reads = ", ".join(f"%{value.number}" for value in self.inputs)
        more = ", ".join(map(str, self.settings))
        kind = f"{('shared', 'held', 'step')[self.span]} {list(self.shape)}"
        return f"%{self.number} = {self.op}({', '.join(filter(None, (reads, more)))})  # {kind}"


class Graph:
    """Values in the order in which they can be computed; equal ones are one.

    ::

        graph = Graph()
        x = graph.input("x", (3,), STEP)
        w = graph.input("w", (3, 4), SHARED)
        y = graph.apply("tanh", graph.linear(x, w))
        print(y)  # %3 = tanh(%2)  # step [4]
    """

    def __init__(self) -> None:
        self.values: list[Value] = []
        self._known: dict[Any, Value] = {}

    def __str__(self) -> str:
        return "\n".join(map(str, self.values))

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def _make(
        self, op: str, inputs: tuple[Value, ...], shape: tuple[int, ...], span: int, *settings: Any
    ) -> Value:
        # repr: 0.0 and -0.0 are equal, and not the same.
        key = (op, tuple(value.number for value in inputs), shape, span, repr(settings))
        known = self._known.get(key)
        if known is None:
            known = Value(len(self.values), op, inputs, shape, span, settings)
            self._known[key] = known
            self.values.append(known)
        return known

    def input(self, name: Any, shape: Iterable[int], span: int) -> Value:
        """What is given from outside, known by its name."""
        return self._make("input", (), tuple(shape), span, name)

    def inputs(self) -> dict[Any, Value]:
        """What is given from outside, by name."""
        return {value.settings[0]: value for value in self.values if value.op == "input"}

    def constant(self, number: float) -> Value:
        """A number."""
        return self._make("constant", (), (), SHARED, float(number))

    def full(self, number: float, shape: Iterable[int], span: int = SHARED) -> Value:
        """A number, repeated."""
        wanted = tuple(shape)
        flat = self.reshape(self.constant(number), (1,) * len(wanted))
        return self.expand(flat, wanted, span)

    def apply(self, op: str, *operands: Value | float) -> Value:
        """An elementwise instruction; numbers become constants."""
        inputs = tuple(o if isinstance(o, Value) else self.constant(o) for o in operands)
        simpler = _simplified(op, inputs)
        if isinstance(simpler, Value):
            return simpler
        if simpler is not None:
            return self.constant(simpler)
        shape, span = _common(inputs)
        # What is only repeated need not be, where the rest is as wide.
        for index, value in enumerate(inputs):
            if value.op == "expand":
                bare = (*inputs[:index], value.inputs[0], *inputs[index + 1 :])
                if _common(bare) == (shape, span):
                    inputs = bare
        return self._make(op, inputs, shape, span)

    def sum(self, value: Value, axes: Iterable[int]) -> Value:
        """Over axes of features, which stay with size 1."""
        return self._reduced("sum", value, axes)

    def max(self, value: Value, axes: Iterable[int]) -> Value:
        """The largest over axes, which stay with size 1; all that are share its gradient."""
        return self._reduced("max", value, axes)

    def _reduced(self, op: str, value: Value, axes: Iterable[int]) -> Value:
        chosen = tuple(sorted(axis for axis in set(axes) if value.shape[axis] != 1))
        if not chosen:
            return value
        if chosen[-1] - chosen[0] >= len(chosen):  # one axis after another, unless side by side
            value = self._reduced(op, value, chosen[1:])
            chosen = chosen[:1]
        shape = tuple(1 if axis in chosen else size for axis, size in enumerate(value.shape))
        return self._make(op, (value,), shape, value.span, chosen)

    def reshape(self, value: Value, shape: Iterable[int]) -> Value:
        """The same numbers in the same order."""
        wanted = tuple(shape)
        if math.prod(wanted) != value.size:
            raise ValueError(f"reshape: {list(value.shape)} into {list(wanted)}")
        if value.op == "reshape":
            value = value.inputs[0]
        if wanted == value.shape:
            return value
        return self._make("reshape", (value,), wanted, value.span)

    def slice(self, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """``value[..., start:stop:step, ...]`` along an axis."""
        size = len(range(start, stop, step))
        if size == value.shape[axis]:
            return value
        shape = resized(value.shape, axis, size)
        return self._make("slice", (value,), shape, value.span, axis, start, stop, step)

    def concat(self, parts: Iterable[Value], axis: int) -> Value:
        """Side by side along an axis."""
        values = tuple(parts)
        if len(values) == 1:
            return values[0]
        whole = _whole(values, axis)
        if whole is not None:
            return whole
        shape = resized(values[0].shape, axis, sum(value.shape[axis] for value in values))
        return self._make("concat", values, shape, max(v.span for v in values), axis)

    def stop(self, value: Value) -> Value:
        """The same, through which no gradient goes."""
        return self._make("stop", (value,), value.shape, value.span)

    def route(self, value: Value, path: Value) -> Value:
        """The same, whose gradient goes to where that of ``path`` goes, and is its gradient."""
        path = self.expand(path, value.shape, value.span)
        return self._make("route", (value, path), value.shape, value.span)

    def without_routes(self) -> tuple[Graph, dict[Value, Value]]:
        """The same numbers in a graph of which no gradient is asked; and where each value is."""
        if all(value.op != "route" for value in self.values):
            return self, {value: value for value in self.values}
        return self.rewritten(lambda graph, value, reads: reads[0] if value.op == "route" else None)

    def rewritten(self, made: Rewrite) -> tuple[Graph, dict[Value, Value]]:
        """A graph of what is made of each value, or of copies; and where each value is."""
        graph, found = Graph(), dict[Value, Value]()
        for value in self.values:
            reads = tuple(found[read] for read in value.inputs)
            found[value] = made(graph, value, reads) or graph.copy(value, reads)
        return graph, found

    def permute(self, value: Value, order: Iterable[int]) -> Value:
        """Axes in another order."""
        chosen = tuple(order)
        shape = tuple(value.shape[axis] for axis in chosen)
        long = [axis for axis in chosen if value.shape[axis] != 1]
        if long == sorted(long):  # nothing moves
            return self.reshape(value, shape)
        if value.op == "outer" and chosen == (1, 0):
            return self.outer(value.inputs[1], value.inputs[0])
        return self._make("permute", (value,), shape, value.span, chosen)

    def expand(self, value: Value, shape: Iterable[int], span: int = SHARED) -> Value:
        """Repeat features of size 1; and for each row or step what has a smaller span."""
        wanted, reach = tuple(shape), max(value.span, span)
        if wanted == value.shape and reach == value.span:
            return value
        return self._make("expand", (value,), wanted, reach)

    def pad(self, value: Value, axis: int, start: int, step: int, size: int) -> Value:
        """Undoes a slice of an axis of so many features: zeros where it took nothing."""
        shape = resized(value.shape, axis, size)
        return self._make("pad", (value,), shape, value.span, axis, start, step)

    def lay(self, value: Value) -> Value:
        """The same numbers, side by side: worth a copy where several instructions read them."""
        return self._make("lay", (value,), value.shape, value.span)

    def window(self, value: Value, width: int, first: int, count: int) -> Value:
        """Lines of ``[m, k]`` from the first on, each with those behind it: ``[count, width k]``.

        They overlap, so it is a view: of what lies side by side, which a ``concat`` makes.
        """
        shape = (count, width * value.shape[1])
        return self._make("window", (value,), shape, value.span, width, first)

    def fold(self, value: Value, width: int, first: int, lines: int) -> Value:
        """Undoes a window of so many lines: what overlaps is added up, the rest is 0."""
        shape = (lines, value.shape[1] // width)
        return self._make("fold", (value,), shape, value.span, width, first)

    def _of_rows(self, value: Value) -> Value:
        """A constant that rows are multiplied or looked up by: each row has it."""
        return self.expand(value, value.shape, HELD) if value.span == SHARED else value

    def linear(self, x: Value, weight: Value) -> Value:
        """``x @ weight``: rows ``[..., k]`` times ``[k, n]``, which all rows share."""
        x = self._of_rows(x)
        return self._make("linear", (x, weight), (*x.shape[:-1], weight.shape[1]), x.span)

    def lookup(self, index: Value, table: Value, flat: int = -1) -> Value:
        """Rows ``[n]`` of a table ``[k, n]`` that all rows share, by their numbers.

        The row of the number ``flat`` gets no gradient.
        """
        index = self._of_rows(index)
        shape = (*index.shape, table.shape[1])
        return self._make("lookup", (index, table), shape, index.span, flat)

    def scatter(self, index: Value, given: Value, count: int) -> Value:
        """What is given, added up in the rows of a table of so many: undoes a lookup."""
        return self._make("scatter", (index, given), (count, given.shape[-1]), SHARED)

    def matmul(self, a: Value, b: Value) -> Value:
        """``a @ b`` of matrices of each row: ``[..., m, k]`` times ``[..., k, n]``."""
        if b.span == SHARED:
            a = self._of_rows(a)
        shape = (*a.shape[:-1], b.shape[-1])
        return self._make("matmul", (a, b), shape, max(a.span, b.span))

    def outer(self, x: Value, y: Value) -> Value:
        """``x^T y`` summed over rows and leading features: ``[k, n]``."""
        return self._make("outer", (x, y), (x.shape[-1], y.shape[-1]), SHARED)

    def row_sum(self, value: Value) -> Value:
        """Over all rows."""
        return self._make("row_sum", (value,), value.shape, SHARED)

    def time_sum(self, value: Value) -> Value:
        """Over all steps."""
        return self._make("time_sum", (value,), value.shape, HELD)

    def copy(self, value: Value, inputs: tuple[Value, ...]) -> Value:
        """The instruction of a value of another graph, on values of this one."""
        if value.op in ELEMENTWISE:
            return self.apply(value.op, *inputs)
        return self._make(value.op, inputs, value.shape, value.span, *value.settings)


Rewrite = Callable[[Graph, Value, tuple[Value, ...]], Value | None]
"""Of the new graph, a value of the old one, and what it reads in the new one."""


def resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    """The shape with another size along an axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def _common(values: tuple[Value, ...]) -> tuple[tuple[int, ...], int]:
    """Shape and span of an elementwise instruction on values."""
    return broadcast(*(value.shape for value in values)), max(value.span for value in values)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape, by NumPy's rules.

    Raises:
        ValueError: there is none.
    """
    rank = max(map(len, shapes))
    wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    common = []
    for sizes in zip(*wide, strict=True):
        several = {size for size in sizes if size != 1}
        if len(several) > 1:
            raise ValueError(f"shapes {[list(shape) for shape in shapes]} do not fit")
        common.append(several.pop() if several else 1)
    return tuple(common)


_ON_NUMBERS: dict[str, Callable[..., float]] = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}


def _simplified(op: str, inputs: tuple[Value, ...]) -> Value | float | None:
    """What an elementwise instruction comes down to, if it is something simpler."""
    numbers = [value.settings[0] if value.op == "constant" else None for value in inputs]
    if op in _ON_NUMBERS and None not in numbers:
        return _ON_NUMBERS[op](*numbers)
    if op == "mul" and 1.0 in numbers:
        return inputs[1 - numbers.index(1.0)]
    if op == "add" and 0.0 in numbers:
        return inputs[1 - numbers.index(0.0)]
    if (op == "sub" and numbers[1] == 0.0) or (op == "div" and numbers[1] == 1.0):
        return inputs[0]
    return None


def _whole(parts: tuple[Value, ...], axis: int) -> Value | None:
    """The value that was cut into these parts, if they are all of it in order."""
    base, at = None, 0
    for part in parts:
        if part.op != "slice" or part.settings[0] != axis or part.settings[3] != 1:
            return None
        if part.settings[1] != at or (base is not None and part.inputs[0] is not base):
            return None
        base, at = part.inputs[0], part.settings[2]
    return base if base is not None and at == base.shape[axis] else None
