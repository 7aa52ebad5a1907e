"""The one door: examples of a path, of Python's lists and arrays, of parts of these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data.examples.base import Example, Examples, Found, Kind
from recurra.data.examples.conll import open_conll
from recurra.data.examples.contents import ENDINGS, is_frame, is_video, kind_of_file
from recurra.data.examples.folders import open_files, open_texts
from recurra.data.examples.labels import of_path
from recurra.data.examples.python import open_given
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import first_row
from recurra.data.examples.sources import Rows, table_rows
from recurra.data.examples.tables import FILE_COLUMNS, open_table
from recurra.data.examples.ts import is_ts, open_ts
from recurra.data.readers import check_path, find_files
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

    return open_table(source, Path(), rows, how, None)


# ---- paths ---------------------------------------------------------------------------------------


def _path(path: Path, how: Reading) -> Examples:
    check_path(path)
    if path.is_file():
        return _file(path, path, how)
    if how.input == "video":
        return open_files(_frames(path), path, "video", how)
    kinds = _kinds(path, how)
    several = sorted({*kinds.values()})
    if len(several) > 1:
        raise DataError(
            f"{path}: expected files of one kind, found {', '.join(several)}. Choose with input or "
            "pattern, or give a table that names them."
        )
    files, kind = list(kinds), several[0]
    if all(_is_one(file, kind, how) for file in files):
        if kind == "text":
            return open_texts(files, path, how)
        if kind != "words":
            return open_files(files, path, kind, how)
    return joined([_file(file, path, how) for file in files])


def _kinds(path: Path, how: Reading) -> dict[Path, Kind]:
    """The files of a folder that are read, and what is in them."""
    pattern = how.pattern or ("*.txt" if how.input == "text" else None)
    every = find_files(path, pattern=pattern or "*")
    if pattern is None:  # what systems leave there: .DS_Store, ._1.wav
        every = [f for f in every if not f.name.startswith(".")] or every
    if how.labels is not None:
        every = [file for file in every if file != path / how.labels]
    of_tables = _kind_of_tables([file for file in every if rows_of(file) is not None], how)
    found: dict[Path, Kind] = {}
    for file in every:
        kind = of_tables if rows_of(file) is not None else kind_of_file(file)
        if pattern is not None:  # whatever they end in
            kind = how.input if how.input != "auto" else kind or "text"
        if kind is not None and how.input in ("auto", kind):
            found[file] = kind
    if not found:
        known = ", ".join(e for e, kind in ENDINGS.items() if how.input in ("auto", kind))
        there = ", ".join(sorted({file.suffix or "none" for file in every})[:10])
        raise DataError(
            f"{path}: expected files that end in {known}, or tables; found the endings "
            f"{there or 'none'}. Choose files with pattern, and say by input what they are."
        )
    if pattern is None and {*found.values()} > {"text"}:  # README.txt, LICENSE.txt
        found = {file: kind for file, kind in found.items() if kind != "text"}
    if how.pattern is None and {*found.values()} == {"text"}:  # tables only where no text is
        found = {f: kind for f, kind in found.items() if rows_of(f) is None} or found
    return found


def _kind_of_tables(files: Sequence[Path], how: Reading) -> Kind:
    """Of tables whose columns name no files and no texts: series; the first to be read says it."""
    if how.input in ("series", "text", "words"):
        return how.input
    for file in files:
        try:
            _, cells = first_row(table_rows(file, how, comments=True), str(file))
        except DataError:
            continue
        if how.inputs or any(name in cells for name in (how.column or "text", *FILE_COLUMNS)):
            return "text"
        break
    return "series"


def _is_one(file: Path, kind: Kind, how: Reading) -> bool:
    """Whether a file is one example, or text: it has no sentences, cases or rows of its own."""
    if rows_of(file) is not None:
        return kind == "series" and how.id is None and how.rows != "sequences"
    return not is_ts(file)


def _frames(path: Path) -> list[Path]:
    """Files with a video, and folders with pictures right inside them."""
    files = [file for file in path.rglob("*") if file.is_file()]
    found = sorted({f if is_video(f) else f.parent for f in files if is_video(f) or is_frame(f)})
    if not found:
        raise DataError(
            f"{path}: expected videos (.mp4), or folders with the frames of one (.png), found none."
        )
    return found


def _file(file: Path, root: Path, how: Reading) -> Examples:
    """The examples of one file, of a folder or alone."""
    alone = file == root
    if rows_of(file) is not None:
        part = _part(file, root, how, table=alone)
        return _table(file, how, part)
    kind = how.input if how.input != "auto" else kind_of_file(file)
    if is_ts(file):
        return open_ts(file, how, _part(file, root, how))
    if kind == "words":
        return open_conll(file, how, _part(file, root, how))
    if kind in ("sound", "picture", "series") or (kind == "video" and is_video(file)):
        return open_files([file], root, kind, how)
    if kind == "text" or kind is None:
        if how.label is not None and alone:
            raise DataError(
                f"{file}: expected a table (CSV, JSON lines, Parquet) with a column "
                f"{how.label_columns[0]!r}, or a folder with a subfolder or a file for each class; "
                "this is text without labels."
            )
        return open_texts([file], root, how)
    raise DataError(
        f"{file}: expected a video (.mp4), or a folder with the frames of one, this is another "
        "file."
    )


def _part(file: Path, root: Path, how: Reading, *, table: bool = False) -> PartName | None:
    """The part that a file belongs to; of a table alone its column says it."""
    return None if how.split == "hash" or table else of_path(file, root, how).part


def _table(file: Path, how: Reading, part: PartName | None) -> Examples:
    whole = how.input == "series" and how.column is None and not how.inputs
    named = how.labels is not None or how.label_from is not None  # the file is one example
    if whole and named and _is_one(file, "series", how):
        return open_files([file], file, "series", how)

    def rows() -> Rows:
        return table_rows(file, how, comments=whole or how.id is not None)

    return open_table(str(file), file.parent, rows, how, part, file)
