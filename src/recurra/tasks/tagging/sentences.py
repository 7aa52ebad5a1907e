"""Sentences with their tags, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recurra.errors import DataError, kind_of
from recurra.tasks.division import Pair

__all__ = ["checked", "words_of"]


def words_of(place: str, given: Any, what: str = "words") -> tuple[str, ...]:
    """The words of a sentence, or its tags.

    Args:
        place: what messages call it.
        given: as it was given.
        what: these are.

    Raises:
        DataError: no list, or something in it that is no text.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        hint = " A text is parted into words by its split()." if isinstance(given, str) else ""
        raise DataError(f"{place}: expected a list of {what}, got {kind_of(given)}.{hint}")
    found = tuple(given)
    for number, word in enumerate(found):
        if not isinstance(word, str):
            raise DataError(
                f"{place}: expected {what} of text, got {kind_of(word)} at place {number}."
            )
    return found


def checked(pair: Pair) -> Pair:
    """A sentence and its tags, as many of one as of the other.

    Raises:
        DataError: something else; with the place that it is from.
    """
    words = words_of(f"{pair.place}, words", pair.example)
    tags = words_of(f"{pair.place}, tags", pair.target, "tags")
    if len(words) != len(tags):
        raise DataError(
            f"{pair.place}: expected a tag for each of its {len(words):,} words, got "
            f"{len(tags):,} tags."
        )
    return pair._replace(example=words, target=tags)
