"""How values of a run are moved."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.engine.opened import Moved
from recurra.errors import SettingError, ShapeError, dtype_name, kind_of
from recurra.settings import check_size

__all__ = ["Change", "Chosen", "joined"]

Chosen = int | slice | Sequence[int] | Sequence[bool] | Tensor | None
"""Some of so many: a number, several, a slice, a mask of booleans; all if None."""


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
    r"""How a value is moved: :math:`v_t \leftarrow a_t \odot v_t + b_t`.

    Clamped, scaled, removed or patched, all are of this kind; and the gradient of ``shift`` is that
    of the value itself.

    Args:
        scale: a, a number or a tensor that spreads over ``[time, batch, ...]``.
        shift: b, the same.
        units: of the value's last axis that are moved: a number, several, a slice, or a mask of
            booleans, one for each; all if None.
        since: the first step that is moved, counted from 0 in every run of the cell.
        until: the first one that is not; to the end if None.
        rows: of the batch, the same way as ``units``.
        steps: in place of ``since`` and ``until``, the same way as ``units``.

    Raises:
        SettingError: a step that is no whole number, a scale or shift that is NaN, or ``steps``
            beside ``since`` or ``until``.

    Example:
        >>> shut = Change(scale=0)  # a gate that lets nothing through
        >>> stuck = Change(scale=0, shift=1.0, units=3, since=10)  # one unit, from a step on
        >>> half = Change(scale=0, units=slice(0, 8), steps=slice(None, None, 2))
    """

    scale: Any = 1.0
    shift: Any = 0.0
    units: Chosen = None
    since: int = 0
    until: int | None = None
    rows: Chosen = None
    steps: Chosen = None

    def __post_init__(self) -> None:
        for name, step in (("since", self.since), ("until", self.until)):
            if step is None and name == "until":
                continue
            try:
                object.__setattr__(self, name, check_size(name, step, 0))
            except SettingError:
                raise SettingError(
                    f"Change: {name}: expected a step such as 10, got {step!r}; steps=slice(-3, "
                    "None) counts from the end"
                ) from None
        for name, number in (("scale", self.scale), ("shift", self.shift)):
            if _of_no_value(number):
                raise SettingError(f"Change: {name}: expected a number, got NaN")
        if self.steps is not None and (self.since or self.until is not None):
            raise SettingError(
                f"Change: steps: expected none beside since={self.since} and until={self.until}, "
                f"got {self.steps!r}. steps=slice(since, until) says the same."
            )

    def of(self, time: int, batch: int, like: Tensor, what: str) -> Moved:
        """Scale and shift ``[time, batch, ...]`` of a value.

        Args:
            time: steps.
            batch: rows.
            like: an example of the value, ``[batch, ...]``.
            what: is moved, for messages.

        Raises:
            ShapeError: no floats, numbers that do not spread over it, or units, rows or steps that
                it has not.
        """
        if not like.is_floating_point():
            raise ShapeError(
                f"{what}: expected floats, which alone can be moved, got {dtype_name(like.dtype)}"
            )
        shape = (time, batch, *like.shape[1:])
        scale, shift = (_wide(part, shape, like, what) for part in (self.scale, self.shift))
        whole = not self.since and self.until is None and self.steps is None
        if self.units is None and self.rows is None and whole:
            return scale, shift
        where = torch.zeros(shape, dtype=torch.bool, device=like.device)
        asked = slice(self.since, self.until) if self.steps is None else self.steps
        steps = _numbers(asked, time, f"{what}: steps")
        rows = _numbers(self.rows, batch, f"{what}: rows")
        if len(shape) == 2:
            if self.units is not None:
                raise ShapeError(f"{what}: units: expected none, as it has no axis of units")
            where[steps.unsqueeze(1), rows] = True
        else:
            units = _numbers(self.units, shape[-1], f"{what}: units")
            where[steps.reshape(-1, 1, 1), rows.unsqueeze(1), ..., units] = True
        return torch.where(where, scale, 1.0), torch.where(where, shift, 0.0)


def _of_no_value(number: Any) -> bool:
    """Whether a number, or any of a tensor's, is NaN."""
    if isinstance(number, Tensor):
        return bool(number.isnan().any())
    return isinstance(number, float | np.floating) and math.isnan(number)


def _wide(part: Any, shape: tuple[int, ...], like: Tensor, what: str) -> Tensor:
    try:
        if isinstance(part, Tensor) and part.is_complex():  # whose imaginary part would be lost
            raise TypeError
        return torch.as_tensor(part, dtype=like.dtype, device=like.device).expand(shape)
    except (RuntimeError, TypeError, ValueError):
        got = list(part.shape) if isinstance(part, Tensor) else kind_of(part)
        raise ShapeError(
            f"{what}: expected a number, or a tensor that spreads over {list(shape)} (time, batch, "
            f"and so on), got {got}"
        ) from None


def _numbers(chosen: Chosen, size: int, what: str) -> Tensor:
    every = torch.arange(size)
    if chosen is None:
        return every
    if isinstance(chosen, slice):
        try:
            return every[torch.tensor(range(size)[chosen], dtype=torch.int64)]
        except (TypeError, ValueError):  # bounds that are no numbers, or a step of 0
            raise ShapeError(f"{what}: expected a slice of whole numbers, got {chosen!r}") from None
    try:
        given = torch.as_tensor(chosen, device="cpu")
    except (RuntimeError, TypeError, ValueError):
        given = torch.zeros(1)
    if given.dim() == 1 and not len(given):
        return every[:0]
    if given.dtype == torch.bool and given.dim():
        if given.shape != every.shape:
            raise ShapeError(f"{what}: expected a mask of {size}, got one of {list(given.shape)}")
        return every[given]
    whole = given.dim() < 2 and given.dtype in (torch.int64, torch.int32)
    if not whole or bool(((given < -size) | (given >= size)).any()):
        raise ShapeError(f"{what}: expected whole numbers of 0 to {size - 1}, got {chosen!r}")
    return given.reshape(-1).long() % size


def joined(first: Moved | None, then: Moved) -> Moved:
    """Two moves, one after the other, as one."""
    if first is None:
        return then
    return first[0] * then[0], first[1] * then[0] + then[1]
