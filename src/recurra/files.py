"""Writing so that a file or a folder is there whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from recurra.errors import RunError, SettingError

__all__ = ["check_ending", "write_file", "write_folder"]


def check_ending(path: Path, known: Sequence[str]) -> str:
    """The ending of a file's name that says what is written, in small letters.

    Raises:
        SettingError: it is none of those known.
    """
    ending = path.suffix.lower()
    if ending not in known:
        named = f"{', '.join(known[:-1])} or {known[-1]}"
        raise SettingError(f"out: expected a name that ends in {named}, got {path.name!r}")
    return ending


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a file.

    Raises:
        RunError: it cannot be written; what was there before still is.
    """
    partial = path.with_name(f".{path.name}.partial")
    with _whole(path, partial, len(content)):
        _write(partial, content)
        os.replace(partial, path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder of files.

    Raises:
        RunError: there is such a folder already, or it cannot be written.
    """
    if path.exists():
        raise RunError(f"{path}: is there already; what is saved is never changed.")
    partial = path.with_name(f".{path.name}.partial")
    with _whole(path, partial, sum(map(len, files.values()))):
        _remove(partial)  # of a run that was killed while it wrote
        partial.mkdir(parents=True)
        for name, content in files.items():
            _write(partial / name, content)
        os.replace(partial, path)


@contextmanager
def _whole(path: Path, partial: Path, size: int) -> Iterator[None]:
    """Remove what is half-written, whatever went wrong (Ctrl-C too), and say it in a sentence."""
    try:
        yield
    except OSError as problem:
        _remove(partial)
        raise RunError(
            f"{path}: cannot be written ({problem.strerror}); {size / 1e6:.1f} MB are needed. "
            "What was saved before is still there."
        ) from problem
    except BaseException:
        _remove(partial)
        raise


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):  # there was nothing to write into
            partial.unlink()


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
