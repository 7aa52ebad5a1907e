"""Which settings of ``[data]`` each kind of input reads: those of absent kinds have no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["SYMBOLS", "unread_data"]

SYMBOLS = ("vocabulary", "vocabulary_size", "minimum_count", "lower", "punctuation")
"""Settings of how texts fall into symbols, which are read or said."""

_OF_KIND: dict[str, tuple[str, ...]] = {
    "text": (*SYMBOLS, "unit", "maximum_length", "truncate"),
    "words": SYMBOLS,
    "series": ("id", "time", "channels", "axes", "missing"),
    "sound": (
        *("rate", "resample", "features", "bins", "coefficients", "frame", "shift", "deltas"),
        "normalization",
    ),
    "picture": ("picture_size", "picture_mode", "picture_height", "right_to_left"),
    "video": ("picture_size", "picture_mode", "deltas"),
}


def unread_data(
    data: Any, kinds: Collection[str], said: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Settings that no input of these kinds reads, each with why.

    Args:
        data: the section; a setting that it has not is none.
        kinds: of the inputs.
        said: settings that are read of what is to be said.
    """
    read = {*said, *(name for kind in kinds for name in _OF_KIND[kind])}
    if getattr(data, "labels", None) is not None:
        read.add("id")  # a column of that table
    for name in dict.fromkeys(name for names in _OF_KIND.values() for name in names):
        if name in type(data).model_fields and name not in read:
            of = [kind for kind, names in _OF_KIND.items() if name in names and kind != "words"]
            yield f"data.{name}", f"no {' or '.join(of)} is read"
