"""Series of tables: which rows belong together, and which column is what."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.panels import Tracks
from recurra.errors import DataError, SettingError
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.sources import open_source

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

NAN = math.nan
COLUMNS = {
    "unique_id": ["b", "b", "b", "a", "a"],
    "ds": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-01", "2024-01-02"],
    "y": [1.0, 2.0, 3.0, 10.0, 20.0],
}
OTHER = {"unique_id": "shop", "ds": "when", "y": "sold"}


def read(source: Any, **settings: Any) -> Tracks:
    data = ForecastingData(**settings)
    return open_source(source, data).tracks(data)


def seen(tracks: Tracks) -> list[tuple[str, list[str], list[float]]]:
    return [
        (each.name, each.stamps.astype("M8[D]").astype(str).tolist(), each.values[:, 0].tolist())
        for each in tracks.each
    ]


def written(columns: dict[str, Any], folder: Path, ending: str = "csv", between: str = ",") -> Path:
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    file = folder / f"series.{ending}"
    file.write_text("".join(between.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", ["pandas", "polars", "mapping", "csv", "tsv"])
@pytest.mark.parametrize("named", [False, True])
def test_tables_of_all_kinds(kind: str, named: bool, tmp_path: Path) -> None:
    columns = {OTHER[name] if named else name: cells for name, cells in COLUMNS.items()}
    made: dict[str, Any] = {
        "pandas": lambda: pandas.DataFrame(columns),
        "polars": lambda: polars.DataFrame(columns),
        "mapping": lambda: columns,
        "csv": lambda: written(columns, tmp_path),
        "tsv": lambda: written(columns, tmp_path, "tsv", "\t"),
    }
    settings = {"id": "shop", "time": "when", "channels": ["sold"]} if named else {}
    tracks = read(made[kind](), **settings)
    assert seen(tracks) == [
        ("b", ["2024-01-01", "2024-01-02", "2024-01-03"], [1, 2, 3]),
        ("a", ["2024-01-01", "2024-01-02"], [10, 20]),
    ]
    assert tracks.roles.channels == (("sold",) if named else ("y",))
    assert tracks.frequency is not None
    assert tracks.frequency.name == "D"
    assert tracks.like == (kind if kind in ("pandas", "polars") else None)
    assert tracks.ids == {"b": "b", "a": "a"}


def test_without_a_column_of_values_all_others_are_channels() -> None:
    tracks = read({"time": [1, 2], "b": [1, 2], "a": [3, 4], "x": [5, 6]}, known=["x"])
    assert tracks.roles.channels == ("b", "a")
    assert tracks.each[0].values.tolist() == [[1, 3], [2, 4]]
    assert tracks.each[0].known.tolist() == [[5], [6]]


@pytest.mark.parametrize("like", [list, np.array, pandas.Series, polars.Series])
def test_ids_may_be_numbers(like: Any) -> None:
    columns = {"unique_id": like([7, 3, 7]), "ds": like([1, 1, 2]), "y": like([1.0, 2.0, 3.0])}
    source: Any = columns
    if like in (pandas.Series, polars.Series):
        source = (pandas if like is pandas.Series else polars).DataFrame(columns)
    tracks = read(source)
    assert [(each.name, each.values[:, 0].tolist()) for each in tracks.each] == [
        ("7", [1, 3]), ("3", [2])
    ]  # fmt: skip
    assert tracks.ids == {"7": 7, "3": 3}
    assert type(tracks.ids["7"]) is int


def test_rows_of_series_may_be_mixed() -> None:
    ids, steps = list("xyzxyzzyx"), [1, 1, 1, 2, 2, 2, 3, 3, 3]
    values = [10 * "xyz".index(name) + step for name, step in zip(ids, steps, strict=True)]
    tracks = read({"unique_id": ids, "ds": steps, "y": values})
    assert [(each.name, each.values[:, 0].tolist()) for each in tracks.each] == [
        ("x", [1, 2, 3]), ("y", [11, 12, 13]), ("z", [21, 22, 23])
    ]  # fmt: skip


def test_the_row_of_a_file_is_said(tmp_path: Path) -> None:
    file = written({**COLUMNS, "y": [1, 2, 3, 10, "x"]}, tmp_path)
    with pytest.raises(DataError, match=r"series\.csv: line 6: column 'y': expected a number.*'x'"):
        read(file)


# ---- what is beside ------------------------------------------------------------------------------


def test_what_is_beside_lands_where_it_belongs() -> None:
    tracks = read(
        {
            "unique_id": ["a"] * 4 + ["b"] * 3,
            "ds": [1, 2, 3, 4, 1, 2, 3],
            "y": [1.0, 2.0, NAN, NAN, 5.0, 6.0, 7.0],
            "sold": [3.0, NAN, NAN, NAN, 4.0, 5.0, 6.0],
            "weather": ["sun", "", None, None, "rain", "sun", "sun"],
            "price": [1, 2, 3, 4, 5, 6, 7],
            "holiday": ["no", "yes", "no", "no", "no", "no", "no"],
            "size": [9.0] * 4 + [8.0] * 3,
            "town": ["X"] * 4 + ["Y"] * 3,
        },
        past=["sold", "weather"],
        known=["price", "holiday"],
        static=["size", "town"],
    )
    one, other = tracks.each
    assert tracks.numbers == (("sold",), ("price", "size"))
    assert tracks.categories == ("weather", "holiday", "town")
    assert tracks.ahead == ("holiday", "town")
    assert one.values.tolist() == [[1], [2]]  # rows behind the last value are known ahead
    np.testing.assert_array_equal(one.past, [[3], [NAN]])
    assert one.known.tolist() == [[1, 9], [2, 9], [3, 9], [4, 9]]
    assert list(one.codes["weather"])[:2] == ["sun", None]
    assert list(one.codes["holiday"]) == ["no", "yes", "no", "no"]
    assert list(one.codes["town"]) == ["X"] * 4
    assert other.values[:, 0].tolist() == [5, 6, 7]
    assert other.known.tolist() == [[5, 8], [6, 8], [7, 8]]


def test_a_missing_value_between_others_stays_one() -> None:
    (one,) = read({"ds": [1, 2, 3, 4], "y": [1, NAN, 3, NAN], "p": [1, 2, 3, 4]}, known=["p"]).each
    np.testing.assert_array_equal(one.values[:, 0], [1, NAN, 3])
    assert one.known[:, 0].tolist() == [1, 2, 3, 4]


def test_without_what_is_known_ahead_rows_without_a_value_are_steps() -> None:
    (one,) = read({"ds": [1, 2, 3], "y": [1, NAN, NAN]}).each
    np.testing.assert_array_equal(one.values[:, 0], [1, NAN, NAN])


def test_numbers_that_are_categories() -> None:
    """A frame says so by its type; text that is all numbers is numbers, as in a file."""
    steps, values, codes = [1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "1"]
    for column, category in (
        (pandas.Categorical(codes), True),
        (pandas.Categorical([1, 2, 1]), True),
        (codes, False),
        ([True, False, True], False),
    ):
        frame = pandas.DataFrame({"ds": steps, "y": values, "c": column})
        tracks = read(frame, known=["c"])
        assert tracks.categories == (("c",) if category else ())
        assert not category or list(tracks.each[0].codes["c"]) == codes
    for kind, category in ((polars.Categorical, True), (polars.Enum(["1", "2"]), True)):
        frame = polars.DataFrame({"ds": steps, "y": values, "c": polars.Series(codes, dtype=kind)})
        assert read(frame, known=["c"]).categories == (("c",) if category else ())


# ---- time ----------------------------------------------------------------------------------------


def test_rows_that_are_missing_are_steps_without_a_value() -> None:
    tracks = read(
        {
            "unique_id": ["a"] * 4,
            "ds": ["2024-02-27", "2024-02-28", "2024-03-01", "2024-03-04"],
            "y": [1.0, 2, 4, 7],
            "price": [1.0, 2, 4, 7],
            "town": ["X"] * 4,
            "size": [5.0] * 4,
            "sold": [1.0, 2, 4, 7],
            "kind": ["k"] * 4,
        },
        known=["price", "kind"],
        static=["town", "size"],
        past=["sold"],
    )
    (one,) = tracks.each  # 2024 has a 29 February
    filled = [1, 2, NAN, 4, NAN, NAN, 7]
    np.testing.assert_array_equal(one.values[:, 0], filled)
    np.testing.assert_array_equal(one.past[:, 0], filled)
    np.testing.assert_array_equal(one.known[:, 0], filled)
    assert one.known[:, 1].tolist() == [5] * 7
    assert one.codes["town"] == ["X"] * 7
    assert one.codes["kind"] == ["k", "k", None, "k", None, None, "k"]
    assert one.stamps.astype("M8[D]").astype(str).tolist()[2] == "2024-02-29"


def test_static_categories_do_not_fill_what_is_known() -> None:
    """Columns of known numbers are counted apart from static ones that are no numbers."""
    (one,) = read(
        {"ds": [1, 2, 4], "y": [1, 2, 4], "p": [1, 2, 4], "t": ["X"] * 3}, known=["p"], static=["t"]
    ).each
    np.testing.assert_array_equal(one.known[:, 0], [1, 2, NAN, 4])


@pytest.mark.parametrize(
    ("frequency", "begin", "name"),
    [
        ("ME", "2023-01-31", "ME"),
        ("MS", "2023-01-01", "MS"),
        ("B", "2024-01-01", "B"),
        ("D", "2024-02-20", "D"),
        ("QE", "2023-03-31", "QE"),
        ("W-WED", "2023-01-04", "W-WED"),
        ("15min", "2023-01-01", "15min"),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_grids_of_the_calendar(frequency: str, begin: str, name: str, zone: str | None) -> None:
    stamps = pandas.date_range(begin, periods=30, freq=frequency, tz=zone)
    frame = pandas.DataFrame({"ds": stamps, "y": np.arange(30.0)}).drop(index=[3, 4, 11])
    tracks = read(frame)
    assert tracks.frequency is not None
    assert (tracks.frequency.name, tracks.zone) == (name, zone)
    (one,) = tracks.each
    wanted = np.arange(30.0)
    wanted[[3, 4, 11]] = NAN
    np.testing.assert_array_equal(one.values[:, 0], wanted)
    of_days = frequency != "15min"
    clock = stamps.tz_localize(None) if of_days or zone is None else stamps.tz_convert("UTC")
    assert np.array_equal(one.stamps.astype("M8[s]"), clock.tz_localize(None).to_numpy("M8[s]"))


@pytest.mark.parametrize("begin", ["2023-10-28", "2023-03-25"])  # put back, and forward
@pytest.mark.parametrize("like", ["pandas", "polars", "text"])
def test_hours_of_clocks_that_are_changed(begin: str, like: str) -> None:
    stamps = pandas.date_range(begin, periods=72, freq="h", tz="Europe/Berlin")
    frame: Any = pandas.DataFrame({"ds": stamps, "y": np.arange(72.0)})
    if like == "polars":
        frame = polars.DataFrame(frame)
    if like == "text":
        frame["ds"] = [each.isoformat() for each in stamps]
    tracks = read(frame)
    assert tracks.frequency is not None
    assert tracks.frequency.name == "h"
    assert tracks.zone == ("UTC" if like == "text" else "Europe/Berlin")
    assert tracks.each[0].values[:, 0].tolist() == list(range(72))
    assert len(read(frame.head(30) if like == "polars" else frame[:30]).each[0].values) == 30


def test_a_day_in_which_clocks_are_changed_is_a_day() -> None:
    stamps = pandas.date_range("2023-10-20", periods=20, freq="D", tz="Europe/Berlin")
    frame = pandas.DataFrame({"ds": stamps, "y": np.arange(20.0)})
    for some in (frame, frame.drop(index=[9])):
        tracks = read(some)
        assert tracks.frequency is not None
        assert tracks.frequency.name == "D"
        clock = stamps.tz_localize(None).to_numpy("M8[ns]")
        assert np.array_equal(tracks.each[0].stamps, clock)  # as clocks say them, both ways


def test_a_naive_hour_that_is_there_twice_wants_a_zone() -> None:
    stamps = pandas.date_range("2023-10-28", periods=48, freq="h", tz="Europe/Berlin")
    frame = pandas.DataFrame({"ds": stamps.tz_localize(None), "y": np.arange(48.0)})
    with pytest.raises(DataError, match=r"row 27: column 'ds': .*02:00.* twice.*with a zone"):
        read(frame)


def test_numbered_steps_and_none() -> None:
    tracks = read({"ds": [10, 20, 40], "y": [1, 2, 4]})
    assert tracks.frequency is not None
    assert tracks.frequency.name == "10"
    np.testing.assert_array_equal(tracks.each[0].values[:, 0], [1, 2, NAN, 4])
    tracks = read({"y": [1, 2, 4]})
    assert tracks.frequency is None
    assert tracks.each[0].stamps.tolist() == [0, 1, 2]


def test_dates_of_python() -> None:
    days = [datetime.date(2024, 2, day) for day in (27, 28)] + [datetime.date(2024, 3, 1)]
    (one,) = read({"ds": days, "y": [1, 2, 4]}).each
    np.testing.assert_array_equal(one.values[:, 0], [1, 2, NAN, 4])


def test_gaps_leave_steps_as_they_are() -> None:
    tracks = read({"ds": [0.0, 0.5, 1.75], "y": [1, 2, 3]}, gaps=True)
    assert tracks.frequency is None
    assert tracks.each[0].stamps.tolist() == [0, 0.5, 1.75]
    assert tracks.each[0].values[:, 0].tolist() == [1, 2, 3]


def test_a_short_series_lies_on_the_grid_of_the_others() -> None:
    days = pandas.to_datetime(
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-09"]
    )
    frame = pandas.DataFrame({"unique_id": list("aaabb"), "ds": days, "y": np.arange(5.0)})
    assert [len(each.values) for each in read(frame).each] == [3, 6]


# ---- what cannot be ------------------------------------------------------------------------------

DAYS = pandas.date_range("2024-01-01", periods=6)
HOURS = pandas.date_range("2024-01-01", periods=6, freq="h")
ODD = pandas.to_datetime(["2024-01-01 00:00", "2024-01-02 03:00", "2024-01-05 07:11"])


def frame_of(ids: str, stamps: Any, **more: Any) -> Any:
    return pandas.DataFrame(
        {"unique_id": list(ids), "ds": stamps, "y": np.arange(float(len(ids)))} | more
    )


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ({"ds": ["2024-01-01", "x"], "y": [1, 2]}, {}, r"row 1: column 'ds': .*got 'x'"),
    ({"ds": ["2024-01-01", None], "y": [1, 2]}, {}, r"row 1: column 'ds': .*missing"),
    ({"ds": [1, 2, 2], "y": [1, 2, 3]}, {}, r"row 2: column 'ds': .*'2' is there twice"),
    ({"ds": [1, 3, 2], "y": [1, 2, 3]}, {}, r"row 2: .*'2' comes after '3'.*[Ss]ort"),
    (frame_of("abab", [1, 1, 2, 1]), {}, r"row 3: .*'1' is there twice in the series 'b'"),
    ({"ds": [1, 2], "y": ["1", "x"]}, {}, r"row 1: column 'y': expected a number, got 'x'"),
    ({"ds": [1, 2], "y": [1, math.inf]}, {}, r"row 1: column 'y': expected a finite number"),
    (pandas.DataFrame({"y": [1, -math.inf]}), {}, r"row 1: column 'y': .*finite.*got -inf\."),
    (pandas.DataFrame({"y": [1, 1e39]}), {}, r"row 1: column 'y': .*fits into 32 bits, got 1e\+39"),
    ({"y": [1, 2], "x": [1, math.inf]}, {"past": ["x"]}, r"row 1: column 'x': expected a finite"),
    ({"unique_id": ["a", None], "ds": [1, 2], "y": [1, 2]}, {}, r"row 1: .*'unique_id'.*name of"),
    ({"unique_id": ["a", " "], "ds": [1, 2], "y": [1, 2]}, {}, r"row 1: .*name of a series"),
    ({"unique_id": ["a", NAN], "ds": [1, 2], "y": [1, 2]}, {}, r"row 1: .*name of a series"),
    (polars.DataFrame({"unique_id": [1, None], "y": [1, 2]}), {}, r"row 1: .*name of a series"),
    (pandas.DataFrame({"unique_id": [1, None], "y": [1, 2]}), {}, r"row 1: .*name of a series"),
    (frame_of("aaaaaabbb", [*DAYS, *ODD]), {}, r"row 7: .*equal distances.*data\.gaps=true"),
    (frame_of("a" * 6 + "b" * 6, [*DAYS, *HOURS]), {},
     r"'D' in the series 'a' \(data: row 0\) and 'h' in the series 'b' \(data: row 6\)"),
    ({"ds": [0, 0.5, 1], "y": [1, 2, 3]}, {}, r"row 1: column 'ds': .*got 0\.5\. data\.gaps=true"),
    (frame_of("aaaaaa", HOURS), {"frequency": "D"}, r"row 1: frequency 'D': expected stamps on"),
    (frame_of("aaa", [1, 2, 3]), {"frequency": "D"}, r"row 0: frequency 'D': expected dates"),
    (frame_of("aa", [1, 10**6]), {"frequency": "1"}, r"1,000,000 steps of 1 lie between"),
    (frame_of("aaa", [1, 2, 3], s=[1, 2, 2]), {"static": ["s"]}, r"row 1: .*'s'.*got '1' and '2'"),
    (frame_of("aba", [1, 1, 2], s=list("xyz")), {"static": ["s"]}, r"row 2: .*'s'.*'x' and 'z'"),
    (frame_of("aa", [1, 2]).head(0), {}, "expected rows, found none"),
    ({}, {}, "expected columns, found none"),
    ({"ds": [1, 2], "y": [1, 2, 3]}, {}, "columns of one length, got 2 and 3"),
    ({"unique_id": ["a"], "ds": [1]}, {}, "expected a column for each channel"),
    ({"y": [1, 2]}, {"known": ["prise"]}, r"no column 'prise' \(data\.known\)"),
    ({"y": [1, 2]}, {"id": "series"}, r"no column 'series' \(data\.id\)"),
    ({"y": [1, 2]}, {"time": "when"}, r"no column 'when' \(data\.time\)"),
    ({"y": [1, 2]}, {"channels": ["x"]}, r"no column 'x' \(data\.channels\)"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "settings", "message"), WRONG)
def test_what_cannot_be_read_is_said_with_its_row(
    source: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(source, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"past": ["x"], "known": ["x"]}, r"data\.known: the column 'x' is in data\.past too"),
        ({"past": ["x", "x"]}, r"data\.past: the column 'x' is in data\.past too"),
        ({"channels": ["y", "x"], "past": ["x"]}, r"'x' is in data\.channels too"),
        # Told by their names alone, they would be read ahead of themselves.
        ({"known": ["y"]}, r"data\.known: the column 'y' is in data\.channels too"),
        ({"known": ["ds"]}, r"data\.known: the column 'ds' is in data\.time too"),
        ({"static": ["unique_id"]}, r"data\.static: the column 'unique_id' is in data\.id too"),
    ],
)
def test_a_column_is_one_thing(settings: dict[str, Any], message: str) -> None:
    columns = {"unique_id": [1, 1], "ds": [1, 2], "y": [1, 2], "x": [1, 2]}
    with pytest.raises(SettingError, match=message):
        read(columns, **settings)


def test_a_series_that_cannot_be_read_may_be_left_out() -> None:
    frame = frame_of("aaabbbccc", [1, 2, 3, 1, 2, 2, 1, 2, 3], s=[1, 1, 1, 1, 1, 1, 1, 2, 3])
    tracks = read(frame, on_error="skip")
    assert ([each.name for each in tracks.each], tracks.skipped) == (["a", "c"], 1)
    tracks = read(frame, on_error="skip", static=["s"])
    assert ([each.name for each in tracks.each], tracks.skipped) == (["a"], 2)
    with pytest.raises(DataError, match="twice"):
        read(frame[3:6], on_error="skip")


def test_the_part_of_a_series() -> None:
    frame = frame_of("aabb", [1, 2, 1, 2], split=["train", "train", "test", "test"])
    assert [each.part for each in read(frame, split="given").each] == ["training", "test"]
    with pytest.raises(DataError, match=r"row 1: .*'split', got 'train' and 'test'"):
        read(frame_of("aa", [1, 2], split=["train", "test"]), split="given")
    with pytest.raises(DataError, match=r"row 0: column 'split': .*'training'"):
        read(frame_of("aa", [1, 2], split=["trainin", "trainin"]), split="given")


@pytest.mark.parametrize("kind", ["pandas", "csv"])
def test_two_frequencies_are_told_with_the_series_and_their_rows(kind: str, tmp_path: Path) -> None:
    days = [str(np.datetime64("2024-01-01") + step) for step in range(6)]
    hours = [f"2024-01-01 {step:02d}:00" for step in range(8)]
    columns = {
        "unique_id": ["north"] * 6 + ["south"] * 8,
        "ds": days + hours,
        "y": np.arange(14.0).tolist(),
    }
    frame = pandas.DataFrame(columns).sample(frac=1, random_state=0).sort_values("ds")
    source, before, first = frame.reset_index(drop=True), "data: row ", 0
    if kind == "csv":
        source, before, first = written(columns, tmp_path), f"{tmp_path / 'series.csv'}: line ", 2
    ids = columns["unique_id"] if kind == "csv" else source["unique_id"].tolist()
    north, south = (first + ids.index(name) for name in ("north", "south"))
    with pytest.raises(DataError) as found:
        read(source)
    told = str(found.value)
    assert f"'D' in the series 'north' ({before}{north})" in told
    assert f"'h' in the series 'south' ({before}{south})" in told
    assert "series 0" not in told


def test_a_name_with_digits_is_no_row() -> None:
    columns = {"index 7": ["2024-01-01", "index 9", "2024-01-03"], "y": [1.0, 2.0, 3.0]}
    with pytest.raises(DataError, match="data: row 1: column 'index 7'"):
        read(pandas.DataFrame(columns), time="index 7")
