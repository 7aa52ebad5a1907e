"""Gaps: which candidate is the most probable, by how much, and files that are no questions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pipeline.toys import TEXT, ngram, recurrent

from recurra.errors import DataError, SettingError
from recurra.pipeline import Cloze, TextModel, answer_cloze, read_cloze, score_lines
from recurra_runtime.vocabulary import CharacterVocabulary, WordVocabulary

CHARACTERS = CharacterVocabulary.of([TEXT])
QUESTIONS = [
    Cloze("the ___ sat on the mat.", ("mtc", "cat", "dog"), 1),
    Cloze("the cat sat ___ the mat.", ("on", "there:"), None),
    Cloze("___", ("the", "eht", "a", ""), 0),
]


@pytest.mark.parametrize("model", [ngram(CHARACTERS, 5), recurrent(CHARACTERS)], ids=["5", "lstm"])
def test_the_posterior_is_over_whole_sentences(model: TextModel) -> None:
    for question, answer in zip(QUESTIONS, answer_cloze(model, QUESTIONS), strict=True):
        assert answer.cloze is question
        sentences = [question.text.replace("___", choice) for choice in question.choices]
        chances = [math.exp(s.log_prob) for s in score_lines(model, sentences)]
        shares = [chance / sum(chances) for chance in chances]
        assert answer.posterior == pytest.approx(shares, rel=1e-4)
        assert answer.chosen == shares.index(max(shares))
        assert answer.choice == question.choices[answer.chosen]


def test_right_wrong_and_unknown() -> None:
    first, second, _ = answer_cloze(ngram(CHARACTERS, 5), QUESTIONS)
    assert first.choice == "cat"
    assert (first.correct, second.correct) == (True, None)
    assert first.to_json()["correct"] is True
    assert "correct" not in second.to_json()
    (wrong,) = answer_cloze(ngram(CHARACTERS, 5), [Cloze("the ___ sat", ("xx", "cat"), 0)])
    assert wrong.correct is False
    assert wrong.to_json()["posterior"]["cat"] > 0.5


def test_sentences_far_below_the_smallest_number_compare() -> None:
    text = "the " * 2000 + "___"
    (answer,) = answer_cloze(ngram(CHARACTERS, 2), [Cloze(text, ("zzz", "cat"))])
    assert answer.choice == "cat"
    assert sum(answer.posterior) == pytest.approx(1)


def test_unknown_symbols_are_counted_by_choice() -> None:
    question = Cloze("\u2603 the ___", ("cat", "c\u00e6t\u00e6"), 0)
    (answer,) = answer_cloze(ngram(CHARACTERS, 2), [question])
    assert answer.unknown == (1, 3)
    assert answer.to_json()["unknown"] == {"cat": 1, "c\u00e6t\u00e6": 3}
    assert (answer.tied, answer.correct) == (False, True)


@pytest.mark.parametrize("answer", [0, 1, 2, None])
@pytest.mark.parametrize("make", [lambda v: ngram(v, 2), recurrent], ids=["2", "lstm"])
def test_two_unknown_words_are_tied(make: Any, answer: int | None) -> None:
    model = make(WordVocabulary.of([TEXT], size=16))
    others = Cloze("the ___ sat", ("zebra", "gnu", "the the the the the the"), answer)
    padding = [Cloze("the " * n + "___", ("cat", "dog")) for n in range(1, 40)]
    *_, found = answer_cloze(model, [*padding, others])
    assert found.chosen == 0
    assert found.tied
    assert found.unknown == (1, 1, 0)
    assert found.posterior[0] == found.posterior[1]
    assert found.correct is (None if answer is None else False)
    assert found.to_json()["tied"] is True


def test_a_tie_below_the_best_is_none() -> None:
    model = ngram(WordVocabulary.of([TEXT]), 2)
    (found,) = answer_cloze(model, [Cloze("the ___ sat", ("zebra", "cat", "gnu"), 1)])
    assert found.posterior[0] == found.posterior[2]
    assert (found.tied, found.correct) == (False, True)


def test_many_questions_keep_their_order() -> None:
    many = [Cloze("the ___", ("cat", "x" * (n % 7 + 1)), n % 2) for n in range(600)]
    answers = list(answer_cloze(ngram(CHARACTERS, 2), many))
    assert [answer.cloze for answer in answers] == many
    assert [answer.correct for answer in answers] == [n % 2 == 0 for n in range(600)]


def test_conditions_are_checked_at_once() -> None:
    with pytest.raises(SettingError, match="no condition"):
        answer_cloze(ngram(CHARACTERS, 2), [], given={"topic": "war"})


def written(path: Path, *lines: Any) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "q.jsonl",
        {"text": "the ___.", "choices": ["cat", "dog"], "answer": "dog"},
        "",
        {"text": "___ \u2603", "choices": ["a", ""], "answer": 0, "more": 1},
        {"text": "a ___", "choices": ["0", "1"], "answer": "1"},
        {"text": "a ___", "choices": ["x", "y"]},
    )
    found = list(read_cloze(path))
    assert [question.answer for question in found] == [1, 0, 1, None]
    assert found[0].sentences == ("the cat.", "the dog.")
    assert found[1].source == f"{path}, line 3"


GOOD = {"text": "a ___", "choices": ["x", "y"]}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object, got [1]"),
        ({"choices": ["x", "y"]}, "expected 'text', got null"),
        (GOOD | {"text": 3}, "expected 'text', got 3"),
        (GOOD | {"text": "a b"}, "got 0."),
        (GOOD | {"text": "___ ___"}, "got 2: ___, ___"),
        (GOOD | {"text": "____"}, "got 1: ____"),
        (GOOD | {"text": "______"}, "got 1: ______"),
        (GOOD | {"choices": "xy"}, "expected 'choices'"),
        (GOOD | {"choices": ["x"]}, 'got ["x"]'),
        (GOOD | {"choices": ["x", "x"]}, "two different"),
        (GOOD | {"choices": ["x", 1]}, "expected 'choices'"),
        (GOOD | {"choices": ["x", ["y"]]}, "expected 'choices'"),
        ({"text": "a ___"}, "got null"),
        (GOOD | {"answer": "z"}, "expected 'answer'"),
        (GOOD | {"answer": 2}, "expected 'answer'"),
        (GOOD | {"answer": -1}, "expected 'answer'"),
        (GOOD | {"answer": True}, "expected 'answer'"),
        (GOOD | {"answer": 1.0}, "expected 'answer'"),
    ],
    ids=str,
)
def test_lines_that_are_no_questions(bad: Any, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", GOOD, "", bad)
    questions = read_cloze(path)
    next(questions)
    with pytest.raises(DataError) as problem:
        next(questions)
    assert f"{path}, line 3: " in str(problem.value)
    assert said in str(problem.value)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_no_question_at_all(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"q\.jsonl: expected lines"):
        list(read_cloze(tmp_path / "q.jsonl"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_cloze(tmp_path / "none"))
    (tmp_path / "old").write_bytes(b'{"text": "caf\xe9 ___", "choices": ["a", "b"]}')
    with pytest.raises(DataError, match="line 1, byte 13"):
        list(read_cloze(tmp_path / "old"))
    assert next(read_cloze(tmp_path / "old", encoding="latin-1")).text == "caf\xe9 ___"
