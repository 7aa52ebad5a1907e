"""Rows of tables, with errors in place of those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.data.absent import no_file
from recurra.data.examples.reading import Reading
from recurra.data.readers import read_lines
from recurra.data.rows import KINDS, How, rows_of
from recurra.errors import DataError

__all__ = ["Row", "Rows", "lines_of", "table_rows"]

Row = tuple[str, Mapping[str, Any]]
Rows = Iterator[Row | DataError]


def lines_of(file: Path, how: Reading) -> Iterator[str | DataError]:
    """Lines of a file; an error in place of each that is not text, where these are left out."""
    waiting: list[DataError] = []
    bad = waiting.append if how.skip else None
    for line in read_lines(file, encoding=how.encoding, nul=how.nul, bad=bad):
        yield waiting.pop() if waiting else line


def table_rows(file: Path, how: Reading, *, comments: bool = False) -> Rows:
    """Rows of a table with their places.

    Where rows that cannot be read are left out, there is an error in place of each.

    Args:
        file: the table.
        how: it is read.
        comments: whether lines that begin with ``#`` are none, and a header is told by itself.

    Raises:
        DataError: there is no such file, or it is no table.
    """
    waiting: list[DataError] = []
    inner = How(
        None,
        None,
        how.encoding,
        how.separator,
        how.nul,
        header=how.header if comments or how.header is not None else True,
        comments=comments,
        bad=waiting.append if how.skip else None,
    )
    reader = rows_of(file)
    if reader is None or not file.is_file():
        raise _no_table(file)
    for place, row in reader(file, inner):
        yield from waiting
        waiting.clear()
        yield f"{file}: {place}", row
    yield from waiting


def _no_table(file: Path) -> DataError:
    if not file.is_file():
        return no_file(file, str(file))
    return DataError(
        f"{file}: expected a table ({', '.join(KINDS)}), this file ends in {file.suffix!r}. Say "
        "by input what it is, such as input='sound', or write it as a table."
    )
