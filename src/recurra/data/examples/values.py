"""What Python gives as an input: of which kind it is, and how it becomes one of an example."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.absent import no_file
from recurra.data.examples.base import Kind, Sound, Target
from recurra.data.examples.contents import (
    as_pixels,
    check_sound,
    kind_of_file,
    read_picture,
    read_sound,
    read_video,
)
from recurra.data.examples.numbers import series_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import read_series
from recurra.data.readers import inside, read_text
from recurra.errors import DataError, kind_of

__all__ = [
    "channels_of",
    "check_channels",
    "check_each",
    "content_of",
    "is_list",
    "kind_of_path",
    "kind_of_value",
    "value_of",
]

_SERIES_FILES = (".csv", ".tsv")


def is_list(source: Any) -> bool:
    """Whether it has several things, and is not one text, whose letters would be taken."""
    return isinstance(source, Iterable) and not isinstance(source, str | bytes)


def kind_of_path(path: str | Path) -> Kind | None:
    """What a file that is one example holds, by its ending; None of others."""
    if inside(Path(path)).suffix.lower() in _SERIES_FILES:
        return "series"
    return kind_of_file(path)


def kind_of_value(value: Any, how: Reading) -> Kind:
    """What an input is, as far as it can be seen."""
    if how.input != "auto" and not how.inputs:
        return how.input
    if isinstance(value, Path):
        return kind_of_path(value) or ("video" if value.is_dir() else "text")
    if hasattr(value, "getbands"):  # of Pillow
        return "picture"
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return "text"
    if isinstance(value, Sound | Mapping):
        return "sound"
    if _is_words(value):
        return "words"
    if str(getattr(value, "dtype", "")).endswith("uint8") and value.ndim > 1:
        flat = value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4))
        return "picture" if flat else "video"
    return "series"


def _is_words(value: Any) -> bool:
    """A list of texts, or a column of them."""
    flat = hasattr(value, "__getitem__") and getattr(value, "ndim", 1) == 1
    return flat and not isinstance(value, Mapping) and isinstance(next(iter(value), None), str)


def value_of(
    value: Any, kind: Kind, how: Reading, place: str, channels: Sequence[str] | None = None
) -> Any:
    """An input as of :class:`Example`.

    Args:
        value: as Python gives it; a path, and what is no text also as a text, is that of its file.
        kind: what it is.
        how: files and arrays are read.
        place: what errors call it.
        channels: of a series, those that are expected.

    Raises:
        DataError: it is none of its kind, or a series of other channels.
    """
    if isinstance(value, Path) or (isinstance(value, str) and kind not in ("text", "words")):
        return content_of(Path(value), kind, how, f"{place}: {value}", channels)
    if kind == "series":
        return _series(value, how, place, channels)[0]
    if kind == "words":
        return _words(value, place)
    if kind == "text":
        if isinstance(value, str):
            return value
    elif kind == "sound":
        return _sound(value, place, how.rate)
    else:
        return _pixels(value, kind, place)
    shown = repr(value)
    raise DataError(
        f"{place}: expected a text, got {shown if len(shown) <= 80 else shown[:77] + '...'}."
    )


def content_of(
    source: Path | bytes,
    kind: Kind,
    how: Reading,
    place: str,
    channels: Sequence[str] | None = None,
) -> Any:
    """What is in a file.

    Args:
        source: the file, or its bytes.
        kind: what it is.
        how: it is read.
        place: what errors call it.
        channels: of a series, those that are expected.

    Raises:
        DataError: it is not there, cannot be read, or is a series of other channels.
    """
    if kind == "sound":
        return read_sound(source, place, how.rate)
    if kind == "picture":
        return read_picture(source, place)
    if isinstance(source, bytes):
        raise DataError(f"{place}: expected the name of a file of {kind}, got bytes.")
    if kind == "video":
        return read_video(source, place)
    if not os.path.isfile(source):
        raise no_file(source, place)
    if kind == "series":
        return _series(source, how, place, channels)[0]
    text = read_text(source, encoding=how.encoding, nul=how.nul)
    return tuple(text.split()) if kind == "words" else text


def _series(
    value: Any, how: Reading, place: str, channels: Sequence[str] | None
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """A series and the names of its channels."""
    if isinstance(value, Path):
        values, names, *_ = read_series(value, how)
    else:
        values = series_of(value, place, how.axes)
        size = values.shape[1]
        named = how.channels is not None and len(how.channels) == size
        names = (how.channels or ()) if named else tuple(map(str, range(size)))
    check_channels(names, channels or (), place)
    return values, names


def check_channels(names: Sequence[str], expected: Sequence[str], place: str) -> None:
    """Whether a series has the channels that are expected, if any are.

    Raises:
        DataError: it has others.
    """
    if expected and tuple(names) != tuple(expected):
        raise DataError(
            f"{place}: expected the channels {', '.join(expected)} as in the first example, got "
            f"{', '.join(names)}."
        )


def channels_of(values: Iterable[Any], how: Reading) -> tuple[str, ...]:
    """Names of the channels of the first series that can be read; none if none can."""
    if how.channels is not None:
        return tuple(how.channels)
    for value in values:
        try:
            return _series(value, how, "", ())[1]
        except DataError:
            continue
    return ()


def check_each(value: Any, target: Target, kind: Kind, how: Reading, place: str) -> None:
    """Whether there is a label for each word, or for each step where that is asked for.

    Raises:
        DataError: there are more or fewer.
    """
    what = {"words": "word", "series": "step"}.get(kind)
    asked = kind == "words" or (kind == "series" and how.steps)
    if not (asked and len(how.label_columns) == 1 and isinstance(target, tuple)):
        return
    if len(target) != len(value):
        raise DataError(
            f"{place}: expected a tag for each {what}, got {len(value)} {what}s and "
            f"{len(target)} tags."
        )


def _words(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    words = tuple(value) if is_list(value) else (None,)
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise DataError(f"{place}: expected a list of words, got {word!r:.80}.")
    return words


def _sound(value: Any, place: str, rate: int | None) -> Sound:
    """Of samples and rate, as a pair or as the library datasets has them."""
    if isinstance(value, Mapping):
        samples, found = value.get("array"), value.get("sampling_rate")
    elif isinstance(value, tuple) and len(value) == 2:
        samples, found = value
    else:
        samples, found = value, rate
    if samples is None or found is None or int(found) != found:
        raise DataError(
            f"{place}: expected a pair (samples, rate), got {kind_of(value)}. With the setting "
            "rate samples alone are enough."
        )
    if rate is not None and found != rate:
        raise DataError(f"{place}: expected {rate:,} samples a second, got {found:,}.")
    if np.asarray(samples).dtype == np.int16:
        samples = np.asarray(samples, np.float32) / 32768
    values = series_of(samples, place)
    if values.shape[1] != 1 or np.isnan(values).any():
        raise DataError(
            f"{place}: expected samples of one channel, each a number, got shape "
            f"{list(values.shape)}."
        )
    check_sound(values, int(found), place)
    return Sound(values[:, 0], int(found))


def _pixels(value: Any, kind: Kind, place: str) -> Any:
    if hasattr(value, "getbands"):
        return as_pixels(value, place)
    pixels = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    axes = 2 if kind == "picture" else 3
    known = pixels.ndim == axes or (pixels.ndim == axes + 1 and pixels.shape[-1] <= 4)
    if pixels.dtype != np.uint8 or not known or 0 in pixels.shape:
        shape = "[height, width(, channels)]" if axes == 2 else "[time, height, width(, channels)]"
        raise DataError(
            f"{place}: expected a {kind} {shape} of uint8, got {list(pixels.shape)}, "
            f"{pixels.dtype}."
        )
    return pixels
