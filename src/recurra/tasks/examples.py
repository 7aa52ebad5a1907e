"""Tasks of examples that fit in memory: rows of numbers, each with its answers.

:class:`ExamplesTask` asks for what only a task can know (what an example is, how it becomes
numbers, what reads them); how examples are divided, batched, scored and answered is here.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recurra.batch import Batch
from recurra.columns import number
from recurra.data import Batches, LikeLengths, PartName
from recurra.errors import DataError
from recurra.given import ahead, inputs_of
from recurra.models import Model
from recurra.states import leaves
from recurra.tasks.base import Answer, Groups, Table, Task, front_told
from recurra.tasks.division import Pair, divide_examples, given_sources, pairs_of, read_pairs
from recurra.tasks.rows import (
    Collate,
    TargetKind,
    arrays_of,
    check_fit,
    collate_rows,
    of_all_lengths,
    rows_of,
    steps_of,
)

__all__ = ["Examples", "ExamplesPart", "ExamplesTask", "Score"]

_AT_ONCE = 32  # examples that are scored or answered beside each other
_USES = {"training": "to train on", "validation": "to choose by", "test": "held out"}


class ExamplesPart:
    """Rows of numbers, and what is to be said of them.

    Args:
        inputs: of each example an array ``[time, ...]``, or a named tuple of arrays.
        targets: of each example an array ``[time, ...]``, or one number for all of it.
        kind: what a target is: ``"steps"`` as said; ``"whole"``, an array of one shape for all of
            the example; ``"sequence"``, an array with steps of its own.
        collate: how some of them become a batch; as :func:`collate_rows` does if None.
        places: where each example is from, as messages call it.
        raw: each as it was read, for rivals that read it otherwise.
        fronts: what made the numbers.

    Raises:
        DataError: no example, other targets than examples, or a target that does not fit.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        *,
        kind: TargetKind = "steps",
        collate: Collate | None = None,
        places: Sequence[str] = (),
        raw: Sequence[Pair] = (),
        fronts: Mapping[str, Any] | None = None,
    ) -> None:
        if len(inputs) != len(targets) or not len(inputs):
            raise DataError(
                f"data: expected examples, each with its target, got {len(inputs):,} examples and "
                f"{len(targets):,} targets."
            )
        names = places or [f"example {number}" for number in range(len(inputs))]
        self.inputs = [
            arrays_of(row, f"{at}, input") for row, at in zip(inputs, names, strict=True)
        ]
        self.targets = [
            arrays_of(target, f"{at}, target") for target, at in zip(targets, names, strict=True)
        ]
        self.kind, self.raw, self.fronts = kind, raw, fronts or {}
        self._collate = collate or functools.partial(collate_rows, kind=kind)
        for at, row, target in zip(names, self.inputs, self.targets, strict=True):
            check_fit(at, row, target, self.targets[0], kind)

    @property
    def count(self) -> int:
        """What is predicted of them: a step each, or an example each."""
        return sum(1 if self.kind == "whole" else steps_of(target) for target in self.targets)

    def batch(self, chosen: Iterable[int]) -> Batch:
        """Some of the examples beside each other."""
        numbers = list(chosen)
        return self._collate([self.inputs[n] for n in numbers], [self.targets[n] for n in numbers])

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """Whole examples, those of like length together, in another order in every pass."""
        return _Rows(self, rows, seed)

    def groups(self, limit: int | None = None) -> Groups:
        """Those of like length beside each other; with a limit every second, third, ... example."""
        return [map(self.batch, [group]) for group in self.order(limit)]

    def order(self, limit: int | None = None) -> list[list[int]]:
        """Numbers of the examples of each batch of :meth:`groups`."""
        every = -(-self.count // (limit or self.count or 1))
        order = sorted(range(0, len(self.inputs), every), key=lambda n: steps_of(self.inputs[n]))
        return [order[at : at + _AT_ONCE] for at in range(0, len(order), _AT_ONCE)]


class _Rows:
    """Batches by number, of whole examples of like length."""

    def __init__(self, part: ExamplesPart, rows: int, seed: int) -> None:
        self.rows, self._part = rows, part
        self.symbols = part.count
        lengths = np.array([steps_of(row) for row in part.inputs])
        self._order = LikeLengths(lengths, rows=rows, seed=seed)

    def __len__(self) -> int:
        return len(self._order)

    def count(self, symbols: int) -> int:
        return -(-symbols * len(self) // self.symbols)

    def batch(self, step: int) -> Batch:
        return self._part.batch(self._order.rows_of(step))

    def begins(self, step: int) -> bool:
        return True


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples in numbers, divided.

    Args:
        parts: by name.
        fronts: what made the numbers.
        unit: what is counted.
        skipped: how many were left out as they could not be read.
        remarks: what else is to be said of them.
    """

    parts: Mapping[PartName, ExamplesPart]
    fronts: Mapping[str, Any]
    unit: str
    skipped: int = 0
    remarks: Sequence[str] = ()

    @property
    def fingerprint(self) -> str:
        """Of all numbers in their order, of what made them, and of the texts that are to be said.

        Other words may be the same numbers: those of a front, and those that it does not know.
        """
        fronts = {name: front_told(front) for name, front in self.fronts.items()}
        found = hashlib.blake2b(json.dumps(fronts, sort_keys=True).encode(), digest_size=16)
        for name, part in self.parts.items():
            arrays: list[Any] = leaves((*part.inputs, *part.targets))
            for array in arrays:
                found.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
            for text in _texts_in([pair.target for pair in part.raw]):
                found.update(text.encode("utf-8", "surrogatepass") + b"\xff")
        return found.hexdigest()

    def sizes(self, scored: int) -> str:
        """Predictions of each part."""
        counts = [f"{part.count:,} {self.unit} {_USES[n]}" for n, part in self.parts.items()]
        few = scored and scored < self.parts["validation"].count
        left = f"; left out because they cannot be read: {self.skipped:,}" if self.skipped else ""
        odd = "".join(f"; {told}" for told in self.remarks)
        return ", ".join(counts) + (f"; chooses by {scored:,} of them" if few else "") + left + odd


def _texts_in(value: Any) -> Iterator[str]:
    """Texts in lists of lists, in their order; of what is no text, none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts_in(one)


@dataclasses.dataclass(frozen=True)
class Score:
    """One model's score.

    Args:
        name: the model.
        value: what the task's metric says of it.
        loss: mean of a prediction.
        count: predictions.
    """

    name: str
    value: float
    loss: float
    count: int

    def to_json(self) -> dict[str, Any]:
        """All numbers."""
        return dataclasses.asdict(self)


class ExamplesTask(Task):
    """A task whose source is a list of pairs: an example, and what is to be said of it.

    A task of one's own gives :meth:`encode` and :meth:`recurra.tasks.Task.build`, and most of them
    also ``open`` (to read files), :meth:`fit`, :meth:`target` and :meth:`say`.
    """

    target_kind: ClassVar[TargetKind] = "steps"
    """What a target is: one number for all of an example or an array with one for each step
    (``"steps"``), an array of one shape for all of an example (``"whole"``), or an array with steps
    of its own (``"sequence"``)."""
    Part: ClassVar[type[ExamplesPart]] = ExamplesPart
    """What a part of the data is made as."""

    def open(self, source: Any, data: Any) -> Any:
        """The pairs as they are, or by part: ``{"train": pairs, "test": pairs}``.

        Raises:
            DataError: a path; a task whose examples are in files has an ``open`` of its own.
        """
        if isinstance(source, str | Path):
            raise DataError(
                f"{source}: expected pairs of an example and what is to be said of it: the task "
                f"{self.name} reads no files. An `open` of its own makes it read some."
            )
        return source

    def checked(self, pair: Pair) -> Pair:
        """A pair that is read, or another one in its place; it is what :meth:`fit` and others get.

        Raises:
            DataError: it is none of this task; the message begins with its place.
        """
        return pair

    def fit(self, inputs: Sequence[Any], targets: Sequence[Any]) -> dict[str, Any]:
        """The fronts, of what is trained on; none unless a task says otherwise."""
        return {}

    def fit_by(
        self, source: Any, data: Any, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> dict[str, Any]:
        """As :meth:`fit`, for a task that needs to know more.

        Args:
            source: what :meth:`open` gave.
            data: the section ``[data]``.
            inputs: of the examples that are trained on.
            targets: of these.
        """
        return self.fit(inputs, targets)

    @abc.abstractmethod
    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        """An example in numbers, ``[time, ...]``, or several such arrays in a named tuple."""

    def encode_pair(self, pair: Pair, fronts: Mapping[str, Any], data: Any) -> Any:
        """As :meth:`encode`, for a task that needs to know more of an example, or how it is read.

        Args:
            pair: the example.
            fronts: of the model.
            data: the section ``[data]``.
        """
        return self.encode(pair.example, fronts)

    def held(self, pairs: Sequence[Pair], data: Any) -> list[str] | None:
        """What each example holds, by which examples are divided; None where its place decides."""
        return None

    def part_of(self, pair: Pair, data: Any) -> PartName | None:
        """The part that an example belongs to, where that is said."""
        return pair.part

    def ready(self, source: Any, data: Any, pairs: list[Pair]) -> list[Pair]:
        """Examples before anything is fitted on them; as they are unless a task says otherwise."""
        return pairs

    def target(self, target: Any, fronts: Mapping[str, Any]) -> Any:
        """What is to be said in numbers, see :attr:`target_kind`; as it is unless said."""
        return target

    def collate(self, inputs: Sequence[Any], targets: Sequence[Any] | None = None) -> Batch:
        """Some examples beside each other, as the model reads them: see :func:`collate_rows`.

        Args:
            inputs: what :meth:`encode` gave of each, in arrays.
            targets: what :meth:`target` gave of each, in arrays; None where they are to be said.
        """
        return collate_rows(inputs, targets, self.target_kind)

    def say(self, said: Any, fronts: Mapping[str, Any]) -> Any:
        """An answer in words.

        Args:
            said: of one example what the head says, ``[time, ...]`` or ``[...]``.
            fronts: of the model.
        """
        return said

    def prepare(
        self, source: Any, data: Any, folder: Path, report: Callable[[str], None]
    ) -> Examples:
        """Every tenth example is held out, and the one before is to choose by.

        Parts that have files of their own, or names (see :meth:`open`), are those.

        Raises:
            DataError: fewer than ten examples, or something wrong in one of them.
        """
        return self._prepare(source, data, None)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: Any,
        folder: Path,
        report: Callable[[str], None],
    ) -> Examples:
        """As :meth:`prepare`; nothing is fitted."""
        return self._prepare(source, data, fronts)

    def _prepare(self, source: Any, data: Any, fronts: Mapping[str, Any] | None) -> Examples:
        pairs = pairs_of(source)
        for name, place in given_sources(data):
            pairs += read_pairs(self.open(place, data), f"{place}, ", name)
        pairs = [self.checked(pair) for pair in pairs]
        named = self._divided(source, data, pairs, fronts is None)
        training = named["training"]
        if fronts is None:
            examples = tuple(pair.example for pair in training)
            fronts = self.fit_by(source, data, examples, tuple(pair.target for pair in training))
        return Examples(
            {name: self._part(some, fronts, data) for name, some in named.items()},
            fronts,
            self.unit,
        )

    def _divided(
        self, source: Any, data: Any, pairs: list[Pair], fits: bool
    ) -> dict[PartName, list[Pair]]:
        """Examples by part, of which none is empty."""
        parts, held = [self.part_of(pair, data) for pair in pairs], self.held(pairs, data)
        text = None if held is None else held.__getitem__
        places = divide_examples(range(len(pairs)), data, parts.__getitem__, text)
        apart = [number for number, part in enumerate(parts) if part is None]
        for name, some in places.items():
            if some:
                continue
            if not apart or name in data.given:
                place = data.given.get(name, "data")
                raise DataError(f"{place}: expected examples for {name}, there are none.")
            if held is None:
                raise DataError(f"data: expected at least 10 examples, got {len(apart)}.")
            distinct = len({held[number] for number in apart})
            raise DataError(
                f"data: expected examples in every part, none of {len(apart):,} ({distinct:,} "
                f"distinct) is left for {name}. Give more (some 30 usually do), or a part of its "
                f"own by data.{name}."
            )
        ready = self.ready(source, data, pairs) if fits else pairs
        return {name: [ready[number] for number in some] for name, some in places.items()}

    def read(
        self, source: Any, fronts: Mapping[str, Any], data: Any, report: Callable[[str], None]
    ) -> ExamplesPart:
        """All of the examples, in numbers of the model."""
        return self._part([self.checked(pair) for pair in pairs_of(source)], fronts, data)

    def _part(self, pairs: Sequence[Pair], fronts: Mapping[str, Any], data: Any) -> ExamplesPart:
        return self.Part(
            [self.encode_pair(pair, fronts, data) for pair in pairs],
            [self.target(pair.target, fronts) for pair in pairs],
            kind=self.target_kind,
            collate=self.collate,
            places=[pair.place for pair in pairs],
            raw=pairs,
            fronts=fronts,
        )

    def sample(self, part: ExamplesPart, rows: int, steps: int) -> Batch:
        """Whole examples of all lengths."""
        some = [number for group in part.order() for number in group]
        chosen = of_all_lengths([steps_of(part.inputs[number]) for number in some], rows)
        return part.batch(some[place] for place in chosen)

    def evaluate(self, compared: Mapping[str, Any], part: ExamplesPart) -> list[Score]:
        """Of models, and of rivals that have a method ``score`` like theirs."""
        rows = []
        for name, model in compared.items():
            total, count = model.score(part.groups())
            loss = total / max(count, 1)
            value = loss if self.metric.name == self.loss.name else self.score(model, part)
            rows.append(Score(name, value, loss, count))
        return rows

    def table(self, rows: Sequence[Score], title: str) -> Table:
        """The loss, and the metric if it is another number."""
        alone = self.metric.name == self.loss.name
        header = ["model", *([] if alone else [self.metric.unit]), self.loss.unit]
        return Table(
            f"{title}: {rows[0].count:,} {self.unit}",
            header,
            [
                [row.name, *([] if alone else [number(row.value, 4)]), number(row.loss, 4)]
                for row in rows
            ],
        )

    def answer(self, loaded: Any) -> Answer:
        """Of each input what :meth:`say` makes of it."""
        return _Saying(loaded.model, loaded.fronts, loaded.path, self)


class _Saying(Answer):
    """Encodes, asks the model, and lets the task say it."""

    def __init__(
        self, model: Model, fronts: Mapping[str, Any], path: Path, task: ExamplesTask
    ) -> None:
        super().__init__(model, fronts, path, task.name)
        self._task = task

    def predict(self, inputs: Iterable[Any]) -> Iterator[Any]:
        """An answer for each input, in their order; some are read ahead."""
        rows = map(self._encoded, inputs_of("predict", inputs))
        return chain.from_iterable(map(self._said, ahead(rows, _AT_ONCE)))

    def _encoded(self, one: Any) -> Any:
        return arrays_of(self._task.encode(one, self.fronts), "predict, input")

    def _said(self, rows: list[Any]) -> Iterator[Any]:
        for row in rows_of(self.model.predict(self._task.collate(rows))):
            yield self._task.say(row, self.fronts)
