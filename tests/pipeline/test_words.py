"""Symbols as parts of words."""

from __future__ import annotations

import pytest

from recurra.data import ByteVocabulary
from recurra.pipeline.words import Pieces, WordRule

# The first and last characters of 1, 2, 3 and 4 bytes that are letters, and marks beside them.
CHARACTERS = "az\xe9\u07ea\u0904\ufb00\uffdc\U00010000\U00030000" + ",'5 \xab\u2026\uff0c\U0001f600"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("character", CHARACTERS)
def test_whole_characters_go_on_with_words_as_the_rule_says(character: str, begun: bool) -> None:
    pieces, raw = Pieces(ByteVocabulary()), character.encode()
    expected = WordRule().inside(character, begun)
    assert pieces.goes_on(raw, begun) is expected
    assert pieces.goes_on(raw + b"z,", begun) is expected
