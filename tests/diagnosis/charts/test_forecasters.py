"""Pictures of what a forecaster scored, from rows as summary.json has them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from diagnosis.charts.test_curves import write_run
from diagnosis.charts.test_fans import some

from recurra.diagnosis import Chart, coverage, forecast_errors, pictures, residuals
from recurra.errors import RunError, SettingError


def row(name: str, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"name": name, "mase": 0.8, "by_step": [0.5, 0.9, 1.0]}
    known |= {"by_series": [0.8], "series": 1, "origins": 100, "residuals": [0.5, 0.0, -0.02]}
    return known | {"coverage": [[20, 0.1], [80, 0.7], [95, 0.9]]} | changes


def texts(chart: Chart) -> list[str]:
    drawn = ElementTree.fromstring(chart.svg())
    found = [each for each in drawn.iter() if each.tag.rpartition("}")[2] == "text"]
    return [line for each in found for line in each.itertext()]


def test_errors_by_step_of_the_model_and_its_rivals() -> None:
    chart = forecast_errors([row("gru"), row("last value", mase=0.9), row("drift", mase=0.7)])
    told = texts(chart)
    assert {"gru", "last value", "drift", "steps ahead", "1", "2", "3"} <= set(told)
    assert "On the whole gru: 0.800, the best other, drift: 0.700." in told
    assert len(chart.description["vconcat"]) == 1


def test_errors_of_a_single_step_and_series_are_a_dot_for_each_model() -> None:
    rows = [row("gru", by_step=[0.8]), row("last value", by_step=[0.9], mase=0.9)]
    (panel,) = forecast_errors(rows).description["vconcat"]
    assert panel["encoding"]["y"]["sort"] == ["last value", "gru"]
    assert {each["x"] for each in panel["data"]["values"]} == {0.8, 0.9}


def test_errors_by_series_are_sorted_and_named() -> None:
    rows = [
        row("gru", by_step=[1.0], by_series=[0.2, math.nan, 0.9, 0.5]),
        row("mean", by_step=[1.0], by_series=[1.0, 1.0, 1.0, 1.0], mase=1.0),
        row("drift", by_step=[1.0], by_series=[0.7, 0.7, 0.7, 0.7], mase=0.7),
    ]
    (panel,) = forecast_errors(rows, ["a", "b", "a"]).description["vconcat"]
    assert panel["encoding"]["y"]["sort"] == ["a 3", "series 4", "a"]  # each has its own name
    models = {each["model"] for each in panel["data"]["values"]}
    assert models == {"gru", "drift"}  # the best other alone
    assert len(panel["data"]["values"]) == 6


def test_of_many_series_the_shares_are_drawn() -> None:
    own = [(n * 37 % 50) / 50 for n in range(50)]
    rows = [row("gru", by_step=[1.0], by_series=own), row("drift", by_step=[1.0], by_series=own)]
    (panel,) = forecast_errors(rows).description["vconcat"]
    line = next(each for each in panel["layer"] if each["mark"]["type"] == "line")
    heights = [each["y"] for each in line["data"]["values"]]
    assert heights == sorted(own)
    assert [line["data"]["values"][n]["x"] for n in (0, -1)] == [0, 100]


def test_coverage_is_in_percent_beside_the_diagonal() -> None:
    chart = coverage([row("gru"), row("drift", coverage=[])], "airline")
    told = texts(chart)
    assert {"gru", "as they should", "airline: coverage of what is held out", "100"} <= set(told)
    assert "drift" not in told
    lines = [e["data"]["values"] for e in chart.description["layer"] if e["mark"]["type"] == "line"]
    by_name = {points[0]["line"]: [(p["x"], p["y"]) for p in points] for points in lines}
    assert by_name["as they should"] == [(0, 0), (100, 100)]
    assert by_name["gru"] == [(20, 10), (80, 70), (95, 90)]


def test_autocorrelations_have_the_band_of_one_series() -> None:
    chart = residuals([row("gru", series=4, origins=400)])
    edges = {
        value["high"]
        for layer in chart.description["layer"]
        for value in layer["data"]["values"]
        if "high" in value
    }
    assert [*edges] == [pytest.approx(0.196)]
    assert any("in 100 steps of one series; outside it: 1 of 3 lags" in t for t in texts(chart))


def test_what_is_not_told_is_refused() -> None:
    with pytest.raises(SettingError, match="no series has a scale"):
        forecast_errors([row("gru", mase=None), row("drift")])
    with pytest.raises(SettingError, match="what intervals hold"):
        coverage([row("gru", coverage=[])])
    with pytest.raises(SettingError, match=r"data\.step_size=1"):
        residuals([row("gru", residuals=[])])


def run_with(folder: Path, rows: list[Any], kept: Any) -> Path:
    write_run(folder, [(10, 3.0, 2.9)], best=10)
    (folder / "summary.json").write_text(json.dumps({"evaluations": rows}))
    (folder / "pictures.json").write_text(kept if isinstance(kept, str) else json.dumps(kept))
    return folder


def test_all_pictures_of_a_run(tmp_path: Path) -> None:
    kept = {"forecast": [some().to_json()], "series": [""]}
    found = pictures(run_with(tmp_path / "air", [row("gru"), row("drift")], kept))
    assert list(found) == ["curve", "forecast", "errors", "coverage", "residuals"]
    assert any("air: forecast of 12 steps" in text for text in texts(found["forecast"]))
    less = run_with(tmp_path / "less", [row("gru", mase=None, residuals=[])], {})
    assert list(pictures(less)) == ["curve", "coverage"]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([row("gru", coverage=[[1]])], {}),
        ([row("gru", by_step=[None, "x"])], {}),
        ([], "{"),
        ([], "[]"),
        ([], {"forecast": [{"name": "a"}]}),
        ([], {"forecast": [{**some().to_json(), "steps": []}]}),
    ],
)
def test_what_is_damaged_is_told_with_its_file(tmp_path: Path, rows: Any, kept: Any) -> None:
    with pytest.raises(RunError, match=r"(summary|pictures)\.json: damaged"):
        pictures(run_with(tmp_path / "run", rows, kept))
