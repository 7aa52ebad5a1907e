"""The picture of an input whose steps are more or less surprising."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.charts.chart import Chart, heading, shortened
from recurra.diagnosis.charts.colors import BLUE, INK, RED, SERIES_COLORS
from recurra.diagnosis.charts.panels import Axis, Line, panel
from recurra.errors import SettingTypeError, kind_of

if TYPE_CHECKING:  # pictures of what a run keeps need no NumPy
    from recurra.surprises import Surprise

__all__ = ["surprise"]

_FLAG, _NATS = RED, BLUE
_DOTS = 1000  # flagged steps that are drawn, the most surprising ones
_WIDTH = 860
_NAMED = 12  # flagged steps that are told by name
_LETTERS = 90  # symbols that are written below their nats


def surprise(found: Surprise) -> Chart:
    """The values of a series with the flagged steps, and below them the surprise of each step.

    Of symbols, which have no values, the surprise alone.

    Args:
        found: the surprises of one input.

    Raises:
        SettingError: something else.
    """
    if not hasattr(found, "nats"):  # whose class needs NumPy
        raise SettingTypeError(f"found: expected the surprises of an input, got {kind_of(found)}")
    last = max(len(found.nats) - 1, 1)
    steps = Axis(_title(found), 0.0, float(last), format=",d")
    nats = _nats(found, steps)
    if found.values is None:
        drawn: dict[str, Any] = nats
    else:
        drawn = {"vconcat": [_values(found, steps._replace(title="")), nats], "spacing": 18}
    told = sum(not math.isnan(nats) for nats in found.nats.tolist())
    head = f"Surprise: {len(found.flagged):,} of {told:,} steps above {found.threshold:.4g} nats"
    place = "" if found.place is None else shortened(found.place, 80)
    return Chart({**drawn, **heading(head, [place, *_notes(found)])})


def _title(found: Surprise) -> str:
    if found.values is None or found.steps is None or not len(found.nats):
        return "step" if found.values is not None else "symbol"
    return f"step, from {found.name(0)} to {found.name(len(found.nats) - 1)}"


def _notes(found: Surprise) -> list[str]:
    flagged = found.flagged
    notes = []
    if len(flagged):
        named = ", ".join(shortened(found.name(step), 20) for step in flagged[:_NAMED].tolist())
        more = f" and {len(flagged) - _NAMED:,} more" if len(flagged) > _NAMED else ""
        notes.append(f"Flagged: {named}{more}.")
    missing = sum(map(math.isnan, found.nats.tolist()))
    if missing:
        notes.append(f"Steps of which all is missing, which have no surprise: {missing:,}.")
    return notes


def _values(found: Surprise, steps: Axis) -> dict[str, Any]:
    assert found.values is not None
    values, every = found.values, found.values.shape[1]
    shown = min(every, len(SERIES_COLORS))
    lines = []
    for channel in range(shown):
        color, ink = SERIES_COLORS[channel]
        points = [(float(at), value) for at, value in enumerate(values[:, channel].tolist())]
        lines.append(Line(shortened(found.channels[channel], 20), points, color, 1.6, ink=ink))
    title = "value" if shown == every else f"value of {shown} of {every} channels"
    y = _linear(title, values[:, :shown].ravel().tolist())
    drawn = panel(lines, steps, y, size=(_WIDTH, 240), most=_WIDTH)
    rows = [
        {"x": step, "y": float(values[step, channel]), "step": found.name(step),
         "nats": float(found.nats[step])}
        for step in _worst(found)
        for channel in range(shown)
        if math.isfinite(values[step, channel])
    ]  # fmt: skip
    drawn["layer"].append(_dots(rows, steps, y))
    return drawn


def _nats(found: Surprise, steps: Axis) -> dict[str, Any]:
    heights = [(float(step), value) for step, value in enumerate(found.nats.tolist())]
    level = found.threshold
    y = _linear("surprise, nats", [*found.nats.tolist(), level])
    lines = [Line("", heights, _NATS, 1.6)]
    if math.isfinite(level):
        ends = [(steps.low, level), (steps.high, level)]
        lines.append(Line("threshold", ends, _FLAG, 1.4, [7, 4], flat=True))
    drawn = panel(lines, steps, y, size=(_WIDTH, 180), most=_WIDTH)
    rows = [
        {"x": step, "y": float(found.nats[step]), "step": found.name(step),
         "nats": float(found.nats[step])}
        for step in _worst(found)
        if math.isfinite(found.nats[step])
    ]  # fmt: skip
    drawn["layer"].append(_dots(rows, steps, y))
    if found.values is None and len(found.nats) <= _LETTERS:
        drawn["layer"].append(_letters(found, steps, y))
    return drawn


def _worst(found: Surprise) -> list[int]:
    """Numbers of the flagged steps that are drawn."""
    order = sorted(found.flagged.tolist(), key=lambda step: -float(found.nats[step]))
    return sorted(order[:_DOTS])


def _linear(title: str, values: Iterable[float]) -> Axis:
    """An axis that shows all finite values."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(title, low - room, high + room, format=",~f")


def _dots(rows: list[dict[str, Any]], x: Axis, y: Axis) -> dict[str, Any]:
    mark = {"type": "circle", "aria": False, "color": _FLAG, "size": 42, "opacity": 1}
    told = [
        {"field": "step", "title": "step"},
        {"field": "y", "title": y.title, "type": "quantitative"},
        {"field": "nats", "title": "nats", "type": "quantitative", "format": ".4f"},
    ]
    encoding = {"x": x.drawn("x"), "y": y.drawn("y"), "tooltip": told}
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}


def _letters(found: Surprise, x: Axis, y: Axis) -> dict[str, Any]:
    """Each symbol above its point."""
    rows = [
        {"x": step, "y": float(value), "symbol": shortened(found.name(step).replace(" ", "␣"), 12)}
        for step, value in enumerate(found.nats.tolist())
        if math.isfinite(value)
    ]
    mark = {"type": "text", "aria": False, "dy": -11, "fontSize": 12, "color": INK}
    encoding = {"x": x.drawn("x"), "y": y.drawn("y"), "text": {"field": "symbol"}}
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}
