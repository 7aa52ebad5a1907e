"""The error of a file that is not there: what is there instead."""

from __future__ import annotations

import os
from pathlib import Path

from recurra.errors import DataError

__all__ = ["no_file"]


def no_file(path: Path, place: str, *, folders: bool = False) -> DataError:
    """What to say of a path where no file is.

    Args:
        path: of the file.
        place: what the error calls it.
        folders: whether a folder would do too.
    """
    if os.path.isdir(path):
        return DataError(f"{place}: expected a file, this is a folder. Name a file in it.")
    told = "no such file or folder" if folders else "no such file"
    looked = f" (looked in {path.absolute().parent})" if folders else ""
    other = _but_for_blanks(path)
    if other is not None:
        return DataError(
            f"{place}: {told}{looked}; {str(other)!r} is there, a name with other blanks in it. "
            "Write it as it is."
        )
    return DataError(f"{place}: {told}{looked}.")


def _but_for_blanks(path: Path) -> Path | None:
    """What is there by a name that differs in blanks only."""
    if os.path.exists(path):
        return path
    parent = None if path.parent == path else _but_for_blanks(path.parent)
    if parent is None:
        return None
    wanted = "".join(path.name.split())
    try:
        return next((f for f in parent.iterdir() if "".join(f.name.split()) == wanted), None)
    except OSError:
        return None
