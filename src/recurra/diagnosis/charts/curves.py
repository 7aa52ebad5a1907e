"""The pictures: how a run went, which classes are taken for which, and lines of any kind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from recurra.diagnosis.charts.chart import Chart, heading, shortened
from recurra.diagnosis.charts.colors import (
    BLUE,
    DARK_GRAY,
    DARK_ORANGE,
    INK,
    ORANGE,
    SERIES_COLORS,
    SHADES,
)
from recurra.diagnosis.charts.history import History, Score, history
from recurra.diagnosis.charts.panels import Axis, Line, Mark, axis_over, panel
from recurra.errors import SettingError, SettingTypeError, ShapeError, kind_of
from recurra.settings import check_kind, check_list, check_numbers, check_size

__all__ = ["Axis", "Chart", "confusion", "curve", "lines"]

_TRAINING, _VALIDATION, _OTHER = ORANGE, BLUE, DARK_GRAY
_ALL_CLASSES, _WORST = 40, 30
_LONGEST = 40  # characters of a name


def curve(run: str | Path) -> Chart:
    """Loss over the steps of a run: training, validation, and what was scored on the test part.

    The kept checkpoint is marked. Where it was chosen by something else than the loss, that has a
    panel of its own.

    Args:
        run: its folder, also while it trains.

    Raises:
        RunError: it has no log yet, or a damaged one.
    """
    told = history(run)
    alone = told.metric == told.loss
    last = max([1.0, *(step for step, _ in told.training)])
    steps = Axis("training step", 0.0, last, format=",d")
    training = Line("training", told.training, _TRAINING, 2.0, ink=DARK_ORANGE)
    measured = [Line("validation", told.validation, _VALIDATION, 2.8)] if told.validation else []
    loss = [training, *(measured if alone else []), *_levels(told.scores, "loss", last)]
    other = [] if alone else [*measured, *_levels(told.scores, "value", last)]
    unit = "" if told.loss == "loss" else f", {told.loss}"
    title, mark = f"loss{unit} a {told.unit.removesuffix('s')}", _mark(told)
    if not other:
        drawn = _panel(loss, steps, title, mark, 340)
    else:
        # The ring is where its number is: on the validation, or on the training without one.
        above = mark and (mark._replace(y=None) if measured else mark)
        below = mark and mark._replace(text="", y=mark.y if measured else None)
        panels = [
            _panel(loss, steps._replace(title=""), title, above, 220),
            _panel(other, steps, told.metric, below, 220),
        ]
        drawn = {"vconcat": panels, "spacing": 26}
    what = "loss" if alone else f"loss and {told.metric}"
    head = f"{shortened(told.name, _LONGEST)}: {what} by training step"
    return Chart({**drawn, **heading(head, [told.verdict, *_notes(told)])})


def _panel(
    drawn: Sequence[Line], steps: Axis, title: str, mark: Mark | None, height: int
) -> dict[str, Any]:
    heights = axis_over(title, [value for line in drawn for _, value in line.points])
    return panel(drawn, steps, heights, size=(640, height), mark=mark)


def _levels(scores: Sequence[Score], field: str, last: float) -> list[Line]:
    """What models scored on the test part, as heights to compare with."""
    found = []
    for number, score in enumerate(scores):
        value = float(getattr(score, field))
        if not math.isfinite(value):
            continue
        color, dash = (_OTHER, [7, 4]) if number else (_VALIDATION, [2, 3])
        name = f"{shortened(score.name, _LONGEST)}, test: {value:.4g}"
        found.append(Line(name, [(0.0, value), (last, value)], color, 1.5, dash, flat=True))
    return found


def _mark(told: History) -> Mark | None:
    """The kept checkpoint."""
    if told.chosen is None:
        return None
    value = dict(told.validation).get(told.chosen, math.nan)
    why = ""
    if math.isfinite(value):
        by = "" if told.metric == told.loss else f" {told.metric}"
        why = f", the best validation{by} ({value:.4g})"
    elif not told.validation:
        why, value = ", the last", dict(told.training).get(told.chosen, math.nan)
    text = f"kept: step {told.chosen:,}{why}"
    return Mark(told.chosen, text, value if math.isfinite(value) else None)


def _notes(told: History) -> list[str]:
    """What a reader must know of the lines, and what is not in them."""
    notes = []
    for name, points in (("training", told.training), ("validation", told.validation)):
        odd = sum(not math.isfinite(value) for _, value in points)
        if odd:
            notes.append(f"Left out of {name}: {odd} of {len(points)}, no finite numbers.")
    names = [
        shortened(score.name, _LONGEST)
        for score in told.scores
        if not (math.isfinite(score.loss) and math.isfinite(score.value))
    ]
    if names:
        notes.append(f"Left out of test, no finite number: {', '.join(names)}.")
    if told.unread:
        notes.append(f"Damaged lines of log.csv, left out: {told.unread}.")
    if not told.validation:
        notes.append("Without a validation part: the last checkpoint is kept.")
    notes.append("A training loss is the mean of all steps since the evaluation before.")
    return notes


def lines(
    series: Mapping[str, Mapping[float, float]],
    *,
    title: str,
    x: Axis,
    y: Axis,
    about: str = "",
    levels: Mapping[str, float] | None = None,
) -> Chart:
    """Lines over a common axis, each named beside its deepest fall, or where it ends.

    Where lines lie over each other all are seen: the first is the broadest.

    Args:
        series: heights by place, by name.
        title: above the picture.
        x: the axis of the places.
        y: the axis of the heights.
        about: a sentence below the title.
        levels: heights to compare with, by name.

    Raises:
        SettingError: more series than can be told apart, or something of another type.
    """
    check_kind("series", series, Mapping, "heights by place, by name")
    for name, heights in series.items():
        check_kind("series", name, str, "a text as a name")
        check_numbers(f"series: {name!r}", heights)
        check_numbers(f"series: {name!r}: places", dict(enumerate(heights)))
    check_kind("title", title, str, "a text")
    check_kind("about", about, str, "a text")
    check_kind("x", x, Axis, "an Axis")
    check_kind("y", y, Axis, "an Axis")
    check_numbers("levels", levels or {})
    if len(series) > len(SERIES_COLORS):
        raise SettingError(
            f"lines: expected at most {len(SERIES_COLORS)} series, which can be told apart, got "
            f"{len(series)}"
        )
    size = (560, 300)
    drawn = []
    for number, (name, heights) in enumerate(series.items()):
        points = sorted(heights.items())
        width = 2.5 + 2.2 * (len(series) - 1 - number)
        color, ink = SERIES_COLORS[number]
        at = _fall(points, x, y, size)
        drawn.append(Line(name, points, color, width, ink=ink, named_at=at))
    for name, height in (levels or {}).items():
        drawn.append(
            Line(name, [(x.low, height), (x.high, height)], "#333", 1.4, [7, 4], flat=True)
        )
    return Chart({**panel(drawn, x, y, size=size), **heading(title, [about])})


def _fall(
    points: Sequence[tuple[float, float]], x: Axis, y: Axis, size: tuple[int, int]
) -> tuple[float, float] | None:
    """Right of the middle of the deepest fall, if that is deep enough for a name."""
    falls = [(y.share(a[1]) - y.share(b[1]), a, b) for a, b in pairwise(points)]
    deepest, a, b = max(falls, default=(0.0, (0.0, 0.0), (0.0, 0.0)))
    if deepest * size[1] < 60:
        return None
    # Beside the line, however flat it falls: its letters are about 16 points high.
    steep = deepest * size[1] / ((x.share(b[0]) - x.share(a[0])) * size[0])
    across = (x.share(a[0]) + x.share(b[0])) / 2 + (6 + 10 / steep) / size[0]
    up = (y.share(a[1]) + y.share(b[1])) / 2 + 4 / size[1]
    return x.value(across), y.value(up)


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Chart:
    """Which class was taken for which: counts, and shares of all examples of that class.

    Of more than 40 classes those 30 are shown that have the most mistakes.

    Args:
        counts: a row for each true class, in it how often each class was said.
        names: of the classes.

    Raises:
        ShapeError: not one row and one column a name.
        SettingError: counts that are no whole numbers, or names that are no texts.
    """
    check_list("names", names, str, "a list of texts")
    given: Any = counts
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SettingTypeError(f"counts: expected rows of whole numbers, got {kind_of(given)}")
    rows = [list(row) if isinstance(row, Iterable) else [row] for row in given]
    table, size = [[check_size("counts", n, 0) for n in row] for row in rows], len(names)
    if not size or len(table) != size or any(len(row) != size for row in table):
        raise ShapeError(
            f"counts: confusion: expected a row and a column for each of {size} names, at least "
            f"one, got {len(table)} rows of {sorted({len(row) for row in table})}"
        )
    total, right = sum(map(sum, table)), sum(table[i][i] for i in range(size))
    head = f"Right: {right:,} of {total:,} ({_percent(right / max(total, 1))})"
    about = "Of each true class (row): how many were taken for which, and their share of the row."
    kept, label = _worst(table), _distinct(names)
    if len(kept) < size:
        about += f" Shown are {len(kept)} of {size:,} classes, those with the most mistakes."
    cells = []
    for truth in kept:
        for said in kept:
            count, every = table[truth][said], sum(table[truth])
            share = count / max(every, 1)
            cell = {"true": label[truth], "said": label[said], "count": count, "share": share}
            cells.append(cell | {"number": _brief(count), "percent": _percent(share)})
    shown = [label[number] for number in kept]
    edge = min(max(430 / len(kept), 38), 96)
    wide = round(edge * len(kept))
    turned = len(kept) > 8 or max(map(len, shown)) * 7 > edge
    return Chart(
        {
            "data": {"values": cells},
            "width": wide,
            "height": wide,
            "encoding": {
                "x": _classes("said", "predicted class", shown, -45 if turned else 0),
                "y": _classes("true", "true class", shown, 0),
            },
            "layer": _cells(edge),
            **heading(head, [about], max(60, wide // 7)),
        }
    )


def _worst(table: Sequence[Sequence[int]]) -> list[int]:
    """The classes to be shown: all, or those with the most mistakes, in their order."""
    size = len(table)
    if size <= _ALL_CLASSES:
        return list(range(size))
    columns = [sum(row[number] for row in table) for number in range(size)]
    wrong = [
        sum(table[number]) + columns[number] - 2 * table[number][number] for number in range(size)
    ]
    return sorted(sorted(range(size), key=lambda number: -wrong[number])[:_WORST])


def _classes(field: str, title: str, names: Sequence[str], angle: int) -> dict[str, Any]:
    axis = {
        "title": title,
        "orient": "top" if field == "said" else "left",
        "labelAngle": angle,
        "labelLimit": 180,
        "labelOverlap": False,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    }
    return {
        "field": field,
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(names), "padding": 0},
        "axis": axis,
    }


def _cells(edge: float) -> list[dict[str, Any]]:
    """Colored by their share, with a frame around what is right, and two numbers in each."""
    shade = {
        "field": "share",
        "type": "quantitative",
        "scale": SHADES,
        "legend": None,
    }
    told = [
        {"field": "true", "title": "true"},
        {"field": "said", "title": "predicted"},
        {"field": "count", "type": "quantitative", "format": ","},
        {"field": "share", "type": "quantitative", "format": ".1%"},
    ]
    ink = {"condition": {"test": "datum.share > 0.64", "value": "#fff"}, "value": INK}
    letter = min(max(edge / 3.6, 10), 15)
    rect = {"type": "rect", "aria": False, "stroke": "#ddd", "strokeWidth": 1}
    frame = {"type": "rect", "aria": False, "fillOpacity": 0, "stroke": INK, "strokeWidth": 1.5}
    layers: list[dict[str, Any]] = [
        {"mark": rect, "encoding": {"color": shade, "tooltip": told}},
        {"mark": frame, "transform": [{"filter": "datum.true == datum.said"}]},
    ]
    for field, up, size in (("number", -0.55, letter), ("percent", 0.6, letter - 2)):
        mark = {"type": "text", "aria": False, "fontSize": size, "dy": up * letter}
        text = {"text": {"field": field, "type": "nominal"}, "color": ink}
        shown = [{"filter": "datum.count > 0"}]
        layers.append({"mark": mark, "transform": shown, "encoding": text})
    return layers


def _brief(count: int) -> str:
    """A count in a few characters."""
    for least, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= least:
            return f"{count / (1000 if letter == 'k' else least):.3g}{letter}"
    return f"{count}"


def _percent(share: float) -> str:
    """A share; what is not nothing and not all never looks like it."""
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each of its own."""
    found: list[str] = []
    for number, name in enumerate(names):
        plain = " ".join(str(name).split()) or "(empty)"
        found.append(f"{plain} ({number})" if plain in found else plain)
    return found
