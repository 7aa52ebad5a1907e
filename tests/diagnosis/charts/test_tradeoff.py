"""The picture of a comparison: its numbers, and names that stand apart."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from recurra.diagnosis import pictures
from recurra.diagnosis.charts.panels import Axis
from recurra.diagnosis.charts.tradeoff import Variant, _places, read_variants, tradeoff
from recurra.errors import RunError

POINTS = [
    Variant("gru 8", 0.8, 0.05, 1000, 2.0, "gru"),
    Variant("gru 16", 0.9, 0.01, 4000, 5.0, "gru"),
    Variant("lstm 8", 0.7, None, 1500, None, "lstm"),
]


def rows(panel: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The values of all layers of a kind of mark."""
    layers = [layer for layer in panel["layer"] if layer["mark"]["type"] == kind]
    return [row for layer in layers for row in layer["data"]["values"]]


def test_each_variant_is_a_point_of_both_panels() -> None:
    chart = tradeoff(POINTS, title="accuracy", less=False, levels={"majority": 0.5})
    sizes, times = chart.description["hconcat"]
    dots = [row for row in rows(sizes, "circle") if "spread" in row]
    assert [(row["x"], row["y"]) for row in dots] == [(1000, 0.8), (4000, 0.9), (1500, 0.7)]
    timed = [row for row in rows(times, "circle") if "spread" in row]
    assert [(row["x"], row["y"]) for row in timed] == [(2.0, 0.8), (5.0, 0.9)]
    bars = [row for row in rows(sizes, "rule") if "low" in row]
    assert [(row["low"], row["high"]) for row in bars] == [
        (pytest.approx(0.75), pytest.approx(0.85)),
        (pytest.approx(0.89), pytest.approx(0.91)),
    ]
    names = {row["name"] for row in rows(sizes, "text")}
    assert {"gru 8", "gru 16", "lstm 8"} <= names
    assert "majority" not in names
    assert "majority" in {row["name"] for row in rows(times, "text")}
    inks = [layer["mark"]["color"] for layer in sizes["layer"] if layer["mark"]["type"] == "circle"]
    assert inks[-3] == inks[-2] != inks[-1]  # gru, gru, lstm
    assert "more is better" in json.dumps(chart.description)
    assert chart.svg().startswith("<svg")


def test_no_bar_goes_beyond_what_can_be(tmp_path: Path) -> None:
    variant = {"name": "x", "value": 0.98, "deviation": 0.03, "seconds": 1.0}
    variant |= {"settings": {"model.cell": "gru"}, "parameters": 10}
    for name, wanted in (("accuracy", 1.0), ("mine", 1.01)):
        metric = {"name": name, "unit": name, "less": False}
        (tmp_path / "compare.json").write_text(
            json.dumps({"rows": [variant], "rivals": [], "metric": metric})
        )
        for panel in read_variants(tmp_path).description["hconcat"]:
            (bar,) = [row for row in rows(panel, "rule") if "low" in row]
            assert (bar["low"], bar["high"]) == (pytest.approx(0.95), pytest.approx(wanted))


def test_what_is_no_number_is_counted() -> None:
    odd = [*POINTS, POINTS[0]._replace(value=math.nan)]
    told = tradeoff(odd, title="nats", less=True, levels={"x": math.inf}).description
    assert "Left out, no finite number: 1." in told["title"]["subtitle"]
    assert "less is better" in json.dumps(told)


def test_names_do_not_touch() -> None:
    """A crowd: names that stand there touch neither each other nor points nor lines."""
    x, y = Axis("x", 0, 10), Axis("y", 0, 10)
    named = [(5 + n % 3, 5 + n / 10, f"name {n}") for n in range(12)]
    named += [(10.0, 2.0, "at the edge"), (0.0, 8.0, "left")]
    places = _places(named, x, y, [3.0])
    assert places[-2] is not None
    assert places[-2][0] == "right"  # there is no room right of it
    assert places[-1] is not None
    assert places[-1][0] == "left"
    boxes = []
    for (at, value, name), place in zip(named, places, strict=True):
        a, b = at / 10 * 380, (1 - value / 10) * 320
        boxes.append((a - 4, b - 4, a + 4, b + 4))
        if place is None:
            continue
        wide = 6.7 * len(name)
        left = a + place[1] - wide * {"left": 0, "center": 0.5, "right": 1}[place[0]]
        boxes.append((left, b + place[2] - 7, left + wide, b + place[2] + 7))
    words = [box for box in boxes if box[3] - box[1] > 10]
    assert len(words) >= 5
    for box in words:
        assert box[0] >= 0
        assert box[2] <= 380
        for other in boxes:
            apart = box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1]
            assert other is box or apart or other[3] <= box[1]


def test_a_folder_that_cannot_be_drawn(tmp_path: Path) -> None:
    told: dict[str, Any] = {"rows": [], "rivals": [], "metric": {"unit": "nats", "less": True}}
    (tmp_path / "compare.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match="no run is finished yet"):
        pictures(tmp_path)
    (tmp_path / "compare.json").write_text(json.dumps(told | {"rows": [3]}))
    with pytest.raises(RunError, match=r"compare\.json: damaged"):
        pictures(tmp_path)
