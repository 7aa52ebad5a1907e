"""What a file is that cannot be read as the text it was taken for, told by its first bytes."""

from __future__ import annotations

import codecs
import unicodedata

__all__ = ["HEAD", "is_marked", "is_sprinkled", "told_by"]

HEAD = 4096
"""Bytes of the beginning that are looked at."""

_PACKED = "compressed with {}: unpack it first"
# Where it stands, the bytes, and what they say.
_KINDS = (
    (0, b"\x1f\x8b", _PACKED.format("gzip") + ", or let its name end in .gz"),
    (0, b"BZh", _PACKED.format("bzip2")),
    (0, b"\xfd7zXZ\0", _PACKED.format("xz")),
    (0, b"\x28\xb5\x2f\xfd", _PACKED.format("zstd")),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (
        0,
        b"PK\x03\x04",
        "a zip archive (.docx, .xlsx and .epub too): unpack or export it first",
    ),
    (0, b"Rar!", "a rar archive: unpack it first"),
    (257, b"ustar", "a tar archive: unpack it first"),
    (0, b"%PDF-", "a PDF: take its text out first, for example with pdftotext"),
    (0, b"\xd0\xcf\x11\xe0", "a document of an office program: export it as text first"),
    (0, b"PAR1", "a Parquet file: let its name end in .parquet"),
    (0, b"SQLite format 3\0", "a database of SQLite: export a table as CSV first"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (0, b"\x93NUMPY", "an array of NumPy"),
    (0, b"\x7fELF", "a program"),
)
# The longer mark first: that of UTF-16 is its beginning.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_SURE = 64  # characters that all are some, which other bytes hardly ever make


def told_by(head: bytes, codec: str) -> str:
    """What a file is, and what to do with it; empty if its first bytes do not tell.

    Args:
        head: the first :data:`HEAD` bytes of the file, or all of it.
        codec: what it was read in, which it is not.
    """
    for place, magic, kind in _KINDS:
        if head.startswith(magic, place):
            return f"expected text, this is {kind}"
    found = next((name for mark, name in _MARKS if head.startswith(mark)), "") or _wide(head)
    if not found or found == codec:
        return ""
    return f"it seems to be in {found.upper()}: read it with --encoding {found}"


def is_marked(head: bytes, codec: str) -> bool:
    """Whether a file has the byte order mark that an encoding wants."""
    return codec not in ("utf-16", "utf-32") or any(
        name == codec and head.startswith(mark) for mark, name in _MARKS
    )


def is_sprinkled(head: bytes, codec: str) -> bool:
    """Whether it is text with a NUL byte here and there."""
    try:
        codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeError:
        return False
    return head.count(0) * 8 <= len(head)


def _wide(head: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: the bytes that are zero say which; empty for neither."""
    if b"\0" not in head or is_sprinkled(head, "utf-8"):
        return ""
    plain, best = max((_plain(head, codec), codec) for codec in _WIDE)
    return best if plain > 0 else ""


def _plain(head: bytes, codec: str) -> float:
    """The share of ASCII in what these bytes are in an encoding; 0 if they are no text in it."""
    if len(head) % (4 if "32" in codec else 2):
        return 0.0
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeError:
        return 0.0
    # Control characters, surrogates, private and unassigned ones; white space may be a control.
    if any(unicodedata.category(c)[0] == "C" and not c.isspace() for c in text):
        return 0.0
    share = sum(c.isascii() for c in text) / max(len(text), 1)
    return share if share >= 0.5 or len(text) >= _SURE else 0.0
