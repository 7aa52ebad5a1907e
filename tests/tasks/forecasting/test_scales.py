"""Series in units of their own, and series of which there is little or nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, small, trained

import recurra
from recurra.errors import DataError

pandas = pytest.importorskip("pandas")
NAN = math.nan


def framed(steps: int = 60, **how: Any) -> Any:
    return pandas.DataFrame(columns(steps, begin=0, **how))


def by_name(found: Any) -> dict[str, np.ndarray]:
    return {name: own["gru"].to_numpy() for name, own in found.groupby("unique_id")}


@pytest.mark.parametrize("settings", [
    {}, {"normalize": "none", "around": "level", "linear": False}, {"scale": "mean"},
    {"scale": "robust", "decoding": "autoregressive"}, {"scale": "none"},
    {"transform": "log"}, {"decoding": "parallel"},
])  # fmt: skip
def test_what_is_a_thousand_times_as_much_is_forecast_so(settings: dict[str, Any]) -> None:
    table = framed().assign(y=lambda own: own["y"] + 3)
    larger = table.assign(y=table["y"].where(table["unique_id"] == "a", 1000 * table["y"]))
    one, other = (
        by_name(small(look_back=8, settings=settings).fit(each).predict())
        for each in (table, larger)
    )
    if settings == {"scale": "none"}:  # the row is still brought to its own scale
        np.testing.assert_allclose(other["b"], 1000 * one["b"], rtol=0.3)
        return
    np.testing.assert_allclose(other["a"], one["a"], rtol=1e-4)
    np.testing.assert_allclose(other["b"], 1000 * one["b"], rtol=1e-4)


def test_of_one_scale_for_all_it_is_not_so() -> None:
    table = framed().assign(y=lambda own: own["y"] + 3)
    larger = table.assign(y=table["y"].where(table["unique_id"] == "a", 1000 * table["y"]))
    plain = {"scale_by": "all", "normalize": "none", "around": "level", "linear": False}
    one, other = (
        by_name(small(look_back=8, settings=plain).fit(each).predict()) for each in (table, larger)
    )
    assert not np.allclose(other["b"], 1000 * one["b"], rtol=1e-2)


@pytest.mark.parametrize(("transform", "least"), [("log", 0.0), ("log1p", -1.0)])
def test_transforms_keep_to_their_side(transform: str, least: float) -> None:
    table = framed()
    table["y"] = np.exp(table["y"]) + least
    model = small(look_back=8, settings={"transform": transform}).fit(table)
    found = model.predict(level=[50, 95])
    assert (found.drop(columns=["unique_id", "ds", "cutoff"]) > least).all(axis=None)
    table.loc[77, "y"] = least - 0.5
    with pytest.raises(DataError, match=f"{transform} takes values above .*step 17 of the series"):
        small(look_back=8, settings={"transform": transform}).fit(table)
    with pytest.raises(DataError, match="step 17 of the series has"):
        model.predict(table)


def test_constant_and_missing_and_short_series() -> None:
    table = framed(names=("a", "b", "c", "d", "e", "f"))
    ids, step = table["unique_id"], table.groupby("unique_id").cumcount()
    table.loc[ids == "b", "y"] = 7.0
    table.loc[ids == "c", "y"] = NAN
    # Shorter than what is read; than what is said; one row alone.
    table = table[
        ~((ids == "d") & (step > 5) | (ids == "e") & (step > 1) | (ids == "f") & (step > 0))
    ]
    for settings in ({}, {"decoding": "autoregressive"}, {"origins": 4}, {"patch": 3}):
        model = small(look_back=8, settings=settings).fit(table)
        for found in (model.predict(), model.predict(table)):
            assert np.isfinite(found.drop(columns=["unique_id", "ds", "cutoff"])).all(axis=None)
            assert found["unique_id"].drop_duplicates().tolist() == list("abcdef")
        assert found[found["unique_id"] == "f"]["ds"].tolist() == [1, 2, 3]
        assert found[found["unique_id"] == "c"]["cutoff"].tolist() == [59] * 3
        assert np.abs(found[found["unique_id"] == "b"]["gru"] - 7).max() < 3


def test_missing_values_are_no_numbers() -> None:
    table = framed()
    holes = table.assign(y=table["y"].where(table.index % 5 != 2))
    other = holes.assign(y=holes["y"].mask(holes["y"].isna()))
    dropped = holes.dropna()  # rows that are missing are steps without a value
    one, two, three = (small(look_back=8).fit(each).predict() for each in (holes, other, dropped))
    assert one.equals(two)
    kept = one["unique_id"].notna()
    assert np.array_equal(one["gru"][kept], three["gru"])
    assert not one.equals(small(look_back=8).fit(table).predict())


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_a_table_of_a_few_rows(rows: int) -> None:
    found = small(look_back=8).fit(framed(names=("a",)).iloc[:rows]).predict()
    assert np.isfinite(found["gru"]).all()
    assert found["ds"].tolist() == [rows, rows + 1, rows + 2]


def test_a_table_without_rows_or_values() -> None:
    table = framed()
    with pytest.raises(DataError, match="expected rows, found none"):
        small().fit(table.iloc[:0])
    with pytest.raises(DataError, match="expected rows, found none"):
        small().fit(table).predict(table.iloc[:0])
    with pytest.raises(DataError, match="all of the training part are missing"):
        small().fit(table.assign(y=NAN))


@pytest.mark.parametrize("distribution", ["poisson", "negative-binomial"])
def test_counts(distribution: str) -> None:
    table = framed()
    table["y"] = np.random.default_rng(0).poisson(3, len(table)).astype(float)
    table.loc[5, "y"] = NAN
    model = small(look_back=8, distribution=distribution).fit(table)
    found = model.predict()
    assert (found["gru-lo-80"] >= 0).all()
    assert found["gru"].between(0.5, 9).all()
    for bad, told in ((-1.0, "-1"), (2.5, "2.5")):
        wrong = table.copy()
        wrong.loc[75, "y"] = bad
        with pytest.raises(DataError, match=f"row 60: expected counts.*step 15 .* has {told}"):
            small(look_back=8, distribution=distribution).fit(wrong)
        with pytest.raises(DataError, match=f"row 60: .*step 15 of the series 'b' has {told}"):
            model.predict(wrong)


@pytest.mark.parametrize("how", [{"horizon": 3, "look_back": 8}, {}])
def test_a_model_of_counts_answers_and_is_scored_on_counts_alone(
    how: dict[str, Any], tmp_path: Path
) -> None:
    table = framed()
    table["y"] = np.random.default_rng(0).poisson(3, len(table)).astype(float)
    told: dict[str, Any] = {"distribution": "poisson", "scale": "none", "normalize": "none"}
    done = trained(table, tmp_path / "run", **told, **how)
    wrong = table.copy()
    wrong.loc[75, "y"] = 2.5
    model: Any = recurra.load(done.path)
    said = "row 60: expected counts.*step 15 of the series 'b' has 2.5"
    for ask in (
        lambda: recurra.evaluate(done.path, wrong),
        lambda: list(model.predict(wrong)),
        lambda: list(model.surprises(wrong)),
        lambda: model.update(wrong),
    ):
        with pytest.raises(DataError, match=said):
            ask()
    assert np.isfinite(recurra.evaluate(done.path, table)[0].value)
    if not how:
        stream = model.stream()
        stream.read([1.0, 2.0])
        with pytest.raises(DataError, match=r"step 2: expected counts.*step 1 .* has 2\.5"):
            stream.read([1.0, 2.5])


def test_a_series_that_is_new_has_the_scale_of_its_own_values() -> None:
    table = framed()
    model = small(look_back=8).fit(table)
    new = table.assign(unique_id=table["unique_id"] + "2")
    larger = new.assign(y=1000 * new["y"])
    one, other = (model.predict(each)["gru"] for each in (new, larger))
    np.testing.assert_allclose(other, 1000 * one, rtol=1e-4)
    known = model.predict(table.assign(y=1000 * table["y"]))["gru"]  # by the scale it had
    assert np.isfinite(known).all()
