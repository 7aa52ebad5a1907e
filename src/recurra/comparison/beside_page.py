"""The page of runs side by side."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from recurra.columns import number
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.inspection.answers import answer, forecast, shown_input, told_nats
from recurra.inspection.examples import Example
from recurra.inspection.figures import figure
from recurra.inspection.shell import shell

__all__ = ["page"]

_EXAMPLES = 8


def page(found: Any) -> str:
    """The comparison as HTML.

    Args:
        found: a :class:`recurra.comparison.SideBySide`.
    """
    about = f"{len(found.names)} runs of the task {found.reports[0].task}, looked at with "
    about += f"{found.reports[0].data}. A column, and in charts a color, is a run."
    sections = [
        _study(found),
        _table(found),
        _pairs(found),
        _verdicts(found),
        f"<div class=twos>{''.join(map(_picture, found.pictures, found.pictures.values()))}</div>",
        _reading(found),
        _examples(found),
        *(f"<p class=note>{_text(each)}</p>" for each in _said(found)),
    ]
    script = resources.files("recurra.comparison").joinpath("beside.js").read_text("utf-8")
    return shell("Side by side", found.title, about, sections, _data(found), script)


def _text(value: object) -> str:
    return html.escape(str(value))


def _name(found: Any, at: int) -> str:
    """A run's name with a dot of its color."""
    return (
        f"<span class=run><i style='background:{SERIES_COLORS[at][0]}'></i>"
        f"{_text(found.names[at])}</span>"
    )


def _said(found: Any) -> list[str]:
    """What could not be looked at; what is so of all runs once."""
    own: dict[str, list[str]] = {}
    for name, report in zip(found.names, found.reports, strict=True):
        for said in report.said:
            own.setdefault(said, []).append(name)
    told = [
        said if len(names) == len(found.names) else f"{', '.join(names)}: {said}"
        for said, names in own.items()
    ]
    return [*found.said, *told]


def _study(found: Any) -> str:
    """The table of a comparison that was made before."""
    if found.study is None:
        return ""
    table = found.study.table
    head = "".join(f"<th>{_text(each)}</th>" for each in table.header)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    notes = "".join(f"<p class=how>{_text(note)}</p>" for note in table.notes)
    return (
        f"<section id=study><h2>All runs</h2><p class=how>{_text(table.title)}</p><div class=wide>"
        f"<table><thead><tr>{head}</tr></thead>{rows}</table></div>{notes}<p class=how>Below, the "
        "best variants stand beside each other, each by its run of the middle score.</p></section>"
    )


def _table(found: Any) -> str:
    """What each is: settings that differ, size, time, scores."""
    head = "".join(f"<th scope=col>{_name(found, at)}</th>" for at in range(len(found.names)))
    rows = []
    for name, values in found.rows:
        cells = "".join(f"<td>{_text(value) or '-'}</td>" for value in values)
        kind = " class=differs" if name in found.short_settings else ""
        rows.append(f"<tr{kind}><th scope=row>{_text(name)}</th>{cells}</tr>")
    return (
        "<section id=runs><h2>What they are</h2><p class=how>Of the settings only those that "
        "differ.</p><div class=wide><table class=beside "
        f"style='--runs:{len(found.names)}'><thead><tr><td></td>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _pairs(found: Any) -> str:
    """Differences to the first run, each with its interval, on an axis of their own."""
    parts = []
    for at, paired in enumerate(found.paired, 1):
        for row in paired.rows if paired else ():
            parts.append(_pair(found, at, row))
    if not parts:
        return ""
    first = next(each for each in found.paired if each is not None)
    return (
        "<section id=pairs><h2>In pairs</h2><p class=how>All runs on the same "
        f"{first.examples:,} held-out {_text(first.unit)}: the difference to {_name(found, 0)}, "
        "and the interval in which it lies in 95 % of draws of these examples. Where the interval "
        "crosses the middle, chance alone may be the reason. It tells the noise of the examples, "
        f"not that of seeds.</p><div class=pairs>{''.join(parts)}</div></section>"
    )


def _pair(found: Any, at: int, row: Any) -> str:
    reach = max(abs(row.low), abs(row.high), abs(row.difference)) * 1.15 or 1.0
    low, high, middle = (50 + 50 * value / reach for value in (row.low, row.high, row.difference))
    sure = not row.low <= 0 <= row.high
    better = (row.difference < 0) == row.less
    word = ("better" if better else "worse") if sure else "within the noise"
    kind = ("right" if better else "wrong") if sure else "how"
    way = "less" if row.less else "more"
    return (
        f"<article><p>{_name(found, at)}: {_text(row.name)} ({way} is better) "
        f"{number(row.other, 4)} beside {number(row.one, 4)}: <b class={kind}>{word}</b></p>"
        f"<div class=interval role=img aria-label='{row.low:+.4f} to {row.high:+.4f}'>"
        f"<span style='left:{low:.1f}%;width:{max(high - low, 0.5):.1f}%;"
        f"background:{SERIES_COLORS[at][0]}'></span><b style='left:{middle:.1f}%'></b></div>"
        f"<p class=how>{row.difference:+.4f}, 95 % interval {row.low:+.4f} to {row.high:+.4f}; "
        f"better in {row.better:.1%} of the draws</p></article>"
    )


def _verdicts(found: Any) -> str:
    parts = []
    for at, report in enumerate(found.reports):
        verdicts = report.examination.verdicts if report.examination else []
        told = "".join(
            f"<article class='verdict {'good' if each.name.startswith('healthy') else 'bad'}'>"
            f"<h3>{_text(each.name)}</h3><p>{_text(each.sentence[:1].upper() + each.sentence[1:])}"
            "</p></article>"
            for each in verdicts
        )
        parts.append(f"<div><h3>{_name(found, at)}</h3>{told or '<p>Nothing to say.</p>'}</div>")
    return (
        f"<section id=verdicts><h2>Verdicts</h2><div class=columns>{''.join(parts)}</div></section>"
    )


def _picture(name: str, picture: Any) -> str:
    drawn = figure(picture.chart, name, picture.how)
    return f"<section><h2>{_text(picture.title)}</h2>{drawn}</section>"


# ---- the same text -------------------------------------------------------------------------------


def _readers(found: Any) -> list[int]:
    """Numbers of the runs that read the same symbols as the first of them, with known surprises."""
    reads = [
        (at, each.read)
        for at, each in enumerate(found.reports)
        if each.read is not None and np.isfinite(each.read.surprises).any()
    ]
    return [at for at, read in reads if list(read.symbols) == list(reads[0][1].symbols)]


def _reading(found: Any) -> str:
    if len(_readers(found)) < 2:
        return ""
    return """<section id=reading><h2>The same text, read by two</h2>
<p class=how>The color is the difference of surprise: how much less one of the two expected what is
right there, in nats. <span class=first>Blue</span>: the first run expected it more.
<span class=second>Orange</span>: the second did. Touch a symbol for its numbers.</p>
<div class=choose><label>First <select id=one></select></label>
<label>Second <select id=other></select></label></div>
<p id=totals></p><div id=symbols></div><p id=told></p></section>"""


def _data(found: Any) -> dict[str, Any] | None:
    readers = _readers(found)
    if len(readers) < 2:
        return None
    reads = [found.reports[at].read for at in readers]
    return {
        "runs": [found.names[at] for at in readers],
        "symbols": list(reads[0].symbols),
        "surprises": [
            [None if not np.isfinite(n) else round(float(n), 3) for n in read.surprises]
            for read in reads
        ],
        "said": [list(read.said) for read in reads],
        "wanted": list(reads[0].wanted),
    }


# ---- the same examples ---------------------------------------------------------------------------


def _examples(found: Any) -> str:
    """Examples that all have read, with the answer of each."""
    if len(_readers(found)) > 1:
        return ""
    rows = [each.examples for each in found.reports]
    some = [one for one in zip(*rows, strict=False) if _same(one)]
    if not some:
        return ""
    # Those where the runs differ most come first.
    some.sort(key=lambda one: -_spread(one))
    shown = (_card(found, one) for one in some[:_EXAMPLES])
    cards = "".join(f"<article class=example>{card}</article>" for card in shown)
    return (
        "<section id=examples><h2>The same examples</h2><p class=how>What was read, and what each "
        "answered; those on which they differ most come first. The stronger the color behind an "
        f"answer, the more its run lost there beside the best one. {told_nats(rows[0])}</p>"
        f"<div class=cards>{cards}</div></section>"
    )


def _same(examples: Sequence[Example]) -> bool:
    """Whether all are of the same question."""
    first = examples[0]
    return all(each.by == first.by and _equal(each, first) for each in examples)


def _equal(one: Example, other: Example) -> bool:
    if one.by == "number":
        return bool(np.array_equal(one.wanted, other.wanted, equal_nan=True))
    if one.inputs.keys() != other.inputs.keys():
        return False
    read = all(_alike(value, other.inputs[name]) for name, value in one.inputs.items())
    return read and "".join(one.wanted) == "".join(other.wanted)


def _alike(one: Any, other: Any) -> bool:
    """Whether two inputs are the same, however a text is cut into symbols."""
    if isinstance(one, list) != isinstance(other, list):
        return False
    if isinstance(one, list):
        return "".join(one) == "".join(other)
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))


def _spread(examples: Sequence[Example]) -> float:
    totals = [each.total for each in examples if math.isfinite(each.total)]
    return max(totals) - min(totals) if len(totals) > 1 else 0.0


def _card(found: Any, examples: Sequence[Example]) -> str:
    first = examples[0]
    if first.by == "number":
        return forecast(first.inputs, first.wanted, dict(zip(found.names, examples, strict=True)))
    read = "".join(shown_input(name, value) for name, value in first.inputs.items())
    totals = [each.total for each in examples]
    best = min((total for total in totals if math.isfinite(total)), default=0.0)
    answers = []
    for at, (each, total) in enumerate(zip(examples, totals, strict=True)):
        share = 0.6 * min((total - best) / 3, 1.0) if math.isfinite(total) else 0.0
        answers.append(
            f"<div class=said style='background:rgba(230,120,0,{share:.2f})'>{_name(found, at)}"
            f"{answer(each, '')}</div>"
        )
    return read + "".join(answers)
