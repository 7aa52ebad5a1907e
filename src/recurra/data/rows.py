"""Rows of files: JSON lines, tables in text, Parquet; one by one, with what is wrong in them."""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recurra.data.readers import ComingLines, inside, is_packed, read_lines
from recurra.errors import DataError, meant, nearest

__all__ = [
    "KINDS",
    "BrokenRow",
    "How",
    "Names",
    "check_columns",
    "check_once",
    "chosen",
    "imported",
    "is_parted",
    "no_column",
    "read_rows",
    "rows_of",
]

_CELL = 1 << 28  # characters in a cell of a CSV file; more is a quote that was never closed
_ROWS = 64  # of a Parquet file, read at once
_SEPARATORS = ";\t|,"

Names = tuple[str, ...] | None
"""Further columns to keep; all if None."""


class BrokenRow(DataError):
    """A row with too few or too many cells.

    Args:
        told: what is wrong.
        header: names of the columns.
        cells: those that are there.
    """

    def __init__(self, told: str, header: Sequence[str] = (), cells: Sequence[str] = ()) -> None:
        super().__init__(told)
        self._header, self._cells = tuple(header), tuple(cells)

    def guesses(self, column: str) -> set[str]:
        """What may stand in a column, counted from the first cell and from the last."""
        if column not in self._header:
            return set()
        place = self._header.index(column)
        places = (place, place - len(self._header) + len(self._cells))
        return {self._cells[p] for p in places if 0 <= p < len(self._cells)}


class How(NamedTuple):
    """How the inside of a file is read."""

    column: str | None
    names: Names
    encoding: str
    separator: str | None
    nul: bool
    header: bool | None = True  # None: the first row, unless all of its cells are numbers
    named: frozenset[str] = frozenset()  # one of them in the first row tells of a header
    comments: bool = False  # whether lines that begin with "#" are none, but may name the columns
    bad: Callable[[DataError], None] | None = None  # told of a row, which is left out, or it ends

    def refuse(self, problem: DataError) -> None:
        """What is wrong with a row: an error, or it is left out and told."""
        if self.bad is None:
            raise problem
        self.bad(problem)


def read_rows(
    source: str | Path | ComingLines, *, encoding: str = "utf-8", named: Iterable[str] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a table (``.csv``, ``.tsv``, ``.parquet``), or of JSON lines, one by one.

    Args:
        source: the file; lines that come are JSON lines.
        encoding: how characters are stored.
        named: columns, one of which in the first row of a table in text tells that it has a
            header; without one the columns are called "0", "1", ...

    Yields:
        where a row stands, and its cells by name.

    Raises:
        DataError: something is wrong in it, where it is reached.
    """
    how = How(None, None, encoding, None, False, named=frozenset(named))
    if isinstance(source, ComingLines):
        rows = _json_rows(source, how)
    else:
        rows = (rows_of(Path(source)) or _json_rows)(Path(source), how)
    for place, row in rows:
        yield f"{source}: {place}", row


_Rows = Iterator[tuple[str, Mapping[str, Any]]]


def check_columns(place: str, known: Iterable[str], column: str | None, names: Names) -> None:
    """Refuse columns that are asked for and not there; ``place`` is what the error calls them."""
    for name in (column, *(names or ())):
        if name is not None and name not in known:
            raise no_column(place, name, "data.column" if name == column else "", known)


def no_column(place: str, name: str, setting: str, known: Iterable[str]) -> DataError:
    """The error of a column that is not there, with what to write instead.

    Args:
        place: where it was looked for.
        name: of the column.
        setting: which says its name; none if empty.
        known: the columns that are there.
    """
    names = sorted(map(str, known))
    told = (
        f"{place}: no column {name!r}{f' ({setting})' if setting else ''}; {nearest(name, names)}"
    )
    if not setting or not names:
        return DataError(told)
    found = _other_separator(names[0], "") if len(names) == 1 else None
    if found is not None:
        return DataError(f"{told}. If {found!r} stands between cells, {_say(found)}")
    other = meant(name, names) or (names[0] if len(names) == 1 else "NAME")
    short = setting.rpartition(".")[2]
    return DataError(f"{told}. Say which: --set {setting}={other}, in Python {short}={other!r}.")


def check_once(place: str, columns: Sequence[str]) -> None:
    """Refuse two columns of the same name: nobody can say which is meant."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(
            f"{place}: expected each column once, {', '.join(map(repr, twice))} is there "
            f"{columns.count(twice[0])} times among {', '.join(columns[:20])}. Rename the others."
        )


def _json_rows(file: Path | ComingLines, how: How) -> _Rows:
    broken: list[DataError] = []  # of the line that is read
    bad = None if how.bad is None else broken.append
    lines = read_lines(file, encoding=how.encoding, nul=how.nul, bad=bad)
    for number, line in enumerate(lines, 1):
        if broken:
            how.refuse(broken.pop())
            continue
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except json.JSONDecodeError as problem:
            told = f"is not JSON: {problem.msg} at character {problem.colno}"
        except (ValueError, RecursionError) as problem:
            told = f"cannot be read: {problem}"
        else:
            if isinstance(row, dict):
                yield f"line {number}", row
                continue
            told = f"holds a {type(row).__name__}"
        wanted = (how.column,) if how.column else sorted(how.named)[:2]
        example = json.dumps(dict.fromkeys(wanted, "..."))
        how.refuse(
            DataError(
                f"{file}: line {number}: expected one object a line, such as {example}; this "
                f"{told}."
            )
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; Python itself takes the last of two values of one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands in it twice")
    return found


def _csv_rows(file: Path, how: How) -> _Rows:
    broken: list[DataError] = []  # lines that are not text, of the row that is read
    bad = None if how.bad is None else broken.append
    lines: Iterable[str] = read_lines(file, encoding=how.encoding, nul=how.nul, bad=bad)
    lines = (line + "\n" for line in lines)
    comments: list[str] = []
    if how.comments:
        lines = _without_comments(lines, comments)
    separator = how.separator or ("\t" if inside(file).suffix.lower() == ".tsv" else ",")
    rows = csv.reader(lines, delimiter=separator, strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        # The limit belongs to all of the process: it is raised for one row and put back.
        limit = csv.field_size_limit(_CELL)
        try:
            row = next(rows, None)
        except csv.Error as problem:
            raise DataError(
                f"{file}: the row that begins on line {line} is no row of a table ({problem}). "
                'A quote inside a quoted cell is written twice: "".'
            ) from None
        finally:
            csv.field_size_limit(limit)
        for told in broken:
            how.refuse(told)
        if row is None:
            return
        if not row or broken:
            broken.clear()
            continue
        if header is None:
            header, first = _header(row, how, comments, separator)
            check_once(f"{file}", header)
            known = how.column in header or (how.column is None and not how.comments)
            _check_parted(file, row, separator, known)
            check_columns(f"{file}", header, how.column, how.names)
            if first:
                continue
        if len(row) != len(header):
            how.refuse(
                BrokenRow(
                    f"{file}: line {line}: expected {len(header)} cells as in the first row, got "
                    f"{len(row)}. A cell with {separator!r} in it is put in quotes.",
                    header,
                    row,
                )
            )
            continue
        yield f"line {line}", dict(zip(header, row, strict=True))


def _header(
    row: list[str], how: How, comments: list[str], separator: str
) -> tuple[list[str], bool]:
    """Names of the columns, and whether they are what the first row holds."""
    there = not how.named.isdisjoint(row) if how.named else how.header
    names = _named_before(comments, len(row), separator)
    if there is None:
        there = not all(map(_is_number, row)) and names in (None, [cell.strip() for cell in row])
    if there:
        return [name.strip() for name in row] if how.comments else row, True
    return names or [str(number) for number in range(len(row))], False


def _named_before(comments: list[str], count: int, separator: str) -> list[str] | None:
    """Names of so many columns in the last comment that has them: "# Columns: time, x, y"."""
    for line in reversed(comments):
        names = [name.strip() for name in line.split(separator)]
        if len(names) == count and all(names) and len({*names}) == count:
            return names
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip() or cell.strip() == "?"
    return True


_COMMENT = re.compile(r"\s*#+\s*(?:columns\b\s*:?)?", re.IGNORECASE)


def _without_comments(lines: Iterable[str], comments: list[str]) -> Iterator[str]:
    """Lines, each that begins with "#" made blank, so that their numbers stay."""
    for line in lines:
        if line.lstrip().startswith("#"):
            comments.append(_COMMENT.sub("", line, count=1))
            yield "\n"
        else:
            yield line


def _check_parted(file: Path, row: list[str], separator: str, known: bool) -> None:
    """Whether the first row, if it is one cell and the column is not known, is parted otherwise."""
    if len(row) > 1 or known:
        return
    found = _other_separator(row[0], separator)
    if found is not None:
        raise DataError(
            f"{file}: expected cells with {separator!r} between them, the first row has {found!r}: "
            f"{_short(row[0])}. S{_say(found)[1:]}"
        )


def _other_separator(cell: str, separator: str) -> str | None:
    """What may stand between the cells of a row that was read as one cell."""
    found = max(_SEPARATORS, key=cell.count)
    return found if found in cell and found != separator else None


def _say(separator: str) -> str:
    return f"say data.separator={json.dumps(separator)}."


def _parquet_rows(file: Path, how: How) -> _Rows:
    if is_packed(file):
        raise DataError(f"{file}: Parquet inside gzip cannot be read; unpack it first.")
    library = imported("pyarrow.parquet", "Parquet files")
    try:
        with library.ParquetFile(file) as table:
            known = table.schema_arrow.names
            check_once(str(file), known)
            check_columns(str(file), known, how.column, how.names)
            wanted = chosen(known, how.column, how.names)
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS, columns=wanted):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield f"row {number}", dict(zip(wanted, cells, strict=True))
    except DataError:
        raise
    except Exception as problem:  # of texts that are none, of sizes beyond all memory
        raise DataError(f"{file}: cannot be read as Parquet ({problem}).") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def chosen(known: Iterable[str], column: str | None, names: Names) -> list[str]:
    """The columns to read: that of the text and those that are named, or all."""
    return list(known if names is None or column is None else dict.fromkeys((column, *names)))


def imported(name: str, what: str, extra: str = "data") -> Any:
    """A module of a library that need not be there; ``what`` needs it, ``extra`` brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise DataError(
            f"{what} need the library {name.partition('.')[0]}, which cannot be imported "
            f"({problem}); pip install 'recurra[{extra}]' brings it."
        ) from None


KINDS: dict[str, Callable[[Path, How], _Rows]] = {
    ".csv": _csv_rows,
    ".json": _json_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _parquet_rows,
    ".tsv": _csv_rows,
}
"""Ending of a file -> what reads its rows."""


def rows_of(file: Path) -> Callable[[Path, How], _Rows] | None:
    """What reads the rows of a file; None of a text."""
    return KINDS.get(inside(file).suffix.lower())


def is_parted(file: Path) -> bool:
    """Whether a file is a table in text, with something between its cells."""
    return rows_of(file) is _csv_rows
