"""The one door: examples of a path, of Python's lists and arrays, of parts of these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data.examples.base import Example, Examples, Found, Kind
from recurra.data.examples.conll import open_conll
from recurra.data.examples.contents import ENDINGS, kind_of_file
from recurra.data.examples.folders import open_files, open_texts
from recurra.data.examples.labels import of_path
from recurra.data.examples.python import open_given
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import first_row, has_time, open_long, open_wide
from recurra.data.examples.sources import Rows, table_rows
from recurra.data.examples.tables import FILE_COLUMNS, open_rows
from recurra.data.examples.ts import open_ts
from recurra.data.readers import check_path, find_files, inside
from recurra.data.rows import rows_of
from recurra.data.splits import PART_NAMES, PartName
from recurra.data.texts import is_hub, open_documents
from recurra.errors import DataError

__all__ = ["open_examples"]


def open_examples(source: Any, how: Reading | None = None) -> Examples:
    """Examples of a file, a folder, or of Python.

    Args:
        source: a table with a row for each example, whose cells are texts or name files; a folder
            with files of one kind; a file of sentences (``.conllu``) or series (``.ts``); a table
            of numbers; ``hub:owner/name``; a pair (inputs, targets), a list of pairs, a frame or
            table; or any of these by part, ``{"train": ..., "test": ...}``.
        how: it is read.

    Returns:
        examples, read when they are iterated over.

    Raises:
        SettingError: a setting that cannot be.
        DataError: nothing there, or nothing is known of it. What is wrong inside is said when it is
            reached.
    """
    how = how or Reading()
    if isinstance(source, Examples):
        return source
    if isinstance(source, str | os.PathLike):
        return _hub(str(source), how) if is_hub(str(source)) else _path(Path(source), how)
    if isinstance(source, Mapping) and source and {*source} <= {*PART_NAMES}:
        return joined([_of_part(name, own, how) for name, own in source.items()])
    return open_given(source, how)


def _of_part(name: str, source: Any, how: Reading) -> Examples:
    part = PART_NAMES[name]
    if isinstance(source, Examples | str | os.PathLike):
        found = open_examples(source, how)

        def read() -> Found:
            for each in found.every():
                yield each._replace(part=part) if isinstance(each, Example) else each

        return Examples(found.source, found.kinds, read, skip=how.skip, channels=found.channels)
    return open_given(source, how, f"{name}, ", part)


def joined(sources: Sequence[Examples]) -> Examples:
    """The examples of several sources, one source after the other.

    Raises:
        DataError: their inputs are of several kinds, or their series of several channels.
    """
    first = sources[0]
    for other in sources[1:]:
        if other.kinds != first.kinds and other.kinds and first.kinds:
            raise DataError(
                f"{other.source}: expected {_told(first.kinds)} as in {first.source}, got "
                f"{_told(other.kinds)}."
            )
        if other.channels != first.channels:
            raise DataError(
                f"{other.source}: expected the channels {', '.join(first.channels)} as in "
                f"{first.source}, got {', '.join(other.channels)}."
            )
    if len(sources) == 1:
        return first

    def read() -> Found:
        for source in sources:
            yield from source.every()

    name = ", ".join(source.source for source in sources)
    return Examples(name, first.kinds, read, skip=first.skip, channels=first.channels)


def _told(kinds: Mapping[str, Kind]) -> str:
    return ", ".join(kind if name == "input" else f"{name}: {kind}" for name, kind in kinds.items())


def _hub(source: str, how: Reading) -> Examples:
    """Texts of a data set of the Hugging Face Hub."""
    documents = open_documents(source, **how.texts())
    column = how.column or "text"

    def rows() -> Rows:
        for document in documents.every():
            yield document.source, {column: document.text, **document.fields}

    return open_rows(source, Path(), rows, how, None)


# ---- paths ---------------------------------------------------------------------------------------


def _path(path: Path, how: Reading) -> Examples:
    check_path(path)
    if path.is_file():
        return _file(path, path, how)
    if how.input == "video":
        return open_files(_frames(path), path, "video", how)
    files = [file for file in _files(path, how) if not _is_beside(file, path, how)]
    kinds = {file: _kind(file, how) for file in files}
    if how.input == "auto" and how.pattern is None and {*kinds.values()} > {"text"}:
        kinds = {f: kind for f, kind in kinds.items() if kind != "text"}  # README.txt, LICENSE.txt
        files = list(kinds)
    several = sorted({kind or file.suffix for file, kind in kinds.items()})
    if len(several) > 1:
        raise DataError(
            f"{path}: expected files of one kind, found {', '.join(several)}. Choose with input or "
            "pattern, or give a table that names them."
        )
    kind = kinds[files[0]] if files else None
    plain = [file for file in files if _is_plain(file, how)]
    if kind in ("sound", "picture", "series") and len(plain) == len(files):
        return open_files(files, path, kind, how)
    if plain and kind == "text" and len(plain) == len(files):
        return open_texts(files, path, how)
    return joined([_file(file, path, how) for file in files])


def _files(path: Path, how: Reading) -> list[Path]:
    if how.pattern is not None or how.input == "text":
        return find_files(path, pattern=how.pattern or "*.txt")
    every = find_files(path, pattern="*")
    known = [file for file in every if _kind(file, how) in (how.input, *_any(how))]
    if not known:
        wanted = ", ".join(e for e, kind in ENDINGS.items() if how.input in ("auto", kind))
        there = ", ".join(sorted({file.suffix or "none" for file in every})[:10])
        raise DataError(
            f"{path}: expected files that end in {wanted}, or tables; found the endings {there}. "
            "Choose files with pattern, and say by input what they are."
        )
    return known


def _any(how: Reading) -> tuple[Kind | None, ...]:
    kinds: tuple[Kind, ...] = ("text", "words", "series", "sound", "picture")
    return kinds if how.input == "auto" else ()


def _is_beside(file: Path, root: Path, how: Reading) -> bool:
    return how.labels is not None and file == root / str(how.labels)


def _kind(file: Path, how: Reading) -> Kind | None:
    """What a file of a folder holds; None of what is not known."""
    if rows_of(file) is not None:
        if how.input in ("series", "text", "words"):
            return how.input
        return _kind_of_table(file, how)
    kind = kind_of_file(file)
    if how.pattern is not None and how.input != "auto":
        return how.input
    return kind


def _kind_of_table(file: Path, how: Reading) -> Kind | None:
    """Of a table whose columns name no files and no texts: series."""
    _, cells = first_row(table_rows(file, how, comments=True), str(file))
    if how.inputs or any(name in cells for name in (how.column or "text", *FILE_COLUMNS)):
        return "text"
    return "series"


def _is_plain(file: Path, how: Reading) -> bool:
    """Whether a file is one example, or text: it has no sentences, cases or rows of its own."""
    if rows_of(file) is not None:
        return _kind(file, how) == "series" and how.id is None and how.rows != "sequences"
    return inside(file).suffix.lower() != ".ts"


def _frames(path: Path) -> list[Path]:
    """The folders with pictures right inside them."""
    folders = sorted({f.parent for f in path.rglob("*") if kind_of_file(f) == "picture"})
    if not folders:
        raise DataError(f"{path}: expected folders with the frames of a video (.png), found none.")
    return folders


def _file(file: Path, root: Path, how: Reading) -> Examples:
    """The examples of one file, of a folder or alone."""
    alone = file == root
    if rows_of(file) is not None:
        part = _part(file, root, how, table=alone)
        return _table(file, how, part)
    kind = how.input if how.input != "auto" else kind_of_file(file)
    if inside(file).suffix.lower() == ".ts":
        return open_ts(file, how, _part(file, root, how))
    if kind == "words":
        return open_conll(file, how, _part(file, root, how))
    if kind in ("sound", "picture", "series"):
        return open_files([file], root, kind, how)
    if kind == "text" or kind is None:
        if how.label is not None and alone:
            raise DataError(
                f"{file}: expected a table (CSV, JSON lines, Parquet) with a column "
                f"{how.label_columns[0]!r}, or a folder with a subfolder or a file for each class; "
                "this is text without labels."
            )
        return open_texts([file], root, how)
    raise DataError(f"{file}: expected a folder with the frames of a video, this is a file.")


def _part(file: Path, root: Path, how: Reading, *, table: bool = False) -> PartName | None:
    """The part that a file belongs to; of a table alone its column says it."""
    return None if how.split == "hash" or table else of_path(file, root, how).part


def _table(file: Path, how: Reading, part: PartName | None) -> Examples:
    def rows() -> Rows:
        return table_rows(file, how, comments=True)

    if how.id is not None:
        return open_long(str(file), rows, how, part)
    if how.input == "series" and how.column is None and not how.inputs:
        _, cells = first_row(rows(), str(file))
        if how.rows == "steps" or (how.rows is None and has_time(cells, how)):
            return open_files([file], file, "series", how)
        if not any(name in cells for name in FILE_COLUMNS):
            return open_wide(str(file), rows, how, part)
    return open_rows(str(file), file.parent, lambda: table_rows(file, how), how, part)
