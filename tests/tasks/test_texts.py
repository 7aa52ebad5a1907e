"""Texts and labels of frames, of mappings and of lists, for every task of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.data.examples import open_examples
from recurra.errors import DataError
from recurra.tasks import task_by_name
from recurra.tasks.classification import ClassificationData
from recurra.tasks.language_model.corpus import prepare
from recurra.tasks.language_model.documents import as_documents, label_of
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.texts import columns_of, label_text

TEXTS, MOODS = ["a fine film", "dull, dull"], ["good", " bad "]


def frame(kind: str, **columns: Any) -> Any:
    return columns if kind == "dict" else pytest.importorskip("pandas").DataFrame(columns)


@pytest.mark.parametrize("kind", ["dict", "pandas"])
def test_a_language_model_reads_the_texts_of_a_frame(kind: str, tmp_path: Path) -> None:
    source = frame(kind, review=TEXTS, mood=MOODS)
    data = DataSettings(column="review", conditions=["mood", "first_letter"])
    found = task_by_name("language-model").open(source, data)
    assert [document.text for document in found] == TEXTS
    assert [label_of(document, "mood") for document in found] == ["good", "bad"]
    assert [label_of(document, "first_letter") for document in found] == ["a", "d"]
    many = frame(kind, text=[f"{text} {n}" for n in range(50) for text in TEXTS])
    opened = task_by_name("language-model").open(many, DataSettings())
    assert prepare(opened, DataSettings(), tmp_path).characters == sum(map(len, many["text"]))


@pytest.mark.parametrize("kind", ["dict", "pandas"])
def test_what_is_wrong_with_a_frame_is_said_by_every_task(kind: str) -> None:
    source = frame(kind, review=TEXTS, mood=MOODS)
    for task, data in (
        ("language-model", DataSettings()),
        ("classification", ClassificationData()),
    ):
        with pytest.raises(DataError, match=r"no column 'text' \(data\.column\); .*mood, review"):
            task_by_name(task).open(source, data)
    for beside in ("file", "moods"):
        data = DataSettings(column="review", conditions=[beside])
        with pytest.raises(DataError, match=rf"no column '{beside}' \(data\.conditions\)"):
            task_by_name("language-model").open(source, data)
    with pytest.raises(DataError, match=r"document 1: expected a text, got (None|nan)"):
        task_by_name("language-model").open(frame(kind, text=["a", None]), DataSettings())


def test_columns_are_lists_of_one_length_each_once() -> None:
    pandas = pytest.importorskip("pandas")
    wanted = [("data.column", "text")]
    twice = pandas.DataFrame([["a", "b"]], columns=["text", "text"])
    with pytest.raises(DataError, match="expected each column once, 'text' is there 2 times"):
        columns_of(twice, wanted)
    assert columns_of(pandas.DataFrame([["a", "b"]]), [("data.column", "1")]) == [["b"]]
    with pytest.raises(DataError, match=r"expected a list in 'text' \(data\.column\), got str"):
        columns_of({"text": "its letters"}, wanted)
    with pytest.raises(DataError, match=r"columns of one length, got 2 and 1 in 'label'"):
        columns_of({"text": TEXTS, "label": ["a"]}, [*wanted, ("data.label", "label")])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "data: expected a path, .*got nothing"),
        (5, "data: expected a path, .*got int"),
        (b"text", "data: expected a path, .*got bytes"),
        (["a", None], "document 1: expected a text, got None"),
        ([b"a"], "document 0: expected a text, got b'a'"),
    ],
)
def test_what_is_no_text_is_no_document(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_documents(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "got nothing"),
        (
            [["a", "b", "c"], MOODS],
            r"whose example 0 is no pair\. Make it a tuple: \(inputs, labels\);",
        ),
        ((TEXTS, MOODS, MOODS), "got tuple of 3"),
        (("ab", ["x", "y"]), "expected a list of inputs, got str"),
        ((["a", "b"], "xy"), "expected a list of labels, got str"),
        ({"train": [TEXTS, MOODS]}, "train, data: expected a path"),
    ],
)
def test_texts_and_labels_are_two_lists_in_a_tuple(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples(source, ClassificationData().reading())


def test_white_space_around_a_label_is_none_of_it(tmp_path: Path) -> None:
    assert label_text(" p ", "x", "y") == label_text("p", "x", "y") == "p"
    (tmp_path / "a.csv").write_text("text,label\na,p\nb, p\nc,p \n")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "p\\t"}\n')
    (tmp_path / "folder" / "p ").mkdir(parents=True)
    (tmp_path / "folder" / "p " / "a.txt").write_text("a")
    for place in ("a.csv", "a.jsonl", "folder"):
        found = open_examples(tmp_path / place, ClassificationData().reading())
        assert {example.target for example in found} == {"p"}
    assert {
        e.target for e in open_examples((TEXTS, ["p", "p "]), ClassificationData().reading())
    } == {"p"}


def test_a_row_without_a_label_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    told = r"line 1: no column 'label' \(data\.label\); Known: text\. Say which: --set data\.label="
    with pytest.raises(DataError, match=told):
        open_examples(tmp_path / "a.jsonl", ClassificationData().reading())
    (tmp_path / "b.jsonl").write_text('{"texts": "a", "label": "b"}\n')
    with pytest.raises(DataError, match=r"--set data\.column=texts, in Python column='texts'\.$"):
        open_examples(tmp_path / "b.jsonl", ClassificationData().reading())
