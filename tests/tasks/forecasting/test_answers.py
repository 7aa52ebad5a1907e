"""Tables in, tables out: the same columns, types, zones and stamps, whatever kind they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, small, trained, waves

import recurra
from recurra import artifact
from recurra.errors import ArtifactError, DataError

pandas = pytest.importorskip("pandas")
HORIZON = {"horizon": 3, "look_back": 7, "minimum_steps": 5, "evaluations": 1}


def framed(**how: Any) -> Any:
    table = pandas.DataFrame(columns(**how))
    if table["ds"].dtype.kind not in "iu":
        table["ds"] = pandas.to_datetime(table["ds"])
    return table


def means(found: Any) -> np.ndarray:
    return np.stack([each.mean[:, 0] for each in found])


def test_every_kind_of_table_gives_the_same_numbers(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    plain = columns()
    file = tmp_path / "table.csv"
    pandas.DataFrame(plain).to_csv(file, index=False)
    found = []
    for number, source in enumerate((framed(), polars.DataFrame(plain), plain, str(file))):
        done = trained(source, tmp_path / str(number), **HORIZON)
        model = recurra.load(done.path)
        from_run = means(model.predict())
        assert np.array_equal(from_run, means(model.predict(source)))
        found.append(from_run)
        (one, other) = model.predict(source)
        assert (one.name, other.name) == ("a", "b")
        assert one.said == ["2024-02-10", "2024-02-11", "2024-02-12"]
        assert one.after == np.datetime64("2024-02-09")
        low, high = one.intervals[80]
        assert ((low < one.mean) & (one.mean < high)).all()
    for other_kind in found[1:]:
        assert np.array_equal(found[0], other_kind)


@pytest.mark.parametrize("cut", [1, 5, 39])
def test_what_comes_since_is_as_if_it_had_always_been_there(cut: int) -> None:
    whole = framed(steps=60)
    first = whole[whole.groupby("unique_id").cumcount() < 40]
    later = whole[whole.groupby("unique_id").cumcount() >= cut]  # some of it is known already
    model = small(look_back=9).fit(first)
    direct = model.predict(whole)
    assert not model.predict().equals(direct)
    pandas.testing.assert_frame_equal(model.update(later).predict(), direct)
    pandas.testing.assert_frame_equal(model.update(later).predict(), direct)


def test_rows_that_are_missing_between_and_series_that_are_new() -> None:
    whole = framed(steps=60, names=("a", "b", "c"))
    step = whole.groupby("unique_id").cumcount()
    gappy = whole[(step < 40) | (step >= 44)]
    two, step = gappy["unique_id"] != "c", step[gappy.index]
    model = small(look_back=9).fit(gappy[two & (step < 40)])
    model.update(gappy[(step >= 44) & two]).update(gappy[~two])
    found, direct = model.predict(), model.predict(gappy)
    pandas.testing.assert_frame_equal(found, direct)
    assert not found.equals(model.predict(whole))
    with pytest.raises(DataError, match="expected stamps on its grid"):
        model.update(pandas.DataFrame(
            {"unique_id": ["a"], "ds": [pandas.Timestamp("2024-05-01 07:00")], "y": [1.0]}
        ))  # fmt: skip


def test_series_without_names_go_on_in_their_order(tmp_path: Path) -> None:
    both = [waves(50, seed=1)[:, 0], waves(40, seed=2)[:, 0]]
    done = trained([each[:30] for each in both], tmp_path / "run", **HORIZON)
    model = recurra.load(done.path)
    model.update([each[30:] for each in both])
    found = list(model.predict())
    np.testing.assert_allclose(means(found), means(model.predict(both)), rtol=1e-5)
    assert [each.stamps.tolist() for each in found] == [[50, 51, 52], [40, 41, 42]]
    model.write(found, tmp_path / "table.csv", both)
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0] == "unique_id,ds,cutoff,gru,gru-lo-80,gru-hi-80"
    assert [row.split(",")[:3] for row in rows[1::3]] == [["0", "50", "49"], ["1", "40", "39"]]
    with pytest.raises(DataError, match="expected 2 series, as these have no names, got 1"):
        model.update(both[0])


def test_a_checkpoint_alone_keeps_no_history(tmp_path: Path) -> None:
    done = trained(framed(), tmp_path / "run", **HORIZON)
    alone = tmp_path / "alone"
    shutil.copytree(artifact.load(done.path).path, alone)
    model = recurra.load(alone)
    with pytest.raises(ArtifactError, match="does not keep the series that it was trained on"):
        list(model.predict())
    assert np.array_equal(means(model.predict(framed())), means(recurra.load(done.path).predict()))


def test_a_checkpoint_alone_knows_what_is_read_beside(tmp_path: Path) -> None:
    table = framed().assign(p=np.arange(80.0) % 7, k=["u", "v", "w", "v"] * 20, c="here")
    done = trained(table, tmp_path / "run", **HORIZON, past=["p", "k"], static=["c"])
    alone = tmp_path / "alone"
    shutil.copytree(artifact.load(done.path).path, alone)
    found = recurra.load(alone).predict(table, future=table[["unique_id", "ds", "c"]].assign(
        ds=table["ds"] + pandas.Timedelta(days=40)
    ))  # fmt: skip
    assert np.array_equal(means(found), means(recurra.load(done.path).predict(table)))


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    done = trained(framed(), tmp_path / "run", **HORIZON)
    file = Path(done.path) / "history.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=r"history\.safetensors: damaged"):
        list(recurra.load(done.path).predict())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_stamps_of_pandas_keep_their_type(unit: str, zone: str | None, tmp_path: Path) -> None:
    table = framed(begin="2024-03-20", steps=40)
    table["ds"] = table["ds"].astype(f"datetime64[{unit}]")
    if zone is not None:
        table["ds"] = table["ds"].dt.tz_localize(zone)
    table["unique_id"] = table["unique_id"].map({"a": 7, "b": 3})
    fitted = small(settings={"calendar": ["weekday"]}).fit(table)
    for model in (fitted, recurra.Forecaster.load(fitted.save(tmp_path / "kept"))):
        found = model.predict()
        assert list(found) == ["unique_id", "ds", "cutoff", "gru", "gru-lo-80", "gru-hi-80"]
        assert found["unique_id"].tolist() == [7] * 3 + [3] * 3
        assert found["unique_id"].dtype == table["unique_id"].dtype
        assert found["ds"].dtype == found["cutoff"].dtype == table["ds"].dtype
        told = [str(each)[:10] for each in found["ds"][:3]]
        assert told == ["2024-04-29", "2024-04-30", "2024-05-01"]
        assert (found["ds"].dt.hour == 0).all()  # midnight of clocks that were changed between
        assert (found["cutoff"] == table["ds"].max()).all()


def test_stamps_of_polars_keep_their_type() -> None:
    polars = pytest.importorskip("polars")
    table = polars.DataFrame(columns()).with_columns(polars.col("ds").str.to_date())
    kinds = [
        polars.Date,
        polars.Datetime("us"),
        polars.Datetime("ms"),
        polars.Datetime("ns", "UTC"),
    ]
    for kind in kinds:
        given = table.with_columns(polars.col("ds").cast(kind))
        found = small().fit(given).predict()
        assert isinstance(found, polars.DataFrame)
        assert found.schema["ds"] == found.schema["cutoff"] == kind
        assert found.schema["unique_id"] == polars.String
        assert given.join(found, left_on="ds", right_on="cutoff").height  # of the same type


@pytest.mark.parametrize(
    ("begin", "frequency", "comes"),
    [
        ("2023-08-31", "ME", ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]),
        ("2023-10-01", "MS", ["2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01"]),
        ("2024-02-23", "D", ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]),
        ("2024-02-19", "B", ["2024-02-23", "2024-02-26", "2024-02-27", "2024-02-28"]),
        ("2024-03-10", "W-SUN", ["2024-04-07", "2024-04-14", "2024-04-21", "2024-04-28"]),
    ],
)
def test_the_next_stamps(begin: str, frequency: str, comes: list[str]) -> None:
    table = pandas.DataFrame({"ds": pandas.date_range(begin, periods=24, freq=frequency)})
    table = table[table["ds"] < comes[0]].assign(y=np.arange(4.0))
    model = small(4, frequency=frequency, look_back=2).fit(table)
    assert [str(each)[:10] for each in model.predict()["ds"]] == comes


def test_hours_go_on_over_a_change_of_clocks() -> None:
    stamps = pandas.date_range("2024-03-29 01:00", periods=48, freq="h", tz="Europe/Berlin")
    table = pandas.DataFrame({"ds": stamps, "y": np.sin(np.arange(48) / 4)})
    found = small(4, look_back=6).fit(table).predict()["ds"]
    assert [str(each) for each in found] == [
        "2024-03-31 01:00:00+01:00", "2024-03-31 03:00:00+02:00", "2024-03-31 04:00:00+02:00",
        "2024-03-31 05:00:00+02:00",
    ]  # fmt: skip


def test_numbered_steps_of_five() -> None:
    table = framed(begin=0)
    table["ds"] *= 5
    found = small().fit(table).predict()
    assert found["ds"].tolist() == [200, 205, 210] * 2
    assert found["ds"].dtype == table["ds"].dtype
    assert (found["cutoff"] == 195).all()


def test_calendars_are_of_clocks_where_the_table_is_from() -> None:
    """The same hours of UTC, seen in another zone, are other hours of the day."""
    stamps = pandas.date_range("2024-01-01", periods=96, freq="h", tz="UTC")
    table = pandas.DataFrame({"ds": stamps, "y": np.sin(np.arange(96) / 4)})
    there = table.assign(ds=table["ds"].dt.tz_convert("Asia/Tokyo"))
    wall = table.assign(ds=there["ds"].dt.tz_localize(None))
    one, other, naive = (small(4, look_back=6).fit(each).predict() for each in (table, there, wall))
    assert np.array_equal(other["gru"], naive["gru"])
    assert not np.allclose(one["gru"], other["gru"], atol=1e-6)


def test_several_columns_and_one_series_without_a_name() -> None:
    both = waves(60)
    table = {"when": list(range(60)), "p": both[:, 0], "q": both[:, 1]}
    found = small(2, time="when", target=["p", "q"]).fit(table).predict(level=[50, 90.5])
    words = ["", "-lo-50", "-hi-50", "-lo-90.5", "-hi-90.5"]
    assert list(found) == [
        "when", "cutoff", *(f"gru-p{word}" for word in words), *(f"gru-q{word}" for word in words)
    ]  # fmt: skip
    assert isinstance(found, dict)
    assert found["when"].tolist() == [60, 61]
    assert (found["gru-q-lo-90.5"] < found["gru-q-lo-50"]).all()
    assert abs(found["gru-q"].mean() - 100) < 40
