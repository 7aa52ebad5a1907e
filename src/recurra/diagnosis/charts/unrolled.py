"""The graph of a model through time as a picture: layers by steps, states, and cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import BLUE, INK, ORANGE, RED

__all__ = ["Beside", "Row", "unrolled"]

_WIDE, _HIGH = 0.62, 0.5  # of boxes, which stand at whole numbers
_LANE = 0.72  # from the middle of a box to that of the one beside it, at one step
_BOX, _EDGE, _STATE, _CUT = "#dceaf5", BLUE, BLUE, RED
_HEAD = 0.035  # of an arrow, before the box that it points at
_SHOWN = 3  # steps at the start of a window
_POINTS = 92  # of a picture, to a box and the gap beside it


class Row(NamedTuple):
    """A layer.

    Args:
        name: stands at its left.
        ahead: whether a state runs from each step to the next.
        behind: whether one runs from each step to the one before.
        inside: in each box.
    """

    name: str
    ahead: bool = False
    behind: bool = False
    inside: str = ""


class Beside(NamedTuple):
    """Branches that read the same step beside each other; what is above reads all of them.

    Args:
        branches: of each its layers from below; one of none is an input that is read as it is.
    """

    branches: tuple[tuple[Row | Beside, ...], ...]


class _Box(NamedTuple):
    """Where a layer stands: from lane to lane, and how high."""

    row: Row
    first: float
    last: float
    y: int


def unrolled(rows: Sequence[Row | Beside], window: int, *, carried: bool, title: str = "") -> Chart:
    """Draw layers by steps.

    Boxes are steps of layers, thin arrows what is read, thick ones states. Behind a window, or the
    end of a row, the gradient is cut, and the state goes on where it is carried.

    Args:
        rows: from the lowest layer upward; those without a state are read step by step.
        window: steps that a gradient crosses: of a window, or of a row that is read whole.
        carried: whether the state goes on to what comes next.
        title: above the picture.
    """
    labels = _labels(window)
    lanes = _lanes(rows)
    pitch = 1 + (lanes - 1) * _LANE
    places = {label: number * pitch for number, label in enumerate(labels)}
    stood, high = _stood(rows, -lanes / 2, lanes / 2, 0)
    cut, left = places["next"] - pitch / 2, -(pitch - 1) / 2 - 0.6
    boxes = [
        {"x": x - _half(box), "x2": x + _half(box), "y": box.y - _HIGH / 2, "y2": box.y + _HIGH / 2}
        for box in stood
        for x in (x + _middle(box) for label, x in places.items() if label != "...")
    ]
    words = [
        {"x": x + _middle(box), "y": box.y, "t": box.row.inside if label != "..." else "..."}
        for box in stood
        for label, x in places.items()
    ]
    arrows = _arrows(stood, high, places, carried)
    names = [
        {"x": left, "y": y, "t": "  |  ".join(box.row.name for box in stood if box.y == y)}
        for y in range(high)
    ]
    steps = [
        {"x": x, "y": -1.0, "t": "1" if label == "next" else label} for label, x in places.items()
    ]
    top = high - 1 + 0.95
    told = "cut: no gradient; the state goes on" if carried else "what comes next begins anew"
    layers = [
        _bars(boxes),
        *[_lines(kind, [a for a in arrows if a["kind"] == kind]) for kind in _KINDS],
        _texts(words, size=12),
        _texts(names, align="right", weight="bold"),
        _texts(steps, color="#444"),
        _texts([{"x": left, "y": -1.0, "t": "step"}], align="right", color="#444"),
        _rule([{"x": cut, "y": -1.25, "x2": cut, "y2": top}]),
        _texts([{"x": cut, "y": top + 0.2, "t": told}], color=_CUT),
    ]
    size = {"width": _POINTS * (len(labels) * pitch + 1.6), "height": 70 * (high + 1.6)}
    about = "Boxes: a layer at a step. Thick arrows: states; thin ones: what is read. "
    crossed = f"A gradient crosses {window:,} steps."
    about += crossed if carried else f"Drawn is what has {window:,} steps."
    drawn = {"layer": [layer for layer in layers if layer is not None], **size}
    return Chart({**drawn, **heading(title or "Unrolled through time", [about])})


def _labels(window: int) -> list[str]:
    """What steps are drawn: the first ones, the last of the window, and the first of the next."""
    if window <= _SHOWN + 2:
        return [*map(str, range(1, window + 1)), "next"]
    return [*map(str, range(1, _SHOWN + 1)), "...", str(window), "next"]


def _lanes(rows: Sequence[Row | Beside]) -> int:
    """Boxes beside each other at one step."""
    return max((sum(map(_lanes, r.branches)) for r in rows if isinstance(r, Beside)), default=1)


def _stateful(rows: Sequence[Row | Beside]) -> bool:
    return any(
        any(map(_stateful, row.branches)) if isinstance(row, Beside) else row.ahead or row.behind
        for row in rows
    )


def _stood(
    rows: Sequence[Row | Beside], first: float, last: float, y: int
) -> tuple[list[_Box], int]:
    """Boxes of the layers, and how high the next one stands."""
    found = []
    for row in rows:
        if isinstance(row, Row):
            found.append(_Box(row, first, last, y))
            y += 1
            continue
        # A state runs past the boxes beside it, so each branch that has one stands above the last.
        wide, apart = (last - first) / _lanes([row]), _stateful([row])
        left, low = first, y
        for branch in row.branches:
            right = left + wide * _lanes(branch)
            more, high = _stood(branch, left, right, y if apart else low)
            found, left, y = found + more, right, max(y, high)
    return found, y


def _middle(box: _Box) -> float:
    return _LANE * (box.first + box.last) / 2


def _half(box: _Box) -> float:
    """Of its width."""
    return (_WIDE + (box.last - box.first - 1) * _LANE) / 2


def _read(boxes: Sequence[_Box], high: int) -> list[tuple[float, float, float]]:
    """Of each arrow that goes up at a step its place, foot and tip: in, between, and out."""
    edges = sorted({edge for box in boxes for edge in (box.first, box.last)})
    spans: dict[tuple[_Box | None, _Box | None, float], float] = {}  # to the right end of each
    for left, right in pairwise(edges):
        over = sorted((b for b in boxes if b.first <= left and right <= b.last), key=lambda b: b.y)
        for lower, upper in pairwise([None, *over, None]):
            same = (key for key, end in spans.items() if key[:2] == (lower, upper) and end == left)
            spans[next(same, (lower, upper, left))] = right
    return [
        (
            _LANE * (left + right) / 2,
            lower.y + _HIGH / 2 if lower else -0.85,
            (upper.y if upper else high) - _HIGH / 2 - _HEAD,
        )
        for (lower, upper, left), right in spans.items()
    ]


def _arrows(
    boxes: Sequence[_Box], high: int, places: Mapping[str, float], carried: bool
) -> list[dict[str, Any]]:
    found = [
        _arrow("read", x + across, foot, x + across, tip)
        for label, x in places.items()
        if label != "..."
        for across, foot, tip in _read(boxes, high)
    ]
    for box in boxes:
        row, y = box.row, box.y
        both = row.ahead and row.behind
        for (_, x), (label, following) in pairwise(places.items()):
            crosses = label == "next"
            left, right = x + _middle(box) + _half(box), following + _middle(box) - _half(box)
            if row.ahead and (carried or not crosses):
                up = y + (0.12 if both else 0.0)
                kind = "cut" if crosses else "ahead"
                found.append(_arrow(kind, left, up, right - _HEAD, up))
            if row.behind and not crosses:
                down = y - (0.12 if both else 0.0)
                found.append(_arrow("behind", right, down, left + _HEAD, down))
    return found


def _arrow(kind: str, x: float, y: float, x2: float, y2: float) -> dict[str, Any]:
    return {"kind": kind, "x": x, "y": y, "x2": x2, "y2": y2}


# Kind: width, color, dashes, where its head points.
_KINDS: dict[str, tuple[float, str, list[int], str]] = {
    "read": (1.2, "#777777", [], "triangle-up"),
    "ahead": (2.6, _STATE, [], "triangle-right"),
    "behind": (2.6, ORANGE, [], "triangle-left"),
    "cut": (2.6, _CUT, [5, 3], "triangle-right"),
}


def _axes() -> dict[str, Any]:
    plain = {"type": "quantitative", "axis": None, "scale": {"zero": False, "nice": False}}
    return {"x": {"field": "x", **plain}, "y": {"field": "y", **plain}}


def _bars(values: Sequence[Any]) -> dict[str, Any]:
    mark = {"type": "rect", "fill": _BOX, "stroke": _EDGE, "strokeWidth": 1.2, "cornerRadius": 4}
    ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    return {"data": {"values": list(values)}, "mark": mark, "encoding": {**_axes(), **ends}}


def _lines(kind: str, values: Sequence[Any]) -> dict[str, Any] | None:
    if not values:
        return None
    width, color, dash, head = _KINDS[kind]
    ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    rule: dict[str, Any] = {"type": "rule", "strokeWidth": width, "color": color}
    rule |= {"strokeDash": dash} if dash else {}
    point = {"type": "point", "shape": head, "filled": True, "opacity": 1, "color": color}
    tips = {name: {**axis, "field": f"{name}2"} for name, axis in _axes().items()}
    return {
        "data": {"values": list(values)},
        "layer": [
            {"mark": rule, "encoding": {**_axes(), **ends}},
            {"mark": point | {"size": 70}, "encoding": tips},
        ],
    }


def _rule(values: Sequence[Any]) -> dict[str, Any]:
    mark = {"type": "rule", "strokeWidth": 2, "color": _CUT, "strokeDash": [7, 5]}
    ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    return {"data": {"values": list(values)}, "mark": mark, "encoding": {**_axes(), **ends}}


def _texts(
    values: Sequence[Any],
    *,
    align: str = "center",
    color: str = INK,
    size: int = 13,
    weight: str = "normal",
) -> dict[str, Any]:
    mark = {"type": "text", "align": align, "color": color, "fontSize": size, "fontWeight": weight}
    return {
        "data": {"values": list(values)},
        "mark": mark,
        "encoding": {**_axes(), "text": {"field": "t", "type": "nominal"}},
    }
