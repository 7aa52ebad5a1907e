"""Keys counted: by hand where all suggestions are known, and slowly from scratch."""

from __future__ import annotations

import re

import pytest
from pipeline.toys import TEXT, ngram, recurrent, vocabularies

from recurra.errors import SettingError
from recurra.models import AddK
from recurra.pipeline import KeystrokeSavings, PredictiveText, TextModel, keystrokes_saved
from recurra_runtime.vocabulary import CharacterVocabulary, LabelVocabulary, WordVocabulary

WORDS = WordVocabulary(["ab", "abc", "abcd", "x", ".", "long"])


def cycle(vocabulary: WordVocabulary = WORDS) -> TextModel:
    """Always ab abcd x . long, without a doubt."""
    return ngram(vocabulary, 2, "ab abcd x. long ab", smoothing=AddK(0))


@pytest.mark.parametrize(
    ("text", "typed", "accepted"),
    [
        ("", 0, 0),
        ("ab", 0, 1),  # suggested before its first letter, two characters for a key
        ("ab ", 0, 1),  # and the space
        ("ab abcd", 0, 2),
        ("ab abcd x", 1, 2),  # one letter without a space saves nothing
        ("ab abcd x ", 0, 3),  # with one it saves a key
        ("ab abcd x. long ", 3, 3),  # x, the point and the space behind it are typed
        ("ab long", 4, 1),  # not expected there
        ("  ab", 2, 1),
    ],
)
def test_counted_by_hand(text: str, typed: int, accepted: int) -> None:
    found = keystrokes_saved(cycle(), text, 1)
    assert found == KeystrokeSavings(typed, accepted, len(text))


def test_the_share_that_is_saved() -> None:
    assert KeystrokeSavings(3, 2, 20).saved == 0.75
    assert KeystrokeSavings(7, 0, 7).saved == 0
    assert KeystrokeSavings(0, 0, 0).saved == 0


def test_a_word_is_accepted_as_soon_as_it_is_shown() -> None:
    text = "abc abc abc abcd abcd ab"
    model = ngram(WORDS, 1, text, smoothing=AddK(0))
    assert keystrokes_saved(model, "abcd", 3) == KeystrokeSavings(0, 1, 4)
    assert keystrokes_saved(model, "abcd", 2) == KeystrokeSavings(0, 1, 4)
    assert keystrokes_saved(model, "abcd", 1) == KeystrokeSavings(4, 0, 4)


def count(model: TextModel, text: str, shown: int) -> KeystrokeSavings:
    """The same, from scratch at every position, with words found by a pattern."""
    typed = accepted = place = 0
    words = [
        m.span() for m in re.finditer(r"[^\W_][^\W_'\u2019]*(?:['\u2019]+[^\W_'\u2019]*)*", text)
    ]
    while place < len(text):
        span = next(((a, b) for a, b in words if a <= place < b), None)
        gain = 0
        if span is not None:
            entry = PredictiveText(model)
            entry.type(text[:place])
            if text[place : span[1]] in [each.rest for each in entry.suggestions(shown)]:
                gain = span[1] - place + (text[span[1] : span[1] + 1] == " ")
        if gain > 1:
            accepted, place = accepted + 1, place + gain
        else:
            typed, place = typed + 1, place + 1
    return KeystrokeSavings(typed, accepted, len(text))


TYPED = "The cat's dogs can't sit there, (the cat saw) and 12 caf\xe9s.\nthe \u2603 cattle  "


@pytest.mark.parametrize("name", [n for n in vocabularies() if n != "split words"])
@pytest.mark.parametrize("shown", [1, 3])
def test_counted_from_scratch(name: str, shown: int) -> None:
    model = ngram(vocabularies()[name], 4)
    found = keystrokes_saved(model, TYPED, shown)
    assert found == count(model, TYPED, shown)
    assert found.accepted > 5


def test_a_recurrent_model_types_too() -> None:
    model = recurrent(CharacterVocabulary.of([TEXT]))
    assert keystrokes_saved(model, "the cat sat", 3) == count(model, "the cat sat", 3)


def test_words_between_white_space() -> None:
    model = ngram(vocabularies()["split words"], 3)
    found = keystrokes_saved(model, "the cat sat on the mat. the", 3)
    assert found.saved > 0.6
    assert found.typed < 4


def test_more_suggestions_save_more() -> None:
    model = ngram(CharacterVocabulary.of([TEXT]), 4)
    saved = [keystrokes_saved(model, "the dogs sat on the cat's mat", n).saved for n in (1, 2, 5)]
    assert saved == sorted(saved)
    assert saved[0] < saved[-1]


def test_settings_are_checked_at_once() -> None:
    with pytest.raises(SettingError, match="suggestions"):
        keystrokes_saved(cycle(), "", 0)
    topics = LabelVocabulary(["war"])
    made = recurrent(WORDS, conditions={"topic": len(topics)}).model
    model = TextModel(made, WORDS, "lstm", {"topic": topics})
    with pytest.raises(SettingError, match="needs 'topic'"):
        keystrokes_saved(model, "ab")
    assert keystrokes_saved(model, "ab x", given={"topic": "war"}).characters == 4
