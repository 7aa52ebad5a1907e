"""Series in tables: a row for each step, a row for each sequence, a file for each sequence."""

from __future__ import annotations

import datetime
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import lines, table

from recurra.data.examples import Example, Reading, open_examples
from recurra.errors import DataError, SettingError

NAN = np.nan


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


# ---- long ----------------------------------------------------------------------------------------

LONG = [
    ("who", "seconds", "x", "y", "label", "split"),
    ("ann", 0, 1, 2, "a", "train"),
    ("ann", 0.5, 3, "", "a", "train"),
    ("bob", 0, 5, 6, "b", "test"),
]
LONG_SETTINGS: dict[str, Any] = {"id": "who", "time": "seconds", "split": "given"}


def test_long_tables(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", LONG)
    examples = open_examples(source, Reading(**LONG_SETTINGS, group="who"))
    assert (examples.kinds, examples.channels) == ({"input": "series"}, ("x", "y"))
    ann, bob = examples
    np.testing.assert_array_equal(ann.input, np.array([[1, 2], [3, NAN]], np.float32))
    assert ann.input.dtype == np.float32
    assert ann[1:5] == ("a", f"{source}: line 2", "training", "ann")
    assert ann.stamps == ("0", "0.5")
    assert bob.input.tolist() == [[5, 6]]
    assert bob[1:5] == ("b", f"{source}: line 4", "test", "bob")
    chosen = open_examples(source, Reading(**LONG_SETTINGS, channels=("y", "x")))
    assert chosen.channels == ("y", "x")
    assert next(iter(chosen)).input[0].tolist() == [2, 1]


def test_long_tables_of_other_kinds(tmp_path: Path) -> None:
    named = [dict(zip(LONG[0], row, strict=True)) for row in LONG[1:]]
    named[1]["y"] = None
    expected = read(table(tmp_path / "t.csv", LONG), **LONG_SETTINGS)
    sources = [lines(tmp_path / "t.jsonl", named)]
    arrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    pytest.importorskip("pyarrow.parquet").write_table(
        arrow.Table.from_pylist(named), tmp_path / "t.parquet"
    )
    sources.append(tmp_path / "t.parquet")
    for source in sources:
        found = read(source, **LONG_SETTINGS)
        assert [(e.target, e.part) for e in found] == [(e.target, e.part) for e in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.input, other.input)


def test_labels_of_steps(tmp_path: Path) -> None:
    rows = [("id", "x", "label"), (1, 1, "up"), (1, 2, "down"), (2, 3, "up")]
    source = table(tmp_path / "t.csv", rows)
    assert [e.target for e in read(source, id="id", steps=True)] == [("up", "down"), ("up",)]
    with pytest.raises(DataError, match=r"line 3: expected one label .* 'up' and 'down'\. .*steps"):
        read(source, id="id")
    assert [e.target for e in read(source, id="id", label=None, channels=("x",))] == [None, None]


def test_dates_are_time(tmp_path: Path) -> None:
    rows = [("id", "date", "x"), (1, "2024-01-31", 1), (1, "2024-01-31T00:30:00Z", 2)]
    found = read(table(tmp_path / "t.csv", rows), id="id", label=None)
    assert found[0].input.tolist() == [[1], [2]]
    days = [datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 0, 30), "2024-01-31T01:00"]
    named = {"id": [1, 1, 1], "date": days, "x": [1, 2, 3]}
    assert read(named, id="id", label=None)[0].input.tolist() == [[1], [2], [3]]
    named["date"] = [days[1], days[0], days[2]]
    with pytest.raises(DataError, match="example 1: column 'date': expected time stamps that asc"):
        read(named, id="id", label=None)
    rows.append((1, "2024-01-31 00:15", 3))
    with pytest.raises(DataError, match=r"line 4: column 'date': .* '2024-01-31 00:15' comes aft"):
        read(table(tmp_path / "u.csv", rows), id="id", label=None)
    rows[3] = (1, "soon", 3)
    with pytest.raises(DataError, match=r"line 4: column 'date': expected a time stamp, .* 'soon'"):
        read(table(tmp_path / "v.csv", rows), id="id", label=None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            ("ann", 0.25, 1, 1, "a", "train"),
            "line 4: column 'seconds': .* '0.25' comes after '0",
        ),
        (("ann", 0.5, 1, 1, "a", "train"), "line 4: column 'seconds': .* '0.5' is there twice"),
        (("ann", "", 1, 1, "a", "train"), "line 4: column 'seconds': expected a time stamp"),
        (("ann", 1, "one", 1, "a", "train"), "line 4: column 'x': expected a number, got 'one'"),
        (("ann", 1, "1_0", 1, "a", "train"), "line 4: column 'x': expected a number, got '1_0'"),
        (("ann", 1, "-inf", 1, "a", "train"), "line 4: column 'x': expected a finite num.*'-inf'"),
        (("ann", 1, "1e39", 1, "a", "train"), "line 4: column 'x': .* fits into 32 bits, .*'1e39'"),
        (("ann", 1, 1, 1, "b", "train"), "line 4: expected one label .* got 'a' and 'b'"),
        (("ann", 1, 1, 1, "a", "test"), "line 4: expected one value .* 'split', got 'train' and"),
        (("ann", 1, 1), "line 4: expected 6 cells as in the first row, got 3"),
    ],
)
def test_a_sequence_that_is_wrong(row: tuple[Any, ...], said: str, tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [*LONG[:3], row, *LONG[3:]])
    with pytest.raises(DataError, match=said):
        read(source, **LONG_SETTINGS)
    examples = open_examples(source, Reading(**LONG_SETTINGS, on_error="skip"))
    assert [e.target for e in examples] == ["b"]
    assert examples.skipped == 1
    with pytest.raises(DataError, match=said):
        raise DataError(examples.problems[0])


def test_rows_of_a_sequence_stand_together(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [*LONG, ("ann", 9, 1, 1, "a", "train")])
    said = r"line 5: expected the rows of each sequence together, 'ann' \('who'\) was there"
    with pytest.raises(DataError, match=said):
        read(source, **LONG_SETTINGS)
    examples = open_examples(source, Reading(**LONG_SETTINGS, on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (2, 1)


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", LONG)
    for setting, name in (("id", "whom"), ("time", "second"), ("label", "labels")):
        with pytest.raises(DataError, match=rf"no column '{name}' \(data\.{setting}\); did you"):
            read(source, **{**LONG_SETTINGS, setting: name})
    with pytest.raises(DataError, match=r"no column 'z' \(data\.channels\)"):
        read(source, **LONG_SETTINGS, channels=("x", "z"))


# ---- wide ----------------------------------------------------------------------------------------


def test_wide_tables(tmp_path: Path) -> None:
    rows = [("label", "1", "2", "3"), ("a", 1, 2, 3), ("b", 4, "", 6), ("a", 7, "?", "NaN")]
    source = table(tmp_path / "t.csv", [*rows, ("b", "", "", "")])
    examples = open_examples(source, Reading(input="series"))
    found = list(examples)
    assert (examples.channels, examples.blank) == (("value",), 1)
    assert [e.target for e in found] == ["a", "b", "a"]
    assert [e.input.shape for e in found] == [(3, 1), (3, 1), (1, 1)]
    np.testing.assert_array_equal(found[1].input[:, 0], np.array([4, NAN, 6], np.float32))


def test_wide_tables_without_a_header(tmp_path: Path) -> None:
    source = table(tmp_path / "t.tsv", [(1, 0.5, 2), (-1, 3, 4)], "\t")
    found = read(source, input="series", label="0")
    assert [(e.target, e.input[:, 0].tolist()) for e in found] == [("1", [0.5, 2]), ("-1", [3, 4])]


def test_wide_tables_of_several_channels(tmp_path: Path) -> None:
    rows = [("y_0", "y_1", "x_0", "x_1", "x", "label"), (1, 2, 3, 4, 9, "a")]
    source = table(tmp_path / "t.csv", rows)
    examples = open_examples(source, Reading(input="series", channels=("x", "y")))
    assert examples.channels == ("x", "y")
    assert next(iter(examples)).input.tolist() == [[3, 1], [4, 2]]
    with pytest.raises(DataError, match=r"as many columns of each ch.* 0 of 'z' and 2 of 'x'"):
        read(source, input="series", channels=("x", "z"))
    uneven = table(tmp_path / "u.csv", [("y_0", "x_0", "x_1", "label"), (1, 2, 3, "a")])
    with pytest.raises(DataError, match="got 1 of 'y' and 2 of 'x'"):
        read(uneven, input="series", channels=("x", "y"))


def test_a_cell_of_a_wide_table_that_is_no_number(tmp_path: Path) -> None:
    rows = [("label", "t0", "t1"), ("a", 1, "x"), ("b", 1, "inf"), ("c", 1, 2), ("", 1, 2)]
    source = table(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match="line 2: column 't1': expected a number, got 'x'"):
        read(source, input="series")
    examples = open_examples(source, Reading(input="series", on_error="skip"))
    assert [e.target for e in examples] == ["c"]
    assert examples.skipped == 3
    assert "line 3: column 't1': expected a finite number" in examples.problems[1]
    assert "line 5: expected a label in 'label'" in examples.problems[2]


def test_what_a_row_is_can_be_said(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [("x", "y"), (1, 2), (3, 4)])
    assert len(read(source, input="series", label=None)) == 2
    examples = open_examples(source, Reading(input="series", label=None, rows="steps"))
    assert ([e.input.tolist() for e in examples], examples.channels) == (
        [[[1, 2], [3, 4]]],
        ("x", "y"),
    )
    timed = table(tmp_path / "u.csv", [("time", "y"), (1, 2), (3, 4)])
    assert [e.input.tolist() for e in read(timed, input="series", label=None)] == [[[2], [4]]]
    assert len(read(timed, input="series", label=None, rows="sequences")) == 2
    with pytest.raises(SettingError, match="id: rows that are sequences belong to none"):
        Reading(rows="sequences", id="x")


# ---- a file for each -----------------------------------------------------------------------------


def test_a_file_for_each_sequence_in_a_folder_for_each_label(tmp_path: Path) -> None:
    for label, start in (("walk", 0), ("run", 10)):
        table(tmp_path / label / "1.csv", [("time", "x", "y"), (0, start, 1), (1, start + 1, 2)])
    examples = open_examples(tmp_path)
    assert examples.channels == ("x", "y")
    assert [(e.target, e.input.tolist()) for e in examples] == [
        ("run", [[10, 1], [11, 2]]),
        ("walk", [[0, 1], [1, 2]]),
    ]


@pytest.mark.parametrize(
    "comment", ["# Columns: time,x,y", "#time, x, y", "# Columns time,x,y", "#  columns:time,x,y"]
)
def test_comments_name_the_columns(comment: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.csv").write_text(f"# Task: a\n{comment}\n# Hz: 20\n0,1,2\n\n1,3,4\n")
    examples = open_examples(tmp_path)
    assert examples.channels == ("x", "y")
    assert next(iter(examples)).input.tolist() == [[1, 2], [3, 4]]


def test_other_channels_than_in_the_first_file(tmp_path: Path) -> None:
    table(tmp_path / "a/1.csv", [("x", "y"), (1, 2)])
    table(tmp_path / "b/1.csv", [("x", "z"), (1, 2)])
    table(tmp_path / "c/1.csv", [("x",), (1,)])
    with pytest.raises(DataError, match=r"b/1.csv: expected the channels x, y as in .* got x, z"):
        read(tmp_path)
    examples = open_examples(tmp_path, Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a"], 2)
    for each in ("a", "b"):
        table(tmp_path / each / "1.csv", [(1, 2)] if each == "a" else [(1, 2, 3)])
    with pytest.raises(DataError, match=r"expected the channels 0, 1 as .* got 0, 1, 2"):
        read(tmp_path)


def beside(folder: Path, rows: list[tuple[Any, ...]]) -> Path:
    for number in (3, 12):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / f"RSS_2x_{number}.csv").write_text(f"#a, b\n{number},0\n")
    table(folder / "data/target.csv", rows)
    return folder / "data"


@pytest.mark.parametrize("key", ["{}", "RSS_2x_{}", "RSS_2x_{}.csv"])
def test_labels_in_a_table_beside_the_files(key: str, tmp_path: Path) -> None:
    rows = [("#id", " class"), *((key.format(n), label) for n, label in ((12, 1), (3, -1)))]
    folder = beside(tmp_path, rows)
    examples = open_examples(folder, Reading(labels="target.csv"))
    assert examples.channels == ("a", "b")
    assert [(e.input.tolist(), e.target) for e in examples] == [([[12, 0]], "1"), ([[3, 0]], "-1")]
    alone = read(folder / "RSS_2x_3.csv", labels="target.csv", input="series", rows="steps")
    assert [e.target for e in alone] == ["-1"]
    if key == "{}":
        inner = read(tmp_path, labels="data/target.csv", label_from=r"x_(?P<id>\d+)")
        assert [e.target for e in inner] == ["1", "-1"]


def test_the_table_beside_the_files_is_wrong(tmp_path: Path) -> None:
    how = Reading(labels="target.csv")
    with pytest.raises(DataError, match=r"t.csv: no such file"):
        open_examples(beside(tmp_path, [("id", "label")]), Reading(labels="t.csv"))
    with pytest.raises(DataError, match=r"target.csv: expected rows of labels, found none"):
        open_examples(beside(tmp_path, [("id", "label")]), how)
    twice = [("id", "label"), (3, "a"), (12, "b"), (3, "a")]
    with pytest.raises(DataError, match=r"target.csv: line 4: expected each file once, '3' is in"):
        open_examples(beside(tmp_path, twice), how)
    with pytest.raises(DataError, match=r"line 2: no column 'label' \(data\.label\); Known: cla"):
        open_examples(beside(tmp_path, [("id", "class", "room"), (3, "a", "")]), how)
    others = beside(tmp_path, [("id", "label"), (2, "z"), (3, "a"), (12, "b")])
    examples = open_examples(others, Reading(labels="target.csv", on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["b", "a"], 1)
    few = beside(tmp_path, [("id", "label"), (3, "a"), (7, "b")])
    with pytest.raises(DataError, match=r"RSS_2x_12.csv: expected a row for it in .*target.csv"):
        list(open_examples(few, how))
    examples = open_examples(few, Reading(labels="target.csv", on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a"], 2)
    assert "target.csv: line 3: expected a file for '7'" in examples.problems[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n", r"expected rows of numbers, found none"),
        ("", r"expected rows of numbers, found none"),
        ("time,x\n0,1\n2,2\n1,3\n", "line 4: column 'time': expected time stamps that ascend"),
        ("x,y\n1,2\n1\n", "line 3: expected 2 cells as in the first row, got 1"),
        ("x,x\n1,2\n", "each column once, 'x' is there 2 times"),
        ("x,y\n1,b\n", "line 2: column 'y': expected a number, got 'b'"),
        ("time\n1\n", "line 2: expected a column for each channel, found none"),
    ],
)
def test_a_file_that_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    for label in ("a", "b"):
        table(tmp_path / label / "1.csv", [("time", "x"), (1, 2)])
    (tmp_path / "a" / "2.csv").write_text(text)
    with pytest.raises(DataError, match=rf"a/2.csv: (.*{said})"):
        read(tmp_path)
    examples = open_examples(tmp_path, Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a", "b"], 1)


# ---- many rows at once ---------------------------------------------------------------------------


def drawn_rows(odd: dict[int, list[Any]]) -> list[list[Any]]:
    """Many rows of two channels, some with missing values and some of fewer steps."""
    drawn = np.random.default_rng(5)
    rows: list[list[Any]] = []
    for number in range(400):
        values: list[Any] = [f"{x:.5g}" for x in drawn.normal(0, 1e3, 12)]
        for missing in drawn.integers(0, 12, number % 3):
            values[missing] = ("", "NaN", "NA", "?", "null", "N/a")[number % 6]
        if number % 5 == 0:
            values[8:12] = [""] * 4
        rows.append(odd.get(number, ["ab"[number % 2], *values, ("NA", "null", "g")[number % 3]]))
    return rows


NAMES = ["label", *(f"{name}{step}" for step in range(6) for name in "xy"), "who"]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {250: ["a", "one", *["1"] * 11, "g"]},
        {250: ["a", *["1"] * 3]},
        {250: ["a", "inf", *["1"] * 11, "g"]},
        {250: ["", *["1"] * 12, "g"]},
        {250: ["a, b", *["1"] * 12, "g"]},
        {250: ["a", *["1_0"] * 12, "g"]},
        {250: ["#", *["1"] * 12, "g"]},
        {250: []},
    ],
    ids=str,
)
def test_many_rows_at_once_are_rows_one_by_one(
    odd: dict[int, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    wide = import_module("recurra.data.examples.wide")
    source = table(tmp_path / "t.csv", [NAMES, *drawn_rows(odd)])
    monkeypatch.setattr("recurra.data.readers._CHUNK", 5000)  # several blocks
    how = Reading(input="series", channels=("x", "y"), group="who", on_error="skip")
    tables: list[bool] = []
    plain = wide._Blocks._table
    monkeypatch.setattr(
        wide._Blocks, "_table", lambda *given: (tables.append(True), plain(*given))[1]
    )
    at_once = open_examples(source, how)
    found = list(at_once)
    assert len(tables) > 3
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    one_by_one = open_examples(source, how)
    expected = list(one_by_one)
    assert len(found) >= 399
    assert (at_once.skipped, at_once.problems) == (one_by_one.skipped, one_by_one.problems)
    counted = odd and odd[250] and odd[250][0] not in ("a, b", "#")
    assert at_once.skipped == (1 if counted else 0)
    assert [e[1:] for e in found] == [e[1:] for e in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.input.dtype == other.input.dtype == np.float32
        np.testing.assert_array_equal(one.input, other.input)


def test_bytes_that_are_no_text_among_many_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [NAMES, *drawn_rows({250: ["\xe9", *["1"] * 12, "g"]})])
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    examples = open_examples(path, Reading(input="series", channels=("x",), on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (399, 1)
    assert "line 252, its byte 0 (0xe9) is not utf-8" in examples.problems[0]
    with pytest.raises(DataError, match=r"line 252, byte \d+ \(0xe9\) is not utf-8"):
        read(path, input="series", channels=("x",))
