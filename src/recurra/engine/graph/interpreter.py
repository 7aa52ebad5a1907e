"""Run a graph in plain torch: what each instruction means.

A value is a tensor of its features behind its leading axes: ``[time, batch]`` for one of span
``STEP``, ``[batch]`` for ``HELD``, none for ``SHARED``. Run on one step alone, ``STEP`` has the
leading axis ``[batch]`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from recurra.engine.graph.values import ELEMENTWISE, SHARED, Value

__all__ = ["evaluate", "instruction"]

Lead = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Leading axes by span."""


def evaluate(
    values: Iterable[Value], given: Mapping[int, Tensor], batch: int, time: int | None = None
) -> dict[int, Tensor]:
    """Compute values of a graph in order.

    Args:
        values: what to compute, in the order of the graph; those that are given are skipped.
        given: tensors by number, all inputs among them.
        batch: number of rows.
        time: number of steps; None for one step alone.

    Returns:
        tensors by number, those that were given included.
    """
    found = dict(given)
    like = next(iter(given.values()))
    lead: Lead = ((), (batch,), (batch,) if time is None else (time, batch))
    for value in values:
        if value.number not in found:
            read = [_aligned(found[v.number], v, value, lead) for v in value.inputs]
            found[value.number] = instruction(value, read, lead, like)
    return found


def _aligned(tensor: Tensor, value: Value, reader: Value, lead: Lead) -> Tensor:
    """An operand with axes of 1 in front of its features, where a reader broadcasts them."""
    missing = len(reader.shape) - len(value.shape)
    broadcast = reader.op in ELEMENTWISE or reader.op == "expand"
    if missing <= 0 or value.span == SHARED or not broadcast:
        return tensor
    return tensor.reshape((*lead[value.span], *(1,) * missing, *value.shape))


def instruction(value: Value, read: list[Tensor], lead: Lead, like: Tensor) -> Tensor:
    """One instruction.

    Args:
        value: which.
        read: its operands.
        lead: leading axes by span.
        like: a tensor of the type and device of all.
    """
    if value.op in _ELEMENTWISE:
        return _ELEMENTWISE[value.op](*read)
    if value.op == "constant":
        return torch.tensor(value.settings[0], dtype=like.dtype, device=like.device)
    if value.op not in _OTHERS:
        raise ValueError(f"{value}: no such instruction")
    return _OTHERS[value.op](value, lead[value.span], *read)


_ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "gt": lambda a, b: (a > b).to(a.dtype),
    "ge": lambda a, b: (a >= b).to(a.dtype),
    "eq": lambda a, b: (a == b).to(a.dtype),
    "where": lambda c, a, b: torch.where(c != 0, a, b),
    "sigmoid_gradient": lambda g, y: g * (y * (1 - y)),
    "tanh_gradient": lambda g, y: g * (1 - y * y),
}
# The others are torch's own.
_ELEMENTWISE |= {name: getattr(torch, name) for name in ELEMENTWISE - _ELEMENTWISE.keys()}


# ---- the others, from a value, its leading axes, and what it reads -------------------------------

Axes = tuple[int, ...]


def _reduced(value: Value, lead: Axes, x: Tensor) -> Tensor:
    axes = tuple(axis + len(lead) for axis in value.settings[0])
    return x.sum(axes, keepdim=True) if value.op == "sum" else x.amax(axes, keepdim=True)


def _slice(value: Value, lead: Axes, x: Tensor) -> Tensor:
    axis, *bounds = value.settings
    return x.index_select(axis + len(lead), torch.arange(*bounds, device=x.device))


def _pad(value: Value, lead: Axes, x: Tensor) -> Tensor:
    axis, start, step = value.settings
    axis += len(lead)
    index = torch.arange(start, start + x.shape[axis] * step, step, device=x.device)
    return x.new_zeros(*x.shape[: len(lead)], *value.shape).index_copy(axis, index, x)


def _concat(value: Value, lead: Axes, *parts: Tensor) -> Tensor:
    wide = [x.expand(*lead, *v.shape) for x, v in zip(parts, value.inputs, strict=True)]
    return torch.cat(wide, value.settings[0] + len(lead))


def _scatter(value: Value, lead: Axes, index: Tensor, given: Tensor) -> Tensor:
    rows = given.reshape(-1, given.shape[-1])
    numbers = index.long().expand(given.shape[:-1]).reshape(-1)
    return rows.new_zeros(value.shape).index_add(0, numbers, rows)


def _window(value: Value, lead: Axes, x: Tensor) -> Tensor:
    width, first = value.settings
    lines = x.narrow(len(lead), first, value.shape[0] + width - 1)
    lines = lines.unfold(len(lead), width, 1).transpose(-1, -2)
    return lines.reshape(*x.shape[: len(lead)], *value.shape)


def _fold(value: Value, lead: Axes, x: Tensor) -> Tensor:
    width, first = value.settings
    count, size = value.shape
    last = count - first - x.shape[len(lead)]
    given = x.reshape(*x.shape[:-1], width, size)
    sides = [(0, 0, first + j, last - j) for j in range(width)]
    return torch.stack(
        [functional.pad(given[..., j, :], side) for j, side in enumerate(sides)]
    ).sum(0)


_OTHERS: dict[str, Callable[..., Tensor]] = {
    "sum": _reduced,
    "max": _reduced,
    "reshape": lambda value, lead, x: x.reshape((*x.shape[: len(lead)], *value.shape)),
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "permute": lambda value, lead, x: x.permute(
        *range(len(lead)), *(axis + len(lead) for axis in value.settings[0])
    ),
    "expand": lambda value, lead, x: x.expand((*lead, *value.shape)),
    "lay": lambda value, lead, x: x,
    "stop": lambda value, lead, x: x.detach(),
    "route": lambda value, lead, x, path: x,
    "lookup": lambda value, lead, index, table: functional.embedding(index.long(), table),
    "scatter": _scatter,
    "matmul": lambda value, lead, a, b: a @ b,
    "window": _window,
    "fold": _fold,
    "linear": lambda value, lead, x, weight: x @ weight,
    "outer": lambda value, lead, x, y: x.reshape(-1, x.shape[-1]).T @ y.reshape(-1, y.shape[-1]),
    "row_sum": lambda value, lead, x: x.reshape((-1, *value.shape)).sum(0),
    "time_sum": lambda value, lead, x: x.reshape((-1, *lead, *value.shape)).sum(0),
}
