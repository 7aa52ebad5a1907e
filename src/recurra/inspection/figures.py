"""Charts as figures of a page: their words are the page's, and a narrow window has its own."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from recurra.diagnosis import Chart

__all__ = ["figure", "narrowed"]

_ROOM = 340.0  # points across a telephone
_LEAST = 150.0  # of a panel
_AXIS = 74.0  # left of a panel
_LETTER = 6.9  # points of a letter
_WIDTH = re.compile(r'<svg[^>]* width="([\d.]+)')
_PANEL = 300  # points from which a panel is made narrower


def figure(chart: Chart, name: str, how: str = "") -> str:
    """A chart without its own title, which becomes text of the page, wide and narrow.

    Args:
        chart: the picture.
        name: of the figure, unique in the page; or empty.
        how: below it.
    """
    plain, words = _without_words(chart.description)
    small = narrowed(plain)
    svg = Chart(plain).svg()
    if small is None:
        wide = _WIDTH.search(svg)
        drawn = f"<div class=chart style='--own:{wide[1] if wide else 480}px'>{svg}</div>"
    else:
        drawn = f"<div class=wide-chart>{svg}</div>"
        drawn += f"<div class=narrow-chart>{Chart(small).svg()}</div>"
    told = f"<p class=how>{html.escape(words)}</p>" if words else ""
    below = f"<figcaption>{html.escape(how)}</figcaption>" if how else ""
    own = f" id='picture-{html.escape(name, quote=True)}'" if name else ""
    return f"{told}<figure{own}>{drawn}{below}</figure>"


def _without_words(description: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A description without its title, and the sentences that stood below that."""
    plain = {name: each for name, each in description.items() if name not in ("$schema", "config")}
    title = plain.pop("title", None)
    told = title.get("subtitle", []) if isinstance(title, Mapping) else []
    return plain, " ".join([told] if isinstance(told, str) else told)


def narrowed(description: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same picture for a narrow window; None where its panels are not lines over an axis.

    Args:
        description: of a chart, in Vega-Lite.
    """
    panels = [each for each in _specs(description) if "layer" in each and "width" in each]
    if not panels or not all(_is_lines(each) for each in panels):
        return None
    found: dict[str, Any] = _narrow(description)
    return found


def _specs(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        yield part
        for name in ("layer", "vconcat", "hconcat", "concat"):
            for each in part.get(name, ()):
                yield from _specs(each)


def _is_lines(panel: Mapping[str, Any]) -> bool:
    """Whether it is wide and has an axis of numbers, along which all else stands."""
    kinds = [each.get("mark", {}).get("type") for each in panel["layer"] if "mark" in each]
    return bool(isinstance(panel["width"], int) and panel["width"] >= _PANEL and "line" in kinds)


def _narrow(part: Any) -> Any:
    if isinstance(part, list):
        return [_narrow(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    if "layer" in part and "width" in part:
        return _panel(part)
    return {name: _narrow(each) for name, each in part.items()}


def _panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    """A panel as wide as its names leave it room; places that were counted in points go along."""
    was = float(panel["width"])
    names = max((len(name) for each in panel["layer"] for name in _beyond(each, was)), default=0)
    wide = max(_LEAST, _ROOM - _AXIS - _LETTER * names - (30 if names else 0))
    high = float(panel.get("height", 300))
    layers = [_moved(each, was, wide, high) for each in panel["layer"]]
    return {**panel, "width": round(wide), "layer": layers}


def _beyond(layer: Mapping[str, Any], width: float) -> list[str]:
    """Names that stand right of a panel."""
    x = layer.get("encoding", {}).get("x", {})
    if not isinstance(x.get("value"), int | float) or x["value"] < width:
        return []
    rows = layer.get("data", {}).get("values", [])
    return [str(row["name"]) for row in rows if "name" in row]


def _moved(layer: Mapping[str, Any], was: float, wide: float, high: float) -> dict[str, Any]:
    encoding = dict(layer.get("encoding", {}))
    for name in ("x", "x2"):
        own = encoding.get(name)
        if isinstance(own, Mapping) and isinstance(own.get("value"), int | float):
            encoding[name] = {**own, "value": own["value"] - was + wide}
    for name, room in (("x", wide), ("y", high)):
        own = encoding.get(name)
        if isinstance(own, Mapping) and isinstance(own.get("axis"), Mapping):
            axis = dict(own["axis"])
            if isinstance(axis.get("title"), str):
                axis["title"] = textwrap.wrap(axis["title"], max(12, int(room / _LETTER)))
            if name == "x" and "values" not in axis:
                axis["tickCount"] = 3
            encoding[name] = {**own, "axis": axis}
    return _wrapped(_inside({**layer, "encoding": encoding}), wide)


def _inside(layer: dict[str, Any]) -> dict[str, Any]:
    """A name that stands in the right half of the panel goes to the left of its place."""
    mark, rows = layer.get("mark", {}), layer.get("data", {}).get("values", [])
    x = layer["encoding"].get("x", {})
    if mark.get("type") != "text" or not rows or "name" not in rows[0] or "scale" not in x:
        return layer
    low, high = x["scale"]["domain"]
    if rows[0]["x"] < (low + high) / 2:
        return layer
    return {**layer, "mark": {**mark, "align": "right", "dx": -12, "dy": 14}}


def _wrapped(layer: dict[str, Any], wide: float) -> dict[str, Any]:
    """Text within the panel, such as that of a mark, on as many lines as it needs."""
    mark, rows = layer.get("mark", {}), layer.get("data", {}).get("values", [])
    if mark.get("type") != "text" or not rows or "text" not in rows[0]:
        return layer
    most = max(16, int(wide / _LETTER))
    told = [{**row, "text": "\n".join(textwrap.wrap(row["text"], most))} for row in rows]
    lines = max(row["text"].count("\n") for row in told)
    mark = {**mark, "lineBreak": "\n", "dy": mark.get("dy", 0) - 13 * lines}
    return {**layer, "mark": mark, "data": {"values": told}}
