"""Documents one by one, from text, JSON lines, tables and the Hugging Face Hub: nothing is held."""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from recurra.data.readers import Document, find_files, read_lines, read_pieces, read_text
from recurra.errors import DataError, RecurraError, SettingError, nearest

__all__ = [
    "Documents",
    "Unit",
    "cut_gutenberg",
    "hub_documents",
    "is_hub",
    "joined",
    "open_documents",
    "read_rows",
]

Unit = Literal["file", "paragraph", "line"]
"""What of a text is a document."""

_CELL = 1 << 28  # characters in a cell of a CSV file; more is a quote that was never closed
_ROWS = 64  # of a Parquet file, read at once

_COLUMN = "text"
_HUB = "hub:"
_SEPARATORS = ";\t|,"


class Documents:
    """Documents that are read when they are asked for, as often as they are asked for.

    Each iteration reads the source from the start and holds one document at a time, so a corpus may
    be larger than memory.

    Args:
        source: what errors call it.
        read: begins to read from the start; called once for each iteration.

    Attributes:
        blank: how many documents without text the last iteration has left out so far.
    """

    def __init__(self, source: str, read: Callable[[], Iterable[Document]]) -> None:
        self.source = source
        self.blank = 0
        self._read = read

    def __iter__(self) -> Iterator[Document]:
        """Read from the start; documents without a character are left out.

        Raises:
            DataError: no document, or what is wrong where it is reached.
        """
        self.blank = 0
        for document in self.every():
            if document.text:
                yield document
            else:
                self.blank += 1

    def every(self) -> Iterator[Document]:
        """Read from the start, documents without a character too.

        Raises:
            DataError: as above.
        """
        empty = True
        for document in self._read():
            empty = empty and not document.text
            yield document
        if empty:
            raise DataError(f"{self.source}: expected text, found none.")


def open_documents(
    path: str | Path,
    *,
    unit: Unit = "file",
    column: str | None = None,
    fields: Iterable[str] | None = None,
    pattern: str = "*.txt",
    encoding: str = "utf-8",
    gutenberg: bool = False,
    pieces: bool = False,
    separator: str | None = None,
    nul: bool = False,
) -> Documents:
    r"""Documents of a file, or of all files of a folder, read one by one.

    The ending of a file says what it is: ``.jsonl``, ``.ndjson`` and ``.json`` hold one JSON object
    a line, ``.csv`` and ``.tsv`` a table with its names in the first row, ``.parquet`` a table (the
    library pyarrow reads it), all others text.

    Args:
        path: a file, a folder that is searched with its subfolders, or ``hub:owner/name`` (with
            ``:split`` behind it for another split than train), see :func:`hub_documents`.
        unit: what of a text is a document: the ``"file"``, each ``"paragraph"`` (lines between
            blank ones, with ``\n`` between them) or each ``"line"`` that is not blank.
        column: of objects and tables, the field with the text; ``"text"`` if not given.
        fields: of objects and tables, further fields to keep; all if not given.
        pattern: which files of a folder to read.
        encoding: how characters are stored.
        gutenberg: whether each text is a book of Project Gutenberg, whose header and license are
            cut off, see :func:`cut_gutenberg`.
        pieces: whether a long file comes as several documents, each of which ``goes_on`` from the
            one before, so that it need not fit into memory; a book is held whole.
        separator: of tables in text, what stands between cells; a tab in ``.tsv`` and a comma in
            ``.csv`` if not given.
        nul: whether a NUL byte is a character like others; else it tells of a binary file.

    Texts and rows know their ``file`` (its name without its ending) and their ``folder``. A column
    of that name goes first, and where ``fields`` are named, a row has only these.

    Raises:
        SettingError: an unknown unit, or a setting that these files have no use for.
        DataError: nothing there. What is wrong inside a file is said when it is reached.
    """
    if unit not in get_args(Unit):
        raise SettingError(f"unit: {nearest(str(unit), get_args(Unit))}")
    names = None if fields is None else tuple(fields)
    how = _How(column or _COLUMN, names, encoding, separator, nul)
    if is_hub(path):
        if unit != "file" or gutenberg or separator is not None:
            raise SettingError(
                f"{path}: each row is a document; leave unit, gutenberg and separator out."
            )
        name, _, split = str(path).removeprefix(_HUB).partition(":")
        return hub_documents(name, column=column or _COLUMN, fields=names, split=split or "train")
    files = find_files(path, pattern=pattern)
    for file in files:
        _check_use(file, unit, gutenberg, named=column is not None or names is not None)
        if separator is not None:
            _check_separator(file, separator)

    def read() -> Iterator[Document]:
        for file in files:
            rows = _kind(file)
            if rows is None:
                yield from _texts(file, unit, how, gutenberg, pieces)
                continue
            origin = _origin(file)
            for place, row in rows(file, how):
                yield _document(f"{file}: {place}", row, column or _COLUMN, names, origin)

    return Documents(str(path), read)


_Names = tuple[str, ...] | None


class _How(NamedTuple):
    """How the inside of a file is read."""

    column: str | None
    names: _Names
    encoding: str
    separator: str | None
    nul: bool
    header: bool = True
    named: frozenset[str] = frozenset()  # one of them in the first row tells of a header


def _check_use(file: Path, unit: Unit, gutenberg: bool, *, named: bool) -> None:
    """Refuse settings that a file has no use for."""
    if _kind(file) is not None and unit != "file":
        raise SettingError(f"unit: each row of {file} is a document; leave unit out.")
    if _kind(file) is not None and gutenberg:
        raise SettingError(f"gutenberg: {file} has rows and is no book; leave gutenberg out.")
    if _kind(file) is None and named:
        raise SettingError(
            f"column and fields: {file} is read as text and has none. They belong to files "
            f"that end in {', '.join(sorted(_KINDS))}."
        )


def _check_separator(file: Path, separator: str) -> None:
    if len(separator) != 1 or separator in '"\r\n':
        raise SettingError(
            f"separator: expected one character, such as ';' or a tab, got {separator!r}"
        )
    if _kind(file) is not _csv_rows:
        raise SettingError(f"separator: {file} is no table in text (.csv, .tsv); leave it out.")


def joined(sources: Sequence[Documents]) -> Documents:
    """The documents of several sources, one source after the other.

    Args:
        sources: at least one; each of them must have a document.
    """
    if len(sources) == 1:
        return sources[0]

    def read() -> Iterator[Document]:
        for source in sources:
            yield from source.every()

    return Documents(", ".join(source.source for source in sources), read)


def read_rows(
    path: str | Path, *, encoding: str = "utf-8", named: Iterable[str] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a table (``.csv``, ``.tsv``, ``.parquet``), or of JSON lines, one by one.

    Args:
        path: the file.
        encoding: how characters are stored.
        named: columns, one of which in the first row of a table in text tells that it has a
            header; without one the columns are called "0", "1", ...

    Yields:
        where a row stands, and its cells by name.

    Raises:
        DataError: something is wrong in it, where it is reached.
    """
    file = Path(path)
    how = _How(None, None, encoding, None, False, named=frozenset(named))
    for place, row in (_kind(file) or _json_rows)(file, how):
        yield f"{file}: {place}", row


def is_hub(path: str | Path) -> bool:
    """Whether a path names a data set of the Hugging Face Hub."""
    return str(path).startswith(_HUB)


def hub_documents(
    name: str,
    *,
    column: str = "text",
    fields: Iterable[str] | None = None,
    config: str | None = None,
    split: str = "train",
) -> Documents:
    """Documents of a data set of the Hugging Face Hub, read over the network one by one.

    The library ``datasets`` reads it. Nothing of the data set is run as code.

    Args:
        name: as the Hub spells it, owner and name.
        column: the field with the text.
        fields: further fields to keep; all if not given.
        config: which of its configurations, where it has several.
        split: which of its splits.

    Raises:
        DataError: the library is missing, or the data set cannot be reached or read.
    """
    library = _library("datasets", "data sets of the Hub")
    names = None if fields is None else tuple(fields)

    def failed(problem: Exception) -> DataError:
        told = str(problem).strip().partition("\n")[0] or type(problem).__name__
        return DataError(
            f"data set {name!r}, split {split!r}: cannot be read ({told}). It is fetched over the "
            "network; without one, read a file of it."
        )

    try:
        rows = library.load_dataset(name, config, split=split, streaming=True)
        known = rows.column_names
        if known:  # some data sets tell them, others only with the first row
            _check_columns(f"data set {name!r}", known, column, names)
            rows = rows.select_columns(_wanted(known, column, names))
    except RecurraError:
        raise
    except Exception as problem:  # of the network, the Hub, and every library below
        raise failed(problem) from None

    def read() -> Iterator[Document]:
        try:
            for number, row in enumerate(rows, 1):
                yield _document(f"data set {name!r}: row {number}", row, column, names)
        except RecurraError:
            raise
        except Exception as problem:
            raise failed(problem) from None

    return Documents(f"data set {name!r}", read)


def cut_gutenberg(text: str, *, source: str = "text") -> str:
    """A book of Project Gutenberg without its header and license.

    Args:
        text: the file as it is shipped.
        source: what errors call it.

    Returns:
        what stands between the lines ``*** START OF ...`` and ``*** END OF ...``, without blank
        lines at both ends, and without the sentence "End of the Project Gutenberg EBook of ...".

    Raises:
        DataError: a marker is absent or there twice, or the end stands before the start.
    """
    places = []
    for word in ("START", "END"):
        found = list(re.finditer(_MARKER.format(word), text, re.MULTILINE | re.IGNORECASE))
        if len(found) != 1:
            lines = ", ".join(str(_line(text, each.start())) for each in found)
            raise DataError(
                f"{source}: expected one line '*** {word} OF THE PROJECT GUTENBERG EBOOK ... ***', "
                f"found {len(found)}{' (lines ' + lines + ')' if found else ''}. A file without "
                "header and license is read as it is; several books in one are to be parted first."
            )
        places.append(found[0])
    start, end = places
    if end.start() < start.end():
        raise DataError(
            f"{source}: expected START before END, found END on line {_line(text, end.start())} "
            f"and START on line {_line(text, start.start())}."
        )
    book = text[start.end() : end.start()].rstrip()
    before, _, last = book.rpartition("\n\n")
    if re.match(r"\s*End of (?:the |this )?Project Gutenberg", last, re.IGNORECASE):
        book = before.rstrip()
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", book) + "\n"


# A long title may go on in the next line.
_MARKER = r"^\*\*\* ?{} OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b[^*]{{0,500}}\*\*\*[^\S\n]*$"


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


# ------------------------------------------------------------------------------------------ text


def _origin(file: Path) -> dict[str, str]:
    """What is known of all that stands in a file."""
    return {"file": file.stem, "folder": file.absolute().parent.name}


def _texts(file: Path, unit: Unit, how: _How, gutenberg: bool, pieces: bool) -> Iterator[Document]:
    known, encoding, nul = _origin(file), how.encoding, how.nul
    if unit == "file" and pieces and not gutenberg:
        goes_on = False
        for piece in read_pieces(file, encoding=encoding, nul=nul):
            yield Document(piece, str(file), known, goes_on)
            goes_on = True
        return
    if unit == "file" or gutenberg:
        text = read_text(file, encoding=encoding, nul=nul)
        if gutenberg:
            text = cut_gutenberg(text, source=str(file))
        if unit == "file":
            yield Document(text, str(file), known)
            return
        lines: Iterable[str] = text.split("\n")
    else:
        lines = read_lines(file, encoding=encoding, nul=nul)
    begun: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        blank = not line or line.isspace()
        if unit == "line":
            yield Document("" if blank else line, f"{file}: line {number}", known)
        elif blank:
            if begun:
                yield Document("\n".join(begun), f"{file}: line {number - len(begun)}", known)
                begun = []
        else:
            begun.append(line)
    if begun:
        yield Document("\n".join(begun), f"{file}: line {number + 1 - len(begun)}", known)


# ----------------------------------------------------------------------------- objects and tables

_Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _document(
    place: str,
    row: Mapping[str, Any],
    column: str,
    names: _Names,
    origin: Mapping[str, str] = MappingProxyType({}),
) -> Document:
    _check_columns(place, row, column, names)
    text = row[column]
    if not isinstance(text, str):
        raise DataError(
            f"{place}: expected text in {column!r}, got {'nothing' if text is None else repr(text)}"
            ". Name another column, or leave that row out."
        )
    kept = {**origin, **row} if names is None else {name: row[name] for name in names}
    return Document(text, place, {name: kept[name] for name in kept if name != column})


def _check_columns(place: str, known: Iterable[str], column: str | None, names: _Names) -> None:
    for name in (column, *(names or ())):
        if name is not None and name not in known:
            told = " (data.column)" if name == column else ""
            raise DataError(f"{place}: no column {name!r}{told}; {nearest(name, known)}")


def _json_rows(file: Path, how: _How) -> _Rows:
    for number, line in enumerate(read_lines(file, encoding=how.encoding, nul=how.nul), 1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
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
        raise DataError(
            f"{file}: line {number}: expected one object a line, such as {example}; this {told}."
        )


def _csv_rows(file: Path, how: _How) -> _Rows:
    lines = (line + "\n" for line in read_lines(file, encoding=how.encoding, nul=how.nul))
    separator = how.separator or ("\t" if file.suffix.lower() == ".tsv" else ",")
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
        if row is None:
            return
        if not row:
            continue
        if header is None:
            header, first = _header(row, how)
            if len(set(header)) < len(header):
                raise DataError(f"{file}: expected each column once, the first row is {header}.")
            _check_parted(file, row, separator, how)
            _check_columns(f"{file}", header, how.column, how.names)
            if first:
                continue
        if len(row) != len(header):
            raise DataError(
                f"{file}: line {line}: expected {len(header)} cells as in the first row, got "
                f"{len(row)}. A cell with {separator!r} in it is put in quotes."
            )
        yield f"line {line}", dict(zip(header, row, strict=True))


def _header(row: list[str], how: _How) -> tuple[list[str], bool]:
    """Names of the columns, and whether they are what the first row holds."""
    there = not how.named.isdisjoint(row) if how.named else how.header
    return (row, True) if there else ([str(number) for number in range(len(row))], False)


def _check_parted(file: Path, header: list[str], separator: str, how: _How) -> None:
    """Whether the first row, if it is one cell without a column's name, has another separator."""
    if len(header) > 1 or how.column in header:
        return
    found = max(_SEPARATORS, key=header[0].count)
    if found in header[0]:
        raise DataError(
            f"{file}: expected cells with {separator!r} between them, the first row has {found!r}: "
            f"{_short(header[0])}. Say data.separator={json.dumps(found)}."
        )


def _parquet_rows(file: Path, how: _How) -> _Rows:
    library = _library("pyarrow.parquet", "Parquet files")
    failures = (_library("pyarrow", "Parquet files").ArrowException, OSError)
    try:
        with library.ParquetFile(file) as table:
            known = table.schema_arrow.names
            _check_columns(str(file), known, how.column, how.names)
            wanted = _wanted(known, how.column, how.names)
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except failures as problem:
        raise DataError(f"{file}: cannot be read as Parquet ({problem}).") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _wanted(known: Iterable[str], column: str | None, names: _Names) -> list[str]:
    return list(known if names is None or column is None else dict.fromkeys((column, *names)))


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise DataError(
            f"{what} need the library {name.partition('.')[0]}, which cannot be imported "
            f"({problem}); pip install 'recurra[data]' brings it."
        ) from None


_KINDS: dict[str, Callable[[Path, _How], _Rows]] = {
    ".csv": _csv_rows,
    ".json": _json_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _parquet_rows,
    ".tsv": _csv_rows,
}


def _kind(file: Path) -> Callable[[Path, _How], _Rows] | None:
    return _KINDS.get(file.suffix.lower())
