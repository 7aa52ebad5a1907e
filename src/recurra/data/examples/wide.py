"""Measured series in wide tables: a row for each sequence, a column for each step."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.examples.base import Example, Examples, Found, tried
from recurra.data.examples.labels import belonging, target_in
from recurra.data.examples.numbers import MISSING, MOST, numbers_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import first_row, plan_of
from recurra.data.examples.sources import Row, Rows
from recurra.data.readers import inside, read_blocks
from recurra.data.rows import imported, is_parted, no_column
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = ["open_wide"]

_VALUE = "value"  # what the channel of a wide table is called


def open_wide(
    source: str,
    rows: Callable[[], Rows],
    how: Reading,
    part: PartName | None,
    file: Path | None = None,
) -> Examples:
    """Sequences of a table with a row for each, a column for each step in their order.

    Of several channels, which ``channels`` names, the columns are called by channel and step, such
    as ``x_0, x_1, y_0, y_1``. Missing cells at the end of a row are no steps.

    Args:
        source: what errors call the table.
        rows: begins to read them.
        how: they are read.
        part: of all of them, where it is known.
        file: the table, if it is one.

    Raises:
        DataError: a column that is not there, or channels with unequal numbers of them.
    """
    first = first_row(rows(), source)
    plan = plan_of(first, replace(how, channels=None), how.label_columns)
    names = how.channels or (_VALUE,)
    columns = _columns_of_channels(first, how) if how.channels else [list(plan.channels)]

    place, cells = first
    block = _Blocks(file, how, list(cells), columns, _line(place)) if file is not None else None

    def read() -> Found:
        done = 0
        if block is not None and block.fits:
            for example in block.examples(part):
                if example is None:
                    return
                done += 1
                yield example
        for row in itertools.islice(rows(), done, None):
            if isinstance(row, DataError):
                yield row
            else:
                yield tried(_wide, row, columns, how, part)

    return Examples(source, {"input": "series"}, read, skip=how.skip, channels=names)


def _columns_of_channels(row: Row, how: Reading) -> list[list[str]]:
    place, cells = row
    found = []
    for channel in how.channels or ():
        rule = re.compile(re.escape(channel) + r"[_\-. ]?(\d+)")
        numbered = [(int(m[1]), name) for name in cells if (m := rule.fullmatch(name))]
        found.append([name for _, name in sorted(numbered)])
        if len(found[-1]) != len(found[0]) or not numbered:
            raise DataError(
                f"{place}: expected as many columns of each channel, called such as {channel}_0, "
                f"got {len(found[-1])} of {channel!r} and {len(found[0])} of {how.channels[0]!r}."  # type: ignore[index]
            )
    return found


def _wide(row: Row, columns: list[list[str]], how: Reading, part: PartName | None) -> Example:
    place, cells = row
    channels = []
    for names in columns:
        told = _of_columns(place, names)
        for name in names:
            if name not in cells:
                raise no_column(place, name, "", cells)
        channels.append(numbers_of([cells[name] for name in names], told))
    values = np.stack(channels, 1).astype(np.float32)
    there = np.flatnonzero(~np.all(np.isnan(values), axis=1))
    values = values[: there[-1] + 1 if len(there) else 0]
    target = target_in(cells, how, place)
    return Example(values, target, place, *belonging(cells, how, place, part))


def _of_columns(place: str, names: Sequence[str]) -> Callable[[int], str]:
    return lambda index: f"{place}: column {names[index]!r}"


# ---- many rows at once ---------------------------------------------------------------------------


def _line(place: str) -> int:
    """The number of the line that a place names; 0 if it names none."""
    found = re.search(r": line (\d+)$", place)
    return int(found[1]) if found else 0


class _Blocks:
    """Rows of a table in text by pyarrow, block by block, as long as nothing in them is odd.

    A block with a quote, a blank line, a comment, or anything that is no number ends it: the rows
    from there on are read one by one, which tells what is wrong where. So nothing else comes of it
    than of these, only sooner.

    Args:
        file: the table.
        how: it is read.
        names: of its columns.
        columns: of each channel.
        first: number of the line with the first row.
    """

    def __init__(
        self, file: Path, how: Reading, names: list[str], columns: list[list[str]], first: int
    ) -> None:
        self._file, self._how, self._names, self._columns = file, how, names, columns
        self._first = first
        self._library: Any = None
        if is_parted(file) and first:
            try:
                self._library = imported("pyarrow.csv", "Blocks of rows")
            except DataError:  # slower without it
                return
        self.fits = self._library is not None

    fits = False

    def examples(self, part: PartName | None) -> Iterator[Example | None]:
        """Those of all blocks before the first that is odd; None after the last if none is."""
        line = self._first
        others = [n for n in self._names if not any(n in names for names in self._columns)]
        for lines in self._lines():
            table = None if lines is None else self._table(lines)
            if lines is None or table is None:
                return
            values = np.stack([_matrix(table, names) for names in self._columns], 2)
            if (np.abs(values) > MOST).any():
                return
            short = values.astype(np.float32)
            steps = _steps(short)
            cells = [table.column(name).to_pylist() for name in others]
            rows = zip(*cells, strict=True) if cells else itertools.repeat((), len(lines))
            for row, own, count in zip(rows, short, steps, strict=True):
                place = f"{self._file}: line {line}"
                named = dict(zip(others, row, strict=True))
                try:
                    target = target_in(named, self._how, place)
                    more = belonging(named, self._how, place, part)
                except DataError:
                    return
                yield Example(own[:count].copy(), target, place, *more)
                line += 1
        yield None

    def _lines(self) -> Iterator[list[str] | None]:
        """Whole lines from the first row on, some at a time; None where they are no text."""
        skipped = self._first - 1
        try:
            for lines in read_blocks(self._file, encoding=self._how.encoding, nul=self._how.nul):
                if len(lines) > skipped:
                    yield lines[skipped:]
                skipped = max(0, skipped - len(lines))
        except DataError:  # told where its row is read
            yield None

    def _table(self, lines: list[str]) -> Any:
        """Columns of some lines; None if anything in them is odd."""
        text = "\n".join(lines)
        if '"' in text or "#" in text or "" in lines:
            return None
        library, arrow = self._library, imported("pyarrow", "Blocks of rows")
        numeric = {name for names in self._columns for name in names}
        kinds = {n: arrow.float64() if n in numeric else arrow.string() for n in self._names}
        separator = self._how.separator or (
            "\t" if inside(self._file).suffix.lower() == ".tsv" else ","
        )
        odd = (arrow.ArrowException, UnicodeError)
        try:
            return library.read_csv(
                arrow.BufferReader(text.encode()),
                library.ReadOptions(column_names=self._names, use_threads=False),
                library.ParseOptions(
                    delimiter=separator, quote_char=False, ignore_empty_lines=False
                ),
                library.ConvertOptions(
                    column_types=kinds, null_values=_NULLS, strings_can_be_null=False
                ),
            )
        except odd:
            return None


_NULLS = sorted({kind(word) for word in MISSING for kind in (str, str.upper, str.capitalize)})


def _matrix(table: Any, names: list[str]) -> npt.NDArray[np.float64]:
    """``[rows, steps]`` of some columns; NaN where nothing is."""
    columns = [table.column(name).to_numpy(zero_copy_only=False) for name in names]
    return np.stack(columns, 1).astype(np.float64)


def _steps(values: npt.NDArray[np.float32]) -> list[int]:
    """Of each row ``[rows, steps, channels]`` how many steps there are up to the last known one."""
    there = ~np.all(np.isnan(values), axis=2, keepdims=True)[:, :, 0]
    last = values.shape[1] - np.argmax(there[:, ::-1], axis=1)
    counts: list[int] = np.where(np.any(there, axis=1), last, 0).tolist()
    return counts
