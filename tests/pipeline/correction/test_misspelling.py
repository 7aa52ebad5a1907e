"""Distances of words, and which words are near."""

from __future__ import annotations

import itertools

import pytest

from recurra.pipeline.correction.misspelling import Speller, damerau_levenshtein


@pytest.mark.parametrize(
    ("left", "right", "far"),
    [
        ("", "", 0), ("", "ab", 2), ("their", "thier", 1), ("ab", "ba", 1), ("ca", "abc", 3),
        ("belive", "believe", 1), ("kitten", "sitting", 3), ("tecnologies", "technologies", 1),
    ],
)  # fmt: skip
def test_distance_by_hand(left: str, right: str, far: int) -> None:
    assert damerau_levenshtein(left, right) == far
    assert damerau_levenshtein(right, left) == far


def test_every_word_of_two_changes_is_near() -> None:
    """The bag of letters leaves out none: against all words of up to three letters of three."""
    words = ["".join(w) for n in range(1, 6) for w in itertools.product("abz", repeat=n)]
    speller = Speller(words, most=len(words))
    for word in ("abzab", "aabbz", "zzzzz"):
        near = {other for other, _ in speller.near(word) if " " not in other}
        assert near == {other for other in words if 0 < damerau_levenshtein(word, other) <= 2}


def test_the_nearest_and_then_the_most_frequent_first() -> None:
    speller = Speller(["the", "their", "hier", "thief", "tier", "there"], most=4)
    assert speller.near("thier") == [("their", 1), ("thief", 1), ("tier", 1), ("the", 2)]


def test_short_words_are_one_change_away() -> None:
    assert Speller(["and", "are"]).near("adn") == [("and", 1)]


def test_two_words_written_as_one() -> None:
    assert Speller(["a", "b", "bcd", "infact"]).near("abcd") == [("bcd", 2), ("a bcd", 1)]
    assert Speller(["each", "other"]).near("eachother") == [("each other", 1)]


@pytest.mark.parametrize("word", ["Naïve", "co-op", "x", "42"])
def test_what_has_other_letters_is_near_to_nothing(word: str) -> None:
    assert Speller(["naive", "coop", "a", "Upper"]).near(word) == []
