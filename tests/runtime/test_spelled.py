"""Words with the letters inside, and how a text is parted as they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra_runtime.vocabulary import (
    RESERVED,
    UNKNOWN,
    CharacterVocabulary,
    SpelledWords,
    vocabulary_from_json,
)

SENTENCES = [("The", "cat", "sat"), ("the", "Cat", "mat", "mat")]


def test_by_hand() -> None:
    front = SpelledWords.of(SENTENCES)
    assert front.words == ("cat", "mat", "the", "sat")  # the frequent first, then by the alphabet
    assert len(front) == 4 + len(RESERVED)
    letters = sorted({*"Thecatsatm", *"Cat"})
    assert front.characters.characters == tuple(letters)
    found = front.encode(["Mat", "The", "dog"])
    assert found.ids.tolist() == [4, 5, UNKNOWN]
    assert found.ids.dtype == found.letters.dtype == np.int64
    known = {letter: number for number, letter in enumerate(letters, len(RESERVED) + 1)}
    # "M", "d", "o", "g" are letters that no word has; case is kept, and 0 is no letter.
    assert found.letters.tolist() == [
        [1, known["a"], known["t"]],
        [known["T"], known["h"], known["e"]],
        [1, 1, 1],
    ]
    assert front.letters == max(known.values()) + 1
    assert front.encode(["a", "cat"]).letters[0].tolist() == [known["a"], 0, 0]


def test_case_may_be_kept() -> None:
    front = SpelledWords.of(SENTENCES, lower=False)
    assert set(front.words) == {"The", "the", "cat", "Cat", "sat", "mat"}
    assert front.encode(["THE"]).ids.tolist() == [UNKNOWN]


def test_rare_words_are_told_by_their_letters() -> None:
    front = SpelledWords.of(SENTENCES, minimum=2)
    assert front.words == ("cat", "mat", "the")
    assert front.encode(["sat"]).ids.tolist() == [UNKNOWN]
    assert (front.encode(["sat"]).letters > 1).all()
    assert SpelledWords.of(SENTENCES, size=4).words == ("cat",)


def test_a_sentence_may_be_empty_and_a_word_too() -> None:
    front = SpelledWords.of(SENTENCES)
    nothing = front.encode([])
    assert nothing.ids.shape == (0,)
    assert nothing.letters.shape == (0, 0)
    assert front.encode([""]).letters.shape == (1, 0)


def test_of_a_long_word_both_ends_are_read() -> None:
    front = SpelledWords.of([("abcdefghijklmnopqrstuvwxyz",)])
    spelled = front.encode(["abcdefghijklmnopqrstuvwxyz", "abc"]).letters
    assert spelled.shape == (2, SpelledWords.LONGEST)
    read = [*range(4, 4 + 12), *range(4 + 14, 4 + 26)]
    assert spelled[0].tolist() == read


def test_white_space_is_a_letter() -> None:
    front = SpelledWords.of([("2 000", "a\tb")])
    assert front.encode(["2 000"]).ids.tolist() == [3]
    assert front.encode(["2 000"]).letters.shape == (1, 5)


PARTED = [
    ("They left.", ["They", "left", "."]),
    ("The U.S. won...", ["The", "U.S.", "won", "..."]),  # and not "..", which is known too
    ("U.S., here", ["U.S.", ",", "here"]),
    ("don't we've it's", ["do", "n't", "we", "'ve", "it", "'s"]),
    ("Anna\u2019s O'Brien", ["Anna", "\u2019s", "O'Brien"]),
    ("DON'T", ["DO", "N'T"]),
    ("well-known e-mail", ["well", "-", "known", "e-mail"]),
    (" :-)  \n(10.5%) ", [":-)", "(", "10.5", "%", ")"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "words"), PARTED)
def test_a_text_is_parted_as_known_words_are(text: str, words: list[str]) -> None:
    known = ["u.s.", "..", "...", "do", "n't", "'ve", "'s", "\u2019s", "e-mail", ":-)", "we", "it"]
    front = SpelledWords(known, CharacterVocabulary("a"))
    assert front.split(text) == words
    plain = SpelledWords(known, CharacterVocabulary("a"), punctuation=False)
    assert plain.split(text) == text.split()


def test_both_parts_known_go_before_a_longer_end() -> None:
    front = SpelledWords(["ca", "n't", "an't", "'t"], CharacterVocabulary("a"))
    assert front.split("can't") == ["ca", "n't"]
    assert front.split("won't") == ["wo", "n't"]  # the longest end, as no beginning is known


@pytest.mark.parametrize("lower", [True, False])
def test_json(lower: bool) -> None:
    front = SpelledWords.of([("Ünï", "a b"), ("\ud800",)], lower=lower, punctuation=False)
    again = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert again.to_json() == front.to_json()
    for one, other in zip(again.encode(["ünï", "q"]), front.encode(["ünï", "q"]), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"words": ["a", "a"]}, "each word once"),
        ({"words": ["A"]}, "in lower case, got 'A'"),
        ({"words": [1]}, "got 1"),
        ({"words": None}, "expected a list 'words'"),
        ({"characters": ["ab"]}, "single characters"),
        ({"lower": None}, "lower true or false, got None"),
        ({"punctuation": 1}, "punctuation true or false, got 1"),
    ],
)
def test_json_of_another_shape(change: dict[str, Any], told: str) -> None:
    data = {"kind": "spelled-words", "lower": True, "punctuation": True}
    data |= {"words": ["a"], "characters": ["a"]}
    vocabulary_from_json(data)
    with pytest.raises(ValueError, match=told):
        vocabulary_from_json(data | change)


@pytest.mark.parametrize("settings", [{"minimum": 0}, {"size": 2}])
def test_what_cannot_be(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="spelled words: expected a"):
        SpelledWords.of(SENTENCES, **settings)
