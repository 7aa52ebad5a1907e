"""A text that every machine with Python has: the source of its standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from recurra.errors import DataError

__all__ = ["standard_library"]

_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


def standard_library(characters: int = 3_000_000) -> str:
    """The first characters of the standard library's ``.py`` files.

    Files are sorted by path; folders of tests and of installed packages are left out. The text
    hangs on the version of Python, so figures on it compare only within one.

    Args:
        characters: how many.

    Raises:
        DataError: this Python has less source text than that, for example because it is zipped.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [
        file for file in root.rglob("*.py") if not _LEFT_OUT & set(file.relative_to(root).parts)
    ]
    parts: list[str] = []
    missing = characters
    for file in sorted(files, key=lambda file: file.relative_to(root).as_posix()):
        text = file.read_text(encoding="utf-8", errors="replace")[:missing]
        parts.append(text)
        missing -= len(text)
        if missing == 0:
            return "".join(parts)
    raise DataError(
        f"standard library: expected {characters:,} characters of source in {root}, found "
        f"{characters - missing:,}. A Python with its library as plain files has them."
    )
