"""What becomes a label of a document, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data import Document, open_documents
from recurra.errors import DataError
from recurra.tasks.language_model.documents import label_of


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("war", "war"),
        ("", ""),
        (7, "7"),
        ("7", "7"),  # one label, whether it was written with quotes or without
        (-(10**30), "-1" + "0" * 30),
        (True, "True"),
        (False, "False"),
        (np.uint8(7), "7"),
        (np.bool_(True), "True"),
    ],
    ids=repr,
)
def test_text_whole_numbers_and_booleans_are_labels(value: Any, label: str) -> None:
    assert label_of(Document("text", "here", {"topic": value}), "topic") == label


@pytest.mark.parametrize(
    "written", ["1.5", "7.0", "NaN", "-Infinity", '["war"]', '{"of": "war"}', "[]", "[7]"]
)
def test_what_else_json_holds_is_no_label(written: str, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(f'{{"text": "words", "topic": {written}}}\n')
    (document,) = open_documents(file)
    with pytest.raises(DataError) as problem:
        label_of(document, "topic")
    assert str(problem.value) == (
        f"{file}: line 1: expected a label in 'topic': text, a whole number, true or false; got "
        f"{json.loads(written)!r}. Write it as text."
    )


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(DataError, match=r"got \[0, 0, .*\.\.\.\. Write") as problem:
        label_of(Document("text", "here", {"topic": [0] * 10_000}), "topic")
    assert len(str(problem.value)) < 200


def test_nothing_is_no_label() -> None:
    with pytest.raises(DataError, match=r"^here: expected a label in 'topic', got nothing\.$"):
        label_of(Document("text", "here", {"topic": None}), "topic")


@pytest.mark.parametrize("fields", [{"topic": "x"}, {"topic": "x", "first_letter": "t"}], ids=str)
def test_each_name_that_is_known_is_listed_once(fields: dict[str, str]) -> None:
    with pytest.raises(DataError, match=re.escape("known as 'zzz'; Known: first_letter, topic")):
        label_of(Document("text", "here", fields), "zzz")


def test_rows_have_their_file_as_a_label(tmp_path: Path) -> None:
    (tmp_path / "anna.jsonl").write_text('{"text": "words"}\n')
    (document,) = open_documents(tmp_path / "anna.jsonl")
    assert label_of(document, "file") == "anna"
    assert label_of(document, "folder") == tmp_path.name
