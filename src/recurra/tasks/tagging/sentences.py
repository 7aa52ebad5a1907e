"""What a tagger is trained on: words or series, with a tag for each word or step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recurra.errors import DataError, kind_of
from recurra.tasks.division import Pair

__all__ = ["checked", "words_of"]


def words_of(place: str, given: Any) -> tuple[str, ...]:
    """The words of a sentence.

    Args:
        place: what messages call it.
        given: as it was given.

    Raises:
        DataError: no list, or something in it that is no text.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise DataError(f"{place}: expected a list of words, or a text, got {kind_of(given)}.")
    found = tuple(given)
    for number, word in enumerate(found):
        if not isinstance(word, str):
            raise DataError(
                f"{place}: expected words of text, got {kind_of(word)} at place {number}."
            )
    return found


def checked(pair: Pair) -> Pair:
    """A sentence or series, and as many tags.

    Raises:
        DataError: something else; with the place that it is from.
    """
    words, tags = pair.example, pair.target
    if not isinstance(words, tuple | np.ndarray):
        raise DataError(
            f"{pair.place}: expected words, a list of them for each sentence, or a series [time, "
            f"channels], got {kind_of(words)}. Of files data.input says which."
        )
    if not isinstance(tags, tuple):
        got = "nothing" if tags is None else f"{tags!r:.80}"
        raise DataError(f"{pair.place}: expected a list of tags, one for each word, got {got}.")
    if len(words) != len(tags):
        raise DataError(
            f"{pair.place}: expected a tag for each of its {len(words):,} words or steps, got "
            f"{len(tags):,} tags."
        )
    return pair
