"""A task of a third kind: several inputs, arrays as targets, a density as its loss.

It is as unlike a text as a task can be, and made of what a person brings: examples from a file of
JSON, a scaler as its front, batch norm (which counts in whole numbers), one weight under two names,
and a part of it under a third.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import recurra
from recurra import tasks
from recurra.encoders import Encoder
from recurra.heads import Head
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence
from recurra.tasks import base

__all__ = ["NAME", "Drift", "drifts", "forget", "known", "read", "write"]

NAME = "drift"
HORIZON = 3


@recurra.register_front("drift-scaler")
class Scaler:
    """What numbers are measured by: a front of one's own."""

    def __init__(self, mean: float, spread: float) -> None:
        self.mean, self.spread = mean, spread

    @classmethod
    def fitted(cls, values: Sequence[float]) -> Scaler:
        mean = math.fsum(values) / len(values)
        return cls(mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)))

    def to_json(self) -> dict[str, float]:
        return {"mean": self.mean, "spread": self.spread}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scaler:
        return cls(data["mean"], data["spread"])


class Seen(NamedTuple):
    """A series ``[time, 1]``, and a number that belongs to all of it."""

    series: Any
    place: Any


class DriftEncoder(Encoder):
    """Reads the series; what is beside it moves all that was read."""

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.layers, self.output_size, self.causal = layers, layers.output_size, False
        self.norm = nn.BatchNorm1d(self.output_size)
        self.one = nn.Linear(1, self.output_size)
        self.other = nn.Linear(1, self.output_size)
        self.other.weight = self.one.weight
        self.register_buffer("first", self.one.weight.detach()[:2])  # a part of its memory

    def initial_state(self, batch: int) -> Any:
        return self.layers.initial_state(batch)

    def forward(
        self, inputs: Any, state: Any = None, context: Any = None, resets: Any = None
    ) -> LayerOutput:
        read: LayerOutput = self.layers(inputs.series)
        place = inputs.place.unsqueeze(-1)
        moved = self.norm(read.last) + self.one(place) + self.other(place)
        return LayerOutput(read.outputs, moved, None)


class Normal(NamedTuple):
    mean: Tensor
    spread: Tensor


class DensityHead(Head):
    """A normal density over a vector, whose loss may be less than zero."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.both = nn.Linear(input_size, 2 * HORIZON)

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Normal:
        mean, log = self.both(read.last).chunk(2, -1)
        return Normal(mean, (log - 2).clamp(-6, 2).exp())

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        assert targets.shape == predictions.mean.shape  # [batch, horizon]: rows, not steps
        density = torch.distributions.Normal(predictions.mean, predictions.spread)
        total: Tensor = -density.log_prob(targets).sum()
        return total, len(targets)


class DriftModel(recurra.Model):
    def __init__(self, settings: Any) -> None:
        layers = tasks.build_layers(settings, 1)
        super().__init__(DriftEncoder(layers), DensityHead(layers.output_size))
        self.config = settings


class Settings(tasks.LayerSettings):
    layers: int = 1
    hidden_size: int = 8
    window: int = 4  # as the section of the training has one


class Drift(tasks.ExamplesTask):
    """The next three numbers of a series that goes up or down."""

    Model = Settings
    unit = "forecasts"
    target_kind = "whole"

    def open(self, source: Any, data: Any) -> Any:
        return json.loads(source.read_text()) if isinstance(source, Path) else source

    def fit(self, inputs: Sequence[Any], targets: Sequence[Any]) -> dict[str, Any]:
        return {"scaler": Scaler.fitted([value for series, _ in inputs for value in series])}

    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        by = fronts["scaler"]
        return Seen([[(value - by.mean) / by.spread] for value in example[0]], example[1])

    def target(self, target: Any, fronts: Mapping[str, Any]) -> Any:
        by = fronts["scaler"]
        return [(value - by.mean) / (20 * by.spread) for value in target]

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> DriftModel:
        return DriftModel(settings)

    def say(self, said: Any, fronts: Mapping[str, Any]) -> list[float]:
        by = fronts["scaler"]
        return [float(value) * 20 * by.spread + by.mean for value in said.mean]


def known(task: type[tasks.ExamplesTask] = Drift) -> type[tasks.ExamplesTask]:
    """Register a task of that name, in the place of another."""
    forget()
    return recurra.register_task(NAME)(task)


def forget() -> None:
    """As if none had been registered."""
    base._known.pop(NAME, None)


def drifts(number: int, seed: int = 0) -> list[tuple[tuple[list[float], float], list[float]]]:
    """Series of 5 to 9 numbers about 1,000, each with its place, and the next three of them."""
    draw, found = random.Random(seed), []
    for _ in range(number):
        steps, rate, place = draw.randint(5, 9), draw.uniform(-20, 20), float(draw.randint(0, 1))
        values = [1000 + rate * step + 5 * place for step in range(steps + HORIZON)]
        found.append(((values[:steps], place), values[steps:]))
    return found


def write(path: Path, examples: Any) -> Path:
    path.write_text(json.dumps(examples))
    return path


def read(batch: Any) -> list[int]:
    """How long the series of a batch are."""
    assert isinstance(batch.inputs.series, PaddedSequence)
    return [int(length) for length in batch.inputs.series.lengths]
