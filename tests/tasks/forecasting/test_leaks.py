"""What comes later is never read: by no forecast, no score, nor what is fitted before them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, small, trained

import recurra
from recurra.tasks.base import task_by_name
from recurra.tasks.forecasting.corpus import prepare_series
from recurra.tasks.forecasting.evaluation import forecasts_of
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.sources import open_source

pandas = pytest.importorskip("pandas")
LATER = (math.nan, 1e30, -5.0)


def framed(steps: int = 60) -> Any:
    table = pandas.DataFrame(columns(steps, begin=0))
    chance = np.random.default_rng(0)
    table["p"], table["x"] = chance.standard_normal((2, len(table)))
    table["k"] = np.array(["u", "v"])[chance.integers(0, 2, len(table))]
    return table


def changed(table: Any, first: int, value: float) -> Any:
    """All that is not known ahead is otherwise from a step on."""
    late = table.groupby("unique_id").cumcount() >= first
    last = table.groupby("unique_id").cumcount(ascending=False) == 0
    values = table["y"].mask(late, value)
    if math.isnan(value):  # a series ends with its last value
        values = values.mask(last, 1.0)
    return table.assign(y=values, p=table["p"].mask(late, value), k=table["k"].mask(late, "v"))


@pytest.mark.parametrize("value", LATER)
@pytest.mark.parametrize("beside", [{}, {"past": ["p", "k"], "known": ["x"]}])
def test_forecasts_from_several_places(value: float, beside: dict[str, Any]) -> None:
    table = framed()
    how = {"n_windows": 3, "step_size": 2, "level": [80]}
    one = small(look_back=7, **beside).cross_validation(table, **how)
    # The last forecast begins behind step 57, the first behind 53.
    for first, windows in ((57, [53, 55, 57]), (53, [53])):
        other = small(look_back=7, **beside).cross_validation(changed(table, first, value), **how)
        keep = one["cutoff"].isin([window - 1 for window in windows])
        said = ["gru", "gru-lo-80", "gru-hi-80"]
        kept = one[keep][[*said, "cutoff"]].reset_index(drop=True)
        assert len(kept) == 2 * 3 * len(windows)
        theirs = other[other["cutoff"].isin(kept["cutoff"])][[*said, "cutoff"]]
        pandas.testing.assert_frame_equal(theirs.reset_index(drop=True), kept, check_exact=True)


@pytest.mark.parametrize("settings", [
    {"look_back": 9}, {"look_back": 9, "patch": 3}, {"look_back": 9, "decoding": "parallel"},
    {"look_back": 9, "decoding": "autoregressive"}, {"look_back": "all"},
    {"look_back": 9, "origins": 3, "around": "last"},
])  # fmt: skip
def test_scores_are_of_forecasts_that_saw_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    table = framed().drop(columns=["p", "x", "k"])
    known = {"horizon": 3, "minimum_steps": 3, "evaluations": 1, "batch_size": 8} | settings
    done = trained(table, tmp_path / "run", **known)
    loaded = recurra.load(done.path)
    task = task_by_name("forecasting")

    # Series that are new have the scale of what is read before the first place that is scored.
    new = "new " if settings["look_back"] == 9 else ""

    def said(source: Any) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
        source = source.assign(unique_id=new + source["unique_id"])
        part = task.read(source, loaded.fronts, task.Data(id="unique_id", time="ds"), print)
        found = {}
        for each in forecasts_of(loaded.model, part, "student"):
            places = zip(each.origins.numbers.tolist(), each.origins.steps.tolist(), strict=True)
            for row, place in enumerate(places):
                found[place] = each.mean[row], each.quantiles[:, row]
        return found

    one = said(table)
    for value in LATER:
        other = said(changed(framed(), 40, value).drop(columns=["p", "x", "k"]))
        assert other.keys() == one.keys()
        for (number, step), (mean, quantiles) in one.items():
            same = np.array_equal(other[number, step][0], mean)
            assert same == (step <= 40) or (step > 40 and value == -5.0), (number, step)
            assert step > 40 or np.array_equal(other[number, step][1], quantiles)
    if settings["look_back"] != "all":
        assert {step for _, step in one} == set(range(9, 58))


def test_what_is_fitted_has_seen_the_training_part_alone() -> None:
    table = framed(100)
    data = ForecastingData(
        horizon=3, look_back=9, past=["p"], known=["x"], scale_by="series", split="time"
    )

    def fitted(source: Any) -> Any:
        return prepare_series(open_source(source, data), {}, data)

    corpus = fitted(table)
    other = fitted(changed(table, 80, 1e30))
    assert corpus.panel.to_json() == other.panel.to_json()
    one, two = (found.parts["training"].stretches for found in (corpus, other))
    for ours, theirs in zip(one, two, strict=True):
        assert np.array_equal(ours.values, theirs.values, equal_nan=True)
        assert np.array_equal(ours.past, theirs.past, equal_nan=True)
    assert corpus.panel.to_json() != fitted(changed(table, 79, 1e30)).panel.to_json()


def test_rows_that_are_trained_on_read_one_series_each() -> None:
    """Of no series is anything read while another is said, also where rows have many origins."""
    data = ForecastingData(horizon=2, look_back=4, origins=7, patch=2, scale="none", split="time")
    names = ("a", "b", "c")
    table = pandas.DataFrame(columns(31, names, begin=0))
    table["y"] = table["unique_id"].map({"a": 1.0, "b": 2.0, "c": 3.0})
    table = table[(table["unique_id"] != "b") | (table["ds"] < 12)]  # with few places
    part = prepare_series(open_source(table, data), {}, data).parts["training"]
    batches = part.batches(rows=4, window=1, seed=0)
    seen = 0
    for number in range(8 * len(batches)):
        batch = batches.batch(number)
        for row in range(batch.targets.shape[1]):
            wanted = batch.targets[:, row]
            series = {*wanted[~wanted.isnan()].tolist()}
            values = batch.inputs.values[:, row]
            assert {*values[~values.isnan()].tolist()} <= series
            assert len(series) == 1
            seen += 1
    assert seen > 10
