"""Steps of a batch, and the same batch with some of them changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.errors import ShapeError
from recurra.lengths import valid_mask
from recurra.sequences import PaddedSequence
from recurra.states import leaves, rebuild, with_leaves

__all__ = [
    "later_steps",
    "leaves_of",
    "other_feature",
    "other_step",
    "rows_of",
    "steps_of",
    "valid_steps",
    "values_of",
]


def steps_of(batch: Batch) -> tuple[int, Tensor]:
    """The number of steps, and how many each row has, ``[batch]``.

    Raises:
        ShapeError: nothing in it has steps.
    """
    for leaf, axis in leaves_of(batch.inputs, batch.input_axis):
        if isinstance(leaf, PaddedSequence):
            return leaf.values.shape[0], leaf.lengths
        if axis == 1 and leaf.dim() >= 2:
            return leaf.shape[0], torch.full((leaf.shape[1],), leaf.shape[0])
    raise ShapeError(
        "batch: expected inputs [time, batch, ...], which have steps to look at, got none."
    )


def leaves_of(tree: Any, axis: Any) -> list[tuple[Any, int]]:
    """Tensors and PaddedSequences of a tree, each with the axis that counts its rows."""
    if isinstance(tree, tuple):
        axes = axis if isinstance(axis, tuple) else (axis,) * len(tree)
        return [pair for part in zip(tree, axes, strict=True) for pair in leaves_of(*part)]
    return [] if tree is None else [(tree, axis)]


def rows_of(batch: Batch, steps: Tensor) -> Tensor:
    """Of each row whether it has a step of its own, ``[batch]``.

    Args:
        batch: what is read.
        steps: a step of each row, perhaps below 0.
    """
    _, lengths = steps_of(batch)
    return (steps >= 0) & (steps < lengths.cpu())


def other_step(batch: Batch, steps: Tensor, seed: int = 0) -> Batch:
    """The same batch, in which each row reads at one step what another row reads there.

    Alone in its batch a row reads what it reads at another step.

    Args:
        batch: is not changed.
        steps: of each row, ``[batch]``; a row without that step stays as it is.
        seed: of who gives to whom.
    """
    time, lengths = steps_of(batch)
    lengths, rows = lengths.cpu(), len(lengths)
    draw = torch.Generator().manual_seed(seed)
    mine = torch.arange(rows)
    if rows > 1:
        by = int(torch.randint(1, rows, (), generator=draw))
        theirs = (mine + by) % rows
        at = torch.minimum(steps, lengths[theirs] - 1)
    else:
        theirs = mine
        by = int(torch.randint(1, max(time, 2), (), generator=draw))
        at = (steps + by) % lengths.clamp(min=1)
    reads = (steps >= 0) & (steps < lengths) & (at >= 0)

    def changed(values: Tensor) -> Tensor:
        new = values.clone()
        here = tuple(each[reads].to(values.device) for each in (steps, mine))
        there = tuple(each[reads].to(values.device) for each in (at, theirs))
        new[here] = values[there]
        return new

    return dataclasses.replace(batch, inputs=_stepwise(batch, changed))


def later_steps(batch: Batch) -> Batch:
    """The same batch, in which each row reads what the one before it reads, but for its first step.

    Alone in its batch a row reads its steps in another order.
    """

    def changed(values: Tensor) -> Tensor:
        new = values.roll(1, 1) if values.shape[1] > 1 else values.flip(0)
        return torch.cat([values[:1], new[1:]])

    return dataclasses.replace(batch, inputs=_stepwise(batch, changed))


def _stepwise(batch: Batch, change: Callable[[Tensor], Tensor]) -> Any:
    """The inputs with all that has the batch's steps changed; the others stay as they are."""
    time, _ = steps_of(batch)

    def walk(value: Any, axis: Any) -> Any:
        if isinstance(value, tuple):
            axes = axis if isinstance(axis, tuple) else (axis,) * len(value)
            return rebuild(value, [walk(*pair) for pair in zip(value, axes, strict=True)])
        if isinstance(value, PaddedSequence):
            if len(value.values) != time:
                return value
            return PaddedSequence(change(value.values), value.lengths)
        steps = value is not None and axis == 1 and value.dim() >= 2 and len(value) == time
        return change(value) if steps else value

    return walk(batch.inputs, batch.input_axis)


def other_feature(batch: Batch, feature: int, seed: int = 0) -> Batch:
    """The same batch, in which one feature of the first input is that of other rows and steps."""
    draw = torch.Generator().manual_seed(seed)

    def changed(values: Tensor, valid: Tensor) -> Tensor:
        new, own = values.clone(), values[valid][:, feature]
        order = torch.randperm(len(own), generator=draw).to(own.device)
        part = new[..., feature]
        part[valid] = own[order]
        return new

    valid = valid_steps(batch)

    def walk(number: int, leaf: Any) -> Any:
        if number:
            return leaf
        new = changed(values_of(leaf), valid.to(values_of(leaf).device))
        return PaddedSequence(new, leaf.lengths) if isinstance(leaf, PaddedSequence) else new

    parts = [walk(number, leaf) for number, leaf in enumerate(leaves(batch.inputs))]
    return dataclasses.replace(batch, inputs=with_leaves(batch.inputs, parts))


def values_of(leaf: Any) -> Tensor:
    """A tensor, or that of padded rows."""
    values: Tensor = leaf.values if isinstance(leaf, PaddedSequence) else leaf
    return values


def valid_steps(batch: Batch) -> Tensor:
    """Which steps are a row's own, bool ``[time, batch]``."""
    time, lengths = steps_of(batch)
    return valid_mask(lengths.cpu(), time)
