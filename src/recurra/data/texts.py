"""Documents one by one, from text, JSON lines, tables and the Hugging Face Hub: nothing is held."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from recurra.data.readers import Document, find_files, inside, read_lines, read_pieces, read_text
from recurra.data.rows import KINDS, How, Names, check_columns, chosen, imported, is_parted, rows_of
from recurra.errors import DataError, RecurraError, SettingError, nearest

__all__ = [
    "Documents",
    "Unit",
    "cut_gutenberg",
    "hub_documents",
    "is_hub",
    "is_table",
    "joined",
    "open_documents",
]

Unit = Literal["file", "paragraph", "line"]
"""What of a text is a document."""


_COLUMN = "text"
_HUB = "hub:"


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
    column: str | int | None = None,
    fields: Iterable[str] | None = None,
    pattern: str = "*.txt",
    encoding: str = "utf-8",
    gutenberg: bool = False,
    pieces: bool = False,
    separator: str | None = None,
    header: bool = True,
    nul: bool = False,
) -> Documents:
    r"""Documents of a file, or of all files of a folder, read one by one.

    The ending of a file says what it is: ``.jsonl``, ``.ndjson`` and ``.json`` hold one JSON object
    a line, ``.csv`` and ``.tsv`` a table with its names in the first row, ``.parquet`` a table (the
    library pyarrow reads it), all others text. Behind it may stand ``.gz``.

    Args:
        path: a file, a folder that is searched with its subfolders, or ``hub:owner/name`` (with
            ``:split`` behind it for another split than train), see :func:`hub_documents`.
        unit: what of a text is a document: the ``"file"``, each ``"paragraph"`` (lines between
            blank ones, with ``\n`` between them) or each ``"line"`` that is not blank.
        column: of objects and tables, the field with the text; ``"text"`` if not given. Without a
            header its number, from 0 on.
        fields: of objects and tables, further fields to keep; all if not given.
        pattern: which files of a folder to read.
        encoding: how characters are stored.
        gutenberg: whether each text is a book of Project Gutenberg, whose header and license are
            cut off, see :func:`cut_gutenberg`.
        pieces: whether a long file comes as several documents, each of which ``goes_on`` from the
            one before, so that it need not fit into memory; a book is held whole.
        separator: of tables in text, what stands between cells; a tab in ``.tsv`` and a comma in
            ``.csv`` if not given.
        header: of tables in text, whether the first row has names; without one the columns are
            called ``"0"``, ``"1"``, ...
        nul: whether a NUL byte is a character like others; else it tells of a binary file.

    Texts and rows know their ``file`` (its name without its ending) and their ``folder``. A column
    of that name goes first, and where ``fields`` are named, a row has only these.

    Raises:
        SettingError: an unknown unit, or a setting that these files have no use for.
        DataError: nothing there. What is wrong inside a file is said when it is reached.
    """
    names = None if fields is None else tuple(fields)
    wanted = _Wanted(unit, column, names, encoding, gutenberg, pieces, separator, header, nul)
    if is_hub(path):
        return wanted.of_hub(str(path))
    files = find_files(path, pattern=pattern)
    for file in files:
        wanted.check(file)
    return Documents(str(path), lambda: itertools.chain.from_iterable(map(wanted.read, files)))


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What of files is read, and how: the settings of :func:`open_documents`, which must fit."""

    unit: Unit
    column: str | int | None
    names: Names
    encoding: str
    gutenberg: bool
    pieces: bool
    separator: str | None
    header: bool
    nul: bool

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise SettingError(f"unit: {nearest(str(self.unit), get_args(Unit))}")
        if self.header and isinstance(self.column, int):
            raise SettingError(
                f"column: a table with a header has names, got the number {self.column}. Say its "
                f"name (one that is called so in quotes: '\"{self.column}\"'), or "
                "data.header=false."
            )
        if not self.header and (self.column is None or not str(self.column).isdecimal()):
            raise SettingError(
                "column: without a header (data.header=false) columns have numbers, from 0 on, for "
                f"example data.column=0; got {'none' if self.column is None else repr(self.column)}"
            )

    @property
    def text(self) -> str:
        """The column with the text."""
        return _COLUMN if self.column in (None, "") else str(self.column)

    def of_hub(self, path: str) -> Documents:
        """Rows of a data set, ``hub:owner/name:split``."""
        if self.unit != "file" or self.gutenberg or self.separator is not None or not self.header:
            raise SettingError(
                f"{path}: each row is a document; leave unit, gutenberg, separator and header out."
            )
        name, _, split = path.removeprefix(_HUB).partition(":")
        return hub_documents(name, column=self.text, fields=self.names, split=split or "train")

    def check(self, file: Path) -> None:
        """Refuse what a file has no use for."""
        if not self.header and not is_parted(file):
            raise SettingError(f"header: {file} is no table in text (.csv, .tsv); leave it out.")
        if rows_of(file) is not None and self.unit != "file":
            raise SettingError(f"unit: each row of {file} is a document; leave unit out.")
        if rows_of(file) is not None and self.gutenberg:
            raise SettingError(f"gutenberg: {file} has rows and is no book; leave gutenberg out.")
        if rows_of(file) is None and (self.column is not None or self.names is not None):
            raise SettingError(
                f"column and fields: {file} is read as text and has none. They belong to files "
                f"that end in {', '.join(sorted(KINDS))}."
            )
        if self.separator is None:
            return
        if len(self.separator) != 1 or self.separator in '"\r\n':
            raise SettingError(
                f"separator: expected one character, such as ';' or a tab, got {self.separator!r}"
            )
        if not is_parted(file):
            raise SettingError(f"separator: {file} is no table in text (.csv, .tsv); leave it out.")

    def read(self, file: Path) -> Iterator[Document]:
        """Its documents."""
        rows = rows_of(file)
        if rows is None:
            yield from self._texts(file)
            return
        origin = _origin(file)
        how = How(
            self.text, self.names, self.encoding, self.separator, self.nul, header=self.header
        )
        for place, row in rows(file, how):
            yield _document(f"{file}: {place}", row, self.text, self.names, origin)

    def _texts(self, file: Path) -> Iterator[Document]:
        known, unit, encoding, nul = _origin(file), self.unit, self.encoding, self.nul
        if unit == "file" and self.pieces and not self.gutenberg:
            goes_on = False
            for piece in read_pieces(file, encoding=encoding, nul=nul):
                yield Document(piece, str(file), known, goes_on)
                goes_on = True
            return
        if unit == "file" or self.gutenberg:
            text = read_text(file, encoding=encoding, nul=nul)
            if self.gutenberg:
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


def is_hub(path: str | Path) -> bool:
    """Whether a path names a data set of the Hugging Face Hub."""
    return str(path).startswith(_HUB)


def is_table(path: str | Path) -> bool:
    """Whether a file holds rows with columns, as its ending says."""
    return rows_of(Path(path)) is not None


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
    library = imported("datasets", "data sets of the Hub")
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
            check_columns(f"data set {name!r}", known, column, names)
            rows = rows.select_columns(chosen(known, column, names))
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
    return {"file": inside(file).stem, "folder": file.absolute().parent.name}


def _document(
    place: str,
    row: Mapping[str, Any],
    column: str,
    names: Names,
    origin: Mapping[str, str] = MappingProxyType({}),
) -> Document:
    check_columns(place, row, column, names)
    text = row[column]
    if not isinstance(text, str):
        raise DataError(
            f"{place}: expected text in {column!r}, got {'nothing' if text is None else repr(text)}"
            ". Name another column, or leave that row out."
        )
    kept = {**origin, **row} if names is None else {name: row[name] for name in names}
    return Document(text, place, {name: kept[name] for name in kept if name != column})
