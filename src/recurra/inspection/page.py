"""One page that needs no network: sections, pictures in it, and a text to move through."""

from __future__ import annotations

import base64
import html
from importlib import resources
from typing import Any

import numpy as np

from recurra.diagnosis.subject import called
from recurra.inspection.answers import answers
from recurra.inspection.figures import figure
from recurra.inspection.shell import shell
from recurra.inspection.text import packed

__all__ = ["page"]


def page(report: Any) -> str:
    """The report as HTML.

    Args:
        report: a :class:`recurra.inspection.Report`.
    """
    sections = [
        _verdicts(report),
        _scores(report),
        *(_picture(name, each) for name, each in report.pictures.items()),
        _gates(report),
        _reading(report),
        answers(report.examples, report.read is not None),
        _card(report),
        *(f"<p class=note>{_text(each)}</p>" for each in report.said),
    ]
    about = f"{report.task}: {report.model}. Looked at with {report.data}."
    script = resources.files("recurra.inspection").joinpath("reading.js").read_text("utf-8")
    return shell(
        report.name, f"{report.name}: a look inside", about, sections, _data(report), script
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _verdicts(report: Any) -> str:
    if report.examination is None:
        return ""
    found = []
    for each in report.examination.verdicts:
        kind = "good" if each.name.startswith("healthy") else "bad"
        advice = f"<p class=advice>{_text(each.advice)}</p>" if each.advice else ""
        found.append(
            f"<article class='verdict {kind}'><h3>{_text(each.name)}</h3>"
            f"<p>{_text(_begun(each.sentence))}</p>{advice}</article>"
        )
    lines = str(report.examination).splitlines()[-2:]
    facts = "".join(f"<li>{_text(_begun(line))}</li>" for line in lines)
    title = "<h2>What is to be said</h2>"
    trained = f"<p>Its training, at its end: {_text(report.trained)}</p>" if report.trained else ""
    return f"<section id=verdicts>{title}{trained}{''.join(found)}<ul>{facts}</ul></section>"


def _begun(sentence: str) -> str:
    """With a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def _scores(report: Any) -> str:
    if not report.scores:
        return ""
    loss, value = report.measures
    alone = not value
    rows = "".join(
        f"<tr><td>{_text(row.get('name', ''))}</td>"
        + "".join(f"<td>{_number(row.get(each))}</td>" for each in ("loss", "value")[: 2 - alone])
        + "</tr>"
        for row in report.scores
    )
    head = f"<th>model</th><th>{_text(loss)}</th>{'' if alone else f'<th>{_text(value)}</th>'}"
    return (
        "<section id=scores><h2>Scores of what was held out</h2><div class=wide><table><thead>"
        f"<tr>{head}</tr></thead>{rows}</table></div>"
        "<p class=how>The first is the run's own model; the others have seen the same data, and "
        "are there to compare with.</p></section>"
    )


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) and np.isfinite(value) else "-"


def _picture(name: str, picture: Any) -> str:
    title = picture.chart.description.get("title", {}).get("text", picture.title)
    own = "" if title == picture.title else f"<h3>{_text(title)}</h3>"
    drawn = figure(picture.chart, name, picture.how)
    return f"<section><h2>{_text(picture.title)}</h2>{own}{drawn}</section>"


def _gates(report: Any) -> str:
    if report.examination is None:
        return ""
    rows = "".join(
        f"<tr><td>{_text(called(row.key))}</td><td>{row.mean:.3f}</td><td>{row.open:.0%}</td>"
        f"<td>{f'{row.shut:.0%}' if row.kind == 'gate' else ''}</td><td>{len(row.stuck)}</td>"
        f"<td>{len(row.still)}</td><td>{row.units}</td></tr>"
        for row in report.examination.evidence.gates.rows
    )
    return (
        "<section id=units><h2>Gates and units</h2><div class=wide><table><thead><tr><th>value</th>"
        "<th>mean</th><th>open, or at an end</th><th>shut</th><th>stuck units</th>"
        f"<th>still units</th><th>units</th></tr></thead>{rows}</table></div><p class=how>Open: "
        "above 0.9, shut: below 0.1, of all values. Stuck: at an end of its range at nearly every "
        "step; still: the same at every step.</p></section>"
    )


def _card(report: Any) -> str:
    if not report.card:
        return ""
    return (
        "<section id=card><h2>What it is made of</h2>"
        f"<div class=wide><pre>{_text(report.card)}</pre></div></section>"
    )


_RIGHT, _SURPRISE, _SPEAKS = "right and wrong", "surprise", "what speaks for the answer"
_COLORS = {
    _RIGHT: "Right and wrong: green and red.",
    _SURPRISE: "Surprise: the stronger, the less the model expected what is right there, in nats "
    "(0 is certain, 0.7 even odds, 2.3 one in ten).",
    _SPEAKS: "What speaks for the answer: orange for it, blue against it.",
}


def _colors(read: Any) -> list[str]:
    """What colors may show, that first which says most."""
    ahead = list(read.wanted[1:]) == list(read.symbols[1:])  # the text itself is expected
    right, known = bool(read.said), bool(np.isfinite(read.surprises).any())
    order = (_SURPRISE, _RIGHT, _SPEAKS) if ahead else (_RIGHT, _SURPRISE, _SPEAKS)
    there = {_RIGHT: right, _SURPRISE: known, _SPEAKS: bool(len(read.speaks))}
    return [name for name in order if there[name]]


def _reading(report: Any) -> str:
    if report.read is None:
        return ""
    most = "".join(
        f"<tr><td>{step:,}</td><td><code>{_text(repr(symbol))}</code></td><td>{nats:.2f}</td></tr>"
        for step, symbol, nats in report.read.most_surprising()
    )
    follow = "".join(
        f"<tr><td><button data-place='{_text(each.place)}' data-unit={each.unit}>"
        f"{_text(each.place)}, unit {each.unit}</button></td><td>{_text(each.feature)}</td>"
        f"<td>{each.correlation:+.2f}</td></tr>"
        for each in report.followers
    )
    surprises = (
        "<h3>Most surprising</h3><div class=wide><table id=surprising><thead><tr><th>place</th>"
        f"<th>symbol</th><th>nats</th></tr></thead>{most}</table></div>"
        if most
        else ""
    )
    follow = (
        "<h3>Units that move with something visible</h3><div class=wide><table id=followers><thead>"
        f"<tr><th>unit</th><th>moves with</th><th>correlation</th></tr></thead>{follow}</table>"
        "</div><p class=how>Touch one to see it in the text. That both go together does not say "
        "that the model uses it: take the unit away (recurra.diagnosis.ablate) to know.</p>"
        if follow
        else ""
    )
    unknown = (
        "<p class=how>Dotted below: symbols that the model does not know, and reads as one.</p>"
        if report.read.unknown
        else ""
    )
    told = " ".join(_COLORS[name] for name in _colors(report.read))
    return f"""<section id=reading><h2>A text as it is read</h2>
<p class=how>Choose what the colors show. {told} A layer: the value of one of its units, orange
above zero and blue below. Touch a symbol, or move the lower slider.</p>
<div class=choose><label>Color <select id=color></select></label>
<label>Unit <input id=unit type=range min=0 max=0 value=0>
<output id=unit-said></output></label></div>
<div id=symbols></div>
<div class=choose><label>Step <input id=step type=range min=0 max=0 value=0></label></div>
<p id=told></p>{unknown}
<p class=how>The share beside each gate is its mean openness at that step: what it keeps of its
state, writes into it, and shows of it.</p>
{follow}{surprises}</section>"""


def _data(report: Any) -> dict[str, Any] | None:
    """What the text section moves through."""
    read = report.read
    if read is None:
        return None
    units = {
        place: {
            "most": most,
            "units": values.shape[0],
            "bytes": base64.b64encode(values.tobytes()).decode(),
        }
        for place, (values, most) in packed(read.states).items()
    }
    surprises = [None if not np.isfinite(n) else round(float(n), 3) for n in read.surprises]
    told = [read.told(step) for step in range(len(read.symbols))]
    most = float(np.abs(read.speaks).max(initial=0.0)) or 1.0
    return {
        "symbols": read.symbols,
        "unknown": sorted(read.unknown),
        "colors": _colors(read),
        "surprises": surprises,
        "right": [
            fine if word else None for word, fine in zip(read.wanted, read.right, strict=True)
        ],
        "speaks": [round(float(n) / most, 3) for n in np.nan_to_num(read.speaks)],
        "units": units,
        "told": told,
    }
