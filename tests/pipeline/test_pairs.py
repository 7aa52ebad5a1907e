"""Minimal pairs: what is read as one, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pipeline.toys import ngram, recurrent, vocabularies

from recurra.errors import DataError
from recurra.pipeline import Pair, pair_accuracy, read_pairs, score_lines, score_pairs

PAIRS = [
    Pair("the cat sat.", "the mat sat."),
    Pair("a dog sees the cat.", "a dog the cat sees.", "order"),
    Pair("the dogs wait", "the dog wait", "number"),
    Pair("the cats wait", "the cat wait", "number"),
]


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_scores_are_those_of_the_lines(kind: str) -> None:
    vocabulary = vocabularies()[kind]
    for model in (recurrent(vocabulary), ngram(vocabulary)):
        for end in (True, False):
            found = list(score_pairs(model, PAIRS, end=end))
            assert [score.pair for score in found] == PAIRS
            for score in found:
                (good,) = score_lines(model, [score.pair.good], end=end)
                (bad,) = score_lines(model, [score.pair.bad], end=end)
                assert score.good.log_prob == pytest.approx(good.log_prob, abs=1e-5)
                assert score.bad.log_prob == pytest.approx(bad.log_prob, abs=1e-5)
                assert score.correct == (good.log_prob > bad.log_prob)
            every, *groups = pair_accuracy(found)
            assert (every.right, every.count) == (sum(s.correct for s in found), 4)
            assert [(g.phenomenon, g.count) for g in groups] == [("order", 1), ("number", 2)]


def test_two_unknown_words_are_a_tie_wherever_they_stand() -> None:
    model = recurrent(vocabularies()["words"])
    # Of other pairs' lengths enough that the two stand in groups of their own.
    pairs = [Pair("the xyzzy sat", "the plugh sat"), *PAIRS * 40]
    first, *_ = score_pairs(model, [*pairs, Pair("the plugh sat", "the xyzzy sat")])
    assert first.tied
    assert not first.correct
    every, *_ = pair_accuracy([first])
    assert (every.right, every.tied, every.unknown) == (0, 1, 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "g 1\tb 1\ng 2\tb 2\n"),
        ("a.csv", 'g 1,b 1\n"g 2",b 2\n'),
        ("a.csv", "bad,good\nb 1,g 1\nb 2,g 2\n"),
        ("a.tsv", "sentence_good\tsentence_bad\tfield\ng 1\tb 1\tx\ng 2\tb 2\tx\n"),
        (
            "a.jsonl",
            "".join(
                json.dumps({"sentence_good": f"g {n}", "sentence_bad": f"b {n}"}) + "\n"
                for n in (1, 2)
            ),
        ),
    ],
)
def test_files(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert list(read_pairs(tmp_path / name)) == [Pair("g 1", "b 1"), Pair("g 2", "b 2")]


def test_phenomena(tmp_path: Path) -> None:
    told = {"sentence_good": "g", "sentence_bad": "b", "UID": "islands"}
    path = tmp_path / "blimp.jsonl"
    path.write_text(json.dumps(told) + "\n" + json.dumps(told | {"phenomenon": "npi"}))
    assert [pair.phenomenon for pair in read_pairs(path)] == ["islands", "npi"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "", "expected pairs of sentences, found none"),
        ("a.tsv", "one\ttwo\tthree\n", "line 1: expected two sentences, 'good' and 'bad'"),
        ("a.tsv", "one\n", "line 1: expected two sentences"),
        ("a.csv", "good,bad\nx,\n", "line 2: .* one of them without text"),
        ("a.csv", "good,bad\nx\n", "line 2: expected 2 cells"),
        ("a.txt", "the cat\tthe tac\n", "expected one object a line"),
        ("a.jsonl", '{"good": "x"}', "line 1: expected two sentences"),
        ("a.jsonl", '{"good": "x", "bad": 3}', "line 1: expected two sentences"),
    ],
)
def test_rows_that_are_no_pair(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        list(read_pairs(tmp_path / name))
