"""Which small edits of a sentence there are."""

from __future__ import annotations

import pytest

from recurra.pipeline.correction.confusions import Change, Confusions

WORDS = (
    "the a of in to for on he she is was information lot like likes walk walked walking "
    "cat cats dog house and people do did science sciences old find we believe very"
)


def edited(text: str, words: str = WORDS) -> set[str]:
    return {change.of(text) for change in Confusions(words.split()).changes(text)}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("He like the dog .", "He likes the dog ."),  # a form
        ("He is in a house .", "He is in the house ."),  # an article
        ("He is in house .", "He is in the house ."),
        ("He is on the the house .", "He is on the house ."),
        ("He is on house .", "He is of house ."),  # a preposition
        ("Walk in to house .", "Walk to house ."),
        ("We like to walk dog .", "We like to walk a dog ."),
        ("he is old .", "He is old ."),  # a capital letter
        ("The people is old .", "The people are old ."),  # an auxiliary, known or not
        ("We find siences .", "We find sciences ."),  # spelling
        ("Beleive the dog .", "Believe the dog ."),  # ... with its capital letter
        ("The the dog is old .", "The dog is old ."),
        ("A dog is old .", "Dog is old ."),
        ("We like alot of cats .", "We like a lot of cats ."),
        ("We dont walk .", "We do n't walk ."),
        ("We dont walk.", "We don't walk."),  # text that is not tokenized stays so
        ("Old people find the house .", "Old people , find the house ."),
        ("Old people find the house.", "Old people, find the house."),
        ("We , find it .", "We find it ."),
        ("We, find it.", "We find it."),
        ("i walk .", "I walk ."),
        ("THE DOG IS OLD", "THE DOG WAS OLD"),
    ],
)
def test_a_mistake_can_be_mended(text: str, right: str) -> None:
    assert right in edited(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("We find Siences .", "We find Sciences ."),  # a name
        ("We find the cats .", "We find the cat s ."),
        ("I find cats .", "i find cats ."),
        ("We find the cats .", "We find the the cats ."),
        ("We find old cats .", "We find a old cats ."),
        ("We find cats .", "We find an cats ."),
    ],
)
def test_what_is_never_offered(text: str, wrong: str) -> None:
    assert wrong not in edited(text)


def test_changes_differ_from_the_text_and_from_each_other() -> None:
    text = "In the house he dont like the old sciense , and the dog ."
    changes = Confusions(WORDS.split()).changes(text)
    assert len(set(changes)) == len(changes) > 20
    assert text not in {change.of(text) for change in changes}
    assert Confusions(WORDS.split()).changes(text) == changes


def test_rare_mistakes_cost() -> None:
    text = "We sciince the cat ."
    costs = {change.of(text): change.cost for change in Confusions(WORDS.split()).changes(text)}
    assert costs["We science the cat ."] == costs["We sciince a cat ."] == 0
    text = "We scinse the cat ."
    costs = {change.of(text): change.cost for change in Confusions(WORDS.split()).changes(text)}
    assert costs["We science the cat ."] > 0  # two changes
    assert costs["We scinse cat ."] > 0  # what is shorter is more probable anyway


@pytest.mark.parametrize("text", ["", "   ", ". , !", "42 %", "\u4f60\u597d", "\U0001f600 '"])
def test_text_without_english_words_is_no_error(text: str) -> None:
    assert all(isinstance(change, Change) for change in Confusions(WORDS.split()).changes(text))
