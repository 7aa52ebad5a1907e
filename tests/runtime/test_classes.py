"""Names of classes: a number for each, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from recurra_runtime.vocabulary import ClassNames, vocabulary_from_json


def test_names_and_numbers() -> None:
    made = ClassNames.of(["war", "love", "war", "7"])
    assert (made.names, len(made)) == (("7", "love", "war"), 3)
    assert [made.number(name) for name in ("7", "love", "war", "peace")] == [0, 1, 2, None]
    assert [made.name(number) for number in range(3)] == ["7", "love", "war"]
    assert ClassNames(["b", "a"]).names == ("b", "a")  # a given order stays


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_number_that_no_class_has(wrong: int) -> None:
    with pytest.raises(ValueError, match=str(wrong)):
        ClassNames(["7", "love", "war"]).name(wrong)


def test_back_from_json() -> None:
    made = ClassNames(["b", "a", "\udcff", "tab\t"])
    told = json.loads(json.dumps(made.to_json()))
    read = vocabulary_from_json(told)
    assert isinstance(read, ClassNames)
    assert (read.names, read.number("a")) == (made.names, 1)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "each name once, and at least one"),
        (["a", "b", "a"], "each name once"),
        (["a", 7], "names of text, got 7"),
    ],
)
def test_names_that_cannot_be(names: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ClassNames(names)
    with pytest.raises(ValueError, match=r"."):
        vocabulary_from_json({"kind": "classes", "names": names})


@pytest.mark.parametrize("damaged", [{}, {"names": "ab"}, {"names": {"a": 1}}])
def test_damaged(damaged: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names"):
        vocabulary_from_json({"kind": "classes", **damaged})
