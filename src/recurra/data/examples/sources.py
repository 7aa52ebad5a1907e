"""Rows of tables, with errors in place of those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.data.examples.reading import Reading
from recurra.data.rows import How, rows_of
from recurra.errors import DataError

__all__ = ["Row", "Rows", "table_rows"]

Row = tuple[str, Mapping[str, Any]]
Rows = Iterator[Row | DataError]


def table_rows(file: Path, how: Reading, *, comments: bool = False) -> Rows:
    """Rows of a table with their places, and errors in place of those that cannot be read."""
    waiting: list[DataError] = []
    header = how.header if comments or how.header is not None else True
    inner = How(
        None, None, how.encoding, how.separator, how.nul, header, comments=comments,
        bad=waiting.append,
    )  # fmt: skip
    reader = rows_of(file)
    assert reader is not None
    for place, row in reader(file, inner):
        yield from waiting
        waiting.clear()
        yield f"{file}: {place}", row
    yield from waiting
