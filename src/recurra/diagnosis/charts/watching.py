"""What the monitors of a training wrote, and pictures of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from recurra.diagnosis.charts.chart import Chart, heading
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.panels import Axis, Line, axis_over, panel
from recurra.errors import RunError
from recurra.given import path_of

__all__ = ["WATCHED", "gradients", "watched"]

WATCHED = "monitors.csv"
_HEADER = ["step", "measure", "place", "value"]
_TITLES = {"gradient": "norm of the gradient", "update": "update by weight"}
Points = dict[float, float]


def watched(run: str | Path) -> dict[str, dict[str, Points]]:
    """What the monitors wrote: measure -> where -> step -> value.

    Args:
        run: its folder.

    Raises:
        RunError: they wrote nothing (yet), or the file is damaged.
    """
    path = path_of("run", run) / WATCHED
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RunError(
            f"{path}: expected what the monitors wrote (training.monitors=true), at evaluations "
            "that are 150 steps apart or more; there is nothing."
        ) from None
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: cannot be read ({problem}).") from None
    if not lines or lines[0].split(",") != _HEADER:
        raise RunError(f"{path}: damaged, its first line should be {','.join(_HEADER)}.")
    found: dict[str, dict[str, Points]] = {}
    for number, line in enumerate(lines[1:], 2):
        try:
            step, measure, place, value = line.split(",")
            found.setdefault(measure, {}).setdefault(place, {})[int(step)] = float(value)
        except ValueError:
            raise RunError(f"{path}, line {number}: damaged, got {line[:80]!r}.") from None
    return found


def gradients(run: str | Path) -> Chart:
    """Gradient norm and relative update of each layer by training step, on a logarithmic axis.

    Of more than six layers six are drawn, evenly from the lowest to the topmost.

    Args:
        run: its folder, also while it trains.

    Raises:
        RunError: as for :func:`watched`.
    """
    found = watched(run)
    if not found:
        raise RunError(f"{Path(run) / WATCHED}: it has no report yet; there is nothing to draw.")
    panels, left_out = [], 0
    last = max(step for places in found.values() for points in places.values() for step in points)
    for measure, title in _TITLES.items():
        places = found.get(measure, {})
        chosen = _some(list(places), len(SERIES_COLORS))
        left_out = max(left_out, len(places) - len(chosen))
        if chosen:
            steps = Axis("training step", 0.0, float(max(last, 1)), format=",d")
            panels.append(_panel({place: places[place] for place in chosen}, steps, title))
    notes = ["Root mean square of all steps since the report before; an update beside its weights."]
    notes += [f"Layers that are not drawn: {left_out}."] if left_out else []
    zero = sum(v <= 0 for m in _TITLES for p in found.get(m, {}).values() for v in p.values())
    notes += [f"Left out, exactly 0: {zero}."] if zero else []
    name = Path(run).resolve().name
    drawn = {"vconcat": panels, "spacing": 26}
    return Chart({**drawn, **heading(f"{name}: gradients and updates by layer", notes)})


def _panel(places: Mapping[str, Points], steps: Axis, title: str) -> dict[str, object]:
    drawn = []
    for (place, points), (color, ink) in zip(places.items(), SERIES_COLORS, strict=False):
        shown = [(step, value if value > 0 else math.nan) for step, value in sorted(points.items())]
        drawn.append(Line(place or "all", shown, color, 2.2, ink=ink))
    values = [value for line in drawn for _, value in line.points if math.isfinite(value)]
    heights = axis_over(title, values)
    if not heights.log and values and min(values) > 0:  # they differ by little
        heights = axis_over(title, [min(values) / 3, max(values) * 3])
    return panel(drawn, steps, heights, size=(560, 220))


def _some(names: Sequence[str], most: int) -> list[str]:
    if len(names) <= most:
        return list(names)
    return [names[round(n * (len(names) - 1) / (most - 1))] for n in range(most)]
