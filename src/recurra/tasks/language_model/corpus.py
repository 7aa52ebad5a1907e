"""From texts to what a language model trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recurra.data import (
    Batches,
    Buckets,
    Document,
    LabelVocabulary,
    PartName,
    Spool,
    StreamHeader,
    Vocabulary,
    Windows,
    divide,
    document_batches,
    documents_of,
    encode_to_file,
    open_stream,
    starts_of,
    whole,
)
from recurra.errors import DataError, SettingError
from recurra.tasks.base import Groups
from recurra.tasks.language_model.documents import (
    ReadTexts,
    Source,
    as_documents,
    condition_ids,
    label_of,
    open_source,
)
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.texts import check_vocabulary, vocabulary_of
from recurra_runtime.vocabulary import END, START, UNKNOWN, Ids

__all__ = ["Corpus", "CorpusPart", "Held", "held", "prepare"]

_LONGEST = 100_000  # symbols between which gradients flow; a thousand times what text needs
_CHUNK = 1 << 24
_LONG = 10_000_000  # characters that take long enough to say what is going on
_USES = {"training": "symbols to train on", "validation": "to choose by", "test": "held out"}
_TEXT = "text"


@dataclasses.dataclass(frozen=True)
class CorpusPart:
    """Encoded documents of one part, on disk.

    Args:
        ids: what :func:`recurra.data.stream` describes, mapped into memory.
        given: ids of the conditions ``[documents, conditions]``, or None.
        header: their numbers.
        reading: how batches are made: in ``"windows"``, or of whole ``"documents"``.
    """

    ids: npt.NDArray[np.unsignedinteger]
    given: Ids | None
    header: StreamHeader
    reading: str = "windows"

    @property
    def count(self) -> int:
        """Symbols predicted, ends of documents included."""
        return self.header.count - 1

    @property
    def characters(self) -> int:
        """Of the text."""
        return self.header.characters

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

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """What is trained on."""
        if self.reading == "windows":
            return Windows(self.ids, rows=rows, size=window, given=self.given)
        longest = int(np.diff(starts_of(self.ids)).max())
        if longest > _LONGEST:
            raise DataError(
                f"data: the longest document has {longest:,} symbols, and documents are read "
                f"whole, up to {_LONGEST:,}. Truncate it with data.maximum_length, or read on "
                "from window to window with data.batches=windows."
            )
        return Buckets(self.ids, rows=rows, given=self.given, seed=seed)

    def groups(self, limit: int | None = None) -> Groups:
        """Windows that have so many symbols of the text, from all over it."""
        limit = min(limit or self.count, self.count)
        if self.reading == "documents":
            every = -(-self.count // limit)
            documents = self.documents()[::every]
            given = None if self.given is None else self.given[: self.header.documents : every]
            return document_batches(documents, given=given)
        # A long text in several rows, which is many times faster than one; each is long enough
        # that what its start costs does not change what is best. The test is scored exactly.
        rows = max(1, min(32, limit // 512))
        windows = Windows(self.ids, rows=rows, size=256, given=self.given)
        return [map(windows.batch, range(windows.count(limit)))]


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
        known: of each part that has files of its own, how many different lines it has, and how
            many of them are in the training text too.
    """

    parts: dict[PartName, CorpusPart]
    vocabulary: Vocabulary
    labels: dict[str, Vocabulary]
    fingerprint: str
    characters: int
    blank: int = 0
    known: Mapping[PartName, tuple[int, int]] = dataclasses.field(default_factory=dict)

    @property
    def fronts(self) -> dict[str, Vocabulary]:
        """What an artifact keeps."""
        return {_TEXT: self.vocabulary, **self.labels}

    def sizes(self, scored: int) -> str:
        """How many symbols there are, and what is odd about them."""
        counts = [f"{part.count:,} {_USES[name]}" for name, part in self.parts.items()]
        header = self.parts["training"].header
        strange = sum(
            int((part.given == UNKNOWN).any(1).sum())
            for part in self.parts.values()
            if part.given is not None
        )
        unknown = header.unknown / max(header.count - header.documents - 1, 1)
        held, few = self.parts.get("validation"), ""
        if held is not None and scored < held.count:
            few = f"; so short a training chooses by {scored:,} symbols from all over that text"
        disk = sum(part.ids.nbytes for part in self.parts.values())
        return (
            f"{', '.join(counts)}{few}; {len(self.vocabulary):,} ids"
            + (f", {unknown:.1%} unknown" if unknown else "")
            + (f"; left out because they are blank: {self.blank:,}" if self.blank else "")
            + (f"; truncated documents: {header.truncated:,}" if header.truncated else "")
            + (f"; given what no training document has: {strange:,} documents" if strange else "")
            + "".join(
                f"; of the {lines:,} different lines of {name} {seen:,} are in the training text"
                for name, (lines, seen) in self.known.items()
            )
            + f"; {disk / 1e6:,.1f} MB on disk while it trains"
        )


def prepare(
    source: Source,
    data: DataSettings,
    folder: Path,
    report: Callable[[str], None] = lambda message: None,
    fronts: Mapping[str, Vocabulary] | None = None,
) -> Corpus:
    """Read, divide, make vocabularies and encode; no more than a piece of the text is held.

    The texts are read once, into a file that goes away again; the vocabulary, the conditions and
    the parts are made of that.

    Args:
        source: documents.
        data: how.
        folder: where encoded documents are written; it is made.
        report: is told what takes long, and what vocabularies that are given lack.
        fronts: the vocabularies, of the text and of each condition; those of the training text if
            None.

    Raises:
        SettingError: a condition that has the name of the text itself, pieces where whole
            documents are compared, or a vocabulary that is given and larger than asked for.
        DataError: no text, too little of it, something wrong in it, a vocabulary of a size that
            cannot be, or one whose library is missing.
        RunError: the folder cannot be written.
    """
    if _TEXT in data.conditions:
        raise SettingError(
            f"data.conditions: {_TEXT!r} is the text itself; give that column another name."
        )
    if fronts is not None:
        check_vocabulary(fronts[_TEXT], data, report)
    sources: dict[PartName, Source] = {"training": source}
    sources |= {name: open_source(place, data) for name, place in data.given.items()}
    with ExitStack() as spools:
        read = {
            name: ReadTexts(given, data, spools.enter_context(Spool(folder / f"{name}.texts")))
            for name, given in sources.items()
        }
        return _encoded(read, data, folder, report, fronts)


def _encoded(
    read: Mapping[PartName, ReadTexts],
    data: DataSettings,
    folder: Path,
    report: Callable[[str], None],
    fronts: Mapping[str, Vocabulary] | None,
) -> Corpus:
    """Divide, make the vocabularies of what is trained on unless they are given, and encode."""
    source = read["training"]

    def part(name: PartName) -> Iterator[Document]:
        if name in data.given:
            return iter(read[name].documents)
        divided = divide(
            source.documents,
            source.lengths,
            kind=data.split,
            block=data.block,
            validation=data.validation is True,
            test=data.test is None,
            whole_words=data.vocabulary in ("words", "byte-pairs"),
        )
        return (document for of, document in divided if of == name)

    characters = sum(sum(each.lengths) for each in read.values())
    if characters > _LONG:
        report(f"{characters:,} characters" + ("; making the vocabulary" if not fronts else ""))
    labels: dict[str, Vocabulary] = {}
    if fronts is not None:
        vocabulary, labels = fronts[_TEXT], {name: fronts[name] for name in data.conditions}
    else:
        vocabulary = vocabulary_of((document.text for document in part("training")), data)
        if data.conditions:
            labels.update(_labels(part("training"), data.conditions))
    names: list[PartName] = ["training", "validation", "test"]
    if data.validation is False:
        names.remove("validation")
    parts: dict[PartName, CorpusPart] = {}
    for name in names:
        if characters > _LONG:
            report(f"encoding what is for {name}")
        parts[name] = _encode(name, part(name), vocabulary, labels, data, folder)
    if fronts is not None:
        _say_unknown(parts, report)
    prints = [each.fingerprint for each in read.values()]
    if len(prints) > 1:
        prints = [hashlib.blake2b(" ".join(prints).encode(), digest_size=16).hexdigest()]
    blank = sum(each.blank for each in read.values())
    known = {name: each.known(source) for name, each in read.items() if each is not source}
    return Corpus(parts, vocabulary, labels, prints[0], characters, blank, known)


def _say_unknown(parts: Mapping[PartName, CorpusPart], report: Callable[[str], None]) -> None:
    """What a vocabulary of another text lacks."""
    lacks = [(name, part.header.unknown, part.count) for name, part in parts.items()]
    told = [f"{unknown:,} of {count:,} ({name})" for name, unknown, count in lacks if unknown]
    if told:
        report(f"unknown to the vocabulary, and read as <unk>: {', '.join(told)} symbols")


@dataclasses.dataclass(frozen=True)
class Held:
    """Documents from outside in the ids of a model, in memory.

    Args:
        ids: of each document.
        characters: of all documents.
        labels: of each condition, an id of each document.
        vocabulary: of their symbols.
        texts: of each document in which something is unknown its text, for who shows what; of
            others none.
    """

    ids: list[Ids]
    characters: int
    labels: Mapping[str, Sequence[int]]
    vocabulary: Vocabulary
    texts: Sequence[str]

    def documents(self) -> list[Ids]:
        """The documents."""
        return self.ids

    def ordered(self, conditions: Sequence[str]) -> Ids | None:
        """Ids of conditions ``[documents, conditions]`` in the order of a model; None for none."""
        if not conditions:
            return None
        return np.array([self.labels[name] for name in conditions], np.int64).T


def held(source: Source, fronts: Mapping[str, Vocabulary]) -> Held:
    """Documents in the ids of fronts that are there already, each whole, however long.

    A label that no training document has counts as unknown, and nothing is said of the text then.

    Raises:
        DataError: something is wrong with the texts, or a condition is not known of them.
    """
    vocabulary = fronts[_TEXT]
    labels = {name: known for name, known in fronts.items() if name != _TEXT}
    documents, characters, given = [], 0, []
    texts = []
    for document in whole(as_documents(source)):
        documents.append(vocabulary.encode(document.text))
        texts.append(document.text if (documents[-1] == UNKNOWN).any() else "")
        characters += len(document.text)
        given.append(condition_ids(document, labels))
    columns = {name: [row[at] for row in given] for at, name in enumerate(labels)}
    return Held(documents, characters, columns, vocabulary, texts)


def _labels(training: Iterable[Document], names: Sequence[str]) -> dict[str, LabelVocabulary]:
    """Vocabularies of what is given of the documents that are trained on."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for document in training:
        if not document.goes_on:
            for name, labels in found.items():
                labels.add(label_of(document, name))
    return {name: LabelVocabulary.of(labels) for name, labels in found.items()}


def _encode(
    name: PartName,
    documents: Iterator[Document],
    vocabulary: Vocabulary,
    labels: Mapping[str, Vocabulary],
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
    known = np.array(given[: header.documents]) if labels else None
    return CorpusPart(ids, known, header, data.reading)
