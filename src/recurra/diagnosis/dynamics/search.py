"""Down the speed of a map from many starts at once, and whether it rests where it ends."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.diagnosis.dynamics.steps import Rows, StepMap

__all__ = ["Ended", "lowest", "search"]

_FIRST, _LEAST, _MOST = 1e-3, 1e-15, 1e8  # damping
_FLAT = 1e-7  # of the gradient, beside what it is made of
_BLOCK = 1 << 27  # bytes of the Jacobians that are there at a time


class Ended(NamedTuple):
    """Where a search ended.

    Args:
        points: ``[starts, units]``.
        residuals: lengths of F(x) - x, ``[starts]``.
        flat: whether the speed has no slope there, bool ``[starts]``.
    """

    points: Tensor
    residuals: Tensor
    flat: Tensor


class _Walk(NamedTuple):
    """Where rows are: points, F(x) - x, its Jacobian, and their damping."""

    points: Tensor
    gaps: Tensor
    slopes: Tensor
    damping: Tensor

    def at(self, index: Tensor) -> _Walk:
        return _Walk(*(part[index] for part in self))

    def put(self, index: Tensor, other: _Walk) -> None:
        for part, new in zip(self, other, strict=True):
            part[index] = new


def search(step: StepMap, starts: Tensor, rows: Rows, steps: int) -> Ended:
    r"""Levenberg-Marquardt on the speed, each row with a damping of its own.

    .. math::

        q(x) = \tfrac{1}{2} \lVert F(x) - x \rVert^2, \qquad A = J - I, \qquad
        (A^\top A + \mu D)\, \delta = -A^\top (F(x) - x)

    D is the mean of the diagonal of :math:`A^\top A`. With no damping left this is Newton's method;
    where A is singular, as along a line of fixed points, the damping keeps the equation solvable,
    and only directions that count are taken.

    Args:
        step: the map.
        starts: ``[starts, units]``.
        rows: what the steps read, a row for each start.
        steps: most of them.
    """
    block = max(1, _BLOCK // (4 * starts.element_size() * max(step.size, 1) ** 2))
    parts = []
    for start in range(0, len(starts), block):
        index = torch.arange(start, min(start + block, len(starts)), device=starts.device)
        parts.append(_walk(step, starts[index], rows.at(index), steps))
    found = zip(*parts, strict=True)
    return Ended(*(torch.cat(part) for part in found))


def _walk(step: StepMap, starts: Tensor, rows: Rows, steps: int) -> Ended:
    walk = _opened(step, starts, rows, starts.new_full((len(starts),), _FIRST))
    active = torch.arange(len(starts), device=starts.device)
    for _ in range(steps):
        active = active[_moving(walk.at(active))]
        if not len(active):
            break
        now = walk.at(active)
        points = now.points + _direction(now)
        with torch.no_grad():
            gaps = step.next(points, rows.at(active)) - points
        # What is no number is no step down: the damping grows.
        better = gaps.square().sum(1) < now.gaps.square().sum(1)
        walk.damping[active[~better]] *= 4
        taken = active[better]
        if len(taken):
            damping = (walk.damping[taken] / 10).clamp(min=_LEAST)
            walk.put(taken, _opened(step, points[better], rows.at(taken), damping))
    # Where the map has no derivative, as a root at 0, nothing can be said of rest.
    smooth = walk.slopes.isfinite().flatten(1).all(1)
    residuals = torch.where(smooth, walk.gaps.norm(dim=1), math.inf)
    return Ended(walk.points, residuals, _flat(walk, _FLAT) & smooth)


def _opened(step: StepMap, points: Tensor, rows: Rows, damping: Tensor) -> _Walk:
    after, jacobian = step.jacobian(points, rows)
    one = torch.eye(step.size, dtype=points.dtype, device=points.device)
    return _Walk(points, after - points, jacobian - one, damping)


def _gradient(walk: _Walk) -> Tensor:
    return (walk.slopes.mT @ walk.gaps.unsqueeze(2)).squeeze(2)


def _flat(walk: _Walk, share: float) -> Tensor:
    scale = walk.gaps.norm(dim=1) * torch.linalg.matrix_norm(walk.slopes)
    found: Tensor = _gradient(walk).norm(dim=1) <= share * scale
    return found


def _moving(walk: _Walk) -> Tensor:
    """Rows that can still go down: not at rounding, not flat, and not damped to nothing."""
    rounding = 4 * torch.finfo(walk.points.dtype).eps * walk.points.shape[1] ** 0.5
    still = walk.gaps.norm(dim=1) <= rounding * (1 + walk.points.norm(dim=1))
    # Flatter than is asked for in the end, as far as the precision goes.
    level = _flat(walk, max(_FLAT / 100, 10 * rounding))
    found: Tensor = ~still & ~level & (walk.damping < _MOST) & walk.gaps.isfinite().all(1)
    return found


def _direction(walk: _Walk) -> Tensor:
    square = walk.slopes.mT @ walk.slopes
    mean = square.diagonal(dim1=1, dim2=2).mean(1).clamp(min=torch.finfo(square.dtype).tiny)
    one = torch.eye(square.shape[1], dtype=square.dtype, device=square.device)
    damped = square + (walk.damping * mean)[:, None, None] * one
    step: Tensor = torch.linalg.solve_ex(damped, -_gradient(walk))[0]
    return step


def lowest(step: StepMap, points: Tensor, rows: Rows) -> Tensor:
    r"""Whether the speed has a minimum at points without a slope, bool ``[points]``.

    The smallest eigenvalue of its second derivative, by differences of the gradient
    :math:`A^\top (F(x) - x)`, is not below 0 by more than the differences err.

    Args:
        step: the map.
        points: ``[points, units]``.
        rows: what the steps read, a row for each point.
    """
    count, size = points.shape
    found = torch.ones(count, dtype=torch.bool, device=points.device)
    wide = torch.finfo(points.dtype).eps ** (1 / 3)
    one = torch.eye(size, dtype=points.dtype, device=points.device)
    for number in range(count):  # few are left when all that is alike is merged
        length = wide * (1 + points[number].norm())
        around = torch.cat([points[number] + length * one, points[number] - length * one])
        same = torch.full((2 * size,), number, device=points.device)
        ahead, behind = _slope(step, around, rows.at(same)).chunk(2)
        second = (ahead - behind) / (2 * length)
        values = torch.linalg.eigvalsh((second + second.mT) / 2)
        found[number] = values[0] >= -1e-4 * values[-1].abs()
    return found


def _slope(step: StepMap, points: Tensor, rows: Rows) -> Tensor:
    """The gradient of the speed, by one pass backward."""
    with torch.enable_grad():
        at = points.detach().requires_grad_()
        speed = (step.next(at, rows) - at).square().sum() / 2
        return torch.autograd.grad(speed, at)[0]
