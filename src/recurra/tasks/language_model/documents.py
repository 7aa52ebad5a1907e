"""The documents of a language model: opened, labelled, read once."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data import Document, Documents, Spool, Vocabulary, open_documents
from recurra.errors import DataError, SettingError, kind_of, nearest
from recurra.given import text_of
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.texts import columns_of, label_text

__all__ = [
    "ReadTexts",
    "Source",
    "as_documents",
    "condition_ids",
    "label_of",
    "of_columns",
    "open_source",
]

Source = Documents | Sequence[str] | Sequence[Document]
"""Documents, or a list of texts."""

_LETTER = "first_letter"


def open_source(path: str | Path, data: DataSettings) -> Documents:
    """The documents of a file or folder, by the settings of a recipe; long ones in pieces.

    Args:
        path: the file or folder.
        data: how it is read.

    Raises:
        SettingError: settings that these files have no use for.
        DataError: nothing there.
    """
    # A hash is of whole documents, and so is a length.
    pieces = data.split != "hash" and not data.distinct and data.maximum_length is None
    return open_documents(
        path,
        unit=data.unit,
        column=data.column,
        pattern=data.pattern,
        encoding=data.encoding,
        gutenberg=data.gutenberg,
        pieces=pieces,
        separator=data.separator,
        header=data.header,
        nul=data.vocabulary == "bytes",
    )


def as_documents(source: Any) -> Iterable[Document]:
    """Documents, also from a list of texts; they can be read again and again.

    Raises:
        DataError: nothing of that kind.
    """
    if isinstance(source, Documents):
        return source
    if isinstance(source, bytes) or not isinstance(source, Iterable):
        raise DataError(
            "data: expected a path, a list of texts, or a data frame with a column of them, got "
            f"{'nothing' if source is None else kind_of(source)}."
        )
    texts: Iterable[str | Document] = [source] if isinstance(source, str) else source
    return [
        text
        if isinstance(text, Document)
        else Document(text_of(f"document {number}", text), f"document {number}")
        for number, text in enumerate(texts)
    ]


def of_columns(source: Any, data: DataSettings) -> list[Document]:
    """The texts of a data frame or of a mapping of lists, with what they are given beside.

    Raises:
        DataError: a column that is missing or there twice, or something that is no text in it.
    """
    column = "text" if data.column is None else str(data.column)
    there = [str(name) for name in getattr(source, "columns", source)]
    beside = [name for name in data.conditions if name != _LETTER or name in there]
    texts, *others = columns_of(
        source, [("data.column", column), *(("data.conditions", name) for name in beside)]
    )
    return [
        Document(
            text_of(f"document {number}", text),
            f"document {number}",
            dict(zip(beside, row, strict=True)),
        )
        for number, (text, *row) in enumerate(zip(texts, *others, strict=True))
    ]


class ReadTexts:
    """Documents that were read once, and what was found on the way.

    Args:
        source: the documents.
        data: how they are read.
        spool: where they are kept.
    """

    def __init__(self, source: Source, data: DataSettings, spool: Spool) -> None:
        documents = as_documents(source)
        if data.distinct:
            documents = _distinct(documents)
        if _LETTER in data.conditions:
            documents = _lettered(documents)
        self.lines = array("q") if data.given else None
        noted = spool.written(_labelled(documents, data.conditions))
        self.lengths, self.fingerprint = _count(noted, data, self.lines)
        self.documents: Iterable[Document] = spool
        self.blank = source.blank if isinstance(source, Documents) else 0

    def known(self, training: ReadTexts) -> tuple[int, int]:
        """How many different lines there are, and how many of them are in the training text too."""
        lines = np.unique(np.array(self.lines, np.int64))
        return len(lines), int(np.isin(lines, np.array(training.lines, np.int64)).sum())


def condition_ids(document: Document, labels: Mapping[str, Vocabulary]) -> list[int]:
    """Ids of what is given of a document, ``<unk>`` for what the vocabularies do not know.

    Raises:
        DataError: as :func:`label_of`.
    """
    return [int(known.encode(label_of(document, name))[0]) for name, known in labels.items()]


def label_of(document: Document, name: str) -> str:
    """What is given of a document, see :func:`recurra.tasks.texts.label_text`.

    Raises:
        DataError: nothing of that name is known of it, or a value of another type.
    """
    if name in document.fields:
        return label_text(document.fields[name], repr(name), document.source)
    if name == _LETTER:
        return document.text[:1]
    known = {*document.fields, _LETTER}
    raise DataError(f"{document.source}: nothing is known as {name!r}; {nearest(name, known)}")


def _distinct(documents: Iterable[Document]) -> Documents:
    """Without those that came before; only their hashes are kept."""

    def read() -> Iterator[Document]:
        seen: set[bytes] = set()
        for document in documents:
            if document.goes_on:
                raise SettingError(
                    f"data.distinct: compares whole documents, got a piece of {document.source}. "
                    "Read them without pieces."
                )
            key = hashlib.blake2b(_bytes(document.text), digest_size=16).digest()
            if key not in seen:
                seen.add(key)
                yield document

    return Documents("the texts", read)


def _lettered(documents: Iterable[Document]) -> Documents:
    """Documents that know their first letter, also where they are cut."""

    def read() -> Iterator[Document]:
        letter = ""
        for document in documents:
            if not document.goes_on:
                letter = document.text[:1]
            yield dataclasses.replace(document, fields={_LETTER: letter, **document.fields})

    return Documents("the texts", read)


def _labelled(documents: Iterable[Document], names: Sequence[str]) -> Iterator[Document]:
    """Documents that know the labels of their conditions, and nothing else."""
    for document in documents:
        fields = {name: label_of(document, name) for name in names}
        yield dataclasses.replace(document, fields=fields)


def _count(
    documents: Iterable[Document], data: DataSettings, lines: array[int] | None = None
) -> tuple[Sequence[int], str]:
    """Characters of each document, or of all where nothing more is asked, and a fingerprint.

    Args:
        documents: are read once.
        data: how they will be divided.
        lines: gets a hash of every line that is not blank.
    """
    begun, lengths = "", array("q")
    found = hashlib.blake2b(digest_size=16)
    for document in documents:
        if not document.goes_on:  # bytes that are not in UTF-8 part documents and labels
            labels = [label_of(document, name) for name in data.conditions]
            found.update(b"\xff" + b"".join(_bytes(label) + b"\xfe" for label in labels))
        found.update(_bytes(document.text))
        if not lengths or (data.split == "tails" and not document.goes_on):
            lengths.append(0)
        lengths[-1] += len(document.text)
        if lines is not None:
            *ended, last = document.text.split("\n")
            if document.goes_on and ended:
                ended[0] = begun + ended[0]
            elif document.goes_on:
                last = begun + last
            else:
                ended.append(begun)
            lines.extend(hash(line) for line in ended if line and not line.isspace())
            begun = last
    if lines is not None and begun and not begun.isspace():
        lines.append(hash(begun))
    return lengths, found.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
