"""One panel of lines over a common axis: every line is named where it ends, without a legend."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from recurra.diagnosis.charts.colors import INK

__all__ = ["Axis", "Line", "Mark", "axis_over", "large", "layer", "panel", "spread", "thinned"]

_GAP = 15.0  # points between two names
_DRAWN = 400  # points of a line, which is less than two of the panel's width to each
_LEAST = 1e-6  # of a share: less is rounding of a float32
_FEW = 60  # points of a line that are shown one by one
Point = tuple[float, float]


class Line(NamedTuple):
    """Points that belong together.

    Args:
        name: stands where it ends; nothing does if empty.
        points: x and y, by x; a y that is no finite number is a gap.
        color: of the line, and of its name.
        width: of the line.
        dash: lengths drawn and left out; all is drawn if empty.
        flat: no points of its own: a height to compare with.
        ink: of its name, where that must be darker.
        named_at: where its name stands instead.
    """

    name: str
    points: Sequence[Point]
    color: str
    width: float = 2.0
    dash: Sequence[float] = ()
    flat: bool = False
    ink: str = ""
    named_at: Point | None = None


class Mark(NamedTuple):
    """A place on the x axis that is told of.

    Args:
        x: where.
        text: stands above it; nothing if empty.
        y: a point there that is ringed, or None.
    """

    x: float
    text: str = ""
    y: float | None = None


class Axis(NamedTuple):
    """From where to where, and how.

    Args:
        title: what is counted, and in which unit.
        low: where it begins.
        high: where it ends.
        log: whether equal distances are equal ratios.
        ticks: where numbers stand; found by the drawing if empty.
        format: of the numbers.
        labels: what stands at the ticks instead of their numbers.
    """

    title: str
    low: float
    high: float
    log: bool = False
    ticks: Sequence[float] = ()
    format: str = ",~g"
    labels: Sequence[str] = ()

    def share(self, value: float) -> float:
        """Which part of the way it is to a value."""
        low, high = self._bent(self.low), self._bent(self.high)
        return (self._bent(value) - low) / (high - low)

    def value(self, share: float) -> float:
        """The value at that part of the way."""
        low, high = self._bent(self.low), self._bent(self.high)
        found = low + share * (high - low)
        return math.exp(found) if self.log else found

    def _bent(self, value: float) -> float:
        return math.log(value) if self.log else value

    def drawn(self, field: str) -> dict[str, Any]:
        """As Vega-Lite has it."""
        scale = {"type": "log" if self.log else "linear", "domain": [self.low, self.high]}
        axis: dict[str, Any] = {"format": self.format, "title": self.title or None}
        axis |= {"values": list(self.ticks)} if self.ticks else {"tickCount": 6}
        if self.labels:
            told = dict(zip(map("{:g}".format, self.ticks), self.labels, strict=True))
            axis["labelExpr"] = f"{json.dumps(told)}[datum.value]"
        return {
            "field": field,
            "type": "quantitative",
            "scale": scale | {"nice": False, "zero": False},
            "axis": axis,
        }


def axis_over(title: str, values: Iterable[float]) -> Axis:
    """An axis that shows all finite values: by their logarithm where they differ by 8 and more."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low > 0 and high >= 8 * low:
        room = (high / low) ** 0.04
        low, high = low / room, high * room
        return Axis(title, low, high, True, _ticks(low, high))
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(title, low - room, high + room)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, or fewer where that would be many."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = -(-len(tens) // 9)
    for factors in ((1, 2, 5), (1,)):
        steps = tens if factors != (1,) else tens[::every]
        found = [float(f"{factor}e{ten}") for ten in steps for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 9:
            break
    return found


def large(shares: Iterable[tuple[float, float]]) -> list[Point]:
    """Points whose y is no rounding, and can stand on an axis of logarithms."""
    found = ((float(x), float(y)) for x, y in shares)
    return [(x, y) for x, y in found if math.isfinite(y) and y > _LEAST]


def thinned(points: Sequence[Point], most: int = _DRAWN) -> list[Point]:
    """At most about so many points: of many that stand together, the lowest and the highest.

    The first and the last are always among them, and so is a gap where all are none.
    """
    if len(points) <= most:
        return list(points)
    size = -(-(len(points) - 2) // max(most // 2 - 1, 1))
    found = [points[0]]
    for start in range(1, len(points) - 1, size):
        near = range(start, min(start + size, len(points) - 1))
        finite = [number for number in near if math.isfinite(points[number][1])]
        if not finite:
            found.append(points[start])
            continue
        least = min(finite, key=lambda number: points[number][1])
        most_of = max(finite, key=lambda number: points[number][1])
        found += [points[number] for number in sorted({least, most_of})]
    return [*found, points[-1]]


def spread(wanted: Sequence[float], room: float, gap: float = _GAP) -> list[float]:
    """Places between 0 and ``room``, as near as can be to those wanted, none closer than ``gap``.

    Args:
        wanted: in any order, which the places keep.
        room: how much there is; with too little of it they stand closer.
        gap: between two.
    """
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    gap = min(gap, room / max(len(wanted) - 1, 1))
    blocks: list[tuple[float, int]] = []  # those that touch: the sum of their first places, number
    for rank, number in enumerate(order):
        total, count = wanted[number] - rank * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    firsts = [total / count for total, count in blocks for _ in range(count)]
    last = room - (len(wanted) - 1) * gap
    places = [0.0] * len(wanted)
    for rank, (number, first) in enumerate(zip(order, firsts, strict=True)):
        places[number] = min(max(first, 0.0), last) + rank * gap
    return places


def panel(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    size: tuple[int, int] = (640, 320),
    mark: Mark | None = None,
    most: int = _DRAWN,
) -> dict[str, Any]:
    """A panel of lines, each named at its end.

    Args:
        lines: the first is drawn first, below the others.
        x: the axis they share.
        y: that of their heights.
        size: width and height.
        mark: a place on the x axis that is told of.
        most: points of a line that are drawn.
    """
    layers = [layer for line in lines for layer in _line(line, x, y, most)]
    if mark is not None:
        layers += _mark(mark, x, y, size[0])
    layers += _names(lines, x, y, size)
    return {"width": size[0], "height": size[1], "layer": layers}


def layer(
    mark: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], x: Any, y: Any, **more: Any
) -> dict[str, Any]:
    """Marks at rows of data."""
    return {
        "data": {"values": list(rows)},
        "mark": {"aria": False, **mark},
        "encoding": {"x": x, "y": y, **more},
    }


def _line(line: Line, x: Axis, y: Axis, most: int) -> list[dict[str, Any]]:
    """A line with gaps, and its points, which tell their numbers under the mouse."""
    points, part, rows = thinned(line.points, most), 0, []
    for at, height in points:
        if math.isfinite(height):
            rows.append({"x": at, "y": height, "part": part, "line": line.name})
        else:
            part += 1
    stroke = {"type": "line", "color": line.color, "strokeWidth": line.width, "strokeCap": "round"}
    if line.dash:
        stroke |= {"strokeDash": list(line.dash), "strokeCap": "butt"}
    on_x, on_y = x.drawn("x"), y.drawn("y")
    drawn = layer(stroke | {"strokeJoin": "round"}, rows, on_x, on_y, detail={"field": "part"})
    if line.flat:
        return [drawn]
    # Where there are many, a point is as broad as the line; one between two gaps is seen.
    across = line.width + (3 if len(points) <= _FEW else 0)
    dot = {"type": "circle", "color": line.color, "size": across**2, "opacity": 1}
    told = [
        {"field": "line", "title": "line"},
        {"field": "x", "title": x.title or "x", "type": "quantitative", "format": ","},
        {"field": "y", "title": y.title, "type": "quantitative"},
    ]
    return [drawn, layer(dot, rows, on_x, on_y, tooltip=told)]


def _mark(mark: Mark, x: Axis, y: Axis, width: int) -> list[dict[str, Any]]:
    on_x, on_y = x.drawn("x"), y.drawn("y")
    rule = {"type": "rule", "color": "#333", "strokeDash": [2, 3]}
    rows = [{"x": mark.x, "y": mark.y if mark.y is not None else y.low}]
    layers = [layer(rule, rows, on_x, {"value": 0}, y2={"value": "height"})]
    if mark.y is not None:
        ring = {"type": "point", "size": 130, "color": "#111", "strokeWidth": 2, "opacity": 1}
        layers.append(layer(ring, rows, on_x, on_y))
    if mark.text:
        share = x.share(mark.x)
        half = 3.3 * len(mark.text) / width  # its text is about twice as wide
        align = "left" if share < half else "right" if share > 1 - half else "center"
        text = {"type": "text", "align": align, "baseline": "bottom", "dy": -4, "fontSize": 12}
        named = [{"x": mark.x, "text": mark.text}]
        layers.append(
            layer(text | {"color": INK}, named, on_x, {"value": 0}, text={"field": "text"})
        )
    return layers


def _names(lines: Sequence[Line], x: Axis, y: Axis, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The names of lines: right of the panel, with a stroke to those that had to make way."""
    width, height = size
    layers = []
    ends: list[tuple[Line, float]] = []
    for line in lines:
        finite = [value for _, value in line.points if math.isfinite(value)]
        if not line.name:
            continue
        if line.named_at is not None:
            layers.append(_name(line, x.drawn("x"), y, line.named_at))
        elif finite:
            ends.append((line, finite[-1]))
    wanted = [height * (1 - y.share(value)) for _, value in ends]
    places = spread(wanted, height)
    make_way = any(abs(place - was) > 2 for place, was in zip(places, wanted, strict=True))
    begin = width + (24 if make_way else 10)
    for (line, value), place in zip(ends, places, strict=True):
        at = y.value(1 - place / height)
        if make_way:
            rule = {"type": "rule", "color": line.ink or line.color, "opacity": 0.7}
            on_x, on_y = {"value": width + 6}, y.drawn("y")
            to = {"x2": {"value": width + 20}, "y2": {"field": "to"}}
            layers.append(layer(rule, [{"y": value, "to": at}], on_x, on_y, **to))
        layers.append(_name(line, {"value": begin}, y, (0.0, at)))
    return layers


def _name(line: Line, on_x: Any, y: Axis, at: Point) -> dict[str, Any]:
    text = {
        "type": "text",
        "align": "left",
        "baseline": "middle",
        "fontSize": 13,
        "fontWeight": "normal" if line.flat else "bold",
        "color": line.ink or line.color,
    }
    row = {"x": at[0], "y": at[1], "name": line.name}
    return layer(text, [row], on_x, y.drawn("y"), text={"field": "name"})
