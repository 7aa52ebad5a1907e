"""Tags and the spans they make, against another library and by hand."""

from __future__ import annotations

import itertools
import json
import random
import warnings
from typing import Any

import pytest

from recurra_runtime.vocabulary import Span, TagNames, vocabulary_from_json

NAMES = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


def test_what_tags_are_is_seen() -> None:
    plain = TagNames.of_sentences([("NOUN", "VERB"), ("O",)])
    assert (plain.names, plain.scheme, plain.types) == (("NOUN", "O", "VERB"), None, ())
    assert plain.spans(["NOUN", "VERB"]) == []
    assert plain.forbidden() == []
    strict = TagNames.of_sentences([("B-PER", "I-PER", "O"), (), ("B-LOC",)])
    assert (strict.scheme, strict.types) == ("iob2", ("LOC", "PER"))
    for loose in [("I-PER", "O"), ("O", "I-PER"), ("B-LOC", "I-PER")]:
        assert TagNames.of_sentences([("B-PER", "O"), loose]).scheme == "iob1"
    assert TagNames.of_sentences([("B-PER", "X")]).scheme is None
    assert TagNames.of_sentences([("O", "O")]).scheme is None
    assert TagNames.of_sentences([("B-", "O")]).scheme is None


SPANS = [
    ("O O", []),
    ("B-PER I-PER O", [("PER", 0, 2)]),
    ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
    ("O I-PER I-PER", [("PER", 1, 3)]),  # nothing to go on with: it begins one
    ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
    ("B-PER NEW I-W B-LOC", [("PER", 0, 1), ("W", 2, 3), ("LOC", 3, 4)]),  # tags of other data
    ("", []),
]


@pytest.mark.parametrize(("tags", "spans"), SPANS)
def test_spans_by_hand(tags: str, spans: list[Any]) -> None:
    assert TagNames(NAMES, "iob2").spans(tags.split()) == [Span(*span) for span in spans]


def test_forbidden_are_those_that_begin_in_the_middle() -> None:
    names = TagNames(NAMES, "iob2")
    pairs = {
        (None if one is None else NAMES[one], NAMES[other]) for one, other in names.forbidden()
    }
    allowed = {("B-PER", "I-PER"), ("I-PER", "I-PER"), ("B-LOC", "I-LOC"), ("I-LOC", "I-LOC")}
    inside = set(itertools.product([None, *NAMES], ["I-PER", "I-LOC"]))
    assert pairs == inside - allowed
    assert TagNames(NAMES, "iob1").forbidden() == []


def test_spans_as_seqeval_has_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labeling = pytest.importorskip(
            "seqeval.metrics.sequence_labeling", reason="seqeval is not installed"
        )
    draw, names = random.Random(0), TagNames(NAMES, "iob2")
    found = 0
    for _ in range(300):
        tags = draw.choices(NAMES, k=draw.randint(0, 8))
        theirs = [Span(kind, start, end + 1) for kind, start, end in labeling.get_entities(tags)]
        assert names.spans(tags) == theirs
        found += len(theirs)
    assert found > 300


def test_json() -> None:
    for scheme in (None, "iob1", "iob2"):
        names = TagNames(NAMES, scheme)
        again = vocabulary_from_json(json.loads(json.dumps(names.to_json())))
        assert isinstance(again, TagNames)
        assert (again.names, again.scheme) == (names.names, scheme)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scheme": "bilou"}, "expected a scheme 'iob1', 'iob2' or None, got 'bilou'"),
        ({"names": ["B-X", "X"]}, "expected 'O', 'B-TYPE' or 'I-TYPE', got 'X'"),
        ({"names": ["O", "O"]}, "each name once"),
        ({"names": None}, "expected a list 'names'"),
    ],
)
def test_json_of_another_shape(change: dict[str, Any], told: str) -> None:
    data = {"kind": "tags", "names": ["O", "B-X"], "scheme": "iob2"}
    vocabulary_from_json(data)
    with pytest.raises(ValueError, match=told):
        vocabulary_from_json(data | change)
