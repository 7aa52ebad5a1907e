"""What the grids of all frequencies share: stamps as whole numbers, months, weekdays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "DAY",
    "LEAST",
    "MOST",
    "BadStamp",
    "Whole",
    "ascending",
    "checked",
    "common",
    "days_of",
    "month_of",
    "weekdays",
    "within",
]

Whole = npt.NDArray[np.int64]
DAY = 86_400_000_000_000  # nanoseconds
LEAST, MOST = np.datetime64("1678-01-01", "us"), np.datetime64("2262-01-01", "us")  # of these


class BadStamp(ValueError):
    """A time stamp that cannot be.

    Args:
        told: what is wrong.
        index: of the stamp in its column or series; None if it is of no single one.
        series: indices of the series that it is about; empty where there is one alone.
    """

    def __init__(self, told: str, index: int | None = None, series: Sequence[int] = ()) -> None:
        super().__init__(told)
        self.index, self.series = index, tuple(series)


def checked(stamps: npt.NDArray[Any], series: int | None = None) -> npt.NDArray[Any]:
    """Stamps as int64 or as ``datetime64[ns]``, of one of several series if that is given.

    Raises:
        BadStamp: another shape or kind, a fraction, a missing one, or years before 1678 or
            after 2261.
    """
    stamps = np.asarray(stamps)
    where, several = ("", ()) if series is None else (f"series {series}: ", (series,))
    if stamps.ndim != 1 or (stamps.dtype.kind not in "Miuf" and stamps.size):
        raise BadStamp(
            f"frequency: {where}expected stamps of one axis, dates or whole numbers, got "
            f"{stamps.dtype}{list(stamps.shape)}",
            series=several,
        )
    if stamps.dtype.kind == "M":
        bad, kind = ~((stamps >= LEAST) & (stamps < MOST)), "M8[ns]"
    else:
        bad, kind = ~((stamps == np.floor(stamps)) & np.isfinite(stamps)), "i8"
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise BadStamp(
            f"frequency: {where}expected dates or whole numbers, got {stamps[index]} at index "
            f"{index}",
            index,
            several,
        )
    return np.ascontiguousarray(stamps, kind)


def ascending(many: Sequence[npt.NDArray[Any]]) -> dict[int, npt.NDArray[Any]]:
    """Series of two stamps or more by their index; of those with the same stamps the first.

    Raises:
        BadStamp: as of :func:`checked`, or stamps that do not ascend.
        ValueError: dates and numbers.
    """
    alike: dict[tuple[str, bytes], int] = {}
    for index, stamps in enumerate(many):
        alike.setdefault((stamps.dtype.str, stamps.tobytes()), index)
    rows = {index: checked(many[index], index) for index in alike.values()}
    if len({row.dtype.kind for row in rows.values() if len(row)}) > 1:
        raise ValueError("frequency: expected dates or numbers in all series, got both")
    for index, row in rows.items():
        back = np.flatnonzero(np.diff(row.view(np.int64)) <= 0)
        if len(back):
            raise BadStamp(
                f"frequency: expected ascending stamps, in series {index} stamp {back[0] + 1} "
                f"({row[back[0] + 1]}) is not after {row[back[0]]}",
                int(back[0]) + 1,
                (index,),
            )
    return {index: row for index, row in rows.items() if len(row) > 1}


def common(steps: Whole) -> int:
    """The most common; the least of several."""
    found, counts = np.unique(steps, return_counts=True)
    return int(found[counts.argmax()])


def days_of(month: Whole) -> Whole:
    """Days from 1970 to the first of some months since then."""
    return month.view("M8[M]").astype("M8[D]").view(np.int64)


def month_of(days: Whole) -> tuple[Whole, Whole, Whole]:
    """Month since 1970, day of it from 1, and its length."""
    month = days.view("M8[D]").astype("M8[M]").view(np.int64)
    begin = days_of(month)
    return month, days - begin + 1, days_of(month + 1) - begin


def weekdays(days: Any) -> Any:
    """Mondays to Fridays since a Monday, 29 December 1969."""
    week, weekday = np.divmod(days + 3, 7)
    return week * 5 + np.minimum(weekday, 5)


def within(last: int, name: str) -> None:
    """Refuse what nanoseconds cannot hold.

    Raises:
        ValueError: the last stamp, in nanoseconds since 1970, is behind 2261.
    """
    if last >= 2**63:
        raise ValueError(f"frequency {name!r}: expected stamps before the year 2262")
