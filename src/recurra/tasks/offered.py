"""What a trained model is given to read: by Python, by a line of text, by a file or a folder."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recurra.data.examples import Example, Reading, open_examples
from recurra.data.examples.series import first_row
from recurra.data.examples.sources import table_rows
from recurra.data.examples.tables import FILE_COLUMNS
from recurra.data.rows import rows_of
from recurra.errors import DataError
from recurra.tasks.encoding import raw_of
from recurra.tasks.inputs import InputSection, is_text, kind_of_front
from recurra_runtime.fronts import Series

__all__ = ["opened_inputs", "raw_input", "value_of_line"]

_LISTS = (".jsonl", ".ndjson")  # of several inputs each line is one by the names of these


def opened_inputs(
    fronts: Mapping[str, Any], file: Path, data: Any, encoding: str | None = None
) -> Iterable[Any] | None:
    """What a file or a folder holds, read as the run read its own data, but for the labels.

    A table has a row for each input, a text or the name of a file in the table's folder. Of series,
    sounds, pictures and videos any other file is one, and a folder has several.

    Args:
        fronts: of what the model reads, by name.
        file: a file or a folder.
        data: how the run read its own; its ``reading()`` is asked.
        encoding: how characters are stored; as the run's own if None.

    Returns:
        examples, or names of files; None where each line is an input, or names the file of one.

    Raises:
        DataError: a table without the column that the run reads, or something in it.
    """
    front = next(iter(fronts.values()))
    table = rows_of(file) is not None and not file.is_dir()
    if len(fronts) > 1 and file.is_dir():
        raise DataError(
            f"{file}: expected a table with a column for each of {', '.join(fronts)}, or a file "
            "with a JSON object in each line, this is a folder."
        )
    if len(fronts) > 1 or is_text(front):
        if not table or (len(fronts) > 1 and file.suffix in _LISTS):
            return None
    elif file.suffix == ".txt":
        return None
    elif not isinstance(front, Series) and not table and not file.is_dir():
        return [file]
    if encoding is not None:
        data = data.model_copy(update={"encoding": encoding})
    kind = kind_of_front(front) if len(fronts) == 1 else "auto"
    how = dataclasses.replace(
        data.reading(),
        input=kind,
        on_error="stop",
        split="hash",
        unknown=True,
        **dict.fromkeys(("label_from", "labels", "group", "pattern")),
    )
    if len(fronts) == 1 and isinstance(front, Series):
        return _series(file, how)
    if table:
        _check_columns(file, how)
    return open_examples(file, dataclasses.replace(how, label=None))


def _series(file: Path, how: Reading) -> Iterable[Any]:
    """Those of a file: with labels or none, with ids or one."""
    for known in (how, dataclasses.replace(how, label=None)):
        try:
            examples = open_examples(file, known)
            next(iter(examples))
        except DataError as problem:
            if "data.id" in str(problem):
                return [file]
            if "data.label" not in str(problem):
                raise
        else:
            return examples
    return [file]


def _check_columns(file: Path, how: Reading) -> None:
    """Refuse a table without the columns that are read, before settings of a training are told.

    Raises:
        DataError: one is missing.
    """
    _, cells = first_row(table_rows(file, how, comments=False), str(file))
    any_of = [how.column] if how.column is not None else ["text", *FILE_COLUMNS]
    for wanted in [[column] for column in how.inputs.values()] or [any_of]:
        if not any(name in cells for name in wanted):
            names = " or ".join(map(repr, wanted))
            raise DataError(
                f"{file}: expected a table with the column {names}, as the run reads it, got "
                f"{', '.join(map(repr, cells))}. Name the column so; or, if each line is an input, "
                "give them by standard input."
            )


def value_of_line(fronts: Mapping[str, Any], line: str) -> Any:
    """A text; where something else is read the file of that name, of several a JSON object.

    Args:
        fronts: of what the model reads, by name.
        line: of text.

    Raises:
        DataError: it is no JSON object where several are read.
    """
    if len(fronts) == 1:
        return line if is_text(next(iter(fronts.values()))) else Path(line)
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        names = ", ".join(f'"{name}": ...' for name in fronts)
        raise DataError(f"predict: expected a line such as {{{names}}}, got {line[:80]!r}.")
    return {
        name: Path(value) if isinstance(value, str) and not is_text(front) else value
        for name, front in fronts.items()
        if (value := found.get(name)) is not None
    }


def raw_input(
    fronts: Mapping[str, Any], one: Any, data: InputSection | None = None
) -> tuple[Any, str | None]:
    """What fronts can encode, and what it is called.

    Args:
        fronts: of what the model reads, by name.
        one: an example, a text, the name of a file, numbers; of several inputs a mapping, in which
            one may be missing.
        data: how files of series are read.

    Raises:
        DataError: something else.
    """
    if isinstance(one, Example):
        return one.input, one.input if isinstance(one.input, str) else one.place
    if len(fronts) > 1:
        return _several(fronts, one), None
    front = next(iter(fronts.values()))
    named = isinstance(one, str | os.PathLike)
    how = data.reading(label=None, id=None) if data is not None and named else None
    return raw_of(front, one, "predict", how), os.fspath(one) if named else None


def _several(fronts: Mapping[str, Any], one: Any) -> dict[str, Any]:
    if not isinstance(one, Mapping) or not {*one} <= {*fronts}:
        names = ", ".join(fronts)
        got = list(one) if isinstance(one, Mapping) else type(one).__name__
        raise DataError(f"predict: expected a mapping of {names}, or some of them, got {got}.")
    return {
        name: raw_of(fronts[name], value, f"predict, {name}")
        for name, value in one.items()
        if value is not None
    }
