"""Labels: what is one, and where they stand when no column says them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.data.examples.base import Target
from recurra.data.examples.numbers import is_absent
from recurra.data.examples.reading import Reading
from recurra.data.readers import inside
from recurra.data.rows import no_column
from recurra.data.splits import PART_NAMES, PartName
from recurra.errors import DataError

__all__ = [
    "Named",
    "belonging",
    "is_nothing",
    "label_text",
    "named_part",
    "of_path",
    "target_in",
    "target_of",
]


def label_text(value: Any, name: str, source: str) -> str:
    """A label of an example.

    A label is a text, and white space around it is none of it. A whole number, true and false are
    labels by their text: 7 is ``"7"``, the same label as the text ``"7"``, and true and false are
    ``"True"`` and ``"False"``.

    Args:
        value: as it was read.
        name: where it stood, in words.
        source: of which example.

    Raises:
        DataError: none, or a value of another type.
    """
    if value is None:
        raise DataError(f"{source}: expected a label in {name}, got nothing.")
    if not isinstance(value, (str, int, np.integer, np.bool_)):
        shown = repr(value)
        raise DataError(
            f"{source}: expected a label in {name}: text, a whole number, true or false; got "
            f"{shown if len(shown) <= 80 else shown[:77] + '...'}. Write it as text."
        )
    return str(value).strip()


def target_of(values: Iterable[Any], how: Reading, name: str, place: str) -> Target:
    """What is to be said of an example.

    Args:
        values: of each column with labels, its cell.
        how: whether one may be missing, and what stands between several.
        name: where they stood, in words.
        place: of which example.

    Raises:
        DataError: one that is missing, or none.
    """
    cells = list(values)
    if not cells:
        return None
    found: list[str] = []
    several = len(cells) > 1
    for cell in cells:
        if getattr(cell, "ndim", None) == 0:  # of an array or a tensor
            cell = cell.item()
        if is_nothing(cell):
            if how.unknown:
                return None
            label_text(None, name, place)
        if not isinstance(cell, str) and hasattr(cell, "__len__"):
            cell = list(cell)
        if isinstance(cell, str) and how.label_separator is not None:
            cell = [each for each in cell.split(how.label_separator) if each.strip()]
        if isinstance(cell, list | tuple):
            several = True
            for number, each in enumerate(cell, 1):
                at = f"{place}: number {number} of {len(cell)}"
                found.append(label_text(None if is_nothing(each) else each, name, at))
        else:
            found.append(label_text(cell, name, place))
    return tuple(found) if several else found[0]


def target_in(cells: Mapping[str, Any], how: Reading, place: str) -> Target:
    """What the columns with labels of a row say.

    Raises:
        DataError: a column that is not there, or as of :func:`target_of`.
    """
    labels = how.label_columns
    if not labels:
        return None
    if len(labels) == 1 and how.label_separator is None:  # of nearly every table
        cell = cells.get(labels[0])
        if isinstance(cell, str) and (text := cell.strip()):
            return text
    for name in labels:
        if name not in cells:
            raise no_column(place, name, "data.label", cells)
    name = " and ".join(map(repr, labels)) + " (data.label)"
    return target_of((cells[label] for label in labels), how, name, place)


def belonging(
    cells: Mapping[str, Any], how: Reading, place: str, part: PartName | None
) -> tuple[PartName | None, str | None]:
    """Part and group of a row.

    Args:
        cells: of the row.
        how: which columns say it.
        place: of the row.
        part: of all rows, where it is known.

    Raises:
        DataError: a column that is not there, or a part that is none.
    """
    if part is None and how.split == "given":
        if how.split_column not in cells:
            raise no_column(place, how.split_column, "data.split_column", cells)
        cell = cells[how.split_column]
        part = named_part(str(cell))
        if part is None:
            raise DataError(
                f"{place}: expected one of {', '.join(PART_NAMES)} in {how.split_column!r} "
                f"(data.split_column), got {cell!r}."
            )
    if how.group is None or is_nothing(group := cells.get(how.group)):
        return part, None
    return part, str(group).strip()


def is_nothing(value: Any) -> bool:
    """Whether a cell is empty; data frames have NaN or NA in its place."""
    return (
        is_absent(value)
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


# ---- files ---------------------------------------------------------------------------------------


class Named(NamedTuple):
    """What the path of a file says.

    Args:
        label: None if it says none.
        group: what may be left out together.
        part: None if nothing says it.
        id: which row of a table beside it is its own.
    """

    label: str | None = None
    group: str | None = None
    part: PartName | None = None
    id: str | None = None


def named_part(name: str) -> PartName | None:
    """The part that a file or folder belongs to by its name: ``X_TRAIN.ts``, ``en-ud-dev.conllu``.

    None if no word of it names a part, or two of them name different ones.
    """
    words = re.split(r"[-_.\s]", name.lower())
    found = {PART_NAMES[word] for word in words if word in PART_NAMES}
    return found.pop() if len(found) == 1 else None


def of_path(file: Path, root: Path, how: Reading) -> Named:
    """What the path of a file says of its label, group and part.

    Raises:
        DataError: it does not say what is asked of it.
    """
    inner = file.relative_to(root) if file != root else Path(file.name)
    rule = how.label_from
    if rule in (None, "folder", "name"):
        part = _part_of(inner, file) if how.split == "given" else None
        folders = inner.parts[:-1]
        if how.split == "given" and folders and named_part(folders[0]):
            folders = folders[1:]
        if rule == "name":
            return Named(re.split(r"[-_.\s]", inside(file).stem)[0] or None, None, part)
        return Named(folders[-1] if folders else None, None, part)
    match = re.search(str(rule), file.name)
    if match is None:
        raise DataError(
            f"{file}: expected a name in which {rule!r} (label_from) is found, this is none. "
            "Change the expression, or choose files with pattern."
        )
    said = match.groupdict()
    part = _part_by_groups(said, inner, file) if how.split == "given" else None
    return Named(said.get("label"), said.get("group"), part, said.get("id"))


def _part_by_groups(said: dict[str, Any], inner: Path, file: Path) -> PartName:
    names = said.keys() & PART_NAMES.keys()
    if not names:
        return _part_of(inner, file)
    return next((PART_NAMES[name] for name in sorted(names) if said[name]), "training")


def _part_of(inner: Path, file: Path) -> PartName:
    part = named_part(inner.parts[0]) or named_part(inner.name)
    if part is None:
        raise DataError(
            f"{file}: expected a file or folder named train, validation or test, as "
            "data.split=given has it. To divide by what examples hold take data.split=hash."
        )
    return part
