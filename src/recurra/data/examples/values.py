"""What Python gives as an input: of which kind it is, and how it becomes one of an example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recurra.data.examples.base import Kind, Sound
from recurra.data.examples.contents import as_pixels
from recurra.data.examples.numbers import series_of
from recurra.data.examples.reading import Reading
from recurra.errors import DataError, kind_of

__all__ = ["is_list", "kind_of_value", "value_of"]


def is_list(source: Any) -> bool:
    """Whether it has several things, and is not one text, whose letters would be taken."""
    return isinstance(source, Iterable) and not isinstance(source, str | bytes)


def kind_of_value(value: Any, how: Reading) -> Kind:
    """What an input is, as far as it can be seen."""
    if how.input != "auto" and not how.inputs:
        return how.input
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
    held: Any = value if hasattr(value, "__getitem__") and not isinstance(value, Mapping) else ()
    return len(held) > 0 and isinstance(held[0], str)


def value_of(value: Any, kind: Kind, how: Reading, place: str) -> Any:
    """An input as of :class:`Example`.

    Raises:
        DataError: it is none of its kind.
    """
    if kind == "series":
        return series_of(value, place, how.axes)
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
