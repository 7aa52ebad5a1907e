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
    _check_encoding(encoding)
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
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}).") from None
    # UTF-16 and UTF-32 have NUL bytes inside ordinary letters.
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if not wide and b"\0" in raw[:65536]:
        raise DataError(
            f"{path}: expected text, found a NUL byte at byte {raw.index(0)}: a binary file, or "
            "text in UTF-16 (then: --encoding utf-16)."
        )
    try:
        text = raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as problem:
        raise DataError(_undecodable(path, raw, problem, encoding)) from None
    except UnicodeError as problem:
        raise DataError(f"{path}: not {encoding} ({problem}).") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _undecodable(path: Path, raw: bytes, problem: UnicodeDecodeError, encoding: str) -> str:
    # A byte order mark is cut off before decoding, and counted back in here.
    skipped = 3 if problem.encoding.startswith("utf-8") and raw.startswith(codecs.BOM_UTF8) else 0
    at = problem.start + skipped
    line = raw.count(b"\n", 0, at) + 1
    return (
        f"{path}: line {line}, byte {at} (0x{raw[at]:02x}) is not {encoding} ({problem.reason}). "
        "If the file is stored otherwise, say how, for example --encoding latin-1."
    )


def _check_encoding(encoding: str) -> None:
    try:
        "".encode(encoding)
        b"".decode(encoding)
    except (LookupError, TypeError):
        raise DataError(
            f"encoding: no {encoding!r}; known are for example utf-8, utf-16, latin-1, cp1252."
        ) from None
