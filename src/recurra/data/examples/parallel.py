"""Files side by side whose lines belong together: train.en and train.de."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from recurra.data.examples.base import Example, Examples, Found
from recurra.data.examples.contents import kind_of_file
from recurra.data.examples.labels import named_part
from recurra.data.examples.reading import Reading
from recurra.data.rows import rows_of
from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = ["endings_of", "open_parallel", "parallel_files", "what_to_say"]


def parallel_files(folder: Path, how: Reading) -> list[tuple[Path, Path]]:
    """Pairs of files of a folder, ``stem.COLUMN`` and ``stem.LABEL``, in the order of their names.

    Args:
        folder: is read.
        how: ``column`` and ``label`` are the endings.
    """
    if not folder.is_dir() or how.column is None or len(how.label_columns) != 1:
        return []
    ending = f".{how.column}"
    sources = [f for f in sorted(folder.iterdir()) if f.name.endswith(ending) and f.is_file()]
    pairs = [(f, f.with_name(f.name[: -len(ending)] + f".{how.label_columns[0]}")) for f in sources]
    return [pair for pair in pairs if pair[1].is_file()]


def endings_of(folder: Path) -> list[str]:
    """Endings of files that stand side by side in a folder, ``["de", "en"]``, in their order.

    Those that the most stems have, but known ones of sounds, tables and others; none where no stem
    has two, or it is no folder.

    Args:
        folder: is looked at.
    """
    found: dict[str, set[str]] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        stem, point, ending = file.name.rpartition(".")
        other = kind_of_file(file) is not None or rows_of(file) is not None
        if point and stem and ending and not other and file.is_file():
            found.setdefault(stem, set()).add(ending)
    several = [frozenset(endings) for endings in found.values() if len(endings) > 1]
    return sorted(max(several, key=lambda each: (several.count(each), sorted(each)), default=()))


def what_to_say(folder: Path) -> str:
    """What the command line says of files side by side, in words; empty where there are none.

    Args:
        folder: is looked at.
    """
    endings = endings_of(folder)
    if not endings:
        return ""
    read, said = endings[:2]
    parts = [_part(file) for file in folder.iterdir() if file.name.endswith(f".{read}")]
    given = " --set data.split=given" if any(part is not None for part in parts) else ""
    return (
        f"{folder}: files stand side by side there, of the endings {', '.join(endings)}. If line n "
        f"of one belongs to line n of the other: --set data.column={read} --set data.label={said}"
        f"{given}, or the other way round."
    )


def open_parallel(folder: Path, how: Reading) -> Examples:
    """Lines of files side by side, each an input and what is to be said of it.

    A blank line on either side says nothing: such a pair is left out, as blank. With
    ``split="given"`` the first word of a file's name says the part.

    Args:
        folder: is read.
        how: ``column`` and ``label`` are the endings.

    Raises:
        DataError: no such files; what is wrong inside is said when it is reached.
    """
    pairs = parallel_files(folder, how)
    if not pairs:
        raise DataError(
            f"{folder}: expected files side by side, such as train.{how.column} and "
            f"train.{how.label}, found none. Say their endings: data.column=en, data.label=de."
        )

    def read() -> Found:
        for source, target in pairs:
            part = _part(source) if how.split == "given" else None
            yield from _lines(source, target, part, how)

    return Examples(str(folder), {"input": "text"}, read, skip=how.skip)


def _part(file: Path) -> PartName | None:
    return named_part(re.split(r"[^A-Za-z0-9]", file.name)[0])


def _lines(source: Path, target: Path, part: PartName | None, how: Reading) -> Found:
    here, there = (_read(file, how) for file in (source, target))
    for number, (one, other) in enumerate(itertools.zip_longest(here, there), 1):
        if one is None or other is None:
            shorter, longer = (source, target) if one is None else (target, source)
            yield DataError(
                f"{shorter}: expected as many lines as {longer} has, got {number - 1:,}. Line n of "
                "one belongs to line n of the other."
            )
            return
        blank = not one.strip() or not other.strip()
        yield Example("" if blank else one.strip(), other.strip(), f"{source}:{number}", part)


def _read(file: Path, how: Reading) -> list[str]:
    try:
        text = file.read_text(how.encoding)
    except OSError as problem:
        raise DataError(f"{file}: cannot be read ({problem.strerror}).") from None
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{file}: expected {how.encoding}, byte {problem.start:,} is none. Say data.encoding."
        ) from None
    lines = text.split("\n")  # a form feed or a separator of lines is part of one
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
