"""Examples that Python gives: lists, arrays, tensors, pictures, frames with columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.examples.base import Example, Examples, Found, Kind, Target, tried
from recurra.data.examples.columns import columns_of, has_columns, names_of
from recurra.data.examples.labels import is_nothing, target_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.sources import Rows
from recurra.data.examples.tables import open_table
from recurra.data.examples.values import (
    channels_of,
    check_each,
    is_list,
    kind_of_value,
    value_of,
)
from recurra.data.splits import PartName
from recurra.errors import DataError, kind_of

__all__ = ["open_given", "value_of"]


def open_given(
    source: Any, how: Reading, place: str = "", part: PartName | None = None
) -> Examples:
    """Examples of lists, arrays, tensors or frames.

    Args:
        source: a pair (inputs, targets), a list of pairs, a frame or table with columns, rows of a
            data set; with ``label=None`` inputs alone.
        how: ``input`` says what they are, where that is not seen; ``axes`` of arrays.
        place: what messages say before an example.
        part: of all of them.

    Raises:
        DataError: something else, or lists of unequal length.
    """
    if _has_rows(source):
        return open_table(f"{place}data", Path(), lambda: _rows(source, place), how, part)
    if has_columns(source):
        return _frame(source, how, place, part)
    if isinstance(source, list) and source and all(isinstance(e, Example) for e in source):
        return Examples(
            f"{place}data", {"input": kind_of_value(source[0].input, how)}, lambda: source
        )
    inputs, targets = _lists(source, how, place)
    if isinstance(inputs, Mapping):
        return _several(inputs, targets, how, place, part)
    kind = kind_of_value(next((each for each in inputs if not is_nothing(each)), None), how)
    if targets is not None and len(targets) != len(inputs):
        raise DataError(
            f"{place}data: expected a label for each input, got {len(inputs):,} {kind} inputs "
            f"and {len(targets):,} labels."
        )

    channels = channels_of(inputs, how) if kind == "series" else ()

    def read() -> Found:
        for number, value in enumerate(inputs):
            told = f"{place}example {number}"
            made = (value, kind, how, told, channels)
            target = () if targets is None else (targets[number],)
            yield tried(_example, made, target, part)

    return Examples(f"{place}data", {"input": kind}, read, skip=how.skip, channels=channels)


def _has_rows(source: Any) -> bool:
    """Whether it is a data set of the library datasets or a table of pyarrow."""
    return hasattr(source, "column_names") and not isinstance(source, Mapping)


def _rows(source: Any, place: str) -> Rows:
    if hasattr(source, "to_batches"):
        rows: Iterable[Any] = itertools.chain.from_iterable(
            batch.to_pylist() for batch in source.to_batches()
        )
    else:
        rows = source
    for number, row in enumerate(rows):
        yield f"{place}row {number}", row


def _frame(source: Any, how: Reading, place: str, part: PartName | None) -> Examples:
    """Of anything that has columns by name."""
    names = list(names_of(source, place))
    numbers = how.id is not None or (how.input == "series" and how.column is None)
    if how.column is None and not how.inputs and _guess(names, how) not in names:
        numbers = numbers or "id" in map(str.lower, names)  # errors tell what all of them are
    wanted = [("", name) for name in names] if numbers else _wanted(names, how, part)
    columns = columns_of(source, wanted, place)

    def rows() -> Rows:
        named = [name for _, name in wanted]
        for number, cells in enumerate(zip(*columns, strict=True)):
            yield f"{place}example {number}", dict(zip(named, cells, strict=True))

    return open_table(f"{place}data", Path(), rows, how, part)


def _wanted(names: list[str], how: Reading, part: PartName | None) -> list[tuple[str, str]]:
    """The columns that are read, with the settings that name them."""
    if how.inputs:
        wanted = [("data.inputs", column) for column in how.inputs.values()]
    else:
        wanted = [("data.column", how.column or _guess(names, how))]
    wanted += [("data.label", label) for label in how.label_columns]
    if how.group is not None:
        wanted.append(("data.group", how.group))
    if how.split == "given" and part is None:
        wanted.append(("data.split_column", how.split_column))
    return list({name: (setting, name) for setting, name in reversed(wanted)}.values())[::-1]


def _guess(names: list[str], how: Reading) -> str:
    """The column of the input; that of the label is none."""
    known = ("text", "input", "words", "series", "sound", "audio", "picture", "image", "video")
    return next((n for n in known if n in names and n not in how.label_columns), "text")


def _lists(source: Any, how: Reading, place: str) -> tuple[Any, Any]:
    """Inputs, and targets or None."""
    if isinstance(source, tuple) and len(source) == 2:
        inputs, targets = source
    elif isinstance(source, list | Iterator) and how.label is not None:
        pairs = list(source)
        for number, pair in enumerate(pairs):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise DataError(
                    f"{place}data: expected a path, a pair of lists (inputs, labels), or a data "
                    f"frame with such columns, got {kind_of(source)}, whose example {number} is no "
                    "pair. Make it a tuple: (inputs, labels); without labels say label=None."
                )
        inputs, targets = [p[0] for p in pairs], [p[1] for p in pairs]
    elif how.label is None and is_list(source):
        inputs, targets = source, None
    else:
        size = f" of {len(source):,}" if isinstance(source, tuple) else ""
        raise DataError(
            f"{place}data: expected a path, a pair of lists (inputs, labels), or a data frame with "
            f"such columns, got {'nothing' if source is None else kind_of(source)}{size}."
        )
    if how.label is None:
        targets = None
    return _checked(inputs, "inputs", place), _checked(targets, "labels", place)


def _checked(given: Any, name: str, place: str) -> Any:
    """A list, an array or a column; not one text, whose letters would be taken."""
    if given is None or (isinstance(given, Mapping) and name == "inputs"):
        return given
    if not is_list(given) or isinstance(given, Mapping):
        raise DataError(f"{place}data: expected a list of {name}, got {kind_of(given)}.")
    return given if isinstance(given, np.ndarray) or hasattr(given, "detach") else list(given)


def _several(
    inputs: Mapping[str, Any], targets: Any, how: Reading, place: str, part: PartName | None
) -> Examples:
    """Of several inputs, each a list, by name."""
    lists = {str(name): _checked(each, "inputs", place) for name, each in inputs.items()}
    kinds = {
        name: kind_of_value(next((e for e in each if not is_nothing(e)), None), how)
        for name, each in lists.items()
    }
    sizes = {name: len(each) for name, each in lists.items()}
    sizes |= {} if targets is None else {"labels": len(targets)}
    if len({*sizes.values()}) > 1:
        told = ", ".join(f"{size:,} in {name!r}" for name, size in sizes.items())
        raise DataError(f"{place}data: expected lists of one length, got {told}.")

    def read() -> Found:
        for number in range(next(iter(sizes.values()), 0)):
            told = f"{place}example {number}"
            target = () if targets is None else (targets[number],)
            value = {name: each[number] for name, each in lists.items()}
            yield tried(_of_several, value, target, kinds, how, told, part)

    return Examples(f"{place}data", kinds, read, skip=how.skip)


def _of_several(
    values: Mapping[str, Any],
    target: Sequence[Any],
    kinds: Mapping[str, Kind],
    how: Reading,
    place: str,
    part: PartName | None,
) -> Example:
    made = {
        name: None if is_nothing(value) else value_of(value, kinds[name], how, f"{place}: {name}")
        for name, value in values.items()
    }
    return Example(made, target_of(target, how, "its place", place), place, part)


def _example(made: tuple[Any, ...], target: Sequence[Any], part: PartName | None) -> Example:
    value = value_of(*made)
    _, kind, how, place, _ = made
    said: Target = target_of(target, how, "its place", place)
    check_each(value, said, kind, how, place)
    return Example(value, said, place, part)
