"""Counting: documents become one stream of symbols, and the stream a table of grams per order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError, SettingError
from recurra.settings import check_size

__all__: list[str] = []

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_MOST = 2**31 - 1


class _Frame(NamedTuple):
    """The settings, and how documents become one stream of symbols."""

    order: int
    vocabulary_size: int
    start: int
    end: int | None

    def checked(self) -> _Frame:
        """The same settings as Python's own integers.

        Raises:
            SettingError: one is out of its range.
        """
        order = check_size("NGram: order", self.order, 1, 64)
        size = check_size("NGram: vocabulary_size, start included", self.vocabulary_size, 2, _MOST)
        start = check_size("NGram: start", self.start, 0, size - 1)
        end = None if self.end is None else check_size("NGram: end", self.end, 0, size - 1)
        if start == end:
            raise SettingError(
                f"NGram: end: expected another id than start, or None for no end, got {end}"
            )
        return _Frame(order, size, start, end)

    def stream(self, documents: Iterable[npt.ArrayLike]) -> Ints:
        """All documents end to end, ``[time]``, each behind ``order - 1`` start symbols.

        Start symbols cannot be inside documents: what is predicted is what is not one.

        Raises:
            DataError: a document is not made of such ids.
        """
        before = np.full(self.order - 1, self.start, np.int64)
        after = np.array([] if self.end is None else [self.end], np.int64)
        checked = [_ids(document, f"document {i}") for i, document in enumerate(documents)]
        around = [symbol for symbol in (self.start, self.end) if symbol is not None]
        _check_range(checked, "document", self.vocabulary_size, around)
        parts = [part for ids in checked for part in (before, ids, after)]
        return np.concatenate([before[:0], *parts])


class _Level(NamedTuple):
    """All grams of one length, sorted by key; a gram's number is its place in this order.

    A key is the number of the gram's history (a gram one shorter) * vocabulary_size + its last
    symbol: below 2**63 for any text that fits in memory, whatever the order. ``mass`` and
    ``backoff`` end with what holds for the number -1, "never counted".

    Args:
        keys: ``[grams]``.
        counts: ``[grams]``.
        mass: ``[grams + 1]``.
        backoff: ``[histories + 1]``.
    """

    keys: Ints
    counts: Ints
    mass: Floats
    backoff: Floats

    def find(self, history: Ints, symbols: Ints, vocabulary_size: int) -> Ints:
        """The numbers of the grams; -1 where never counted, as after a history -1."""
        key = history * vocabulary_size + symbols
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[place] == key, place, -1)


def _endings(levels: Sequence[_Level], symbols: Ints, vocabulary_size: int) -> Iterator[Ints]:
    """The numbers of the grams of length 0, 1, ... that end before each position.

    Symbols are ``[..., time]``, each of the results, one more than levels, ``[..., time + 1]``: at
    t the number of the gram that ends with symbol t - 1, -1 where it was never counted.
    """
    ending = np.zeros((*symbols.shape[:-1], symbols.shape[-1] + 1), np.int64)
    yield ending
    for level in levels:
        longer = np.full_like(ending, -1)
        longer[..., 1:] = level.find(ending[..., :-1], symbols, vocabulary_size)
        ending = longer
        yield ending


def _count(stream: Ints, frame: _Frame, lower_orders: bool) -> list[tuple[Ints, Ints]]:
    """Keys and counts (see :class:`_Level`) of every order for a stream ``[time]``.

    The counts below the top order are those of left neighbors, or zeros without ``lower_orders``.
    """
    predicted = stream != frame.start
    # Of the gram that ends before each position; its type is small, this takes the most memory.
    number = np.zeros(len(stream) + 1, np.min_scalar_type(-len(stream) - 1))
    pure = np.ones(len(stream) + 1, np.bool_)  # whether that gram is all start symbols
    grams: list[tuple[Ints, Ints]] = []
    for k in range(1, frame.order + 1):
        # Histories of start symbols alone must be in the table, grams across documents must not.
        pure = np.append(False, pure[:-1] & ~predicted)
        kept = predicted if k == frame.order else predicted | pure[1:]
        keys, places = _distinct(
            number[:-1][kept].astype(np.int64) * frame.vocabulary_size + stream[kept], number.dtype
        )
        shorter, number = number[1:][predicted], np.full_like(number, -1)
        number[1:][kept] = places
        del places
        ending = number[1:][predicted]
        if k > 1:  # the grams of length k tell how many left neighbors those of k - 1 have
            suffix = np.full(len(keys), -1)  # stays -1 for the gram of start symbols alone
            suffix[ending] = shorter
            left = np.bincount(suffix[suffix >= 0], minlength=len(grams[-1][0]))
            grams[-1] = (grams[-1][0], left * lower_orders)
        grams.append((keys, np.bincount(ending, minlength=len(keys))))
    return grams


def _distinct(keys: Ints, dtype: npt.DTypeLike) -> tuple[Ints, npt.NDArray[np.signedinteger[Any]]]:
    """The distinct keys, sorted, and the place of every key among them, as ``dtype``.

    ``np.unique`` says the same, and takes twice the memory for it.
    """
    order = np.argsort(keys)
    keys = keys[order]
    first = np.append(True, keys[1:] != keys[:-1])
    keys = keys[first]
    places = np.empty(len(order), dtype)
    places[order] = np.cumsum(first, dtype=dtype) - 1
    return keys, places


def _ids(values: npt.ArrayLike, name: str) -> Ints:
    """Values as int64 ``[time]``.

    Raises:
        DataError: they are something else.
    """
    try:
        ids = np.asarray(values)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name}: expected a 1-d array of integer ids ({problem})") from None
    # An empty list becomes a float array: no matter.
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DataError(
            f"{name}: expected a 1-d array of integer ids, got {ids.dtype} of shape "
            f"{list(ids.shape)}; one document is a list of one array"
        )
    return ids.astype(np.int64, copy=False)


def _check_range(
    arrays: Sequence[Ints], name: str, vocabulary_size: int, around: Sequence[int] = ()
) -> None:
    """Refuse ids outside [0, vocabulary_size), and those that only stand around documents."""
    joined = np.concatenate([np.zeros(0, np.int64), *arrays])
    bad = (joined < 0) | (joined >= vocabulary_size) | np.isin(joined, around)
    if not bad.any():
        return
    place = int(np.argmax(bad))
    begins = np.cumsum([0, *(len(ids) for ids in arrays)])
    which = int(np.searchsorted(begins, place, side="right")) - 1
    without = f" without the start and end symbols {list(around)}" if around else ""
    raise DataError(
        f"{name}{f' {which}' if around else ''}: expected ids of 0 to {vocabulary_size - 1}"
        f"{without}, got {joined[place]} at position {place - begins[which]}; encode with the "
        "model's vocabulary, and leave start and end symbols to the model"
    )
