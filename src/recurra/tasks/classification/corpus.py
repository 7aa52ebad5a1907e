"""From texts with classes to what a classifier trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.data import Batches, LabeledRows, PartName, Vocabulary, row_batches
from recurra.errors import DataError
from recurra.tasks.base import Groups
from recurra.tasks.classification.examples import Example, Examples
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.division import divide_examples
from recurra.tasks.texts import check_vocabulary, vocabulary_of
from recurra_runtime.vocabulary import UNKNOWN, ClassNames, Ids

__all__ = ["ClassCorpus", "ClassPart", "encode", "prepare_classes"]

UNKNOWN_CLASS = -1
"""The number of a class that the model has no name for."""

_TEXT, _LABEL = "text", "label"
_ROWS = 64  # texts that are scored beside each other
_USES = {"training": "texts to train on", "validation": "to choose by", "test": "held out"}


@dataclasses.dataclass(frozen=True)
class ClassPart:
    """Texts of one part in ids, with their classes, in memory.

    Args:
        ids: of each text.
        labels: numbers of their classes ``[texts]``; -1 where the model has no such class.
        classes: their names.
        truncated: how many texts were truncated.
    """

    ids: list[Ids]
    labels: Ids
    classes: ClassNames
    truncated: int = 0

    @property
    def count(self) -> int:
        """Labels predicted: one a text."""
        return len(self.ids)

    def counts(self) -> Ids:
        """How often each class occurs."""
        found: Ids = np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))
        return found

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """What is trained on: whole texts, whatever the window."""
        return LabeledRows(self.ids, self.labels, size=rows, seed=seed)

    def groups(self, limit: int | None = None) -> Groups:
        """At most about so many texts, from all over them."""
        some = slice(None, None, -(-self.count // (limit or self.count)))
        return ([batch] for _, batch in row_batches(self.ids[some], self.labels[some], size=_ROWS))


@dataclasses.dataclass(frozen=True)
class ClassCorpus:
    """Texts of all parts.

    Args:
        parts: by name.
        vocabulary: of the texts.
        classes: their names.
        fingerprint: tells these texts and classes, in this order, from any others.
        blank: texts without a letter, which were left out.
        known: of each part how many texts are among those that are trained on too.
    """

    parts: dict[PartName, ClassPart]
    vocabulary: Vocabulary
    classes: ClassNames
    fingerprint: str
    blank: int = 0
    known: Mapping[PartName, int] = dataclasses.field(default_factory=dict)

    @property
    def fronts(self) -> dict[str, Vocabulary | ClassNames]:
        """What an artifact keeps."""
        return {_TEXT: self.vocabulary, _LABEL: self.classes}

    def sizes(self, scored: int) -> str:
        """How many texts there are, and what is odd about them."""
        counts = [f"{part.count:,} {_USES[name]}" for name, part in self.parts.items()]
        training = self.parts["training"]
        symbols = sum(map(len, training.ids))
        unknown = sum(int((ids == UNKNOWN).sum()) for ids in training.ids) / max(symbols, 1)
        held = self.parts.get("validation")
        few = held is not None and scored < held.count
        truncated = sum(part.truncated for part in self.parts.values())
        strange = sum(int((part.labels < 0).sum()) for part in self.parts.values())
        return (
            ", ".join(counts)
            + (f"; so short a training chooses by {scored:,} of them" if few else "")
            + f"; {len(self.classes):,} classes; {len(self.vocabulary):,} ids"
            + (f", {unknown:.1%} unknown" if unknown else "")
            + f"; {symbols / training.count:,.1f} symbols a text"
            + (f"; left out because they are blank: {self.blank:,}" if self.blank else "")
            + (f"; truncated texts: {truncated:,}" if truncated else "")
            + (f"; of classes that no training text has: {strange:,}" if strange else "")
            + "".join(
                f"; texts of {name} that are trained on too: {seen:,}"
                for name, seen in self.known.items()
                if seen
            )
        )


def prepare_classes(
    examples: Examples,
    data: ClassificationData,
    report: Callable[[str], None] = lambda message: None,
    fronts: Mapping[str, Any] | None = None,
) -> ClassCorpus:
    """Divide, name the classes, make the vocabulary of the training part, and encode.

    Args:
        examples: all of them.
        data: how.
        report: is told what takes long, and what a vocabulary that is given lacks.
        fronts: vocabulary and names of the classes; those of the training part if None.

    Raises:
        DataError: too few texts, a class that cannot be learned or that the given names lack, or a
            vocabulary that cannot be.
        SettingError: a vocabulary that is given and larger than asked for.
    """
    chosen = list(_distinct(examples) if data.distinct else examples)
    divided = _divide(chosen, data)
    if fronts is not None:
        vocabulary, classes = fronts[_TEXT], fronts[_LABEL]
        check_vocabulary(vocabulary, data, report)
        _check_named(chosen, classes)
    else:
        classes = _classes(divided, data)
        vocabulary = vocabulary_of((example.text for example in divided["training"]), data)
    parts = {
        name: encode(some, vocabulary, classes, data.maximum_length, data.truncate)
        for name, some in divided.items()
    }
    trained = {example.text for example in divided["training"]}
    known: dict[PartName, int] = {
        name: sum(example.text in trained for example in some)
        for name, some in divided.items()
        if name != "training"
    }
    return ClassCorpus(parts, vocabulary, classes, _fingerprint(divided), examples.blank, known)


def _distinct(examples: Iterable[Example]) -> Iterable[Example]:
    """Without texts that came before."""
    seen: set[str] = set()
    for example in examples:
        if example.text not in seen:
            seen.add(example.text)
            yield example


def _divide(examples: Sequence[Example], data: ClassificationData) -> dict[PartName, list[Example]]:
    def named(example: Example) -> PartName | None:
        if data.split == "given" and example.part is None:
            raise DataError(
                f"{example.source}: belongs to no part, as data.split=given has it. Give files "
                "or folders named train, validation and test, or take data.split=hash."
            )
        return example.part

    parts = divide_examples(examples, data, named, lambda example: example.text)
    for name, some in parts.items():
        if not some:
            without = ", or choose by none: --set data.validation=false"
            way = (
                f"Give more (some 30 usually do), or a part of its own by data.{name}"
                f"{without if name == 'validation' else ''}"
                if all(example.part is None for example in examples)
                else f"Give a file, a folder or a key named {name}"
            )
            apart = len({example.text for example in examples})
            raise DataError(
                f"data: expected texts in every part, none of {len(examples):,} "
                f"{f'({apart:,} distinct) ' if apart < len(examples) else ''}is left for "
                f"{name}. {way}."
            )
    return parts


def _classes(parts: Mapping[PartName, Sequence[Example]], data: ClassificationData) -> ClassNames:
    known = Counter(example.label for example in parts["training"])
    every = Counter(example.label for some in parts.values() for example in some)
    # A part that was given may hold what nobody can have learned; what was divided here may not.
    apart = {example.label for some in parts.values() for example in some if example.part is None}
    if len(every) < 2:
        raise DataError(
            f"data: expected at least two classes, all {every.total():,} texts are of "
            f"{next(iter(every))!r}. data.label names the column of the class."
        )
    missing = [name for name in every if name not in known]
    if any(name in apart for name in missing) or len(known) < 2:
        some = ", ".join(f"{name!r} ({every[name]:,})" for name in missing[:5])
        raise DataError(
            f"data: no text to train on is of the class {some}"
            f"{', ...' if len(missing) > 5 else ''}; the number is that of all its texts. Give "
            "more of them, or leave that class out."
        )
    return ClassNames.of(known)


def _check_named(examples: Iterable[Example], classes: ClassNames) -> None:
    """Refuse classes that a model has no name for: its head has no place for them."""
    every = Counter(example.label for example in examples)
    missing = {name: number for name, number in every.items() if classes.number(name) is None}
    if missing:
        some = ", ".join(f"{name!r} ({count:,})" for name, count in list(missing.items())[:5])
        known = ", ".join(map(repr, classes.names[:20])) + (", ..." if len(classes) > 20 else "")
        raise DataError(
            f"data: expected classes of the model that the run begins with ({known}), got {some}"
            f"{', ...' if len(missing) > 5 else ''}; the number is that of its texts. Leave them "
            "out, name them as the model does, or train without --from."
        )


def encode(
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    classes: ClassNames,
    maximum: int | None,
    side: str,
) -> ClassPart:
    """Texts in ids, and their classes in numbers."""
    kind = np.min_scalar_type(len(vocabulary) - 1)
    ids, truncated = [], 0
    for example in examples:
        found = vocabulary.encode(example.text)
        if maximum is not None and len(found) > maximum:
            found = found[:maximum] if side == "right" else found[-maximum:]
            truncated += 1
        ids.append(found.astype(kind))
    numbers = [classes.number(example.label) for example in examples]
    labels = np.array([UNKNOWN_CLASS if n is None else n for n in numbers], np.int64)
    return ClassPart(ids, labels, classes, truncated)


def _fingerprint(parts: Mapping[PartName, Sequence[Example]]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, examples in parts.items():
        found.update(name.encode() + b"\xff")
        for example in examples:  # bytes that are not in UTF-8 part texts and labels
            for text in (example.text, example.label):
                found.update(text.encode("utf-8", "surrogatepass") + b"\xff")
    return found.hexdigest()
