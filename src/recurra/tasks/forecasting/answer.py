"""What a trained forecaster answers: what comes next, and how surprising what came was."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.data import Reading
from recurra.data.examples import Example
from recurra.data.examples.columns import has_columns
from recurra.errors import DataError
from recurra.given import ahead, inputs_of
from recurra.heads import Numbers
from recurra.models import Forecaster
from recurra.states import Tree
from recurra.surprises import Quantiles, Surprise
from recurra.tasks.base import Answer
from recurra.tasks.forecasting.corpus import SERIES, listed, open_series, scaled
from recurra.tasks.forecasting.evaluation import judged
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.windows import Stretch, read_of
from recurra.training import data_of
from recurra_runtime.fronts import Series

__all__ = ["Forecast", "ForecastingModel", "SeriesStream", "Step"]

_AT_ONCE = 32  # series that are read beside each other

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of the next value of a series.

    Args:
        place: the file, and the row at which the series begins; None of what is from nowhere.
        channels: their names.
        mean: of each, in the data's units.
        deviation: of each.
        after: the last step that was read: its time stamp, or its number; None if none was.
    """

    place: str | None
    channels: tuple[str, ...]
    mean: Floats
    deviation: Floats
    after: Any = None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        found: dict[str, Any] = {} if self.place is None else {"input": self.place}
        if self.after is not None:
            found["after"] = self.after if isinstance(self.after, int) else str(self.after)
        both = zip(self.channels, self.mean.tolist(), self.deviation.tolist(), strict=True)
        return found | {"next": {n: {"mean": m, "deviation": d} for n, m, d in both}}


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A step of a stream that has come.

    Args:
        surprise: in nats; NaN where all values are missing.
        flagged: whether it is above the threshold.
        mean: of each channel what was expected of it, in the data's units.
        deviation: of each.
    """

    surprise: float
    flagged: bool
    mean: Floats
    deviation: Floats


class SeriesStream:
    """A series that comes step by step; what was read is carried, and nothing is read twice.

    Args:
        model: reads it.
        front: its scale.
        threshold: above which a step is flagged.
    """

    def __init__(self, model: Forecaster, front: Series, threshold: float) -> None:
        self._model, self._front, self.threshold = model, front, threshold
        self._state: Tree = None
        self._before = np.full((1, len(front.channels)), np.nan, np.float32)
        self.steps = 0

    def read(self, values: Any) -> list[Step]:
        """Steps that have come ``[steps, channels]``; NaN is missing.

        Args:
            values: of one channel also ``[steps]``.

        Raises:
            DataError: other channels, or infinity.
        """
        got = scaled(self._front, values, f"step {self.steps}")
        if not len(got):
            return []
        read = read_of(np.concatenate([self._before, got[:-1]]))
        batch = Batch(torch.from_numpy(read)[:, None], torch.from_numpy(got)[:, None])
        found = self._model.judge(batch, self._state)
        self._state, self._before, self.steps = found.state, got[-1:], self.steps + len(got)
        nats = found.surprise[:, 0].double().tolist()
        means, deviations = in_units(found.expected, self._front)
        return [
            Step(surprise, surprise > self.threshold, mean, deviation)
            for surprise, mean, deviation in zip(nats, means, deviations, strict=True)
        ]

    def expect(self) -> tuple[Floats, Floats]:
        """Mean and deviation of each channel of the next step, in the data's units."""
        read = torch.from_numpy(read_of(self._before))[:, None]
        expected, _ = self._model.expect(read, self._state)
        means, deviations = in_units(expected, self._front)
        return means[0], deviations[0]


class ForecastingModel(Answer):
    """A forecaster that says what comes next, and how surprising each step is."""

    @property
    def front(self) -> Series:
        """The scale, and the names of the channels."""
        found: Series = self.fronts[SERIES]
        return found

    def predict(self, inputs: Any) -> Iterator[Forecast]:
        """The next value of each series.

        Args:
            inputs: arrays ``[steps, channels]`` or ``[steps]`` one after another, or paths of
                tables; one path, data frame or array holds all of them. NaN is missing.

        Raises:
            DataError: other channels, infinity, or a file that cannot be read.
        """
        for each in self._examples("predict", inputs):
            stream = SeriesStream(self._forecaster, self.front, np.inf)
            stream.read(self._checked(each))
            after = each.stamps[-1] if each.stamps else len(each.input) - 1
            yield Forecast(
                each.place or None,
                self.front.channels,
                *stream.expect(),
                after=after if len(each.input) else None,
            )

    def surprises(self, inputs: Any) -> Iterator[Surprise]:
        """Minus the log density of each step, the first included, of all its channels.

        They are those of values divided by their deviation over the training part.

        Args:
            inputs: as of :meth:`predict`.
        """
        for some in ahead(self._examples("surprise", inputs), _AT_ONCE):
            values = [self._checked(each) for each in some]
            stretches = [
                Stretch(scaled(self.front, raw, each.place))
                for raw, each in zip(values, some, strict=True)
            ]
            nats = {id(got.stretch): got.nats for got in judged(self._forecaster, stretches)}
            for each, raw, one in zip(some, values, stretches, strict=True):
                yield Surprise(
                    each.place or None,
                    nats.get(id(one), np.zeros(0)),
                    steps=each.stamps or None,
                    values=raw,
                    channels=self.front.channels,
                )

    def stream(self, false_alarms: float | None = None) -> SeriesStream:
        """A series that comes step by step.

        Args:
            false_alarms: as of :meth:`surprise`; nothing is flagged if None.
        """
        threshold = np.inf
        if false_alarms is not None:
            threshold = Quantiles.read(self.path).threshold(false_alarms)
        return SeriesStream(self._forecaster, self.front, threshold)

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any]:
        """The series of the file."""
        known = {} if encoding is None else {"encoding": encoding}
        return open_series(file, self._reading(**known))

    def of_line(self, line: str) -> Any:
        """A line names a file."""
        return Path(line)

    def show(self, answer: Forecast, top: int | None = None) -> str:
        """Mean and deviation of each channel, with tabs between them."""
        self._no_top(top)
        both = zip(answer.mean.tolist(), answer.deviation.tolist(), strict=True)
        return "\t".join(f"{mean:.6g}\t{deviation:.4g}" for mean, deviation in both)

    @property
    def _forecaster(self) -> Forecaster:
        assert isinstance(self.model, Forecaster)
        return self.model

    def _reading(self, **more: Any) -> Reading:
        """How the run read its data, but for the names of its channels where they are numbers."""
        data: ForecastingData = data_of(self.path).undivided
        named = not all(name.isdecimal() for name in self.front.channels)
        return data.reading(channels=self.front.channels if named else None, **more)

    def _examples(self, door: str, inputs: Any) -> Iterator[Example]:
        if isinstance(inputs, str | os.PathLike) or has_columns(inputs):
            source = Path(inputs) if isinstance(inputs, str) else inputs
            yield from open_series(source, self._reading())
            return
        for each in inputs_of(door, listed(inputs)):
            if isinstance(each, Example):
                yield each
            elif isinstance(each, str | os.PathLike) or has_columns(each):
                yield from self._examples(door, each)
            else:
                yield Example(each, None, "")

    def _checked(self, each: Example) -> Floats:
        try:
            return self.front.checked(each.input)
        except ValueError as problem:
            raise DataError(f"{each.place or 'input'}: {problem}.") from None


def in_units(expected: Numbers, front: Series) -> tuple[Floats, Floats]:
    """Mean and deviation of one row ``[steps, channels]``, in the data's units."""
    mean = expected.mean[:, 0].double().cpu().numpy()
    deviation = expected.deviation[:, 0].double().cpu().numpy()
    return mean * front.deviation + front.mean, deviation * front.deviation
