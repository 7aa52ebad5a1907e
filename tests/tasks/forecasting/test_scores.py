"""Scores as others count them, and those of the rivals by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, trained

import recurra
from recurra.tasks.base import task_by_name
from recurra.tasks.forecasting.evaluation import CRPS_SHARES, forecasts_of

pandas = pytest.importorskip("pandas")
SEASON, READS, HORIZON = 4, 9, 3


@pytest.fixture(scope="module")
def table() -> Any:
    """Series of several scales and lengths, a value that is missing, and one that never changes."""
    found = pandas.DataFrame(columns(50, ("a", "b", "c", "d"), begin=0))
    ids, step = found["unique_id"], found.groupby("unique_id").cumcount()
    found["y"] = found["y"] * ids.map({"a": 1, "b": 300, "c": 0.01, "d": 0}) + 2
    found.loc[(ids == "b") & (step == 30), "y"] = math.nan
    return found[~((ids == "c") & (step > 40))].reset_index(drop=True)


@pytest.fixture(scope="module")
def run(table: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = {"horizon": HORIZON, "look_back": READS, "season": SEASON, "evaluations": 1}
    folder = tmp_path_factory.mktemp("scores") / "run"
    return Path(trained(table, folder, **known, minimum_steps=20).path)


def said(run: Path, table: Any) -> Any:
    """All forecasts of a run as a table in the data's units, with what came."""
    loaded = recurra.load(run)
    task = task_by_name("forecasting")
    part = task.read(table, loaded.fronts, task.Data(id="unique_id", time="ds"), print)
    rows = []
    for each in forecasts_of(loaded.model, part, "student"):
        for row, (number, step) in enumerate(
            zip(each.origins.numbers.tolist(), each.origins.steps.tolist(), strict=True)
        ):
            scale = part.stretches[number].scale
            out = [
                part.panel.scales.outward(values, scale)[:, 0]
                for values in (each.wanted[row], each.mean[row], *each.quantiles[2:-2, row])
            ]
            for ahead in range(HORIZON):
                y, mean, *quantiles = (values[ahead] for values in out)
                own = {"unique_id": "abcd"[number], "ds": step + ahead, "cutoff": step - 1}
                own |= {"y": y, "gru": mean}
                own |= {f"q{n}": value for n, value in enumerate(quantiles)}
                rows.append(own)
    return pandas.DataFrame(rows)


def test_all_numbers_are_those_of_utilsforecast(run: Path, table: Any) -> None:
    losses = pytest.importorskip("utilsforecast.losses")
    ours = recurra.evaluate(run, table)[0]
    every = said(run, table)
    truth = table.set_index(["unique_id", "ds"])["y"]
    wanted = [truth[key] for key in zip(every["unique_id"], every["ds"], strict=True)]
    np.testing.assert_allclose(every["y"], wanted, rtol=1e-5)
    found = every.dropna(subset="y").drop(columns="cutoff")  # else windows are averaged first
    assert ours.values == len(found) == len(every) - HORIZON
    assert ours.origins == len(every) // HORIZON == 3 * (50 - READS - HORIZON + 1) + 30

    def mean(name: str, **more: Any) -> float:
        return float(getattr(losses, name)(found, ["gru"], **more)["gru"].mean())

    errors = found["y"] - found["gru"]
    assert ours.mean_squared == pytest.approx((errors**2).mean(), rel=1e-5)
    assert ours.mean_absolute == pytest.approx(errors.abs().mean(), rel=1e-5)
    assert ours.smape == pytest.approx(mean("smape"), rel=1e-5)
    before = table[table["ds"] < READS]
    steady = found["unique_id"] != "d"  # of which no scale is known
    scaled = losses.mase(found[steady], ["gru"], SEASON, before[before["unique_id"] != "d"])
    assert ours.mase == pytest.approx(scaled["gru"].mean(), rel=1e-4)
    np.testing.assert_allclose(ours.by_series[:3], scaled["gru"], rtol=1e-4)
    named = [f"q{number}" for number in range(len(CRPS_SHARES))]
    found["gru"] = found[named].to_numpy().tolist()
    crps = losses.scaled_crps(found, {"gru": named}, np.array(CRPS_SHARES))
    assert ours.crps == pytest.approx(crps["gru"].mean(), rel=1e-5)
    low, high = found["q0"], found["q8"]
    assert ours.covered == pytest.approx(((found["y"] >= low) & (found["y"] <= high)).mean())
    assert ours.width == pytest.approx((high - low).mean(), rel=1e-5)
    held = found.rename(columns={"q0": "gru-lo-80", "q8": "gru-hi-80"}).assign(gru=0.0)
    covered = losses.coverage(held, ["gru"], 80)
    counts = held.groupby("unique_id").size()
    assert ours.covered == pytest.approx((covered["gru"].to_numpy() * counts).sum() / len(held))


def test_rivals_by_hand(run: Path, table: Any) -> None:
    rows = {row.name: row for row in recurra.evaluate(run, table)}
    series = [own["y"].to_numpy() for _, own in table.groupby("unique_id")]

    def error(expect: Any) -> float:
        errors = [
            abs(values[at + ahead] - expect(values, at, ahead))
            for values in series
            for at in range(READS, len(values) - HORIZON + 1)
            for ahead in range(HORIZON)
        ]
        return float(np.nanmean(errors))

    def last(values: np.ndarray, at: int) -> float:
        there = values[:at][~np.isnan(values[:at])]
        return float(there[-1])

    assert list(rows)[1:4] == ["mean", "last value", "drift"]
    naive = error(lambda values, at, ahead: last(values, at))
    assert rows["last value"].mean_absolute == pytest.approx(naive, rel=1e-4)
    steady = [series[number] for number in (0, 2, 3)]
    season = [
        abs(values[at + k] - values[at + k - SEASON])
        for values in steady
        for at in range(READS, len(values) - HORIZON + 1)
        for k in range(HORIZON)
    ]
    ours = recurra.evaluate(run, table[table["unique_id"] != "b"])
    found = {row.name: row for row in ours}["seasonal naive"]
    assert found.mean_absolute == pytest.approx(np.mean(season), rel=1e-4)
    assert {row.values for row in rows.values()} == {rows["gru"].values}


def test_a_channel_without_a_scale_is_not_in_the_scaled_error(tmp_path: Path) -> None:
    time = np.arange(80.0)
    both = np.stack([np.sin(time), np.full(80, 5.0)], 1)
    known = {"horizon": 2, "look_back": 6, "minimum_steps": 5}
    run = trained(both, tmp_path / "run", **known).path
    alone, (ours, *_) = [], recurra.evaluate(run, both)
    loaded, task = recurra.load(run), task_by_name("forecasting")
    part = task.read(both, loaded.fronts, task.Data(), print)
    for each in forecasts_of(loaded.model, part, "student"):
        outward = part.panel.scales.outward(each.mean, part.stretches[0].scale)
        for row, step in enumerate(each.origins.steps.tolist()):
            alone.append(np.abs(both[step : step + 2, 0] - outward[row, :, 0]).mean())
    scale = np.abs(np.diff(both[:6, 0])).mean()
    assert ours.mase == pytest.approx(np.mean(alone) / scale, rel=1e-4)


def test_rows_are_written_as_json(run: Path, table: Any) -> None:
    rows = recurra.evaluate(run, table)
    for row in rows:
        told = json.loads(json.dumps(row.to_json(), allow_nan=False))
        assert told["by_series"][3] is None
        assert told["values"] == row.values
        assert told["mean_squared"] == row.mean_squared
    header = task_by_name("forecasting").table(rows, "held out")
    assert header.title.startswith(f"held out: {rows[0].values:,} values, 3 steps ahead from")
    assert len(header.rows[0]) == len(header.header)


def test_errors_of_each_step_of_the_horizon(run: Path, table: Any) -> None:
    one = table[table["unique_id"] == "a"]
    ours, every = recurra.evaluate(run, one)[0], said(run, one)
    values = one["y"].to_numpy()[:READS]
    scale = np.abs(values[SEASON:] - values[:-SEASON]).mean()
    ahead = (every["ds"] - every["cutoff"]).to_numpy()
    errors = (every["y"] - every["gru"]).abs().to_numpy()
    wanted = [errors[ahead == step + 1].mean() / scale for step in range(HORIZON)]
    np.testing.assert_allclose(ours.by_step, wanted, rtol=1e-4)
