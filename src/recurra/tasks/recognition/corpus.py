"""Recordings and pictures of one part with their texts, and what a model says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from recurra.data import PartName
from recurra.decoding import best_path
from recurra.heads import least_steps
from recurra.models import Model, Recognizer
from recurra.sequences import PaddedSequence
from recurra.tasks.base import read_fronts
from recurra.tasks.examples import Examples, ExamplesPart
from recurra_runtime.vocabulary import RESERVED, Vocabulary

__all__ = [
    "TEXT",
    "RecognitionExamples",
    "RecognitionPart",
    "Rival",
    "input_of",
    "logs_of",
    "numbers_of",
    "said_of",
    "text_of_symbols",
]

TEXT = "text"
"""The front of what is said; the other one is of what is read."""

Logs = npt.NDArray[np.float64]


class Rival(Protocol):
    """What says a text of each input in numbers, and the sum of its losses."""

    def texts(self, rows: list[Any], vocabulary: Vocabulary) -> list[str]:
        """One for each."""

    def nats(self, part: RecognitionPart) -> tuple[float, int] | None:
        """Sum of the losses and number of symbols; None where it gives no probabilities."""

    def short(self, part: RecognitionPart) -> int:
        """How many texts need more steps than it has for them."""


def input_of(fronts: Mapping[str, Any]) -> tuple[str, Any]:
    """What is read, and its front."""
    return next(iter(read_fronts(fronts, TEXT).items()))


def numbers_of(text: str, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """A text in symbols, numbered from 0; -1 where the vocabulary has none.

    A vocabulary begins with ids that no text has: they are no symbols here.
    """
    ids = vocabulary.encode(text) - len(RESERVED)
    return np.where(ids < 0, -1, ids).astype(np.int64)


def text_of_symbols(symbols: tuple[int, ...], vocabulary: Vocabulary) -> str:
    """The text of symbols."""
    return vocabulary.decode(symbol + len(RESERVED) for symbol in symbols)


class RecognitionPart(ExamplesPart):
    """Recordings or pictures with their texts; a model's loss leaves out those it cannot say."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the texts."""
        found: Vocabulary = self.fronts[TEXT]
        return found

    @property
    def texts(self) -> list[str]:
        """What is said of each, as it was read."""
        return [pair.target for pair in self.raw]

    @property
    def strange(self) -> int:
        """How many have a symbol that the vocabulary lacks."""
        return sum(bool((target < 0).any()) for target in self.targets)

    def frames(self, number: int) -> int:
        """Steps that an example has before a model joins some: of a picture its columns."""
        row = self.inputs[number]  # [columns, height, channels] where each has a width of its own
        return int(row.shape[2] if row.ndim == 4 else len(row))

    def short(self, model: Recognizer) -> int:
        """How many texts need more steps than the model has for them."""
        texts = PaddedSequence.from_list([torch.from_numpy(target) for target in self.targets])
        steps = [model.steps(self.frames(number)) for number in range(len(self.inputs))]
        return int((least_steps(texts) > torch.tensor(steps)).sum())


@dataclasses.dataclass(frozen=True)
class RecognitionExamples(Examples):
    """Recordings or pictures of all parts.

    Args:
        parts: by name.
        fronts: what made the numbers.
        unit: what is counted.
        told: what a model has found odd about them.
    """

    parts: Mapping[PartName, RecognitionPart]
    told: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, found: Examples) -> Self:
        """The same, with more to say of itself."""
        known = {each.name: getattr(found, each.name) for each in dataclasses.fields(Examples)}
        return cls(**known)

    def sizes(self, scored: int) -> str:
        """How much is read and said, and what is odd about it."""
        kind, front = input_of(self.fronts)
        vocabulary, training = self.fronts[TEXT], self.parts["training"]
        steps = sum(map(training.frames, range(len(training.inputs))))
        examples = sum(len(part.inputs) for part in self.parts.values())
        strange = sum(part.strange for part in self.parts.values())
        odd = f"; texts with symbols that no text to train on has: {strange:,}" if strange else ""
        shape = " x ".join(str(side or "any") for side in front.shape)
        each = "columns" if kind == "picture" else "steps"
        return (
            super().sizes(scored)
            + f"; {examples:,} examples; {len(vocabulary) - len(RESERVED):,} {vocabulary.kind}"
            + f"; {kind}: {shape} numbers, {steps / len(training.inputs):,.1f} {each} an example"
            + odd
        )


def logs_of(model: Recognizer, part: RecognitionPart, numbers: list[int]) -> list[Logs]:
    """Log-probabilities ``[steps, symbols + 1]`` of some examples."""
    said = model.predict(part.batch(numbers))
    assert isinstance(said, PaddedSequence)
    return [row.double().cpu().numpy() for row in said.to_list()]


def said_of(
    model: Model | Rival, part: RecognitionPart, limit: int | None = None
) -> Iterator[tuple[int, str]]:
    """The text of each example's best path, with its number; those of like length together."""
    for numbers in part.order(limit):
        if not isinstance(model, Model):
            rows = [part.inputs[n] for n in numbers]
            yield from zip(numbers, model.texts(rows, part.vocabulary), strict=True)
            continue
        assert isinstance(model, Recognizer)
        for number, logs in zip(numbers, logs_of(model, part, numbers), strict=True):
            found = best_path(logs, blank=model.alignment.blank)
            yield number, text_of_symbols(found.symbols, part.vocabulary)
