"""Written dates, a column at once: cells of one shape, such as 0000-00-00, are read together."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

__all__ = ["Unreadable", "dates_of"]

_Whole = npt.NDArray[np.int64]
_Parts = dict[str, _Whole]
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
_NAMES = {name: n for n, month in enumerate(_MONTHS, 1) for name in (month, month[:3])}
_TIME = (
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<offset>Z|UTC|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?)?)?"
)
_SHAPES = [
    re.compile(shape + _TIME, re.ASCII)
    for shape in (
        r"(?P<year>\d{4})(?P<by>[-/.])(?P<month>\d{1,2})(?:(?P=by)(?P<day>\d{1,2}))?",
        r"(?P<year>\d{4})-?Q(?P<quarter>\d)",
        r"(?P<name>[A-Za-z]{3,9})\.?[ -](?:(?P<day>\d{1,2}),? )?(?P<year>\d{4})",
        r"(?P<day>\d{1,2})\.?[ -](?P<name>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4})",
        r"(?P<one>\d{1,2})(?P<by>[-/.])(?P<other>\d{1,2})(?P=by)(?P<year>\d{4})",
    )
]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LEAST, _MOST = 1678, 2261  # years that nanoseconds reach


class Unreadable(ValueError):
    """No date.

    Args:
        index: of the cell.
        why: what is wrong with it, if more can be said.
    """

    def __init__(self, index: int, why: str = "") -> None:
        super().__init__(index, why)
        self.index, self.why = index, why


def dates_of(cells: npt.NDArray[np.str_]) -> tuple[npt.NDArray[np.generic], bool]:
    """``datetime64[ns]``, and whether offsets made UTC of it; int64 or float64 of written numbers.

    Raises:
        Unreadable: the first cell that is none of these, or of another kind than the first.
    """
    if not len(cells):
        return np.empty(0, "M8[ns]"), False
    cells = np.strings.strip(np.asarray(cells, np.str_))
    if _NUMBER.fullmatch(str(cells[0])):
        return _numbers(cells), False
    groups, bad = _read(cells)
    aware, apart = "offset" in groups[0][1], "one" in groups[0][1]
    day_first = apart and _day_first([parts for _, parts in groups if "one" in parts])
    made = np.empty(len(cells), np.int64)
    for rows, parts in groups:
        if ("one" in parts) != apart:
            bad.append((int(rows[0]), "in the first cell the year is elsewhere"))
        elif ("offset" in parts) != aware:
            bad.append((int(rows[0]), "either all have an offset from UTC or none"))
        made[rows], good = _joined(parts, day_first)
        bad += [
            (int(row), f"there is no such date from {_LEAST} to {_MOST}") for row in rows[~good][:1]
        ]
    if bad:
        raise Unreadable(*min(bad))
    return made.view("M8[ns]"), aware


def _numbers(cells: npt.NDArray[np.str_]) -> npt.NDArray[np.generic]:
    for kind in (np.int64, np.float64):
        try:
            found = cells.astype(kind)
        except (ValueError, OverflowError):
            continue
        if np.isfinite(found).all():
            return found
    numbers = (_NUMBER.fullmatch(cell) and np.isfinite(float(cell)) for cell in cells.tolist())
    raise Unreadable([bool(one) for one in numbers].index(False), f"the first is {cells[0]}")


def _read(cells: npt.NDArray[np.str_]) -> tuple[list[tuple[_Whole, _Parts]], list[tuple[int, str]]]:
    """Rows of one shape and their parts, for each shape; and what has none.

    Raises:
        Unreadable: the first cell has none.
    """
    codes = cells.view(np.uint32).reshape(len(cells), -1)
    groups, bad = [], []
    for rows in _alike(codes):
        text = str(cells[rows[0]])
        match = next(filter(None, (shape.fullmatch(text) for shape in _SHAPES)), None)
        if match and _NAMES.get((match.groupdict().get("name") or "may").lower()):
            groups.append((rows, _parts(match, codes if len(rows) == len(codes) else codes[rows])))
        elif rows[0]:
            bad.append((int(rows[0]), ""))
        else:
            raise Unreadable(0)
    return groups, bad


def _alike(codes: npt.NDArray[np.uint32]) -> list[_Whole]:
    """Rows that differ in nothing but digits, in order of the first of each."""
    shape = np.zeros(len(codes), np.uint64)
    for column in codes.T:
        digit = (column >= 48) & (column <= 57)
        shape = shape * np.uint64(0x9E3779B97F4A7C15) + np.where(digit, 48, column)
        shape ^= shape >> np.uint64(29)
    if (shape == shape[0]).all():
        return [np.arange(len(codes))]
    _, first, inverse, counts = np.unique(
        shape, return_index=True, return_inverse=True, return_counts=True
    )
    rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    return [rows[group] for group in np.argsort(first)]


def _parts(match: re.Match[str], codes: npt.NDArray[np.uint32]) -> _Parts:
    """The numbers of cells of one shape, each where it stands in the first."""
    parts: _Parts = {}
    for name, text in match.groupdict().items():
        if text and text.isdigit():
            value = np.zeros(len(codes), np.int64)
            for place in range(*match.span(name)):
                value = value * 10 + codes[:, place] - 48
            parts[name] = value * 10 ** (9 - len(text)) if name == "fraction" else value
    found = match.groupdict()
    if found.get("name"):
        parts["month"] = np.full(len(codes), _NAMES[found["name"].lower()])
    if "quarter" in parts:
        parts["month"] = parts["quarter"] * 3 - 2
    if found["offset"]:
        sign = -1 if found["sign"] == "-" else 1
        minutes = parts.get("hours", 0) * 60 + parts.get("minutes", np.int64(0))
        parts["offset"] = sign * np.broadcast_to(minutes, len(codes))
    return parts


def _day_first(groups: list[_Parts]) -> bool:
    """Is it 31.01.2024, not 01/31/2024?

    Raises:
        Unreadable: no cell tells.
    """
    if any((parts["one"] > 12).any() for parts in groups):
        return True
    if any((parts["other"] > 12).any() for parts in groups):
        return False
    raise Unreadable(0, "no cell tells the day from the month; write the year first")


def _joined(parts: _Parts, day_first: bool) -> tuple[_Whole, npt.NDArray[np.bool_]]:
    """Nanoseconds since 1970, and whether there is such a date."""
    if "one" in parts:
        names = ("one", "other") if day_first else ("other", "one")
        parts = {**parts, "day": parts[names[0]], "month": parts[names[1]]}
    year, month, day = parts["year"], parts["month"], parts.get("day", np.int64(1))
    begin, end = (_start(year * 12 + month - 1 + more) for more in (0, 1))
    good = (year >= _LEAST) & (year <= _MOST) & (month >= 1) & (month <= 12)
    good &= (day >= 1) & (begin + day <= end)
    time: _Whole | np.int64 = np.int64(0)
    for name, most in (("hour", 24), ("minute", 60), ("second", 60)):
        part = parts.get(name, np.int64(0))
        good &= part < most
        time = time * 60 + part
    time = time - parts.get("offset", np.int64(0)) * 60
    seconds = (begin + day - 1) * 86_400 + time
    return seconds * 10**9 + parts.get("fraction", np.int64(0)), good


def _start(month: _Whole) -> _Whole:
    """Days since 1970 of the first of a month since the year 0."""
    return (month - 1970 * 12).view("M8[M]").astype("M8[D]").view(np.int64)
