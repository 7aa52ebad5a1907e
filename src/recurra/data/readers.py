"""Text from files and folders, and what is wrong with them, said with file, line and byte."""

from __future__ import annotations

import codecs
import dataclasses
from collections import Counter
from pathlib import Path

from recurra.errors import DataError

__all__ = ["Document", "read_documents", "read_text"]


@dataclasses.dataclass(frozen=True)
class Document:
    r"""One text and where it came from.

    Args:
        text: line ends are ``\n``.
        source: the file.
    """

    text: str
    source: str


def read_documents(
    path: str | Path, *, pattern: str = "*.txt", encoding: str = "utf-8"
) -> list[Document]:
    """Read a text file, or all files of a folder, as one document each.

    Args:
        path: a file, or a folder that is searched with its subfolders.
        pattern: which files of a folder to read, for example ``"*.md"``.
        encoding: how characters are stored.

    Returns:
        at least one document, sorted by path; empty files of a folder are left out.

    Raises:
        DataError: nothing there, nothing in it, or not text in this encoding.
    """
    path = Path(path)
    _codec(encoding)
    try:
        return _read(path, pattern, encoding)
    except OSError as problem:
        raise DataError(
            f"{problem.filename or path}: cannot be read ({problem.strerror})."
        ) from None


def _read(path: Path, pattern: str, encoding: str) -> list[Document]:
    if path.is_file():
        text = read_text(path, encoding=encoding)
        if not text:
            raise DataError(f"{path}: expected text, the file is empty.")
        return [Document(text, str(path))]
    if path.is_dir():
        return _read_folder(path, pattern, encoding)
    if path.exists():
        raise DataError(f"{path}: expected a file or a folder, this is neither.")
    raise DataError(f"{path}: no such file or folder (looked in {path.absolute().parent}).")


def _read_folder(path: Path, pattern: str, encoding: str) -> list[Document]:
    try:
        files = sorted(file for file in path.rglob(pattern) if file.is_file())
    except (ValueError, NotImplementedError) as problem:
        raise DataError(f"pattern {pattern!r}: expected one like '*.txt' ({problem}).") from None
    if not files:
        kinds = Counter(file.suffix or "none" for file in path.rglob("*") if file.is_file())
        found = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(5))
        raise DataError(
            f"{path}: expected files {pattern}, found none. "
            + (f"Endings there: {found}; choose with data.pattern." if found else "It is empty.")
        )
    texts = [Document(read_text(file, encoding=encoding), str(file)) for file in files]
    filled = [document for document in texts if document.text]
    if not filled:
        raise DataError(f"{path}: expected text, all {len(files)} files {pattern} are empty.")
    return filled


def read_text(path: str | Path, *, encoding: str = "utf-8") -> str:
    r"""The text of one file, line ends as ``\n``, a byte order mark left out.

    Raises:
        DataError: it cannot be opened, holds NUL bytes, or is not text in this encoding; with line
            and byte.
    """
    path, codec = Path(path), _codec(encoding)
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}).") from None
    # UTF-16 and UTF-32 have NUL bytes inside ordinary letters.
    wide = codec.startswith(("utf-16", "utf-32"))
    if not wide and b"\0" in raw:
        raise DataError(
            f"{path}: expected text, found a NUL byte at byte {raw.index(0)}: a binary file, or "
            "text in UTF-16 (then: --encoding utf-16)."
        )
    try:
        text = raw.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start].decode(codec if wide else "latin-1", "replace")
        raise DataError(
            f"{path}: line {_unix(before).count(chr(10)) + 1}, byte {problem.start} "
            f"(0x{raw[problem.start]:02x}) is not {encoding} ({problem.reason}). If the file is "
            "stored otherwise, say how, for example --encoding latin-1."
        ) from None
    except UnicodeError as problem:
        raise DataError(f"{path}: not {encoding} ({problem}).") from None
    return _unix(text)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _codec(encoding: str) -> str:
    """Python's own name of an encoding of text."""
    try:
        "".encode(encoding)
        b"".decode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, TypeError, ValueError):
        raise DataError(
            f"encoding: no {encoding!r}; known are for example utf-8, utf-16, latin-1, cp1252."
        ) from None
    return "utf-8" if name == "utf-8-sig" else name  # "-sig" counts bytes from behind the mark
