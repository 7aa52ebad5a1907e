"""From columns to series: rows of each together, in the order of time, a step for each stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from recurra.data.examples.labels import is_nothing
from recurra.data.examples.numbers import MISSING, MOST, is_absent, numbers_of
from recurra.data.panels.base import Floats, Roles, Table, Track, Tracks
from recurra.data.splits import PART_NAMES, PartName
from recurra.errors import DataError, nearest
from recurra_runtime.fronts import BadStamp, Frequency, local, stamps

__all__ = ["Grid", "tracks_of"]

Ids = npt.NDArray[np.int64]
T = TypeVar("T")


class Grid(NamedTuple):
    """How time goes on.

    Args:
        frequency: that is expected; told by the time stamps if None.
        gaps: whether steps may be apart as they like.
        categories: names of columns with categories, where a model knows them already; None if the
            table tells.
    """

    frequency: Frequency | None = None
    gaps: bool = False
    categories: tuple[str, ...] | None = None


class _Read(NamedTuple):
    """Columns in numbers."""

    values: Floats
    past: Floats
    known: Floats
    codes: dict[str, list[Any]]


def tracks_of(table: Table, roles: Roles, grid: Grid, *, skip: bool = False) -> Tracks:
    """The series of a table; its rows may stand in any order of series, each in that of time.

    Where rows are missing between others there are steps without a value. Rows behind the last
    value tell what is known ahead, where something is.

    Args:
        table: with a row for each step.
        roles: of its columns.
        grid: how time goes on.
        skip: whether a series that cannot be read is left out and counted.

    Raises:
        DataError: a cell that is no number, time that stands still, goes back, or is irregular; or
            mixed frequencies.
    """
    if not table.size:
        raise DataError(f"{table.source}: expected rows, found none.")
    order, starts, ids = _grouped(table, roles.id)
    times, zone = _times(table, roles.time)
    numeric, categories = _kinds(table, roles, grid.categories)
    read = _read(table, roles, numeric, categories)
    ahead = tuple(name for name in categories if name not in roles.past)
    spans = [order[a:b] for a, b in zip(starts, [*starts[1:], len(order)], strict=True)]

    def ascending(rows: Ids, name: Any) -> tuple[str, Ids, Any]:
        called = str(name) if roles.id is not None else ""
        return called, rows, _ascending(table, roles, times, rows)

    kept = _readable(zip(spans, ids, strict=True), ascending, skip)
    frequency = _frequency(table, roles.time, grid, kept, zone)
    parts = _parts(table, roles)

    def track(name: str, rows: Ids, own: Any) -> Track:
        return _track(table, roles, name, rows, own, read, frequency, grid, zone, parts)

    each = _readable(kept, track, skip)
    numbers = (
        tuple(n for n in roles.past if n in numeric),
        tuple(n for n in (*roles.known, *roles.static) if n in numeric),
    )
    named = {str(name): name for name in ids} if roles.id is not None else {}
    return Tracks(
        each,
        roles,
        numbers,
        categories,
        ahead,
        frequency,
        zone,
        named,
        table.like,
        skipped=len(spans) - len(each),
    )


def _readable(given: Iterable[Any], make: Callable[..., T], skip: bool) -> list[T]:
    """What is made of each; of what cannot be read nothing, where that is left out.

    Raises:
        DataError: one cannot be read and is not left out, or all of them.
    """
    made, problems = [], []
    for parts in given:
        try:
            made.append(make(*parts))
        except DataError as problem:
            if not skip:
                raise
            problems.append(problem)
    if not made:
        raise problems[0]
    return made


def _grouped(table: Table, column: str | None) -> tuple[Ids, list[int], list[Any]]:
    """Rows with those of each series together, where each begins, and what it is called."""
    size = table.size
    if column is None:
        return np.arange(size), [0] if size else [], [None] if size else []
    cells = table.columns[column]
    # An array of a list of texts and NaN would have the text "nan".
    plain = np.asarray(cells, object) if isinstance(cells, list) else np.asarray(cells)
    if plain.dtype.kind not in "biuM":
        for row, cell in enumerate(plain.tolist()):
            if is_nothing(cell):
                raise DataError(
                    f"{table.told(row)}: column {column!r}: expected the name of a series, got "
                    f"{cell!r}."
                )
    if plain.dtype == object:
        plain = np.array([str(cell) for cell in plain.tolist()])
    names, first, place = np.unique(plain, return_index=True, return_inverse=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(names))
    number = rank[place.ravel()]
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(len(names))).tolist()
    raw = cells if isinstance(cells, list) else np.asarray(cells)
    found = [raw[row] for row in np.sort(first).tolist()]
    return order, starts, [each.item() if isinstance(each, np.generic) else each for each in found]


def _times(table: Table, column: str | None) -> tuple[npt.NDArray[Any] | None, str | None]:
    if column is None:
        return None, None
    try:
        found = stamps(table.columns[column])
    except ValueError as problem:
        place = problem.index if isinstance(problem, BadStamp) else None
        at = table.source if place is None else table.told(place)
        raise DataError(f"{at}: column {column!r}: {problem}.") from None
    return found.values, found.zone


def _kinds(
    table: Table, roles: Roles, known: tuple[str, ...] | None
) -> tuple[set[str], tuple[str, ...]]:
    """Which columns beside the forecast ones are numbers, and which categories."""
    there = [name for name in roles.beside if name in table.columns]
    if known is not None:
        return {name for name in there if name not in known}, tuple(n for n in known if n in there)
    numeric = {name for name in there if _is_numeric(table.columns[name])}
    return numeric, tuple(name for name in there if name not in numeric)


def _is_numeric(column: Any) -> bool:
    if str(getattr(column, "dtype", "")).lower().startswith(("categor", "enum")):
        return False  # of pandas or polars, whatever the categories are called
    plain = np.asarray(column)
    if plain.dtype.kind in "biuf":
        return True
    if plain.dtype.kind == "M":
        return False
    for cell in plain.tolist():
        if is_absent(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING):
            continue
        try:
            float(cell)
        except (TypeError, ValueError):
            return False
    return True


def _read(table: Table, roles: Roles, numeric: set[str], categories: Sequence[str]) -> _Read:
    def together(names: Sequence[str]) -> Floats:
        columns = [_numbers(table, name) for name in names if name in table.columns]
        return np.stack(columns, 1) if columns else np.zeros((table.size, 0))

    def cells(name: str) -> list[Any]:
        column = table.columns[name]
        plain = column if isinstance(column, list) else np.asarray(column).tolist()
        return [None if is_nothing(cell) else str(cell) for cell in plain]

    past = [name for name in roles.past if name in numeric]
    known = [name for name in (*roles.known, *roles.static) if name in numeric]
    return _Read(
        _forecast_ones(roles, together),
        together(past),
        together(known),
        {name: cells(name) for name in categories},
    )


def _forecast_ones(roles: Roles, together: Callable[[Sequence[str]], Floats]) -> Floats:
    """The channels; where one is no numbers it is said what names the others."""
    try:
        return together(roles.channels)
    except DataError as problem:
        if "expected a number" not in str(problem):
            raise
        raise DataError(
            f"{problem} data.channels says which columns are forecast, data.time which has time "
            "stamps, data.id which names series, data.past and data.known which are read beside."
        ) from None


def _numbers(table: Table, name: str) -> Floats:
    column = table.columns[name]
    plain = column if isinstance(column, list) else np.asarray(column)
    if isinstance(plain, np.ndarray) and plain.dtype.kind in "iuf":
        found = plain.astype(np.float64)
        bad = np.abs(found) > MOST
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"{table.told(row)}: column {name!r}: expected a finite number that fits into 32 "
                f"bits, got {found[row]}. What is missing is NaN."
            )
        return found
    cells = plain if isinstance(plain, list) else plain.tolist()
    return numbers_of(cells, lambda row: f"{table.told(row)}: column {name!r}")


def _ascending(
    table: Table, roles: Roles, times: npt.NDArray[Any] | None, rows: Ids
) -> npt.NDArray[Any]:
    """The stamps of a series, which ascend."""
    if times is None:
        return np.arange(len(rows))
    own = times[rows]
    back = np.flatnonzero(own[1:] <= own[:-1])
    if len(back):
        raise _stands_still(table, roles, int(rows[back[0] + 1]), int(rows[back[0]]), times)
    return own


def _stands_still(
    table: Table, roles: Roles, row: int, before: int, times: npt.NDArray[Any]
) -> DataError:
    """What is to be said of a row whose time is not after that of the one before it."""
    again = times[row] == times[before]
    one, other = (str(_cell(table, roles.time, each)) for each in (row, before))
    said = [
        f"{one!r} is there twice" if again else f"{one!r} comes after {other!r}",
        "" if roles.id is None else f" in the series {str(_cell(table, roles.id, row))!r}",
        ". ",
    ]
    if again and times.dtype.kind == "M":
        said.append("Clocks that are put back have an hour twice: give stamps with a zone. ")
    said.append(
        "Sort the rows, or part what belongs to several series by data.id, the column that says to "
        "which."
        if roles.id is None
        else "Sort the rows of each series by time, and leave one of each stamp."
    )
    column = f"column {roles.time!r}"
    return DataError(
        f"{table.told(row)}: {column}: expected time stamps that ascend, {''.join(said)}"
    )


def _cell(table: Table, column: str | None, row: int) -> Any:
    cells = table.columns[column or ""]
    return cells[row] if isinstance(cells, list) else np.asarray(cells)[row]


def _frequency(
    table: Table,
    column: str | None,
    grid: Grid,
    kept: Sequence[tuple[str, Ids, npt.NDArray[Any]]],
    zone: str | None,
) -> Frequency | None:
    if grid.frequency is not None or column is None or grid.gaps:
        return grid.frequency
    rows, times = [rows for _, rows, _ in kept], [own for _, _, own in kept]
    if times[0].dtype.kind == "f":
        _check_whole(table, column, times, rows)
    try:
        found = _own_frequency(times, zone)
    except BadStamp as problem:
        raise _mixed(table, kept, problem, zone) from None
    if found is None and any(len(own) > 1 for own in times):
        alone = (n for n, own in enumerate(times) if len(own) > 1)
        worst = next((n for n in alone if _own_frequency([times[n]], zone) is None), 0)
        gaps = np.diff(times[worst])
        usual = np.median(gaps.astype(np.int64)) if gaps.dtype.kind == "m" else np.median(gaps)
        apart = np.abs(gaps.astype(np.float64) - float(usual))
        row = int(rows[worst][int(apart.argmax()) + 1])
        raise DataError(
            f"{table.told(row)}: expected time stamps at equal distances (by the calendar), this "
            "one does not fit. data.gaps=true reads the time between steps beside the values; "
            "data.frequency says what is expected, as '1h' or 'MS'."
        )
    return found


def _mixed(
    table: Table,
    kept: Sequence[tuple[str, Ids, npt.NDArray[Any]]],
    problem: BadStamp,
    zone: str | None,
) -> DataError:
    """What is to be said of two series of different frequencies, or of a stamp of one."""
    if len(problem.series) == 1:
        rows = kept[problem.series[0]][1]
        return DataError(f"{table.told(int(rows[problem.index or 0]))}: {problem}.")
    told = []
    for name, rows, own in (kept[place] for place in problem.series):
        found = _own_frequency([own], zone)
        step = "none" if found is None else repr(found.name)
        told.append(f"{step} in the series {name!r} ({table.told(int(rows[0]))})")
    return DataError(
        f"{table.source}: expected one frequency in all series, got {' and '.join(told)}. One "
        "model reads series of one frequency: part them, name the frequency whose grid holds all "
        "of them by data.frequency, or say data.gaps=true, and the time between steps is read."
    )


def _check_whole(
    table: Table, column: str, times: Sequence[npt.NDArray[Any]], rows: Sequence[Ids]
) -> None:
    for own, places in zip(times, rows, strict=True):
        apart = np.flatnonzero(own != np.floor(own))
        if len(apart):
            raise DataError(
                f"{table.told(int(places[apart[0]]))}: column {column!r}: expected dates or whole "
                f"numbers, got {own[apart[0]]}. data.gaps=true reads the time between steps."
            )


def _own_frequency(times: Sequence[npt.NDArray[Any]], zone: str | None) -> Frequency | None:
    found = Frequency.infer(times)
    if zone is None or not (found is None or found.of_days):
        return found  # clocks that are put back have an hour twice
    # A day is not always 24 hours long: of days and more the clocks decide.
    clocks = [local(own, zone) for own in times]
    if any((own[1:] <= own[:-1]).any() for own in clocks):
        return found
    walls = Frequency.infer(clocks)
    return walls if walls is not None and walls.of_days else found


def _parts(table: Table, roles: Roles) -> list[str] | None:
    if roles.split is None:
        return None
    column = table.columns[roles.split]
    return [
        str(cell) for cell in (column if isinstance(column, list) else np.asarray(column).tolist())
    ]


def _part(table: Table, roles: Roles, rows: Ids, parts: list[str] | None) -> PartName | None:
    if parts is None:
        return None
    said = {parts[row] for row in rows.tolist()}
    first = parts[int(rows[0])]
    if len(said) > 1:
        other = next(row for row in rows.tolist() if parts[row] != first)
        raise DataError(
            f"{table.told(other)}: expected one value for all of a series in {roles.split!r}, got "
            f"{first!r} and {parts[other]!r}."
        )
    if first not in PART_NAMES:
        known = nearest(first, sorted(PART_NAMES))
        raise DataError(f"{table.told(int(rows[0]))}: column {roles.split!r}: {known}.")
    return PART_NAMES[first]


def _track(
    table: Table,
    roles: Roles,
    name: str,
    rows: Ids,
    own: npt.NDArray[Any],
    read: _Read,
    frequency: Frequency | None,
    grid: Grid,
    zone: str | None,
    parts: list[str] | None,
) -> Track:
    """One series, with a step for each stamp of its frequency."""
    values, past, known = read.values[rows], read.past[rows], read.known[rows]
    codes: dict[str, Any] = {
        key: [cells[row] for row in rows.tolist()] for key, cells in read.codes.items()
    }
    if frequency is not None and roles.time is not None and not grid.gaps:
        clock = local(own, zone) if zone is not None and frequency.of_days else own
        try:
            places = frequency.positions(clock)
        except ValueError as problem:
            at = (problem.index or 0) if isinstance(problem, BadStamp) else 0
            raise DataError(
                f"{table.told(int(rows[at]))}: {problem}. data.gaps=true reads the time "
                "between steps beside the values."
            ) from None
        size = int(places[-1]) + 1
        if size > len(rows):
            if size > 50 * len(rows) + 1000:
                raise DataError(
                    f"{table.told(int(rows[0]))}: {size:,} steps of {frequency.name} lie "
                    f"between its {len(rows):,} rows: nearly all would be missing. data.frequency "
                    "says another one, data.gaps=true reads the time between steps."
                )
            own = frequency.after(clock[0], size - 1)
            own = np.concatenate([clock[:1], own])
            values, past, known = (_spread(each, places, size) for each in (values, past, known))
            _constant(known, sum(name not in codes for name in roles.static))
            filled: dict[str, Any] = {}
            for key, cells in codes.items():
                wide: list[Any] = [cells[0] if key in roles.static else None] * size
                for place, cell in zip(places.tolist(), cells, strict=True):
                    wide[place] = cell
                filled[key] = wide
            codes = filled
        elif frequency.of_days:
            own = clock
    part = _part(table, roles, rows, parts)
    _check_static(table, roles, rows, read)
    found = Track(name, table.told(int(rows[0])), own, values, past, known, codes, part)
    return _ended(found, roles)


def _check_static(table: Table, roles: Roles, rows: Ids, read: _Read) -> None:
    """Refuse what is called static and changes."""
    numbers = [name for name in roles.static if name not in read.codes]
    for place, name in enumerate(numbers, read.known.shape[1] - len(numbers)):
        own = read.known[rows, place]
        _check_same(table, name, rows, np.flatnonzero((own != own[0]) & ~np.isnan(own + own[0])))
    for name in roles.static:
        if name in read.codes:
            cells = [read.codes[name][row] for row in rows.tolist()]
            if len({*cells} - {None}) > 1:
                odd = [n for n, cell in enumerate(cells) if cell not in (None, cells[0])]
                _check_same(table, name, rows, np.array(odd))


def _check_same(table: Table, name: str, rows: Ids, odd: npt.NDArray[Any]) -> None:
    if len(odd):
        first, other = int(rows[0]), int(rows[odd[0]])
        raise DataError(
            f"{table.told(other)}: expected one value for all of a series in {name!r} "
            f"(data.static), got {str(_cell(table, name, first))!r} and "
            f"{str(_cell(table, name, other))!r}. What changes belongs to data.past or data.known."
        )


def _constant(known: Floats, still: int) -> None:
    """What is static, the last columns, is so in filled steps too."""
    for column in range(known.shape[1] - still, known.shape[1]):
        known[np.isnan(known[:, column]), column] = known[0, column]


def _spread(values: Floats, places: Ids, size: int) -> Floats:
    found = np.full((size, values.shape[1]), np.nan)
    found[places] = values
    return found


def _ended(track: Track, roles: Roles) -> Track:
    """Rows behind the last value are what is known ahead, where something is."""
    if not roles.known:
        return track
    there = np.flatnonzero(~np.isnan(track.values).all(1))
    return track.cut(int(there[-1]) + 1) if len(there) else track
