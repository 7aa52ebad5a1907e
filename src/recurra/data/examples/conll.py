"""Sentences with a tag for each word: CoNLL-U, and columns as CoNLL has had them since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from recurra.data.examples.base import Example, Examples, Found, tried
from recurra.data.examples.reading import Reading
from recurra.data.examples.sources import lines_of
from recurra.data.readers import inside, read_lines
from recurra.data.splits import PartName
from recurra.errors import DataError, SettingError, nearest

__all__ = ["open_conll"]

_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_NAMES = "# global.columns ="  # CoNLL-U Plus
_DOCUMENT = "# newdoc id ="

_Lines = list[tuple[int, str | DataError]]


class _Columns(NamedTuple):
    """Where words and tags stand, and how a line falls into cells."""

    word: int
    tag: int | None
    separator: str | None  # None: any white space
    cells: int | None  # in a line; None: as many as the first line has
    universal: bool  # CoNLL-U: the first cell is an id, lines with # are comments


def open_conll(file: Path, how: Reading, part: PartName | None = None) -> Examples:
    """Sentences of a file, words and a tag for each, between blank lines.

    Of CoNLL-U (``.conllu``) columns have names: ``form`` is read, the label is ``upos`` if nothing
    is said. Ids with ``-`` or ``.`` are left out, and what ``# newdoc id`` says is the group. Of
    all others columns have numbers from 0, or from -1, the last, which is the label's.

    Args:
        file: the file, which may be packed (``.gz``).
        how: ``label`` is the column of tags, None for words alone, ``column`` that of words.
        part: of all sentences.

    Raises:
        SettingError: a column that cannot be.
        DataError: something is wrong in the file.
    """
    columns = _columns(file, how)
    return Examples(
        str(file), {"input": "words"}, lambda: _sentences(file, columns, how, part), skip=how.skip
    )


def _columns(file: Path, how: Reading) -> _Columns:
    if len(how.label_columns) > 1:
        raise SettingError(f"label: expected one column of tags, got {len(how.label_columns)}")
    label = how.label_columns[0] if how.label_columns else None
    if inside(file).suffix.lower() in (".conllu", ".conllup"):
        first = next(iter(read_lines(file, encoding=how.encoding)), "")
        names: tuple[str, ...] = _COLUMNS
        if first.startswith(_NAMES):
            names = tuple(first.removeprefix(_NAMES).lower().split())
        tag = "upos" if label == "label" else label
        return _Columns(
            _named(how.column or "form", names, "column", file),
            None if tag is None else _named(tag, names, "label", file),
            "\t",
            len(names),
            names[:1] == ("id",),
        )
    word, tag = how.column or "0", "-1" if label == "label" else label
    return _Columns(
        _number(word, "column"),
        None if tag is None else _number(tag, "label"),
        how.separator or ("\t" if inside(file).suffix.lower() == ".tsv" else None),
        None,
        False,
    )


def _named(name: str, names: Sequence[str], setting: str, file: Path) -> int:
    if name.lower() not in names:
        raise SettingError(f"{setting}: {file} has no column {name!r}; {nearest(name, names)}")
    return names.index(name.lower())


def _number(name: str, setting: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise SettingError(
            f"{setting}: columns of CoNLL have numbers, from 0, or from -1, the last; got {name!r}"
        ) from None


def _sentences(file: Path, columns: _Columns, how: Reading, part: PartName | None) -> Found:
    count, group = columns.cells, None
    for block in _blocks(file, how):
        lines: _Lines = []
        for number, line in block:
            if isinstance(line, str) and _is_comment(line, columns, count, begun=bool(lines)):
                if line.startswith(_DOCUMENT):
                    group = line.removeprefix(_DOCUMENT).strip() or None
            else:
                lines.append((number, line))
                if count is None and isinstance(line, str):
                    count = len(line.split(columns.separator))
        if lines:
            yield tried(_sentence, lines, columns, count, file, part, group)


def _blocks(file: Path, how: Reading) -> Iterator[_Lines]:
    """Lines between blank ones, with their numbers."""
    held: _Lines = []
    for number, line in enumerate(lines_of(file, how), 1):
        if isinstance(line, DataError) or (line and not line.isspace()):
            held.append((number, line))
        elif held:
            yield held
            held = []
    if held:
        yield held


def _is_comment(line: str, columns: _Columns, count: int | None, *, begun: bool) -> bool:
    """Whether a line is none of a word; a word may be a number sign too."""
    if line.startswith("-DOCSTART-"):
        return True
    if not line.startswith("#"):
        return False
    return columns.universal or (not begun and len(line.split(columns.separator)) != count)


def _sentence(
    lines: _Lines,
    columns: _Columns,
    count: int,
    file: Path,
    part: PartName | None,
    group: str | None,
) -> Example:
    words, tags = [], []
    for number, line in lines:
        if isinstance(line, DataError):
            raise line
        cells = line.split(columns.separator)
        if columns.universal and ("-" in cells[0] or "." in cells[0]):
            continue
        word, tag = _cells(cells, count, columns, f"{file}: line {number}")
        words.append(word)
        tags.append(tag)
    target = None if columns.tag is None else tuple(tags)
    return Example(tuple(words), target, f"{file}: line {lines[0][0]}", part, group)


def _cells(cells: Sequence[str], count: int, columns: _Columns, place: str) -> tuple[str, str]:
    """The word and the tag of a line."""
    if len(cells) != count:
        between = "white space" if columns.separator is None else repr(columns.separator)
        raise DataError(
            f"{place}: expected {count} columns with {between} between them, got {len(cells)}."
        )
    for name, at in (("column", columns.word), ("label", columns.tag)):
        if at is not None and not -count <= at < count:
            raise DataError(f"{place}: no column {at} ({name}), there are {count}, from 0.")
    word = cells[columns.word].strip()
    tag = "" if columns.tag is None else cells[columns.tag].strip()
    if not word or (columns.tag is not None and not tag):
        raise DataError(f"{place}: expected a {'tag' if word else 'word'}, got nothing.")
    return word, tag
