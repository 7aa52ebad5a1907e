"""Series in the format of sktime: what the header says is held against the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.examples import Example, Reading, open_examples
from recurra.errors import DataError

HEADER = """# made up
#
@problemName Odd
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""


def ts(path: Path, cases: str, **changes: str | None) -> Path:
    """A file; of the header lines change, or go."""
    kept = []
    for line in HEADER.splitlines():
        name = line.split()[0].removeprefix("@")
        if name not in changes:
            kept.append(line)
        elif changes[name] is not None:
            kept.append(f"@{name} {changes[name]}")
    extra = [f"@{n} {v}" for n, v in changes.items() if n not in HEADER and v is not None]
    path.write_text("\n".join([*kept[:-1], *extra, kept[-1]]) + "\n" + cases)
    return path


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


CASES = "1,2,3:4,?,-6.5e-1:up\n\n# a comment\n 7 : 8 :down\n"


def test_cases_of_several_lengths(tmp_path: Path) -> None:
    path = ts(tmp_path / "a.ts", CASES)
    examples = open_examples(path)
    assert (examples.kinds, examples.channels) == ({"input": "series"}, ("0", "1"))
    one, other = examples
    np.testing.assert_array_equal(
        one.input, np.array([[1, 4], [2, np.nan], [3, -0.65]], np.float32)
    )
    assert one.input.dtype == np.float32
    assert (other.input.tolist(), other.target) == ([[7, 8]], "down")
    assert [e.place for e in (one, other)] == [f"{path}: line 11", f"{path}: line 14"]
    assert open_examples(path, Reading(channels=("x", "y"))).channels == ("x", "y")
    assert [e.target for e in read(path, label=None)] == [None, None]


def test_one_dimension_and_no_class(tmp_path: Path) -> None:
    one = ts(tmp_path / "a.ts", "1,2:up\n3:down\n", univariate="true", dimensions=None)
    assert [e.input.shape for e in read(one)] == [(2, 1), (1, 1)]
    none = ts(tmp_path / "b.ts", "1,2:3,4\n", classLabel="false")
    assert [e.input.tolist() for e in read(none, label=None)] == [[[1, 3], [2, 4]]]
    with pytest.raises(DataError, match=r"b.ts: expected classes, @classLabel says there are none"):
        read(none)
    target = ts(tmp_path / "c.ts", "1,2:3,4:0.5\n", classLabel=None, targetLabel="true")
    with pytest.raises(DataError, match=r"c.ts: expected classes .* numbers to predict"):
        read(target)
    assert [e.input.tolist() for e in read(target, label=None)] == [[[1, 3], [2, 4]]]
    untold = ts(tmp_path / "e.ts", CASES, missing=None)
    assert len(read(untold)) == 2
    counted = ts(tmp_path / "d.ts", CASES, dimensions=None)
    assert len(open_examples(counted).channels) == 2


def test_parts_by_names_of_files(tmp_path: Path) -> None:
    for name in ("Odd_TRAIN.ts", "Odd_TEST.ts"):
        ts(tmp_path / name, CASES)
    parts = [e.part for e in read(tmp_path, split="given")]
    assert parts == ["test", "test", "training", "training"]
    assert {e.part for e in read(tmp_path)} == {None}
    by_part = read({"train": tmp_path / "Odd_TRAIN.ts", "test": str(tmp_path / "Odd_TEST.ts")})
    assert [e.part for e in by_part] == ["training", "training", "test", "test"]
    ts(tmp_path / "Odd_MORE.ts", CASES)
    with pytest.raises(DataError, match=r"Odd_MORE.ts: expected a file or folder named train"):
        read(tmp_path, split="given")
    ts(tmp_path / "Odd_MORE.ts", "1:up\n", dimensions="1")
    with pytest.raises(DataError, match=r"expected the channels 0 as in .*MORE.ts, got 0, 1"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("case", "changes", "said"),
    [
        ("1,2:up", {}, "expected 2 dimensions and a class, got 1"),
        ("1:2:3:up", {}, "expected 2 dimensions and a class, got 3"),
        (
            "1,2:3:up",
            {},
            "expected as many steps in each dimension, got 2 in dimension 0 and 1 in dimen",
        ),
        ("1,2:3,x:up", {}, "dimension 1, step 1: expected a number, got 'x'"),
        ("1,2:3,inf:up", {}, "dimension 1, step 1: expected a finite number"),
        ("1,2:3,4:left", {}, "expected a class that @classLabel names, got 'left'"),
        ("1,2:3,4:", {}, "expected a class that @classLabel names, got ''"),
        ("1,?:3,4:up", {"missing": "false"}, r"expected no missing values, as @missing says"),
        (
            "1,2:3,4:up",
            {"equalLength": "true", "seriesLength": "1"},
            "expected 1 steps, as @seriesLength says, got 2",
        ),
    ],
)
def test_a_case_that_is_wrong(
    case: str, changes: dict[str, str], said: str, tmp_path: Path
) -> None:
    path = ts(tmp_path / "a.ts", f"7:8:down\n{case}\n9:0:up\n", **changes)
    number = path.read_text().splitlines().index(case) + 1
    with pytest.raises(
        DataError, match=rf"a.ts: line {number}: {said}|a.ts: line {number}, {said}"
    ):
        read(path)
    examples = open_examples(path, Reading(on_error="skip"))
    assert [e.target for e in examples] == ["down", "up"]
    assert examples.skipped == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timeStamps": "true"}, "cases with time stamps"),
        ({"univariate": "true"}, "@univariate true and @dimensions 2 exclude"),
        ({"dimensions": "many"}, "a whole number in '@dimensions', got 'many'"),
        ({"missing": "maybe"}, "'@missing true' or false, got 'maybe'"),
        ({"classLabel": "true"}, "the names of the classes behind '@classLabel true'"),
    ],
)
def test_a_header_that_is_wrong(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a.ts: .*{said}"):
        open_examples(ts(tmp_path / "a.ts", CASES, **changes))


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("1,2:3,4:up\n")
    with pytest.raises(DataError, match=r"a.ts: line 1: expected a header, .* got '1,2:3,4:up'"):
        open_examples(tmp_path / "a.ts")
    (tmp_path / "a.ts").write_text("@missing false\n")
    with pytest.raises(DataError, match=r"a.ts: expected a line '@data'"):
        open_examples(tmp_path / "a.ts")
    with pytest.raises(DataError, match="expected examples, found none"):
        read(ts(tmp_path / "b.ts", ""))
    with pytest.raises(DataError, match="a name for each of 2 dimensions, got 1"):
        open_examples(ts(tmp_path / "b.ts", ""), Reading(channels=("x",)))
