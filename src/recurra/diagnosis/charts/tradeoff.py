"""What variants are worth: quality against parameters, and against seconds of training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recurra.diagnosis.charts.chart import Chart, shortened
from recurra.diagnosis.charts.colors import (
    BLUE,
    DARK_GRAY,
    GRAY,
    GREEN,
    INK,
    LIGHT_BLUE,
    ORANGE,
    RED,
)
from recurra.diagnosis.charts.panels import Axis, Line, axis_over, panel
from recurra.errors import RunError

__all__ = ["COMPARED", "Variant", "read_variants", "tradeoff"]

COMPARED = "compare.json"
_SIZE = (380, 320)
_LETTER, _HEIGHT = 6.7, 15.0  # of a name, in points
_ROOM = 0.14  # of a panel, right of its points: for names
_COLORS = (BLUE, ORANGE, LIGHT_BLUE, RED, GREEN, GRAY)
_RIVAL = DARK_GRAY
_LONGEST = 28  # characters of a name


class Variant(NamedTuple):
    """A point of the picture.

    Args:
        name: stands beside it.
        value: mean of the metric.
        deviation: over seeds, or None.
        parameters: of the model.
        seconds: of training, or None.
        group: points of one group have one color.
    """

    name: str
    value: float
    deviation: float | None
    parameters: int
    seconds: float | None
    group: str = ""


def read_variants(folder: Path) -> Chart:
    """The picture of a comparison, from its folder.

    Raises:
        RunError: it is damaged, or no run of it is finished.
    """
    path = folder / COMPARED
    try:
        told = json.loads(path.read_bytes())
        rows, metric = told["rows"], told["metric"]
        points = [_variant(row) for row in rows]
        levels = {row["name"]: float(row["value"]) for row in told["rivals"]}
        settings = list(dict.fromkeys(name for row in rows for name in row["settings"]))
        title, less = str(metric["unit"]), bool(metric["less"])
        most = 1.0 if title == "accuracy" else math.inf
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise RunError(f"{path}: damaged ({problem}).") from None
    if not points:
        raise RunError(f"{path}: no run is finished yet; there is nothing to draw.")
    return tradeoff(points, title=title, less=less, levels=levels, settings=settings, most=most)


def _variant(row: Mapping[str, Any]) -> Variant:
    values = [str(value) for value in row["settings"].values()]
    seconds, spread = row["seconds"], row["deviation"]
    return Variant(
        " ".join(values) or str(row["name"]),
        float(row["value"]),
        None if spread is None else float(spread),
        int(row["parameters"]),
        None if seconds is None else float(seconds),
        values[0] if len(values) > 1 else "",
    )


def tradeoff(
    points: Sequence[Variant],
    *,
    title: str,
    less: bool,
    levels: Mapping[str, float] | None = None,
    settings: Sequence[str] = (),
    most: float = math.inf,
) -> Chart:
    """Two panels: quality against parameters, and against seconds where they are known.

    Args:
        points: the variants.
        title: what the metric counts.
        less: whether less of it is better.
        levels: heights to compare with, by name.
        settings: of which the names are values.
        most: the metric can be; no bar goes beyond it.
    """
    finite = [point for point in points if math.isfinite(point.value)]
    heights = [value for value in (levels or {}).values() if math.isfinite(value)]
    for point in finite:
        heights += _bar(point, most)
    y = axis_over(f"{title} ({'less' if less else 'more'} is better)", heights)
    sizes = [(float(max(point.parameters, 1)), point) for point in finite]
    panels = [_panel(sizes, "parameters", y, levels or {}, most, first=True)]
    times = [(point.seconds, point) for point in finite if point.seconds is not None]
    if times:
        timed = [(max(seconds, 0.01), point) for seconds, point in times]
        second = _panel(timed, "seconds of training", y._replace(title=""), levels or {}, most)
        panels.append(second)
    told = [f"Each point is a variant: {', '.join(settings)}."] if settings else []
    if any(point.deviation is not None for point in finite):
        told.append("Bars are the deviation over seeds.")
    if len(finite) < len(points):
        told.append(f"Left out, no finite number: {len(points) - len(finite)}.")
    head = f"{title} on what was held out, by size and by time"
    return Chart(
        {
            "hconcat": panels,
            "spacing": 60,
            "title": {"text": head, "subtitle": told},
            "description": " ".join([head + ".", *told]),
        }
    )


def _panel(
    points: Sequence[tuple[float, Variant]],
    title: str,
    y: Axis,
    levels: Mapping[str, float],
    most: float,
    *,
    first: bool = False,
) -> dict[str, Any]:
    """Rivals as lines, which are named right of the last panel; points above them."""
    x = axis_over(title, [at for at, _ in points])
    x = x._replace(format="~s" if first else ",~r", high=x.value(1 + _ROOM))
    lines = [
        Line(
            shortened(name, _LONGEST),
            [(x.low, height), (x.high, height)],
            _RIVAL,
            1.4,
            [7, 4],
            flat=True,
        )
        for name, height in levels.items()
        if math.isfinite(height)
    ]
    if first:
        lines = [line._replace(name="", named_at=(x.low, y.low)) for line in lines]
    drawn = panel(lines, x, y, size=_SIZE)
    drawn["layer"] += _points(points, x, y, [line.points[0][1] for line in lines], most)
    return drawn


def _bar(point: Variant, most: float) -> tuple[float, float]:
    """From where to where it goes."""
    spread = point.deviation or 0.0
    return point.value - spread, max(min(point.value + spread, most), point.value)


def _points(
    points: Sequence[tuple[float, Variant]], x: Axis, y: Axis, levels: Sequence[float], most: float
) -> list[dict[str, Any]]:
    groups = list(dict.fromkeys(point.group for _, point in points))
    color = dict(zip(groups, _COLORS, strict=False)) if len(groups) <= len(_COLORS) else {}
    on_x, on_y = x.drawn("x"), y.drawn("y")
    told = [
        {"field": "name", "title": "variant"},
        {"field": "x", "title": x.title, "type": "quantitative", "format": ","},
        {"field": "y", "title": "mean", "type": "quantitative"},
        {"field": "spread", "title": "deviation", "type": "quantitative"},
    ]
    layers: list[dict[str, Any]] = []
    places = _places(
        [(at, point.value, shortened(point.name, _LONGEST)) for at, point in points], x, y, levels
    )
    for (at, point), place in zip(points, places, strict=True):
        ink = color.get(point.group, _COLORS[0])
        row = {"x": at, "y": point.value, "name": point.name, "spread": point.deviation}
        if point.deviation:
            ends = dict(zip(("low", "high"), _bar(point, most), strict=True))
            bar = {"type": "rule", "color": ink, "strokeWidth": 1.5, "aria": False}
            low = {**on_y, "field": "low"}
            layers.append(_layer(bar, row | ends, on_x, low, y2={"field": "high"}))
        dot = {"type": "circle", "color": ink, "size": 70, "opacity": 1, "aria": False}
        layers.append(_layer(dot, row, on_x, on_y, tooltip=told))
        if place is not None:
            align, across, down = place
            text = {"type": "text", "align": align, "dx": across, "dy": down, "fontSize": 12}
            text |= {"color": INK, "aria": False, "baseline": "middle"}
            shown = row | {"name": shortened(point.name, _LONGEST)}
            layers.append(_layer(text, shown, on_x, on_y, text={"field": "name"}))
    return layers


def _layer(mark: Any, row: Any, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    return {"data": {"values": [row]}, "mark": mark, "encoding": {"x": x, "y": y, **more}}


Box = tuple[float, float, float, float]


def _places(
    named: Sequence[tuple[float, float, str]], x: Axis, y: Axis, levels: Sequence[float] = ()
) -> list[tuple[str, float, float] | None]:
    """Where names stand beside their points, touching neither each other nor lines; or nowhere."""
    width, height = _SIZE
    spots = [(x.share(at) * width, (1 - y.share(value)) * height) for at, value, _ in named]
    taken: list[Box] = [(a - 5, b - 5, a + 5, b + 5) for a, b in spots]
    taken += [(0, h - 1, width, h + 1) for h in ((1 - y.share(level)) * height for level in levels)]
    found: list[tuple[str, float, float] | None] = []
    for (a, b), (_, _, name) in zip(spots, named, strict=True):
        wide = len(name) * _LETTER
        chosen = None
        for align, across, down in (
            ("left", 9.0, 0.0),
            ("right", -9.0, 0.0),
            ("left", 7.0, -12.0),
            ("right", -7.0, -12.0),
            ("left", 7.0, 12.0),
            ("right", -7.0, 12.0),
            ("center", 0.0, -16.0),
            ("center", 0.0, 16.0),
            ("right", -4.0, -22.0),
            ("right", -4.0, 22.0),
        ):
            left = a + across - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
            box = (left, b + down - _HEIGHT / 2, left + wide, b + down + _HEIGHT / 2)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            if inside and not any(_touch(box, other) for other in taken):
                chosen = (align, across, down)
                taken.append(box)
                break
        found.append(chosen)
    return found


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
