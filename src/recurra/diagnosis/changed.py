"""Steps of a batch, and the same batch with some of them changed.

What is read is its inputs and its context; each tensor of these is an *input*, which has a name. A
change is of all that has the batch's steps, or of one input alone, in its own steps: one that
belongs to a whole row has a single one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.errors import ShapeError
from recurra.lengths import valid_mask
from recurra.sequences import PaddedSequence
from recurra.states import rebuild

__all__ = [
    "each_input",
    "input_of",
    "inputs_of",
    "last_steps",
    "later_steps",
    "leaves_of",
    "other_feature",
    "other_step",
    "rows_of",
    "steps_of",
    "valid_steps",
    "values_of",
]


def inputs_of(batch: Batch) -> list[str]:
    """Names of all that is read: of its inputs, then of its context."""
    return [name for name, _, _ in _named(batch)]


def input_of(batch: Batch, name: str) -> tuple[Any, bool]:
    """One input, and whether it has steps."""
    value, axis = next((value, axis) for own, value, axis in _named(batch) if own == name)
    return value, _has_steps(value, axis)


def _named(batch: Batch) -> list[tuple[str, Any, int]]:
    """Name, value, and the axis that counts rows, of each input."""
    found: list[tuple[str, Any, int]] = []
    for start, tree, axis in (
        ("input", batch.inputs, batch.input_axis),
        ("context", batch.context, 0),
    ):
        found += leaves_of(tree, axis, start)
    return [each for each in found if isinstance(each[1], Tensor | PaddedSequence)]


def leaves_of(value: Any, axis: Any, name: str = "input") -> Iterator[tuple[str, Any, int]]:
    """All that a tree holds, also None: its name, what it is, and the axis that counts its rows.

    Args:
        value: the tree.
        axis: of all of it, or a tree of them.
        name: of the whole.
    """
    if not isinstance(value, tuple):
        yield name, value, axis
        return
    axes = axis if isinstance(axis, tuple) else (axis,) * len(value)
    for field, each, own in zip(_fields(value, name), value, axes, strict=True):
        yield from leaves_of(each, own, field)


def _fields(value: tuple[Any, ...], name: str) -> list[str]:
    """Names of the parts of a tuple; those of the context are told apart from those of inputs."""
    own = getattr(value, "_fields", None)
    if own is None:
        return [f"{name} {number}" for number in range(len(value))]
    return [f"{name}.{field}" for field in own] if name.startswith("context") else list(own)


def _has_steps(value: Any, axis: int) -> bool:
    return isinstance(value, PaddedSequence) or (axis == 1 and value.dim() >= 2)


def steps_of(batch: Batch, name: str | None = None) -> tuple[int, Tensor]:
    """The number of steps, and how many each row has, ``[batch]``.

    Args:
        batch: what is read.
        name: of one input; the steps of the first that has some if None.

    Raises:
        ShapeError: nothing in it has steps.
    """
    value, has = _with_steps(batch) if name is None else input_of(batch, name)
    if isinstance(value, PaddedSequence):
        return value.values.shape[0], value.lengths
    rows, time = (value.shape[1], value.shape[0]) if has else (len(value), 1)
    return time, torch.full((rows,), time)


def _with_steps(batch: Batch) -> tuple[Any, bool]:
    """The first of a batch's inputs that has steps, as :func:`input_of` gives one."""
    for _, value, axis in leaves_of(batch.inputs, batch.input_axis):
        if value is not None and _has_steps(value, axis):
            return value, True
    raise ShapeError(
        "batch: expected inputs [time, batch, ...], which have steps to look at, got none."
    )


def rows_of(batch: Batch, steps: Tensor, name: str | None = None) -> Tensor:
    """Of each row whether it has a step of its own, ``[batch]``.

    Args:
        batch: what is read.
        steps: a step of each row, perhaps below 0.
        name: of one input, as of :func:`steps_of`.
    """
    _, lengths = steps_of(batch, name)
    return (steps >= 0) & (steps < lengths.cpu())


def other_step(batch: Batch, steps: Tensor, seed: int = 0, name: str | None = None) -> Batch:
    """The same batch, in which each row reads at one step what another row reads there.

    Alone in its batch a row reads what it reads at another step.

    Args:
        batch: is not changed.
        steps: of each row, ``[batch]``; a row without that step stays as it is.
        seed: of who gives to whom.
        name: of one input, which alone is changed; all that has the batch's steps if None.
    """
    time, lengths = steps_of(batch, name)
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

    return _stepwise(batch, changed, name)


def later_steps(batch: Batch) -> Batch:
    """The same batch, in which each row reads what the one before it reads, but for its first step.

    Alone in its batch a row reads its steps in another order.
    """

    def changed(values: Tensor) -> Tensor:
        new = values.roll(1, 1) if values.shape[1] > 1 else values.flip(0)
        return torch.cat([values[:1], new[1:]])

    return _stepwise(batch, changed, None)


def last_steps(batch: Batch, name: str, window: int) -> Batch:
    """The same batch, of one input of which each row has its last steps alone.

    Before them it reads what another row reads there, alone in its batch its steps in another
    order.

    Args:
        batch: is not changed.
        name: of the input.
        window: how many steps stay, counted back from each row's end.
    """
    _, lengths = steps_of(batch, name)

    def changed(values: Tensor) -> Tensor:
        other = values.roll(1, 1) if values.shape[1] > 1 else values.flip(0)
        steps = torch.arange(len(values)).unsqueeze(1)
        far = (steps < lengths.cpu() - window).to(values.device)
        return torch.where(far.reshape(*far.shape, *[1] * (values.dim() - 2)), other, values)

    return _stepwise(batch, changed, name)


def _stepwise(batch: Batch, change: Callable[[Tensor], Tensor], name: str | None) -> Batch:
    """The batch with one input changed, or all that has its steps; the others stay as they are."""
    time, _ = steps_of(batch, name)

    def changed(value: Any, axis: int, own: str) -> Any:
        if name not in (None, own):
            return value
        if isinstance(value, PaddedSequence):
            if len(value.values) != time:
                return value
            return PaddedSequence(change(value.values), value.lengths)
        if not isinstance(value, Tensor):
            return value
        if _has_steps(value, axis) and len(value) == time:
            return change(value)
        return value if name is None else change(value.unsqueeze(0)).squeeze(0)

    return each_input(batch, changed)


def each_input(batch: Batch, change: Callable[[Any, int, str], Any]) -> Batch:
    """The batch with other inputs.

    Args:
        batch: is not changed.
        change: of an input, the axis that counts its rows, and its name; what is read instead.
    """

    def walk(value: Any, axis: Any, name: str) -> Any:
        if not isinstance(value, tuple):
            return change(value, axis, name)
        axes = axis if isinstance(axis, tuple) else (axis,) * len(value)
        parts = zip(value, axes, _fields(value, name), strict=True)
        return rebuild(value, [walk(*each) for each in parts])

    inputs = walk(batch.inputs, batch.input_axis, "input")
    context = walk(batch.context, 0, "context")
    return dataclasses.replace(batch, inputs=inputs, context=context)


def other_feature(batch: Batch, feature: int, seed: int = 0, name: str | None = None) -> Batch:
    """The same batch, in which one feature of an input is that of other rows and steps.

    Args:
        batch: is not changed.
        feature: its number.
        seed: of what stands where.
        name: of the input, one that has steps; the first if None.
    """
    name = inputs_of(batch)[0] if name is None else name
    draw = torch.Generator().manual_seed(seed)

    def changed(values: Tensor, valid: Tensor) -> Tensor:
        new, own = values.clone(), values[valid][:, feature]
        order = torch.randperm(len(own), generator=draw).to(own.device)
        part = new[..., feature]
        part[valid] = own[order]
        return new

    valid = valid_steps(batch, name)

    def one(leaf: Any, axis: int, own: str) -> Any:
        if own != name:
            return leaf
        new = changed(values_of(leaf), valid.to(values_of(leaf).device))
        return PaddedSequence(new, leaf.lengths) if isinstance(leaf, PaddedSequence) else new

    return each_input(batch, one)


def values_of(leaf: Any) -> Tensor:
    """A tensor, or that of padded rows."""
    values: Tensor = leaf.values if isinstance(leaf, PaddedSequence) else leaf
    return values


def valid_steps(batch: Batch, name: str | None = None) -> Tensor:
    """Which steps are a row's own, bool ``[time, batch]``; of one input if it is named."""
    time, lengths = steps_of(batch, name)
    return valid_mask(lengths.cpu(), time)
