"""Run a graph in plain torch: what each instruction means.

A value is a tensor of its features behind its leading axes: ``[time, batch]`` for one of span
``STEP``, ``[batch]`` for ``HELD``, none for ``SHARED``. Run on one step alone, ``STEP`` has the
leading axis ``[batch]`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from recurra.engine.graph.values import ELEMENTWISE, HELD, SHARED, Value

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
    simple = _ELEMENTWISE.get(value.op)
    if simple is not None:
        return simple(*read)
    op, front = value.op, len(lead[value.span])
    if op == "constant":
        return torch.tensor(value.settings[0], dtype=like.dtype, device=like.device)
    if op in ("sum", "max"):
        axes = tuple(axis + front for axis in value.settings[0])
        return read[0].sum(axes, keepdim=True) if op == "sum" else read[0].amax(axes, keepdim=True)
    if op == "reshape":
        return read[0].reshape((*read[0].shape[:front], *value.shape))
    if op == "slice":
        axis, *bounds = value.settings
        index = torch.arange(*bounds, device=like.device)
        return read[0].index_select(axis + front, index)
    if op == "place":
        axis, start, step = value.settings
        size = read[0].shape[axis + front]
        index = torch.arange(start, start + size * step, step, device=like.device)
        whole = read[0].new_zeros(*read[0].shape[:front], *value.shape)
        return whole.index_copy(axis + front, index, read[0])
    if op == "concat":
        parts = [
            t.expand(*lead[value.span], *v.shape) for t, v in zip(read, value.inputs, strict=True)
        ]
        return torch.cat(parts, value.settings[0] + front)
    if op == "permute":
        return read[0].permute(*range(front), *(axis + front for axis in value.settings[0]))
    if op == "expand":
        return read[0].expand((*lead[value.span], *value.shape))
    if op == "lay":
        return read[0]
    if op == "stop":
        return read[0].detach()
    if op == "route":
        return read[0]
    if op == "lookup":
        return torch.nn.functional.embedding(read[0].long(), read[1])
    if op == "scatter":
        index, given = read
        rows = given.reshape(-1, given.shape[-1])
        whole = rows.new_zeros(value.shape)
        return whole.index_add(0, index.long().expand(given.shape[:-1]).reshape(-1), rows)
    if op == "matmul":
        return read[0] @ read[1]
    if op == "window":
        width, first = value.settings
        lines = read[0].narrow(front, first, value.shape[0] + width - 1)
        lines = lines.unfold(front, width, 1).transpose(-1, -2)
        return lines.reshape(*read[0].shape[:front], *value.shape)
    if op == "fold":
        width, first = value.settings
        count, size = value.shape
        last = count - first - read[0].shape[front]
        pad = torch.nn.functional.pad
        given = read[0].reshape(*read[0].shape[:-1], width, size)
        parts = [pad(given[..., j, :], (0, 0, first + j, last - j)) for j in range(width)]
        return torch.stack(parts).sum(0)
    if op == "linear":
        return read[0] @ read[1]
    if op == "outer":
        x, y = read
        return x.reshape(-1, x.shape[-1]).T @ y.reshape(-1, y.shape[-1])
    if op == "row_sum":
        return read[0].reshape((-1, *value.shape)).sum(0)
    if op == "time_sum":
        return read[0].reshape((-1, *lead[HELD], *value.shape)).sum(0)
    raise ValueError(f"{value}: no such instruction")


_ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "erf": torch.erf,
    "floor": torch.floor,
    "trunc": torch.trunc,
    "round": torch.round,
    "exp2": torch.exp2,
    "log2": torch.log2,
    "log10": torch.log10,
    "erfc": torch.erfc,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "pow": torch.pow,
    "fmod": torch.fmod,
    "hypot": torch.hypot,
    "atan2": torch.atan2,
    "gt": lambda a, b: (a > b).to(a.dtype),
    "ge": lambda a, b: (a >= b).to(a.dtype),
    "eq": lambda a, b: (a == b).to(a.dtype),
    "where": lambda c, a, b: torch.where(c != 0, a, b),
    "sigmoid_gradient": lambda g, y: g * (y * (1 - y)),
    "tanh_gradient": lambda g, y: g * (1 - y * y),
}
