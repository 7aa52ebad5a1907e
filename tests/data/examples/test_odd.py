"""Sources that are not what they are taken for: told where they stand, with what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import lines, picture, pixels, sound, table

from recurra.data.examples import Example, Reading, open_examples
from recurra.errors import DataError

TS = "@problemName A\n@univariate true\n@classLabel true a b\n@data\n"


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


# ---- a series that is no table -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "x.wav",
            r"x\.wav: expected a table \(\.csv, .*\), this file ends in '\.wav'\. Say by inp",
        ),
        ("q.txt", r"q\.txt: expected a table"),
        ("folder", r"folder: expected a file, this is a folder"),
        ("nosuch.xyz", r"nosuch\.xyz: no such file"),
        ("nosuch.csv", r"nosuch\.csv: no such file"),
    ],
)
def test_a_series_file_that_is_no_table(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("x.wav", "q.txt"):
        (tmp_path / file).write_text("1,2\n")
    manifest = table(tmp_path / "t.csv", [("file", "label"), (name, "a")])
    with pytest.raises(DataError, match=said):
        read(manifest, input="series", column="file")
    with pytest.raises(DataError, match=said):
        read(([tmp_path / name] * 2, ["a", "b"]), input="series")


def test_a_file_of_one_case_is_a_series(tmp_path: Path) -> None:
    for name, cases in (("one.ts", "1,2,3:a\n"), ("two.ts", "1:a\n2:b\n")):
        (tmp_path / name).write_text(TS + cases)
    manifest = table(tmp_path / "t.csv", [("file", "label"), ("one.ts", "c")])
    for found in (read(manifest), read(([tmp_path / "one.ts"], ["c"]))):
        assert [(e.input.tolist(), e.target) for e in found] == [([[1], [2], [3]], "c")]
    with pytest.raises(DataError, match=r"two\.ts: expected one case.* are several\. Give the fi"):
        read(([tmp_path / "two.ts"], ["c"]))


# ---- files that are not there --------------------------------------------------------------------


def test_what_is_there_instead_of_a_file(tmp_path: Path) -> None:
    sound(tmp_path / "a b" / "1 .wav", np.zeros(9, np.float32))
    (tmp_path / "2.wav").mkdir()
    for name, said in (
        ("ab/1.wav", r"no such file; '.*/a b/1 \.wav' is there, a name with other blanks"),
        ("2.wav", r"line 2: .*/2\.wav: expected a file, this is a folder"),
        (" a b/3.wav", r"3\.wav: no such file\.$"),
    ):
        with pytest.raises(DataError, match=said):
            read(table(tmp_path / "t.csv", [("path", "label"), (name, "x")]))
    (tmp_path / " u.csv").write_text("text,label\na,b\n")
    with pytest.raises(
        DataError, match=r"u\.csv: no such file or folder .*; '.*/ u\.csv' is there"
    ):
        open_examples(tmp_path / "u.csv")


# ---- broken rows of a long table -----------------------------------------------------------------


def long(path: Path, rows: str) -> Path:
    path.write_text("who,x,label\nann,1,a\nann,2,a\n" + rows)
    return path


@pytest.mark.parametrize(
    ("rows", "kept", "named"),
    [
        ("bob,3\nbob,4,b\ncy,5,c\n", "ac", ["bob"]),  # the first row of one
        ("ann,3\nbob,4,b\ncy,5,c\n", "bc", ["ann"]),  # the last
        ("ann,3\nbob,3\nbob,4,b\ncy,5,c\n", "c", ["ann", "bob"]),
        ("3,b\nbob,4,b\ncy,5,c\n", "c", ["ann", "bob"]),  # of which, nobody knows
        ("bob,4,b\n3,b\nbob,5,b\ncy,5,c\n", "ac", ["bob"]),  # in the midst of one
        ("bob,4,b\ncy,5,c\ncy\n", "ab", ["cy"]),
    ],
)
def test_a_broken_row_leaves_its_own_sequence_out(
    rows: str, kept: str, named: list[str], tmp_path: Path
) -> None:
    source = long(tmp_path / "t.csv", rows)
    examples = open_examples(source, Reading(id="who", on_error="skip"))
    assert [e.target for e in examples] == list(kept)
    assert examples.skipped == len(named)
    for name, told in zip(named, examples.problems, strict=True):
        assert f"The sequence {name!r} ('who') is left out." in told


def test_broken_rows_before_the_first_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,label,who\n1,ann\n1,a,ann\n2,b,bob\n")
    examples = open_examples(tmp_path / "t.csv", Reading(id="who", on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["b"], 1)
    assert "line 2: expected 3 cells" in examples.problems[0]


# ---- NA of pandas --------------------------------------------------------------------------------


def frame(**columns: list[Any]) -> Any:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    return pandas.DataFrame(columns).convert_dtypes()


def test_na_is_missing_in_series() -> None:
    found = read(frame(id=[1, 1, 2], x=[1, None, 3], y=[0.5, 1.5, None]), id="id", label=None)
    np.testing.assert_array_equal(found[0].input, [[1, 0.5], [np.nan, 1.5]])
    np.testing.assert_array_equal(found[1].input, [[3, np.nan]])
    cells = frame(x=[1, None], y=[3, 4])
    for given, there in ((cells, [[1, 3], [np.nan, 4]]), (cells["x"], [[1], [np.nan]])):
        np.testing.assert_array_equal(read([given], label=None)[0].input, there)
    assert len(read(frame(who=[1, 1, 2], x=[1, 2, 3]), id="who", label=None)) == 2
    unlabeled = frame(id=[1, 1, 2], x=[1, 2, 3], label=[None, None, "b"])
    assert [e.target for e in read(unlabeled, id="id", unknown=True)] == [None, "b"]


def test_na_is_missing_in_texts_labels_and_inputs() -> None:
    given = frame(text=["a", None, "c"], label=[1, 2, None])
    assert [e.target for e in read(given[:1], unknown=True)] == ["1"]
    assert read(given[2:], unknown=True)[0].target is None
    with pytest.raises(DataError, match=r"example 1: expected text in 'text', got nothing"):
        read(given, unknown=True)
    with pytest.raises(DataError, match=r"example 0: expected a label in 'label' .*, got nothing"):
        read(given[2:])
    both = frame(a=[None, "x"], b=["y", None], label=["k", "l"])
    expected = [{"a": None, "b": "y"}, {"a": "x", "b": None}]
    assert [e.input for e in read(both, inputs={"a": "a", "b": "b"})] == expected
    pair = ({"a": list(both["a"]), "b": list(both["b"])}, list(both["label"]))
    assert [e.input for e in read(pair)] == expected


@pytest.mark.parametrize("kind", ["complex64", "timedelta64[s]", "datetime64[s]"])
def test_numbers_that_are_none_of_a_series(kind: str) -> None:
    with pytest.raises(DataError, match=rf"example 0: expected numbers, .* of {kind[:7]}"):
        read([np.ones((2, 1)).astype(np.int64).astype(kind)], label=None)
    columns = {"id": [1, 1], "x": np.ones(2, np.int64).astype(kind)}
    with pytest.raises(DataError, match="column 'x': expected a number, got"):
        read(columns, id="id", label=None)


# ---- tables without settings, or with the wrong ones ---------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"id": "who"}, {"input": "series"}, {"input": "series", "label": None}],
    ids=str,
)
def test_cells_with_another_separator_between_them(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    source = table(tmp_path / "t.csv", [("who", "text", "label"), (1, 2, 3)], ";")
    with pytest.raises(DataError, match=r"data\.separator=\";\"") as told:
        read(source, **settings)
    assert "--set" not in str(told.value)


def test_a_long_table_without_settings_names_its_id(tmp_path: Path) -> None:
    rows = [("id", "time", "x", "label"), (1, 0, 1, "a"), (1, 1, 2, "a"), (2, 0, 3, "b")]
    source = table(tmp_path / "t.csv", rows)
    named = {name: [row[n] for row in rows[1:]] for n, name in enumerate(rows[0])}
    for given in (source, named):
        with pytest.raises(DataError, match=r"no column 'text' .*'id'.*--set data\.id=id"):
            read(given)
    with pytest.raises(DataError, match=r"line 4: column 'time': .* ascend.*by data\.id"):
        read(source, input="series")
    texts = table(tmp_path / "u.csv", [("id", "body", "label"), (1, "words", "a")])
    with pytest.raises(DataError, match=r"no column 'text' \(data\.column\); .*data\.column=NAME"):
        read(texts)


@pytest.mark.parametrize("name", ["Date", "TIME", "ds", "Timestamp"])
def test_columns_of_time(name: str, tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [(name, "x"), ("2024-01-31", 1), ("2024-02-01", 2)])
    examples = open_examples(source, Reading(input="series", label=None))
    assert ([e.input.tolist() for e in examples], examples.channels) == ([[[1], [2]]], ("x",))


@pytest.mark.parametrize("cell", ["2024-01-31", "31.01.2024", "2024-01-31 12:00"])
def test_a_date_where_a_number_is_expected(cell: str, tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [("when", "x"), (cell, 1)])
    with pytest.raises(DataError, match=rf"column 'when': expected a number, got '{cell}'.*data"):
        read(source, input="series", label=None, rows="steps")


@pytest.mark.parametrize("first", ["runs", ".", "/", "node.ts", "t.csv", "a" * 300])
def test_texts_that_are_names_too(first: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    source = table(tmp_path / "t.csv", [("text", "label"), (first, "a"), ("some words", "b")])
    assert [e.input for e in read(source)] == [first, "some words"]
    if len(first) < 300:  # nothing but names
        table(source, [("text", "label"), (first, "a")])
        with pytest.raises(DataError, match=r"If these are texts, say data\.input=text\."):
            read(source)
    assert read(source, input="text")[0].input == first


# ---- odd files and labels ------------------------------------------------------------------------


def test_hidden_files_are_no_frames(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "v" / "0.png", pixels(2, 2))
    for hidden in (tmp_path / "a" / "v" / "._0.png", tmp_path / "._1.png"):
        hidden.write_bytes(b"Mac")
    assert [e.input.shape for e in read(tmp_path, input="video", label=None)] == [(1, 2, 2)]


@pytest.mark.parametrize("blank", ["", " ", None, float("nan")])
def test_a_blank_label_among_several(blank: Any) -> None:
    said = r"example 0: number 2 of 3: expected a label in its place, got nothing"
    with pytest.raises(DataError, match=said):
        read((["a b"], [["x", blank, "y"]]))


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        ([0.0, 2e4], 8000, "expected samples from -1 to 1, got an amplitude of 2e.04"),
        (
            [0.0, 0.5],
            2**31 - 1,
            "expected from 1 to 10,000,000 samples a second, got 2,147,4",
        ),
    ],
)
def test_a_sound_beyond_any(samples: list[float], rate: int, said: str, tmp_path: Path) -> None:
    library = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
    library.write(tmp_path / "a.wav", np.array(samples), rate, subtype="FLOAT")
    source = table(tmp_path / "t.csv", [("path", "label"), ("a.wav", "x")])
    with pytest.raises(DataError, match=rf"a\.wav: {said}"):
        read(source)
    with pytest.raises(DataError, match=rf"example 0: {said}"):
        read(([(np.array(samples), rate)], ["x"]), input="sound")


@pytest.mark.parametrize("missing", ["id", "x", "label", "time"])
def test_a_line_of_json_without_a_column(missing: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": n // 2, "time": n, "x": n, "label": "abc"[n // 2]} for n in range(6)
    ]
    del rows[3][missing]
    source = lines(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match=rf"line 4: no column '{missing}'"):
        read(source, id="id")
    examples = open_examples(source, Reading(id="id", on_error="skip"))
    assert [e.target for e in examples] == (["a"] if missing == "id" else ["a", "c"])
    if missing == "x":
        with pytest.raises(DataError, match="line 4: no column 'x'"):
            read(source, input="series", rows="sequences")
