"""From texts to what a language model trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recurra.data import (
    Batches,
    Buckets,
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Document,
    Documents,
    LabelVocabulary,
    Normalizer,
    PartName,
    StreamHeader,
    Vocabulary,
    Windows,
    WordVocabulary,
    divide,
    documents_of,
    encode_to_file,
    open_documents,
    open_stream,
)
from recurra.errors import DataError, nearest
from recurra.training.recipe import DataSettings, TrainingSettings
from recurra_runtime.vocabulary import RESERVED, Ids

__all__ = ["Corpus", "Part", "Source", "as_documents", "open_source", "prepare"]

Source = Documents | Sequence[str] | Sequence[Document]
_BYTE_PAIRS = 8000


@dataclasses.dataclass(frozen=True)
class Part:
    """Encoded documents of one part, on disk.

    Args:
        ids: what :func:`recurra.data.stream` describes, mapped into memory.
        given: ids of the conditions ``[documents, conditions]``, or None.
        header: their numbers.
    """

    ids: npt.NDArray[np.unsignedinteger]
    given: Ids | None
    header: StreamHeader

    @property
    def symbols(self) -> int:
        """Symbols predicted, ends of documents included."""
        return self.header.count - 1

    def documents(self, limit: int | None = None) -> list[Ids]:
        """The documents, in memory."""
        return documents_of(self.ids, limit=limit)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Encoded documents of all parts.

    Args:
        parts: by name; a part without text is missing.
        vocabulary: of the text.
        labels: vocabularies of the conditions, by name.
        fingerprint: tells these documents, in this order, from any others.
        characters: of all documents.
    """

    parts: dict[PartName, Part]
    vocabulary: Vocabulary
    labels: dict[str, LabelVocabulary]
    fingerprint: str
    characters: int

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """What an artifact keeps."""
        return {"text": self.vocabulary, **self.labels}

    def batches(self, data: DataSettings, training: TrainingSettings) -> Batches:
        """What is trained on."""
        part = self.parts["training"]
        if data.reading == "documents":
            return Buckets(part.ids, rows=training.batch_size, given=part.given, seed=training.seed)
        return Windows(part.ids, rows=training.batch_size, size=training.window, given=part.given)


def open_source(path: str | Path, data: DataSettings) -> Documents:
    """The documents of a file or folder, by the settings of a recipe.

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
    )


def as_documents(source: Source) -> Iterable[Document]:
    """Documents, also from a list of texts; they can be read again and again."""
    if isinstance(source, Documents):
        return source
    texts: Sequence[str | Document] = [source] if isinstance(source, str) else source
    return [
        text if isinstance(text, Document) else Document(text, f"document {number}")
        for number, text in enumerate(texts)
    ]


def prepare(
    source: Source,
    data: DataSettings,
    folder: Path,
    report: Callable[[str], None] = lambda message: None,
) -> Corpus:
    """Read, divide, make vocabularies and encode; no more than a piece of the text is held.

    The texts are read once to be counted, once for the vocabularies, and once for each part.

    Args:
        source: documents; they are read several times.
        data: how.
        folder: where encoded documents are written; it is made.
        report: is told what takes long.

    Raises:
        DataError: no text, too little of it, or something wrong in it.
        RunError: the folder cannot be written.
    """
    documents = as_documents(source)
    if data.distinct:
        documents = _distinct(documents)
    lengths, fingerprint = _count(documents, data)

    def part(name: PartName) -> Iterator[Document]:
        divided = divide(
            documents,
            lengths,
            kind=data.split,
            block=data.block,
            validation=data.validation,
            whole_words=data.vocabulary in ("words", "byte-pairs"),
        )
        return (document for of, document in divided if of == name)

    characters = sum(lengths)
    if characters > 10_000_000:
        report(f"{characters:,} characters; making the vocabulary")
    vocabulary = _vocabulary(lambda: part("training"), data)
    labels = {
        name: LabelVocabulary.of(label_of(document, name) for document in part("training"))
        for name in data.conditions
    }
    names: list[PartName] = ["training", "validation", "test"]
    if not data.validation:
        names.remove("validation")
    parts: dict[PartName, Part] = {}
    for name in names:
        if characters > 10_000_000:
            report(f"encoding what is for {name}")
        parts[name] = _encode(name, part(name), vocabulary, labels, data, folder)
    return Corpus(parts, vocabulary, labels, fingerprint, characters)


def label_of(document: Document, name: str) -> str:
    """What is given of a document.

    Raises:
        DataError: nothing of that name is known of it.
    """
    if name in document.fields:
        return str(document.fields[name])
    if name == "first_letter":
        return document.text[:1]
    known = [*document.fields, "first_letter"]
    raise DataError(f"{document.source}: nothing is known as {name!r}; {nearest(name, known)}")


def _distinct(documents: Iterable[Document]) -> Documents:
    """Without those that came before; only their hashes are kept."""

    def read() -> Iterator[Document]:
        seen: set[bytes] = set()
        for document in documents:
            raw = document.text.encode("utf-8", "surrogatepass")
            key = hashlib.blake2b(raw, digest_size=16).digest()
            if key not in seen:
                seen.add(key)
                yield document

    return Documents("the texts", read)


def _count(documents: Iterable[Document], data: DataSettings) -> tuple[Sequence[int], str]:
    """Characters of each document, or of all where nothing more is asked, and a fingerprint."""
    lengths = array("q")
    found = hashlib.blake2b(digest_size=16)
    for document in documents:
        raw = document.text.encode("utf-8", "surrogatepass")
        found.update(bytes([document.goes_on]) + len(raw).to_bytes(8, "little") + raw)
        for name in data.conditions:
            label = label_of(document, name).encode("utf-8", "surrogatepass")
            found.update(len(label).to_bytes(8, "little") + label)
        if not lengths or (data.split == "tails" and not document.goes_on):
            lengths.append(0)
        lengths[-1] += len(document.text)
    return lengths, found.hexdigest()


def _vocabulary(training: Callable[[], Iterable[Document]], data: DataSettings) -> Vocabulary:
    texts = (document.text for document in training())
    size = data.vocabulary_size
    if data.vocabulary == "bytes":
        return ByteVocabulary()
    if data.vocabulary == "byte-pairs":
        return BytePairVocabulary.of(texts, size or _BYTE_PAIRS)
    if data.vocabulary == "characters":
        characters = CharacterVocabulary.of(texts)
        if size is not None and len(characters) > size:
            raise DataError(
                f"data: expected at most {size} ids (data.vocabulary_size), the training text has "
                f"{len(characters)} with the {len(RESERVED)} reserved ones. Allow more, or take "
                "data.vocabulary=bytes."
            )
        return characters
    words = WordVocabulary.of(
        texts,
        minimum=data.minimum_count,
        normalizer=Normalizer(data.lower, data.punctuation, data.breaks),
    )
    if size is not None and len(words) > size:
        return WordVocabulary(words.words[: size - len(RESERVED)], words.normalizer)
    return words


def _encode(
    name: PartName,
    documents: Iterator[Document],
    vocabulary: Vocabulary,
    labels: dict[str, LabelVocabulary],
    data: DataSettings,
    folder: Path,
) -> Part:
    given: list[list[int]] = []

    def noted() -> Iterator[Document]:
        for document in documents:
            if labels and not document.goes_on:
                told = [(key, label_of(document, key)) for key in labels]
                given.append([int(labels[key].encode(label)[0]) for key, label in told])
            yield document

    path = folder / f"{name}.ids"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        header = encode_to_file(
            noted(),
            vocabulary,
            path,
            limit=None if name == "training" else data.scored,
            maximum=data.maximum_length,
            truncate=data.truncate,
        )
    except DataError as problem:
        if "at least one document to encode" not in str(problem):
            raise
        raise DataError(
            f"data: expected documents in every part, none is left for {name}. Give more text, or "
            "divide it otherwise with data.split."
        ) from None
    ids = open_stream(path, verify=False)
    return Part(ids, np.array(given[: header.documents]) if labels else None, header)
