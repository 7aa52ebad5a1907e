"""A kept model and the fronts beside it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from recurra.tasks import task_by_name
from recurra.tasks.inputs import check_restored, reads_of
from recurra_runtime.vocabulary import CharacterVocabulary, ClassNames

TEXT = CharacterVocabulary("abc")
FRONTS: dict[str, Any] = {"text": TEXT, "label": ClassNames(["no", "yes"])}


def refusal(fronts: dict[str, Any]) -> str:
    """What is said of fronts beside the model; nothing where they are its own."""
    try:
        check_restored(reads_of({"text": TEXT}), "label", 2, fronts)
    except ValueError as error:
        return str(error)
    return ""


def test_its_own_fronts_are_taken() -> None:
    assert refusal(FRONTS) == ""


@pytest.mark.parametrize(
    ("fronts", "told"),
    [
        ({"text": TEXT}, "'label' of 2 beside this model, got none"),
        (FRONTS | {"label": ClassNames(["a", "b", "c"])}, "'label' of 2 .* got 3"),
        ({"label": FRONTS["label"]}, r"'text' of .*\[6\].* got none"),
        (FRONTS | {"text": CharacterVocabulary("ab")}, r"\[6\].* got .*\[5\]"),
        (FRONTS | {"text": CharacterVocabulary("ab.")}, r"ends=\[\].* got .*ends=\[5\]"),
        (FRONTS | {"more": TEXT}, "'more' of nothing"),
    ],
)
def test_others_are_refused(fronts: dict[str, Any], told: str) -> None:
    assert re.search(told, refusal(fronts))


@pytest.mark.parametrize("task", ["classification", "transduction"])
def test_tasks_hold_their_fronts_against_the_model(task: str) -> None:
    reads = {"text": reads_of({"text": TEXT})["text"].model_dump()}
    size = "classes" if task == "classification" else "symbols"
    with pytest.raises(ValueError, match="It belongs to another model"):
        task_by_name(task).restore({"reads": reads, size: 2}, {"text": TEXT})
