"""What training, artifacts and commands ask of forecasters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra import models
from recurra.columns import number
from recurra.data.examples import Examples
from recurra.models import (
    Autoregression,
    Forecaster,
    ForecasterConfig,
    ForecasterSettings,
    LastValue,
    Rival,
    Unconditional,
)
from recurra.pipeline.rivals import read_rivals, write_rivals
from recurra.tasks.base import Metric, Table, Task, register_task
from recurra.tasks.division import given_sources
from recurra.tasks.forecasting.answer import ForecastingModel
from recurra.tasks.forecasting.corpus import (
    SERIES,
    SeriesCorpus,
    SeriesPart,
    encode_series,
    open_series,
    prepare_series,
)
from recurra.tasks.forecasting.evaluation import Evaluation, compare, judged
from recurra.tasks.forecasting.settings import ForecastingData

__all__ = ["ForecastingTask"]

_AUTOREGRESSION = "autoregression"


@register_task("forecasting")
class ForecastingTask(Task):
    """A density of the next value of a series at every step, beside models without memory."""

    Data = ForecastingData
    Model = ForecasterSettings
    metric = Metric("nats", "nats/value")
    unit = "values"
    verb = "predict"

    def open(self, source: Any, data: ForecastingData) -> Examples:
        """Series of files, arrays, data frames."""
        return open_series(source, data.reading())

    def prepare(
        self, source: Any, data: ForecastingData, folder: Path, report: Callable[[str], None]
    ) -> SeriesCorpus:
        """Divide by time or by series, and scale."""
        return prepare_series(self.open(source, data), self._given(data), data)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ForecastingData,
        folder: Path,
        report: Callable[[str], None],
    ) -> SeriesCorpus:
        """Divide, and scale as the model does."""
        return prepare_series(self.open(source, data), self._given(data), data, fronts[SERIES])

    def _given(self, data: ForecastingData) -> dict[Any, Examples]:
        return {part: self.open(place, data) for part, place in given_sources(data)}

    def read(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ForecastingData,
        report: Callable[[str], None],
    ) -> SeriesPart:
        """Series in the numbers of a model, each from its first step on."""
        return encode_series(self.open(source, data), fronts[SERIES], report)

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> Forecaster:
        """A model of so many channels."""
        channels = len(fronts[SERIES].channels)
        return Forecaster(ForecasterConfig(**settings.model_dump(), channels=channels))

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> Forecaster:
        """The model of a configuration that tells its sizes itself."""
        known = ForecasterConfig.model_validate(config)
        got = len(fronts[SERIES].channels) if SERIES in fronts else "none"
        if got != known.channels:
            raise ValueError(
                f"expected a front {SERIES!r} of {known.channels} channels beside this model, got "
                f"{got}. It belongs to another model"
            )
        return Forecaster(known)

    def trial(self, recipe: Any) -> Forecaster:
        """A model of one channel."""
        return Forecaster(ForecasterConfig(**recipe.model.model_dump(), channels=1))

    def surprises(
        self, model: models.Model, part: SeriesPart, limit: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Of each step, of all its channels."""
        assert isinstance(model, Forecaster)
        return np.concatenate([each.nats for each in judged(model, part.some(limit))])

    def evaluate(self, compared: Mapping[str, Any], part: SeriesPart) -> list[Evaluation]:
        """Each series by itself."""
        return compare(compared, part)

    def table(self, rows: Sequence[Evaluation], title: str) -> Table:
        """Nats a value; errors of the mean."""
        return Table(
            f"{title}: {rows[0].values:,} values",
            ("model", "nats/value", "mean squared error", "mean absolute error"),
            [
                (row.name, number(row.value, 4), f"{row.mean_squared:.4g}",
                 f"{row.mean_absolute:.4g}")
                for row in rows
            ],
            [
                "Nats are of values divided by their deviation; errors are of the means, in the "
                "data's units."
            ],
        )  # fmt: skip

    def rivals(
        self, prepared: SeriesCorpus, data: ForecastingData, report: Callable[[str], None]
    ) -> dict[str, Rival]:
        """The unconditional density, the last value, and a linear map of a window."""
        series = [one.scored for one in prepared.parts["training"].stretches]
        part = prepared.parts.get("validation", prepared.parts["training"])
        held = [one.values for one in part.stretches]
        begin = [one.first for one in part.stretches]
        report("fitting rivals")
        linear = Autoregression.fit(series, held, begin)
        return {
            "unconditional": Unconditional.fit(series),
            "last value": LastValue.fit(series),
            f"{_AUTOREGRESSION} of {linear.order}": linear,
        }

    def write_rivals(self, folder: Path, rivals: Mapping[str, Rival]) -> None:
        """In a file of their own."""
        write_rivals(folder, rivals)

    def read_rivals(self, folder: Path) -> dict[str, Rival]:
        """The simplest first."""
        kinds = {
            "unconditional": Unconditional.from_arrays,
            "last value": LastValue.from_arrays,
            _AUTOREGRESSION: Autoregression.from_arrays,
        }
        return read_rivals(folder, kinds)

    def reads_windows(self, data: Any) -> bool:
        """All series end to end."""
        return True

    def answer(self, loaded: Any) -> ForecastingModel:
        """Densities of what comes next, and surprises."""
        return ForecastingModel(loaded.model, loaded.fronts, loaded.path, self.name)
