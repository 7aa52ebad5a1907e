"""From texts and classes to parts: who belongs where, and what cannot be learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.data import hash_part
from recurra.data.examples import open_examples
from recurra.errors import DataError, SettingError
from recurra.tasks import task_by_name
from recurra.tasks.classification import ClassificationData, prepare_classes
from recurra.tasks.classification.evaluation import compare_classifiers
from recurra.training import load_recipe


def prepared(source: Any, **settings: Any) -> Any:
    data = ClassificationData(**settings)
    return prepare_classes(open_examples(source, data.reading()), data)


def test_parts_by_hash_of_the_text(reviews: Any) -> None:
    made = prepared(reviews)
    texts, labels = reviews
    for name, part in made.parts.items():
        chosen = [n for n, text in enumerate(texts) if hash_part(text) == name]
        assert [made.inputs["text"].decode(ids) for ids in part.rows] == [
            made.inputs["text"].decode(made.inputs["text"].encode(texts[n])) for n in chosen
        ]
        assert [made.classes.name(n) for n in part.labels] == [labels[n] for n in chosen]
    assert made.classes.names == ("bad", "good")
    assert made.parts["training"].counts().sum() == made.parts["training"].count
    assert "validation" not in prepared(reviews, validation=False).parts


def test_words_of_other_parts_are_unknown(reviews: Any) -> None:
    """Each text ends with a number of its own."""
    made = prepared(reviews)
    assert not any((ids == 0).any() for ids in made.parts["training"].rows)
    assert all(ids[-1] == 0 for ids in made.parts["test"].rows)


def test_long_texts_are_truncated_on_one_side(reviews: Any) -> None:
    whole = prepared(reviews).parts["training"].rows
    right = prepared(reviews, maximum_length=3).parts["training"]
    left = prepared(reviews, maximum_length=3, truncate="left").parts["training"]
    assert [ids.tolist() for ids in right.rows] == [ids[:3].tolist() for ids in whole]
    assert [ids.tolist() for ids in left.rows] == [ids[-3:].tolist() for ids in whole]
    assert right.truncated == sum(len(ids) > 3 for ids in whole)


def test_distinct_leaves_out_what_came_before(reviews: Any) -> None:
    texts, labels = reviews
    doubled = (texts + texts, labels + labels)
    assert prepared(doubled, distinct=True).fingerprint == prepared(reviews).fingerprint
    assert prepared(doubled).fingerprint != prepared(reviews).fingerprint


def test_another_class_or_place_is_another_fingerprint(reviews: Any) -> None:
    texts, labels = reviews
    changed = ["good" if n == 7 else label for n, label in enumerate(labels)]
    other = ["bad" if n == 7 else label for n, label in enumerate(labels)]
    found = {prepared(source).fingerprint for source in ((texts, changed), (texts, other))}
    assert len(found | {prepared((texts[::-1], labels[::-1])).fingerprint}) == 3


def test_given_parts(reviews: Any) -> None:
    texts, labels = reviews
    # Texts whose own hash would set them apart: what is given goes first.
    apart = [t for t in map(str, range(99)) if hash_part(t) == "validation"][:2]
    held = (apart, ["good", "neither"])
    made = prepared({"train": reviews, "test": held}, split="given")
    assert made.parts["test"].labels.tolist() == [1, -1]  # wrong, whatever is said of it
    assert "of classes that no training example has: 1" in made.sizes(10)
    chosen = [n for n, text in enumerate(texts) if hash_part(text) == "validation"]
    assert made.parts["validation"].labels.tolist() == [int(labels[n] == "good") for n in chosen]
    assert made.parts["training"].count == 300 - len(chosen)
    three = {"train": reviews, "valid": held, "test": held}
    assert prepared(three, split="given").parts["validation"].count == 2
    whole = prepared(three, split="given", validation=False)
    assert whole.parts["training"].count == 302
    with pytest.raises(DataError, match="belongs to no part"):
        prepared(reviews, split="given")
    with pytest.raises(
        DataError, match=r"none of 300 is left for test\. Give a file, a folder or a key na"
    ):
        prepared({"train": reviews}, split="given")


def test_parts_that_are_named_are_never_mixed(reviews: Any) -> None:
    held = (["unseen one", "unseen two", "unseen three"], ["good", "neither", "bad"])
    made = prepared({"train": reviews, "test": held})
    assert made.parts["test"].count == 3
    assert made.parts["test"].labels.tolist() == [1, -1, 0]
    assert made.parts["training"].count + made.parts["validation"].count == 300
    assert made.classes.names == ("bad", "good")
    with pytest.raises(
        DataError, match=r"is left for test\. Give a file, a folder or a key named t"
    ):
        prepared({"train": reviews})


def test_what_nobody_can_have_learned_is_wrong_and_has_no_loss(reviews: Any) -> None:
    held = (["unseen one", "unseen two"], ["neither", "nor"])
    corpus = prepared({"train": reviews, "test": held})
    model = Counted(len(corpus.classes))
    (row,) = compare_classifiers({"even": model}, corpus.parts["test"])
    assert (row.accuracy, row.loss, row.to_json()["nats_per_example"]) == (0.0, None, None)
    table = task_by_name("classification").table([row], "held out")
    assert table.rows[0][-1] == "-"


class Counted:
    """A rival that thinks all classes alike."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def log_probabilities(self, rows: Any) -> torch.Tensor:
        return torch.full((len(rows), self.classes), 1 / self.classes).log()


def test_what_cannot_be_learned_is_told(reviews: Any) -> None:
    texts, labels = reviews
    with pytest.raises(DataError, match="at least two classes, all 300 examples are of 'x'"):
        prepared((texts, ["x"] * 300))
    place = next(n for n, text in enumerate(texts) if hash_part(text) == "test")
    rare = ["odd" if n == place else label for n, label in enumerate(labels)]
    with pytest.raises(DataError, match=r"no example to train on is of the class 'odd' \(1\)"):
        prepared((texts, rare))
    with pytest.raises(DataError, match="examples in every part, none of 2 is left for"):
        prepared((texts[:2], labels[:2]))


def test_scores_of_a_few_texts_come_from_all_over(reviews: Any) -> None:
    part = prepared(reviews).parts["training"]
    some = [batch for group in part.groups(part.count // 3) for batch in group]
    longest = sorted(map(len, part.rows[::3]))
    assert sorted(n for batch in some for n in batch.inputs.lengths.tolist()) == longest
    assert sum(len(batch.targets) for group in part.groups() for batch in group) == part.count
    assert np.bincount(part.labels).tolist() == part.counts().tolist()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("data.label=text", "data.label: expected another column"),
        ("data.truncate=left", "data.truncate: expected it to be left out"),
        ("data.labl=x", "no setting 'data.labl'; did you mean 'data.label'"),
        ("model.pool=men", "model.pool: expected .*did you mean 'mean'"),
    ],
)
def test_settings_that_cannot_be(change: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        load_recipe("classification", [change])
