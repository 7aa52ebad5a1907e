"""Scores of taggers, by hand and against another library."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.tasks import task_by_name
from recurra.tasks.tagging import TaggingData
from recurra.tasks.tagging.corpus import TaggingPart
from recurra.tasks.tagging.evaluation import (
    Evaluation,
    SpanCounts,
    compare_taggers,
    confusion_lines,
    span_lines,
)

Tags = Sequence[Sequence[str]]


class Saying:
    """A rival that says given tags, each with a share of 0.7."""

    def __init__(self, names: Sequence[str], answers: dict[tuple[str, ...], Sequence[str]]) -> None:
        self.names, self.answers = list(names), answers

    def log_probabilities(self, sentences: Sequence[Sequence[str]]) -> list[Any]:
        found = []
        for sentence in sentences:
            tags = self.answers[tuple(sentence)]
            shares = np.full((len(tags), len(self.names)), 0.3 / (len(self.names) - 1))
            for row, tag in zip(shares, tags, strict=True):
                row[self.names.index(tag)] = 0.7
            found.append(np.log(shares))
        return found


def part_of(trained: Tags, scored: Tags) -> TaggingPart:
    """Sentences whose words are numbers, those that are scored with words of their own."""
    task, data = task_by_name("tagging"), TaggingData(validation=False, minimum_count=1)
    train = [(tuple(f"w{n}" for n in range(len(tags))), tags) for tags in trained]
    test = [(tuple(f"s{at}n{n}" for n in range(len(tags))), tags) for at, tags in enumerate(scored)]
    source = task.open({"train": train, "test": test}, data)
    found: Any = task.prepare(source, data, Path(), lambda told: None)
    part = found.parts["test"]
    assert isinstance(part, TaggingPart)
    return part


def scored(part: TaggingPart, said: Tags, name: str = "one") -> Evaluation:
    words = [tuple(pair.example) for pair in part.raw]
    answers = dict(zip(words, said, strict=True))
    return compare_taggers({name: Saying(part.tags.names, answers)}, part)[0]


def test_by_hand() -> None:
    part = part_of([("A", "B"), ("C",)], [("A", "B", "A"), ("C",), ("A",)])
    row = scored(part, [("A", "A", "A"), ("B",), ("A",)])
    assert row.tags == ("A", "B", "C")
    assert row.confusion == [[3, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert (row.count, row.accuracy, row.value, row.strange) == (5, 0.6, 0.6, 0)
    wrong = 0.3 / 2
    assert row.nats == pytest.approx(-3 * math.log(0.7) - 2 * math.log(wrong))
    assert row.loss == pytest.approx(row.nats / 5)
    assert row.sentences == (3, 1)
    assert row.unknown == (5, 3)
    assert row.accuracy_unknown == 0.6
    assert row.confused() == [("B", "A", 1), ("C", "B", 1)]
    assert row.all_spans is None
    json.dumps(row.to_json())


def test_tags_without_a_name_are_wrong_and_have_no_loss() -> None:
    part = part_of([("A", "B")], [("A", "NEW"), ("B",)])
    row = scored(part, [("A", "A"), ("B",)])
    assert (row.count, row.strange) == (3, 1)
    assert row.accuracy == pytest.approx(2 / 3)
    assert (row.scored, row.loss) == (1, pytest.approx(-math.log(0.7)))
    none = scored(part_of([("A",), ("B",)], [("NEW",)]), [("A",)])
    assert (none.loss, none.accuracy, none.accuracy_unknown) == (None, 0, 0)


def test_orders_that_may_not_be_have_no_loss() -> None:
    part = part_of([("B-X", "I-X", "O")], [("O", "I-X"), ("B-X",)])
    row = scored(part, [("O", "I-X"), ("B-X",)])
    assert (row.accuracy, row.scored) == (1, 1)


def test_spans_by_hand() -> None:
    trained = [("B-PER", "I-PER", "O", "B-LOC")]
    part = part_of(trained, [("B-PER", "I-PER", "O", "B-LOC"), ("B-PER", "O")])
    row = scored(part, [("B-PER", "O", "O", "B-LOC"), ("B-PER", "O")])
    assert row.spans == {"LOC": SpanCounts(1, 1, 1), "PER": SpanCounts(2, 2, 1)}
    assert row.all_spans == SpanCounts(3, 3, 2)
    assert (row.spans["PER"].precision, row.spans["PER"].recall, row.spans["PER"].f1) == (0.5,) * 3
    nothing = SpanCounts(0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    assert span_lines(row)[-1].split() == ["PER", "2", "2", "0.5000", "0.5000", "0.5000"]


def test_a_span_of_a_type_that_nobody_knows_is_there_all_the_same() -> None:
    part = part_of([("B-PER", "O")], [("B-ORG", "O")])
    row = scored(part, [("O", "O")])
    assert row.spans == {"ORG": SpanCounts(1, 0, 0), "PER": SpanCounts(0, 0, 0)}


def test_as_seqeval() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    names, draw = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"], random.Random(1)
    wanted = [draw.choices(names, k=draw.randint(1, 9)) for _ in range(200)]
    said = [[tag if draw.random() < 0.7 else draw.choice(names) for tag in tags] for tags in wanted]
    row = scored(part_of([names, ["B-PER", "I-PER"]], wanted), said)
    assert row.all_spans is not None
    assert row.all_spans.f1 == pytest.approx(metrics.f1_score(wanted, said), abs=1e-12)
    assert row.accuracy == pytest.approx(metrics.accuracy_score(wanted, said), abs=1e-12)
    theirs = metrics.classification_report(wanted, said, output_dict=True)
    for kind in ("LOC", "PER"):
        ours = row.spans[kind]
        assert ours.there == theirs[kind]["support"]
        for name, value in (("precision", ours.precision), ("recall", ours.recall)):
            assert value == pytest.approx(theirs[kind][name], abs=1e-12)


def test_the_table() -> None:
    task = task_by_name("tagging")
    part = part_of([("B-PER", "I-PER", "O")], [("B-PER", "O", "NEW"), ("O",)])
    rows = [scored(part, [("B-PER", "I-PER", "O"), ("O",)], name) for name in ("one", "other")]
    table = task.table(rows, "held out")
    assert table.title == "held out: 4 words in 2 sentences"
    assert table.header == ("model", "accuracy", "unknown", "span F1", "nats/tag")
    assert [row[:4] for row in table.rows] == [
        ("one", "0.5000", "0.5000", "0.0000"),
        ("other", "0.5000", "0.5000", "0.0000"),
    ]
    notes = "\n".join(table.notes)
    assert "Spans of one:" in notes
    assert "Of 1 mistakes of one the most frequent:" in notes
    assert "1 words have tags that the models have no name for" in notes
    assert "Nats are of 1 words" in notes
    right = scored(part_of([("A", "B")], [("A",)]), [("A",)])
    assert task.table([right], "x").header == ("model", "accuracy", "unknown", "nats/tag")
    assert confusion_lines(right) == []
