"""The picture of where a decoder looked at each symbol that it said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import SHADES
from recurra.errors import ShapeError
from recurra.settings import check_list

__all__ = ["Looked", "attention"]

_MOST = 120  # places, or symbols, that are drawn


class Looked(NamedTuple):
    """Where a decoder looked at each symbol that it said.

    Args:
        title: what was read, and said.
        weights: ``[said, read]``, from 0 to 1; each row sums to 1.
        read: names of the places.
        said: the symbols.
    """

    title: str
    weights: Any
    read: Sequence[str]
    said: Sequence[str]


def attention(looked: Sequence[Looked]) -> Chart:
    """A row for each symbol that was said, a column for each place that was read.

    Args:
        looked: for each panel, from the top, where a decoder looked.

    Raises:
        ShapeError: none of them, or weights of another shape.
    """
    check_list("looked", looked, Looked, "a list of what was looked at, each a Looked")
    if not looked:
        raise ShapeError("attention: expected at least one input, got none")
    panels = [_panel(each) for each in looked]
    if len(panels) == 1:
        return Chart(panels[0])
    told = {"description": "Where a decoder looked at each symbol that it said."}
    return Chart({"vconcat": panels, "spacing": 40, **told})


def _panel(looked: Looked) -> dict[str, Any]:
    table = [[float(value) for value in row] for row in looked.weights]
    read, said = looked.read, looked.said
    if len(table) != len(said) or any(len(row) != len(read) for row in table):
        raise ShapeError(
            f"attention: expected weights [{len(said)}, {len(read)}], of {len(said)} symbols and "
            f"{len(read)} places, got {len(table)} rows of {sorted({len(row) for row in table})}"
        )
    rows, columns = min(len(said), _MOST), min(len(read), _MOST)
    cells = [
        {"said": i, "read": j, "weight": table[i][j], "symbol": said[i], "place": read[j]}
        for i in range(rows)
        for j in range(columns)
    ]
    edge = min(max(620 / max(columns, 1), 8), 34)
    about = "Each row: how the decoder shared its look among what was read, when it said that."
    if rows < len(said) or columns < len(read):
        about += f" Shown are the first {rows} of {len(said)}, and {columns} of {len(read)}."
    shade = {
        "field": "weight",
        "type": "quantitative",
        "scale": SHADES,
        "legend": {"title": "share", "format": ".0%"},
    }
    told = [
        {"field": "symbol", "title": "said"},
        {"field": "place", "title": "read"},
        {"field": "weight", "type": "quantitative", "format": ".1%", "title": "share"},
    ]
    return {
        "data": {"values": cells},
        "width": round(edge * columns),
        "height": round(max(edge, 16) * rows),
        "mark": {"type": "rect", "aria": False, "stroke": "#ddd", "strokeWidth": 0.5},
        "encoding": {
            "x": _axis("read", "what was read", read[:columns], "top", edge),
            "y": _axis("said", "what was said", said[:rows], "left", 90),
            "color": shade,
            "tooltip": told,
        },
        **heading("Where it looked", [looked.title, about], max(60, round(edge * columns) // 7)),
    }


def _axis(field: str, title: str, names: Sequence[str], orient: str, room: float) -> dict[str, Any]:
    """Numbers of places, shown by their names: two may have the same."""
    listed = ", ".join(_quoted(name) for name in names)
    return {
        "field": field,
        "type": "ordinal",
        "scale": {"domain": list(range(len(names))), "padding": 0},
        "axis": {
            "title": title,
            "orient": orient,
            "labelExpr": f"[{listed}][datum.value]",
            "labelAngle": -60
            if orient == "top" and max(map(len, names), default=0) * 7 > room
            else 0,
            "labelLimit": 160,
            "labelOverlap": False,
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
        },
    }


def _quoted(name: str) -> str:
    plain = name.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "⏎")
    return f"'{plain.strip() or '␣'}'"
