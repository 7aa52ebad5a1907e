"""Corrections: against a loop that scores everything anew, and what is said of them."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipeline.test_commands import call, refused
from pipeline.toys import TEXT, ngram, recurrent, vocabularies

import recurra
from recurra.errors import DataError, SettingError
from recurra.pipeline import TextModel, correct_lines, known_words, score_lines
from recurra.pipeline.correction.confusions import Confusions
from recurra_runtime.vocabulary import BytePairVocabulary, CharacterVocabulary

WORDS = "the a an cat cats cattle sat sits on in mat dog dogs sees see there bone wait waits"
WRONG = ["a dog see mat", "the cats sat at a amt", "Teh cat sat", "the cat sat on the mat."]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A 3-gram of sentences by byte pairs."""
    texts = ["The cat sat on the mat .", "A dog sees the cat .", "The dogs see a mat ."] * 30
    done = recurra.train(
        "ngram", texts, out=tmp_path / "run", unit="line", vocabulary="byte-pairs",
        vocabulary_size=330, order=3, validation=False, report=lambda told: None,
    )  # fmt: skip
    (tmp_path / "right.txt").write_text("\n".join(texts))
    return Path(done.path)


def value(model: TextModel, text: str) -> float:
    (score,) = score_lines(model, [text])
    return score.log_prob - score.unknown * math.log(len(model.vocabulary))


def by_definition(model: TextModel, text: str, margin: float) -> str:
    """All changes are scored again after each that is made."""
    confusions, now = Confusions(WORDS.split()), value(model, text)
    while changes := confusions.changes(text):
        values = [value(model, change.of(text)) for change in changes]
        gains = [v - now - change.cost for v, change in zip(values, changes, strict=True)]
        best = gains.index(max(gains))
        if gains[best] <= margin:
            break
        text, now = changes[best].of(text), values[best]
    return text


@pytest.mark.parametrize("kind", ["bytes", "byte-pairs", "words", "lower words"])
@pytest.mark.parametrize("made", [ngram, recurrent])
def test_short_sentences_become_what_the_definition_says(kind: str, made: Any) -> None:
    model = made(vocabularies()[kind])
    found = list(correct_lines(model, WRONG, margin=2.0, words=WORDS.split()))
    assert [each.corrected for each in found] == [by_definition(model, t, 2.0) for t in WRONG]
    assert [each.text for each in found] == WRONG
    assert sum(len(each.edits) for each in found) >= 3  # there is something to compare


def test_gains_add_up_and_edits_stand_in_the_text() -> None:
    model = ngram(BytePairVocabulary.of([TEXT], 300))
    text = "a dog that see the catt 's mat sat tehre : the cattle can wiat and the cats see a mat"
    (found,) = correct_lines(
        model, [text], margin=1.0, words=[*WORDS.split(), "can", "and", "that"]
    )
    assert len(found.edits) >= 3
    gained = value(model, found.corrected) - value(model, text)
    assert sum(edit.gain for edit in found.edits) == pytest.approx(gained, abs=1e-4)
    assert all(edit.gain > 1.0 for edit in found.edits)
    spans = sorted((edit.start, edit.end, edit.old, edit.new) for edit in found.edits)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans)), "for what comes next"
    assert all(text[start:end] == old for start, end, old, _ in spans)
    pieces, at = [], 0
    for start, end, _, new in spans:
        pieces += [text[at:start], new]
        at = end
    assert "".join([*pieces, text[at:]]) == found.corrected


def test_mistakes_far_from_each_other_are_all_mended() -> None:
    model = ngram(BytePairVocabulary.of([TEXT], 300))
    mended = "the cat sat on the mat"
    text = ", and the dogs ".join(["the cat sat on teh mat"] * 3)
    (found,) = correct_lines(model, [text], margin=4.0, words=[*WORDS.split(), "and"])
    assert found.corrected.count(mended) == 3
    assert "teh" not in found.corrected


def test_a_large_margin_changes_nothing_and_blank_lines_stay() -> None:
    model = ngram(BytePairVocabulary.of([TEXT], 300))
    texts = ["", WRONG[0], "   ", WRONG[1], "\t"]
    found = list(correct_lines(model, texts, margin=1e6, words=WORDS.split()))
    assert [each.corrected for each in found] == texts
    assert not any(each.edits for each in found)
    assert list(correct_lines(model, [], words=WORDS.split())) == []


def test_many_sentences_are_as_each_alone() -> None:
    model = ngram(BytePairVocabulary.of([TEXT], 300))
    texts = WRONG * 20
    alone = [
        next(correct_lines(model, [t], margin=1.0, words=WORDS.split())).corrected for t in WRONG
    ]
    found = correct_lines(model, iter(texts), margin=1.0, words=WORDS.split())
    assert [each.corrected for each in found] == alone * 20


def test_words_are_those_of_the_vocabulary_or_of_a_text(tmp_path: Path) -> None:
    kinds = vocabularies()
    assert {"the", "cat", "dog"} <= set(known_words(ngram(kinds["words"])))
    begun = known_words(ngram(kinds["byte-pairs"]))
    assert "the" in begun
    symbols = {kinds["byte-pairs"].symbol(number) for number in range(len(kinds["byte-pairs"]))}
    inside = {each for each in symbols if each.isalpha() and f" {each}" not in symbols}
    assert inside, "there are symbols that follow other letters"
    assert not inside & set(begun)
    path = tmp_path / "right.txt"
    path.write_text("Dogs see dogs see dogs see cats a 42 42 42 cats\n")
    assert known_words(ngram(kinds["characters"]), path) == ["dogs", "see"]
    with pytest.raises(
        SettingError, match=r"the symbols of this model are characters.*--words FILE"
    ):
        known_words(ngram(kinds["characters"]))
    path.write_text("each word once\n")
    with pytest.raises(DataError, match=r"right\.txt: expected words that stand 3 times"):
        known_words(ngram(kinds["characters"]), path)


@pytest.mark.parametrize("margin", [-1.0, math.nan, math.inf, "4", None, True])
def test_wrong_margins_are_refused_at_once(margin: Any) -> None:
    with pytest.raises(SettingError, match="margin: expected nats, 0 or more, got"):
        correct_lines(ngram(CharacterVocabulary.of([TEXT])), [], margin=margin, words=WORDS.split())


def test_what_is_no_text_is_named() -> None:
    found = correct_lines(ngram(CharacterVocabulary.of([TEXT])), ["a", 7], words=WORDS.split())  # type: ignore[list-item]
    with pytest.raises(DataError, match="correct: expected a text, got 7"):
        list(found)


# ------------------------------------------------------------------------------ as it is called


def test_the_command_says_a_line_for_each(run: Path, tmp_path: Path) -> None:
    right = tmp_path / "right.txt"
    lines = ["the cat sat on teh mat .", "", "A dog sees the cat ."]
    fixed = ["The cat sat on the mat .", "", "A dog sees the cat ."]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(lines) + "\n")
    assert call("correct", run, file, "--words", right).stdout.splitlines() == fixed
    assert call("correct", run, "-", "--words", right, typed=file.read_text()).stdout == (
        call("correct", run, "--words", right, typed=file.read_text()).stdout
    )
    told = call("correct", run, "--text", lines[0], "--text", lines[2], "--words", right, "--json")
    rows = [json.loads(row) for row in told.stdout.splitlines()]
    assert [row["corrected"] for row in rows] == [fixed[0], fixed[2]]
    assert {edit["new"] for edit in rows[0]["edits"]} == {"The", "the"}
    assert set(rows[0]["edits"][0]) == {"start", "end", "old", "new", "gain"}
    quiet = call("correct", run, "--text", lines[0], "--words", right, "--margin", "500")
    assert quiet.stdout == f"{lines[0]}\n"


def test_python_gives_the_same(run: Path, tmp_path: Path) -> None:
    answer: Any = recurra.load(run)
    (found,) = answer.correct(["A dog see the cat ."], words=tmp_path / "right.txt", margin=1)
    assert found.corrected == "A dog sees the cat ."
    assert next(answer.correct("A dog see the cat .", margin=500)).corrected == found.text


def test_a_line_is_answered_before_the_next_is_there(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recurra", "correct", str(run), "--words"]
    with subprocess.Popen(
        [*command, str(tmp_path / "right.txt")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as going:  # fmt: skip
        assert going.stdin is not None
        assert going.stdout is not None
        for _ in range(2):
            going.stdin.write("a dog sees teh cat .\n")
            going.stdin.flush()
            assert going.stdout.readline() == "A dog sees the cat .\n"
        going.stdin.close()
    assert going.returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["lines.txt", "--text", "a"], "correct: expected a file or --text, got both"),
        (["--text", "a", "--margin", "-1"], "margin: expected nats, 0 or more, got -1.0"),
        (["--text", "a", "--words", "absent.txt"], "absent.txt"),
        (["--text", "a", "--model", "9-gram"], "model: "),
        (["absent.txt"], "absent.txt"),
    ],
)
def test_mistakes_are_said(run: Path, options: list[str], said: str) -> None:
    refused(call("correct", run, *options), said)
