"""What is known beside series: ahead, up to now, and of the whole of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import small

import recurra
from recurra.errors import DataError, SettingError

pandas = pytest.importorskip("pandas")
LEARNS: dict[str, Any] = {"hidden_size": 16, "epochs": 20, "horizon": 2, "look_back": 4}


def driven(steps: int = 240, names: tuple[str, ...] = ("a", "b"), seed: int = 0) -> Any:
    """y = 3 x, and x is noise: nothing but x says what comes."""
    chance = np.random.default_rng(seed)
    x = chance.uniform(-1, 1, len(names) * steps)
    stamps = np.tile(pandas.date_range("2024-01-01", periods=steps), len(names))
    ids = np.repeat(names, steps)
    return pandas.DataFrame({"unique_id": ids, "ds": stamps, "y": 3 * x, "x": x})


def parted(table: Any, ahead: int = 2) -> tuple[Any, Any]:
    """What was, and what is known of the steps that come."""
    back = table.groupby("unique_id").cumcount(ascending=False)
    return table[back >= ahead], table[back < ahead]


def learned(**settings: Any) -> Any:
    more = {"learning_rate": 0.02, "normalize": "none", "around": "level"}
    more |= settings.pop("settings", {})
    return small(**LEARNS | settings, settings=more)


@pytest.fixture(scope="module")
def known() -> tuple[Any, Any, Any]:
    """An estimator that has learned what x does, what was, and what comes."""
    past, future = parted(driven())
    return learned(known=["x"]).fit(past), past, future


def test_what_is_known_ahead_is_used(known: tuple[Any, Any, Any]) -> None:
    model, past, future = known
    given = future.drop(columns="y")
    found = model.predict(future=given)
    assert np.abs(found["gru"].to_numpy() - future["y"].to_numpy()).mean() < 0.6
    doubled = model.predict(future=given.assign(x=-given["x"]))
    assert np.abs(doubled["gru"].to_numpy() + future["y"].to_numpy()).mean() < 0.6
    # Rows behind the last value say it as well.
    whole = pandas.concat([past, future.assign(y=np.nan)]).sort_values(["unique_id", "ds"])
    pandas.testing.assert_frame_equal(model.predict(whole), found)
    pandas.testing.assert_frame_equal(model.predict(past, future=given), found)
    shuffled = given.sort_values(["ds", "unique_id"], ascending=[True, False])
    pandas.testing.assert_frame_equal(model.predict(future=shuffled), found)


def test_what_is_known_ahead_is_learned_in_other_ways_too() -> None:
    past, future = parted(driven())
    for settings in ({"decoding": "autoregressive"}, {"decoding": "parallel"}):
        model = learned(known="x", settings={**settings, "linear": False}).fit(past)
        found = model.predict(future=future.drop(columns="y"))
        assert np.abs(found["gru"].to_numpy() - future["y"].to_numpy()).mean() < 1.0, settings


def test_what_is_missing_of_the_future_is_told(known: tuple[Any, Any, Any]) -> None:
    model, past, future = known
    given = future.drop(columns="y")
    with pytest.raises(DataError, match=r"expected x of the 2 steps.*\(series 'a'\)"):
        model.predict()
    with pytest.raises(DataError, match=r"expected x of the 2 steps.*\(series 'b'\)"):
        model.predict(future=given[given["unique_id"] == "a"])
    with pytest.raises(DataError, match=r"rows of the 2 steps after .*'a', got 1"):
        model.predict(future=given.groupby("unique_id").head(1))
    late = given.assign(ds=given["ds"] + pandas.Timedelta(days=1))
    with pytest.raises(DataError, match=r"expected the step 2024-08-26.* first"):
        model.predict(future=late)
    with pytest.raises(DataError, match="no column 'x'"):
        model.predict(future=given.drop(columns="x"))
    with pytest.raises(DataError, match="expected a number in each of x, one is missing in step 2"):
        model.predict(future=given.assign(x=[1.0, np.nan, 1.0, 1.0]))
    holes = pandas.concat([past, future.assign(y=np.nan, x=np.nan)])
    with pytest.raises(DataError, match="one is missing in step 1"):
        model.predict(holes)


def test_a_model_that_knows_nothing_ahead_takes_no_future() -> None:
    past, future = parted(driven(40))
    with pytest.raises(SettingError, match="reads nothing that is known ahead"):
        small(past=["x"], horizon=2).fit(past).predict(future=future)


def test_what_is_known_up_to_now_is_used() -> None:
    """y is what x was one step before."""
    table = driven()
    table["y"] = 3 * table.groupby("unique_id")["x"].shift(1).fillna(0)
    past, future = parted(table, 1)
    found = learned(past=["x"], horizon=1).fit(past).predict()
    assert np.abs(found["gru"].to_numpy() - future["y"].to_numpy()).mean() < 0.6


def test_categories_that_are_known_ahead_and_others() -> None:
    table = driven(160)
    kinds = np.array(["low", "high", "odd"])
    chosen = np.random.default_rng(1).integers(0, 3, len(table))
    table["kind"], table["y"] = kinds[chosen], np.array([-3.0, 3.0, 0.0])[chosen]
    past, future = parted(table)
    model = learned(known=["kind"]).fit(past)
    given = future.drop(columns=["y", "x"])
    found = model.predict(future=given)["gru"].to_numpy()
    assert np.abs(found - future["y"].to_numpy()).mean() < 1.0
    # One that was not there in training is as one that is missing.
    new = model.predict(future=given.assign(kind="never seen"))["gru"].to_numpy()
    none = model.predict(future=given.assign(kind=None))["gru"].to_numpy()
    assert np.array_equal(new, none)
    assert np.isfinite(new).all()
    assert not np.allclose(new, found, atol=0.5)


def test_what_a_series_is() -> None:
    """Two kinds of series, which what is static alone tells apart."""
    chance = np.random.default_rng(0)
    rows = []
    for number in range(8):
        sign = 1 - 2 * (number % 2)
        values = sign * 3 * (np.arange(60) % 2) + 0.1 * chance.standard_normal(60)
        own = {"unique_id": f"s{number}", "ds": np.arange(60), "y": values}
        rows.append(pandas.DataFrame(own | {"shop": "AB"[number % 2], "size": float(sign)}))
    table = pandas.concat(rows, ignore_index=True)
    for static in (["shop"], ["size"], ["shop", "size"]):
        model = small(2, static=static, look_back=4, settings={"scale_by": "all"}).fit(table)
        found = model.predict()
        assert len(found) == 16
        assert model.predict(table).equals(found)
        swapped = table.assign(shop=table["shop"].map({"A": "B", "B": "A"}), size=-table["size"])
        assert not np.allclose(model.predict(swapped)["gru"], found["gru"], atol=1e-6)


def test_updates_carry_what_is_beside(known: tuple[Any, Any, Any]) -> None:
    table = driven(80)
    table["kind"] = np.array(["p", "q"])[np.arange(len(table)) % 2]
    table["place"] = table["unique_id"].map({"a": "here", "b": "there"})
    past, future = parted(table)
    early, _ = parted(table, 12)
    model = small(2, known=["x", "kind"], static=["place"], look_back=5).fit(early)
    given = future.drop(columns="y")
    step = table.groupby("unique_id").cumcount()
    direct = model.predict(past, future=given)
    with pytest.raises(DataError):
        model.predict(future=given)  # which is not what comes next
    found = model.update(past[step[past.index] >= 60]).predict(future=given)
    pandas.testing.assert_frame_equal(found, direct)


def test_steps_whose_x_is_known_before_their_value_comes() -> None:
    past, future = parted(driven(60), 6)
    ahead = pandas.concat([past, future.assign(y=np.nan)]).sort_values(["unique_id", "ds"])
    model = small(2, known=["x"], look_back=5).fit(ahead)
    first = model.predict()
    model.update(future.groupby("unique_id").head(2))
    found = model.predict()  # of the six that were known ahead four are left
    whole = future.groupby("unique_id").tail(4).groupby("unique_id").head(2)
    so_far = pandas.concat([past, future.groupby("unique_id").head(2)])
    direct = model.predict(so_far.sort_values(["unique_id", "ds"]), future=whole)
    pandas.testing.assert_frame_equal(found, direct)
    assert not found.equals(first)


def test_a_table_in_a_file_and_a_future_in_another(
    known: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    model, past, future = known
    files = tmp_path / "past.csv", tmp_path / "future.csv"
    past.to_csv(files[0], index=False)
    future.drop(columns="y").to_csv(files[1], index=False)
    run = recurra.load(model.model_.path)
    found = list(run.predict(files[0], future=files[1]))
    direct = model.predict(future=future.drop(columns="y"))
    np.testing.assert_allclose(
        np.concatenate([each.mean[:, 0] for each in found]), direct["gru"], rtol=1e-6
    )


def test_names_of_columns_may_hold_anything() -> None:
    table = driven(60).rename(columns={"x": "a/b.c"})
    table["k/1"] = "one"
    past, _ = parted(table)
    model = small(2, past=["a/b.c", "k/1"], look_back=4).fit(past)
    assert model.predict().equals(model.predict(past))


def test_arrays_are_refused_where_more_than_values_is_read(known: tuple[Any, Any, Any]) -> None:
    model, *_ = known
    with pytest.raises(DataError, match="this model reads more than values"):
        model.predict(np.zeros(9))
