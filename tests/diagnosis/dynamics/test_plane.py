"""The picture of a state space: what is drawn is where it is, in the plane of most variance."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.diagnosis import Chart, FixedPoints, Visited, phase_plane
from recurra.errors import ShapeError

UNITS = ("h[0]", "h[1]", "h[2]")


def visited(units: tuple[str, ...] = UNITS, time: int = 30) -> Visited:
    """Two rows along the second and third axis; the second row ends after five steps."""
    drawn = torch.randn(time, 2, len(units), generator=torch.Generator().manual_seed(0)).double()
    states = drawn * torch.tensor([0.01, 3.0, 1.0], dtype=torch.float64)[: len(units)]
    valid = torch.arange(time)[:, None] < torch.tensor([time, 5])
    return Visited(states.masked_fill(~valid[..., None], 0.0), valid, units, ())


def found(kinds: tuple[str, ...], matrices: list[Tensor]) -> FixedPoints:
    count = len(kinds)
    jacobians = torch.stack(matrices).double() if matrices else torch.zeros(0, 3, 3).double()
    points = torch.arange(3.0 * count).double().view(count, 3) / 5
    return FixedPoints(
        points=points,
        residuals=torch.zeros(count).double(),
        kinds=kinds,
        eigenvalues=torch.linalg.eigvals(jacobians),
        jacobians=jacobians,
        counts=torch.ones(count, dtype=torch.int64),
        distances=torch.zeros(count),
        far=0,
        unsettled=0,
        tolerance=1e-9,
        units=UNITS,
        left_out=(),
    )


def rows(chart: Chart, kind: str) -> list[dict[str, Any]]:
    layers = [each for each in chart.description["layer"] if each["mark"]["type"] == kind]
    return [row for layer in layers for row in layer["data"]["values"]]


def test_points_and_paths_lie_in_the_plane_of_most_variance() -> None:
    stable, saddle = (
        torch.diag(torch.tensor([0.5, 0.5, 0])),
        torch.diag(torch.tensor([0.5, 2, 0.1])),
    )
    seen = visited()
    chart = phase_plane(found(("stable", "saddle"), [stable, saddle]), seen, about="Held at 0.")
    states = seen.states[seen.valid]
    paths = rows(chart, "line")
    assert len(paths) == 35  # padding is not drawn
    assert [row["row"] for row in paths].count(1) == 5
    # All but the thin first axis is kept, so distances are those of the states.
    drawn = torch.tensor([[row["x"], row["y"]] for row in paths], dtype=torch.float64)
    near = torch.cat([seen.states[:, 0], seen.states[:5, 1]])
    torch.testing.assert_close(
        torch.cdist(drawn, drawn), torch.cdist(near, near), atol=0.05, rtol=0
    )
    dots = rows(chart, "point")
    assert [row["kind"] for row in dots] == ["stable (1)", "saddle (1)"]
    (stroke,) = rows(chart, "rule")
    # The saddle lets go along the second unit: that is the first component.
    assert abs(stroke["y2"] - stroke["y"]) < 0.05 * abs(stroke["x2"] - stroke["x"])
    assert (stroke["x"] + stroke["x2"]) / 2 == pytest.approx(dots[1]["x"])
    words = json.dumps(chart.description)
    assert "principal component 1 of the state (9" in words  # 9 and something of 10 parts
    assert "Held at 0." in words
    assert "open circles let it go along the red strokes" in words
    assert "diamonds" not in words  # there are none
    assert len(states) == 35
    assert chart.svg().startswith("<svg")


def test_what_turns_away_has_two_strokes() -> None:
    c, s = 1.2 * math.cos(0.4), 1.2 * math.sin(0.4)
    turning = torch.tensor([[0.1, 0, 0], [0, c, -s], [0, s, c]])
    strokes = rows(phase_plane(found(("saddle",), [turning]), visited()), "rule")
    sides = [torch.tensor([row["x2"] - row["x"], row["y2"] - row["y"]]) for row in strokes]
    assert len(sides) == 2
    assert abs(float(sides[0] @ sides[1])) < 0.1 * float(sides[0].norm() * sides[1].norm())


def test_without_any_point_the_paths_are_drawn() -> None:
    chart = phase_plane(found((), []), visited(), title="Nothing rests")
    assert "Nothing rests" in chart.svg()
    assert "none found" in json.dumps(phase_plane(found((), []), visited()).description)


def test_the_same_scale_on_both_axes() -> None:
    chart = phase_plane(found((), []), visited())
    encoding = chart.description["layer"][0]["encoding"]
    spans = [
        domain[1] - domain[0] for domain in (encoding[axis]["scale"]["domain"] for axis in "xy")
    ]
    assert spans[0] == pytest.approx(spans[1])
    assert chart.description["width"] == chart.description["height"]


def test_what_cannot_be_drawn_is_refused() -> None:
    nothing = found((), [])
    with pytest.raises(ShapeError, match="same two units or more"):
        phase_plane(nothing, visited(("h[0]", "h[1]")))
    with pytest.raises(ShapeError, match="at least one visited state"):
        phase_plane(nothing, visited(time=0))
