"""The instructions of each value: what the machine computes, from which places to which."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from recurra.engine.assemble.code import Code, Operand, operand
from recurra.engine.assemble.layout import Layout
from recurra.engine.assemble.memory import HELD_TOTAL, TOTAL
from recurra.engine.assemble.strides import Strided, merged, packed, reshaped
from recurra.engine.graph.values import ELEMENTWISE, REDUCTIONS, STEP, SUMS, VIEWS, Value

__all__ = ["Writer"]


class Writer:
    """Writes the instructions of values into a program's code.

    Args:
        layout: where values are stored.
        code: gets the instructions.
    """

    def __init__(self, layout: Layout, code: Code) -> None:
        self.layout, self.code = layout, code

    def write(self, value: Value) -> None:
        """Compute a value; one that is only a view gets its place."""
        fusion, op = self.layout.fusion, value.op
        if op in VIEWS or (op == "constant" and value in self.layout.results):
            self.layout.place(value)
        elif op == "constant":
            return
        elif value in fusion.sums:
            inner, rest = fusion.sums[value]
            if inner.op == "linear":
                self._product(inner, value, rest)
            else:
                self._elementwise("fma", value, (*inner.inputs, rest))
        elif op in ELEMENTWISE:
            self._elementwise(op, value, value.inputs)
        else:
            if op in SUMS and max(read.span for read in value.inputs) == STEP:
                self.layout.now = "sums"  # reads what is kept for a whole chunk
            _WRITERS[op](self, value)

    def _elementwise(self, op: str, value: Value, reads: Sequence[Value]) -> None:
        layout = self.layout
        places = [layout.broadcast(read, len(value.shape)) for read in reads]
        out = layout.allocate(value)
        axes = merged(value.shape, out.strides, *(place.strides for place in places))
        near = axes[-1][1] if axes else (1,)
        if len(axes) <= 2 and near[0] == 1 and all(stride in (0, 1) for stride in near):
            self._loop(op, value, out, places)
            return
        # Not all strides at once: operands are laid out like the result first.
        straight = packed(value.shape)
        places = [p if p.strides == straight else layout.side_by_side(value, p) for p in places]
        target = out if out.strides == straight else layout.aside(value)
        self._loop(op, value, target, places)
        self._bring(value, target, out)

    def _loop(self, op: str, value: Value, out: Strided, places: Sequence[Strided]) -> None:
        """An instruction on at most two axes."""
        axes = merged(value.shape, out.strides, *(place.strides for place in places))
        size, near = axes[-1] if axes else (1, (1,) + (0,) * len(places))
        outer, far = axes[0] if len(axes) == 2 else (1, (0,) * (1 + len(places)))
        reads = [
            operand(place, apart, single=stride == 0 and size > 1)
            for place, stride, apart in zip(places, near[1:], far[1:], strict=True)
        ]
        to = operand(out, far[0])
        self._emit(op, to, reads, outer=outer, n=size, step=-1)

    def _reduction(self, value: Value) -> None:
        layout, read = self.layout, value.inputs[0]
        axes = value.settings[0]  # side by side
        first, last = axes[0], axes[-1] + 1
        outer, n = math.prod(read.shape[:first]), math.prod(read.shape[last:])
        count = math.prod(read.shape[first:last])
        place = layout.place(read)
        near = reshaped(read.shape, place.strides, (outer, count, n))
        if near is None or (n > 1 and near[2] != 1):
            place, near = layout.side_by_side(read, place), packed((outer, count, n))
        out = layout.allocate(value)
        to, target = reshaped(value.shape, out.strides, (outer, 1, n)), out
        if to is None or (n > 1 and to[2] != 1):
            to, target = packed((outer, 1, n)), layout.aside(value)
        far, apart = (near[0], to[0]) if outer > 1 else (0, 0)
        reads = [operand(place, far)]
        self._emit(
            value.op, operand(target, apart), reads, outer=outer, n=n, count=count, step=near[1]
        )
        self._bring(value, target, out)

    def _linear(self, value: Value) -> None:
        self._product(value, value)

    def _product(self, value: Value, result: Value, rest: Value | None = None) -> None:
        """``result = x @ weight + rest``: ``value`` is the product, if there is a rest its sum."""
        layout = self.layout
        x, weight = value.inputs
        lead = len(x.shape) - 1
        outer, (depth, width) = math.prod(x.shape[:-1]), weight.shape
        place, far = layout.straight(x, lead)
        add, apart = (None, 0) if rest is None else layout.straight(rest, lead)
        out = layout.allocate(result)
        to, target = merged(result.shape[:-1], out.strides[:-1]), out
        if len(to) > 1 or (width > 1 and out.strides[-1] != 1):
            to, target = [(outer, (width,))] if outer > 1 else [], layout.aside(result)
        matrix = self.code.matrix(layout.place(weight), weight.shape)
        reads = [operand(place, far), operand(None)]
        if add is not None:
            reads.append(operand(add, apart))
        end = operand(target, to[0][1][0] if to else 0)
        self._emit("linear", end, reads, outer=outer, n=width, count=depth, step=matrix)
        self._bring(result, target, out)

    def _lookup(self, value: Value) -> None:
        layout = self.layout
        index, table = value.inputs
        count, width = table.shape
        place, far = layout.straight(index, len(index.shape))
        rows, step = layout.straight(table, 1)
        out = layout.allocate(value)
        target = out if out.strides == packed(value.shape) else layout.aside(value)
        to, reads = operand(target, width), [operand(place, far), operand(rows)]
        self._emit("lookup", to, reads, outer=index.size, n=width, count=count, step=step)
        self._bring(value, target, out)

    def _matmul(self, value: Value) -> None:
        """Matrices of each row, turned where that makes lines contiguous; batches one by one."""
        layout, (a, b) = self.layout, value.inputs
        *lead, m, n = value.shape
        k = a.shape[-1]
        places = [layout.allocate(value), layout.place(a), layout.place(b)]
        out = places[0]
        strides = [place.strides[-2:] for place in places]
        ways = [_straightness((m, k, n), *strides), _straightness((n, k, m), *_turned(strides))]
        if not any(ways):
            places[1:] = [layout.side_by_side(a, places[1]), layout.side_by_side(b, places[2])]
            if out.strides != packed(value.shape):
                places[0] = layout.aside(value)
            strides, ways = [place.strides[-2:] for place in places], [1, 0]
        sizes = (m, k, n)
        if turns := ways[1] > ways[0]:
            sizes, strides = (n, k, m), _turned(strides)
        for index in itertools.product(*map(range, lead)):
            matrices = [_matrix(place, index) for place in places]
            if turns:
                matrices[1:] = reversed(matrices[1:])
            self.code.batched(layout.now, matrices, sizes, strides)
        self._bring(value, places[0], out)

    def _fold(self, value: Value) -> None:
        layout, read = self.layout, value.inputs[0]
        place, far = layout.straight(read, 1)
        out = layout.allocate(value)
        target = out if out.strides == packed(value.shape) else layout.aside(value)
        lines, width = read.shape
        size, first = value.shape[1], value.settings[1]
        self.code.moves.append(
            [lines, width, 1, 1, size, first * size, value.size, 0, far or width, 0, 0, 0]
        )
        move = len(self.code.moves) - 1
        to, reads = operand(target), [operand(place)]
        self._emit("fold", to, reads, outer=lines, n=width, step=move)
        self._bring(value, target, out)

    def _lay(self, value: Value) -> None:
        source = self.layout.place(value.inputs[0])
        self.code.copy(self.layout.now, value, source, self.layout.allocate(value))

    def _concat(self, value: Value) -> None:
        """Copy the parts that were not computed where they stand."""
        layout = self.layout
        out = layout.allocate(value)
        (axis,) = value.settings
        start = 0
        for part in value.inputs:
            if layout.fusion.inside.get(part) != (value, start):
                source = layout.broadcast(part, len(part.shape))
                self.code.copy(layout.now, part, source, out.part(axis, start))
            start += part.shape[axis]

    def _pad(self, value: Value) -> None:
        """Zeros, and a copy among them."""
        layout, read = self.layout, value.inputs[0]
        out = layout.allocate(value)
        axis, start, step = value.settings
        zero = layout.memory.constant(0.0)
        blank = Strided(zero.buffer, zero.offset, (0,) * len(value.shape))
        self.code.copy(layout.now, value, blank, out)
        self.code.copy(layout.now, read, layout.place(read), out.part(axis, start, step))

    def _sum(self, value: Value) -> None:
        """A sum over rows or steps."""
        layout = self.layout
        place, _ = layout.straight(value.inputs[0], 0)
        held = value.op == "time_sum"
        buffer = layout.memory.new(HELD_TOTAL, value.size) if held else self._total(value)
        to = layout.places[value] = Strided(buffer, 0, packed(value.shape))
        self._emit(value.op, operand(to), [operand(place)], n=value.size)

    def _outer(self, value: Value) -> None:
        """``x^T y``, turned to ``y^T x`` where the result lies so."""
        layout = self.layout
        x, y = value.inputs
        height, width = value.shape
        outer, straight = math.prod(x.shape[:-1]), packed(value.shape)
        index = next(iter(layout.results.get(value, ())), None)
        strides = straight if index is None else layout.argument(index, value).strides
        turned = strides == (1, height) and height > 1
        if turned:
            x, y, height, width = y, x, width, height
        left, far = layout.straight(x, len(x.shape) - 1)
        right, apart = layout.straight(y, len(y.shape) - 1)
        buffer = self._total(value, direct=turned or strides == straight)
        out = layout.places[value] = Strided(buffer, 0, (1, width) if turned else (width, 1))
        reads = [operand(left, far), operand(right, apart)]
        self._emit("outer", operand(out, width), reads, outer=outer, n=width, count=height)

    def _scatter(self, value: Value) -> None:
        layout, (index, given) = self.layout, value.inputs
        count, width = value.shape
        numbers, far = layout.straight(index, len(index.shape))
        rows, apart = layout.straight(given, len(given.shape) - 1)
        target = next(iter(layout.results.get(value, ())), None)
        straight = packed(value.shape)
        direct = target is not None and layout.argument(target, value).strides == straight
        buffer = self._total(value, direct=direct)
        out = layout.places[value] = Strided(buffer, 0, straight)
        reads = [operand(numbers, far), operand(rows, apart)]
        self._emit("scatter", operand(out, width), reads, outer=index.size, n=width, count=count)

    def _total(self, value: Value, *, direct: bool = True) -> int:
        """A sum over rows, in the memory of the result if it is one."""
        layout = self.layout
        indices = layout.results.get(value, [])
        if not indices or not direct:
            return layout.memory.new(TOTAL, value.size)
        layout.results[value] = indices[1:]
        return layout.memory.new(TOTAL, value.size, indices[0])

    def _emit(self, op: str, out: Operand, reads: Sequence[Operand], **sizes: int) -> None:
        """An instruction of the section that is being written."""
        self.code.emit(self.layout.now, op, out, reads, **sizes)

    def _bring(self, value: Value, target: Strided, out: Strided) -> None:
        """Copy what was computed aside to where it belongs."""
        if target is not out:
            self.code.copy(self.layout.now, value, target, out)


_WRITERS = {
    **dict.fromkeys(REDUCTIONS, Writer._reduction),
    "linear": Writer._linear,
    "lookup": Writer._lookup,
    "matmul": Writer._matmul,
    "fold": Writer._fold,
    "lay": Writer._lay,
    "concat": Writer._concat,
    "pad": Writer._pad,
    "outer": Writer._outer,
    "scatter": Writer._scatter,
    "row_sum": Writer._sum,
    "time_sum": Writer._sum,
}

Pair = tuple[int, ...]


def _straightness(sizes: tuple[int, int, int], out: Pair, a: Pair, b: Pair) -> int:
    """How well vectors go through a product: along lines of the result, along sums, not at all."""
    _, k, n = sizes
    if n > 1 and b[1] == out[1] == 1:
        return 2
    return int(k == 1 or a[1] == b[0] == 1)


def _turned(strides: Sequence[Pair]) -> list[Pair]:
    """Strides of the result, the first and the second: of the same product, all turned."""
    out, a, b = (pair[::-1] for pair in strides)
    return [out, b, a]


def _matrix(place: Strided, index: tuple[int, ...]) -> Strided:
    """One of several matrices."""
    offset = place.offset + sum(at * far for at, far in zip(index, place.strides, strict=False))
    return Strided(place.buffer, offset, place.strides[-2:])
