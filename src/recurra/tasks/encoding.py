"""From what is read to arrays: an example as a model reads it, and what comes in parts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data import ExampleRow
from recurra.data.examples import Reading
from recurra.data.examples.contents import read_picture, read_sound, read_video
from recurra.data.examples.python import value_of
from recurra.data.examples.series import read_series
from recurra.errors import DataError
from recurra.given import text_of
from recurra.tasks.inputs import (
    InputSection,
    is_text,
    joined_words,
    kind_of_front,
    named_input,
    told_at,
)
from recurra_runtime.fronts import Picture, Series, Sound
from recurra_runtime.vocabulary import UNKNOWN

__all__ = ["Incoming", "cut", "encode_inputs", "joined_row", "raw_of", "unknown_of"]


def encode_inputs(
    fronts: Mapping[str, Any], raw: Any, place: str, data: InputSection
) -> tuple[ExampleRow, int]:
    """An example as a model reads it, and how many of its texts were truncated.

    Args:
        fronts: of the inputs, by name.
        raw: what was read: of one input itself, of several a mapping, in which one may be None.
        place: where, for messages.
        data: how.

    Raises:
        DataError: something that cannot be encoded, with its place.
    """
    found, truncated = [], 0
    for name, front in fronts.items():
        value = named_input(raw, name, fronts)
        with told_at(place):
            array = _empty(front) if value is None else _encoded(front, value)
        kept = cut(array, data) if is_text(front) else array
        truncated |= len(kept) < len(array)
        found.append(kept)
    return joined_row(found), truncated


def cut(ids: npt.NDArray[Any], data: InputSection) -> npt.NDArray[Any]:
    """Symbols of a text, at most so many as are read."""
    limit = data.maximum_length
    if limit is None or len(ids) <= limit:
        return ids
    return ids[:limit] if data.truncate == "right" else ids[-limit:]


def raw_of(front: Any, value: Any, place: str, how: Reading | None = None) -> Any:
    """What a front encodes, of what somebody gives: of all but texts perhaps the name of a file.

    Args:
        front: of the input.
        value: as it was given.
        place: what messages call it.
        how: files of series are read.

    Raises:
        DataError: something else, or a file that cannot be read.
    """
    if is_text(front):
        return text_of(place, value)
    kind = kind_of_front(front)
    if not isinstance(value, str | os.PathLike):
        return value_of(value, kind, Reading(), place)
    path = Path(value)
    if kind == "series":
        named = not all(name.isdecimal() for name in front.channels)
        channels = front.channels if named else None
        known = how or Reading(label=None)
        return read_series(
            path, dataclasses.replace(known, input="series", channels=channels)
        ).values
    return _READ[kind](path, str(path))


_READ: dict[str, Callable[[Path, str], Any]] = {
    "sound": read_sound,
    "picture": read_picture,
    "video": read_video,
}


class Incoming:
    """A series or a sound that comes in parts, as frames.

    Args:
        front: of what comes.

    Raises:
        ValueError: recordings that are each scaled whole.
    """

    def __init__(self, front: Series | Sound) -> None:
        self._front = front
        self._sound = front.stream() if isinstance(front, Sound) else None

    def push(self, part: Any) -> npt.NDArray[np.float32]:
        """Frames ``[time, ...]`` that a part makes whole.

        Args:
            part: steps ``[time, channels]`` of a series; of a sound samples ``[samples]``, of the
                rate of the model's recordings.

        Raises:
            DataError: something else.
        """
        try:
            return self._front.encode(part) if self._sound is None else self._sound.push(part)
        except ValueError as problem:
            raise DataError(f"push: {problem}.") from None

    def finish(self) -> npt.NDArray[np.float32]:
        """Frames that waited for those after them.

        Raises:
            DataError: it has finished before.
        """
        if self._sound is None:
            return np.zeros((0, *self._front.shape), np.float32)
        try:
            return self._sound.finish()
        except ValueError as problem:
            raise DataError(f"finish: {problem}.") from None


def joined_row(arrays: Sequence[npt.NDArray[Any]]) -> ExampleRow:
    """One input is an array, several are a tuple."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _encoded(front: Any, value: Any) -> npt.NDArray[Any]:
    if is_text(front):
        ids: npt.NDArray[Any] = front.encode(joined_words(value))
        return ids.astype(np.min_scalar_type(len(front) - 1))
    array: npt.NDArray[Any] = front.encode(value)
    if not isinstance(front, Picture) or front.video:
        return array
    return array[None] if front.size[1] else array.transpose(1, 0, 2)  # or columns are its steps


def _empty(front: Any) -> npt.NDArray[Any]:
    """Of no step: that is what is missing."""
    if is_text(front):
        return np.zeros(0, np.min_scalar_type(len(front) - 1))
    return np.zeros((0, *front.shape), np.float32)


def unknown_of(fronts: Mapping[str, Any], rows: Iterable[ExampleRow]) -> tuple[int, int]:
    """Of all texts how many symbols are unknown, and how many there are."""
    places = [at for at, front in enumerate(fronts.values()) if is_text(front)]
    unknown = symbols = 0
    for row in rows:
        for at in places:
            ids = row[at] if isinstance(row, tuple) else row
            unknown, symbols = unknown + int((ids == UNKNOWN).sum()), symbols + len(ids)
    return unknown, symbols
