"""Labels: a whole text is one symbol."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra_runtime.vocabulary import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    LabelVocabulary,
    vocabulary_from_json,
)


def test_by_hand() -> None:
    labels = LabelVocabulary(["War and Peace", "", "emma"])
    assert len(labels) == 6
    assert labels.encode("War and Peace").tolist() == [3]
    assert labels.encode("").tolist() == [4]
    assert labels.encode("Emma").tolist() == [UNKNOWN]
    assert labels.encode("emma").dtype == np.int64
    assert [labels.symbol(i) for i in range(6)] == [*RESERVED, "War and Peace", "", "emma"]
    assert labels.decode([START, 3, 5, END]) == "War and Peace, emma"
    write = labels.writer()
    assert [write(i) for i in (START, 5, UNKNOWN, END)] == ["", "emma", "<unk>", ""]


def test_labels_of_texts() -> None:
    assert LabelVocabulary.of(["b", "a", "b"]).labels == ("a", "b")
    assert LabelVocabulary.of(iter(["b", "a"])).labels == ("a", "b")
    assert LabelVocabulary.of("one label").labels == ("one label",)
    assert LabelVocabulary.of([]).encode("a").tolist() == [UNKNOWN]


def test_from_json() -> None:
    labels = LabelVocabulary(["z", "a\ud800", "é"])
    back = vocabulary_from_json(json.loads(json.dumps(labels.to_json())))
    assert isinstance(back, LabelVocabulary)
    assert back.labels == labels.labels
    assert back.encode("é").tolist() == labels.encode("é").tolist() == [5]


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "a"], "each label once"), (["a", 1], "labels of text, got 1"), ([None], "got None")],
)
def test_what_is_no_list_of_labels(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelVocabulary(labels)
    with pytest.raises(ValueError, match=message):
        vocabulary_from_json({"kind": "labels", "labels": labels})


def test_damaged_json() -> None:
    with pytest.raises(ValueError, match="a list 'labels', found none"):
        vocabulary_from_json({"kind": "labels", "labels": "ab"})
    with pytest.raises(ValueError, match=r"a kind among .*'labels'"):
        vocabulary_from_json({"kind": "label"})


@pytest.mark.parametrize("index", [-1, 5])
def test_ids_that_are_not_there(index: int) -> None:
    labels = LabelVocabulary(["a", "b"])
    for ask in (labels.symbol, labels.raw, labels.writer(), lambda i: labels.decode([i])):
        with pytest.raises(ValueError, match=f"expected 0 to 4, got {index}"):
            ask(index)
