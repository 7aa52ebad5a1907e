"""Writing so that a file or a folder is there whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from recurra.errors import RunError, SettingError

__all__ = ["check_ending", "partial_of", "write_file", "write_folder"]

_PARTIAL = ".partial"
_STALE = 24 * 3600.0  # seconds after which nobody goes on writing


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


def partial_of(path: Path) -> Path:
    """Where a file or folder is written before it gets its name, in the same folder.

    Each call gives another place, so that several processes may write the same file: the last one
    to be done names it. What a process left that was killed goes away with a later call.
    """
    begun = f".{path.name[:40]}."  # names have an end
    with suppress(OSError):  # a folder that is not there is told by who writes
        for rest in path.parent.iterdir():
            if rest.name.startswith(begun) and rest.name.endswith(_PARTIAL) and _is_stale(rest):
                _remove(rest)
    return path.with_name(f"{begun}{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}")


def _is_stale(partial: Path) -> bool:
    with suppress(OSError):  # its writer is done
        return time.time() - partial.stat().st_mtime > _STALE
    return False


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a file.

    Raises:
        RunError: it cannot be written; what was there before still is.
    """
    partial = partial_of(path)
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
    partial = partial_of(path)
    with _whole(path, partial, sum(map(len, files.values()))):
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
