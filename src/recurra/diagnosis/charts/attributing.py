"""The picture of which steps made an answer, and symbols in their colors."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.charts.chart import FONT, Chart, heading
from recurra.diagnosis.charts.colors import INK, RED, SERIES_COLORS
from recurra.diagnosis.charts.panels import Axis, Line, panel
from recurra.errors import SettingTypeError, ShapeError, kind_of
from recurra.settings import check_kind

if TYPE_CHECKING:
    from recurra.diagnosis.explanation.attribution import Attribution

__all__ = ["attributed", "attributed_html"]

_AGAINST, _NOTHING, _FOR = RED, "#f7f7f7", "#2166ac"  # told apart without red and green
_WIDTH, _STRIP, _BARS = 860, 200, 150
_NAMED = 90  # symbols that are written
_DRAWN = 600  # steps that are drawn one by one; of more some are drawn together


def attributed(
    found: Attribution,
    row: int = 0,
    *,
    place: str | None = None,
    symbols: Sequence[str] | None = None,
    title: str = "",
) -> Chart:
    """What each step of a row gave: bars, above them the numbers on a ground in their colors.

    Of symbols, which are no numbers, the bars alone, with the symbols below them. Blue made the
    explained number larger, red smaller.

    Args:
        found: what :func:`recurra.diagnosis.attribute` gave.
        row: of the batch.
        place: where numbers enter, if there are several.
        symbols: of the row, one for each of its steps.
        title: what was read.

    Raises:
        ShapeError: no such row, or more or fewer symbols than steps.
        SettingError: several places.
    """
    check_kind("title", title, str, "a text")
    name, values = _row(found, row, place, symbols)
    width = float(len(values))
    steps = Axis("step" if symbols is None else "symbol", 0.0, max(width, 1.0), format=",d")
    bars = _bars(values, steps, symbols)
    drawn: dict[str, Any] = bars
    numbers = found.read[name]
    if symbols is None and numbers.dim() in (2, 3):
        own = numbers[: len(values), row]
        above = _numbers(own if own.dim() == 2 else own.unsqueeze(1), values, steps)
        drawn = {"vconcat": [above, bars], "spacing": 18}
    head = f"What each {'step' if symbols is None else 'symbol'} gave: {found.method}"
    return Chart({**drawn, **heading(head, [title, *_notes(found, row, values)])})


def attributed_html(
    found: Attribution,
    symbols: Sequence[str],
    row: int = 0,
    *,
    place: str | None = None,
    title: str = "",
) -> str:
    """A page with the symbols of a row, each on a ground in the color of what it gave.

    The number stands under the mouse. Blue made the explained number larger, red smaller.

    Args:
        found: what :func:`recurra.diagnosis.attribute` gave.
        symbols: of the row, one for each of its steps; words bring their spaces with them.
        row: of the batch.
        place: where numbers enter, if there are several.
        title: what was read.

    Raises:
        ShapeError: no such row, or more or fewer symbols than steps.
        SettingError: several places.
    """
    check_kind("symbols", symbols, Sequence, "a list of texts, one for each step")
    check_kind("title", title, str, "a text")
    _, values = _row(found, row, place, symbols)
    most = max(map(abs, values), default=0.0) or 1.0
    spans = "".join(
        f'<span style="background:{_color(value / most)};color:{_ink(value / most)}" '
        f'title="{value:.4g}">{_shown(symbol)}</span>'
        for symbol, value in zip(symbols, values, strict=True)
    )
    head = html.escape(title or f"What each symbol gave: {found.method}")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _notes(found, row, values))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{head}</title>'
        f'<body style="font-family:{html.escape(FONT)};margin:2em;color:#222;background:#fff">'
        f'<h1 style="font-size:1.1em;font-weight:normal">{head}</h1>{notes}'
        '<p style="font-size:1.2em;line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere">'
        f"{spans}</p></body></html>\n"
    )


def _row(
    found: Attribution, row: int, place: str | None, symbols: Sequence[str] | None
) -> tuple[str, list[float]]:
    """The name of the place, and what each step of the row gave."""
    if not (hasattr(found, "parts") and hasattr(found, "steps")):  # whose class needs torch
        raise SettingTypeError(f"found: expected what attribute gave, got {kind_of(found)}")
    name = found.place(place)
    steps = found.steps(name)
    if isinstance(row, bool) or not isinstance(row, int):
        raise SettingTypeError(f"row: expected a whole number, got {row!r}")
    if symbols is not None:
        listed = isinstance(symbols, Sequence) and not isinstance(symbols, str)
        if not listed or not all(isinstance(symbol, str) for symbol in symbols):
            raise SettingTypeError(
                f"symbols: expected a list of texts, one for each step, got {kind_of(symbols)}"
            )
    if not -steps.shape[1] <= row < steps.shape[1]:
        raise ShapeError(f"row: expected 0 to {steps.shape[1] - 1}, got {row}.")
    values: list[float] = steps[: int(found.lengths[name][row]), row].tolist()
    if symbols is not None and len(symbols) != len(values):
        raise ShapeError(
            f"symbols: expected {len(values)}, one for each step of row {row}, got {len(symbols)}."
        )
    return name, values


def _notes(found: Attribution, row: int, values: Sequence[float]) -> list[str]:
    after, before = float(found.output[row]), float(found.at_baseline[row])
    notes = [f"Explained: {after:.4g}; of the baseline {before:.4g}."]
    if found.gap is not None:
        notes.append(f"All steps sum to {sum(values):.4g}; gap {float(found.gap[row]):.2%}.")
    return notes


def _numbers(numbers: Any, values: Sequence[float], steps: Axis) -> dict[str, Any]:
    """Lines on a ground in the colors of what the steps gave."""
    shown = min(numbers.shape[1], len(SERIES_COLORS))
    finite = [n for n in numbers[:, :shown].flatten().tolist() if math.isfinite(n)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    every = numbers.shape[1]
    title = "numbers" if shown == every else f"{shown} of {every} numbers"
    y = Axis(title, low - room, high + room, format=",~f")
    lines = []
    for channel in range(shown):
        color, ink = SERIES_COLORS[channel]
        points = [(at + 0.5, value) for at, value in enumerate(numbers[:, channel].tolist())]
        name = str(channel) if every > 1 else ""
        lines.append(Line(name, points, color, 1.8, ink=ink))
    drawn = panel(lines, steps._replace(title=""), y, size=(_WIDTH, _STRIP), most=_WIDTH)
    drawn["layer"].insert(0, _ground(values, steps))
    return drawn


def _together(values: Sequence[float]) -> list[tuple[int, int, float]]:
    """Steps from and to, and what they gave: one by one, or some of many together."""
    size = -(-len(values) // _DRAWN) or 1
    starts = range(0, len(values), size)
    return [(at, min(at + size, len(values)), sum(values[at : at + size])) for at in starts]


def _ground(values: Sequence[float], steps: Axis) -> dict[str, Any]:
    rows = [{"x": at, "to": to, "gave": value} for at, to, value in _together(values)]
    return {
        "data": {"values": rows},
        "mark": {"type": "rect", "aria": False},
        "encoding": {
            "x": steps._replace(title="").drawn("x"),
            "x2": {"field": "to"},
            "y": {"value": 0},
            "y2": {"value": _STRIP},
            "color": _shade(rows),
            "tooltip": _told(),
        },
    }


def _bars(values: Sequence[float], steps: Axis, symbols: Sequence[str] | None) -> dict[str, Any]:
    together = _together(values)
    rows: list[dict[str, Any]] = [
        {"x": at, "to": to, "gave": value, "zero": 0.0} for at, to, value in together
    ]
    if symbols is not None:
        for one in rows:
            one["symbol"] = "".join(symbols[one["x"] : one["to"]])
    ends = [0.0, *(value for *_, value in together)]
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    y = Axis("what it gave", min(ends) - room, max(ends) + room, format=",~g")
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": rows},
            # A hair of space between bars, which wide ones have and thin ones cannot.
            "mark": {"type": "rect", "aria": False, "stroke": "#fff", "strokeWidth": 0.4},
            "encoding": {
                "x": steps.drawn("x"),
                "x2": {"field": "to"},
                "y": y.drawn("gave"),
                "y2": {"field": "zero"},
                "color": _sign(),
                "tooltip": _told(symbols is not None),
            },
        },
        {
            "data": {"values": [{"y": 0.0}]},
            "mark": {"type": "rule", "aria": False, "color": "#333"},
            "encoding": {"y": y.drawn("y")},
        },
    ]
    if symbols is not None and len(symbols) <= _NAMED:
        layers[0]["encoding"]["x"]["axis"] = {"labels": False, "ticks": False, "title": None}
        layers.append(_symbols(symbols, steps))
    return {"width": _WIDTH, "height": _BARS, "layer": layers}


def _symbols(symbols: Sequence[str], steps: Axis) -> dict[str, Any]:
    """Below the bars; upright where they are letters, else slanted."""
    rows = [{"x": at + 0.5, "symbol": _visible(symbol)} for at, symbol in enumerate(symbols)]
    room = _WIDTH / max(len(symbols), 1)
    wide = max((len(str(one["symbol"])) for one in rows), default=0) * 7 > room
    mark: dict[str, Any] = {"type": "text", "aria": False, "fontSize": 12, "color": INK}
    mark |= {"align": "right", "angle": 300} if wide else {"align": "center"}
    place = {"value": _BARS + 12}
    x = steps._replace(title="").drawn("x")
    return {
        "data": {"values": rows},
        "mark": {**mark, "baseline": "middle"},
        "encoding": {"x": x, "y": place, "text": {"field": "symbol"}},
    }


def _visible(symbol: str) -> str:
    plain = symbol.strip() or "␣"
    return plain if len(plain) <= 20 else plain[:17] + "..."


def _shade(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    most = max((abs(float(one["gave"])) for one in rows), default=0.0) or 1.0
    scale = {"domain": [-most, 0, most], "range": [_AGAINST, _NOTHING, _FOR], "type": "linear"}
    return {"field": "gave", "type": "quantitative", "scale": scale, "legend": None}


def _sign() -> dict[str, Any]:
    return {"condition": {"test": "datum.gave < 0", "value": _AGAINST}, "value": _FOR}


def _told(symbols: bool = False) -> list[dict[str, Any]]:
    named = [{"field": "symbol", "title": "symbol"}] if symbols else []
    gave = {"field": "gave", "title": "gave", "type": "quantitative", "format": ".4g"}
    return [{"field": "x", "title": "step", "type": "quantitative"}, *named, gave]


def _color(share: float) -> str:
    """Of a share from -1 to 1 of the largest."""
    full, size = _FOR if share > 0 else _AGAINST, abs(share)
    ends = [(int(_NOTHING[at : at + 2], 16), int(full[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a * (1 - size) + b * size):02x}" for a, b in ends)


def _ink(share: float) -> str:
    return "#fff" if abs(share) > 0.6 else INK


def _shown(symbol: str) -> str:
    return html.escape(symbol).replace("\n", "⏎\n")
