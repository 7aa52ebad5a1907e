"""From texts to what a language model trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    starts_of,
)
from recurra.errors import DataError, RecurraError, SettingError, nearest
from recurra.training.recipe import DataSettings, TrainingSettings
from recurra_runtime.vocabulary import END, RESERVED, START, Ids, MissingLibraryError

__all__ = ["Corpus", "CorpusPart", "Source", "as_documents", "label_of", "open_source", "prepare"]

Source = Documents | Sequence[str] | Sequence[Document]
"""Documents, or a list of texts."""

_BYTE_PAIRS = 8000
_LONGEST = 100_000  # symbols between which gradients flow; a thousand times what text needs
_CHUNK = 1 << 24
_LONG = 10_000_000  # characters that take long enough to say what is going on
_TEXT, _LETTER = "text", "first_letter"


@dataclasses.dataclass(frozen=True)
class CorpusPart:
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

    def counts(self, size: int) -> Ids:
        """How often each of ``size`` ids is predicted; the text is read in chunks."""
        found = np.zeros(size, np.int64)
        for place in range(1, len(self.ids), _CHUNK):
            found += np.bincount(self.ids[place : place + _CHUNK], minlength=size)
        found[END], found[START] = found[START], 0  # one stands where the next document begins
        return found


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Encoded documents of all parts.

    Args:
        parts: by name; a part without text is missing.
        vocabulary: of the text.
        labels: vocabularies of the conditions, by name.
        fingerprint: tells these documents, in this order, from any others.
        characters: of all documents.
        blank: lines, rows and files without text, which were left out.
    """

    parts: dict[PartName, CorpusPart]
    vocabulary: Vocabulary
    labels: dict[str, LabelVocabulary]
    fingerprint: str
    characters: int
    blank: int = 0

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """What an artifact keeps."""
        return {_TEXT: self.vocabulary, **self.labels}

    def batches(self, data: DataSettings, training: TrainingSettings) -> Batches:
        """What is trained on."""
        part = self.parts["training"]
        if data.reading == "documents":
            longest = int(np.diff(starts_of(part.ids)).max())
            if longest > _LONGEST:
                raise DataError(
                    f"data: the longest document has {longest:,} symbols, and documents are read "
                    f"whole, up to {_LONGEST:,}. Truncate it with data.maximum_length, or read on "
                    "from window to window with data.batches=windows."
                )
            return Buckets(part.ids, rows=training.batch_size, given=part.given, seed=training.seed)
        return Windows(part.ids, rows=training.batch_size, size=training.window, given=part.given)


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
        nul=data.vocabulary == "bytes",
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

    The texts are read once to be counted, once for the vocabulary, once for the conditions if there
    are some, and once for each part.

    Args:
        source: documents; they are read several times.
        data: how.
        folder: where encoded documents are written; it is made.
        report: is told what takes long.

    Raises:
        SettingError: a condition that has the name of the text itself, or pieces where whole
            documents are compared.
        DataError: no text, too little of it, something wrong in it, a vocabulary of a size that
            cannot be, or one whose library is missing.
        RunError: the folder cannot be written.
    """
    if _TEXT in data.conditions:
        raise SettingError(
            f"data.conditions: {_TEXT!r} is the text itself; give that column another name."
        )
    documents = as_documents(source)
    if data.distinct:
        documents = _distinct(documents)
    if _LETTER in data.conditions:
        documents = _lettered(documents)
    lengths, fingerprint = _count(documents, data)
    blank = source.blank if isinstance(source, Documents) else 0

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
    if characters > _LONG:
        report(f"{characters:,} characters; making the vocabulary")
    vocabulary = _vocabulary(lambda: part("training"), data)
    labels = _labels(part("training"), data.conditions) if data.conditions else {}
    names: list[PartName] = ["training", "validation", "test"]
    if not data.validation:
        names.remove("validation")
    parts: dict[PartName, CorpusPart] = {}
    for name in names:
        if characters > _LONG:
            report(f"encoding what is for {name}")
        parts[name] = _encode(name, part(name), vocabulary, labels, data, folder)
    return Corpus(parts, vocabulary, labels, fingerprint, characters, blank)


def condition_ids(document: Document, labels: Mapping[str, Vocabulary]) -> list[int]:
    """Ids of what is given of a document, ``<unk>`` for what the vocabularies do not know.

    Raises:
        DataError: as :func:`label_of`.
    """
    return [int(known.encode(label_of(document, name))[0]) for name, known in labels.items()]


def label_of(document: Document, name: str) -> str:
    """What is given of a document.

    A label is a text. A whole number, true and false are labels by their text: 7 is ``"7"``, the
    same label as the text ``"7"``, and true and false are ``"True"`` and ``"False"``.

    Raises:
        DataError: nothing of that name is known of it, or a value of another type.
    """
    if name in document.fields:
        label = document.fields[name]
        if label is None:
            raise DataError(f"{document.source}: expected a label in {name!r}, got nothing.")
        if not isinstance(label, (str, int, np.integer, np.bool_)):
            shown = repr(label)
            raise DataError(
                f"{document.source}: expected a label in {name!r}: text, a whole number, true or "
                f"false; got {shown if len(shown) <= 80 else shown[:77] + '...'}. Write it as text."
            )
        return str(label)
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


def _labels(training: Iterable[Document], names: Sequence[str]) -> dict[str, LabelVocabulary]:
    """Vocabularies of what is given of the documents that are trained on."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for document in training:
        if not document.goes_on:
            for name, labels in found.items():
                labels.add(label_of(document, name))
    return {name: LabelVocabulary.of(labels) for name, labels in found.items()}


def _count(documents: Iterable[Document], data: DataSettings) -> tuple[Sequence[int], str]:
    """Characters of each document, or of all where nothing more is asked, and a fingerprint."""
    lengths = array("q")
    found = hashlib.blake2b(digest_size=16)
    for document in documents:
        if not document.goes_on:  # bytes that are not in UTF-8 part documents and labels
            labels = [label_of(document, name) for name in data.conditions]
            found.update(b"\xff" + b"".join(_bytes(label) + b"\xfe" for label in labels))
        found.update(_bytes(document.text))
        if not lengths or (data.split == "tails" and not document.goes_on):
            lengths.append(0)
        lengths[-1] += len(document.text)
    return lengths, found.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _vocabulary(training: Callable[[], Iterable[Document]], data: DataSettings) -> Vocabulary:
    texts = (document.text for document in training())
    size = data.vocabulary_size
    if data.vocabulary == "bytes":
        return ByteVocabulary()
    if data.vocabulary == "byte-pairs":
        return _byte_pairs(texts, size or _BYTE_PAIRS)
    if data.vocabulary == "characters":
        characters = CharacterVocabulary.of(texts)
        if size is not None and len(characters) > size:
            raise DataError(
                f"data: expected at most {size} ids (data.vocabulary_size), the training text has "
                f"{len(characters)} with the {len(RESERVED)} reserved ones. Allow more, or take "
                "data.vocabulary=bytes."
            )
        return characters
    return WordVocabulary.of(
        texts,
        size=size,
        minimum=data.minimum_count,
        normalizer=Normalizer(data.lower, data.punctuation, data.breaks),
    )


def _byte_pairs(texts: Iterable[str], size: int) -> BytePairVocabulary:
    try:
        return BytePairVocabulary.of(texts, size)
    except RecurraError:  # of the texts, and already a sentence
        raise
    except MissingLibraryError as problem:
        raise DataError(f"data.{problem}.") from None
    except ValueError as problem:
        raise DataError(f"data.{problem}. Change data.vocabulary_size.") from None


def _encode(
    name: PartName,
    documents: Iterator[Document],
    vocabulary: Vocabulary,
    labels: dict[str, LabelVocabulary],
    data: DataSettings,
    folder: Path,
) -> CorpusPart:
    given: list[list[int]] = []

    def noted() -> Iterator[Document]:
        for document in documents:
            if labels and not document.goes_on:
                given.append(condition_ids(document, labels))
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
    return CorpusPart(ids, np.array(given[: header.documents]) if labels else None, header)
