"""What a caller gives in Python: paths, texts, inputs one after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from recurra.errors import DataError, RecurraError, SettingError, SettingTypeError, kind_of

__all__ = ["ahead", "inputs_of", "one_path", "path_of", "text_of"]

T = TypeVar("T")


def path_of(name: str, value: Any) -> Path:
    """A path, as text or as an object that is one.

    Args:
        name: what messages call it.
        value: as it was given. An empty text is none: it would be the current folder.

    Raises:
        SettingError: anything else.
    """
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        if not found:
            raise SettingError(f"{name}: expected a path, got an empty text")
        return Path(value)
    shown = "None" if value is None else kind_of(value)
    raise SettingTypeError(f"{name}: expected a path, as text or a pathlib.Path, got {shown}")


def one_path(name: str, paths: Sequence[Path]) -> Path:
    """The only one of some paths.

    Args:
        name: what messages call it.
        paths: one; several may be what became of a shell's pattern.

    Raises:
        SettingError: several.
    """
    if len(paths) > 1:
        raise SettingError(
            f"{name}: expected one file or folder, got {len(paths)}: "
            f"{', '.join(map(str, paths[:3]))}{', ...' if len(paths) > 3 else ''}. Put them into "
            "one folder, and give that."
        )
    return paths[0]


def text_of(name: str, value: Any) -> str:
    """A text.

    Args:
        name: what messages call it.
        value: as it was given.

    Raises:
        DataError: anything else.
    """
    if not isinstance(value, str):
        shown = repr(value)
        raise DataError(
            f"{name}: expected a text, got {shown if len(shown) <= 80 else shown[:77] + '...'}."
        )
    return value


def inputs_of(name: str, given: Any) -> Iterable[Any]:
    """Inputs one after another; a text is one of them, and not its letters.

    Args:
        name: what messages call it.
        given: as it was given.

    Raises:
        DataError: nothing that has inputs.
    """
    if isinstance(given, str):
        return [given]
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        shown = "None" if given is None else kind_of(given)
        raise DataError(f"{name}: expected a list of inputs, or one text, got {shown}.")
    columns = list(given) if isinstance(given, Mapping) else getattr(given, "columns", None)
    if columns is not None:  # it would give the names of its columns
        some = ", ".join(map(repr, list(columns)[:5]))
        raise DataError(
            f"{name}: expected a list of inputs, or one text, got {kind_of(given)} with columns "
            f"({some}). Give the one with the inputs, as frame['text']."
        )
    return given


def ahead(
    inputs: Iterable[T], most: int, size: Callable[[T], int] | None = None, full: int = 0
) -> Iterator[list[T]]:
    """Some at a time; what came before one that cannot be read comes before its error.

    Args:
        inputs: read as they are asked for.
        most: how many together.
        size: of one, if fewer shall come together where they are large.
        full: the size of all that are together at which no more are read.
    """
    some: list[T] = []
    held = 0
    try:
        for one in inputs:
            some.append(one)
            held += 0 if size is None else size(one)
            if len(some) == most or (size is not None and held >= full):
                yield some
                some, held = [], 0
    except RecurraError:
        if some:
            yield some
        raise
    if some:
        yield some
