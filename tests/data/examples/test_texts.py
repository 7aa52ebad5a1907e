"""The same texts and classes from every kind of source, and what is wrong with one, said where."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from recurra.data.examples import Reading, open_examples
from recurra.errors import DataError, SettingError

PAIRS = [("a fine film", "good"), ("dull, dull", "bad"), ("fine", "good")]


def pairs(source: Any, **settings: Any) -> list[tuple[str, str]]:
    return [(e.input, e.target) for e in open_examples(source, Reading(**settings))]


def table(path: Path, rows: list[Any], separator: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def test_tables(tmp_path: Path) -> None:
    rows = [("text", "label"), *PAIRS]
    assert pairs(table(tmp_path / "a.csv", rows)) == PAIRS
    assert pairs(table(tmp_path / "a.tsv", rows, "\t")) == PAIRS
    assert pairs(table(tmp_path / "b.csv", rows, ";"), separator=";") == PAIRS
    named = table(tmp_path / "c.csv", [("stars", "said"), *(p[::-1] for p in PAIRS)])
    assert pairs(named, column="said", label="stars") == PAIRS
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in PAIRS))
    assert pairs(lines) == PAIRS


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    texts, labels = zip(*PAIRS, strict=True)
    made = arrow.table({"text": list(texts), "label": list(labels)})
    pytest.importorskip("pyarrow.parquet").write_table(made, tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet") == PAIRS


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for number, (text, label) in enumerate(PAIRS):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.txt").write_text(text + "\nmore")
    assert sorted(pairs(tmp_path)) == sorted((f"{t}\nmore", k) for t, k in PAIRS)
    lines = [pair for t, k in PAIRS for pair in ((t, k), ("more", k))]
    assert sorted(pairs(tmp_path, unit="line")) == sorted(lines)


@pytest.mark.parametrize("names", [("bad.txt", "good.txt"), ("rt.bad", "rt.good")])
def test_a_file_for_each_class(names: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / names[0]).write_bytes(b"dull, dull\n\n")
    (tmp_path / names[1]).write_bytes("a fine film\nfiné\n".encode("latin-1"))
    found = open_examples(tmp_path, Reading(pattern="*", encoding="latin-1"))
    assert [(e.input, e.target) for e in found] == [
        ("dull, dull", "bad"),
        ("a fine film", "good"),
        ("finé", "good"),
    ]
    assert list(found)[2].place.endswith(f"{names[1]}: line 2")
    assert found.blank == 1


class Frame:
    """A data frame as far as it is looked at: columns by name."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]


def test_python() -> None:
    texts, labels = map(list, zip(*PAIRS, strict=True))
    assert pairs((texts, labels)) == PAIRS
    assert pairs({"text": texts, "label": labels, "more": []}) == PAIRS
    assert pairs(Frame({"said": texts, "label": labels}), column="said") == PAIRS
    found = pairs((texts, [1, True, "x"]))
    assert [label for _, label in found] == ["1", "True", "x"]
    parts = open_examples({"train": (texts, labels), "test": (["new"], ["bad"])}, Reading())
    assert [e.part for e in parts] == ["training"] * 3 + ["test"]


def test_a_lazy_frame_is_told_what_to_do() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(DataError, match=r"LazyFrame\. .*\.collect\(\)"):
        pairs(polars.DataFrame({"text": ["a"], "label": ["b"]}).lazy())


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library: str) -> None:
    texts, labels = map(list, zip(*PAIRS, strict=True))
    frame = pytest.importorskip(library).DataFrame({"text": texts, "label": labels})
    assert pairs(frame) == PAIRS


def test_parts_that_are_given(tmp_path: Path) -> None:
    rows = [("text", "label"), *PAIRS]
    for name in ("train-00000", "dev", "test"):
        table(tmp_path / f"{name}.csv", rows)
    found = open_examples(tmp_path, Reading(pattern="*.csv", split="given"))
    assert [e.part for e in found] == ["validation"] * 3 + ["test"] * 3 + ["training"] * 3
    folders = tmp_path / "folders"
    for part in ("train", "test"):
        for label in ("good", "bad"):
            (folders / part / label).mkdir(parents=True)
            (folders / part / label / "0.txt").write_text(f"{part} {label}")
    found = open_examples(folders, Reading(split="given"))
    assert sorted((e.input, e.target, e.part) for e in found) == [
        ("test bad", "bad", "test"),
        ("test good", "good", "test"),
        ("train bad", "bad", "training"),
        ("train good", "good", "training"),
    ]
    table(tmp_path / "more.csv", rows)
    with pytest.raises(DataError, match=r"more.csv: expected .* named train, validation or test"):
        open_examples(tmp_path, Reading(pattern="*.csv", split="given"))


def test_what_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [("text", "labels"), *PAIRS]
    with pytest.raises(DataError, match=r"a.csv: line 2: no column 'label' .* mean 'labels'"):
        pairs(table(tmp_path / "a.csv", rows))
    rows = [("text", "label"), PAIRS[0], ("dull", "")]
    with pytest.raises(DataError, match=r"a.csv: line 3: expected a label .* got nothing"):
        pairs(table(tmp_path / "a.csv", rows))
    with pytest.raises(DataError, match=r"a.csv: no column 'body' \(data.column\)"):
        pairs(tmp_path / "a.csv", column="body")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match="text without labels"):
        pairs(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"no column 'label'.*mean 'labels'"):
        pairs({"text": [], "labels": []})
    with pytest.raises(DataError, match="2 text inputs and 1 labels"):
        pairs((["a", "b"], ["x"]))
    for nothing in (None, float("nan"), " "):
        with pytest.raises(DataError, match="example 1: expected a label in its place, got noth"):
            pairs((["a", "b"], ["x", nothing]))
    with pytest.raises(DataError, match="example 0: expected a text, got 7"):
        pairs(([7], ["x"]))
    with pytest.raises(DataError, match="expected examples, found none"):
        pairs(([" "], ["x"]))
    with pytest.raises(DataError, match=r"a pair of lists .* got list"):
        pairs(["a", "b"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "good.txt").write_text("fine")
    with pytest.raises(SettingError, match="column and fields"):
        pairs(tmp_path / "b", column="said")


def test_blank_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = ["fine", "", "  ", "dull"]
    found = open_examples((texts, ["a", "b", "b", "b"]), Reading())
    assert ([e.input for e in found], found.blank) == (["fine", "dull"], 2)
    path = table(tmp_path / "a.csv", [("text", "label"), *((t, "a") for t in texts)])
    found = open_examples(path, Reading())
    assert ([e.input for e in found], found.blank) == (["fine", "dull"], 2)
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.txt").write_text("fine")
    (tmp_path / "bad" / "1.txt").write_text("")
    found = open_examples(tmp_path, Reading())
    assert (len(list(found)), found.blank) == (2, 1)


def test_texts_without_labels(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo")
    (tmp_path / "b.txt").write_text("three")
    folder = open_examples(tmp_path, Reading(label=None))
    assert [(e.input, e.target) for e in folder] == [("one\ntwo", None), ("three", None)]
    file = open_examples(tmp_path / "a.txt", Reading(label=None))
    assert [(e.input, e.target) for e in file] == [("one", None), ("two", None)]


def test_texts_that_are_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_bytes(b"fine\nb\xe9\n\nbetter")
    (tmp_path / "bad.txt").write_bytes(b"dull")
    with pytest.raises(DataError, match=r"good.txt: line 2, byte 6 \(0xe9\) is not utf-8"):
        pairs(tmp_path)
    found = open_examples(tmp_path, Reading(on_error="skip"))
    assert [(e.input, e.target) for e in found] == [
        ("dull", "bad"),
        ("fine", "good"),
        ("better", "good"),
    ]
    assert (found.skipped, found.blank) == (1, 1)
    assert list(found)[-1].place.endswith("good.txt: line 4")
    whole = open_examples(tmp_path, Reading(on_error="skip", unit="file"))
    assert ([e.input for e in whole], whole.skipped) == (["dull"], 1)
    (tmp_path / "bad.txt").write_bytes(b"nul \0\n" + b"text " * 100)
    assert pairs(tmp_path, nul=True, encoding="latin-1")[0] == ("nul \0", "bad")


def test_what_systems_leave_in_folders_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("fine")
    (tmp_path / "._good.txt").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    assert pairs(tmp_path) == [("fine", "good")]
