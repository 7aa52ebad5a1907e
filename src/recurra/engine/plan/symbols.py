"""What a step computes of a symbol alone is a table, with a row for each symbol.

The product of an embedding with a matrix is looked up like the embedding itself: where a model is
finished, such a table is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from recurra.engine.graph.values import SHARED, VIEWS, Graph, Value

__all__ = ["OfSymbol", "looked_up", "of_symbols"]


class OfSymbol(NamedTuple):
    """What a value hangs on.

    Args:
        symbol: an input, a number of a row.
        rows: of the smallest table in which it was looked up; 0 where it was in none.
    """

    symbol: Value
    rows: int = 0


def of_symbols(
    graph: Graph, outputs: Iterable[Value], symbols: Iterable[Value]
) -> dict[Value, OfSymbol]:
    """The last values that hang on one symbol and on what all rows share.

    Args:
        graph: of a step.
        outputs: what is wanted of it.
        symbols: inputs that may hold a number of a symbol.
    """
    still: set[Value] = set()  # what all rows share, though each may have it
    found = {symbol: OfSymbol(symbol) for symbol in symbols}
    for value in graph:
        reads = [read for read in value.inputs if read not in still]
        if value.span == SHARED or (value.inputs and not reads):
            still.add(value)
        elif reads and all(read in found for read in reads):
            symbol, *others = {found[read].symbol for read in reads}
            rows = [found[read].rows for read in reads]
            if value.op == "lookup":
                rows.append(value.inputs[1].shape[0])
                others += [] if _seen(value.inputs[0]) is symbol else [value]  # of another number
            if not others:
                found[value] = OfSymbol(symbol, min(filter(None, rows), default=0))
    wanted = set(outputs)
    lasts = [value for value in wanted if value in found]
    for value in _reached(wanted):
        if value not in found:
            lasts += [read for read in value.inputs if read in found]
    bases = {_seen(value) for value in lasts}
    return {v: found[v] for v in bases if found[v].rows > 0 and v.op != "lookup"}


def looked_up(graph: Graph, tables: Mapping[Value, OfSymbol]) -> tuple[Graph, dict[Value, Value]]:
    """A graph that looks values up, and where each value of the old one is.

    Args:
        graph: of a step.
        tables: what each value hangs on; its table is the input ``("table", value's number)``.
    """
    new, places = Graph(), dict[Value, Value]()
    for value in graph:
        if value not in tables:
            places[value] = new.copy(value, tuple(places[read] for read in value.inputs))
            continue
        symbol, rows = tables[value]
        table = new.input(("table", value.number), (rows, value.size), SHARED)
        number = new.stop(new.reshape(places[symbol], ()))
        places[value] = new.reshape(new.lookup(number, table), value.shape)
    return new, places


def _seen(value: Value) -> Value:
    """What a view looks at."""
    while value.op in VIEWS:
        value = value.inputs[0]
    return value


def _reached(outputs: Iterable[Value]) -> set[Value]:
    """What outputs need, themselves included."""
    todo, found = list(outputs), set[Value]()
    while todo:
        value = todo.pop()
        if value not in found:
            found.add(value)
            todo += value.inputs
    return found
