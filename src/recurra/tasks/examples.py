"""Tasks of examples that fit in memory: rows of numbers, each with its answers.

:class:`ExamplesTask` asks for what only a task can know (what an example is, how it becomes
numbers, what reads them); how examples are divided, batched, scored and answered is here.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.columns import number
from recurra.data import Batches, PartName
from recurra.errors import DataError
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.tasks.base import Answer, Groups, Table, Task

__all__ = ["Examples", "ExamplesPart", "ExamplesTask", "Score"]

_AT_ONCE = 32  # examples that are scored or answered beside each other
_TENTHS: dict[int, PartName] = {8: "validation", 9: "test"}
_USES = {"training": "to train on", "validation": "to choose by", "test": "held out"}


class ExamplesPart:
    """Rows of numbers, and what is to be said of them.

    Args:
        inputs: of each example an array ``[time, ...]``.
        targets: of each example an array ``[time, ...]``, or one number for all of it.

    Raises:
        DataError: no example, or other targets than examples.
    """

    def __init__(self, inputs: Sequence[Any], targets: Sequence[Any]) -> None:
        if len(inputs) != len(targets) or not len(inputs):
            raise DataError(
                f"data: expected examples, each with its target, got {len(inputs):,} examples and "
                f"{len(targets):,} targets."
            )
        self.inputs = [np.asarray(row) for row in inputs]
        self.targets = [np.asarray(target) for target in targets]

    @property
    def count(self) -> int:
        """What is predicted of them: a step each, or an example each."""
        return sum(len(target) if target.ndim else 1 for target in self.targets)

    def batch(self, chosen: Iterable[int]) -> Batch:
        """Some of the examples beside each other."""
        numbers = list(chosen)
        targets = [self.targets[n] for n in numbers]
        inputs = PaddedSequence.from_list([self.inputs[n] for n in numbers])
        if targets[0].ndim:
            return Batch(inputs, PaddedSequence.from_list(targets))
        return Batch(inputs, torch.from_numpy(np.stack(targets)), target_axis=0)

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """Whole examples, in another order in every pass."""
        return _Shuffled(self, rows, seed)

    def groups(self, limit: int | None = None) -> Groups:
        """Those of like length beside each other; with a limit every second, third, ... example."""
        every = -(-self.count // (limit or self.count or 1))
        order = sorted(range(0, len(self.inputs), every), key=lambda n: len(self.inputs[n]))
        groups = [order[at : at + _AT_ONCE] for at in range(0, len(order), _AT_ONCE)]
        return [map(self.batch, [group]) for group in groups]


class _Shuffled:
    """Batches by number; each pass draws from a generator of its own."""

    def __init__(self, part: ExamplesPart, rows: int, seed: int) -> None:
        self.rows, self._part, self._seed = rows, part, seed
        self.symbols = part.count
        self._order = functools.lru_cache(maxsize=2)(self._draw)

    def _draw(self, number: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self._seed, number]).permutation(len(self._part.inputs))

    def __len__(self) -> int:
        return -(-len(self._part.inputs) // self.rows)

    def count(self, symbols: int) -> int:
        return -(-symbols * len(self) // self.symbols)

    def batch(self, step: int) -> Batch:
        number, place = divmod(step, len(self))
        return self._part.batch(self._order(number)[place * self.rows : (place + 1) * self.rows])

    def begins(self, step: int) -> bool:
        return True


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples in numbers, divided.

    Args:
        parts: by name.
        fronts: what made the numbers.
        unit: what is counted.
    """

    parts: Mapping[PartName, ExamplesPart]
    fronts: Mapping[str, Any]
    unit: str

    @property
    def fingerprint(self) -> str:
        """Of all numbers, in their order."""
        found = hashlib.blake2b(digest_size=16)
        for name, part in self.parts.items():
            for array in (*part.inputs, *part.targets):
                found.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
        return found.hexdigest()

    def sizes(self, scored: int) -> str:
        """Predictions of each part."""
        counts = [f"{part.count:,} {self.unit} {_USES[n]}" for n, part in self.parts.items()]
        few = scored and scored < self.parts["validation"].count
        return ", ".join(counts) + (f"; chooses by {scored:,} of them" if few else "")


@dataclasses.dataclass(frozen=True)
class Score:
    """One model's score.

    Args:
        name: the model.
        value: what the task's metric says of it.
        loss: nats a prediction.
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

    def fit(self, inputs: Sequence[Any], targets: Sequence[Any]) -> dict[str, Any]:
        """The fronts, of what is trained on; none unless a task says otherwise."""
        return {}

    @abc.abstractmethod
    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        """An example in numbers, ``[time, ...]``."""

    def target(self, target: Any, fronts: Mapping[str, Any]) -> Any:
        """What is to be said in numbers, ``[time, ...]`` or one; as it is unless a task says so."""
        return target

    def say(self, said: torch.Tensor, fronts: Mapping[str, Any]) -> Any:
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

        Raises:
            DataError: fewer than ten examples.
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
        pairs = list(source)
        if len(pairs) < 10:
            raise DataError(f"data: expected at least 10 examples, got {len(pairs)}.")
        named: dict[PartName, list[Any]] = {"training": [], "validation": [], "test": []}
        for at, pair in enumerate(pairs):
            named[_TENTHS.get(at % 10, "training")].append(pair)
        if not data.validation:
            named["training"] += named.pop("validation")
        if fronts is None:
            fronts = self.fit(*zip(*named["training"], strict=True))
        return Examples(
            {name: self._part(some, fronts) for name, some in named.items()}, fronts, self.unit
        )

    def read(
        self, source: Any, fronts: Mapping[str, Any], data: Any, report: Callable[[str], None]
    ) -> ExamplesPart:
        """All of the examples, in numbers of the model."""
        return self._part(source, fronts)

    def _part(self, pairs: Iterable[Any], fronts: Mapping[str, Any]) -> ExamplesPart:
        inputs, targets = [], []
        for example, target in pairs:
            inputs.append(self.encode(example, fronts))
            targets.append(self.target(target, fronts))
        return ExamplesPart(inputs, targets)

    def evaluate(self, compared: Mapping[str, Any], part: ExamplesPart) -> list[Score]:
        """Of models, and of rivals that have a method ``score`` like theirs."""
        rows = []
        for name, model in compared.items():
            total, count = model.score(part.groups())
            loss = total / max(count, 1)
            value = loss if self.metric.name == "nats" else self.score(model, part.groups())
            rows.append(Score(name, value, loss, count))
        return rows

    def table(self, rows: Sequence[Score], title: str) -> Table:
        """The loss, and the metric if it is another number."""
        nats = self.metric.name == "nats"
        header = ["model", "nats"] if nats else ["model", self.metric.unit, "nats"]
        return Table(
            f"{title}: {rows[0].count:,} {self.unit}",
            header,
            [
                [row.name, *([] if nats else [number(row.value, 4)]), number(row.loss, 4)]
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
        left = iter(inputs)
        while some := list(islice(left, _AT_ONCE)):
            rows = [np.asarray(self._task.encode(one, self.fronts)) for one in some]
            said = self.model.predict(Batch(PaddedSequence.from_list(rows), None))
            for row in said.to_list() if isinstance(said, PaddedSequence) else said:
                yield self._task.say(row, self.fronts)
