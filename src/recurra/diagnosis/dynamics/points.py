"""Where a state rests: fixed and slow points under a constant input."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import states
from recurra.columns import aligned
from recurra.diagnosis.checked import check_finite, check_seed, check_tree
from recurra.diagnosis.dynamics.derivatives import MEMORY, Visited, sorted_eigenvalues
from recurra.diagnosis.dynamics.search import Ended, lowest, search
from recurra.diagnosis.dynamics.steps import Rows, StepMap, check_memory, mapping
from recurra.errors import InputTypeError, SettingError, ShapeError, dtype_name, kind_of
from recurra.settings import check_least, check_size
from recurra.states import Tree, map_tree

__all__ = ["KINDS", "FixedPoints", "fixed_points"]

KINDS = ("stable", "marginal", "saddle", "unstable", "slow")
"""Kinds of points, in the order in which they are given."""
_MARGIN = 1e-5  # a modulus so near 1 is 1: nothing changes within 100,000 steps
_REACHED = {torch.float64: 1e-9, torch.float32: 1e-5}


class FixedPoints(NamedTuple):
    r"""Points where a state rests, or nearly so; ``print`` shows a table.

    Kinds go by the eigenvalues :math:`\lambda` of the Jacobian: ``"stable"``, all moduli below 1;
    ``"marginal"``, none above 1 but some 1 (on a line of fixed points); ``"saddle"``, some above
    and some below; ``"unstable"``, none below. A ``"slow"`` point is a minimum of the speed that is
    no fixed point.

    Args:
        points: ``[points, units]``, by kind, then those first at which most searches ended.
        residuals: length of F(x) - x, ``[points]``.
        kinds: of each.
        eigenvalues: complex ``[points, units]``, largest modulus first.
        jacobians: ``[points, units, units]``.
        counts: how many searches ended there, int64 ``[points]``.
        distances: to the nearest visited state, ``[points]``.
        far: searches that ended farther than ``reach`` from every visited state.
        unsettled: searches that ended nowhere, within the steps that they had.
        tolerance: the residual of a fixed point by 1 + \|x\|, at most.
        units: what each unit is, as ``"h[3]"``.
        left_out: fields of whole numbers, which were held.
    """

    points: Tensor
    residuals: Tensor
    kinds: tuple[str, ...]
    eigenvalues: Tensor
    jacobians: Tensor
    counts: Tensor
    distances: Tensor
    far: int
    unsettled: int
    tolerance: float
    units: tuple[str, ...]
    left_out: tuple[str, ...]

    def time_constants(self) -> Tensor:
        r"""Steps in which a small deviation changes by e, ``[points, units]``.

        .. math:: \tau = 1 / \lvert \ln \lvert \lambda \rvert \rvert

        It shrinks where the modulus is below 1 and grows where it is above; infinite at 1, 0 where
        one step wipes it out.
        """
        return self.eigenvalues.abs().log().abs().reciprocal()

    def of(self, kind: str) -> Tensor:
        """The points of one kind, ``[points, units]``.

        Raises:
            SettingError: no such kind.
        """
        if kind not in KINDS:
            raise SettingError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        return self.points[[number for number, own in enumerate(self.kinds) if own == kind]]

    def __str__(self) -> str:
        head = ("kind", "residual", "largest |λ|", "above 1", "slowest, steps", "searches")
        moduli, slowest = self.eigenvalues.abs(), self.time_constants()
        rows = [
            (
                kind,
                f"{float(self.residuals[at]):.1e}",
                f"{float(moduli[at].max()):.4f}",
                f"{int((moduli[at] > 1 + _MARGIN).sum())}",
                f"{float(slowest[at].max()):.4g}",
                f"{int(self.counts[at]):,}",
            )
            for at, kind in enumerate(self.kinds)
        ]
        told = [aligned([head, *rows], right=range(1, 6))]
        told += ["no fixed and no slow point was found"] * (not rows)
        told.append(f"searches that ended far away: {self.far:,}, nowhere: {self.unsettled:,}")
        told.append(f"computed in {dtype_name(self.points.dtype)}")
        if self.left_out:
            told.append(f"held, being whole numbers: {', '.join(self.left_out)}")
        return "\n".join(told)


def fixed_points(
    cell: Any,
    x: Tree,
    visited: Visited | Tree,
    *,
    context: Tree = None,
    starts: int = 1024,
    noise: float = 0.3,
    seed: int = 0,
    tolerance: float | None = None,
    apart: float = 1e-3,
    reach: float = 1.0,
    steps: int = 200,
    dtype: torch.dtype = torch.float64,
    memory: int = MEMORY,
) -> FixedPoints:
    r"""Find the fixed and the slow points of a cell or layer under one constant input.

    .. math:: q(x) = \tfrac{1}{2} \lVert F(x) - x \rVert^2

    Searches go down q, all at once, by Levenberg-Marquardt with the Jacobians of the step. They
    begin at visited states with noise. An end where q has no slope is a fixed point if the residual
    :math:`\lVert F(x) - x \rVert` is small, else a slow point if q has a minimum there. What
    is found does not say that there is no more: that needs more starts.

    Args:
        cell: as of :func:`recurra.diagnosis.jacobians`.
        x: the input, of one step of one row: ``[input_size]`` or ``[1, input_size]``, or a named
            tuple of such tensors.
        visited: what :func:`recurra.diagnosis.visited_states` gave, or a state tree of ``[rows,
            ...]`` tensors.
        context: of one row, for a cell that reads one.
        starts: number of searches.
        noise: its deviation, by the deviation of each unit over the visited states.
        seed: of the choice of visited states, and of the noise.
        tolerance: largest residual of a fixed point by 1 + \|x\|; 1e-9 in float64, 1e-5 in float32
            if None.
        apart: points nearer than this share of the spread of the visited states (the root of the
            sum of their variances) are one.
        reach: points farther than so many spreads from every visited state are left out: the cell
            never comes there. Where a saturated gate copies the state all points are fixed.
        steps: most steps of a search.
        dtype: the precision to compute in, whatever that of the weights is.
        memory: bytes that the Jacobians of the points may take.

    Raises:
        SettingError: no recurrence that runs forward, or a number out of range.
        ShapeError: x, the visited states or the context do not fit, no state is visited, or one
            Jacobian needs more memory.

    Source: Sussillo and Barak, "Opening the black box: low-dimensional dynamics in high-dimensional
    recurrent neural networks", Neural Computation 25, 2013. There q is minimized from one start at
    a time by a general method.
    """
    check_size("starts", starts), check_size("steps", steps), check_seed(seed)
    check_least("noise", noise), check_least("apart", apart), check_least("reach", reach)
    if tolerance is not None:
        check_least("tolerance", tolerance)
    with mapping(cell, dtype) as step, torch.no_grad():
        limit = _REACHED[step.dtype] if tolerance is None else tolerance
        advice = "A cell of so many units can be looked at with lyapunov(leading=...) alone."
        one = step.size**2 * torch.finfo(step.dtype).bits // 8
        check_memory(4 * one, memory, f"fixed_points of {step.size} units", advice)
        most = f"fixed_points: starts={starts} of {step.size} units"
        check_memory(starts * step.size * 8, max(memory, MEMORY), most, "Begin with fewer.")
        seen, like = _seen(step, visited)
        begin, own = _begin(seen, starts, noise, seed)
        x, like = _spread(_one_row(step, x), own), _spread(like, own)
        rows = Rows(x, like, _one_context(step, context), torch.zeros_like(own))
        ended = search(step, begin, rows, steps)
        spread = float(seen.std(0, correction=0).norm()) or 1.0  # all starts are one
        return _told(step, ended, rows, seen, limit, apart * spread, reach * spread, memory)


def _seen(step: StepMap, visited: Any) -> tuple[Tensor, Tree]:
    """Visited states ``[rows, units]``, and as a tree: a row for each, or one for all."""
    if isinstance(visited, Visited):
        if visited.units != step.units:
            raise ShapeError(
                f"visited: expected the {step.size} units of {step.name}, got "
                f"{len(visited.units)}: they are of another cell."
            )
        seen, tree = step.cast(visited.states[visited.valid]), step.initial(1)
    else:
        if not isinstance(visited, tuple):
            raise InputTypeError(
                f"visited: expected what visited_states gave, or a state, got {kind_of(visited)}."
            )
        check_tree("visited", visited)
        rows = next((leaf.shape[0] for leaf in states.leaves(visited)), 0)
        like = step.initial(rows)
        states.match(visited, like, what=f"visited, states of {step.name}", advice="")
        tree = states.with_leaves(like, states.leaves(step.cast(visited)))
        seen = step.flat(tree)
    if not len(seen):
        raise ShapeError("visited: expected at least one state, got none: a search begins there.")
    if not bool(seen.isfinite().all()):
        raise ShapeError("visited: expected finite states; the cell diverges on these inputs.")
    return seen, tree


def _one_row(step: StepMap, x: Tree) -> Tree:
    """The constant input with an axis for its one row."""
    check_finite(f"x of {step.name}", check_tree(f"x of {step.name}", x))
    given, example = step.cast(x), step.example
    if example is None:
        return given
    if isinstance(given, tuple) == isinstance(example, tuple):
        pairs = zip(states.leaves(given), states.leaves(example), strict=False)
        rows = [leaf.unsqueeze(0) if leaf.dim() < like.dim() else leaf for leaf, like in pairs]
        if len(rows) == len(states.leaves(given)):
            given = states.with_leaves(given, rows)
    advice = "The input is that of one step of one row, without time."
    states.match(given, example, what=f"x of {step.name}", advice=advice)
    for leaf, like in zip(states.leaves(given), states.leaves(example), strict=True):
        if leaf.is_floating_point() != like.is_floating_point():
            raise ShapeError(
                f"x of {step.name}: expected {dtype_name(like.dtype)}, got "
                f"{dtype_name(leaf.dtype)}. {advice}"
            )
    return states.with_leaves(example, states.leaves(given))


def _one_context(step: StepMap, context: Tree) -> Tree:
    check_tree(f"context of {step.name}", context)
    if not step.takes_context and context is None:
        return None
    rows = [leaf.shape[0] if leaf.dim() else None for leaf in states.leaves(context)]
    if set(rows) != {1}:
        got = f"leaves of {sorted(set(map(str, rows)))} rows" if rows else "none"
        raise ShapeError(
            f"context of {step.name}: expected tensors of one row, [1, ...], got {got}. To hold "
            "another context, search again."
        )
    return step.cast(context) if step.takes_context else None


def _begin(seen: Tensor, starts: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Where searches begin, and at which visited state each."""
    chance = torch.Generator().manual_seed(seed)
    own = torch.randint(len(seen), (starts,), generator=chance).to(seen.device)
    drawn = torch.randn(starts, seen.shape[1], generator=chance, dtype=torch.float64).to(seen)
    return seen[own] + noise * seen.std(0, correction=0) * drawn, own


def _spread(tree: Tree, own: Tensor) -> Tree:
    """A row for each start: of a single row all are the same, without being copied."""

    def each(leaf: Tensor) -> Tensor:
        one = leaf.shape[0] == 1
        return leaf.expand(len(own), *leaf.shape[1:]) if one else leaf.index_select(0, own)

    return map_tree(each, tree)


def _told(
    step: StepMap,
    ended: Ended,
    rows: Rows,
    seen: Tensor,
    limit: float,
    apart: float,
    reach: float,
    memory: int,
) -> FixedPoints:
    """What searches found: merged, told apart and sorted."""
    rests = ended.residuals <= limit * (1 + ended.points.norm(dim=1))
    fixed, counts = _merged(ended, rests, apart)
    slow, slow_counts = _merged(ended, ~rests & ended.flat, apart)
    least = lowest(step, ended.points[slow], rows.at(slow))
    unsettled = int((~rests & ~ended.flat).sum()) + int(slow_counts[~least].sum())
    index = torch.cat([fixed, slow[least]])
    counts = torch.cat([counts, slow_counts[least]])
    distances = _distances(ended.points[index], seen)
    near = (distances <= reach).nonzero()[:, 0]
    far = int(counts.sum() - counts[near].sum())
    slow_from = int((near < len(fixed)).sum())
    index, counts, distances = index[near], counts[near], distances[near]
    jacobian, values = _linear(step, ended.points[index], rows.at(index), memory)
    kinds = [_kind(own) for own in values[:slow_from]] + ["slow"] * (len(index) - slow_from)
    order = sorted(range(len(kinds)), key=lambda at: (KINDS.index(kinds[at]), -int(counts[at])))
    place = torch.tensor(order, dtype=torch.int64, device=seen.device)
    return FixedPoints(
        points=ended.points[index[place]],
        residuals=ended.residuals[index[place]],
        kinds=tuple(kinds[at] for at in order),
        eigenvalues=values[place],
        jacobians=jacobian[place],
        counts=counts[place],
        distances=distances[place],
        far=far,
        unsettled=unsettled,
        tolerance=limit,
        units=step.units,
        left_out=step.left_out,
    )


def _linear(step: StepMap, points: Tensor, rows: Rows, memory: int) -> tuple[Tensor, Tensor]:
    """Jacobians at points, and their eigenvalues."""
    count, size = points.shape
    what = f"fixed_points: Jacobians of {count} points of {size} units"
    advice = "Set apart= larger, so that more of them are one."
    check_memory(count * size**2 * points.element_size(), memory, what, advice)
    found = step.jacobian(points, rows)[1]
    return found, sorted_eigenvalues(found)


def _merged(ended: Ended, chosen: Tensor, apart: float) -> tuple[Tensor, Tensor]:
    """One end of all that are alike, that of the least residual, and how many there are."""
    left = chosen.nonzero()[:, 0]
    left = left[ended.residuals[left].argsort(stable=True)]
    found, counts = [], []
    while len(left):
        same = (ended.points[left] - ended.points[left[0]]).norm(dim=1) <= apart
        found.append(left[0])
        counts.append(same.sum())
        left = left[~same]
    if not found:
        return left, left
    return torch.stack(found), torch.stack(counts)


def _distances(points: Tensor, seen: Tensor) -> Tensor:
    """To the nearest visited state."""
    least = [(seen - point).norm(dim=1).min() for point in points]
    return torch.stack(least) if least else points.new_zeros(0)


def _kind(eigenvalues: Tensor) -> str:
    moduli = eigenvalues.abs()
    above, below = moduli > 1 + _MARGIN, moduli < 1 - _MARGIN
    if not bool(above.any()):
        return "stable" if bool(below.all()) else "marginal"
    return "saddle" if bool(below.any()) else "unstable"
