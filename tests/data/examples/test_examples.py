"""Examples that are read again and again, what divides them, and lines that are no text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from example_files import table

from recurra.data import hash_part
from recurra.data.examples import Example, Examples, Reading, Sound, content_key, open_examples
from recurra.errors import DataError

PROBLEM = DataError("a.csv: line 2: no")


def three() -> Iterator[Example | DataError]:
    yield Example("a", "x", "1")
    yield PROBLEM
    yield Example(" ", "y", "3")


def test_one_that_cannot_be_read_ends_the_reading_or_is_counted() -> None:
    stopping = iter(Examples("a.csv", {"input": "text"}, three))
    assert next(stopping).input == "a"
    with pytest.raises(DataError, match="line 2: no"):
        next(stopping)
    examples = Examples("a.csv", {"input": "text"}, three, skip=True)
    assert (examples.skipped, examples.blank, examples.problems) == (0, 0, [])
    for _ in range(2):
        assert [e.input for e in examples] == ["a"]
        assert (examples.skipped, examples.blank) == (1, 1)
        assert examples.problems == ["a.csv: line 2: no"]
    assert list(examples.every()) == list(three())


def test_the_first_problems_are_kept() -> None:
    several = [DataError(str(number)) for number in range(9)]
    examples = Examples("x", {}, lambda: [*several, Example("a", "x", "1")], skip=True)
    list(examples)
    assert (examples.skipped, examples.problems) == (9, ["0", "1", "2", "3", "4"])


def test_examples_come_one_at_a_time() -> None:
    begun = []

    def read() -> Iterator[Example]:
        for number in range(3):
            begun.append(number)
            yield Example(str(number), None, "")

    examples = iter(Examples("x", {"input": "text"}, read))
    assert (next(examples).input, begun) == ("0", [0])


def test_no_example_at_all() -> None:
    with pytest.raises(DataError, match=r"a.csv: expected examples, found none\.$"):
        list(Examples("a.csv", {}, list))
    with pytest.raises(DataError, match=r"found none\. 2 could not be read: a.csv: line 2: no"):
        list(Examples("a.csv", {}, lambda: [PROBLEM, PROBLEM], skip=True))


@pytest.mark.parametrize(
    ("value", "blank"),
    [
        ("\n", True),
        ("a", False),
        ((), True),
        (("a",), False),
        (np.zeros((0, 2)), True),
        (np.zeros((1, 2)), False),
        (Sound(np.zeros(0, np.float32), 8000), True),
        (Sound(np.zeros(1, np.float32), 8000), False),
        ({"a": None, "b": " "}, True),
        ({"a": None, "b": "b"}, False),
    ],
)
def test_what_is_blank(value: object, blank: bool) -> None:
    examples = Examples("x", {}, lambda: [Example(value, None, ""), Example("a", None, "")])
    assert len(list(examples)) == (1 if blank else 2)
    assert examples.blank == blank


SERIES = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_the_key_of_an_input_is_the_same_everywhere() -> None:
    """Written down, so that another machine, process or version divides alike."""
    assert content_key("a text") == "a text"
    assert content_key(("two", "words")) == "two\nwords"
    assert content_key(SERIES) == (
        "[3, 2] ab0bcd1b0a6057e7bc6f22026f6de2c6f8380e7ea814479443b8860adaae837f"
    )
    assert content_key(Sound(SERIES[:, 0], 8000)).startswith("8000 [3] ")
    assert content_key({"b": None, "a": "x"}) == "a x\0b "
    assert hash_part(content_key(SERIES)) == "training"


def test_the_key_tells_inputs_apart_and_nothing_else() -> None:
    keys = [
        content_key(each)
        for each in (
            SERIES,
            SERIES.reshape(2, 3),
            SERIES + 1,
            SERIES.astype(np.uint8),
            Sound(SERIES[:, 0], 8000),
            Sound(SERIES[:, 0], 16000),
            {"a": SERIES},
            {"b": SERIES},
            {"a": SERIES, "b": None},
        )
    ]
    assert len({*keys}) == len(keys)
    assert content_key(np.asfortranarray(SERIES)) == content_key(SERIES)
    assert content_key(SERIES.astype(">f4")) == content_key(SERIES)
    assert content_key({"a": "x", "b": "y"}) == content_key({"b": "y", "a": "x"})


LATIN = 'text,label\nfine,x\ncaf\xe9,y\n"two\nlin\xe9s",z\ngood,x\n'.encode("latin-1")


def test_lines_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(LATIN)
    with pytest.raises(DataError, match=r"t.csv: line 3, byte \d+ \(0xe9\) is not utf-8"):
        open_examples(path)
    examples = open_examples(path, Reading(on_error="skip"))
    assert [e.input for e in examples] == ["fine", "good"]
    assert [e.place for e in examples] == [f"{path}: line 2", f"{path}: line 6"]
    assert examples.skipped == 2
    assert "line 3, its byte 3 (0xe9) is not utf-8" in examples.problems[0]
    assert "line 5, its byte 3 (0xe9) is not utf-8" in examples.problems[1]
    assert len(list(open_examples(path, Reading(encoding="latin-1")))) == 4


def test_rows_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"text": "a", "label": "x"}\n[1]\n{"text": 7, "label": "x"}\n{}\n{"text": "b"}\n{"label'
    )
    with pytest.raises(DataError, match=r"t.jsonl: line 2: expected one object a line"):
        open_examples(path)
    examples = open_examples(path, Reading(on_error="skip"))
    assert [e.input for e in examples] == ["a"]
    assert examples.skipped == 5
    assert "line 5: no column 'label' (data.label)" in examples.problems[3]
    assert "line 3: expected text in 'text', got 7" in " ".join(examples.problems)


def test_a_quote_that_is_never_closed_is_never_skipped(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [("text", "label"), ("a", "x")])
    path.write_text(path.read_text() + '"b,y\nc,z\n')
    with pytest.raises(DataError, match="the row that begins on line 3"):
        open_examples(path, Reading(on_error="skip"))
