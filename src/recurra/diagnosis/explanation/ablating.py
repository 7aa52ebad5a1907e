"""Each unit inside a model taken away in turn."""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.columns import aligned
from recurra.diagnosis.checked import check_module, without_cells
from recurra.diagnosis.explanation.interventions import MOST, Loss, losses_of, predictions
from recurra.diagnosis.subject import Subject
from recurra.engine import Change, NamedValues, changing, named_values
from recurra.engine.keys import Key
from recurra.errors import InputTypeError, SettingError, ShapeError, kind_of, nearest
from recurra.lengths import spread, valid_mask
from recurra.sequences import PaddedSequence
from recurra.settings import check_kind, check_number, check_size

__all__ = ["Ablated", "Ablations", "ablations", "correlations"]


class Ablated(NamedTuple):
    """A unit that was taken away.

    Args:
        key: of the value, as of :func:`recurra.named_values`.
        unit: its number.
        change: of the mean loss, above 0 where the unit helped.
        correlation: of the unit with what it was held against, or None.
    """

    key: str
    unit: int
    change: float
    correlation: float | None


class Ablations(Sequence[Ablated]):
    """Units by how much the loss rises without each; ``print`` shows the first.

    Args:
        loss: mean loss with all units.
        units: by change, the largest first.
    """

    def __init__(self, loss: float, units: Sequence[Ablated]) -> None:
        self.loss, self._units = loss, list(units)

    def __getitem__(self, number: Any) -> Any:
        """The unit of that rank."""
        return self._units[number]

    def __len__(self) -> int:
        return len(self._units)

    def of(self, unit: int, key: str | None = None) -> Ablated:
        """One unit.

        Args:
            unit: its number.
            key: of its value; not needed where there is one.

        Raises:
            SettingError: no such unit, or several.
        """
        check_size("unit", unit, 0)
        found = [one for one in self if one.unit == unit and key in (None, one.key)]
        if len(found) != 1:
            known = sorted({one.key for one in self})
            raise SettingError(
                f"unit, key: expected one unit of {known}, got {unit} of {key!r}, found "
                f"{len(found)}."
            )
        return found[0]

    def __str__(self) -> str:
        told = any(one.correlation is not None for one in self)
        head = ("value", "unit", "change of loss") + (("correlation",) if told else ())
        rows: list[tuple[str, ...]] = [head]
        for one in self._units[:MOST]:
            beside = ("-" if one.correlation is None else f"{one.correlation:.3f}",) * told
            rows.append((one.key, str(one.unit), f"{one.change:+.4f}", *beside))
        more = f"\n{len(self) - MOST} more units" if len(self) > MOST else ""
        return f"loss {self.loss:.4f}\n" + aligned(rows, right=(1, 2, 3)) + more


@torch.no_grad()
def ablations(
    model: Any,
    batch: Any,
    value: str = "state.h",
    *,
    to: float | str = 0.0,
    against: Tensor | None = None,
    of: nn.Module | None = None,
    loss: Loss = None,
    lengths: Any = None,
    batch_first: bool = False,
    steps_at_once: int = 65_536,
) -> Ablations:
    """Take away each unit of a value in turn, and see what the loss becomes without it.

    That a unit goes along with something does not mean that anything hangs on it: beside the change
    of the loss stands, if asked for, the correlation. In evaluation mode; many units at once, each
    in copies of the rows.

    Args:
        model: as of :func:`recurra.diagnosis.intervene`, like all that is not told here.
        batch: as there.
        value: a key or label of :func:`recurra.named_values`; a label of several cells is taken of
            each.
        to: what a unit is held at, or ``"mean"``: its own mean over all steps of the batch.
        against: numbers that units are correlated with: of rows ``[batch]``, beside which the last
            step of each counts, or of steps ``[time, batch]``.
        of: as there.
        loss: as there.
        lengths: as there.
        batch_first: as there.
        steps_at_once: rows times steps in one call, which bounds the memory.

    Raises:
        SettingError: no such value, or no loss.
        ShapeError: a value without units, or ``against`` of another shape.
    """
    check_size("steps_at_once", steps_at_once)
    asked = Subject(model, batch, lengths=lengths, batch_first=batch_first)
    moved = asked.owner if of is None else check_module("of", of)
    check_kind("value", value, str, "a key or label of named_values")
    with asked.asking():
        # As a method of what is moved, so that places are told as of that.
        seen = named_values(MethodType(lambda module: asked.answer(asked.every), moved))
        before = _needed(asked, asked.every, loss)
        asked.check_said(before)
        count, units = predictions(asked, loss), []
        if not len(seen):
            raise SettingError(without_cells("model" if of is None else "of", moved))
        for key, values in _chosen(seen, value).items():
            after = _each_away(asked, moved, key, values, to, loss, steps_at_once)
            change = (after.double().sum(1) - before.double().sum()) / count
            beside = _correlations(asked, values, against)
            units += [
                Ablated(key, unit, float(change[unit]), None if beside is None else beside[unit])
                for unit in range(values.shape[-1])
            ]
    units.sort(key=lambda one: -one.change)
    return Ablations(float(before.double().sum()) / count, units)


def _needed(asked: Subject, rows: Tensor, loss: Loss) -> Tensor:
    found = losses_of(asked, rows, loss)
    return asked.losses(rows) if found is None else found  # which says what is missing


def _chosen(seen: NamedValues, value: str) -> dict[str, Tensor]:
    """Values with units by key, each cell's first run."""
    found: dict[str, Tensor] = {}
    for key, tensor in seen.items():
        place, label, _ = Key.of(key)
        plain = str(Key(place, label))
        if value in (plain, key, label):
            found.setdefault(plain, tensor)
    if not found:
        raise SettingError(f"value: ablations: no {value!r}; {nearest(value, list(seen))}")
    for key, tensor in found.items():
        if tensor.dim() < 3 or not tensor.is_floating_point():
            raise ShapeError(
                f"ablations: {key!r}: expected floats [time, batch, units], got "
                f"{list(tensor.shape)}."
            )
    return found


def _each_away(
    asked: Subject,
    moved: nn.Module,
    key: str,
    values: Tensor,
    to: float | str,
    loss: Loss,
    budget: int,
) -> Tensor:
    """Losses of rows without each unit ``[units, batch]``."""
    size, batch = values.shape[-1], asked.rows
    held = _held(asked, values, to)
    # A cell that runs over other rows than the batch's is asked about one unit at a time.
    copies = max(1, budget // max(len(values) * batch, 1)) if values.shape[1] == batch else 1
    found = []
    for units in torch.arange(size, device=values.device).split(copies):  # type: ignore[no-untyped-call]
        if len(units) == 1:
            change, rows = Change(0.0, held[int(units)], int(units)), asked.every
        else:
            away = torch.nn.functional.one_hot(units, size).to(values.dtype)
            away = away.repeat_interleave(batch, 0).unsqueeze(0)  # [1, copies * batch, units]
            away = away.view(1, away.shape[1], *[1] * (values.dim() - 3), size)
            change, rows = Change(1 - away, away * held), asked.every.repeat(len(units))
        with changing(moved, {key: change}):
            found.append(_needed(asked, rows, loss).view(len(units), batch))
    return torch.cat(found)


def _held(asked: Subject, values: Tensor, to: float | str) -> Tensor:
    """What each unit is held at ``[units]``."""
    if isinstance(to, str):
        if to != "mean":
            raise SettingError(f"to: expected a number or 'mean', got {to!r}")
        there = spread(_mask(asked, values), values).expand_as(values)
        axes = tuple(range(values.dim() - 1))
        return torch.where(there, values, 0.0).sum(axes) / there.sum(axes).clamp(min=1)
    return values.new_full(values.shape[-1:], check_number("to", to))


def _mask(asked: Subject, values: Tensor) -> Tensor:
    """``[time, rows]``, True where a step belongs to its row."""
    lengths = asked.lengths
    for leaf in asked.leaves:
        if lengths is None and isinstance(leaf.value, PaddedSequence):
            lengths = leaf.value.lengths
    if lengths is None or values.shape[1] != len(lengths) or int(lengths.max()) > len(values):
        return torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
    return valid_mask(lengths, len(values))


def _correlations(asked: Subject, values: Tensor, against: Tensor | None) -> list[float] | None:
    """Of each unit with what it is held against."""
    if against is None:
        return None
    if not isinstance(against, Tensor):
        raise InputTypeError(f"against: expected a tensor of numbers, got {kind_of(against)}.")
    if not bool(against.isfinite().all()):
        raise ShapeError("against: expected finite numbers, got some that are not.")
    mask, wanted = _mask(asked, values), against.to(values.device).double()
    if wanted.shape == mask.shape:
        units, beside = values[mask], wanted[mask]
    elif wanted.shape == mask.shape[1:]:
        last = (mask.sum(0) - 1).clamp(min=0)
        units, beside = values[last, torch.arange(len(last), device=last.device)], wanted
    else:
        raise ShapeError(
            f"against: expected numbers of {list(mask.shape[1:])} rows or of {list(mask.shape)} "
            f"steps, got {list(wanted.shape)}."
        )
    units = units.double().flatten(1) if units.dim() == 2 else units.double().flatten(0, -2)
    found: list[float] = correlations(units, beside).tolist()
    return found


def correlations(units: Tensor, beside: Tensor) -> Tensor:
    """Of each unit with other numbers; 0 where one of them is constant.

    Args:
        units: ``[numbers, units]``.
        beside: ``[numbers]``.
    """
    units, beside = units - units.mean(0), (beside - beside.mean()).unsqueeze(1)
    size = (units.square().sum(0) * beside.square().sum()).sqrt()
    return torch.where(size > 0, (units * beside).sum(0) / size, 0.0)
