"""Files that are an example each, or hold several: their labels by folder, name, or a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data.examples.base import Example, Examples, Found, Kind, Target, tried
from recurra.data.examples.labels import Named, label_text, of_path, target_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.series import read_series
from recurra.data.examples.sources import lines_of, table_rows
from recurra.data.examples.values import channels_of, check_channels, content_of
from recurra.data.readers import check_path
from recurra.data.rows import no_column, rows_of
from recurra.data.texts import open_documents
from recurra.errors import DataError

__all__ = ["open_files", "open_texts"]


def open_files(files: Sequence[Path], root: Path, kind: Kind, how: Reading) -> Examples:
    """Files, or folders of frames, that are an example each.

    Args:
        files: at least one.
        root: the folder that was given.
        kind: what they are.
        how: they are read, and where their labels stand.

    Raises:
        DataError: a table with labels that cannot be read, or no label can be had.
    """
    beside = None if how.labels is None else _Beside(root, how)
    channels = channels_of(files, how) if kind == "series" else ()

    def read() -> Found:
        for file in files:
            yield tried(_example, file, root, kind, how, channels, beside)
        if beside is not None and root.is_dir():
            yield from beside.without_file(files, root, how)

    return Examples(str(root), {"input": kind}, read, skip=how.skip, channels=channels)


def _example(
    file: Path,
    root: Path,
    kind: Kind,
    how: Reading,
    channels: tuple[str, ...],
    beside: _Beside | None,
) -> Example:
    named = of_path(file, root, how)
    place = str(file)
    inner: Target = None
    value: Any
    stamps: tuple[Any, ...] = ()
    if kind == "series":
        value, names, inner, stamps = read_series(file, how)
        check_channels(names, channels, place)
    else:
        value = content_of(file, kind, how, place)
    if inner is not None:
        target: Target = inner
    elif beside is not None:
        target = beside.target(file, root, named)
    else:
        target = _target(named, file, how)
    return Example(value, target, place, named.part, named.group, stamps)


def _target(named: Named, file: Path, how: Reading) -> Target:
    if how.label is None:
        return None
    if named.label is None:
        if how.unknown:
            return None
        raise DataError(
            f"{file}: expected a folder for each label, this file is in none. Say where labels "
            "stand: label_from='name', or a regular expression; labels, a table beside the files; "
            "or label=None, if there are none."
        )
    return label_text(named.label, "its path", str(file))


class _Beside:
    """A table with the labels of files.

    Args:
        root: the folder with the files; the table is looked for there.
        how: it is read.

    Raises:
        DataError: it is not there, has no such column, or says a file twice.
    """

    def __init__(self, root: Path, how: Reading) -> None:
        self._how = how
        table = (root if root.is_dir() else root.parent) / str(how.labels)
        check_path(table)
        if rows_of(table) is None:
            raise DataError(f"{table}: expected a table (.csv, .tsv, .jsonl, .parquet) of labels.")
        self.path = table
        self._targets: dict[str, tuple[str, Target]] = {}
        for row in table_rows(table, how, comments=True):
            if isinstance(row, DataError):
                raise row
            self._add(*row)
        if not self._targets:
            raise DataError(f"{table}: expected rows of labels, found none.")

    def _add(self, place: str, cells: Mapping[str, Any]) -> None:
        how = self._how
        key = how.id if how.id is not None else next(iter(cells))
        if key not in cells:
            raise no_column(place, key, "data.id", cells)
        names = how.label_columns
        if names == ("label",) and "label" not in cells and len(cells) == 2:
            names = (next(name for name in cells if name != key),)  # there is no other
        for name in names:
            if name not in cells:
                raise no_column(place, name, "data.label", cells)
        name = " and ".join(map(repr, names)) + " (data.label)"
        said = str(cells[key]).strip()
        if said in self._targets:
            raise DataError(
                f"{place}: expected each file once, {said!r} is in {self._targets[said][0]} too."
            )
        self._targets[said] = (place, target_of((cells[n] for n in names), how, name, place))

    def key(self, file: Path, root: Path, named: Named) -> str | None:
        """What the table calls a file: as it is found; None if it has no row."""
        numbers = re.findall(r"\d+", file.stem)
        guesses = [file.relative_to(root).as_posix(), file.name, file.stem, *numbers[-1:]]
        if named.id is not None:
            guesses = [named.id]
        return next((guess for guess in guesses if guess in self._targets), None)

    def target(self, file: Path, root: Path, named: Named) -> Target:
        """What the table says of a file.

        Raises:
            DataError: nothing.
        """
        key = self.key(file, root, named)
        if key is None:
            if self._how.unknown:
                return None
            raise DataError(
                f"{file}: expected a row for it in {self.path}, found none. A row has the path, "
                "the name or the stem of a file, or the last number in it; label_from may say "
                "which part of a name with a group (?P<id>...)."
            )
        return self._targets[key][1]

    def without_file(self, files: Sequence[Path], root: Path, how: Reading) -> Found:
        """Errors for rows that no file belongs to."""
        found = set()
        for file in files:
            try:
                found.add(self.key(file, root, of_path(file, root, how)))
            except DataError:  # told already, at its place
                return
        for said, (place, _) in self._targets.items():
            if said not in found:
                yield DataError(f"{place}: expected a file for {said!r} in {root}, found none.")


# ---- texts ---------------------------------------------------------------------------------------


def open_texts(files: Sequence[Path], root: Path, how: Reading) -> Examples:
    """Files of text: whole in a folder for each label, or a file for each label line by line.

    Raises:
        DataError: a label that cannot be.
    """

    def read() -> Found:
        for file in files:
            yield from _texts(file, files, root, how)

    return Examples(str(root), {"input": "text"}, read, skip=how.skip)


def _texts(file: Path, files: Sequence[Path], root: Path, how: Reading) -> Found:
    named = of_path(file, root, how)
    label, whole = named.label, True
    if named.label is None and how.label is not None:
        beside = [other for other in files if other.parent == file.parent]
        apart = len({other.stem for other in beside}) == len(beside)
        label = file.stem if apart else file.suffix.removeprefix(".") or file.name  # reviews.pos
        whole = False
    elif how.label is None:
        whole = file != root  # one file alone has an example on each line
    target = (
        None
        if how.label is None
        else target_of([label], how, "the name of its folder or file", str(file))
    )
    if not file.stat().st_size:
        yield Example("", target, str(file), named.part, named.group)
        return
    unit = how.unit or ("file" if whole else "line")
    documents = open_documents(file, unit=unit, **how.texts())
    if unit == "line" and how.skip:
        for number, line in enumerate(lines_of(file, how), 1):
            made = Example(str(line), target, f"{file}: line {number}", named.part, named.group)
            yield line if isinstance(line, DataError) else made
        return
    try:
        for document in documents.every():
            yield Example(document.text, target, document.source, named.part, named.group)
    except DataError as problem:
        if unit != "file":  # what is read of it before is not taken back
            raise
        yield problem
