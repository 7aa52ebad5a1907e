"""The picture of forecasts: what was seen, what is expected, between what, and what came."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recurra.diagnosis.charts.chart import Chart, heading, shortened
from recurra.diagnosis.charts.colors import (
    BLUE,
    DARK_GRAY,
    DARK_ORANGE,
    GRAY,
    GREEN,
    INK,
    LIGHT_BLUE,
    ORANGE,
    RED,
)
from recurra.diagnosis.charts.panels import Axis, Line, Mark, panel
from recurra.errors import SettingError
from recurra.settings import check_list

__all__ = ["MODEL", "Fan", "color_of", "fan", "linear"]

MODEL = BLUE
_SEEN, _BAND = INK, LIGHT_BLUE
_SHADES = (0.22, 0.32, 0.42, 0.5)  # of bands, the widest first; they lie over each other
_RIVALS = {  # by how their names begin: the line, and what its name is written in
    "last value": (ORANGE, DARK_ORANGE),
    "seasonal naive": (GREEN, ""),
    "linear": (RED, ""),
    "autoregression": (RED, ""),
    "drift": ("#9467bd", "#7a4fa3"),
}
_MOST = 6  # panels
_BEYOND = 1.5  # of the range of all lines: so far bands are drawn above and below
_STRIDES = (1, 2, 3, 4, 6, 12, 24, 48, 96, 168, 336)
_FIRSTS = re.compile(r"\d{4}(-\d\d)?-01")  # of months, and of years
_MIDNIGHTS = re.compile(r"\d{4}-\d\d-\d\d 00:00")
_CLOCKS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:00")


class Fan(NamedTuple):
    """A forecast of one channel of a series.

    Args:
        name: of the series, and of the channel where there are several.
        steps: what all steps are called, first those that were seen.
        seen: values before the forecast; NaN is missing.
        mean: of each step that is forecast.
        bands: by level in percent, their lower and upper ends.
        rivals: what others expect, by name.
        came: what came then, as far as it did; empty if nobody knows.
        one_by_one: whether each step is forecast when the one before it has come.
    """

    name: str
    steps: Sequence[str]
    seen: Sequence[float]
    mean: Sequence[float]
    bands: Mapping[float, tuple[Sequence[float], Sequence[float]]]
    rivals: Mapping[str, Sequence[float]]
    came: Sequence[float] = ()
    one_by_one: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it; what is no finite number as None."""
        return {
            "name": self.name,
            "steps": list(self.steps),
            "seen": _told(self.seen),
            "mean": _told(self.mean),
            "bands": {f"{level:g}": [*map(_told, ends)] for level, ends in self.bands.items()},
            "rivals": {name: _told(values) for name, values in self.rivals.items()},
            "came": _told(self.came),
            "one_by_one": self.one_by_one,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Fan:
        """What :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        found = cls(
            str(told["name"]),
            [str(step) for step in told["steps"]],
            _read(told["seen"]),
            _read(told["mean"]),
            {float(n): (_read(low), _read(high)) for n, (low, high) in told["bands"].items()},
            {str(name): _read(values) for name, values in told["rivals"].items()},
            _read(told["came"]),
            bool(told["one_by_one"]),
        )
        if len(found.steps) != len(found.seen) + len(found.mean) or not found.mean:
            raise ValueError(f"a forecast of {len(found.mean)} steps has other names of them")
        return found


def fan(found: Sequence[Fan], name: str = "", total: int | None = None) -> Chart:
    """Forecasts beside what was seen before them, and what came; a panel for each, at most 6.

    Args:
        found: forecasts.
        name: of the run, for the heading.
        total: how many there are; as many as were found if None.

    Raises:
        SettingError: there is none.
    """
    check_list("found", found, Fan, "a list of forecasts, each a Fan")
    shown = list(found[:_MOST])
    if not shown:
        raise SettingError("forecast: expected at least one forecast to draw, got none")
    alone = len(shown) == 1
    panels = [_panel(each, (640, 320) if alone else (310, 180), alone) for each in shown]
    drawn = panels[0] if alone else _beside(panels, shown)
    count = len(shown[0].mean)
    what = f"forecast of {count:,} steps" if count > 1 else "forecast of the next step"
    if shown[0].one_by_one and count > 1:
        what = f"{count:,} forecasts, each of the next step"
    what += ", and what came" if any(each.came for each in shown) else ""
    title = f"{name}: {what}" if name else what.capitalize()
    if alone and shown[0].name:
        title += f" ({shortened(shown[0].name, 40)})"
    return Chart({**drawn, **heading(title, _notes(shown, total or len(found)))})


def _beside(panels: Sequence[dict[str, Any]], shown: Sequence[Fan]) -> dict[str, Any]:
    """Two in a row, as far apart as the longest name of a line needs."""
    names = ["what came", *(shortened(name, 28) for each in shown for name in each.rivals)]
    across = 90 + round(6.6 * max(map(len, names)))
    return {
        "concat": panels,
        "columns": 2,
        "bounds": "flush",
        "spacing": {"row": 66, "column": across},
    }


def color_of(rival: str) -> tuple[str, str]:
    """Color of a rival's line, and of its name."""
    begins = next((each for each in _RIVALS if rival.startswith(each)), "")
    return _RIVALS.get(begins, (GRAY, DARK_GRAY))


def linear(title: str, values: Sequence[float], more: Sequence[float] = ()) -> Axis:
    """An axis over all finite values; of more values as far as they do not flatten the others."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    reach = _BEYOND * (high - low) or math.inf
    beyond = [value for value in more if math.isfinite(value)]
    low = max(min([low, *beyond]), low - reach)
    high = min(max([high, *beyond]), high + reach)
    room = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(title, low - room, high + room, format=",~f" if high - low < 1e6 else "~s")


def _panel(one: Fan, size: tuple[int, int], alone: bool) -> dict[str, Any]:
    steps = _axis(one, 7 if alone else 3)
    begin = len(one.seen)
    last = [(begin - 1.0, one.seen[-1])] if one.seen and math.isfinite(one.seen[-1]) else []

    def ahead(values: Sequence[float]) -> list[tuple[float, float]]:
        return [*last, *((float(begin + n), value) for n, value in enumerate(values))]

    lines = [
        Line(shortened(name, 28), ahead(values), *_thin(name, number))
        for number, (name, values) in enumerate(one.rivals.items())
    ]
    lines = [line._replace(ink=color_of(line.name)[1], flat=True) for line in lines]
    lines.append(Line("forecast", ahead(one.mean), MODEL, 2.6))
    values = [*one.seen, *one.came]
    points = [(float(step), value) for step, value in enumerate(values)]
    came = any(map(math.isfinite, one.came))
    lines.append(Line("what came" if came else "", points, _SEEN, 1.5))
    every = [value for line in lines for _, value in line.points]
    ends = [value for pair in one.bands.values() for side in pair for value in side]
    y = linear("value" if alone else "", every, ends)
    mark = Mark(begin - 1.0) if begin else None
    drawn = panel(lines, steps, y, size=size, mark=mark, most=size[0])
    bands = sorted(one.bands.items(), reverse=True)
    shades = [
        _band(ahead(low), ahead(high), steps, y, shade)
        for (_, (low, high)), shade in zip(bands, _SHADES, strict=False)
    ]
    drawn["layer"] = [*shades, *drawn["layer"]]
    if not alone:
        text = shortened(one.name or "the series", 40)
        drawn["title"] = {"text": text, "fontSize": 13, "offset": 6}
    return drawn


def _thin(name: str, number: int) -> tuple[str, float, Sequence[float]]:
    return color_of(name)[0], 1.4, ((6, 3), (2, 2), (), (8, 2, 2, 2))[number % 4]


def _band(
    low: Sequence[tuple[float, float]],
    high: Sequence[tuple[float, float]],
    x: Axis,
    y: Axis,
    shade: float,
) -> dict[str, Any]:
    rows = [
        {"x": at, "low": max(below, y.low), "high": min(above, y.high)}
        for (at, below), (_, above) in zip(low, high, strict=True)
        if math.isfinite(below) and math.isfinite(above) and below < y.high and above > y.low
    ]
    mark = {"type": "area", "aria": False, "color": _BAND, "opacity": shade}
    encoding = {"x": x.drawn("x"), "y": y.drawn("low"), "y2": {"field": "high"}}
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}


def _axis(one: Fan, count: int) -> Axis:
    """Of all steps, called as they are; a tick is never for more of them than needed."""
    steps = _brief(one.steps)
    every = -(-len(steps) // count)
    every = next((stride for stride in _STRIDES if stride >= every), every)
    # Where a year, a month or a day begins, if that is among them.
    begins = [n for n in range(len(steps)) if steps[n].endswith(("-01", " 00:00"))][:1]
    first = begins[0] % every if begins and begins[0] + every < len(steps) else 0
    ticks = list(range(first, len(steps), every))
    room = 0.5 if len(steps) == 1 else 0.0
    labels = _brief([steps[tick] for tick in ticks])
    return Axis("", -room, len(steps) - 1.0 + room, ticks=ticks, labels=labels)


def _brief(steps: Sequence[str]) -> list[str]:
    """Without the seconds, days or months that all have alike."""
    if all(map(_CLOCKS.fullmatch, steps)):
        return [step[:-3] for step in steps]
    if all(map(_MIDNIGHTS.fullmatch, steps)):
        return [step[:-6] for step in steps]
    found = list(steps)
    while len(found) > 1 and all(map(_FIRSTS.fullmatch, found)):
        found = [step[:-3] for step in found]
    return found


def _notes(shown: Sequence[Fan], every: int) -> list[str]:
    levels = [f"{level:g}" for level in sorted(shown[0].bands)]
    notes = []
    if levels:
        told = levels[0] if len(levels) == 1 else ", ".join(levels[:-1]) + f" and {levels[-1]}"
        notes.append(f"The bands hold {told} % of what may come.")
    ends = {each.steps[len(each.seen) - 1] for each in shown if each.seen}
    if len(ends) == 1:
        notes[-1:] = [" ".join([*notes[-1:], f"The last step that was read: {ends.pop()}."])]
    if every > len(shown):
        notes.append(f"Shown are {len(shown)} of {every:,}.")
    return notes


def _told(values: Sequence[float]) -> list[float | None]:
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]


def _read(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]
