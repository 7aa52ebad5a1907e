"""Ids of a corpus on disk, as one stream that is mapped into memory and never held.

Two files: the ids themselves, end to end, little-endian, and beside them ``NAME.json``, which says
what they are and is written last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from recurra.data.readers import Document, whole
from recurra.errors import DataError, RunError, SettingError, nearest
from recurra.files import partial_of
from recurra.settings import check_size
from recurra_runtime.vocabulary import START, UNKNOWN, Ids, Vocabulary

__all__ = ["StreamHeader", "encode_to_file", "open_stream", "read_stream_header"]

Side = Literal["left", "right"]

_FORMAT = 1
_DTYPES = ("uint8", "uint16", "uint32")
_BUFFER = 1 << 20


@dataclasses.dataclass(frozen=True)
class StreamHeader:
    """What a stream on disk is.

    Args:
        count: ids in it, start symbols included.
        documents: how many documents.
        unknown: how many ids are ``<unk>``.
        characters: how many characters they have; of truncated ones what was left of them.
        truncated: how many documents were truncated.
        dtype: type of an id: uint8, uint16 or uint32.
        source: fingerprint of the texts, in their order.
        vocabulary: fingerprint of the vocabulary.
        ids: fingerprint of the file of ids.
    """

    count: int
    documents: int
    unknown: int
    characters: int
    truncated: int
    dtype: str
    source: str
    vocabulary: str
    ids: str


def encode_to_file(
    documents: Iterable[Document | str],
    vocabulary: Vocabulary,
    path: str | Path,
    *,
    limit: int | None = None,
    maximum: int | None = None,
    truncate: Side = "right",
) -> StreamHeader:
    """Encode documents one by one and write them as one stream.

    The layout is that of :func:`~recurra.data.stream`: ``<s>`` in front of each document, and one
    more at the end. A document that ``goes_on`` is one with the document before it. One of them at
    a time is held. The file gets its name when it is whole; what had that name before stays until
    then.

    Args:
        documents: documents or their texts, read once.
        vocabulary: what makes ids of them.
        path: the file of ids; its header stands beside it, with ``.json`` added.
        limit: how many symbols are encoded at most, ends of documents not counted; what comes
            behind them is not read.
        maximum: longest document in symbols; longer ones are truncated. Pieces of a document are
            joined for that.
        truncate: on which side.

    Raises:
        SettingError: limit or maximum below 1, or another side.
        DataError: no document, or one that cannot be read.
        RunError: the file cannot be written; nothing half-written stays behind.
    """
    path = Path(path)
    for name, value in (("limit", limit), ("maximum", maximum)):
        if value is not None:
            check_size(name, value)
    if truncate not in get_args(Side):
        raise SettingError(f"truncate: {nearest(str(truncate), get_args(Side))}")
    if isinstance(documents, str):
        documents = [documents]
    partial, beside = partial_of(path), partial_of(_beside(path))
    try:
        header = _write(documents, vocabulary, path, partial, limit, maximum, truncate)
        told = {"recurra-stream": _FORMAT, **dataclasses.asdict(header)}
        beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        # Ids without a header are refused, so at no moment does one stand beside other ids.
        _beside(path).unlink(missing_ok=True)
        os.replace(partial, path)
        os.replace(beside, _beside(path))
    except OSError as problem:
        if problem.filename not in (None, *map(str, (path, _beside(path), partial, beside))):
            raise  # of a file that the documents come from
        raise RunError(f"{path}: cannot be written ({problem.strerror}).") from problem
    finally:
        for left in (partial, beside):
            with suppress(OSError):
                left.unlink()
    return header


def _write(
    documents: Iterable[Document | str],
    vocabulary: Vocabulary,
    path: Path,
    partial: Path,
    limit: int | None,
    maximum: int | None,
    truncate: Side,
) -> StreamHeader:
    dtype = np.min_scalar_type(len(vocabulary) - 1).newbyteorder("<")
    start = np.array([START], dtype).tobytes()
    source, written = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    count, number, unknown, characters, truncated = 1, 0, 0, 0, 0
    with open(partial, "wb", buffering=_BUFFER) as file:
        for document in documents if maximum is None else whole(documents):
            if limit is not None and count - 1 - number >= limit:
                break
            text = document if isinstance(document, str) else document.text
            goes_on = number > 0 and _goes_on(document)
            # A byte that is not in UTF-8 parts documents, so pieces and their whole are the same.
            source.update((b"" if goes_on else b"\xff") + text.encode("utf-8", "surrogatepass"))
            ids = vocabulary.encode(text)
            if maximum is not None and len(ids) > maximum:
                text, ids = _shortened(text, vocabulary, maximum, truncate)
                truncated += 1
            if limit is not None and len(ids) > limit - (count - 1 - number):
                text, ids = _shortened(text, vocabulary, limit - (count - 1 - number), "right")
            raw = ids.astype(dtype).tobytes()
            if not goes_on:
                raw = start + raw
                number += 1
            written.update(raw)
            file.write(raw)
            count += len(ids) + (not goes_on)
            characters += len(text)
            unknown += int((ids == UNKNOWN).sum())
        if number == 0:
            raise DataError(f"{path}: expected at least one document to encode, got none.")
        written.update(start)
        file.write(start)
        file.flush()
        os.fsync(file.fileno())
    return StreamHeader(
        count=count,
        documents=number,
        unknown=unknown,
        characters=characters,
        truncated=truncated,
        dtype=dtype.name,
        source=source.hexdigest(),
        vocabulary=_fingerprint(vocabulary),
        ids=written.hexdigest(),
    )


def _shortened(text: str, vocabulary: Vocabulary, most: int, side: Side) -> tuple[str, Ids]:
    """As much of a text as has at most so many ids, and they; cut on one side."""
    low, high = 0, len(text)
    while low < high:
        size = (low + high + 1) // 2
        if len(vocabulary.encode(_end_cut(text, size, side))) <= most:
            low = size
        else:
            high = size - 1
    kept = _end_cut(text, low, side)
    return kept, vocabulary.encode(kept)


def _end_cut(text: str, size: int, side: Side) -> str:
    return text[:size] if side == "right" else text[len(text) - size :]


def _goes_on(document: Document | str) -> bool:
    return not isinstance(document, str) and document.goes_on


def open_stream(
    path: str | Path, vocabulary: Vocabulary | None = None, *, verify: bool = True
) -> npt.NDArray[Any]:
    """The ids that :func:`encode_to_file` wrote, ``[count]``, mapped into memory, to read only.

    What is read of them comes from disk when it is read, so :class:`~recurra.data.Windows` over
    them costs no memory.

    Args:
        path: the file of ids.
        vocabulary: what the ids are expected to belong to; not checked if None.
        verify: read all of the file once, to see whether any byte of it was changed.

    Raises:
        DataError: no such stream, a damaged one, or one of another vocabulary.
    """
    path = Path(path)
    header = read_stream_header(path)
    if vocabulary is not None and header.vocabulary != _fingerprint(vocabulary):
        raise DataError(
            f"{path}: was encoded with another vocabulary than the one of {len(vocabulary)} ids "
            "it is opened with. Open it with its own, or encode the text again."
        )
    size = header.count * np.dtype(header.dtype).itemsize
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise DataError(
                    f"{path}: damaged, expected {size} bytes, found {found}. Encode the text again."
                )
            if verify:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
                if digest.hexdigest() != header.ids:
                    raise DataError(
                        f"{path}: damaged, its bytes are not those that were written. Encode the "
                        "text again."
                    )
        dtype = np.dtype(header.dtype).newbyteorder("<")
        return np.memmap(path, dtype, mode="r", shape=(header.count,))
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}).") from None


def read_stream_header(path: str | Path) -> StreamHeader:
    """What a stream on disk says of itself; its ids are not read.

    Raises:
        DataError: there is none, or it is damaged or of a newer format.
    """
    path = Path(path)
    beside = _beside(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. encode_to_file writes one.")
    try:
        told = json.loads(beside.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"{path}: expected its header {beside.name} beside it, there is none. This is no "
            "stream of ids, or its writing was stopped; encode_to_file writes both."
        ) from None
    except OSError as problem:
        raise DataError(f"{beside}: cannot be read ({problem.strerror}).") from None
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{beside}: damaged, not JSON ({problem}).") from None
    form = told.pop("recurra-stream", None) if isinstance(told, dict) else None
    if form != _FORMAT:
        raise DataError(f"{beside}: expected a stream of format {_FORMAT}, got {form!r}.")
    try:
        header = StreamHeader(**told)
    except TypeError as problem:
        raise DataError(f"{beside}: damaged ({problem}).") from None
    numbers = (
        header.count,
        header.documents,
        header.unknown,
        header.characters,
        header.truncated,
    )
    words = (header.source, header.vocabulary, header.ids)
    if (
        any(type(number) is not int or number < 0 for number in numbers)
        or any(type(word) is not str for word in words)
        or header.dtype not in _DTYPES
        or header.count < header.documents + 1
    ):
        raise DataError(f"{beside}: damaged, expected numbers and fingerprints, got {told}.")
    return header


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _fingerprint(vocabulary: Vocabulary) -> str:
    told = json.dumps(vocabulary.to_json(), sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
