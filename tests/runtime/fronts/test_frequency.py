"""Grids of time stamps are those of pandas: named, continued, inferred, with and without gaps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recurra_runtime.fronts import BadStamp, Frequency, stamps

SEASONS = {
    **dict.fromkeys(("us", "7min", "36h", "2D", "7D", "2B", "3W-SAT", "5ME"), 1),
    **dict.fromkeys(("YS", "YE", "YS-APR", "YE-FEB", "2YE-JUN"), 1),
    **dict.fromkeys(("2QS", "2QE-FEB"), 2),
    **dict.fromkeys(("QS", "QE", "QS-FEB", "QE-JAN"), 4),
    **dict.fromkeys(("2h", "MS", "ME"), 12),
    **dict.fromkeys(("W-SUN", "W-MON"), 52),
    **dict.fromkeys(("s", "min"), 60),
    **dict(zip(("D", "B", "2MS", "2W-WED", "h"), (7, 5, 6, 26, 24), strict=True)),
    **dict(zip(("ms", "10ms", "100ms", "10s", "2min"), (1000, 100, 600, 360, 30), strict=True)),
    **dict(zip(("5min", "15min", "2500ms"), (288, 96, 24), strict=True)),
}
# Years with leap days and without, before 1970 too, times of the day, ends of months.
STARTS = ["1899-12-25", "1968-02-01 23:00", "2000-01-31", "2023-06-15 07:30", "2024-02-27"]
# What is inferred as something that is written otherwise.
OTHERWISE = {"7D": None, "2B": "2D"}


def pandas_range(name: str, start: str, count: int) -> np.ndarray:
    return pd.date_range(start, periods=count, freq=name).to_numpy("M8[ns]")


def dates(*cells: str) -> np.ndarray:
    return np.array(cells, "M8[ns]")


@pytest.mark.parametrize("name", SEASONS)
def test_names_are_those_of_pandas(name: str) -> None:
    frequency = Frequency.parse(name)
    assert frequency.name == name
    assert Frequency.parse(frequency.name) == frequency
    assert hash(Frequency.parse(frequency.name)) == hash(frequency)
    assert pd.tseries.frequencies.to_offset(frequency.name) == pd.tseries.frequencies.to_offset(
        name
    )
    assert frequency.season == SEASONS[name]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", SEASONS)
def test_grids_are_those_of_pandas(name: str, start: str) -> None:
    frequency, grid = Frequency.parse(name), pandas_range(name, start, 40)
    found = frequency.after(grid[0], 39)
    assert found.dtype == np.dtype("M8[ns]")
    assert np.array_equal(found, grid[1:])
    assert np.array_equal(frequency.between(grid[3], grid[-2]), grid[3:-1])
    kept = np.array([2, 3, 5, 6, 17, 39])
    places = frequency.positions(grid[kept])
    assert places.dtype == np.int64
    assert np.array_equal(places, kept - 2)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", SEASONS)
def test_what_pandas_ranges_have_is_inferred_also_with_gaps(name: str, start: str) -> None:
    grid = pandas_range(name, start, 40)
    expected = OTHERWISE.get(name, name) or f"W-{pd.Timestamp(grid[0]):%a}".upper()
    for kept in (range(40), [*range(10), *range(13, 20), *range(28, 40)]):
        found = Frequency.infer([grid[list(kept)]])
        assert found is not None
        assert found.name == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *[("H", "h"), ("T", "min"), ("15T", "15min"), ("S", "s"), ("L", "ms"), ("U", "us")],
        *[("N", "ns"), ("M", "ME"), ("2M", "2ME"), ("Q", "QE"), ("Q-NOV", "QE-FEB"), ("Y", "YE")],
        *[("A", "YE"), ("A-JUN", "YE-JUN"), ("AS", "YS"), ("AS-APR", "YS-APR"), ("W", "W-SUN")],
        *[("QS-JAN", "QS"), ("QE-DEC", "QE"), ("QE-MAR", "QE"), ("QS-AUG", "QS-FEB"), ("d", "D")],
        *[
            ("YS-JAN", "YS"),
            ("YE-DEC", "YE"),
            ("60min", "h"),
            ("24h", "D"),
            ("b", "B"),
            ("w", "W-SUN"),
        ],
        *[(" w-fri ", "W-FRI"), ("M-15", "M-15"), ("3M-30", "3M-30"), ("1", "1"), ("12", "12")],
        *[("1D", "D"), ("M-1", "MS"), ("M-31", "ME"), ("1000ms", "s")],
    ],
)
def test_other_names_mean_the_same(old: str, new: str) -> None:
    assert Frequency.parse(old).name == new
    assert Frequency.parse(old) == Frequency.parse(new)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *[
            ("hh", "h"),
            ("W-XXX", "W-"),
            ("QS-13", "QS"),
            ("M-32", "M-"),
            ("M-0", "M-"),
            ("BME", "ME"),
        ],
        *[("monthly", "MS"), ("minn", "min"), ("D-3", "D"), ("0D", "D"), ("dayly", "D"), ("", "")],
        *[("MS-FEB", "MS"), ("-1D", "D"), ("1.5h", "h"), ("0", ""), ("-", "")],
    ],
)
def test_of_what_is_no_name_the_nearest_is_told(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"got {name!r}; did you mean '{meant}"):
        Frequency.parse(name)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["2023-01-31", "2023-02-28", "2023-03-31"], "ME"),
        (["2024-01-31", "2024-02-29", "2024-04-30"], "ME"),
        (["2023-11-30", "2023-12-30", "2024-01-30", "2024-02-29", "2024-03-30"], "M-30"),
        (["2023-01-29", "2023-02-28", "2023-03-29"], "M-29"),
        (["2024-01-15 08:00", "2024-02-15 08:00", "2024-04-15 08:00"], "M-15"),
        (["2024-01-15", "2024-04-15", "2024-07-15"], "3M-15"),
        (["2020-02-29", "2021-02-28", "2022-02-28"], "YE-FEB"),
        (["2019-02-28", "2020-02-28", "2021-02-28"], "12M-28"),
        (["2023-02-01", "2023-03-01"], "MS"),
        (["2023-02-01", "2023-03-01", "2023-03-29"], "4W-WED"),
        (["2020-01-01", "2021-01-01", "2024-01-01"], "YS"),
        (["2024-01-04", "2024-01-05", "2024-01-08"], "D"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], "D"),
        (["2024-01-01", "2024-01-03"], "2D"),
        (["2024-01-01", "2024-02-01 12:00"], "756h"),
    ],
)
def test_the_calendar_is_known(cells: list[str], name: str) -> None:
    frequency = Frequency.infer([dates(*cells)])
    assert frequency is not None
    assert frequency.name == name
    grid = frequency.between(*dates(cells[0], cells[-1]))
    assert set(dates(*cells)) <= set(grid)
    assert Frequency.parse(name) == frequency


def test_months_are_continued_on_their_day() -> None:
    ends = Frequency.parse("ME").after(np.datetime64("2024-01-31"), 3)
    assert ends.tolist() == dates("2024-02-29", "2024-03-31", "2024-04-30").tolist()
    days = Frequency.parse("M-30").after(np.datetime64("2024-02-29"), 2)
    assert days.tolist() == dates("2024-03-30", "2024-04-30").tolist()


def test_a_weekend_measured_makes_weekdays_days() -> None:
    weekdays = pandas_range("B", "2024-01-01", 40)
    assert Frequency.infer([weekdays]) == Frequency.parse("B")
    saturday = np.sort(np.append(weekdays, dates("2024-01-13")))
    assert Frequency.infer([saturday]) == Frequency.parse("D")


@pytest.mark.parametrize("name", ["D", "B"])
def test_shops_that_close_on_weekends_and_others_are_days(name: str) -> None:
    longer = pandas_range(name, "2024-01-01", 90)
    shorter = pandas_range("B" if name == "D" else "D", "2024-01-01", 30)
    for many in ([longer, shorter], [shorter, longer]):
        assert Frequency.infer(many) == Frequency.parse("D")


def test_whole_numbers_have_steps() -> None:
    five = Frequency.infer([np.array([3, 8, 18, 23]), np.array([1.0, 6.0])])
    assert five is not None
    assert (five.name, five.season) == ("5", 1)
    assert five.after(23, 2).tolist() == [28, 33]
    assert five.positions(np.array([-2.0, 8.0])).tolist() == [0, 2]
    assert five.between(3, 13).tolist() == [3, 8, 13]
    assert Frequency.infer([np.array([0.5, 1.0])[1:], np.array([2024, 2025])]) is not None


@pytest.mark.parametrize(
    "many",
    [
        [],
        [dates("2024-01-01")],
        [dates("2024-01-01"), dates()],
        [dates("2024-01-01", "2024-01-02", "2024-01-03 01:00", "2024-01-04 01:00")],
        [np.array([1, 3, 5, 8])],
        [dates("2024-01-01", "2024-01-02"), dates("2024-01-01", "2024-01-02 01:00", "2024-01-03")],
        [dates("2024-01-31", "2024-02-29", "2024-03-30")],
        [dates("2024-01-01 08:00", "2024-02-01 08:00", "2024-03-01 09:00")],
    ],
)
def test_without_a_grid_there_is_none(many: list[np.ndarray]) -> None:
    assert Frequency.infer(many) is None


def test_a_short_series_has_to_lie_on_the_grid_of_the_others() -> None:
    long = pandas_range("h", "2024-01-01", 50)
    sparse = long[[3, 6, 10, 11]]
    assert Frequency.infer([long[[0]], long[[0, 3, 6]], long, sparse, dates()]).name == "h"
    gaps = [long[[0, 3]], long[[1, 2, 5]], long[[2, 3, 4]]]
    assert Frequency.infer(gaps).name == "h"


@pytest.mark.parametrize(
    ("many", "said"),
    [
        (["h", "D"], "'h' in series 0 and 'D' in series 1"),
        (["D", "h", "h"], "'D' in series 0 and 'h' in series 1"),
        (["MS", "MS", "ME"], "'MS' in series 0 and 'ME' in series 2"),
        (["QS", "QS-FEB"], "'QS' in series 0 and 'QS-FEB' in series 1"),
        (["W-MON", "W-TUE"], "'W-MON' in series 0 and 'W-TUE' in series 1"),
        (["B", "W-MON"], "'B' in series 0 and 'W-MON' in series 1"),
        (["MS", "YS"], "'MS' in series 0 and 'YS' in series 1"),
    ],
)
def test_two_frequencies_are_named(many: list[str], said: str) -> None:
    grids = [pandas_range(name, "2023-11-05", 30) for name in many]
    with pytest.raises(ValueError, match=f"one frequency in all series, got {said}"):
        Frequency.infer(grids)


def test_a_witness_is_of_the_frequency_that_is_named() -> None:
    grids = [pandas_range(name, "2024-01-01", 40) for name in ("B", "h", "h")]
    with pytest.raises(BadStamp, match="'B' in series 0 and 'h' in series 1") as found:
        Frequency.infer(grids)
    assert (found.value.index, found.value.series) == (None, (0, 1))


@pytest.mark.parametrize(
    ("many", "said"),
    [
        ([np.array([1, 2]), np.array([3, 3])], "in series 1 stamp 1 (3) is not after 3"),
        ([dates("2024-01-02", "2024-01-01")], "in series 0 stamp 1 (2024-01-01T"),
        ([np.array([1, 2]), dates("2024-01-02")], "dates or numbers in all series, got both"),
        ([np.array([1, 2.5])], "series 0: expected dates or whole numbers, got 2.5 at index 1"),
        ([np.array([1, np.inf])], "series 0: expected dates or whole numbers, got inf at index 1"),
        ([dates("2024-01-02", "NaT")], "series 0: expected dates or whole numbers, got NaT at"),
        ([np.array(["2500"], "M8[s]")], "got 2500-01-01T00:00:00 at index 0"),
        ([np.array(["a"])], "series 0: expected stamps of one axis, dates or whole numbers"),
        ([np.zeros((2, 2))], "got float64[2, 2]"),
    ],
)
def test_what_no_frequency_is_inferred_of(many: list[np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Frequency.infer(many)


@pytest.mark.parametrize(
    ("name", "cells", "index"),
    [
        ("h", ["2024-01-01", "2024-01-01 02:00", "2024-01-01 02:30"], 2),
        ("D", ["2024-01-01", "2024-01-02 01:00"], 1),
        ("B", ["2024-01-05", "2024-01-06"], 1),
        ("B", ["2024-01-06", "2024-01-08"], 0),
        ("2B", ["2024-01-05", "2024-01-08"], 1),
        ("W-SUN", ["2024-01-01", "2024-01-08"], 0),
        ("MS", ["2024-01-01", "2024-02-02"], 1),
        ("MS", ["2024-01-01", "2024-02-01 12:00"], 1),
        ("ME", ["2024-01-31", "2024-02-28"], 1),
        ("QS", ["2024-02-01", "2024-05-01"], 0),
        ("2QS", ["2024-01-01", "2024-04-01"], 1),
        ("YE", ["2023-12-31", "2024-11-30"], 1),
        ("5", [1, 6, 12], 2),
    ],
)
def test_what_is_not_on_the_grid_is_told(name: str, cells: list[Any], index: int) -> None:
    values = stamps(cells).values
    with pytest.raises(
        BadStamp, match=rf"frequency '{name}': .* got {values[index]} at index {index}"
    ) as found:
        Frequency.parse(name).positions(values)
    assert (found.value.index, found.value.series) == (index, ())


def test_a_grid_is_refused_where_it_cannot_be() -> None:
    day = np.datetime64("2024-01-02")
    with pytest.raises(ValueError, match="'D': expected dates as stamps, got int64"):
        Frequency.parse("D").positions(np.array([1, 2]))
    with pytest.raises(ValueError, match=r"'1': expected numbers as stamps, got datetime64\[ns\]"):
        Frequency.parse("1").after(day, 1)
    with pytest.raises(ValueError, match="a last stamp not before 2024-01-02, got 2024-01-01"):
        Frequency.parse("D").between(day, np.datetime64("2024-01-01"))
    with pytest.raises(ValueError, match="got 2024-01-02"):
        Frequency.parse("MS").after(day, 1)
    for name in ("D", "W-TUE", "B", "M-2"):
        with pytest.raises(ValueError, match="before the year 2262"):
            Frequency.parse(name).after(day, 90_000)


@pytest.mark.parametrize("name", ["D", "B", "MS", "W-MON", "1"])
def test_nothing_has_no_places(name: str) -> None:
    empty = np.empty(0, "i8" if name == "1" else "M8[ns]")
    assert Frequency.parse(name).positions(empty).shape == (0,)
    first = 5 if name == "1" else np.datetime64("2024-01-01")
    assert Frequency.parse(name).after(first, 0).shape == (0,)
    assert len(Frequency.parse(name).between(first, first)) == 1


def test_hours_of_a_zone_are_regular_in_universal_time() -> None:
    for start in ("2024-03-30", "2024-10-26"):
        hours = pd.date_range(start, periods=72, freq="h", tz="Europe/Berlin")
        values = stamps(hours).values
        frequency = Frequency.infer([values])
        assert frequency == Frequency.parse("h")
        assert np.array_equal(frequency.positions(values), np.arange(72))
