"""Forms of words, by rules and by the table."""

from __future__ import annotations

import pytest

from recurra.pipeline.correction.inflections import Inflections

WORDS = (
    "stop stops stopped stopping stoped study studies studied studying studyes make makes "
    "made making makeing box boxes boxs the thing thin go goes went gone child children "
    "quick quickly play plays played plaied is are was be as a"
)


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("stop", "stopped stopping stops"),  # the last letter doubles
        ("stopping", "stop stopped stops"),  # from any form to any other
        ("study", "studied studies studying"),
        ("making", "made make makes"),
        ("box", "boxes"),
        ("went", "go goes gone"),
        ("child", "children"),
        ("quickly", "quick"),
        ("played", "play plays"),
        ("was", "are be is"),
    ],
)
def test_forms(word: str, forms: str) -> None:
    assert (
        Inflections([each for each in WORDS.split() if each != "stoped"]).of(word) == forms.split()
    )


@pytest.mark.parametrize("word", ["the", "thing", "as", "unheard"])
def test_little_words_and_unknown_ones_have_none(word: str) -> None:
    assert Inflections(WORDS.split()).of(word) == []


def test_only_known_words_are_forms() -> None:
    assert Inflections(["walk", "walked"]).of("walk") == ["walked"]
