"""The graph of one kind of call: a recorded step with its inputs by name, and with resets."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.engine.graph.values import HELD, STEP, Graph, Value
from recurra.engine.lower.lowering import Lowered
from recurra.engine.plan.slots import Slot

__all__ = ["bind"]


def bind(
    lowered: Lowered, names: Sequence[Slot], *, resets: bool
) -> tuple[Graph, dict[Slot, Value], Value, list[Value]]:
    """The graph with its inputs by name, and with resets where there are any."""
    graph = Graph()
    inputs: dict[Slot, Value] = {}
    swapped: dict[Value, Value] = {}
    moving: set[Value] = set()  # what hangs on the state
    parted: dict[Value, list[Value]] = {}  # sums of products, and what they are sums of
    reset = None
    if resets:
        reset = inputs["reset", 0] = graph.input(("reset", 0), (1,), STEP)
    for value in lowered.graph:
        if value.op != "input":
            reads = tuple(swapped[read] for read in value.inputs)
            if value.op == "linear" and _mixed(reads[0], moving):
                parts = _parted(graph, reads[0], reads[1], moving)
                total = swapped[value] = _sum(graph, parts)
                parted[total] = parts
            elif value.op == "add" and (pair := _still(reads, parted, moving)) is not None:
                other, parts = pair  # joins what is computed before time
                swapped[value] = _sum(graph, [other, *parts])
            else:
                swapped[value] = graph.copy(value, reads)
            if any(read in moving for read in reads):
                moving.add(swapped[value])
            continue
        kind, index = value.settings[0]
        name: Slot = names[index] if kind == "given" else ("shared", index)
        own = inputs[name] = graph.input(name, value.shape, value.span)
        if name[0] == "state":
            if reset is not None:
                start = graph.input(("initial", name[1]), value.shape, HELD)
                inputs["initial", name[1]] = start
                mask = graph.reshape(reset, (1,) * len(value.shape))
                own = graph.apply("where", mask, start, own)
            moving.add(own)
        swapped[value] = own
    y, *new = (swapped[value] for value in lowered.outputs)
    return graph, inputs, y, new


def _mixed(x: Value, moving: set[Value]) -> bool:
    """Does it put what hangs on the state beside what does not?"""
    if x.op != "concat" or x.settings != (len(x.shape) - 1,):
        return False
    return len({part in moving for part in x.inputs}) == 2


def _parted(graph: Graph, x: Value, weight: Value, moving: set[Value]) -> list[Value]:
    """A product for each part, first those that can be computed before time."""
    products: list[tuple[bool, Value]] = []
    start = 0
    for part in x.inputs:
        stop = start + part.shape[-1]
        product = graph.linear(part, graph.slice(weight, 0, start, stop))
        products.append((part in moving, product))
        start = stop
    products.sort(key=lambda pair: pair[0])
    return [product for _, product in products]


def _still(
    reads: tuple[Value, ...], parted: dict[Value, list[Value]], moving: set[Value]
) -> tuple[Value, list[Value]] | None:
    """What does not hang on the state, and is added to such a sum of products; and these."""
    for total, other in (reads, reads[::-1]):
        if total in parted and other not in moving and other.size <= total.size:
            return other, parted[total]
    return None


def _sum(graph: Graph, values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = graph.apply("add", total, value)
    return total
