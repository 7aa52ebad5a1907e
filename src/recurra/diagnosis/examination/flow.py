"""How far a gradient flows back: that of the loss at a step, by the distance in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.diagnosis.checked import CONVERT, MANY
from recurra.diagnosis.subject import Ran, Subject, check_subject, is_state
from recurra.engine import Change, changing
from recurra.engine.keys import Key
from recurra.engine.probe import reading
from recurra.errors import ShapeError, kind_of
from recurra.settings import check_size

__all__ = ["Flow", "by_distance", "gradient_flow"]

Floats = npt.NDArray[np.float64]


class Flow(NamedTuple):
    r"""Gradient norms by distance in time.

    .. math::

        n_k = \operatorname{median}
            \Bigl\lVert \frac{\partial \mathcal L_t}{\partial s_{t-k}} \Bigr\rVert

    over rows and over the steps t that were looked at. s is all that a cell carries. Of a
    layer that runs in reverse, :math:`s_{t+k}`.

    Args:
        norms: by the cell's place in the model, with the number of its run where it runs several
            times, ``[distances]``; NaN where no row is that long.
        low: the tenth part of them that is smallest lies below.
        high: the tenth part that is largest lies above.
        finite: whether all were.
    """

    norms: Mapping[str, Floats]
    low: Mapping[str, Floats]
    high: Mapping[str, Floats]
    finite: bool = True

    @property
    def kept(self) -> Floats:
        """What is kept of the gradient, of the cell that keeps most at a distance; 1 at first."""
        with np.errstate(invalid="ignore"):  # of infinite ones
            shares = [norm / first for norm in self.norms.values() if (first := _first(norm)) > 0]
        if not shares:
            return np.zeros(max((len(norm) for norm in self.norms.values()), default=0))
        longest = max(map(len, shares))
        rows: Floats = np.stack(
            [np.pad(each, (0, longest - len(each)), constant_values=np.nan) for each in shares]
        )
        empty = np.isnan(rows).all(0)
        most: Floats = np.where(empty, np.nan, np.where(np.isnan(rows), -np.inf, rows).max(0))
        return most

    def of(self, place: str) -> Flow:
        """That of one cell alone."""
        norms, low, high = ({place: each[place]} for each in (self.norms, self.low, self.high))
        return Flow(norms, low, high, self.finite)

    @property
    def furthest(self) -> int:
        """The largest distance that was looked at."""
        (places,) = np.nonzero(~np.isnan(self.kept))
        return int(places[-1]) if len(places) else 0

    def within(self, share: float = 1e-3) -> int:
        """The largest distance at which so large a share is kept."""
        (places,) = np.nonzero(self.kept >= share)
        return int(places[-1]) if len(places) else 0

    @property
    def factor(self) -> float:
        """By what a step back multiplies the gradient: a straight line through log n over k."""
        kept = self.kept[: self.furthest + 1]
        at = np.arange(len(kept))
        seen = np.isfinite(kept) & (kept > 1e-30)
        if seen.sum() < 2:
            return 0.0
        return math.exp(float(np.polyfit(at[seen], np.log(kept[seen]), 1)[0]))


def _first(norm: Floats) -> float:
    """The largest at the smallest distances: at the very first, a field may not be used yet."""
    some = norm[:3]
    return float(np.nanmax(some)) if len(some) and not np.isnan(some).all() else 0.0


def gradient_flow(subject: Subject, anchors: int = 8) -> Flow:
    """Gradients of the loss at some steps, by distance.

    One forward pass, and a backward pass for each anchor; in evaluation mode.

    Args:
        subject: a model at work, see :func:`recurra.diagnosis.subject.subject_of`.
        anchors: at how many steps of each row the loss is looked at; the last one and others
            evenly before it, among those that have a loss.

    Raises:
        ShapeError: no cell ran, or the loss hangs on none of their outputs.
    """
    check_size("anchors", anchors, 1, MANY)
    shifts, valid = _shifts(check_subject(subject))
    if not shifts and (alone := _from_ends(subject)):
        return alone
    if not shifts:
        raise ShapeError(
            "model: no cell ran through the steps of the outputs, so that there is nothing to look "
            f"at in a {kind_of(subject.module or subject.call)}. {CONVERT}"
        )
    changes = {str(key.alone): Change(shift=leaf) for key, leaf in shifts.items()}
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    with torch.enable_grad():
        with subject.asking(), changing(subject.owner, changes):
            ran = subject.run(subject.batch)
        finite = True
        for given, at in _anchors(ran, anchors):
            gradients = torch.autograd.grad(
                given, list(shifts.values()), allow_unused=True, retain_graph=True
            )
            for place, norms in _norms(shifts, gradients).items():
                finite = finite and bool(np.isfinite(norms).all())
                found.setdefault(place, []).append((norms, at))
    every = {place: by_distance(parts, valid) for place, parts in found.items()}
    finite = finite and (bool(found) or bool(torch.isfinite(ran.total)))
    middle, low, high = ({place: rows[n] for place, rows in every.items()} for n in range(3))
    return Flow(middle, low, high, finite)


def _from_ends(subject: Subject) -> Flow | None:
    """Of cells that read inputs in steps of their own: the whole loss, from each row's end.

    That of what is fused behind them. None where there are no such cells.
    """
    inside = "" if subject.model is None else "encoder."
    with subject.asking(), torch.no_grad(), reading(subject.owner) as seen:
        subject.run(subject.batch)
    states = {
        key: value
        for key, value in seen.items()
        if key.label.startswith("state.") and key.place.startswith(inside)
        if value.is_floating_point() and value.dim() > 2
    }
    if not states:
        return None
    shifts = {key: torch.zeros_like(value).requires_grad_() for key, value in states.items()}
    changes = {str(key.alone): Change(shift=leaf) for key, leaf in shifts.items()}
    with torch.enable_grad(), subject.asking(), changing(subject.owner, changes):
        total = subject.run(subject.batch).total
        slopes = torch.autograd.grad(total, list(shifts.values()), allow_unused=True)
    finite, rows = bool(torch.isfinite(total)), {}
    for place, norms in _norms(shifts, slopes).items():
        # A state that is 0 is none: so it is behind the end of a row.
        parts = [v.detach().flatten(2).cpu() != 0 for k, v in states.items() if k.where == place]
        there = torch.stack([part.any(2) for part in parts]).any(0)
        steps = torch.arange(len(there)).unsqueeze(1)
        last = torch.where(there, steps, -1).amax(0)
        ends = np.where(last.numpy() >= 0, last.numpy().astype(float), math.nan)
        finite = finite and bool(np.isfinite(norms).all())
        rows[place] = by_distance([(norms, ends)], steps <= last)
    middle, low, high = ({place: each[n] for place, each in rows.items()} for n in range(3))
    return Flow(middle, low, high, finite)


def _shifts(subject: Subject) -> tuple[dict[Key, Tensor], Tensor]:
    """Zeros that are added to every state after every step, by key; and which steps are there."""
    with subject.asking(), torch.no_grad(), reading(subject.owner) as seen:
        ran = subject.run(subject.batch)
    shifts = {
        key: torch.zeros_like(value).requires_grad_()
        for key, value in seen.items()
        if is_state(key, value, ran)
    }
    return shifts, ran.valid


def _anchors(ran: Ran, number: int) -> Iterator[tuple[Tensor, Floats]]:
    """Of each anchor what flows back from it, and at which step of each row it is; NaN for none.

    What flows back from a step is the gradient of the whole loss by its output.
    """
    parts = [ran.outputs] if ran.last is None else [ran.outputs, ran.last]
    slopes = torch.autograd.grad(ran.total, parts, allow_unused=True, retain_graph=True)
    if slopes[0] is not None:
        steps = slopes[0].detach().flatten(2).norm(dim=2)
        lossy = (steps > 0).cpu().numpy() & ran.valid.numpy()
        for chosen in _chosen(lossy, number):
            rows = np.flatnonzero(chosen >= 0)
            here = torch.from_numpy(chosen[rows]), torch.from_numpy(rows)
            given = (ran.outputs[here] * slopes[0].detach()[here]).sum()
            yield given, np.where(chosen >= 0, chosen, np.nan)
    if ran.last is not None and slopes[1] is not None:
        lengths = ran.ends.numpy()
        at = np.where(lengths > 0, lengths - 1.0, np.nan)
        yield (ran.last * slopes[1].detach()).sum(), at


def _chosen(lossy: npt.NDArray[np.bool_], number: int) -> list[npt.NDArray[np.int64]]:
    """A step of each row for every anchor, the last ones first; -1 where a row has no more."""
    found = np.full((number, lossy.shape[1]), -1)
    for row in range(lossy.shape[1]):
        (steps,) = np.nonzero(lossy[:, row])
        last = max(len(steps) - 1, 0)
        few = list(dict.fromkeys(np.linspace(last, 0, number + 1)[:number].round().astype(int)))
        few = few if len(steps) else []
        found[: len(few), row] = steps[few]
    return [each for each in found if (each >= 0).any()]


def _norms(shifts: Mapping[Key, Tensor], gradients: Sequence[Tensor | None]) -> dict[str, Floats]:
    """Of each cell the norm over all fields of its state, ``[time, batch]``."""
    squares: dict[str, Tensor] = {}
    for (key, leaf), gradient in zip(shifts.items(), gradients, strict=True):
        value = torch.zeros_like(leaf) if gradient is None else gradient
        square = value.double().flatten(2).pow(2).sum(2)
        squares[key.where] = squares.get(key.where, torch.zeros_like(square)) + square
    return {place: square.sqrt().cpu().numpy() for place, square in squares.items()}


def by_distance(
    parts: Sequence[tuple[Floats, Floats]], valid: Tensor, *, reverse: bool | None = None
) -> tuple[Floats, Floats, Floats]:
    """Median, and quantiles, of norms by distance from their anchors.

    Args:
        parts: norms ``[time, batch]``, and the step of each row from which they are looked at.
        valid: which steps are there.
        reverse: whether distances are those to later steps; where the norms are if None.
    """
    time = valid.shape[0]
    steps = np.arange(time)[:, None]
    ahead = sum(float(np.nansum(norms[(steps > at) & np.isfinite(norms)])) for norms, at in parts)
    back = sum(float(np.nansum(norms[(steps < at) & np.isfinite(norms)])) for norms, at in parts)
    reverse = ahead > back if reverse is None else reverse
    own = valid.numpy()
    rows: list[list[Floats]] = [[] for _ in range(time)]
    for norms, at in parts:
        reached = (np.nan_to_num(norms, nan=1.0) > 0).any(0)
        # What an output does not read of a row (a largest value of others) is not lost on the way.
        at = np.where(reached, at, np.nan) if reached.any() else at
        if reverse and not (norms[np.maximum(np.nan_to_num(at), 0).astype(int), 0] > 0).any():
            at = np.zeros_like(at)  # what a row says at its end, a reversed cell says at its first
        for distance in range(time):
            step = at + distance if reverse else at - distance
            here = (step >= 0) & (step < time)
            columns = np.flatnonzero(here)
            columns = columns[own[step[columns].astype(int), columns]]
            if len(columns):
                rows[distance].append(norms[step[columns].astype(int), columns])
    out = np.full((3, time), np.nan)
    for distance, some in enumerate(rows):
        if some:
            norms = np.concatenate(some)
            # Between two that are infinite nothing can be drawn through.
            exact = np.isfinite(norms).all()
            asked = (0.5, 0.1, 0.9)
            out[:, distance] = (
                np.quantile(norms, asked)
                if exact
                else np.quantile(norms, asked, method="inverted_cdf")
            )
    return out[0], out[1], out[2]
