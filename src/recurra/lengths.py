"""Lengths on plain tensors: ``values`` are ``[time, batch, ...]``, ``lengths`` int64 ``[batch]``.

The engine works on these; :class:`recurra.PaddedSequence` is the same for people.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import BackendError, ShapeError
from recurra.states import Tree, paths

__all__ = [
    "Marks",
    "check_lengths",
    "common_sizes",
    "last_step",
    "mask_padding",
    "reverse_valid",
    "spread",
    "take_steps",
    "valid_mask",
    "within",
]


class Marks(NamedTuple):
    """Where rows end and begin, checked once for all that runs over them.

    Args:
        place: time, batch and device of the values that they were held against.
        lengths: int64 ``[batch]``, or None if every row is whole.
        resets: bool ``[time, batch]``, False behind each row's end, or None if nothing is reset.
    """

    place: tuple[int, int, torch.device]
    lengths: Tensor | None = None
    resets: Tensor | None = None


def check_lengths(lengths: Any, time: int, batch: int, device: torch.device | None) -> Tensor:
    """Lengths as int64 ``[batch]`` on ``device``, or an error that says what is wrong with them.

    Raises:
        ShapeError: not one whole number for each row, or outside ``0 .. time``. Where the lengths
            fit the other axis, the message says which axis is time.
        BackendError: their numbers cannot be read, as inside ``torch.export``.
    """
    try:
        given = torch.as_tensor(lengths, device=device)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ShapeError(f"lengths: expected whole numbers [batch], got {lengths!r}") from problem
    if given.numel() == 0 and not isinstance(lengths, Tensor):
        given = given.to(torch.int64)  # torch reads [] as floats
    if given.dtype is not torch.int64:
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise ShapeError(f"lengths: expected whole numbers, got {given.dtype}")
        given = given.to(torch.int64)
    if given.dim() != 1 or given.shape[0] != batch:
        hint = ""
        if given.dim() == 1 and given.shape[0] == time:
            hint = (
                f" They fit the first axis ({time}), which is time: sequences are "
                "[time, batch, ...]; transpose values that are [batch, time, ...]."
            )
        raise ShapeError(
            f"lengths: expected one for each of {batch} rows (values are [time={time}, "
            f"batch={batch}, ...]), got shape {list(given.shape)}.{hint}"
        )
    try:
        low, high = map(int, given.aminmax()) if batch else (0, 0)
    except RuntimeError as problem:
        raise BackendError(
            "lengths: expected a tensor whose numbers can be read, since they decide which steps "
            "are run; inside torch.export and torch.func.vmap, and on the device meta, they "
            "cannot. Leave lengths out, or put rows side by side in the batch."
        ) from problem
    if low < 0 or high > time:
        row = int(((given < 0) | (given > time)).nonzero()[0])
        hint = ""
        if low >= 0 and high <= batch:
            hint = (
                f" They would fit the second axis ({batch}), which is the batch: sequences are "
                "[time, batch, ...]; transpose values that are [batch, time, ...]."
            )
        raise ShapeError(
            f"lengths: expected 0 to {time} (the time axis of the values), got {int(given[row])} "
            f"in row {row}.{hint}"
        )
    return given


def within(lengths: Tensor, start: int, stop: int) -> Tensor:
    """Lengths as they are in a window of steps, ``start`` to ``stop - 1``."""
    return (lengths - start).clamp(0, stop - start)


def valid_mask(lengths: Tensor, time: int) -> Tensor:
    """``[time, batch]``, True where a step belongs to its row."""
    return torch.arange(time, device=lengths.device).unsqueeze(1) < lengths


def spread(mask: Tensor, like: Tensor) -> Tensor:
    """A ``[time, batch]`` mask with as many axes as ``like``."""
    return mask.view(*mask.shape, *(1,) * (like.dim() - 2))


def mask_padding(values: Tensor, lengths: Tensor, fill: float = 0) -> Tensor:
    """``values`` with ``fill`` behind each row; NaN there is gone, from gradients too."""
    mask = spread(valid_mask(lengths, values.shape[0]), values)
    return values.masked_fill(~mask, fill)


def take_steps(values: Tensor, index: Tensor) -> Tensor:
    """``result[t, b] = values[index[t, b], b]``."""
    return values[index, torch.arange(values.shape[1], device=values.device)]


def reverse_valid(values: Tensor, lengths: Tensor) -> Tensor:
    """Each row's valid part in reverse order, its padding where it was."""
    steps = torch.arange(values.shape[0], device=values.device).unsqueeze(1)
    return take_steps(values, torch.where(steps < lengths, lengths - 1 - steps, steps))


def last_step(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's value at its own last step, ``[batch, ...]``; zero for an empty row."""
    if values.shape[0] == 0:
        return values.sum(0, dtype=values.dtype)  # zeros that stay in the graph
    if lengths is None:
        return values[-1]
    at_last = take_steps(values, (lengths - 1).clamp(min=0).unsqueeze(0))
    return mask_padding(at_last, lengths)[0]


def common_sizes(tree: Tree, what: str) -> tuple[int, int]:
    """Time and batch of every leaf of ``tree``, which must agree.

    Raises:
        ShapeError: a leaf that is no ``[time, batch, ...]`` tensor, or differs from the first.
    """
    if type(tree) is Tensor and tree.dim() > 1:
        return tree.shape[0], tree.shape[1]
    sizes: tuple[int, int] | None = None
    for place, leaf in paths(tree):
        if not isinstance(leaf, Tensor) or leaf.dim() < 2:
            got = list(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
            raise ShapeError(f"{what}{place}: expected tensors [time, batch, ...], got {got}.")
        if sizes is not None and tuple(leaf.shape[:2]) != sizes:
            raise ShapeError(
                f"{what}{place}: expected [time={sizes[0]}, batch={sizes[1]}, ...], as the parts "
                f"before it, got {list(leaf.shape)}."
            )
        sizes = (leaf.shape[0], leaf.shape[1])
    if sizes is None:
        raise ShapeError(f"{what}: expected a tensor [time, batch, ...], got nothing.")
    return sizes
