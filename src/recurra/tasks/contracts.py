"""What a task hands to those who know no task: data, scores, and the beginning of its settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from recurra.batch import Batch
from recurra.data import Batches, PartName
from recurra.sections import Section
from recurra.sequences import PaddedSequence
from recurra.states import leaves

__all__ = [
    "DataSection",
    "Front",
    "Groups",
    "Metric",
    "Part",
    "Prepared",
    "Row",
    "Table",
    "front_told",
    "names_of",
    "read_fronts",
    "seen_rows",
    "symbols_of",
]

Groups = Iterable[Iterable[Batch]]
"""For each group of sequences its windows in order, whose state is carried on."""


class Front(Protocol):
    """What turns something raw into numbers, or numbers into an answer; it travels with a model.

    One of your own gets its ``kind`` by :func:`recurra.register_front`.
    """

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """All that it is."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote."""


def front_told(front: Any) -> dict[str, Any]:
    """All that tells a front from any other, as JSON can hold it; nothing of one without a kind."""
    kind = getattr(front, "kind", None)
    return {} if kind is None else {**front.to_json(), "kind": kind}


def read_fronts(fronts: Mapping[str, Any], target: str | None) -> dict[str, Any]:
    """Those of what is read, by name, in the order in which a model reads them.

    Args:
        fronts: of a model.
        target: name of the one of targets, or None where there is none.
    """
    return {name: front for name, front in fronts.items() if name != target}


def names_of(numbers: Sequence[int], front: Any) -> list[str]:
    """Names of classes or tags, ``"?"`` of those that have none.

    Args:
        numbers: of the front; negative ones have no name.
        front: class or tag names.
    """
    return [front.name(number) if number >= 0 else "?" for number in numbers]


def symbols_of(numbers: Sequence[int], front: Any) -> list[str]:
    """Symbols of a text, each with the blank that stands before it; joined they are the text.

    Args:
        numbers: of a vocabulary; starts, ends and negative ones are empty.
        front: that vocabulary.
    """
    write = front.writer()
    return [write(number) if number >= 0 else "" for number in numbers]


def seen_rows(part: Any, front: Any, axis: int = 1) -> list[Any]:
    """An input of a batch as people see it: of each row its symbols, or numbers ``[time, ...]``.

    Args:
        part: a tree, whose first leaf is looked at.
        front: a vocabulary, where that leaf is symbols.
        axis: of the rows, where that is a tensor.
    """
    leaf: Any = leaves(part)[0]
    padded = isinstance(leaf, PaddedSequence)
    rows = leaf.to_list() if padded else list(leaf.unbind(axis))
    if hasattr(front, "writer") and rows and not rows[0].is_floating_point():
        return [symbols_of(row.tolist(), front) for row in rows]
    return [row.cpu().numpy() for row in rows]


class Part(Protocol):
    """Examples in numbers: those that are trained on, chosen by or scored."""

    @property
    def count(self) -> int:
        """What is predicted of them: symbols, labels."""

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """For training."""

    def groups(self, limit: int | None = None) -> Groups:
        """For scores: of all of them, or of about so many predictions from all over them."""


class Prepared(Protocol):
    """Data of a training, cut into parts and numbered."""

    @property
    def parts(self) -> Mapping[PartName, Part]:
        """By name; "training" and "test" are always there."""

    @property
    def fronts(self) -> Mapping[str, Any]:
        """What turns raw examples into these numbers, fitted on the training part alone."""

    @property
    def fingerprint(self) -> str:
        """Tells these examples, in this order, from any others."""

    def sizes(self, scored: int) -> str:
        """How much there is, in words; ``scored`` predictions of the validation part are scored."""


class Metric(NamedTuple):
    """The number by which a checkpoint is chosen.

    Args:
        name: what logs call it.
        unit: what stands behind it where a person reads it.
        less: whether less is better.
    """

    name: str
    unit: str
    less: bool = True

    def better(self, one: float, other: float) -> bool:
        """Whether the first is better; nothing is worse than NaN."""
        if math.isnan(one) or math.isnan(other):
            return math.isnan(other) and not math.isnan(one)
        return one < other if self.less else one > other


class Row(Protocol):
    """One model's score, in a table beside others."""

    name: str

    @property
    def value(self) -> float:
        """What the task's metric says of it."""

    @property
    def loss(self) -> float | None:
        """The mean of a prediction; None where none could be judged."""

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Scores side by side, as they are shown.

    Args:
        title: above it.
        header: of the columns.
        rows: one a model.
        notes: lines below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


class DataSection(Section):
    """What the section ``[data]`` of every recipe has.

    Args:
        validation: whether a tenth is set apart to choose the best checkpoint; or a file or folder
            with what it is chosen on.
        test: a file or folder with what is held out; a tenth is set apart if None.
        licence: of the data, which the artifact tells; nothing hangs on it.
    """

    validation: bool | str = True
    test: str | None = None
    licence: str | None = None

    @property
    def given(self) -> dict[PartName, str]:
        """Where the parts are that have files of their own."""
        named: dict[PartName, Any] = {"validation": self.validation, "test": self.test}
        return {name: place for name, place in named.items() if isinstance(place, str)}

    @property
    def undivided(self) -> Self:
        """How examples are read that are no parts of a training, as in an evaluation."""
        return self
