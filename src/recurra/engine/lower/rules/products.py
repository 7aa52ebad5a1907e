"""Matrix products: rows with a matrix that all rows share, or small ones of each row; lookups."""

from __future__ import annotations

import math
from typing import Any

import torch

from recurra.engine.graph.values import Graph, Value
from recurra.engine.lower.rules.base import ONE_ROW, Lowering, Operand, Rules

__all__ = ["RULES", "picked"]

RULES = Rules()
RULES |= dict.fromkeys(("mm", "matmul", "linear", "mv"), lambda now, a, b: _product(now, a, b))
RULES |= {
    "addmm": lambda now, c, a, b, **by: _plus(now, c, _product(now, a, b), **by),
    "addmv": lambda now, c, a, b, **by: _plus(now, c, _product(now, a, b), **by),
    "bmm": lambda now, a, b: _batched(now, a, b),
    "baddbmm": lambda now, c, a, b, **by: _plus(now, c, _batched(now, a, b), **by),
}


@RULES.of("embedding")
def _embedding(
    now: Lowering,
    table: Operand,
    index: Operand,
    padding: int = -1,
    often: bool = False,
    sparse: bool = False,
) -> Value:
    if often or sparse:
        name = "scale_grad_by_freq" if often else "sparse"
        raise now.refuse("has a gradient of another kind", f"leave out {name}=True")
    if table.axis is not None or index.axis != now.out.axis:
        raise now.refuse(
            "looks up what each row has of its own", "write x.gather(1, index), or torch.where"
        )
    return _lookup(now, index.value, table.value, padding)


def picked(now: Lowering, table: Operand, index: Operand) -> Value:
    """``table[index]``: numbers below zero count from the end."""
    graph = now.graph
    if index.axis != 0 and table.rank > 1:
        raise now.refuse("gives rows whose batch is another axis", "put the batch first")
    count, *rest = table.shape
    below = graph.apply("gt", 0.0, index.value)
    wrapped = graph.apply("add", index.value, float(count))
    number = graph.apply("where", below, wrapped, index.value)
    flat = graph.reshape(table.value, (count, math.prod(rest)))
    return graph.reshape(_lookup(now, number, flat), now.features)


def _lookup(now: Lowering, index: Value, table: Value, flat: int = -1) -> Value:
    exact = 1 << (24 if now.out.dtype is torch.float32 else 53)
    if table.shape[0] > exact:
        raise now.refuse(
            f"has more than {exact:,} rows, which {now.out.dtype} cannot number",
            "look up what is rarer in a table of its own",
        )
    return now.graph.lookup(index, table, flat)


def _plus(now: Lowering, c: Any, product: Value, beta: float = 1, alpha: float = 1) -> Value:
    """``beta c + alpha product``."""
    if alpha != 1:
        product = now.apply("mul", product, alpha)
    if beta == 0:
        return product
    return now.apply("add", c if beta == 1 else now.apply("mul", c, beta), product)


def _product(now: Lowering, a: Operand, b: Operand) -> Value:
    """A matrix product of which one factor has rows and the other one is shared."""
    graph = now.graph
    if a.axis is not None and b.axis is not None:
        raise now.refuse(
            "multiplies rows with rows", "write torch.bmm(a, b) or (a * b).sum(1) for each row"
        )
    if a.axis == 0:  # [batch, k] [k, n]
        weight = b.value if b.rank == 2 else graph.reshape(b.value, (*b.shape, 1))
        return graph.reshape(graph.linear(a.value, weight), now.features)
    if b.axis is not None and b.axis == b.rank - 1 and b.times == 1:  # [n, k] [k, batch]
        return graph.linear(b.value, graph.permute(a.value, (1, 0)))
    raise now.refuse("mixes rows", ONE_ROW)


def _batched(now: Lowering, a: Operand, b: Operand) -> Value:
    """Many products at once, of which one factor is shared by all rows: [g, m, k] [g, k, n]."""
    graph = now.graph
    if a.times > 1 or b.times > 1:  # [batch g, m, k] [batch g, k, n]
        if a.axis != 0 or b.axis != 0 or a.times != b.times:
            raise now.refuse(
                "multiplies rows that are merged with other axes", "let the batch be the first axis"
            )
        return graph.matmul(a.value, b.value)
    if not a.value.rows and not b.value.rows:
        raise now.refuse(
            "multiplies what has no rows", "keep the product in the cell, and let the step read it"
        )
    if a.value.rows and b.value.rows:
        return _of_rows(now, a, b)
    if a.value.rows and a.axis == 0 and b.axis == 0:  # [batch, m, k] [k, n], shared by expanding
        return graph.linear(a.value, b.value)
    if b.value.rows and a.axis == 0 and b.axis == 0:  # [m, k] [batch, k, n]
        swapped = graph.linear(graph.permute(b.value, (1, 0)), graph.permute(a.value, (1, 0)))
        return graph.permute(swapped, (1, 0))
    if a.value.rows and a.axis == 1 and b.axis is None:  # [g, batch, k] [g, k, n]
        return _grouped(graph, a.value, b.value, turned=False)
    if b.value.rows and b.axis == 2 and a.axis is None:  # [g, m, k] [g, k, batch]
        return _grouped(graph, b.value, a.value, turned=True)
    raise now.refuse("mixes rows", ONE_ROW)


def _grouped(graph: Graph, rows: Value, weights: Value, *, turned: bool) -> Value:
    """A product for each group of features, ``[g, k]`` and ``[g, k, n]``: ``[g, n]``.

    Weights that are ``turned`` are ``[g, n, k]``.
    """
    parts = []
    for group in range(rows.shape[0]):
        row, weight = _at(graph, rows, group), _at(graph, weights, group)
        parts.append(graph.linear(row, graph.permute(weight, (1, 0)) if turned else weight))
    return graph.concat([graph.reshape(part, (1, *part.shape)) for part in parts], 0)


def _at(graph: Graph, value: Value, index: int) -> Value:
    """``value[index]``."""
    return graph.reshape(graph.slice(value, 0, index, index + 1), value.shape[1:])


def _of_rows(now: Lowering, a: Operand, b: Operand) -> Value:
    """Rows with rows, [batch, m, k] [batch, k, n]."""
    if a.axis != 0 or b.axis != 0:
        raise now.refuse("multiplies rows with rows along the batch", ONE_ROW)
    return now.graph.matmul(a.value, b.value)
