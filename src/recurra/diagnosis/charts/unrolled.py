"""The graph of a model through time as a picture: layers by steps, states, and cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import BLUE, INK, ORANGE, RED

__all__ = ["Row", "unrolled"]

_WIDE, _HIGH = 0.62, 0.5  # of boxes, which stand at whole numbers
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


def unrolled(rows: Sequence[Row], window: int, *, carried: bool, title: str = "") -> Chart:
    """Draw layers by steps.

    Boxes are steps of layers, thin arrows what is read, thick ones states. Between two windows the
    gradient is cut, and the state goes on where it is carried.

    Args:
        rows: from the lowest layer upward; those without a state are read step by step.
        window: steps that a gradient crosses.
        carried: whether the state goes on to the next window.
        title: above the picture.
    """
    labels = _labels(window)
    places = {label: number for number, label in enumerate(labels)}
    cut = places["next"] - 0.5
    boxes = [
        {"x": x - _WIDE / 2, "x2": x + _WIDE / 2, "y": y - _HIGH / 2, "y2": y + _HIGH / 2}
        for y, _ in enumerate(rows)
        for label, x in places.items()
        if label != "..."
    ]
    words = [
        {"x": x, "y": y, "t": row.inside if label != "..." else "..."}
        for y, row in enumerate(rows)
        for label, x in places.items()
    ]
    arrows = _arrows(rows, labels, carried)
    names = [{"x": -0.6, "y": y, "t": row.name} for y, row in enumerate(rows)]
    steps = [
        {"x": x, "y": -1.0, "t": "1" if label == "next" else label} for label, x in places.items()
    ]
    top = len(rows) - 1 + 0.95
    told = "cut: no gradient; the state goes on" if carried else "cut: each window begins anew"
    layers = [
        _bars(boxes),
        *[_lines(kind, [a for a in arrows if a["kind"] == kind]) for kind in _KINDS],
        _texts(words, size=12),
        _texts(names, align="right", weight="bold"),
        _texts(steps, color="#444"),
        _texts([{"x": -0.6, "y": -1.0, "t": "step"}], align="right", color="#444"),
        _rule([{"x": cut, "y": -1.25, "x2": cut, "y2": top}]),
        _texts([{"x": cut, "y": top + 0.2, "t": told}], color=_CUT),
    ]
    size = {"width": _POINTS * (len(labels) + 1.6), "height": 70 * (len(rows) + 1.6)}
    about = "Boxes: a layer at a step. Thick arrows: states; thin ones: what is read. "
    about += f"A gradient crosses {window:,} steps."
    drawn = {"layer": [layer for layer in layers if layer is not None], **size}
    return Chart({**drawn, **heading(title or "Unrolled through time", [about])})


def _labels(window: int) -> list[str]:
    """What steps are drawn: the first ones, the last of the window, and the first of the next."""
    if window <= _SHOWN + 2:
        return [*map(str, range(1, window + 1)), "next"]
    return [*map(str, range(1, _SHOWN + 1)), "...", str(window), "next"]


def _arrows(rows: Sequence[Row], labels: Sequence[str], carried: bool) -> list[dict[str, Any]]:
    found = []
    for x, label in enumerate(labels):
        if label != "...":  # into the lowest, between, and out of the topmost
            for y in range(len(rows) + 1):
                low = y - 1 + _HIGH / 2 if y else -0.85
                found.append(_arrow("read", x, low, x, y - _HIGH / 2 - _HEAD))
    for y, row in enumerate(rows):
        both = row.ahead and row.behind
        for x in range(len(labels) - 1):
            crosses = labels[x + 1] == "next"
            left, right = x + _WIDE / 2, x + 1 - _WIDE / 2
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
