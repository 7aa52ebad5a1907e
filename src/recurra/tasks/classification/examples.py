"""Texts with their classes, from files, folders and Python."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recurra.data import Document, PartName, find_files, is_hub, is_table, open_documents
from recurra.data.rows import no_column
from recurra.errors import DataError, kind_of
from recurra.given import text_of
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.division import PART_NAMES
from recurra.tasks.texts import columns_of, has_columns, label_text

__all__ = ["Example", "Examples", "open_examples"]

_PART = re.compile(r"(train|training|validation|valid|val|dev|test)(?:[-_.].*)?", re.IGNORECASE)


class Example(NamedTuple):
    """A text and its class.

    Args:
        text: as it was read.
        label: name of its class.
        source: the file, and the line or row in it.
        part: where it is said to which part it belongs; else None.
    """

    text: str
    label: str
    source: str
    part: PartName | None = None


class Examples(list[Example]):
    """Texts with their classes, in memory.

    Attributes:
        blank: how many texts without a letter were left out.
    """

    blank = 0

    def take(self, examples: Iterable[Example]) -> None:
        """Add those that have a text."""
        for example in examples:
            if example.text and not example.text.isspace():
                self.append(example)
            else:
                self.blank += 1


def open_examples(source: Any, data: ClassificationData) -> Examples:
    """Texts with their classes.

    Args:
        source: a file with columns for text and label, a folder with a subfolder or a file for each
            class, a pair of lists (texts and labels), a data frame or mapping of such columns, or a
            mapping of any of these by part.
        data: how it is read.

    Raises:
        DataError: nothing there, or something wrong in it; with file and line.
    """
    if isinstance(source, Examples):
        return source
    found = Examples()
    if isinstance(source, str | Path) and is_hub(source):
        found.take(_rows(source, data, None, found))
    elif isinstance(source, str | Path):
        _read(Path(source), data, found)
    elif isinstance(source, Mapping) and {*source} <= {*PART_NAMES}:
        for name, part in source.items():
            found.take(e._replace(part=PART_NAMES[name]) for e in _columns(part, data, f"{name}, "))
    else:
        found.take(_columns(source, data))
    if not found:
        raise DataError("data: expected texts with classes, found none.")
    return found


# ---- files ---------------------------------------------------------------------------------------


def _read(path: Path, data: ClassificationData, found: Examples) -> None:
    files = find_files(path, pattern=data.pattern)
    root = path if path.is_dir() else path.parent
    texts = [file for file in files if not is_table(file)]
    if texts and path.is_file():
        raise DataError(
            f"{path}: expected a table (CSV, JSON lines, Parquet) with a column {data.label!r}, or "
            "a folder with a subfolder or a file for each class; this is text without labels."
        )
    labels = {file: _class_of(file, root, texts, data) for file in texts}
    for file in files:
        part = _named(file.relative_to(root).parts[0]) if data.split == "given" else None
        if data.split == "given" and part is None:
            raise DataError(
                f"{file}: expected a file or folder named train, validation or test, as "
                "data.split=given has it. To divide by what texts hold take data.split=hash."
            )
        if file in labels:
            label, whole = labels[file]
            label = _checked(label, "the name of its folder or file", str(file))
            if not file.stat().st_size:
                found.blank += 1
                continue
            unit = data.unit or ("file" if whole else "line")
            documents = open_documents(file, unit=unit, **_how(data))
            found.take(Example(each.text, label, each.source, part) for each in documents)
            found.blank += documents.blank
        else:
            found.take(_rows(file, data, part, found))


def _how(data: ClassificationData) -> dict[str, Any]:
    return {
        "column": data.column,
        "encoding": data.encoding,
        "separator": data.separator,
        "nul": data.vocabulary == "bytes",
    }


def _named(name: str) -> PartName | None:
    """The part that a file or folder belongs to by its name."""
    match = _PART.fullmatch(name)
    return PART_NAMES[match[1].lower()] if match else None


def _class_of(
    file: Path, root: Path, files: list[Path], data: ClassificationData
) -> tuple[str, bool]:
    """The class of a file of text, and whether it is one text: its folder says so."""
    inside = file.relative_to(root).parts[:-1]
    if data.split == "given" and inside and _named(inside[0]):
        inside = inside[1:]
    if inside:
        return inside[-1], True
    beside = [other for other in files if other.parent == file.parent]
    if len({other.stem for other in beside}) == len(beside):
        return file.stem, False
    return file.suffix.removeprefix(".") or file.name, False  # reviews.pos, reviews.neg


def _rows(
    path: str | Path,
    data: ClassificationData,
    part: PartName | None,
    found: Examples | None = None,
) -> Iterator[Example]:
    """Of a table."""
    documents = open_documents(path, **_how(data))
    for document in documents:
        yield Example(
            document.text,
            _label(document, data.label, data.column or "text"),
            document.source,
            part,
        )
    if found is not None:
        found.blank += documents.blank


def _label(document: Document, name: str, text: str) -> str:
    if name not in document.fields:
        known = document.fields.keys() - {"file", "folder"}
        raise no_column(document.source, name, "data.label", {*known, text})
    return _checked(document.fields[name], f"{name!r} (data.label)", document.source)


def _checked(value: Any, name: str, source: str) -> str:
    """A label; an empty cell of a table is none, nor is what data frames have in its place."""
    nothing = (isinstance(value, str) and not value.strip()) or (
        isinstance(value, float) and math.isnan(value)
    )
    return label_text(None if nothing else value, name, source)


# ---- Python --------------------------------------------------------------------------------------


def _check_lists(pair: tuple[Any, Any], place: str) -> None:
    """Whether both are lists, and not one text, whose letters would be taken."""
    for name, some in zip(("texts", "labels"), pair, strict=True):
        if isinstance(some, str | bytes) or not isinstance(some, Iterable):
            raise DataError(f"{place}data: expected a list of {name}, got {kind_of(some)}.")


def _columns(source: Any, data: ClassificationData, place: str = "") -> Iterator[Example]:
    """Of two lists, or of anything that has columns by name: a frame of pandas or polars."""
    if isinstance(source, tuple) and len(source) == 2:
        texts, labels = source
        _check_lists(source, place)
    elif has_columns(source):
        named = (("data.column", data.column or "text"), ("data.label", data.label))
        texts, labels = columns_of(source, named, place)
    else:
        size = f" of {len(source):,}" if isinstance(source, tuple) else ""
        raise DataError(
            f"{place}data: expected a path, a pair of lists (texts, labels), or a data frame with "
            f"such columns, got {'nothing' if source is None else kind_of(source)}{size}."
            + (" Make it a tuple: (texts, labels)." if isinstance(source, list) else "")
        )
    texts, labels = list(texts), list(labels)
    if len(texts) != len(labels):
        raise DataError(
            f"data: expected a label for each text, got {len(texts):,} texts and {len(labels):,} "
            "labels."
        )
    for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
        told = f"{place}example {number}"
        yield Example(text_of(told, text), _checked(label, "its place", told), told)
