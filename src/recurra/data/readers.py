"""Text from files and folders, and what is wrong with them, said with file, line and byte."""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from recurra.data.absent import no_file
from recurra.data.stored import HEAD, is_marked, is_sprinkled, told_by
from recurra.errors import DataError

__all__ = [
    "ComingLines",
    "Document",
    "check_path",
    "find_files",
    "inside",
    "is_packed",
    "read_blocks",
    "read_lines",
    "read_pieces",
    "read_text",
    "whole",
]

_CHUNK = 1 << 18  # bytes read at once


@dataclasses.dataclass(frozen=True)
class Document:
    r"""One text and where it came from.

    Args:
        text: line ends are ``\n``.
        source: the file, and the line or row in it.
        fields: what else is known of it, by name, for example its topic.
        goes_on: whether it goes on where the document before stopped: a piece of a long text.
    """

    text: str
    source: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    goes_on: bool = False


def whole(documents: Iterable[Document | str]) -> Iterator[Document]:
    """Documents with their pieces joined; one at a time is held."""
    begun: list[Document] = []
    for each in documents:
        document = Document(each, "text") if isinstance(each, str) else each
        if begun and not document.goes_on:
            yield _joined(begun)
            begun = []
        begun.append(document)
    if begun:
        yield _joined(begun)


def _joined(pieces: list[Document]) -> Document:
    text = "".join(piece.text for piece in pieces)
    return dataclasses.replace(pieces[0], text=text, goes_on=False)


_PACKED = ".gz"


def is_packed(path: Path) -> bool:
    """Whether a file is one of gzip, as its ending says."""
    return path.suffix.lower() == _PACKED


def inside(path: Path) -> Path:
    """What a file is called once it is unpacked: ``book.txt`` of ``book.txt.gz``."""
    return path.with_suffix("") if is_packed(path) else path


def find_files(path: str | Path, *, pattern: str = "*.txt") -> list[Path]:
    """A file itself, or the files of a folder and its subfolders.

    Args:
        path: a file, or a folder.
        pattern: which files of a folder, for example ``"*.md"``.

    Returns:
        at least one file, sorted by path.

    Raises:
        DataError: nothing there; of a folder, with the endings of the files in it.
    """
    path = Path(path)
    try:
        return _find(path, pattern)
    except OSError as problem:
        raise DataError(
            f"{problem.filename or path}: cannot be read ({problem.strerror})."
        ) from None


# A path has one slash for the two of an address; a drive has one letter.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")


def _check_address(path: Path) -> None:
    if address := _ADDRESS.match(str(path)):
        raise DataError(
            f"{address[1]}://{address[2]}: expected a file or a folder of this machine, this is an "
            "address. Fetch what is there first, and give the file."
        )


def check_path(path: Path) -> None:
    """Whether a file or a folder is there.

    Raises:
        DataError: nothing, or something else.
    """
    if path.is_file() or path.is_dir():
        return
    _check_address(path)
    if path.exists():
        raise DataError(f"{path}: expected a file or a folder, this is neither.")
    raise no_file(path, str(path), folders=True)


def _find(path: Path, pattern: str) -> list[Path]:
    check_path(path)
    if path.is_file():
        return [path]
    try:
        files = sorted(file for file in path.rglob(pattern) if file.is_file())
    except (ValueError, NotImplementedError) as problem:
        raise DataError(f"pattern {pattern!r}: expected one like '*.txt' ({problem}).") from None
    if not files:
        kinds = Counter(file.suffix or "none" for file in path.rglob("*") if file.is_file())
        found = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(5))
        raise DataError(
            f"{path}: expected files {pattern}, found none. "
            + (
                f"Endings there: {found}; choose with data.pattern (in evaluate --pattern)."
                if found
                else "It is empty."
            )
        )
    return files


def read_text(path: str | Path, *, encoding: str = "utf-8", nul: bool = False) -> str:
    r"""The text of one file, line ends as ``\n``, a byte order mark left out.

    What ends in ``.gz`` is unpacked as it is read, here and below.

    Args:
        path: the file.
        encoding: how characters are stored.
        nul: whether a NUL byte is a character like others; else it tells of a binary file.

    Raises:
        DataError: it cannot be opened, holds NUL bytes, or is not text in this encoding; with line
            and byte, and with what it is where that can be told.
    """
    return "".join(_chunks(Path(path), encoding, nul))


def read_lines(
    source: str | Path | ComingLines,
    *,
    encoding: str = "utf-8",
    nul: bool = False,
    bad: Callable[[DataError], None] | None = None,
) -> Iterator[str]:
    r"""The lines of one file, without their ends, one by one: the file is never held whole.

    ``\n``, ``\r\n`` and ``\r`` end a line, and nothing else does. A byte order mark is left out.

    Args:
        source: the file, or lines that come.
        encoding: how characters are stored; lines that come know that themselves.
        nul: as of :func:`read_text`.
        bad: is told of a line that is not text in this encoding, before what can be read of it; if
            None, its error ends the reading. UTF-16 and UTF-32 have no such lines.

    Yields:
        a line; only it has to fit into memory.

    Raises:
        DataError: as of :func:`read_text`, when the place is reached.
    """
    if bad is not None and not isinstance(source, ComingLines) and _has_plain_ends(encoding):
        yield from _each_decoded(Path(source), encoding, nul, bad)
        return
    for lines in read_blocks(source, encoding=encoding, nul=nul):
        yield from lines


def _has_plain_ends(encoding: str) -> bool:
    """Whether lines can be told apart before they are decoded."""
    return "\r\n".encode(_codec(encoding)) == b"\r\n"


def _each_decoded(
    path: Path, encoding: str, nul: bool, bad: Callable[[DataError], None]
) -> Iterator[str]:
    """Lines, each decoded alone."""
    for number, line in enumerate(read_lines(path, encoding="latin-1", nul=nul), 1):
        raw = line.encode("latin-1")
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as problem:
            bad(
                DataError(
                    f"{path}: line {number}, its byte {problem.start} "
                    f"(0x{raw[problem.start]:02x}) is not {encoding} ({problem.reason}). If the "
                    "file is stored otherwise, say how, for example --encoding latin-1."
                )
            )
            text = raw.decode(encoding, "replace")
        yield text.removeprefix("\ufeff") if number == 1 else text


def read_blocks(
    source: str | Path | ComingLines, *, encoding: str = "utf-8", nul: bool = False
) -> Iterator[list[str]]:
    """Lines as they arrive: whoever writes into a pipe and waits is answered.

    Args:
        source: a file, which may be a pipe, or lines that come.
        encoding: how characters are stored; lines that come know that themselves.
        nul: as of :func:`read_text`.

    Yields:
        lines that came together, at least one; as :func:`read_lines` knows them.

    Raises:
        DataError: as of :func:`read_text`, when the place is reached.
    """
    if isinstance(source, ComingLines):
        return source.blocks()
    return _lines(_chunks(Path(source), encoding, nul))


def _lines(chunks: Iterator[str]) -> Iterator[list[str]]:
    begun: list[str] = []  # pieces of a line that has not ended, joined once
    for text in chunks:
        end, *others = text.split("\n")
        begun.append(end)
        if others:
            yield ["".join(begun), *others[:-1]]
            begun = others[-1:]
    if last := "".join(begun):
        yield [last]


class ComingLines:
    """Lines of a stream that comes bit by bit, as a pipe or a terminal does.

    They stand for a file wherever lines are read.

    Args:
        stream: of bytes, whose ``read`` gives what there is.
        source: what errors call it.
        encoding: how characters are stored.
        nul: as of :func:`read_text`.
    """

    def __init__(
        self, stream: _Bytes, source: str, *, encoding: str = "utf-8", nul: bool = False
    ) -> None:
        self._stream, self._source, self._encoding, self._nul = stream, source, encoding, nul

    def __str__(self) -> str:
        return self._source

    def __iter__(self) -> Iterator[str]:
        """One by one; only once."""
        return (line for block in self.blocks() for line in block)

    def blocks(self) -> Iterator[list[str]]:
        """Together the lines that have come; waits only where there is none.

        Raises:
            DataError: as of :func:`read_text`, when the place is reached.
        """
        codec = _codec(self._encoding)
        return _lines(_decoded(self._source, self._stream, codec, self._encoding, self._nul))


def read_pieces(
    path: str | Path, *, encoding: str = "utf-8", nul: bool = False, size: int = 1 << 18
) -> Iterator[str]:
    r"""The text of one file in pieces, which together are the whole text.

    A piece ends in front of white space that stands alone: so no word, no blank line and no run of
    spaces is parted, and pieces fall into the same symbols as the whole. Only a piece has to fit
    into memory.

    Args:
        path: the file.
        encoding: how characters are stored.
        nul: as of :func:`read_text`.
        size: after how many characters a place to end is looked for; a piece is longer where there
            is none.

    Raises:
        DataError: as of :func:`read_text`, when the place is reached.
    """
    begun: list[str] = []
    length, wanted = 0, size
    for text in _chunks(Path(path), encoding, nul):
        begun.append(text)
        length += len(text)
        if length < wanted:
            continue
        joined = "".join(begun)
        place = _last_place(joined)
        if place:
            yield joined[:place]
            joined, wanted = joined[place:], size
        else:
            wanted = 2 * length  # not searched again at every chunk
        begun, length = [joined], len(joined)
    if last := "".join(begun):
        yield last


def _last_place(text: str) -> int:
    """Where a text may be parted, as far back as possible; 0 if nowhere."""
    near = max(0, len(text) - 1000)
    for start in (near, 0) if near else (0,):
        place = 0
        for found in _PLACE.finditer(text, start):
            place = found.start()
        if place:
            return place
    return 0


# White space with none beside it, and something behind it. The separators U+001C to U+001F are
# white space to Python, but symbols like others to byte-pair encodings.
_PLACE = re.compile(r"(?<=\S)[^\S\x1c-\x1f](?=\S)")


class _Bytes(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes | None:
        """So many at most; none at the end."""


def _chunks(path: Path, encoding: str, nul: bool) -> Iterator[str]:
    """Decoded text, chunk by chunk; every line end is a newline."""
    codec = _codec(encoding)
    try:
        with open(path, "rb") as file:
            if is_packed(path):
                yield from _decoded(path, _Unpacked(path, file), codec, encoding, nul)
            else:
                yield from _decoded(path, file, codec, encoding, nul)
    except OSError as problem:
        _check_address(path)
        raise DataError(f"{path}: cannot be read ({problem.strerror}).") from None


class _Unpacked:
    """What a gzip file holds, unpacked as it is read.

    Args:
        path: what errors call it.
        file: the packed bytes.
    """

    def __init__(self, path: Path, file: io.BufferedIOBase) -> None:
        self._path, self._file = path, gzip.GzipFile(fileobj=file)

    def read(self, size: int, /) -> bytes:
        """So many at most; none at the end.

        Raises:
            DataError: it is no gzip file, or is damaged or cut.
        """
        try:
            return self._file.read(size)
        except EOFError:
            told = "ends before what it holds does: it was cut short. Fetch it again."
        except gzip.BadGzipFile as problem:
            told = f"is no gzip file, or damaged ({problem}). Only those may end in {_PACKED}."
        except zlib.error as problem:
            told = f"is damaged ({problem}). Fetch it again."
        raise DataError(f"{self._path}: {told}")


def _decoded(path: Path | str, file: _Bytes, codec: str, encoding: str, nul: bool) -> Iterator[str]:
    # UTF-16 and UTF-32 have NUL bytes inside ordinary letters.
    wide = codec.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(codec)()
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    place, line, first, head = 0, 1, True, b""
    while True:
        # Of a pipe what is there, without waiting for more.
        raw = (file.read1 if isinstance(file, io.BufferedReader) else file.read)(_CHUNK) or b""
        head += raw[: HEAD - len(head)]
        if not wide and b"\0" in raw and not (nul and (place or not told_by(head, codec))):
            head += file.read(HEAD - len(head)) or b""
            if not told_by(head, codec) and is_sprinkled(head, codec):
                with suppress(UnicodeError):  # what stands before it is text
                    before = ends.decode(decoder.decode(raw[: raw.index(0)]), final=True)
                    yield before.removeprefix("\ufeff") if first else before
            raise _binary(path, place + raw.index(0), head, codec)
        state = decoder.getstate()
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeError as problem:
            head += file.read(HEAD - len(head)) or b""
            if told := told_by(head, codec):
                raise DataError(f"{path}: {told}.") from None
            if not isinstance(problem, UnicodeDecodeError) or not is_marked(head, codec):
                raise DataError(
                    f"{path}: not {encoding}, which begins with a byte order mark. Without one "
                    f"say {encoding}-le or {encoding}-be."
                ) from None
            held = len(problem.object) - len(raw)  # bytes of a character that began before
            decoder.setstate(state)
            before = decoder.decode(raw[: max(0, problem.start - held)])
            before = ends.decode(before, final=True)
            line += before.count("\n")
            yield before.removeprefix("\ufeff") if first else before
            raise _not_text(path, line, place - held + problem.start, problem, encoding) from None
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        text = ends.decode(text, final=not raw)
        if text:
            yield text
        line += text.count("\n")
        place += len(raw)
        if not raw:
            return


def _binary(path: Path | str, byte: int, head: bytes, codec: str) -> DataError:
    if told := told_by(head, codec):
        return DataError(f"{path}: {told}.")
    said = f"{path}: expected text, found a NUL byte at byte {byte}"
    if not is_sprinkled(head, codec):
        return DataError(f"{said}: a binary file.")
    return DataError(
        f"{said}: a binary file, or one to clean. As a character like others it is read with "
        "data.vocabulary=bytes."
    )


def _not_text(
    path: Path | str, line: int, byte: int, problem: UnicodeDecodeError, encoding: str
) -> DataError:
    return DataError(
        f"{path}: line {line}, byte {byte} (0x{problem.object[problem.start]:02x}) is not "
        f"{encoding} ({problem.reason}). If the file is stored otherwise, say how, for example "
        "--encoding latin-1."
    )


# Of names in addresses, and of the source of programs.
_OF_NO_FILE = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")


def _codec(encoding: str) -> str:
    """Python's own name of an encoding of text."""
    try:
        "".encode(encoding)
        b"".decode(encoding)
        name = codecs.lookup(encoding).name
        if name.replace("_", "-") in _OF_NO_FILE:
            raise LookupError
    except (LookupError, TypeError, ValueError):
        raise DataError(
            f"encoding: no {encoding!r}; known are for example utf-8, utf-16, latin-1, cp1252."
        ) from None
    return "utf-8" if name == "utf-8-sig" else name  # "-sig" counts bytes from behind the mark
