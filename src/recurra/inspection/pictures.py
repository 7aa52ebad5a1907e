"""The pictures of a run: how far back it reaches, its gates, its surprises, and its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.diagnosis import Axis, Chart, Examination, gradients, lines, pictures, watched
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.watching import WATCHED
from recurra.diagnosis.examination.evidence import Evidence
from recurra.diagnosis.subject import called
from recurra.errors import RecurraError
from recurra.given import path_of
from recurra.inspection.text import Read

__all__ = ["Picture", "pictures_of", "save_pictures"]


class Picture(NamedTuple):
    """A chart and how to read it.

    Args:
        chart: the picture.
        title: above it.
        how: a sentence on how to read it.
    """

    chart: Chart
    title: str
    how: str


def save_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> list[Path]:
    """Write charts as SVG and as PNG into a folder.

    Args:
        pictures: by the names of their files.
        folder: is made where it is not there.
    """
    folder = path_of("pictures", folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        picture.chart.save(folder / f"{name}.{kind}")
        for name, picture in pictures.items()
        for kind in ("svg", "png")
    ]


def pictures_of(
    examination: Examination | None, read: Read | None, card: Any, home: Path, said: list[str]
) -> dict[str, Picture]:
    """All pictures of a run by name, as far as there is something to draw.

    Args:
        examination: what is right and wrong with it.
        read: a text as it reads it.
        card: the :class:`recurra.diagnosis.Card` of its model, or None.
        home: its folder.
        said: is told what cannot be drawn, and why.
    """
    drawn: dict[str, Chart | None] = {}
    if examination is not None:
        drawn["reach"] = examination.chart()
        drawn["gates"] = _gates(examination.evidence)
    if read is not None and np.isfinite(read.surprises).any():
        drawn["surprise"] = _surprise(read)
    if card is not None:
        try:
            drawn["unrolled"] = card.chart()
        except RecurraError as problem:
            said.append(f"not drawn: {problem}")
    drawn |= _of_training(home, said)
    return {
        name: Picture(chart, *_WORDS.get(name, (name.capitalize(), "")))
        for name, chart in drawn.items()
        if chart is not None
    }


_WORDS = {
    "reach": (
        "How far back",
        "Where a line has fallen below the dashed one, next to nothing is left. A gradient that is "
        "lost there cannot teach what happened before; an output that does not move has forgotten "
        "it.",
    ),
    "gates": (
        "What gates do",
        "Each line has the units of one gate, sorted by how open it is on the average. A forget or "
        "update gate near the top remembers for long; one of 90 % has lost two thirds after ten "
        "steps.",
    ),
    "surprise": (
        "Surprise",
        "High where the model did not expect what is right. A model of text that has learned is "
        "low inside of words, and high where something new begins.",
    ),
    "unrolled": (
        "Unrolled",
        "One box a layer and step. A state goes along a row, what is read goes up; boxes beside "
        "each other at one step read it each for itself.",
    ),
    "gradients": (
        "Gradients",
        "Of each layer the size of its gradient, and how far a step moves its weights as a share "
        "of their size: about a thousandth is usual. One far below the others learns slowly.",
    ),
    "curve": (
        "Curve",
        "The ring is the checkpoint that was kept, where the validation is best. Where training "
        "goes on to improve and validation does not, the model learns its examples by heart. "
        "Dashed is what the others score.",
    ),
    "confusion": (
        "Confusion",
        "Rows are true classes, columns what was said: the diagonal is right.",
    ),
    "forecast": ("Forecast", "The line is what came, the bands are where it was expected."),
}


def _gates(seen: Evidence) -> Chart | None:
    """Units in the order of how open their gates are."""
    series: dict[str, dict[float, float]] = {}
    for row in seen.gates.rows:
        if row.kind == "gate" and len(series) < len(SERIES_COLORS) and row.units > 1:
            ranks = np.linspace(0.0, 1.0, row.units)
            heights = np.sort(row.means)
            series[called(row.key)] = dict(zip(map(float, ranks), map(float, heights), strict=True))
    if not series:
        return None
    return lines(
        series,
        title="What gates do",
        x=Axis(
            "units, from the one whose gate is most shut to the most open", 0.0, 1.0, format=".0%"
        ),
        y=Axis("mean openness", 0.0, 1.0, format=".0%"),
    )


def _surprise(read: Read) -> Chart:
    some = read.surprises[: min(len(read.symbols), 300)]
    heights = {float(n): float(value) for n, value in enumerate(some) if np.isfinite(value)}
    return lines(
        {"": heights},
        title="How surprising what is right is, step by step",
        x=Axis("place in the text", 0.0, float(max(len(some) - 1, 1)), format=",d"),
        y=Axis("surprise, nats", 0.0, max(heights.values()) * 1.05),
        about="The beginning of the text.",
    )


def _of_training(path: str | Path, said: list[str]) -> dict[str, Chart]:
    folder = Path(path)
    if not (folder / "log.csv").is_file():
        return {}
    try:
        found: dict[str, Chart] = dict(pictures(folder))
    except RecurraError as problem:
        said.append(f"no curve: {problem}")
        found = {}
    found.pop("gradients", None)
    if (folder / WATCHED).is_file():
        try:
            if _reports(folder) > 1:  # one alone is no curve
                found["gradients"] = gradients(folder)
        except RecurraError as problem:
            said.append(f"no gradients: {problem}")
    return found


def _reports(folder: Path) -> int:
    """How often the monitors of a training wrote."""
    places = (points for found in watched(folder).values() for points in found.values())
    return max(map(len, places), default=0)
