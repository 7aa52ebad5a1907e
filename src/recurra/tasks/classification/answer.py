"""What a trained classifier answers."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.data import ExampleRow
from recurra.errors import DataError
from recurra.given import ahead, inputs_of, text_of
from recurra.tasks.base import Answer
from recurra.tasks.classification.corpus import LABEL, read_fronts
from recurra.tasks.classification.evaluation import log_probabilities
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.inputs import encode_inputs, is_text, raw_of, unknown_of

__all__ = ["ClassifyingModel", "Label"]

_BLOCK = 1024  # examples read ahead, so that those of like length can stand together
_SURE = 0.5  # from which on one of several labels is named


@dataclasses.dataclass(frozen=True)
class Label:
    """The class of an example.

    Args:
        read: the text, or where the example is from; None of numbers that are from nowhere.
        ranked: all classes with their probabilities, the most probable first.
        several: whether each has a probability of its own, so that any number may be named.
        symbols: how many its text has; None without one.
        unknown: how many of them the vocabulary does not know.
    """

    read: str | None
    ranked: tuple[tuple[str, float], ...]
    several: bool = False
    symbols: int | None = None
    unknown: int | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        """Of that class."""
        return self.ranked[0][1]

    @property
    def labels(self) -> tuple[str, ...]:
        """The class; of several those of a probability of at least 0.5."""
        if not self.several:
            return (self.label,)
        return tuple(name for name, share in self.ranked if share >= _SURE)

    @property
    def text(self) -> str:
        """What was read."""
        return self.read or ""

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it, or of the ranks the first so many."""
        found: dict[str, Any] = {}
        if self.read is not None:
            found["file" if self.symbols is None else "text"] = self.read
        if self.several:
            found["labels"] = list(self.labels)
        else:
            found |= {"label": self.label, "probability": self.probability}
        ranked = [{"label": name, "probability": share} for name, share in self.ranked[:top]]
        found["ranked"] = ranked
        if self.symbols is not None:
            found |= {"symbols": self.symbols, "unknown": self.unknown}
        return found


class ClassifyingModel(Answer):
    """A classifier that names the classes of texts, series, sounds, pictures."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        names: tuple[str, ...] = self.fronts[LABEL].names
        return names

    def predict(self, inputs: Iterable[Any]) -> Iterator[Label]:
        """The class of each example, in their order; some are read ahead.

        Args:
            inputs: texts; series, arrays ``[time, channels]``; sounds, pairs of samples and their
                rate; pictures, uint8 arrays; files of any of these but texts; of several inputs
                mappings by name, in which one may be missing.

        Raises:
            DataError: something that is none of these, or cannot be read.
        """
        if isinstance(inputs, os.PathLike) and not self._texts:
            inputs = [inputs]
        raw = self._raw(inputs_of("predict", inputs))  # what is none is told at once
        return itertools.chain.from_iterable(map(self._block, ahead(raw, _BLOCK)))

    def of_line(self, line: str) -> Any:
        """A text; where something else is read the file of that name, of several a JSON object."""
        if len(self._inputs) == 1:
            return line if self._texts else Path(line)
        import json

        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            names = ", ".join(f'"{name}": ...' for name in self._inputs)
            raise DataError(f"predict: expected a line such as {{{names}}}, got {line[:80]!r}.")
        return {
            name: Path(value) if isinstance(value, str) and not is_text(front) else value
            for name, front in self._inputs.items()
            if (value := found.get(name)) is not None
        }

    def show(self, answer: Label, top: int | None = None) -> str:
        """Label and probability of the most probable classes, with tabs between them."""
        if answer.several and top is None:
            return ", ".join(answer.labels) or "-"
        return "\t".join(f"{name}\t{share:.4f}" for name, share in answer.ranked[: top or 1])

    def to_json(self, answer: Label, top: int | None = None) -> dict[str, Any]:
        """All of it."""
        return answer.to_json(top)

    @property
    def _inputs(self) -> dict[str, Any]:
        return read_fronts(self.fronts)

    @property
    def _texts(self) -> bool:
        return len(self._inputs) == 1 and is_text(next(iter(self._inputs.values())))

    def _raw(self, inputs: Iterable[Any]) -> Iterator[tuple[Any, str | None]]:
        """What can be encoded, and what it is called."""
        for one in inputs:
            if len(self._inputs) > 1:
                yield self._several(one), None
            elif self._texts:
                yield text_of("predict", one), one
            else:
                front = next(iter(self._inputs.values()))
                named = isinstance(one, str | os.PathLike)
                yield raw_of(front, one, "predict"), os.fspath(one) if named else None

    def _several(self, one: Any) -> dict[str, Any]:
        if not isinstance(one, Mapping) or not {*one} <= {*self._inputs}:
            names = ", ".join(self._inputs)
            got = list(one) if isinstance(one, Mapping) else type(one).__name__
            raise DataError(f"predict: expected a mapping of {names}, or some of them, got {got}.")
        return {
            name: raw_of(self._inputs[name], value, f"predict, {name}")
            for name, value in one.items()
            if value is not None
        }

    def _block(self, block: list[tuple[Any, str | None]]) -> Iterator[Label]:
        data = ClassificationData()
        rows = [encode_inputs(self._inputs, raw, "predict", data)[0] for raw, _ in block]
        shares = log_probabilities(self.model, rows).exp()
        order = shares.argsort(dim=1, descending=True, stable=True)
        several = bool(self.model.config.several)
        parts = zip(block, rows, shares.tolist(), order.tolist(), strict=True)
        for (_, called), row, said, ranks in parts:
            ranked = tuple((self.classes[at], said[at]) for at in ranks)
            yield Label(called, ranked, several, *self._symbols(row))

    def _symbols(self, row: ExampleRow) -> tuple[int | None, int | None]:
        if not any(map(is_text, self._inputs.values())):
            return None, None
        unknown, symbols = unknown_of(self._inputs, [row])
        return symbols, unknown
