"""Forecasts are drawn: what is named, what the axes show, what is left out."""

from __future__ import annotations

import json
import math
from typing import Any
from xml.etree import ElementTree

import pytest

from recurra.diagnosis import Chart, Fan, fan
from recurra.diagnosis.charts.fans import linear
from recurra.errors import SettingError

MONTHS = [f"{1958 + n // 12}-{1 + n % 12:02}-01" for n in range(36)]


def some(**changes: Any) -> Fan:
    mean = [float(n) for n in range(12)]
    bands = {
        level: ([m - level / 20 for m in mean], [m + level / 20 for m in mean])
        for level in (50.0, 80.0, 95.0)
    }
    seen = [math.sin(n) for n in range(24)]
    found = Fan("", MONTHS, seen, mean, bands, {"last value": [seen[-1]] * 12}, [1.0] * 12)
    return found._replace(**changes)


def texts(chart: Chart) -> list[str]:
    drawn = ElementTree.fromstring(chart.svg())
    found = [each for each in drawn.iter() if each.tag.rpartition("}")[2] == "text"]
    return [line for each in found for line in each.itertext()]


def layers(panel: Any, kind: str) -> list[Any]:
    return [each for each in panel["layer"] if each["mark"]["type"] == kind]


def test_every_line_is_named_where_it_ends() -> None:
    chart = fan([some()], "airline")
    told = texts(chart)
    assert {"forecast", "last value", "what came", "1958-01", "1960-07"} <= set(told)
    assert "airline: forecast of 12 steps, and what came" in told
    assert any("The bands hold 50, 80 and 95 % of what may come." in line for line in told)
    assert any("The last step that was read: 1959-12-01." in line for line in told)
    widths = [
        max(row["high"] - row["low"] for row in band["data"]["values"])
        for band in layers(chart.description, "area")
    ]
    assert widths == sorted(widths, reverse=True)  # the widest lies below the others
    assert widths[0] == pytest.approx(9.5)


def test_what_nobody_knows_is_not_named() -> None:
    chart = fan([some(came=[], name="shop")])
    told = texts(chart)
    assert "what came" not in told
    assert "Forecast of 12 steps (shop)" in told
    names = [row for each in layers(chart.description, "text") for row in each["data"]["values"]]
    assert [row["name"] for row in names] == ["last value", "forecast"]  # and no room for none


def test_a_description_is_no_larger_than_its_panel() -> None:
    """Of values far from 0 too, where nothing stands beside what was seen."""
    far = [1000.0 + n for n in range(24)]
    chart = fan([some(seen=far, mean=far[:12], came=[], bands={}, rivals={})])
    drawn = ElementTree.fromstring(chart.svg())
    assert float(drawn.attrib["height"]) < 500


def test_of_many_six_are_drawn_each_with_its_name() -> None:
    chart = fan([some(name=f"shop {n}") for n in range(7)])
    assert len(chart.description["concat"]) == 6
    told = texts(chart)
    assert {f"shop {n}" for n in range(6)} <= set(told)
    assert "shop 6" not in told
    assert "Shown are 6 of 7." in " ".join(told)


def test_none_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one forecast"):
        fan([])


def test_a_step_after_the_other_is_told() -> None:
    told = texts(fan([some(one_by_one=True)]))
    assert "12 forecasts, each of the next step, and what came" in " ".join(told)
    one = some(one_by_one=True, mean=[0.5], bands={}, rivals={}, came=[], steps=MONTHS[:25])
    assert "Forecast of the next step" in texts(fan([one]))


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ([f"2016-07-01 {n % 24:02}:{n % 60:02}:00" for n in range(36)], "2016-07-01 00:00"),
        ([f"2016-07-{1 + n // 24:02} {n % 24:02}:00:00" for n in range(36)], "2016-07-01 00:00"),
        ([f"2016-07-{1 + n:02}" for n in range(31)] + [f"2016-08-0{n}" for n in range(1, 6)],
         "2016-07-01"),
        ([f"+{n}" for n in range(36)], "+0"),
        ([str(n) for n in range(100, 136)], "100"),
    ],
)  # fmt: skip
def test_steps_are_called_as_briefly_as_they_can_be(steps: list[str], first: str) -> None:
    assert first in texts(fan([some(steps=steps)]))


def test_numbers_stand_where_a_year_begins() -> None:
    months = [f"{1958 + n // 12}-{1 + n % 12:02}-01" for n in range(5, 41)]
    assert {"1959-01", "1960-01"} <= set(texts(fan([some(steps=months)])))


def test_quotes_in_a_step_do_no_harm() -> None:
    steps = [f"\"{n}'];" for n in range(36)]
    assert "\"0'];" in texts(fan([some(steps=steps)]))


def test_a_band_that_is_far_too_wide_does_not_flatten_the_rest() -> None:
    axis = linear("", [0.0, 10.0], [-1e6, 12.0, math.inf])
    assert axis.low == pytest.approx(-15 - 0.05 * 27)
    assert axis.high == pytest.approx(12 + 0.05 * 27)
    assert linear("", [math.nan]).high > linear("", [math.nan]).low


def test_all_of_it_is_kept_as_json() -> None:
    one = some(came=[1.0, math.nan])
    told = json.loads(json.dumps(one.to_json(), allow_nan=False))
    back = Fan.from_json(told)
    assert math.isnan(back.came[1])
    assert back.to_json() == told
    assert back.bands.keys() == one.bands.keys()
    assert back.mean == one.mean
    for broken in ({**told, "mean": []}, {**told, "steps": told["steps"][1:]}):
        with pytest.raises(ValueError, match="forecast of"):
            Fan.from_json(broken)
