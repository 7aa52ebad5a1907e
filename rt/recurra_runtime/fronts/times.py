"""Columns of time stamps: read from whatever they are written as, and their time zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.dates import Unreadable, dates_of
from recurra_runtime.fronts.grid import DAY, LEAST, MOST, BadStamp

__all__ = ["Stamps", "local", "stamps", "universal", "zoned"]

_Dates = npt.NDArray[np.datetime64]
_SECOND = 1_000_000_000
_FORMS = "a date such as 2024-01-31 or 2024-01-31T12:00, or a number"


class Stamps(NamedTuple):
    """A column of time stamps.

    Args:
        values: ``datetime64[ns]`` (wall time, UTC where there is a zone), int64 or float64.
        zone: ``None``, or the time zone that they came in: ``"Europe/Berlin"``, ``"UTC"``,
            ``"+01:00"``. Written offsets are ``"UTC"``, as the place is not known.
    """

    values: npt.NDArray[Any]
    zone: str | None = None


def stamps(cells: Any) -> Stamps:
    """A column of time stamps as an array.

    Text is read in ISO 8601 (``2024-01-31T12:00:00.5+01:00``, a blank for the T, ``/`` or ``.`` for
    the dash, ``2024-01``, ``2024-Q1``) and with names of months (``Jan 31 2024``, ``31 Jan 2024``);
    ``31.01.2024`` and ``1/31/2024`` only where another cell says which number is the day. Numbers
    stay numbers, also written ones.

    Args:
        cells: list or array of text, numbers, ``datetime``, ``date`` or ``datetime64``, or a column
            of a data frame of pandas or polars.

    Raises:
        BadStamp: the index of the first cell that is missing or unreadable.
        ValueError: no column of one axis, or of another type than dates, texts and numbers.
    """
    kind = getattr(cells, "dtype", None)
    zone = getattr(kind, "tz", None) or getattr(kind, "time_zone", None)
    if zone is not None:
        # pandas makes objects of these, unless it is asked for numbers; polars knows UTC alone.
        given = np.asarray(cells, "M8[ns]") if hasattr(kind, "tz") else cells.to_numpy()
        return Stamps(_dates(given), _name(zone))
    if str(kind).startswith("period"):  # of pandas: a period is where it begins
        cells = cells.astype("datetime64[ns]")
    given = cells.to_numpy() if hasattr(cells, "to_numpy") else cells
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise ValueError(f"time stamps: expected a column of cells, got {given!r}")
    if not isinstance(given, np.ndarray):
        return _listed(list(given))
    if given.ndim != 1:
        raise ValueError(f"time stamps: expected one axis, got shape {list(given.shape)}")
    if given.dtype.kind in "UT":
        return _texts(given)
    return _listed(given.tolist()) if given.dtype.kind == "O" else Stamps(_array(given))


def _array(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if given.dtype.kind == "M":
        return _dates(given)
    if given.dtype.kind not in "iuf":
        raise ValueError(f"time stamps: expected {_FORMS}, got {given.dtype}")
    bad = np.flatnonzero(~np.isfinite(given))
    if len(bad):
        raise _unread(bad[0], given[bad[0]])
    if given.dtype.kind == "u" and given.max(initial=0) >= 2**63:
        raise _unread(int(given.argmax()), given.max())
    return given.astype(np.float64 if given.dtype.kind == "f" else np.int64)


def _dates(given: npt.NDArray[Any]) -> _Dates:
    """Dates of any unit in nanoseconds, which reach from 1678 to 2261."""
    bad = np.flatnonzero(~((given >= LEAST) & (given < MOST)))
    if len(bad):
        raise _unread(bad[0], given[bad[0]], "dates reach from 1678 to 2261")
    return given.astype("M8[ns]")


def _listed(cells: list[Any]) -> Stamps:
    """Of cells that are objects of Python: all text, all numbers, or all dates."""
    kinds = set(map(type, cells))
    if all(issubclass(kind, str) for kind in kinds):
        return _texts(np.array(cells, np.str_))
    number = (int, float, np.integer, np.floating)
    if all(issubclass(kind, number) and kind is not bool for kind in kinds):
        return Stamps(_array(np.array(cells)))
    dated = (date, np.datetime64)  # a datetime is a date as well
    if not all(issubclass(kind, dated) for kind in kinds):
        home = next((one for one in (str, number, dated) if isinstance(cells[0], one)), dated)
        odd = (i for i, cell in enumerate(cells) if not isinstance(cell, home))
        index = next(odd, 0)
        raise _unread(index, cells[index], f"the first is {cells[0]!r}" if index else "")
    plain = [_universal(cell) for cell in cells]
    if not all(issubclass(kind, datetime) for kind in kinds):  # dates are no time without a unit
        plain = [np.datetime64(cell) for cell in plain]
    values = _dates(np.array(plain, "M8[us]"))
    if any(isinstance(cell, np.datetime64) for cell in plain):  # with nanoseconds, maybe
        values = np.array(plain, "M8[ns]")
    return Stamps(values, _zone_of(cells))


def _universal(cell: Any) -> Any:
    """Naive UTC, or as it is; that of pandas with its nanoseconds."""
    if hasattr(cell, "to_datetime64"):
        return cell.to_datetime64()
    aware = isinstance(cell, datetime) and cell.tzinfo is not None
    return cell.astimezone(UTC).replace(tzinfo=None) if aware else cell


def _zone_of(cells: list[Any]) -> str | None:
    """The one zone of all cells, UTC of several.

    Raises:
        ValueError: only some have one.
    """
    zones = [getattr(cell, "tzinfo", None) for cell in cells]
    found = {id(zone): zone for zone in zones}.values()
    if None not in found:
        names = {_name(zone) for zone in found}
        return names.pop() if len(names) == 1 else "UTC"
    if len(found) > 1:
        odd = next(i for i, zone in enumerate(zones) if (zone is None) != (zones[0] is None))
        raise _unread(odd, cells[odd], "either all have a time zone or none")
    return None


def _name(zone: Any) -> str:
    """Of a zone, as :func:`local` reads it."""
    name = zone if isinstance(zone, str) else getattr(zone, "key", getattr(zone, "zone", None))
    if name is None:
        fixed = zone.utcoffset(None)
        if fixed is None:
            raise ValueError(f"time stamps: expected a time zone with a name, got {zone!r}")
        name = datetime(1970, 1, 1, tzinfo=zone).isoformat()[19:] if fixed else "UTC"
    return str(name)


def _texts(cells: npt.NDArray[Any]) -> Stamps:
    try:
        values, aware = dates_of(cells)
    except Unreadable as bad:
        raise _unread(bad.index, str(cells[bad.index]), bad.why) from None
    return Stamps(values, "UTC" if aware else None)


def _unread(index: Any, cell: Any, why: str = "") -> BadStamp:
    absent = cell is None or not str(cell).strip() or str(cell) in ("nan", "NaN", "NaT", "<NA>")
    got = "none, it is missing" if absent else repr(cell)
    end = f": {why}" if why and not absent else ""
    told = f"time stamps: expected {_FORMS}, got {got}, at index {index}{end}"
    return BadStamp(told, int(index))


def _zone(name: str) -> tzinfo:
    """The zone of a name, or of an offset such as ``+01:00``.

    Raises:
        ValueError: no such zone.
    """
    try:
        if name.startswith(("+", "-")):
            return datetime.strptime(name, "%z").tzinfo or UTC
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"time zone: expected one that this machine knows, got {name!r}; where it has none at "
            f"all: pip install tzdata"
        ) from None


def local(values: _Dates, zone: str | None) -> _Dates:
    """Wall time of UTC in a zone; as it is without one.

    Raises:
        ValueError: an unknown zone.
    """
    return values if zone is None else values + _offsets(values, _zone(zone))


def universal(values: _Dates, zone: str | None) -> _Dates:
    """UTC of wall time in a zone, what :func:`local` undoes.

    Of the hour that a clock shows twice the first; one that it skips counts on from before.

    Raises:
        ValueError: an unknown zone.
    """
    if zone is None:
        return values
    place, day = _zone(zone), np.timedelta64(DAY, "ns")
    before, behind = (_offsets(values + apart, place) for apart in (-day, day))
    early, late = values - before, values - behind
    skipped = (_offsets(early, place) != before) & (_offsets(late, place) == behind)
    return np.where(skipped, late, early)


def zoned(values: _Dates, zone: str | None) -> list[datetime]:
    """UTC as ``datetime`` of microseconds: aware of its zone, naive without one.

    A data frame has its type back by ``tz_localize("UTC").tz_convert(zone)`` of pandas, or
    ``dt.replace_time_zone("UTC").dt.convert_time_zone(zone)`` of polars.

    Raises:
        ValueError: an unknown zone.
    """
    naive: list[datetime] = values.astype("M8[us]").tolist()
    if zone is None:
        return naive
    place = _zone(zone)
    return [one.replace(tzinfo=UTC).astimezone(place) for one in naive]


def _offsets(values: _Dates, zone: tzinfo) -> npt.NDArray[np.timedelta64]:
    """Of wall time from UTC: looked up at midnights, and on days of a change to the second."""
    seconds = values.view(np.int64) // _SECOND
    days, inverse = np.unique(seconds // 86_400, return_inverse=True)
    known: dict[int, int] = {}

    def offset(second: int) -> int:
        if second not in known:
            found = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
            known[second] = round(found.total_seconds()) if found else 0
        return known[second]

    ends = np.array([[offset(day * 86_400), offset((day + 1) * 86_400)] for day in days.tolist()])
    ends = ends.reshape(-1, 2)
    change = (days + 1) * 86_400
    for place in np.flatnonzero(ends[:, 0] != ends[:, 1]).tolist():
        least, most = int(days[place]) * 86_400, int(days[place] + 1) * 86_400
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if offset(middle) == ends[place, 0] else (least, middle)
        change[place] = most
    found = np.where(seconds < change[inverse], ends[inverse, 0], ends[inverse, 1])
    return np.asarray(found.astype("m8[s]"), "m8[ns]")
