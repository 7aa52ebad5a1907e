"""The pictures of what a forecaster scored: its errors, its intervals, and what is left in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import DARK_GRAY, LIGHT_BLUE
from recurra.diagnosis.charts.fans import MODEL, color_of
from recurra.diagnosis.charts.panels import Axis, Line, axis_over, layer, panel
from recurra.errors import SettingError
from recurra.settings import check_list

__all__ = ["coverage", "forecast_errors", "residuals"]

_BAND = LIGHT_BLUE
_ROWS = 30  # series that are named; of more their share is drawn
_WIDTH = 560
_MASE = "mean absolute scaled error"

Row = Mapping[str, Any]
_EVALUATIONS = "a list of evaluations, each an object as JSON has it"


def forecast_errors(rows: Sequence[Row], series: Sequence[str] = (), name: str = "") -> Chart:
    """Mean absolute scaled errors by step ahead, and by series where there are several.

    Args:
        rows: evaluations as JSON has them, the model's first.
        series: what the series are called.
        name: of the run.

    Raises:
        SettingError: none of them has such an error.
    """
    check_list("rows", rows, Mapping, _EVALUATIONS)
    known = [row for row in rows if row.get("mase") is not None]
    if not known or known[0] is not rows[0]:
        raise SettingError("errors: expected a mean absolute scaled error, no series has a scale")
    panels = []
    if len(known[0]["by_step"]) > 1:
        panels.append(_by_step(known))
    several = sum(map(_finite, known[0]["by_series"])) > 1
    if several:
        panels.append(_by_series(known, series))
    if not panels:
        panels.append(_by_model(known))
    others = "".join(f", the best other, {row['name']}: {row['mase']:.3f}" for row in _best(known))
    told = [
        "1 is the error of the seasonal naive forecast on what was before.",
        f"On the whole {known[0]['name']}: {known[0]['mase']:.3f}{others}.",
    ]
    apart = {"legend": {"color": "independent"}}
    drawn: dict[str, Any] = {"vconcat": panels, "spacing": 26, "resolve": apart}
    return Chart({**drawn, **heading(_title(name, "errors of what is held out"), told)})


def coverage(rows: Sequence[Row], name: str = "") -> Chart:
    """How much intervals hold against how much they should.

    Args:
        rows: evaluations as JSON has them, the model's first.
        name: of the run.

    Raises:
        SettingError: they do not tell it.
    """
    check_list("rows", rows, Mapping, _EVALUATIONS)
    known = [row for row in rows if row.get("coverage")]
    if not known or known[0] is not rows[0]:
        raise SettingError("coverage: expected evaluations that tell what intervals hold")
    lines = [Line("as they should", [(0, 0), (100, 100)], DARK_GRAY, 1.4, [7, 4], flat=True)]
    for row in reversed(known):
        points = [(float(level), 100 * float(share)) for level, share in row["coverage"]]
        color, ink = (MODEL, "") if row is known[0] else color_of(row["name"])
        width = 2.8 if row is known[0] else 1.4
        lines.append(Line(row["name"], points, color, width, ink=ink))
    ticks = [0, 20, 40, 60, 80, 100]
    x = Axis("probability that an interval is said to hold, %", 0, 100, ticks=ticks, format="d")
    y = Axis("share of the values within it, %", 0, 100, ticks=ticks, format="d")
    told = ["Below the diagonal intervals are too narrow, above it too wide."]
    head = heading(_title(name, "coverage of what is held out"), told, 80)
    return Chart({**panel(lines, x, y, size=(380, 380)), **head})


def residuals(rows: Sequence[Row], name: str = "") -> Chart:
    """Autocorrelations of the model's errors of the first step ahead.

    Args:
        rows: evaluations as JSON has them, the model's first.
        name: of the run.

    Raises:
        SettingError: they do not tell it.
    """
    check_list("rows", rows, Mapping, _EVALUATIONS)
    if not rows or not rows[0].get("residuals"):
        raise SettingError(
            "residuals: expected autocorrelations of errors, which are told of places one step "
            "apart (data.step_size=1), of series of at least a few"
        )
    found = [float(value) for value in rows[0]["residuals"]]
    count = rows[0]["origins"] / max(int(rows[0].get("series", 1)), 1)
    edge = 1.96 / math.sqrt(max(count, 1))
    lags = Axis("lag, steps", 0.0, len(found) + 1.0, format=",d")
    low, high = min(-edge, *found, -0.1), max(edge, *found, 0.1)
    y = Axis("autocorrelation", 1.15 * low, 1.15 * high)
    stems = [{"x": lag, "zero": 0.0, "y": value} for lag, value in enumerate(found, 1)]
    on_x, on_y = lags.drawn("x"), y.drawn("y")
    told = [
        {"field": "x", "title": "lag", "type": "quantitative"},
        {"field": "y", "title": "autocorrelation", "type": "quantitative", "format": ".3f"},
    ]
    inside = {"low": -edge, "high": edge}
    band = [{"x": at, **inside} for at in (lags.low, lags.high)]
    layers = [
        layer({"type": "area", "color": _BAND, "opacity": 0.25}, band, on_x, y.drawn("low"),
               y2={"field": "high"}),
        layer({"type": "rule", "color": "#888"}, [{"y": 0.0}], {"value": 0}, on_y,
               x2={"value": "width"}),
        layer({"type": "rule", "color": MODEL, "strokeWidth": 2}, stems, on_x, on_y,
               y2={"field": "zero"}),
        layer({"type": "circle", "color": MODEL, "size": 36, "opacity": 1}, stems, on_x, on_y,
               tooltip=told),
    ]  # fmt: skip
    outside = sum(abs(value) > edge for value in found)
    notes = [
        f"Band: 95 % of what noise gives in {count:,.0f} steps of one series; outside it: "
        f"{outside} of {len(found)} lags.",
        "What lies far outside can be foreseen from errors before, and the model does not.",
    ]
    head = heading(_title(name, "autocorrelation of errors one step ahead"), notes)
    return Chart({"width": _WIDTH, "height": 240, "layer": layers, **head})


def _title(name: str, what: str) -> str:
    return f"{name}: {what}" if name else what[:1].upper() + what[1:]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _best(rows: Sequence[Row]) -> list[Row]:
    """The best rival, if there is one."""
    return sorted(rows[1:], key=lambda row: float(row["mase"]))[:1]


def _drawn(rows: Sequence[Row], points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    """Lines of all models, the first above the others."""
    lines = []
    for row in reversed(rows):
        color, ink = (MODEL, "") if row is rows[0] else color_of(row["name"])
        width = 2.8 if row is rows[0] else 1.4
        lines.append(Line(row["name"], points[row["name"]], color, width, ink=ink))
    return lines


def _by_step(rows: Sequence[Row]) -> dict[str, Any]:
    points = {
        row["name"]: [(float(n), float(value)) for n, value in enumerate(row["by_step"], 1)]
        for row in rows
    }
    steps = len(rows[0]["by_step"])
    x = Axis("steps ahead", 1.0, float(steps), format=",d")
    if steps <= 14:
        x = x._replace(ticks=range(1, steps + 1))
    y = axis_over(_MASE, [value for own in points.values() for _, value in own])
    return panel(_drawn(rows, points), x, y, size=(_WIDTH, 280))


def _by_series(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Dots of each series; of many series how large the errors of which share of them are."""
    own = rows[0]["by_series"]
    if sum(map(_finite, own)) <= _ROWS:
        compared = [rows[0], *_best(rows)]
        called = _called(names, len(own))
        some = [n for n, value in enumerate(own) if _finite(value)]
        order = [called[n] for n in sorted(some, key=lambda n: -float(own[n]))]
        dots = [
            {"series": called[n], "x": float(row["by_series"][n]), "model": row["name"]}
            for row in compared
            for n in some
            if _finite(row["by_series"][n])
        ]
        return _dots(dots, order, [row["name"] for row in compared], "series")
    points = {}
    for row in rows:
        ranked = sorted(float(value) for value in row["by_series"] if _finite(value))
        most = max(len(ranked) - 1, 1)
        points[row["name"]] = [(100 * n / most, value) for n, value in enumerate(ranked)]
    x = Axis("series, the best of each model first, %", 0.0, 100.0, format="d")
    y = axis_over(_MASE, [value for each in points.values() for _, value in each])
    return panel(_drawn(rows, points), x, y, size=(_WIDTH, 280))


def _by_model(rows: Sequence[Row]) -> dict[str, Any]:
    ranked = sorted(rows, key=lambda row: -float(row["mase"]))
    dots = [{"series": row["name"], "x": float(row["mase"]), "model": row["name"]} for row in rows]
    order = [row["name"] for row in ranked]
    return _dots(dots, order, [row["name"] for row in rows], "")


def _called(names: Sequence[str], count: int) -> list[str]:
    """What series are called, each otherwise."""
    found: list[str] = []
    for number in range(count):
        name = names[number] if number < len(names) else ""
        name = name if len(name) <= 32 else name[:31] + "…"
        found.append(name if name and name not in found else f"{name or 'series'} {number + 1}")
    return found


def _dots(
    rows: list[dict[str, Any]], order: Sequence[str], models: Sequence[str], title: str
) -> dict[str, Any]:
    x = axis_over(_MASE, [row["x"] for row in rows])
    colors = [MODEL, *(color_of(name)[0] for name in models[1:])]
    axis = {"title": title or None, "labelLimit": 240, "grid": True, "ticks": False}
    axis |= {"labelPadding": 6}
    named = {"domain": list(models), "range": colors}
    legend = {"title": None, "orient": "top", "symbolSize": 90, "labelFontSize": 12}
    encoding = {
        "y": {"field": "series", "type": "nominal", "sort": list(order), "axis": axis},
        "x": x.drawn("x"),
        "color": {
            "field": "model",
            "type": "nominal",
            "scale": named,
            "legend": legend if title else None,
        },
        "tooltip": [{"field": "series"}, {"field": "model"}, {"field": "x", "title": "error"}],
    }
    mark = {"type": "circle", "aria": False, "size": 90, "opacity": 0.95}
    return {
        "width": _WIDTH,
        "height": {"step": 22},
        "data": {"values": rows[::-1]},
        "mark": mark,
        "encoding": encoding,
    }
