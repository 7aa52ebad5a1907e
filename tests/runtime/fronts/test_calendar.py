"""Shares of the cycles of the calendar are those of pandas, in leap years too."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from recurra_runtime.fronts import Calendar, Frequency, Series
from recurra_runtime.vocabulary import vocabulary_from_json

ALL = ("minute", "hour", "weekday", "day", "yearday", "week", "month", "quarter")


def shares(times: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """What pandas says of them."""
    iso = times.isocalendar()
    weeks = [pd.Timestamp(int(year), 12, 28).isocalendar().week for year in iso["year"]]
    minute = times.minute.to_numpy() + times.second.to_numpy() / 60
    hour = times.hour.to_numpy() + minute / 60
    month = (times.day.to_numpy() - 1 + hour / 24) / times.days_in_month.to_numpy()
    return {
        "minute": minute / 60,
        "hour": hour / 24,
        "weekday": (times.day_of_week.to_numpy() + hour / 24) / 7,
        "day": month,
        "yearday": (times.day_of_year.to_numpy() - 1 + hour / 24) / (365 + times.is_leap_year),
        "week": (iso["week"].to_numpy(float) - 1) / np.array(weeks),
        "month": (times.month.to_numpy() - 1 + month) / 12,
        "quarter": (times.quarter.to_numpy() - 1) / 4,
    }


def test_shares_are_those_of_pandas() -> None:
    # 1968 and 2000 have leap days; 1970, 2015 and 2020 have 53 weeks.
    times = pd.date_range("1967-12-30", "2030-01-02", freq="37h17min13s")
    share = np.stack([shares(times)[name] for name in ALL], 1)
    assert share.min() >= 0
    assert share.max() < 1
    front = Calendar(ALL)
    found = front.encode(times.to_numpy())
    assert found.dtype == np.float32
    assert (len(times), *front.shape) == found.shape
    np.testing.assert_allclose(found[:, ::2], np.sin(2 * np.pi * share), atol=1e-6)
    np.testing.assert_allclose(found[:, 1::2], np.cos(2 * np.pi * share), atol=1e-6)


def test_the_last_day_of_a_leap_year_is_before_the_first_of_the_next() -> None:
    sine = Calendar(["yearday"]).encode(["2024-12-31", "2023-12-31", "2024-01-01"])[:, 0]
    np.testing.assert_allclose(
        sine, np.sin(2 * np.pi * np.array([-1 / 366, -1 / 365, 0])), atol=1e-6
    )


def test_features_stand_in_their_order_and_by_themselves() -> None:
    times = pd.date_range("2024-01-31", periods=50, freq="D")
    both = Calendar(["month", "weekday"]).encode(times)
    alone = [Calendar([name]).encode(times) for name in ("month", "weekday")]
    assert np.array_equal(both, np.concatenate(alone, 1))
    assert np.array_equal(both[7:], Calendar(["month", "weekday"]).encode(times[7:]))


def test_with_a_zone_the_clock_on_the_wall_counts() -> None:
    times = pd.date_range("2024-03-30", periods=48, freq="h", tz="Europe/Berlin")
    front = Calendar(["hour", "weekday"])
    assert np.array_equal(front.encode(times), front.encode(times.tz_localize(None)))
    assert not np.array_equal(front.encode(times), front.encode(times.tz_convert("UTC")))


@pytest.mark.parametrize(
    ("frequency", "features"),
    [
        *[(name, ("minute", "hour", "weekday", "yearday")) for name in ("ms", "s", "min", "15min")],
        *[(name, ("hour", "weekday", "yearday")) for name in ("h", "6h", "90min")],
        *[(name, ("weekday", "yearday")) for name in ("D", "2D", "B")],
        *[(name, ("yearday",)) for name in ("W-SUN", "2W-MON")],
        *[(name, ("month",)) for name in ("MS", "ME", "2MS", "M-15")],
        *[(name, ("quarter",)) for name in ("QS", "QE-FEB")],
        *[(name, ()) for name in ("YS", "2YE", "1", "5")],
    ],
)
def test_a_frequency_has_its_cycles(frequency: str, features: tuple[str, ...]) -> None:
    assert Calendar.of(Frequency.parse(frequency)).features == features


def test_numbers_have_no_calendar() -> None:
    for frequency in (None, Frequency.parse("1")):
        front = Calendar.of(frequency)
        assert front.shape == (0,)
        assert front.encode([1, 2, 3]).shape == (3, 0)
        assert front.encode([1, 2, 3]).dtype == np.float32
    assert Calendar().encode(["2024-01-31"]).shape == (1, 0)
    assert Calendar(["hour"]).encode([]).shape == (0, 2)
    with pytest.raises(ValueError, match="expected dates to take hour, day of, got numbers"):
        Calendar(["hour", "day"]).encode([1, 2])


def test_a_calendar_travels_as_json() -> None:
    for names in (ALL, ("month",), ()):
        front = Calendar(names)
        assert front.fit([]) is front
        again = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
        assert isinstance(again, Calendar)
        assert again.features == names
        assert again.to_json() == front.to_json() == {"kind": "calendar", "features": list(names)}


@pytest.mark.parametrize("features", [None, "hour", [1], {"hour": 1}])
def test_json_of_another_shape(features: object) -> None:
    with pytest.raises(ValueError, match="calendar: expected a list 'features' of names"):
        Calendar.from_json({"kind": "calendar", "features": features})


def test_features_are_known_and_stand_once() -> None:
    with pytest.raises(ValueError, match="got 'hours'; did you mean 'hour'"):
        Calendar(["hours"])
    with pytest.raises(ValueError, match="each feature once, got hour, day, hour"):
        Calendar(["hour", "day", "hour"])


def test_a_calendar_stands_beside_a_series() -> None:
    times, values = ["2024-01-31", "2024-02-29"], [[1.0], [3.0]]
    both = [Series().fit([values]).encode(values), Calendar(["month"]).encode(times)]
    assert np.concatenate(both, 1).shape == (2, 3)
