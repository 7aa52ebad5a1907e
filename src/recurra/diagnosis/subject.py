"""What is looked into: a model at work on a batch, and the same batch with something changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.engine.probe import Key
from recurra.errors import ShapeError, kind_of
from recurra.lengths import valid_mask
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.states import leaves, rebuild, with_leaves

__all__ = [
    "Ran",
    "Subject",
    "is_state",
    "later_steps",
    "other_feature",
    "other_step",
    "rows_of",
    "short",
    "steps_of",
    "subject_of",
    "valid_steps",
    "values_of",
]

_EVERYWHERE = ("encoder", "layer", "layers", "cell")  # in places


class Ran(NamedTuple):
    """What one call gave.

    Args:
        outputs: of the topmost recurrent layer, ``[time, batch, ...]``.
        total: sum of the losses.
        count: number of predictions.
        last: each row's own last output, where that is no part of ``outputs``; else None.
        lengths: how many outputs each row has, ``[batch]``; None if all are whole. Rows and steps
            may be others than those of the inputs, where an encoder leaves out steps or reads each
            channel by itself.
    """

    outputs: Tensor
    total: Tensor
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    last: Tensor | None = None
    lengths: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """How many outputs each row has, ``[batch]``."""
        time, rows = self.outputs.shape[:2]
        return torch.full((rows,), time) if self.lengths is None else self.lengths.cpu()

    @property
    def valid(self) -> Tensor:
        """Which outputs are there, bool ``[time, batch]``."""
        return valid_mask(self.ends, self.outputs.shape[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A model at work on a batch.

    Args:
        module: that holds the cells.
        batch: what it reads.
        run: reads a batch; called in the mode in which the module is.
        reference: the mean loss of one that knows nothing, or None.
    """

    module: nn.Module
    batch: Batch
    run: Callable[[Batch], Ran]
    reference: float | None = None


def subject_of(
    model: nn.Module,
    batch: Batch,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    reference: float | None = None,
) -> Subject:
    """A subject of a model of this library, or of any module that reads sequences.

    Args:
        model: a :class:`recurra.models.Model`; or a layer or module that gives outputs ``[time,
            batch, ...]``, alone or as the first of a tuple, which needs a ``loss``.
        batch: what it reads.
        loss: of outputs and targets of a module, the mean over predictions.
        reference: the mean loss of one that knows nothing; that of a model's head if None.

    Raises:
        ShapeError: a batch without steps, or something that is no batch or no module.
    """
    if not isinstance(model, nn.Module):
        raise ShapeError(f"expected a model or layer, got {kind_of(model)}.")
    if not isinstance(batch, Batch):
        raise ShapeError(f"expected a recurra.Batch, got {kind_of(batch)}.")
    steps_of(batch)
    if isinstance(model, Model) and not hasattr(model, "head"):
        raise ShapeError(f"{type(model).__name__}: there is no recurrent layer to look into.")
    if isinstance(model, Model):
        known = model.head.reference if reference is None else reference
        return Subject(model, batch, lambda given: _of_model(model, given), known)
    if loss is None:
        raise ShapeError(
            f"{type(model).__name__}: expected loss=, a function of outputs and targets, beside a "
            "module that is no recurra model."
        )
    return Subject(model, batch, lambda given: _of_module(model, given, loss), reference)


def _of_model(model: Model, batch: Batch) -> Ran:
    read: list[Any] = []
    kept = model.encoder.register_forward_hook(lambda _, given, found: read.append(found))
    try:
        scored = model(batch)
    finally:
        kept.remove()
    outputs, last = read[0].outputs, read[0].last
    values = values_of(outputs)
    inside = last is not None and last.requires_grad and values.requires_grad
    (found,) = (
        torch.autograd.grad(last.sum(), values, allow_unused=True, retain_graph=True)
        if inside
        else (values,)
    )
    lengths = outputs.lengths if isinstance(outputs, PaddedSequence) else None
    return Ran(values, scored.total, scored.count, last if found is None else None, lengths)


def _of_module(module: nn.Module, batch: Batch, loss: Callable[[Tensor, Any], Tensor]) -> Ran:
    said = module(batch.inputs)
    outputs = said[0] if isinstance(said, tuple) else said
    lengths = outputs.lengths if isinstance(outputs, PaddedSequence) else None
    total = loss(outputs, batch.targets)
    if not isinstance(total, Tensor) or total.numel() != 1:
        got = list(total.shape) if isinstance(total, Tensor) else kind_of(total)
        raise ShapeError(f"loss: expected a function that gives one number, a tensor, got {got}.")
    return Ran(values_of(outputs), total.reshape(()), 1, None, lengths)


def is_state(key: Key, value: Tensor, ran: Ran) -> bool:
    """Is a named value a state of a cell that takes the steps of the outputs?"""
    same = value.shape[:2] == ran.outputs.shape[:2]
    return key.label.startswith("state.") and value.is_floating_point() and same


def short(key: Key) -> str:
    """A key without what all places have.

    >>> short(Key.of("encoder.layer.layers.1.cell: forget gate"))
    '1: forget gate'
    """
    shown = (part for part in key.place.split(".") if part not in _EVERYWHERE)
    return str(key._replace(place=".".join(part.removesuffix("_layer") for part in shown)))


# ---- steps of a batch ----------------------------------------------------------------------------


def steps_of(batch: Batch) -> tuple[int, Tensor]:
    """The number of steps, and how many each row has, ``[batch]``.

    Raises:
        ShapeError: nothing in it has steps.
    """
    for leaf, axis in _leaves(batch.inputs, batch.input_axis):
        if isinstance(leaf, PaddedSequence):
            return leaf.values.shape[0], leaf.lengths
        if axis == 1 and leaf.dim() >= 2:
            return leaf.shape[0], torch.full((leaf.shape[1],), leaf.shape[0])
    raise ShapeError(
        "batch: expected inputs [time, batch, ...], which have steps to look at, got none."
    )


def _leaves(tree: Any, axis: Any) -> list[tuple[Any, int]]:
    if isinstance(tree, tuple):
        axes = axis if isinstance(axis, tuple) else (axis,) * len(tree)
        return [pair for part in zip(tree, axes, strict=True) for pair in _leaves(*part)]
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
