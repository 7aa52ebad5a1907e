"""Columns by name: of data frames, of mappings of lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recurra.data.rows import check_once, no_column
from recurra.errors import DataError, kind_of

__all__ = ["columns_of", "has_columns", "names_of"]


def has_columns(source: Any) -> bool:
    """Whether it has columns by name: a frame of pandas or polars, a mapping of lists."""
    return _is_lazy(source) or hasattr(source, "columns") or isinstance(source, Mapping)


def _is_lazy(source: Any) -> bool:
    """Whether it is a lazy frame of polars, which warns when it is asked for its columns."""
    return callable(getattr(type(source), "collect", None))


def names_of(source: Any, place: str = "") -> dict[str, Any]:
    """Names of the columns as texts, and as the source has them.

    Raises:
        DataError: the columns are not read yet, or one is there twice.
    """
    at = f"{place}data"
    if _is_lazy(source):
        raise DataError(
            f"{at}: expected columns that can be read, got {kind_of(source)}. What is lazy is made "
            "into a frame by .collect()."
        )
    every = list(getattr(source, "columns", source))
    check_once(at, list(map(str, every)))
    return {str(name): name for name in every}


def columns_of(source: Any, wanted: Iterable[tuple[str, str]], place: str = "") -> list[list[Any]]:
    """Columns of a data frame or of a mapping of lists, all of one length.

    Args:
        source: what has columns.
        wanted: the setting that names a column, and its name; for each that is read.
        place: what messages say before it.

    Raises:
        DataError: a column that is missing, there twice, no list, or of another length.
    """
    at, names = f"{place}data", names_of(source, place)
    found: list[list[Any]] = []
    for setting, name in wanted:
        if name not in names:
            raise no_column(at, name, setting, names)
        column = source[names[name]]
        if isinstance(column, str | bytes) or not isinstance(column, Iterable):
            raise DataError(
                f"{at}: expected a list in {name!r} ({setting}), got {kind_of(column)}. One for "
                "each example belongs into it."
            )
        found.append(list(column))
        if len(found[-1]) != len(found[0]):
            raise DataError(
                f"{at}: expected columns of one length, got {len(found[0]):,} and "
                f"{len(found[-1]):,} in {name!r} ({setting})."
            )
    return found
