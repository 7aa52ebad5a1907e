"""Series in the format of sktime and the UEA archive, ``.ts``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.data.examples.base import Example, Examples, Found, tried
from recurra.data.examples.numbers import numbers_of
from recurra.data.examples.reading import Reading
from recurra.data.examples.sources import lines_of
from recurra.data.readers import inside
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = ["is_ts", "open_ts"]


def is_ts(file: Path) -> bool:
    """Whether a file is one of such cases, by its ending."""
    return inside(file).suffix.lower() == ".ts"


class _Header(NamedTuple):
    """What the lines with ``@`` say; None where they say nothing."""

    dimensions: int | None
    length: int | None
    missing: bool | None
    classes: tuple[str, ...] | None  # none: cases have no class
    target: bool  # whether cases end with a number that is to be predicted


def open_ts(file: Path, how: Reading, part: PartName | None = None) -> Examples:
    """Cases of a file, one a line: dimensions between colons, steps between commas, then the class.

    Args:
        file: the file.
        how: what is done about a case that cannot be read; ``label=None`` leaves classes out.
        part: of all cases.

    Raises:
        DataError: something is wrong in the header.
    """
    header, _, _ = _opened(file, how)
    if header.target and how.label is not None:
        raise DataError(
            f"{file}: expected classes (@classLabel), this file has numbers to predict "
            "(@targetLabel). Without labels it is read with label=None."
        )
    if header.classes is None and how.label is not None:
        raise DataError(
            f"{file}: expected classes, @classLabel says there are none. Without labels it is read "
            "with label=None."
        )
    size = header.dimensions or _dimensions(file, how, header)
    names = how.channels or tuple(str(number) for number in range(size))
    if len(names) != size:
        raise DataError(
            f"{file}: expected a name for each of {size} dimensions, got {len(names)} (channels)."
        )

    def read() -> Found:
        told, last, lines = _opened(file, how)
        for number, line in enumerate(lines, last + 1):
            if isinstance(line, DataError):
                yield line
            elif line and not line.isspace() and not line.startswith("#"):
                place = f"{file}: line {number}"
                yield tried(_case, line, place, told, size, how, part)

    return Examples(str(file), {"input": "series"}, read, skip=how.skip, channels=names)


def _opened(file: Path, how: Reading) -> tuple[_Header, int, Iterator[str | DataError]]:
    """What the header says, the number of its last line, and the lines after it."""
    said: dict[str, str] = {}
    lines = lines_of(file, how)
    for number, line in enumerate(lines, 1):
        if isinstance(line, DataError):
            continue  # of a comment: whatever else is no header
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith("@"):
            raise DataError(
                f"{file}: line {number}: expected a header, lines such as '@classLabel true a b' "
                f"and then '@data', got {line[:40]!r}."
            )
        key, _, value = line[1:].partition(" ")
        if key.lower() == "data":
            return _header(file, said), number, lines
        said[key.lower()] = value.strip()
    raise DataError(f"{file}: expected a line '@data' before the cases, found none.")


def _header(file: Path, said: dict[str, str]) -> _Header:
    if _flag(file, said, "timestamps"):
        raise DataError(f"{file}: cases with time stamps (@timeStamps true) cannot be read.")
    univariate = _flag(file, said, "univariate")
    dimensions = _count(file, said, "dimensions") or _count(file, said, "dimension")
    if univariate and dimensions not in (None, 1):
        raise DataError(
            f"{file}: @univariate true and @dimensions {dimensions} exclude each other."
        )
    length = _count(file, said, "serieslength") if _flag(file, said, "equallength") else None
    classes = said.get("classlabel", "false").split()
    there = bool(classes) and classes[0].lower() == "true"
    if there and len(classes) == 1:
        raise DataError(f"{file}: expected the names of the classes behind '@classLabel true'.")
    return _Header(
        1 if univariate else dimensions,
        length,
        _flag(file, said, "missing"),
        tuple(classes[1:]) if there else None,
        bool(_flag(file, said, "targetlabel")),
    )


def _flag(file: Path, said: dict[str, str], name: str) -> bool | None:
    value = said.get(name)
    if value is None:
        return None
    if value.lower() not in ("true", "false"):
        raise DataError(f"{file}: expected '@{name} true' or false, got {value!r}.")
    return value.lower() == "true"


def _count(file: Path, said: dict[str, str], name: str) -> int | None:
    value = said.get(name)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise DataError(f"{file}: expected a whole number in '@{name}', got {value!r}.")
    return int(value)


def _dimensions(file: Path, how: Reading, header: _Header) -> int:
    """Of the first case, where the header does not say it."""
    for line in _opened(file, how)[2]:
        if isinstance(line, str) and line and not line.isspace() and not line.startswith("#"):
            return max(1, line.count(":") + 1 - (header.classes is not None or header.target))
    return 1


def _case(
    line: str, place: str, header: _Header, size: int, how: Reading, part: PartName | None
) -> Example:
    body, label = line.strip(), None
    if header.classes is not None or header.target:
        body, _, label = body.rpartition(":")
    dimensions = body.split(":")
    if len(dimensions) != size:
        raise DataError(
            f"{place}: expected {size} dimensions{' and a class' if label is not None else ''}, "
            f"got {len(dimensions)}."
        )
    counts = [dimension.count(",") + 1 for dimension in dimensions]
    if len({*counts}) > 1:
        wrong = next(n for n, count in enumerate(counts) if count != counts[0])
        raise DataError(
            f"{place}: expected as many steps in each dimension, got {counts[0]} in dimension 0 "
            f"and {counts[wrong]} in dimension {wrong}."
        )
    if header.length not in (None, counts[0]):
        raise DataError(
            f"{place}: expected {header.length} steps, as @seriesLength says, got {counts[0]}."
        )
    if header.missing is False and "?" in body:
        raise DataError(f"{place}: expected no missing values, as @missing says, got '?'.")
    cells = body.replace(":", ",").split(",")
    values = numbers_of(
        cells, lambda n: f"{place}: dimension {n // counts[0]}, step {n % counts[0]}"
    )
    if header.classes is not None and label is not None:
        label = label.strip()
        if label not in header.classes:
            raise DataError(f"{place}: expected a class that @classLabel names, got {label!r}.")
    target = label if how.label is not None else None
    found = np.ascontiguousarray(values.reshape(size, -1).T, np.float32)
    return Example(found, target, place, part)
