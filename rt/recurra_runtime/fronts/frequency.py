"""How often a series is measured: a grid of time stamps, or of whole numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.grid import (
    DAY,
    BadStamp,
    Whole,
    ascending,
    checked,
    common,
    days_of,
    month_of,
    weekdays,
    within,
)

__all__ = ["Frequency"]

_UNITS = {
    "D": DAY,
    "h": DAY // 24,
    "min": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS_OF = {"month": 1, "quarter": 3, "year": 12}
_OLD = {
    **dict(zip("HTSLUNdbw", ("h", "min", "s", "ms", "us", "ns", "D", "B", "W"), strict=True)),
    **dict(zip(("M", "Q", "Y", "A", "AS"), ("ME", "QE", "YE", "YE", "YS"), strict=True)),
}
_WORDS = {"hourly": "h", "daily": "D", "weekly": "W", "monthly": "MS", "yearly": "YS"}
_CALENDAR = {
    "MS": ("month", 1),
    "ME": ("month", 31),
    "QS": ("quarter", 1),
    "QE": ("quarter", 31),
    "YS": ("year", 1),
    "YE": ("year", 31),
}
_KNOWN = (*_UNITS, "B", "W", *(f"W-{day}" for day in _WEEKDAYS), *_CALENDAR, "M-15")


@dataclass(frozen=True, slots=True)
class Frequency:
    """A regular step through time; :meth:`parse` and :meth:`infer` make one.

    The grid starts at a stamp: place k is ``count`` units later each. Months, quarters and years
    keep the day of the month (the last day where a month is too short for it), weekdays skip
    Saturdays and Sundays, and all of these keep the time of the day.

    Args:
        unit: ``"number"``, ``"time"``, ``"week"``, ``"weekday"`` (Monday to Friday), ``"month"``,
            ``"quarter"`` or ``"year"``.
        count: units of a step; nanoseconds of ``"time"``.
        day: of the month, 1 to 31, where 31 is the last; of ``"week"`` 0 (Monday) to 6.
        phase: of a quarter or a year, the month of it, from 0, that the stamps stand in.
    """

    unit: str
    count: int
    day: int = 0
    phase: int = 0

    @property
    def name(self) -> str:
        """As pandas 2.2 and later write it; ``"M-15"`` is the 15th of each month.

        ``"1"`` or ``"5"`` is a step of whole numbers.
        """
        if self.unit == "number":
            return str(self.count)
        count, unit = self.count, self.unit
        if unit == "time":
            name, size = next(one for one in _UNITS.items() if count % one[1] == 0)
            count //= size
        elif unit == "week":
            name = f"W-{_WEEKDAYS[self.day]}"
        elif unit == "weekday":
            name = "B"
        elif self.day not in (1, 31):
            name = f"M-{self.day}"
        else:
            name = unit[0].upper() + ("S" if self.day == 1 else "E")
            usual = 0 if self.day == 1 else _MONTHS_OF[unit] - 1
            name += "" if self.phase == usual or unit == "month" else f"-{_MONTHS[self.phase]}"
        return name if count == 1 else f"{count}{name}"

    @property
    def of_days(self) -> bool:
        """Whether it counts days, of which clocks that are changed make some longer or shorter."""
        return self.unit != "number" and (self.unit != "time" or self.count % DAY == 0)

    @property
    def season(self) -> int:
        """Steps of the usual season; 1 where there is none, or no whole number of steps.

        It is the shortest of a second, a minute and an hour that has 24 steps or more, else a day
        of what is shorter, a week of days and of weekdays, a year of what is longer. What is
        shorter than a millisecond has none.
        """
        if self.unit == "time":
            cycles = [size for size in (10**9, 60 * 10**9, DAY // 24) if size >= 24 * self.count]
            cycle = (*cycles, DAY if self.count < DAY else 7 * DAY)[0]
            return 1 if cycle % self.count or self.count < 10**6 else cycle // self.count
        if self.unit == "number":
            return 1
        size = self.count * _MONTHS_OF.get(self.unit, 1)
        year = {"week": 52, "weekday": 5}.get(self.unit, 12)
        return year // size if year % size == 0 else 1

    @classmethod
    def parse(cls, name: str) -> Self:
        """The frequency of a name of pandas, old (``"15T"``, ``"M"``) or new (``"15min"``).

        Raises:
            ValueError: no such frequency; the nearest known one is named.
        """
        found = re.fullmatch(r"(\d*)([A-Za-z]*)(?:-([A-Za-z]{3}|\d{1,2}))?", str(name).strip())
        digits, unit, anchor = found.groups() if found else ("", "", None)
        count = int(digits or 1)
        made = cls._parsed(count, _OLD.get(unit, unit), unit, anchor) if count else None
        if made is None or not (digits or unit):
            near = get_close_matches(
                str(name).lstrip("+-.0123456789"), (*_KNOWN, *_OLD, *_WORDS), 1, 0.0
            )[0]
            raise ValueError(
                f"frequency: expected a name such as 'h', '15min', 'D', 'W-SUN', 'MS' or '1', got "
                f"{name!r}; did you mean {(_OLD | _WORDS).get(near, near)!r}?"
            )
        return made

    @classmethod
    def _parsed(cls, count: int, unit: str, written: str, anchor: str | None) -> Self | None:
        if unit == "W" and (anchor or "SUN").upper() in _WEEKDAYS:
            return cls("week", count, _WEEKDAYS.index((anchor or "SUN").upper()))
        if written == "M" and anchor and anchor.isdigit():
            return cls("month", count, int(anchor)) if 1 <= int(anchor) <= 31 else None
        if unit in _CALENDAR:
            kind, day = _CALENDAR[unit]
            usual = "JAN" if day == 1 else "DEC"
            if (anchor or usual).upper() not in _MONTHS or (anchor and kind == "month"):
                return None
            month = _MONTHS.index((anchor or usual).upper())
            return cls(kind, count, day, month % _MONTHS_OF[kind])
        if anchor:
            return None
        if not unit:
            return cls("number", count)
        if unit == "B":
            return cls("weekday", count)
        return cls("time", count * _UNITS[unit]) if unit in _UNITS else None

    @classmethod
    def infer(cls, many: Sequence[npt.NDArray[Any]]) -> Self | None:
        """The frequency of several series, from their ascending stamps; rows may be missing.

        It is the most common step. Weekdays are told from days with gaps by a Friday that a Monday
        follows, among six stamps or more without a weekend; days and weekdays together are days.
        A series of less than four stamps only has to lie on the grid of the others.

        Returns:
            None where no series has two stamps, or one is not on the grid of its steps.

        Raises:
            BadStamp: series of different frequencies (``series`` tells which), or stamps that do
                not ascend.
            ValueError: dates in one series and numbers in another.
        """
        rows = ascending(many)
        if not rows:
            return None
        first = cls._own(max(rows.values(), key=len))
        if first is not None and first._spans(list(rows.values())):
            return first
        return cls._reconciled(rows)

    def _spans(self, rows: list[npt.NDArray[Any]]) -> bool:
        """Are all on this grid, each with a step of one, or too short for that?"""
        sizes = np.array([len(row) for row in rows])
        starts = np.cumsum(sizes) - sizes
        flat = np.concatenate(rows)
        places, fits = self._places(flat, np.repeat(flat[starts], sizes))
        single = np.append(np.diff(places) == 1, False)
        single[starts[1:] - 1] = False
        stepping = np.add.reduceat(single, starts) > 0
        return bool(fits.all() and (stepping | (sizes < 4)).all())

    @classmethod
    def _reconciled(cls, rows: dict[int, npt.NDArray[Any]]) -> Self | None:
        """What series that seem to differ have in common."""
        own = {index: cls._own(row) for index, row in rows.items()}
        backing: dict[Self, int] = {}
        for index, one in own.items():
            if one is not None:
                backing[one] = backing.get(one, 0) + len(rows[index])
        if not backing:
            return None
        days, weekdays = cls("time", DAY), cls("weekday", 1)
        if days in backing and weekdays in backing:
            backing[days] += backing.pop(weekdays)
        best = max(backing, key=lambda one: backing[one])
        witness = next(index for index, one in own.items() if one == best)
        for index, one in own.items():
            if best._spans([rows[index]]):
                continue
            if one is not None and one != best:
                pair = sorted([(witness, best.name), (index, one.name)])
                raise BadStamp(
                    "frequency: expected one frequency in all series, got "
                    + " and ".join(f"{name!r} in series {place}" for place, name in pair)
                    + "; train them apart, or name the frequency whose grid holds all of them",
                    series=[place for place, _ in pair],
                )
            if not best._places(rows[index], rows[index][:1])[1].all():
                return None
        return best

    @classmethod
    def _own(cls, stamps: npt.NDArray[Any]) -> Self | None:
        """Of one series of two or more ascending stamps."""
        values = stamps.view(np.int64)
        if stamps.dtype.kind != "M":
            made = cls("number", common(np.diff(values)))
        else:
            made = cls._by_month(stamps) or cls._by_time(values)
        return made if made._places(stamps, stamps[:1])[1].all() else None

    @classmethod
    def _by_month(cls, stamps: npt.NDArray[Any]) -> Self | None:
        days, time = np.divmod(stamps.view(np.int64), DAY)
        if (time != time[0]).any():
            return None
        month, day, length = month_of(days)
        kept = 31 if (day == length).all() else int(day.max())
        if (day != np.minimum(kept, length)).any():
            return None
        step = common(np.diff(month))
        if kept not in (1, 31) or step % 3:
            return cls("month", step, kept)
        unit = "quarter" if step % 12 else "year"
        size = _MONTHS_OF[unit]
        return cls(unit, step // size, kept, int(month[0]) % size)

    @classmethod
    def _by_time(cls, values: Whole) -> Self:
        step = common(np.diff(values))
        days = values // DAY
        weekday = (days + 3) % 7
        over = (np.diff(days) == 3) & (weekday[:-1] == 4)
        if step == DAY and len(values) > 5 and (weekday < 5).all() and over.any():
            return cls("weekday", 1)
        if step % (7 * DAY) == 0:
            return cls("week", step // (7 * DAY), int(weekday[0]))
        return cls("time", step)

    def after(self, stamp: Any, count: int) -> npt.NDArray[Any]:
        """The next ``count`` stamps.

        Raises:
            ValueError: the stamp is not on the grid, or they leave the years 1678 to 2261.
        """
        first = self._on_grid(np.asarray(stamp).reshape(1))
        return self._at(first[0], np.arange(1, count + 1))

    def between(self, first: Any, last: Any) -> npt.NDArray[Any]:
        """All stamps of the grid from the first to the last, both included.

        Raises:
            ValueError: one of them is not on the grid, or the last is before the first.
        """
        ends = np.concatenate([np.asarray(one).reshape(1) for one in (first, last)])
        length = int(self.positions(ends)[1])
        if length < 0:
            raise ValueError(f"frequency: expected a last stamp not before {first}, got {last}")
        return self._at(self._on_grid(ends)[0], np.arange(length + 1))

    def positions(self, stamps: npt.NDArray[Any]) -> Whole:
        """The place of each on the grid, int64, counted from the first.

        Raises:
            BadStamp: the index of the first that is not on the grid.
        """
        values = self._on_grid(stamps)
        return self._places(values, values[:1])[0]

    def _on_grid(self, stamps: Any) -> npt.NDArray[Any]:
        values = checked(np.asarray(stamps))
        dates = values.dtype.kind == "M"
        if len(values) and dates == (self.unit == "number"):
            raise ValueError(
                f"frequency {self.name!r}: expected {'numbers' if dates else 'dates'} as stamps, "
                f"got {values.dtype}"
            )
        off = np.flatnonzero(~self._places(values, values[:1])[1])
        if len(off):
            raise BadStamp(
                f"frequency {self.name!r}: expected stamps on its grid from {values[0]}, got "
                f"{values[off[0]]} at index {off[0]}",
                int(off[0]),
            )
        return values

    def _places(
        self, stamps: npt.NDArray[Any], first: npt.NDArray[Any]
    ) -> tuple[Whole, npt.NDArray[np.bool_]]:
        """The place of each, counted from the first, and whether it is on the grid."""
        values, origin = stamps.view(np.int64), first.view(np.int64)
        if self.unit in ("number", "time", "week"):
            size = self.count * (7 * DAY if self.unit == "week" else 1)
            places, rest = np.divmod(values - origin, size)
            if self.unit == "week":
                return places, (rest == 0) & ((values // DAY + 3) % 7 == self.day)
            return places, rest == 0
        (days, time), (start, time_0) = np.divmod(values, DAY), np.divmod(origin, DAY)
        if self.unit == "weekday":
            fits = (days + 3) % 7 < 5
            apart, size = weekdays(days) - weekdays(start), self.count
        else:
            month, day, length = month_of(days)
            size = _MONTHS_OF[self.unit]
            fits = (day == np.minimum(self.day, length)) & (month % size == self.phase)
            apart, size = month - month_of(start)[0], size * self.count
        places, rest = np.divmod(apart, size)
        return places, fits & (rest == 0) & (time == time_0)

    def _at(self, first: Any, places: Whole) -> npt.NDArray[Any]:
        """The stamps at some places, counted from one on the grid."""
        origin = int(np.asarray(first).view(np.int64))
        if self.unit == "number":
            return np.asarray(origin + places * self.count)
        start, time = divmod(origin, DAY)
        last = int(places.max(initial=0))
        if self.unit in ("time", "week"):
            size = self.count * (7 * DAY if self.unit == "week" else 1)
            within(origin + last * size, self.name)
            return (origin + places * size).view("M8[ns]")
        if self.unit == "weekday":
            week, weekday = np.divmod(weekdays(start) + places * self.count, 5)
            days = week * 7 + weekday - 3
        else:
            month = month_of(np.array([start]))[0] + places * self.count * _MONTHS_OF[self.unit]
            begin, end = days_of(month), days_of(month + 1)
            days = np.minimum(begin + self.day, end) - 1
        within(int(days.max(initial=0)) * DAY + time, self.name)
        return np.asarray(days * DAY + time).view("M8[ns]")
