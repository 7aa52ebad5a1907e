"""Columns of time stamps in every form, the first cell that cannot be read, and time zones."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recurra_runtime.fronts import Stamps, local, stamps, universal, zoned

BERLIN = ZoneInfo("Europe/Berlin")
# Also in the south and by half an hour (Lord Howe), and without any change.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


def dates(*cells: str) -> np.ndarray:
    return np.array(cells, "M8[ns]")


def same(found: Stamps, values: np.ndarray, zone: str | None = None) -> None:
    assert found.zone == zone
    assert found.values.dtype == values.dtype
    assert np.array_equal(found.values, values)


FORMS = [
    *["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%d %b %Y"],
    *["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S,%f", "%b %d %Y", "%B %d, %Y", "%d-%b-%Y"],
    *["%d. %B %Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%d-%m-%Y", "%b. %d, %Y %H:%M:%S", "%Y-%m"],
    *["%b %Y"],
]


@pytest.mark.parametrize("form", FORMS)
def test_text_of_every_form(form: str) -> None:
    chosen = np.random.default_rng(4).integers(-9 * 10**9, 9 * 10**9, 300)  # from 1684 to 2255
    cells = [
        datetime(1970, 1, 1) + timedelta(seconds=n, microseconds=n % 999) for n in chosen.tolist()
    ]
    cells.append(datetime(2024, 2, 29, 23, 59, 59, 999999))
    texts = [cell.strftime(form) for cell in cells]
    expected = [datetime.strptime(text, form).isoformat() for text in texts]
    same(stamps(texts), dates(*expected))
    same(stamps(np.array(texts)), dates(*expected))
    same(stamps(np.array(texts, object)), dates(*expected))


@pytest.mark.parametrize(
    ("cells", "expected", "zone"),
    [
        (
            ["2024-01-31", "2024-02-01 12:00", "Feb 29 2024"],
            ["2024-01-31", "2024-02-01T12", "2024-02-29"],
            None,
        ),
        (["2024/1/5", "2024/11/5 7:05"], ["2024-01-05", "2024-11-05T07:05"], None),
        (
            ["2024-01-31T12:00:00.5", "2024-01-31T12:00:00.123456789"],
            ["2024-01-31T12:00:00.5", "2024-01-31T12:00:00.123456789"],
            None,
        ),
        (
            ["2024-01-31T12:00Z", "2024-01-31 12:00:00+01:00", "2024-01-31T12:00-0530"],
            ["2024-01-31T12:00", "2024-01-31T11:00", "2024-01-31T17:30"],
            "UTC",
        ),
        (["2024-01-01T00:00:00.25 +02"], ["2023-12-31T22:00:00.25"], "UTC"),
        (["2024-01-01 05:00 UTC"], ["2024-01-01T05"], "UTC"),
        (["2024Q1", "2024-Q4"], ["2024-01-01", "2024-10-01"], None),
        (["01.02.2024", "13.02.2024"], ["2024-02-01", "2024-02-13"], None),
        (["01/02/2024", "2/13/2024"], ["2024-01-02", "2024-02-13"], None),
        (
            ["  2024-01-31\t", "JAN 31 2024", "sep 1 2024", "31 may 2024"],
            ["2024-01-31", "2024-01-31", "2024-09-01", "2024-05-31"],
            None,
        ),
        (
            ["1678-01-01", "2261-12-31T23:59:59.999999999"],
            ["1678-01-01", "2261-12-31T23:59:59.999999999"],
            None,
        ),
    ],
)
def test_text_of_mixed_forms(cells: list[str], expected: list[str], zone: str | None) -> None:
    same(stamps(cells), dates(*expected), zone)
    same(stamps(pd.Series(cells)), dates(*expected), zone)
    same(stamps(pl.Series(cells)), dates(*expected), zone)


def test_numbers_stay_numbers() -> None:
    for cells in ([3, 4], ["3", "4"], np.array([3, 4], "u2"), pd.Series([3, 4]), pl.Series([3, 4])):
        same(stamps(cells), np.array([3, 4]))
    for cells in ([3, 4.5], ["3", "4.5"], np.array([3, 4.5], "f4"), [np.float32(3), 4.5]):
        same(stamps(cells), np.array([3, 4.5]))
    same(stamps(["2023", "2024"]), np.array([2023, 2024]))
    same(stamps(pd.Series([3, 4], dtype="Int64")), np.array([3, 4]))
    same(stamps(["-1", "1e3", ".5"]), np.array([-1, 1000, 0.5]))


def test_objects_of_python_numpy_and_frames() -> None:
    moment = datetime(2024, 1, 31, 12, 0, 0, 123456)
    exact = dates("2024-01-31T12:00:00.123456", "2024-02-29")
    same(stamps([moment, datetime(2024, 2, 29)]), exact)
    same(stamps([moment, date(2024, 2, 29)]), exact)
    same(stamps((moment, np.datetime64("2024-02-29"))), exact)
    same(stamps([date(2024, 2, 29)]), exact[1:])
    precise = dates("2024-01-31T12:00:00.123456789", "1969-12-31T23:59:59.999999999")
    same(stamps([pd.Timestamp(one) for one in precise]), precise)
    same(stamps(list(precise)), precise)
    for column in (pd.Series(precise), pd.DatetimeIndex(precise), pl.Series(precise), precise):
        same(stamps(column), precise)
    for unit in ("Y", "M", "D", "s", "us"):
        same(stamps(precise.astype(f"M8[{unit}]")), precise.astype(f"M8[{unit}]").astype("M8[ns]"))
    same(stamps(pl.Series([date(2024, 2, 29)])), exact[1:])
    same(stamps([]), dates())
    same(stamps(np.array([], str)), dates())


def test_periods_are_where_they_begin() -> None:
    months = pd.period_range("2024-01", periods=2, freq="M")
    for column in (months, pd.Series(months)):
        same(stamps(column), dates("2024-01-01", "2024-02-01"))
    with pytest.raises(ValueError, match="it is missing, at index 0"):
        stamps(pd.Series(pd.PeriodIndex([None, "2024-01"], freq="M")))


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("zone", ZONES)
def test_columns_with_a_zone(zone: str, unit: str) -> None:
    days = pd.date_range("2023-12-30", periods=400, freq="17h", tz=zone).as_unit(unit)
    utc = days.tz_convert("UTC").tz_localize(None).to_numpy("M8[ns]")
    for column in (days, pd.Series(days), list(days), days.to_pydatetime().tolist()):
        same(stamps(column), utc, zone)
    if unit != "s":
        same(
            stamps(pl.Series(utc).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)), utc, zone
        )


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (UTC, "UTC"),
        (timezone(timedelta(hours=5, minutes=30)), "+05:30"),
        (timezone(-timedelta(hours=3, seconds=7)), "-03:00:07"),
        (BERLIN, "Europe/Berlin"),
    ],
)
def test_zones_have_names_that_are_read_again(zone: Any, name: str) -> None:
    cells = [datetime(2024, 7, 1, 12, tzinfo=zone), datetime(2024, 1, 1, tzinfo=zone)]
    found = stamps(cells)
    assert found.zone == name
    assert local(*found).tolist() == dates("2024-07-01T12", "2024-01-01").tolist()
    assert zoned(*found) == cells
    assert [one.utcoffset() for one in zoned(*found)] == [one.utcoffset() for one in cells]


def test_several_zones_are_universal() -> None:
    cells = [datetime(2024, 7, 1, 12, tzinfo=zone) for zone in (BERLIN, UTC)]
    same(stamps(cells), dates("2024-07-01T10", "2024-07-01T12"), "UTC")


@pytest.mark.parametrize("zone", ZONES)
def test_wall_time_is_that_of_pandas(zone: str) -> None:
    utc = pd.date_range("1875-01-01", "2037-12-31", freq="509h7min", tz="UTC")
    near = pd.date_range("2024-01-01", "2024-12-31", freq="10min", tz="UTC")
    for times in (utc, near, near[::-1]):
        values = times.tz_localize(None).to_numpy("M8[ns]")
        expected = times.tz_convert(zone).tz_localize(None).to_numpy("M8[ns]")
        found = local(values, zone)
        assert np.array_equal(found, expected)
        # What a clock shows twice is the first, up to an hour earlier.
        back = values - universal(found, zone)
        assert np.array_equal(local(universal(found, zone), zone), found)
        assert (back >= np.timedelta64(0)).all()
        assert (back == np.timedelta64(0)).mean() > 0.999


def test_a_change_of_clocks_to_the_second() -> None:
    for change, before, after in (("2024-03-31", 1, 2), ("2024-10-27", 2, 1)):
        last, first = dates(f"{change}T00:59:59.999999999", f"{change}T01:00:00")
        assert local(np.array([last]), "Europe/Berlin")[0] - last == np.timedelta64(before, "h")
        assert local(np.array([first]), "Europe/Berlin")[0] - first == np.timedelta64(after, "h")


def test_what_a_clock_shows_twice_or_never() -> None:
    wall = dates("2024-03-31T02:30", "2024-10-27T02:30", "2024-03-31T03:00", "2024-10-27T03:00")
    aware = [one.replace(tzinfo=BERLIN) for one in wall.astype("M8[us]").tolist()]
    assert universal(wall, "Europe/Berlin").tolist() == stamps(aware).values.tolist()
    east = wall - np.timedelta64(24 * 60, "m")
    assert np.array_equal(universal(east, "+01:00"), east - np.timedelta64(1, "h"))


def test_days_of_a_zone_are_days_on_the_wall() -> None:
    days = pd.date_range("2024-03-25", periods=14, freq="D", tz="Europe/Berlin")
    found = stamps(days)
    wall = local(*found)
    assert np.array_equal(wall, days.tz_localize(None).to_numpy("M8[ns]"))
    assert np.array_equal(universal(wall, found.zone), found.values)
    rebuilt = pd.DatetimeIndex(found.values).tz_localize("UTC").tz_convert(found.zone)
    assert list(rebuilt) == list(days) == zoned(*found)


def test_without_a_zone_nothing_changes() -> None:
    values = dates("2024-01-31T12:00")
    assert local(values, None) is values
    assert universal(values, None) is values
    assert zoned(values, None) == [datetime(2024, 1, 31, 12)]
    assert local(dates(), "Europe/Berlin").shape == universal(dates(), "UTC").shape == (0,)
    assert zoned(dates(), "UTC") == []


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "+1", "../UTC"])
def test_an_unknown_zone(name: str) -> None:
    for function in (local, universal, zoned):
        with pytest.raises(ValueError, match=rf"got {re.escape(repr(name))}; .* install tzdata"):
            function(dates("2024-01-31"), name)


NOW, NAIVE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["2024-01-31", None], "got none, it is missing, at index 1"),
        (["2024-01-31", " ", "x"], "got none, it is missing, at index 1"),
        (pd.Series(["2024-01-31", None]), "got none, it is missing, at index 1"),
        (pl.Series(["2024-01-31", None]), "got none, it is missing, at index 1"),
        (pl.Series([1, None]), "got none, it is missing, at index 1"),
        (pd.Series([1, None], dtype="Int64"), "got none, it is missing, at index 1"),
        (pd.Series([NAIVE, None]), "got none, it is missing, at index 1"),
        (pd.Series([NOW, None]), "got none, it is missing, at index 1"),
        (pl.Series([NOW, None]), "got none, it is missing, at index 1"),
        ([NAIVE, pd.NaT], "got none, it is missing, at index 1"),
        ([NOW, pd.NaT], "got none, it is missing, at index 1"),
        ([1.0, float("nan")], "got none, it is missing, at index 1"),
        ([1.0, float("inf")], "at index 1"),
        (["1", "nan"], "got none, it is missing, at index 1"),
        (["1", "2024-01"], "got '2024-01', at index 1: the first is 1"),
        (["2024-01", "2024"], "got '2024', at index 1"),
        (["2024-01-30", "2024-02-30", "x"], "'2024-02-30', at index 1: there is no such date"),
        (["2024-01-30", "x", "2024-02-30"], "got 'x', at index 1"),
        (["2023-02-29"], "got '2023-02-29', at index 0: there is no such date from 1678 to 2261"),
        (["2024-13-01"], "no such date"),
        (["2024-00-01"], "no such date"),
        (["2024-01-00"], "no such date"),
        (["2024-01-01 24:00"], "no such date"),
        (["2024-01-01 00:60"], "no such date"),
        (["2024-01-01 00:00:60"], "no such date"),
        (["2024Q5"], "no such date"),
        (["1677-12-31"], "no such date"),
        (["2262-01-01"], "no such date"),
        (["Foo 1 2000"], "got 'Foo 1 2000', at index 0"),
        (["today"], "got 'today', at index 0"),
        (["2024-01-31x"], "got '2024-01-31x', at index 0"),
        (["٢٠٢٤-01-31"], "at index 0"),
        (["01.02.2024", "03.04.2024"], "index 0: no cell tells the day from the month"),
        (["13.02.2024", "02.13.2024"], "got '02.13.2024', at index 1: there is no such date"),
        (["01/02/24"], "got '01/02/24', at index 0"),
        (["2024-01-31", "13.01.2024"], "index 1: in the first cell the year is elsewhere"),
        (["13.01.2024", "2024-01-31"], "index 1: in the first cell the year is elsewhere"),
        (["2024-01-31T12:00", "2024-01-31T12:00Z"], "index 1: either all have an offset"),
        ([NAIVE, NOW], "at index 1: either all have a time zone or none"),
        ([NOW, date(2024, 1, 1)], "at index 1: either all have a time zone or none"),
        ([NAIVE, "2024-01-31"], "got '2024-01-31', at index 1: the first is datetime"),
        (["2024-01-31", 5], "got 5, at index 1: the first is '2024-01-31'"),
        ([1, "a"], "got 'a', at index 1: the first is 1"),
        ([True], "got True, at index 0"),
        ([object], "at index 0"),
        (np.array([True]), "got bool"),
        (np.zeros((2, 2)), "expected one axis, got shape [2, 2]"),
        (np.array([1, 2**63], "u8"), "at index 1"),
        (np.array(["2024", "NaT"], "M8[D]"), "got none, it is missing, at index 1"),
        (np.array(["2024", "2500"], "M8[s]"), "at index 1: dates reach from 1678 to 2261"),
        ([np.datetime64("2024"), np.datetime64("2500")], "at index 1: dates reach from"),
        ([datetime(1600, 1, 1)], "at index 0: dates reach from 1678 to 2261"),
        ("2024-01-31", "expected a column of cells, got '2024-01-31'"),
        (5, "expected a column of cells, got 5"),
    ],
)
def test_the_first_cell_that_cannot_be_read_is_told(cells: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"time stamps: .*" + re.escape(said)):
        stamps(cells)
