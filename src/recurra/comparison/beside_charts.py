"""Charts in which all runs share the axes: how they learned, how far they reach, their gates."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from recurra.diagnosis import Axis, Chart
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.history import history
from recurra.diagnosis.charts.panels import Line, axis_over, large, panel
from recurra.diagnosis.examination.gates import verb_of
from recurra.diagnosis.examination.horizon import FORGOTTEN
from recurra.diagnosis.examination.verdicts import LEFT
from recurra.engine.keys import Key
from recurra.errors import RecurraError
from recurra.inspection import Picture, Report

__all__ = ["charts"]

_WIDE = 340
_LONGEST = 24  # letters of a run's name
Points = Sequence[tuple[float, float]]


def charts(
    names: Sequence[str], paths: Sequence[Path], reports: Sequence[Report], said: list[str]
) -> dict[str, Picture]:
    """The pictures by name, each with how to read it.

    Args:
        names: of the runs.
        paths: of them.
        reports: of each.
        said: is told what cannot be drawn.
    """
    short = _shortened(names)
    return _curves(short, paths, said) | _reach(short, reports) | _gates(short, reports)


def _shortened(names: Sequence[str]) -> list[str]:
    """Names without what all begin with, and of few letters."""
    begun = "".join(
        letters[0]
        for letters in itertools.takewhile(
            lambda some: len({*some}) == 1, zip(*names, strict=False)
        )
    )
    cut = begun.rfind("/") + 1
    return [n[cut:] if len(n) - cut <= _LONGEST else f"…{n[-_LONGEST:]}" for n in names]


def _drawn(
    lines: Mapping[str, Points], names: Sequence[str], x: Axis, y: Axis, **how: float
) -> Chart:
    """A line a run, always in the run's own color."""
    drawn = []
    for name, (color, ink) in zip(names, SERIES_COLORS, strict=False):
        if lines.get(name):
            drawn.append(Line(name, lines[name], color, 2.4, ink=ink))
    for name, height in how.items():
        drawn.append(
            Line(name, [(x.low, height), (x.high, height)], "#333", 1.4, [7, 4], flat=True)
        )
    return Chart(panel(drawn, x, y, size=(_WIDE, 240)))


def _curves(names: Sequence[str], paths: Sequence[Path], said: list[str]) -> dict[str, Picture]:
    told = {}
    for name, path in zip(names, paths, strict=True):
        try:
            told[name] = history(path)
        except RecurraError as problem:
            said.append(f"no curve: {problem}")
    if not told:
        return {}
    first = next(iter(told.values()))
    last = max(
        [1.0, *(at for each in told.values() for at, _ in [*each.training, *each.validation])]
    )
    x = Axis("training step", 0.0, last, format=",d")
    found = {}
    if any(each.validation for each in told.values()):
        found["validation"] = Picture(
            _over({name: each.validation for name, each in told.items()}, names, x, first.metric),
            f"Learning: {first.metric} of the validation part",
            "Each point is an evaluation during training, on examples that are not trained on. A "
            "curve that still moves at its end has not been trained to the end.",
        )
    unit = f"{first.loss} a {first.unit.removesuffix('s')}"
    found["training"] = Picture(
        _over({name: each.training for name, each in told.items()}, names, x, f"loss, {unit}"),
        "Learning: loss of training",
        "The mean loss of all steps since the point before. Far below the validation it means that "
        "examples are learned by heart.",
    )
    return found


def _over(lines: Mapping[str, Points], names: Sequence[str], x: Axis, title: str) -> Chart:
    return _drawn(
        lines, names, x, axis_over(title, [y for each in lines.values() for _, y in each])
    )


def _reach(names: Sequence[str], reports: Sequence[Report]) -> dict[str, Picture]:
    seen = {n: r.examination.evidence for n, r in zip(names, reports, strict=True) if r.examination}
    if not seen:
        return {}
    x = Axis("steps back", 0.0, float(max(e.steps for e in seen.values()) - 1 or 1), format=",d")
    gradient = {name: large(enumerate(each.flow.kept)) for name, each in seen.items()}
    moved = {
        name: large(zip(each.response.at, each.response.values, strict=True))
        for name, each in seen.items()
    }
    kept = _logarithmic("share of the gradient that is left", gradient, LEFT)
    felt = _logarithmic("change of the output (1: another example)", moved, FORGOTTEN)
    return {
        "gradient": Picture(
            _drawn(gradient, names, x, kept, lost=LEFT),
            "How far back a gradient reaches",
            "How large the gradient of the loss is at a state so many steps before. Below the "
            "dashed line next to nothing is left: what happened so long before is not learned.",
        ),
        "memory": Picture(
            _drawn(moved, names, x, felt, forgotten=FORGOTTEN),
            "How long an input is felt",
            "How much the output at the end moves if the input so many steps before is another "
            "one, beside a wholly other example. A line below the dashed one has forgotten.",
        ),
    }


def _logarithmic(title: str, lines: Mapping[str, Points], level: float) -> Axis:
    every = [y for points in lines.values() for _, y in points]
    return axis_over(title, [*every, level, 8 * level])._replace(log=True)


def _gates(names: Sequence[str], reports: Sequence[Report]) -> dict[str, Picture]:
    """Units of all layers, from the most shut to the most open, by what their gates do."""
    means: dict[str, dict[str, list[float]]] = {}
    labels: dict[str, list[str]] = {}
    for name, report in zip(names, reports, strict=True):
        for row in report.examination.evidence.gates.rows if report.examination else ():
            if row.kind == "gate":
                label = Key.of(row.key).label
                role = _ROLES.get(verb_of(label), label)
                labels.setdefault(role, []).append(label)
                means.setdefault(role, {}).setdefault(name, []).extend(row.means)
    x = Axis("units, from the most shut gate to the most open", 0.0, 1.0, format=".0%")
    y = Axis("mean openness", 0.0, 1.0, format=".0%")
    found = {}
    order = sorted(means, key=[*_HOW, *means].index)
    for role in order:
        runs = means[role]
        lines = {
            name: list(zip(np.linspace(0, 1, len(own)).tolist(), sorted(own), strict=True))
            for name, own in runs.items()
            if len(own) > 1
        }
        if lines:
            gates = " and ".join(dict.fromkeys(labels[role]))
            how = f"{gates.capitalize()}. {_HOW.get(role, '')}"
            title = role if role in _HOW else f"Openness of the {role}"
            found[f"gates-{role.split()[-1]}"] = Picture(_drawn(lines, names, x, y), title, how)
    return found


_ROLES = {
    "keeps": "What gates keep",
    "writes": "What gates write",
    "shows": "What gates show",
    "reads of its past": "What gates read",
}
_HOW = {
    "What gates keep": "How much of its state a unit keeps from step to step: at 99 % it remembers "
    "for about a hundred steps, at 90 % for ten, at 50 % for two.",
    "What gates write": "How much of what is read a unit writes into its state.",
    "What gates show": "How much of its state a unit shows to the next layer.",
    "What gates read": "How much of its state a unit reads when it makes up what is new.",
}
