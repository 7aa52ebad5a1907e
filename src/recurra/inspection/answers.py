"""The section of a page that shows examples: what was read, and what was answered."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.diagnosis.charts.chart import Chart
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.panels import Axis, Line, panel
from recurra.inspection.examples import Example
from recurra.inspection.figures import figure
from recurra.inspection.marks import dots, image, strip

__all__ = ["answer", "answers", "forecast", "heat", "shown_input", "told_nats"]

_MOST = 6  # examples
_CURVES = 4  # channels that are drawn as lines
_FRAMES = 8
_CARD = (320, 160)  # points of a chart
_LETTERS = 600  # of a text
_BEFORE = 60  # steps before a forecast
_WORST = 6.0  # nats, from which on a color grows no more


def answers(examples: Sequence[Example], read: bool) -> str:
    """The section; empty without examples.

    Args:
        examples: of a run.
        read: whether another section shows the text of each step already.
    """
    if not examples or (read and examples[0].by == "step"):
        return ""
    some = "".join(f"<article class=example>{_card(each)}</article>" for each in examples[:_MOST])
    return (
        "<section id=examples><h2>Examples</h2><p class=how>What was read, what the model "
        f"answered, and what it should have answered. {told_nats(examples)}</p>"
        f"<div class=cards>{some}</div></section>"
    )


def told_nats(examples: Sequence[Example]) -> str:
    """What nats are, where examples have some that are no losses of numbers."""
    if examples[0].by == "number" or not any(math.isfinite(each.total) for each in examples):
        return ""
    return (
        "Nats say how little the right answer was expected: 0 is certain, 0.7 even odds, 2.3 one "
        "in ten."
    )


def _card(example: Example) -> str:
    if example.by == "number":
        return forecast(example.inputs, example.wanted, {"expected": example})
    parts = [shown_input(name, value) for name, value in example.inputs.items()]
    return "".join(parts) + answer(example)


def answer(example: Example, name: str = "answer") -> str:
    """What was said of an example, beside what was wanted.

    Args:
        example: no numbers.
        name: who said it.
    """
    title, total = html.escape(name), _nats(example.total)
    if example.by == "step":
        every = [True] * len(example.wanted)
        return strip(example.wanted, every, "wanted") + strip(
            example.said,
            example.right,
            f"{name}: {_share(example.right)} of the steps right{total}",
        )
    said, wanted = ("".join(words).strip() for words in (example.said, example.wanted))
    fine = said == wanted
    mark = "<b class=right>right</b>" if fine else f"<b class=wrong>wrong</b>: {_wanted(example)}"
    told = f"<q>{html.escape(said)}</q>" if said else "nothing"
    return f"<p><span class=who>{title}</span> {told} {mark}{total}</p>"


def _share(right: Sequence[bool]) -> str:
    return f"{sum(right) / max(len(right), 1):.0%}"


def _nats(value: float) -> str:
    """Nats in a few letters; empty where nobody knows."""
    return f" <span class=how>{value:.2f} nats</span>" if math.isfinite(value) else ""


def _wanted(example: Example) -> str:
    """What was wanted; where it has nats for each symbol, colored by them."""
    words = example.wanted
    if len(example.nats) != len(words) or len(words) < 2:
        return f"<q>{html.escape(''.join(words).strip())}</q>"
    return f"<span class=wanted>{heat(words, example.nats)}</span>"


def heat(words: Sequence[str], values: npt.NDArray[Any], most: float = _WORST) -> str:
    """Words, each with its number behind it: above 0 orange, below it blue.

    Args:
        words: one a number.
        values: of them.
        most: from which on a color grows no more.
    """
    found = []
    for word, value in zip(words, values, strict=True):
        known = float(value) if np.isfinite(value) else 0.0
        color = "230,120,0" if known > 0 else "40,120,220"
        share = 0.85 * min(abs(known) / most, 1.0)
        found.append(
            f"<span style='background:rgba({color},{share:.2f})' title='{known:+.2f} nats'>"
            f"{html.escape(word)}</span>"
        )
    return "".join(found)


def shown_input(name: str, value: Any) -> str:
    """An input as a person sees it.

    Args:
        name: of it.
        value: symbols, or numbers: ``[time, channels]``, or with axes of pixels between these.
    """
    if isinstance(value, list):
        text = "".join(value)
        cut = text if len(text) <= _LETTERS else text[:_LETTERS] + " …"
        return f"<p class=text>{html.escape(cut)}</p>"
    known = np.asarray(value)
    if known.ndim == 4:
        return _frames(name, known)
    if known.ndim == 3:  # columns of a picture
        return image(dots(known.transpose(1, 0, 2)), f"{name}, read from left to right", "line")
    if known.ndim == 2 and known.shape[1] <= _CURVES:
        return _figure(_curves(known), f"{name} as the model reads it, scaled.")
    if known.ndim == 2:
        about = (
            f"{name}: {len(known):,} steps to the right, {known.shape[1]} numbers of each upwards"
        )
        return image(dots(known.T[::-1, :, None]), about, "wide-dots") + _how(about)
    return _how(f"{name}: {' x '.join(map(str, known.shape))} numbers")


def _frames(name: str, frames: npt.NDArray[Any]) -> str:
    """Pictures one after another."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int))
    pixels = dots(frames)
    one = len(frames) == 1
    parts = [
        image(pixels[at], name if one else f"{name}, frame {at + 1} of {len(frames)}", "frame")
        for at in chosen.tolist()
    ]
    told = "" if one else _how(f"{len(chosen)} of {len(frames)} frames, from first to last.")
    return f"<div class=frames>{''.join(parts)}</div>{told}"


def _how(text: str) -> str:
    return f"<p class=how>{html.escape(text)}</p>"


def _figure(chart: Chart, how: str) -> str:
    return figure(chart, "", how)


def _curves(values: npt.NDArray[Any]) -> Chart:
    """Channels over time."""
    drawn = [
        Line(
            str(at + 1) if values.shape[1] > 1 else "", _points(values[:, at]), color, 1.8, ink=ink
        )
        for at, (color, ink) in zip(range(values.shape[1]), SERIES_COLORS, strict=False)
    ]
    x = Axis("step", 0.0, float(max(len(values) - 1, 1)), format=",d")
    return Chart(panel(drawn, x, _linear("value, scaled", values), size=_CARD))


def forecast(inputs: Mapping[str, Any], wanted: Any, said: Mapping[str, Example]) -> str:
    """What was read, what came, and what was expected, of the first channel.

    Args:
        inputs: that were read.
        wanted: what came, ``[steps, channels]``.
        said: what was expected, by who did.
    """
    read = np.asarray(next(iter(inputs.values())))[-_BEFORE:, 0]
    came = np.asarray(wanted)[:, 0]
    means = {name: np.asarray(each.said)[:, 0] for name, each in said.items()}
    drawn = [Line("", _points(read, 1 - len(read)), "#999", 1.6)]
    for (name, mean), (color, ink) in zip(means.items(), SERIES_COLORS, strict=False):
        drawn.append(Line(name, _points(mean, 1), color, 2.4, ink=ink))
    drawn.append(Line("came", _points(came, 1), "#444", 2.2, [5, 3]))
    x = Axis(
        "steps from the last one that was read", float(1 - len(read)), float(len(came)), format=",d"
    )
    y = _linear("value, scaled", np.concatenate([read, came, *means.values()]))
    losses = [
        f"{name}: {each.total:.2f}" for name, each in said.items() if math.isfinite(each.total)
    ]
    how = "Gray was read before, dashed is what came."
    how += f" Mean loss of a value: {', '.join(losses)}." if losses else ""
    return _figure(Chart(panel(drawn, x, y, size=_CARD)), how)


def _linear(title: str, values: npt.NDArray[Any]) -> Axis:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = 0.06 * (high - low) or 1.0
    return Axis(title, low - room, high + room)


def _points(values: npt.NDArray[Any], first: int = 0) -> list[tuple[float, float]]:
    return [(float(at), float(value)) for at, value in enumerate(values.tolist(), first)]
