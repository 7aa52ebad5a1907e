"""Forecasts from several places, and paths that may come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, small

import recurra
from recurra.errors import DataError, SettingError

pandas = pytest.importorskip("pandas")


def framed(steps: int = 60, **how: Any) -> Any:
    return pandas.DataFrame(columns(steps, begin=0, **how))


@pytest.mark.parametrize(
    ("windows", "step", "cutoffs"),
    [(1, None, [56]), (3, None, [50, 53, 56]), (3, 1, [54, 55, 56]), (2, 7, [49, 56])],
)
def test_the_last_place_has_the_horizon_before_the_end(
    windows: int, step: int | None, cutoffs: list[int]
) -> None:
    """As statsforecast cuts: the forecasts of the last window end where the table ends."""
    table = framed()
    model = small(look_back=7)
    found = model.cross_validation(table, n_windows=windows, step_size=step, level=[80])
    assert list(found) == ["unique_id", "ds", "cutoff", "y", "gru", "gru-lo-80", "gru-hi-80"]
    assert sorted({*found["cutoff"]}) == cutoffs
    assert len(found) == 2 * 3 * windows
    assert (found["ds"] - found["cutoff"]).tolist() == [1, 2, 3] * (2 * windows)
    assert found["ds"].max() == table["ds"].max()
    truth = table.set_index(["unique_id", "ds"])["y"]
    wanted = [truth[key] for key in zip(found["unique_id"], found["ds"], strict=True)]
    assert found["y"].tolist() == wanted


def test_how_often_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    table = framed()
    trained: list[int] = []
    fit = recurra.Forecaster.fit

    def counted(self: Any, data: Any) -> Any:
        trained.append(max(len(each.values) for each in data.each))
        return fit(self, data)

    monkeypatch.setattr(recurra.Forecaster, "fit", counted)
    for refit, sizes in ((False, [51]), (0, [51]), (True, [51, 53, 55, 57]), (2, [51, 55])):
        trained.clear()
        small(look_back=7).cross_validation(table, n_windows=4, step_size=2, refit=refit)
        assert trained == sizes


def test_the_forecast_of_a_place_is_that_of_what_came_before() -> None:
    table = framed()
    found = small(look_back=7).cross_validation(table, n_windows=2, refit=True)
    for cutoff in (53, 56):
        alone = small(look_back=7).fit(table[table["ds"] <= cutoff]).predict()
        own = found[found["cutoff"] == cutoff]
        assert np.array_equal(own["gru"], alone["gru"])
        assert np.array_equal(own["gru-lo-80"], alone["gru-lo-80"])


def test_series_that_are_too_short_come_in_later() -> None:
    table = framed(names=("a", "b"))
    table = table[(table["unique_id"] == "a") | (table["ds"] >= 54)]  # b has six steps
    found = small(look_back=7).cross_validation(table, n_windows=3)
    places = {name: sorted({*own["cutoff"]}) for name, own in found.groupby("unique_id")}
    assert places == {"a": [50, 53, 56], "b": [56]}
    with pytest.raises(DataError, match=r"need series of more than 63 steps, the longest has 60"):
        small().cross_validation(table, n_windows=21)


def test_what_is_known_ahead_goes_along() -> None:
    table = framed()
    table["x"] = np.random.default_rng(0).standard_normal(len(table))
    one = small(look_back=7, known=["x"]).cross_validation(table, n_windows=2)
    late = table["ds"] >= 57
    other = table.assign(x=table["x"].where(~late, -table["x"]))
    two = small(look_back=7, known=["x"]).cross_validation(other, n_windows=2)
    first = one["cutoff"] == 53
    assert np.array_equal(one["gru"][first], two["gru"][first])
    assert not np.array_equal(one["gru"][~first], two["gru"][~first])


def test_numbers_that_cannot_be(tmp_path: Path) -> None:
    table, model = framed(), small(look_back=7)
    for name, value in (("n_windows", 0), ("step_size", 0), ("n_windows", 1.0), ("step_size", "2")):
        with pytest.raises(SettingError, match=f"{name}: expected a whole number above 0"):
            model.cross_validation(table, **{name: value})
    for value in ("yes", -1, 0.5):
        with pytest.raises(SettingError, match="refit: expected true, false or a number"):
            model.cross_validation(table, refit=value)


def test_a_forecaster_stays_as_it_is(tmp_path: Path) -> None:
    table = framed()
    kept = small(look_back=7, out=tmp_path / "run").fit(table)
    before = kept.predict()
    assert len(kept.cross_validation(table, n_windows=2, refit=True)) == 12
    assert kept.predict().equals(before)
    assert (tmp_path / "run" / "best").exists()


# ---- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["direct", "parallel", "autoregressive"])
def test_paths_are_a_table_and_of_a_seed(decoding: str) -> None:
    table = framed()
    model = small(look_back=7, settings={"decoding": decoding}).fit(table)
    found = model.simulate(5)
    assert list(found) == ["unique_id", "ds", "path", "y"]
    assert found["unique_id"].tolist() == ["a"] * 15 + ["b"] * 15
    assert found["ds"].tolist() == [60, 61, 62] * 10
    assert found["path"].tolist() == list(np.repeat(range(5), 3)) * 2
    assert np.isfinite(found["y"]).all()
    assert found.equals(model.simulate(5))
    assert found.equals(model.simulate(5, table))
    assert not found.equals(model.simulate(5, seed=1))
    drawn = found["y"].to_numpy().reshape(2, 5, 3)
    assert (np.ptp(drawn, axis=1) > 0).all()
    for number in (0, -1, 1.5):
        with pytest.raises(SettingError, match="paths: expected a whole number"):
            model.simulate(number)


@pytest.mark.parametrize("decoding", ["direct", "parallel", "autoregressive"])
def test_paths_lie_in_the_intervals_as_often_as_these_say(decoding: str) -> None:
    """Each step by itself, within five deviations of a share of so many paths."""
    table, paths = framed(200, names=("a",)), 4000
    model = small(look_back=7, settings={"decoding": decoding}).fit(table)
    drawing = decoding == "autoregressive"
    if drawing:  # its paths are as it draws them, without what was seen of the widths
        model.model_.model.widening.zero_()
    drawn = model.simulate(paths)["y"].to_numpy().reshape(paths, 3)
    (said,) = model.model_.predict(level=[50, 80], paths=paths)
    for level in (50, 80):
        low, high = (end[:, 0] for end in said.intervals[level])
        share = ((drawn >= low) & (drawn <= high)).mean(0)
        spread = np.sqrt(level / 100 * (1 - level / 100) / paths * (1 + drawing))
        np.testing.assert_allclose(share, level / 100, atol=5 * spread)


def test_paths_go_together_as_steps_did() -> None:
    """Of a random walk the second step is where the first one went."""
    chance = np.random.default_rng(0)
    table = pandas.DataFrame({"ds": np.arange(600), "y": chance.standard_normal(600).cumsum()})
    for decoding in ("direct", "autoregressive"):
        model = small(2, look_back=5, epochs=3, settings={"decoding": decoding}).fit(table)
        drawn = model.simulate(600)["y"].to_numpy().reshape(600, 2)
        assert np.corrcoef(drawn.T)[0, 1] > 0.4, decoding  # of shares by chance it is 0 +- 0.04
