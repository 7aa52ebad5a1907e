"""What the calendar says of time stamps: where in the day, the week, the year each stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.frequency import Frequency
from recurra_runtime.fronts.grid import DAY, days_of, month_of
from recurra_runtime.fronts.times import local, stamps

__all__ = ["Calendar"]

_Whole = npt.NDArray[np.int64]
_Share = npt.NDArray[np.float64]
_HOUR = DAY // 24


class Calendar:
    """Cycles of the calendar as features: sin 2πs and cos 2πs of the share s of each that is over.

    ============  ==============================================================================
    ``minute``    time since the full hour / an hour
    ``hour``      time since midnight / a day
    ``weekday``   time since Monday / 7 days
    ``day``       time since the first of the month / the length of this month
    ``yearday``   time since 1 January / the length of this year, of 365 or 366 days
    ``week``      (week of ISO 8601 - 1) / weeks of its year, 52 or 53
    ``month``     (month - 1 + time since the first of it / its length) / 12
    ``quarter``   (quarter - 1) / 4
    ============  ==============================================================================

    So a share stays below 1 in leap years too, and features have nothing to fit.

    Args:
        features: names of cycles, each once.

    Raises:
        ValueError: an unknown one, or one twice.
    """

    kind: ClassVar[str] = "calendar"

    def __init__(self, features: Sequence[str] = ()) -> None:
        self.features = tuple(features)
        for name in self.features:
            if name not in _SHARES:
                near = get_close_matches(str(name), _SHARES, 1, 0.0)[0]
                raise ValueError(
                    f"calendar: expected features among {', '.join(_SHARES)}, got {name!r}; did "
                    f"you mean {near!r}?"
                )
        if len(set(self.features)) < len(self.features):
            raise ValueError(
                f"calendar: expected each feature once, got {', '.join(self.features)}"
            )

    @classmethod
    def of(cls, frequency: Frequency | None) -> Self:
        """The cycles that stamps of a frequency go through; none of numbers, years, and None."""
        if frequency is None or frequency.unit == "number":
            return cls()
        if frequency.unit == "time" and frequency.count < DAY:
            minute = ("minute",) if frequency.count < _HOUR else ()
            return cls((*minute, "hour", "weekday", "yearday"))
        if frequency.unit in ("time", "weekday"):
            return cls(("weekday", "yearday"))
        known = {"week": ("yearday",), "month": ("month",), "quarter": ("quarter",)}
        return cls(known.get(frequency.unit, ()))

    @property
    def shape(self) -> tuple[int]:
        """Of what is encoded of one step."""
        return (2 * len(self.features),)

    def fit(self, rows: Iterable[Any]) -> Self:
        """This front: the calendar is known."""
        return self

    def encode(self, raw: Any) -> npt.NDArray[np.float32]:
        """Stamps to ``[time, *shape]``: sine and cosine of each feature, in their order.

        Args:
            raw: what :func:`recurra_runtime.fronts.stamps` reads; with a time zone, wall time of it
                counts.

        Raises:
            ValueError: no stamps, or numbers where there are features.
        """
        values, zone = stamps(raw)
        if not self.features:
            return np.empty((len(values), 0), np.float32)
        if values.dtype.kind != "M":
            raise ValueError(
                f"calendar: expected dates to take {', '.join(self.features)} of, got numbers"
            )
        wall = local(values, zone).view(np.int64)
        share = np.stack([_SHARES[name](wall) for name in self.features], 1)
        pairs = np.stack([np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)], 2)
        return pairs.reshape(len(values), *self.shape).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Kind and features."""
        return {"kind": self.kind, "features": list(self.features)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        names = data.get("features")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("calendar: expected a list 'features' of names")
        return cls(names)


def _rest(values: _Whole, cycle: int, start: int = 0) -> _Share:
    return (values - start) % cycle / cycle


def _in_month(values: _Whole) -> tuple[_Whole, _Share]:
    """Month since 1970, and the share of it that is over."""
    days, time = np.divmod(values, DAY)
    month, day, length = month_of(days)
    return month, (day - 1 + time / DAY) / length


def _yearday(values: _Whole) -> _Share:
    days, time = np.divmod(values, DAY)
    year = month_of(days)[0] // 12
    begin, end = (days_of((year + more) * 12) for more in (0, 1))
    return (days - begin + time / DAY) / (end - begin)


def _week(values: _Whole) -> _Share:
    """A week is of the year that its Thursday is in."""
    thursday = (values // DAY + 3) // 7 * 7
    year = month_of(thursday)[0] // 12
    first, following = (_first_thursday(year + more) for more in (0, 1))
    return (thursday - first) / (following - first)


def _first_thursday(year: _Whole) -> _Whole:
    return (days_of(year * 12) + 6) // 7 * 7  # 1 January 1970 was one


def _month(values: _Whole) -> _Share:
    month, share = _in_month(values)
    return (month % 12 + share) / 12


_SHARES: dict[str, Callable[[_Whole], _Share]] = {
    "minute": lambda values: _rest(values, _HOUR),
    "hour": lambda values: _rest(values, DAY),
    "weekday": lambda values: _rest(values, 7 * DAY, -3 * DAY),
    "day": lambda values: _in_month(values)[1],
    "yearday": _yearday,
    "week": _week,
    "month": _month,
    "quarter": lambda values: _in_month(values)[0] % 12 // 3 / 4,
}
