"""Sources that are not what they are taken for: told where they stand, with what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import sound, table

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
