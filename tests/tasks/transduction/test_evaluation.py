"""Likeness of texts against what is computed by hand, and models without memory."""

from __future__ import annotations

import pytest

from recurra.tasks.rivals import FrequentText
from recurra.tasks.transduction.evaluation import bleu_sums, exact, likeness, rouge_l
from recurra.tasks.transduction.rivals import KINDS, Copy, Nearest, fit_rivals


def test_rouge_by_hand() -> None:
    said = ["the cat sat", "a b c d", "", "x"]
    wanted = ["The cat on the mat sat", "d c b a", "", "y"]
    # common: "the cat sat" (3 of 3 and 6); one of 4; nothing of nothing; nothing
    assert rouge_l(said, wanted) == pytest.approx((6 / 9 + 2 / 8 + 0 + 0) / 4)
    assert rouge_l([], []) == 0


def test_exact_is_to_the_letter() -> None:
    assert exact(["a b", "A b", "a  b "], ["a b", "a b", "a b"]) == pytest.approx(2 / 3)


def test_bleu_is_that_of_sacrebleu() -> None:
    pytest.importorskip("sacrebleu")
    said = ["the cat is on the mat", "there is a cat"]
    wanted = ["the cat sat on the mat", "there is a cat here"]
    bleu, chrf, signature = likeness(said, wanted)
    assert bleu is not None
    assert chrf is not None
    assert 40 < bleu < 70
    assert bleu < chrf
    assert "tok:13a" in signature
    assert likeness(wanted, wanted)[0] == pytest.approx(100)
    upper, _, signature = likeness([s.upper() for s in said], wanted, lower=True, tokenize="none")
    assert upper == pytest.approx(bleu)
    assert "case:lc" in signature


def test_bleu_of_some_is_that_of_what_adds_up() -> None:
    pytest.importorskip("sacrebleu")
    said = ["the cat is on the mat", "there is a cat", "", "no like word"]
    wanted = ["the cat sat on the mat", "there is a cat here", "a b", "something else entirely"]
    sums = bleu_sums(said, wanted)
    assert sums is not None
    assert not sums.less
    draws = [[0, 1, 2, 3], [0, 0, 1, 2], [3, 3, 3, 3], [2, 2, 2, 2]]
    found = sums.of(sums.values[draws].sum(1))
    expected = [likeness([said[n] for n in d], [wanted[n] for n in d])[0] for d in draws]
    assert found == pytest.approx(expected)
    assert sums.of(sums.values.sum(0)) == pytest.approx(expected[0])


def test_rivals_say_what_is_there() -> None:
    read = ["a red dog", "a blue cat", "a red cat"]
    said = ["ein hund", "blau", "blau"]
    rivals = fit_rivals(list(zip(read, said, strict=True)))
    assert list(rivals) == list(KINDS)
    new = ["one red dog here", "nothing of it", "blue"]
    wanted = {
        "the most frequent": ["blau"] * 3,
        "copy": new,
        "lead": ["one", "nothing", "blue"],
        "nearest": ["ein hund", "ein hund", "blau"],
    }
    for name, rival in rivals.items():
        assert rival.say(new) == wanted[name]
        again = KINDS[name](rival.arrays())
        assert again.say(new) == wanted[name]
    alike = [("one two three", "a b")] * 3
    assert list(fit_rivals(alike)) == ["the most frequent", "copy", "nearest"]
    assert list(fit_rivals([(object(), "a")])) == ["the most frequent"]
    assert FrequentText.fit(["b", "a"]).text == "b"
    assert Copy().say(["x"]) == ["x"]
    assert Nearest(["a"], ["b"]).say([""]) == ["b"]
