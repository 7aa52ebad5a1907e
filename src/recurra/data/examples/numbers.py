"""Cells to numbers: what is missing is NaN, what is none is told with its place."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError, kind_of

__all__ = [
    "MISSING",
    "MOST",
    "check_ascending",
    "is_absent",
    "numbers_of",
    "series_of",
    "stamps_of",
]

MISSING = {"", "?", "na", "n/a", "nan", "none", "null", "-nan"}

MOST = float(np.finfo(np.float32).max)

Series = npt.NDArray[np.float32]


_ABSENT = {"NoneType", "NAType", "NaTType"}  # of Python, of pandas, of its dates
_ODD = {complex, np.complex64, np.complex128, np.timedelta64, np.datetime64}  # float() takes them


def is_absent(cell: Any) -> bool:
    """Whether a cell is what Python or pandas has where nothing is; NaN is a number."""
    return type(cell).__name__ in _ABSENT


def numbers_of(cells: Sequence[Any], told: Callable[[int], str]) -> npt.NDArray[np.float64]:
    """Numbers, NaN for each cell that is empty, ``?``, ``NA``, ``NaN``, ``null``, None or NA.

    Args:
        cells: texts or numbers.
        told: what errors call a cell, by its place among them.

    Raises:
        DataError: a cell with something else, infinity included.
    """
    try:
        if not _ODD.isdisjoint(map(type, cells)):
            raise ValueError
        found = np.array(list(map(float, cells)), np.float64)
        if _has_underscore(cells):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        found = np.array([_number(c, told, place) for place, c in enumerate(cells)], np.float64)
    if (np.abs(found) > MOST).any():
        place = int((np.abs(found) > MOST).argmax())
        raise DataError(
            f"{told(place)}: expected a finite number that fits into 32 bits, got {cells[place]!r}."
            " Leave the cell empty where nothing is known."
        )
    return found


def _has_underscore(cells: Sequence[Any]) -> bool:
    """Whether there is a number that Python alone knows, 1_000."""
    try:
        return "_" in "".join(cells)
    except TypeError:
        return any("_" in cell for cell in cells if isinstance(cell, str))


def _number(cell: Any, told: Callable[[int], str], place: int) -> float:
    if is_absent(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return float("nan")
    try:
        if (isinstance(cell, str) and "_" in cell) or type(cell) in _ODD:
            raise ValueError
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        shown = repr(cell) if len(repr(cell)) <= 80 else repr(cell)[:77] + "..."
        raise DataError(
            f"{told(place)}: expected a number, got {shown}."
            + (" A column of time stamps is named by data.time." if _is_date(cell) else "")
        ) from None


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return re.match(r"\s*(\d{1,4}([-/.])\d{1,2}\2\d{1,4}|\d{4}-\d\d)\b", cell) is not None
    return isinstance(cell, datetime.date | np.datetime64)


def stamps_of(cells: Sequence[Any], told: Callable[[int], str]) -> npt.NDArray[np.float64]:
    """Time stamps as numbers: numbers, or dates as ISO 8601 writes them.

    Raises:
        DataError: one that is missing, or none of both.
    """
    found = []
    for place, cell in enumerate(cells):
        try:
            found.append(_stamp(cell))
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"{told(place)}: expected a time stamp, a number or a date such as "
                f"2024-01-31T12:00, got {cell!r:.80}."
            ) from None
    return np.array(found, np.float64)


def _stamp(cell: Any) -> float:
    if isinstance(cell, str):
        try:
            number = float(cell)
        except ValueError:
            cell = datetime.datetime.fromisoformat(cell.strip())
        else:
            cell = number
    if isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        cell = datetime.datetime.combine(cell, datetime.time())
    if isinstance(cell, datetime.datetime):
        return (cell if cell.tzinfo else cell.replace(tzinfo=datetime.UTC)).timestamp()
    number = float(cell)
    if not np.isfinite(number):
        raise ValueError
    return number


def check_ascending(
    stamps: npt.NDArray[np.float64], cells: Sequence[Any], told: Callable[[int], str]
) -> None:
    """Whether time goes on from each row to the next.

    Raises:
        DataError: it does not.
    """
    back = np.diff(stamps) <= 0
    if back.any():
        place = int(back.argmax()) + 1
        again = stamps[place] == stamps[place - 1]
        raise DataError(
            f"{told(place)}: expected time stamps that ascend, "
            + (f"{cells[place]!r} is there twice." if again else f"{cells[place]!r} comes after ")
            + ("" if again else f"{cells[place - 1]!r}.")
            + " Sort the rows, or part what belongs to several sequences by data.id, the column "
            "that says to which."
        )


def _told(value: Any) -> str:
    kind = getattr(value, "dtype", None)
    return f"{kind_of(value)} " + ("that is no such array" if kind is None else f"of {kind}")


def series_of(value: Any, place: str, axes: Literal["time", "channels"] = "time") -> Series:
    """A series that Python gives, as float32 ``[time, channels]``.

    Args:
        value: ``[time]`` or two axes, an array, a tensor or lists.
        place: what errors call it.
        axes: which of two axes is first.

    Raises:
        DataError: no numbers, complex ones or spans of time, another number of axes, rows of
            unequal length, or infinity.
    """
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        plain = np.asarray(value)
        if plain.dtype.kind in "cmM":
            raise TypeError
        if plain.dtype == object:
            plain = np.where(np.asarray(np.frompyfunc(is_absent, 1, 1)(plain), bool), np.nan, plain)
        wide = plain.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{place}: expected numbers, with as many channels at each step, got {_told(value)}."
        ) from None
    if wide.ndim == 1:
        wide = wide[:, None]
    elif wide.ndim == 2 and axes == "channels":
        wide = wide.T
    if wide.ndim != 2:
        raise DataError(
            f"{place}: expected a series [time, channels] or [time], got {wide.ndim} axes, "
            f"{list(wide.shape)}."
        )
    with np.errstate(over="ignore"):
        found = wide.astype(np.float32)
    if np.isinf(found).any():
        step, channel = (int(n) for n in np.argwhere(np.isinf(found))[0])
        raise DataError(
            f"{place}: expected finite numbers that fit into 32 bits, got {wide[step, channel]} at "
            f"step {step}, channel {channel}. What is missing is NaN."
        )
    return np.ascontiguousarray(found)
