"""Series with time stamps and with what is known beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.data.splits import PartName
from recurra_runtime.fronts import Frequency

__all__ = ["Roles", "Table", "Track", "Tracks"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Roles:
    """Which column is what.

    Args:
        id: says to which series a row belongs; None where all are of one.
        time: has time stamps; None where rows are numbered.
        channels: what is forecast.
        past: numbers and categories that are known up to now.
        known: those known ahead.
        static: those that are the same in all rows of a series.
        split: says to which part a row's series belongs; None where no column does.
    """

    id: str | None = None
    time: str | None = None
    channels: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    split: str | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns that are not forecast."""
        return (*self.past, *self.known, *self.static)


class Table(NamedTuple):
    """Columns of rows, and what errors call a row.

    Args:
        columns: by name.
        source: what errors call all of it.
        places: of each row; None where ``source: row 0`` says it.
        like: what it was: ``"pandas"``, ``"polars"``, or None.
    """

    columns: Mapping[str, Any]
    source: str
    places: Sequence[str] | None = None
    like: str | None = None

    def told(self, row: int) -> str:
        """What errors call a row."""
        return f"{self.source}: row {row}" if self.places is None else self.places[row]

    @property
    def size(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values()), ()))


class Track(NamedTuple):
    """One series.

    Args:
        name: its id; empty where there is one series without one.
        place: what errors call its first row.
        stamps: of its steps ``[time]``, or their numbers.
        values: what is forecast, ``[time, channels]``; NaN is missing.
        past: numbers that are known up to now, ``[time, past]``.
        known: numbers that are known ahead, ``[time + more, known]``: perhaps beyond the last step.
        codes: categories by name, ``[time + more]`` each, None where one is missing.
        part: to which it belongs, where that is said.
    """

    name: str
    place: str
    stamps: npt.NDArray[Any]
    values: Floats
    past: Floats
    known: Floats
    codes: Mapping[str, Sequence[Any]]
    part: PartName | None = None

    def cut(self, stop: int) -> Track:
        """The same up to a step, with all that is known beyond it."""
        return self._replace(
            stamps=self.stamps[:stop], values=self.values[:stop], past=self.past[:stop]
        )


@dataclass(frozen=True)
class Tracks:
    """Series of one table.

    Args:
        each: the series.
        roles: of its columns.
        numbers: names of those of ``past`` that are numbers, and of those known ahead.
        categories: names of the columns with categories.
        ahead: names of those categories that are known ahead.
        frequency: from one time stamp to the next; None where they have none.
        zone: where clocks say the time stamps.
        ids: how a series was named in the table, by its name as a text.
        like: what kind of a frame the table was.
        form: type of its column of time stamps, as that frame writes it.
        skipped: series that could not be read and were left out.
        notes: what else there is to be said of how they were read.
    """

    each: list[Track]
    roles: Roles
    numbers: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    categories: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    frequency: Frequency | None = None
    zone: str | None = None
    ids: Mapping[str, Any] = field(default_factory=dict)
    like: str | None = None
    form: str | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()
