"""The picture of a state space: where states went, where they rest, and how they leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import BLUE, DARK_ORANGE, GRAY, RED
from recurra.diagnosis.charts.panels import Axis
from recurra.diagnosis.checked import check_finite
from recurra.diagnosis.dynamics.derivatives import Visited
from recurra.diagnosis.dynamics.points import KINDS, FixedPoints
from recurra.errors import ShapeError
from recurra.settings import check_kind, check_size

__all__ = ["phase_plane"]

_SIZE = 460
_STEPS = 3000  # of all trajectories together
_STROKE = 0.07  # of the plane, half of a direction that lies within it
_STROKES = 3  # directions of a point
_LEAVES = RED
# By kind: shape, outline, inside, area. What a state stays at is filled.
_LOOKS = {
    "stable": ("circle", BLUE, BLUE, 150),
    "marginal": ("square", BLUE, "#9ecae1", 70),
    "saddle": ("circle", _LEAVES, "#ffffff", 110),
    "unstable": ("triangle-up", _LEAVES, "#ffffff", 130),
    "slow": ("diamond", DARK_ORANGE, "#ffd27f", 110),
}
_MEANS = {
    "stable": "filled circles hold the state",
    "marginal": "squares hold it, but for directions in which nothing brings it back",
    "saddle": "open circles let it go along the red strokes",
    "unstable": "triangles let it go in every direction",
    "slow": "diamonds are where it lingers though it never rests",
}


class _Plane(NamedTuple):
    """A plane through states: its middle, two directions ``[units, 2]``, their shares."""

    middle: Tensor
    axes: Tensor
    shares: tuple[float, float]

    def of(self, points: Tensor) -> Tensor:
        return (points.double() - self.middle) @ self.axes


def phase_plane(
    found: FixedPoints, visited: Visited, *, title: str = "", about: str = "", rows: int = 12
) -> Chart:
    """Visited states and points of rest, in the plane in which the visited states vary most.

    The plane is that of the first two principal components. Stable points are filled, saddles open,
    with the directions in which they let go. A direction is as long as its part in the plane.

    Args:
        found: by :func:`recurra.diagnosis.fixed_points`.
        visited: by :func:`recurra.diagnosis.visited_states`, of the same cell.
        title: above the picture; the kinds are counted if empty.
        about: a sentence below it, such as which input was held.
        rows: most sequences that are drawn.

    Raises:
        ShapeError: states of another cell, none, or of a single unit.
    """
    check_kind("found", found, FixedPoints, "what fixed_points gave")
    check_kind("visited", visited, Visited, "what visited_states gave")
    check_kind("title", title, str, "a text")
    check_kind("about", about, str, "a text")
    check_size("rows", rows)
    if visited.units != found.units or len(found.units) < 2:
        raise ShapeError(
            f"visited: expected states and points of the same two units or more, got "
            f"{len(visited.units)} and {len(found.units)} units."
        )
    states = visited.states[visited.valid]
    if not len(states):
        raise ShapeError("visited: expected at least one visited state, got none.")
    check_finite("visited", states)
    plane = _plane(states)
    paths = list(_paths(visited, plane, rows))
    dots, strokes = plane.of(found.points), list(_strokes(found, plane))
    shown = torch.cat([dots, *paths]) if paths else dots
    x, y = _axes(shown, plane.shares)
    layers = [_trajectories(paths, x, y)]
    layers += [_directions(strokes, dots, x, y), _dots(found, dots, x, y)]
    drawn = {"width": _SIZE, "height": _SIZE, "layer": layers}
    return Chart({**drawn, **heading(title or _counted(found), [about, _read(found)], 86)})


def _plane(states: Tensor) -> _Plane:
    states = states.double()
    middle = states.mean(0)
    values, vectors = torch.linalg.eigh((states - middle).T @ (states - middle))
    axes = vectors[:, [-1, -2]]
    # An axis has no sign of its own: its largest part points up.
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    total = float(values.clamp(min=0).sum()) or 1.0
    first, second = (max(float(values[at]), 0.0) / total for at in (-1, -2))
    return _Plane(middle, axes * largest, (first, second))


def _paths(visited: Visited, plane: _Plane, rows: int) -> Iterator[Tensor]:
    """The first rows with any steps, ``[steps, 2]``."""
    chosen = visited.valid.any(0).nonzero()[:rows, 0].tolist()
    for row in chosen:
        states = visited.states[visited.valid[:, row], row]
        yield plane.of(states[: max(_STEPS // len(chosen), 2)])


def _strokes(found: FixedPoints, plane: _Plane) -> Iterator[tuple[int, Tensor]]:
    """Of each point that lets go: its number, and a direction of length 1 in the plane."""
    for number, kind in enumerate(found.kinds):
        if kind not in ("saddle", "unstable"):
            continue
        values, vectors = torch.linalg.eig(found.jacobians[number])
        order = values.abs().argsort(descending=True)[:_STROKES].tolist()
        for at in order:
            # Of a pair that turns, the one vector is its real part, the other its imaginary part.
            vector = vectors[:, at].imag if values[at].imag < 0 else vectors[:, at].real
            length = float(vector.norm())
            if float(values[at].abs()) > 1 and length:
                yield number, (vector.double() / length) @ plane.axes


def _axes(shown: Tensor, shares: tuple[float, float]) -> tuple[Axis, Axis]:
    """Both as long as the longer one, so that angles are those in the plane."""
    low, high = shown.amin(0), shown.amax(0)
    half = 0.6 * float((high - low).max()) or 1.0
    first, second = (
        Axis(
            f"principal component {number + 1} of the state ({100 * share:.0f} % of variance)",
            middle - half,
            middle + half,
            format=".2~f",
        )
        for number, (share, middle) in enumerate(
            zip(shares, ((low + high) / 2).tolist(), strict=True)
        )
    )
    return first, second


def _layer(mark: dict[str, Any], values: list[dict[str, Any]], **encoding: Any) -> dict[str, Any]:
    return {
        "data": {"values": values},
        "mark": {"aria": False, **mark},
        "encoding": encoding,
    }


def _trajectories(paths: Sequence[Tensor], x: Axis, y: Axis) -> dict[str, Any]:
    values = [
        {"x": one, "y": other, "row": row, "step": step}
        for row, path in enumerate(paths)
        for step, (one, other) in enumerate(path.tolist())
    ]
    mark = {"type": "line", "color": GRAY, "strokeWidth": 0.8, "opacity": 0.55}
    order, row = {"field": "step", "type": "quantitative"}, {"field": "row"}
    return _layer(mark, values, x=x.drawn("x"), y=y.drawn("y"), detail=row, order=order)


def _directions(
    strokes: Sequence[tuple[int, Tensor]], dots: Tensor, x: Axis, y: Axis
) -> dict[str, Any]:
    reach = _STROKE * (x.high - x.low)
    values = []
    for number, direction in strokes:
        (left, low), (right, high) = (
            (dots[number] + side * reach * direction).tolist() for side in (-1, 1)
        )
        values.append({"x": left, "y": low, "x2": right, "y2": high})
    mark = {"type": "rule", "color": _LEAVES, "strokeWidth": 1.6, "opacity": 0.85}
    to = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    return _layer(mark, values, x=x.drawn("x"), y=y.drawn("y"), **to)


def _dots(found: FixedPoints, dots: Tensor, x: Axis, y: Axis) -> dict[str, Any]:
    names = {kind: f"{kind} ({found.kinds.count(kind)})" for kind in KINDS if kind in found.kinds}
    moduli, slowest = found.eigenvalues.abs(), found.time_constants()
    values = [
        {
            "x": float(dots[at, 0]),
            "y": float(dots[at, 1]),
            "kind": names[kind],
            "size": _LOOKS[kind][3],
            "modulus": float(moduli[at].max()),
            "slowest": min(float(slowest[at].max()), 1e9),  # JSON has no infinity
            "residual": float(found.residuals[at]),
        }
        for at, kind in enumerate(found.kinds)
    ]

    def by_kind(which: int) -> dict[str, Any]:
        scale = {"domain": list(names.values()), "range": [_LOOKS[kind][which] for kind in names]}
        legend = {"title": "point", "symbolSize": 110, "labelFontSize": 12, "titleFontSize": 12}
        return {"field": "kind", "type": "nominal", "scale": scale, "legend": legend}

    told = [
        {"field": "kind", "title": "kind"},
        {"field": "modulus", "title": "largest modulus", "format": ".4f"},
        {"field": "slowest", "title": "slowest, steps", "format": ".4~g"},
        {"field": "residual", "title": "residual", "format": ".1e"},
    ]
    mark = {"type": "point", "filled": True, "strokeWidth": 2, "opacity": 1}
    looks = {"shape": by_kind(0), "stroke": by_kind(1), "fill": by_kind(2)}
    size = {"field": "size", "type": "quantitative", "scale": None, "legend": None}
    return _layer(mark, values, x=x.drawn("x"), y=y.drawn("y"), size=size, tooltip=told, **looks)


def _counted(found: FixedPoints) -> str:
    told = [f"{found.kinds.count(kind)} {kind}" for kind in KINDS if kind in found.kinds]
    return f"Points of rest: {', '.join(told) or 'none found'}"


def _read(found: FixedPoints) -> str:
    told = [_MEANS[kind] for kind in KINDS if kind in found.kinds]
    sentence = "; ".join(["Gray lines are visited states", *told])
    return f"{sentence}."
