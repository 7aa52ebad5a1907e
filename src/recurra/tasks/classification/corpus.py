"""From examples with classes to what a classifier trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data import Batches, ExampleRow, LabeledRows, PartName, row_batches
from recurra.data.examples import Example, Examples, content_key
from recurra.errors import DataError
from recurra.tasks.base import Groups, read_fronts
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.division import divide_examples
from recurra.tasks.encoding import encode_inputs, unknown_of
from recurra.tasks.inputs import check_fronts, fit_inputs, grayed_of, heard, is_text
from recurra.tasks.reading import grouped, said_part
from recurra_runtime.vocabulary import ClassNames

__all__ = ["LABEL", "ClassCorpus", "ClassPart", "encode", "prepare_classes"]

UNKNOWN_CLASS = -1
"""The number of a class that the model has no name for."""
LABEL = "label"
"""The field of the names of the classes; every other field is an input."""

_ROWS = 64  # examples that are scored beside each other
_USES = {"training": "to train on", "validation": "to choose by", "test": "held out"}


@dataclasses.dataclass(frozen=True)
class ClassPart:
    """Examples of one part in numbers, with their classes, in memory.

    Args:
        rows: of each example ids or numbers, of several inputs a tuple.
        labels: numbers of their classes ``[rows]``, -1 where the model has no such class; or 0 or
            1 for each, ``[rows, classes]``, where an example may have several.
        classes: their names.
        fronts: of the inputs, by name.
        truncated: how many texts were truncated.
    """

    rows: list[ExampleRow]
    labels: npt.NDArray[np.int64]
    classes: ClassNames
    fronts: Mapping[str, Any]
    truncated: int = 0

    @property
    def count(self) -> int:
        """Examples: for each is said what it is."""
        return len(self.rows)

    @property
    def several(self) -> bool:
        """Whether an example may have several labels."""
        return self.labels.ndim == 2

    @property
    def strange(self) -> int:
        """Of how many examples the class has no name in the model."""
        return 0 if self.several else int((self.labels < 0).sum())

    def known(self) -> ClassPart:
        """Those of classes that have a name."""
        places = np.flatnonzero(self.labels >= 0)
        rows = [self.rows[place] for place in places]
        return dataclasses.replace(self, rows=rows, labels=self.labels[places])

    def counts(self) -> npt.NDArray[np.int64]:
        """How often each class occurs."""
        if self.several:
            total: npt.NDArray[np.int64] = self.labels.sum(0)
            return total
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """What is trained on: whole examples, whatever the window."""
        return LabeledRows(self.rows, self.labels, size=rows, seed=seed)

    def groups(self, limit: int | None = None) -> Groups:
        """At most about so many examples, from all over them."""
        some = slice(None, None, -(-self.count // (limit or self.count)))
        return ([batch] for _, batch in row_batches(self.rows[some], self.labels[some], size=_ROWS))


@dataclasses.dataclass(frozen=True)
class ClassCorpus:
    """Examples of all parts.

    Args:
        parts: by name.
        inputs: fronts of the inputs, by name.
        classes: names of the classes.
        fingerprint: tells these examples and classes, in this order, from any others.
        blank: examples with nothing in them, which were left out.
        skipped: those that could not be read and were left out.
        known: of each part how many examples are among those that are trained on too.
        odd: what else is to be said of the examples.
    """

    parts: dict[PartName, ClassPart]
    inputs: dict[str, Any]
    classes: ClassNames
    fingerprint: str
    blank: int = 0
    skipped: int = 0
    known: Mapping[PartName, int] = dataclasses.field(default_factory=dict)
    odd: Sequence[str] = ()

    @property
    def fronts(self) -> dict[str, Any]:
        """What an artifact keeps."""
        return {**self.inputs, LABEL: self.classes}

    def sizes(self, scored: int) -> str:
        """How many examples there are, and what is odd about them."""
        training, held = self.parts["training"], self.parts.get("validation")
        counts = [f"{part.count:,} {_USES[name]}" for name, part in self.parts.items()]
        counts[0] = f"{training.count:,} examples {_USES['training']}"
        few = held is not None and scored < held.count
        truncated = sum(part.truncated for part in self.parts.values())
        strange = sum(part.strange for part in self.parts.values())
        odd = (
            ("left out because they are blank", self.blank),
            ("left out because they cannot be read", self.skipped),
            ("truncated texts", truncated),
            ("of classes that no training example has", strange),
            *((f"examples of {name} that are trained on too", n) for name, n in self.known.items()),
        )
        return (
            ", ".join(counts)
            + (f"; so short a training chooses by {scored:,} of them" if few else "")
            + f"; {len(self.classes):,} classes{' that may come together' * training.several}"
            + "".join(f"; {told}" for told in _told(self.inputs, training.rows))
            + "".join(f"; {what}: {number:,}" for what, number in odd if number)
            + "".join(f"; {told}" for told in self.odd)
        )


def _told(inputs: Mapping[str, Any], rows: Sequence[ExampleRow]) -> list[str]:
    """Of each input how large it is."""
    found = []
    for at, (name, front) in enumerate(inputs.items()):
        own = [row[at] if isinstance(row, tuple) else row for row in rows]
        steps = sum(map(len, own)) / len(own)
        called = f"{name}: " if len(inputs) > 1 else ""
        if is_text(front):
            unknown, symbols = unknown_of({name: front}, own)
            share = unknown / max(symbols, 1)
            odd = f", {share:.1%} unknown" if unknown else ""
            found.append(f"{called}{len(front):,} ids{odd}; {steps:,.1f} symbols an example")
        else:
            shape = " x ".join(map(str, front.shape))
            found.append(f"{called}{shape} numbers a step; {steps:,.1f} steps an example")
        gone = sum(not len(one) for one in own)
        if gone and len(inputs) > 1:
            found.append(f"{name} is missing in {gone:,}")
    return found


def prepare_classes(
    examples: Examples,
    data: ClassificationData,
    report: Callable[[str], None] = lambda message: None,
    fronts: Mapping[str, Any] | None = None,
    given: Mapping[PartName, Examples] = MappingProxyType({}),
) -> ClassCorpus:
    """Divide, name the classes, fit the fronts on the training part, and encode.

    Args:
        examples: all of them, but for those in ``given``.
        data: how.
        report: is told what takes long, and what a vocabulary that is given lacks.
        fronts: those of the inputs and names of the classes; those of the training part if None.
        given: of parts with files of their own.

    Raises:
        DataError: too few examples, a class that cannot be learned or that the given names lack,
            or something that cannot be encoded.
        SettingError: a vocabulary that is given and larger than asked for.
    """
    chosen = list(examples)
    for name, more in given.items():
        chosen += (example._replace(part=name) for example in more)
    chosen = [grouped(example, data) for example in chosen]
    held = [content_key(example.input) for example in chosen]
    if data.distinct:
        places = _first_of_each(held)
        chosen, held = [chosen[n] for n in places], [held[n] for n in places]
    places_of = _divide(chosen, held, data)
    if fronts is not None:
        inputs = read_fronts(fronts, LABEL)
        check_fronts(inputs, data, report)
    else:
        kinds = _named_kinds(examples.kinds)
        # Once, for the fit and for what is read.
        values = heard(kinds, [e.input for e in chosen], [e.place for e in chosen], data)
        chosen = [e._replace(input=one) for e, one in zip(chosen, values, strict=True)]
    divided = {name: [chosen[n] for n in places] for name, places in places_of.items()}
    if fronts is not None:
        classes = fronts[LABEL]
        _check_named(chosen, classes)
    else:
        classes = _classes(divided, _several(chosen, data))
        raw = [example.input for example in divided["training"]]
        inputs = fit_inputs(kinds, raw, data, examples.channels)
    parts = {name: encode(some, inputs, classes, data) for name, some in divided.items()}
    keys = {name: [held[n] for n in places] for name, places in places_of.items()}
    sources = [examples, *given.values()]
    return ClassCorpus(
        parts,
        inputs,
        classes,
        _fingerprint(divided, keys),
        sum(each.blank for each in sources),
        sum(each.skipped for each in sources),
        _known_before(keys),
        grayed_of(inputs, (example.input for example in chosen)),
    )


def _first_of_each(keys: Sequence[str]) -> list[int]:
    """Places of those that no earlier one is like."""
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    return sorted(first.values())


def _known_before(keys: Mapping[PartName, Sequence[str]]) -> dict[PartName, int]:
    """Of each other part how many examples hold what one that is trained on does."""
    trained = set(keys["training"])
    return {
        name: sum(key in trained for key in own) for name, own in keys.items() if name != "training"
    }


def _named_kinds(kinds: Mapping[str, str]) -> dict[str, str]:
    """A single input is called by what it is."""
    return (
        {next(iter(kinds.values())): kind for kind in kinds.values()}
        if len(kinds) == 1
        else {**kinds}
    )


def _divide(
    examples: Sequence[Example], held: Sequence[str], data: ClassificationData
) -> dict[PartName, list[int]]:
    """Numbers of the examples of each part; ``held`` is what each holds."""

    def named(number: int) -> PartName | None:
        return said_part(examples[number], data)

    parts = divide_examples(range(len(examples)), data, named, held.__getitem__)
    for name, some in parts.items():
        if not some:
            without = ", or choose by none: --set data.validation=false"
            way = (
                f"Give more (some 30 usually do), or a part of its own by data.{name}"
                f"{without if name == 'validation' else ''}"
                if all(example.part is None for example in examples)
                else f"Give a file, a folder or a key named {name}"
            )
            if data.test_group is not None and name == "test":
                groups = sorted({str(example.group) for example in examples})
                way = f"The groups are {', '.join(groups[:20])}"
            apart = len(set(held))
            raise DataError(
                f"data: expected examples in every part, none of {len(examples):,} "
                f"{f'({apart:,} distinct) ' if apart < len(examples) else ''}is left for "
                f"{name}. {way}."
            )
    return parts


# ---- classes -------------------------------------------------------------------------------------


def _several(examples: Sequence[Example], data: ClassificationData) -> bool:
    """Whether examples may have several labels."""
    if data.several is not None:
        return data.several
    return any(isinstance(example.target, tuple) for example in examples)


def _labels(example: Example) -> tuple[str, ...]:
    if example.target is None:
        raise DataError(f"{example.place}: expected a label, got nothing.")
    return (example.target,) if isinstance(example.target, str) else example.target


def _classes(parts: Mapping[PartName, Sequence[Example]], several: bool) -> ClassNames:
    known = Counter(name for example in parts["training"] for name in _labels(example))
    every = Counter(name for some in parts.values() for e in some for name in _labels(e))
    # A part that was given may hold what nobody can have learned; what was divided here may not.
    apart = {name for some in parts.values() for e in some if e.part is None for name in _labels(e)}
    if len(every) < (1 if several else 2):
        total = sum(map(len, parts.values()))
        raise DataError(
            f"data: expected at least two classes, all {total:,} examples are of "
            f"{next(iter(every), None)!r}. data.label names the column of the class."
        )
    missing = [name for name in every if name not in known]
    if any(name in apart for name in missing) or len(known) < (1 if several else 2):
        some = ", ".join(f"{name!r} ({every[name]:,})" for name in missing[:5])
        raise DataError(
            f"data: no example to train on is of the class {some}"
            f"{', ...' if len(missing) > 5 else ''}; the number is that of all its examples. Give "
            "more of them, or leave that class out."
        )
    return ClassNames.of(known, several=several)


def _check_named(examples: Iterable[Example], classes: ClassNames) -> None:
    """Refuse classes that a model has no name for: its head has no place for them."""
    every = Counter(name for example in examples for name in _labels(example))
    missing = {name: number for name, number in every.items() if classes.number(name) is None}
    if missing:
        some = ", ".join(f"{name!r} ({count:,})" for name, count in list(missing.items())[:5])
        known = ", ".join(map(repr, classes.names[:20])) + (", ..." if len(classes) > 20 else "")
        raise DataError(
            "data: expected classes of the model that the run begins with or learns from "
            f"({known}), got {some}{', ...' if len(missing) > 5 else ''}; the number is that of "
            "its examples. Leave them out, name them as the model does, or train without --from "
            "or a teacher."
        )


# ---- numbers -------------------------------------------------------------------------------------


def encode(
    examples: Iterable[Example],
    inputs: Mapping[str, Any],
    classes: ClassNames,
    data: ClassificationData,
) -> ClassPart:
    """Examples and their classes in numbers."""
    rows, labels, truncated = [], [], 0
    for example in examples:
        row, cut = encode_inputs(inputs, example.input, example.place, data)
        rows.append(row)
        truncated += cut
        labels.append(_numbers(_labels(example), classes, example.place))
    return ClassPart(rows, np.array(labels, np.int64), classes, inputs, truncated)


def _numbers(labels: tuple[str, ...], classes: ClassNames, place: str) -> Any:
    numbers = [classes.number(name) for name in labels]
    if classes.several:  # one that the model has no name for is said by nobody
        return [int(number in numbers) for number in range(len(classes))]
    if len(numbers) != 1:
        raise DataError(
            f"{place}: expected one label, got {len(numbers)} ({', '.join(labels[:5])}). Where "
            "examples have several say data.several=true."
        )
    return UNKNOWN_CLASS if numbers[0] is None else numbers[0]


def _fingerprint(
    parts: Mapping[PartName, Sequence[Example]], keys: Mapping[PartName, Sequence[str]]
) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, examples in parts.items():
        found.update(name.encode() + b"\xff")
        for example, key in zip(examples, keys[name], strict=True):
            for text in (key, *_labels(example)):  # which bytes that are not in UTF-8 part
                found.update(text.encode("utf-8", "surrogatepass") + b"\xff")
    return found.hexdigest()
