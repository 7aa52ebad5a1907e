"""What a trained forecaster answers: what comes next, and how surprising what came was."""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.data.examples import Example
from recurra.data.examples.columns import has_columns
from recurra.data.panels import Roles, Track, Tracks
from recurra.diagnosis import Fan
from recurra.errors import ArtifactError, DataError, SettingError
from recurra.given import ahead, inputs_of
from recurra.heads.numbers import COUNTS, POINTS
from recurra.models import SeriesModel
from recurra.models.horizon import picked
from recurra.surprises import Quantiles, Surprise
from recurra.tasks.base import Answer, task_by_name
from recurra.tasks.forecasting.calibration import calibrate
from recurra.tasks.forecasting.corpus import PANEL, check_counts, in_numbers, known_grid
from recurra.tasks.forecasting.evaluation import densities_of
from recurra.tasks.forecasting.fans import MOST, fans, named, some_of
from recurra.tasks.forecasting.frames import (
    Forecast,
    columns_of_forecasts,
    instants,
    next_stamps,
    said_steps,
    write_forecasts,
)
from recurra.tasks.forecasting.future import continued
from recurra.tasks.forecasting.history import grown, read_history
from recurra.tasks.forecasting.judged import judged
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.paths import draw_paths
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.sources import listed, open_source
from recurra.tasks.forecasting.stream import SeriesStream, values_of
from recurra.tasks.forecasting.units import deviation_of, middle_of
from recurra.tasks.forecasting.windows import longer
from recurra.training import data_of
from recurra_runtime.fronts import Panel

__all__ = ["LEVELS", "ForecastingModel"]

_AT_ONCE = 256  # series that are read beside each other

LEVELS = (80.0,)
"""Of the intervals that are told, in percent."""


class ForecastingModel(Answer):
    """A forecaster that says what comes next, and how surprising each step is."""

    goes_on = True
    takes = ("future", "level")
    _history: Tracks | None = None

    @property
    def panel(self) -> Panel:
        """What series are in numbers."""
        found: Panel = self.fronts[PANEL]
        return found

    @property
    def horizon(self) -> int:
        """Steps that are forecast."""
        return self.panel.horizon

    # ---- what comes ------------------------------------------------------------------------------

    def predict(
        self,
        inputs: Any = None,
        *,
        future: Any = None,
        level: Sequence[float] = LEVELS,
        paths: int = 100,
    ) -> Iterator[Forecast]:
        """The next values of each series.

        Args:
            inputs: arrays ``[steps, channels]`` or ``[steps]`` one after another, or paths of
                tables; one path, data frame or array holds all of them. NaN is missing. None goes
                on from what the model was trained on, and from what :meth:`update` added.
            future: a table with what is known ahead of the steps that are forecast, of the same
                columns but those that are not.
            level: of the intervals, in percent.
            paths: that are drawn where the model goes step by step.

        Raises:
            DataError: other channels, infinity, a file that cannot be read, nothing of what is
                known ahead, or values that are no counts where the model says these.
            SettingError: a level that is not between 0 and 100.
        """
        check_levels(level)
        for tracks in self._tracks(inputs):
            yield from self.forecasts(tracks, future, level, paths)

    def forecasts(
        self, tracks: Tracks, future: Any, level: Sequence[float], paths: int = 100
    ) -> Iterator[Forecast]:
        """Of series that :meth:`whole` has read; arguments as of :meth:`predict`."""
        whole = continued(tracks, self.panel, future, self._data)
        for some in ahead(iter(whole), _AT_ONCE):
            yield from self._some(list(some), level, paths, tracks.zone)

    def _some(
        self, tracks: list[Track], level: Sequence[float], paths: int, zone: str | None
    ) -> Iterator[Forecast]:
        panel, model = self.panel, self._forecaster
        stretches = in_numbers(((track, 0) for track in tracks), panel)
        # A step that nobody knows yet is what comes next.
        part = SeriesPart([longer(one) for one in stretches], panel)
        found: dict[int, Forecast] = {}
        for origins, density, _ in densities_of(model, part, paths=paths, before=None):
            ends = model.intervals(density, [each / 100 for each in level])
            middle = middle_of(density, panel.scales)
            for row, number in enumerate(origins.numbers.tolist()):
                found[number] = self._forecast(
                    tracks[number], stretches[number].scale, density, middle, ends, level, row, zone
                )
        yield from (found[number] for number in range(len(tracks)))

    def _forecast(
        self,
        track: Track,
        scale: Any,
        density: Any,
        middle: Tensor,
        ends: Sequence[tuple[Tensor, Tensor]],
        level: Sequence[float],
        row: int,
        zone: str | None,
    ) -> Forecast:
        panel = self.panel

        def out(tensor: Tensor) -> npt.NDArray[np.float64]:
            return panel.scales.outward(tensor[row].double().cpu().numpy(), scale)

        last = instants(track.stamps, panel, zone)[-1] if len(track.values) else None
        if isinstance(last, np.integer):
            last = int(last)
        return Forecast(
            track.place or None,
            track.name,
            panel.channels,
            next_stamps(track, panel, zone),
            out(middle),
            deviation_of(picked(density, row), panel.scales, scale),
            {each: (out(low), out(high)) for each, (low, high) in zip(level, ends, strict=True)},
            last,
            zone,
        )

    def simulate(
        self, paths: int = 100, inputs: Any = None, *, future: Any = None, seed: int = 0
    ) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
        """Paths that may come, name of the series and ``[paths, horizon, channels]`` in its units.

        Of a model that says all steps at once each step is drawn from what is said of it, at shares
        that go together as those of one stretch of the part that chose.

        Args:
            paths: how many.
            inputs: as of :meth:`predict`.
            future: the same.
            seed: of the draws.
        """
        panel = self.panel
        chance = torch.Generator().manual_seed(seed)
        for tracks in self._tracks(inputs):
            for track in continued(tracks, panel, future, self._data):
                (stretch,) = in_numbers([(track, 0)], panel)
                drawn = draw_paths(self._forecaster, panel, stretch, paths, chance)
                yield track.name, panel.scales.outward(drawn, stretch.scale or panel.scales.common)

    def calibrate(self, inputs: Any, steps: int) -> None:
        """Fit the widths of intervals to how far off forecasts were; nothing else changes.

        Args:
            inputs: series as of :meth:`predict`.
            steps: how many of the last of each tell: such as were not trained on.
        """
        for tracks in self._tracks(inputs):
            some = [
                (track, max(len(track.values) - steps, 0))
                for track in tracks.each
                if len(track.values) > self.horizon
            ]
            if some:
                calibrate(self._forecaster, SeriesPart(in_numbers(some, self.panel), self.panel))

    def update(self, inputs: Any) -> None:
        """Go on with what has come since; nothing is trained.

        Args:
            inputs: series as of :meth:`predict`, with rows behind those that are known. Of a series
                that is new all is kept.

        Raises:
            DataError: as of :meth:`predict`.
        """
        self._history = grown(self.history, self.whole(inputs), self._data.static)

    def whole(self, inputs: Any) -> Tracks:
        """All series of some inputs together."""
        first, *others = self._tracks(inputs)
        return dataclasses.replace(
            first, each=[*first.each, *(one for tracks in others for one in tracks.each)]
        )

    @property
    def history(self) -> Tracks:
        """The ends of the series that are known.

        Raises:
            ArtifactError: the run keeps none.
        """
        if self._history is None:
            self._history = read_history(self.path, self.panel)
        if self._history is None:
            raise ArtifactError(
                f"{self.path}: does not keep the series that it was trained on "
                "(history.safetensors in the run's folder); give predict the series"
            )
        return self._history

    def fans(
        self,
        inputs: Any = None,
        *,
        future: Any = None,
        series: Sequence[str] = (),
        came: bool = False,
    ) -> list[Fan]:
        """Forecasts as :func:`recurra.diagnosis.fan` draws them, the longest series first.

        Args:
            inputs: as of :meth:`predict`.
            future: the same.
            series: names of series or channels; at most 6 forecasts of any if empty.
            came: forecast the last steps that are known, beside what came, instead of the next.

        Raises:
            SettingError: no series and no channel is called so.
        """
        panel = self.panel
        found: list[Fan] = []
        rivals = task_by_name(self.kind).read_rivals(self.path)
        for tracks in self._tracks(inputs):
            some, channels = named(tracks.each, panel, series)
            if not came:
                some = continued(dataclasses.replace(tracks, each=some), panel, future, self._data)
            held = [(track, 0 if came else len(track.values)) for track in some]
            most = some_of(held, max(MOST - len(found), 0))
            found += fans(self._forecaster, rivals, panel, most, channels, zone=tracks.zone)
        return found

    def write(
        self, found: Iterable[Forecast], path: Path, inputs: Any = None, top: int | None = None
    ) -> None:
        """Forecasts as a table in a file.

        Args:
            found: forecasts.
            path: ends in ``.csv``, ``.tsv`` or ``.parquet``.
            inputs: of what; the columns are called as there.
            top: none, as nothing is ranked.
        """
        self._no_top(top)
        tracks = self.whole(inputs)
        columns = columns_of_forecasts(found, tracks, self.model.name)
        write_forecasts(path, columns, tracks.zone)

    # ---- what surprises --------------------------------------------------------------------------

    def surprises(self, inputs: Any) -> Iterator[Surprise]:
        """Minus the log density of each step, the first included, of all its channels.

        They are those of values as the model reads them, by their scale.

        Args:
            inputs: as of :meth:`predict`.
        """
        panel = self.panel
        said = self._forecaster.config.distribution
        if said in (*POINTS, "quantiles"):
            raise SettingError(
                f"surprise: this model says {said} errors, and no density; train one with "
                "model.distribution=student"
            )
        for tracks in self._tracks(inputs):
            for track in tracks.each:
                stretches = in_numbers([(track, 0)], panel)
                nats = np.zeros(0)
                for got in judged(self._forecaster, stretches, SeriesPart(stretches, panel).shape):
                    nats = got.nats
                steps, dated = track.stamps, track.stamps.dtype.kind == "M"
                yield Surprise(
                    track.place or None,
                    nats,
                    steps=said_steps(steps, panel, tracks.zone) if dated else None,
                    values=track.values,
                    channels=panel.channels,
                )

    def stream(self, false_alarms: float | None = None, name: str = "") -> SeriesStream:
        """A series that comes step by step.

        Args:
            false_alarms: as of :meth:`surprise`; nothing is flagged if None.
            name: of the series, where it is known.
        """
        threshold = np.inf
        if false_alarms is not None:
            threshold = Quantiles.read(self.path).threshold(false_alarms)
        return SeriesStream(self._forecaster, self.panel, threshold, name)

    # ---- as commands ask -------------------------------------------------------------------------

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any]:
        """The series of the file."""
        return [file] if encoding is None else [_Encoded(file, encoding)]

    def of_line(self, line: str) -> Any:
        """A line names a file."""
        return Path(line)

    def show(self, answer: Forecast, top: int | None = None) -> str:
        """A line for each step: the series, the step, mean and intervals, with tabs between."""
        self._no_top(top)
        lines = []
        for step, stamp in enumerate(answer.said):
            cells = [answer.name] if answer.name else []
            cells.append(stamp)
            for channel in range(len(answer.channels)):
                cells.append(f"{answer.mean[step, channel]:.6g}")
                for low, high in answer.intervals.values():
                    cells += [f"{low[step, channel]:.6g}", f"{high[step, channel]:.6g}"]
            lines.append("\t".join(cells))
        return "\n".join(lines)

    @property
    def _forecaster(self) -> SeriesModel:
        assert isinstance(self.model, SeriesModel)
        return self.model

    @property
    def _data(self) -> ForecastingData:
        """How the run read its data, but for the names of its channels where they are numbers."""
        data: ForecastingData = data_of(self.path).undivided
        panel = self.panel
        named = not all(name.isdecimal() for name in panel.channels)
        told: dict[str, Any] = {"channels": list(panel.channels) if named else None}
        if not any(data.beside.values()):  # a checkpoint without its run
            apart = [name for name in panel.categories if name not in panel.ahead]
            told["past"] = [*panel.past.channels, *apart]
            told["known"] = [*panel.known.channels, *panel.ahead]
        return data.model_copy(update=told | {"split": "auto"})

    def _tracks(self, inputs: Any) -> Iterator[Tracks]:
        """Tables of series, of counts where the model says these."""
        for tracks in self._opened(inputs):
            if self._forecaster.config.distribution in COUNTS:
                check_counts(tracks)
            yield tracks

    def _opened(self, inputs: Any) -> Iterator[Tracks]:
        if inputs is None:
            yield self.history
        elif isinstance(inputs, Tracks):
            yield inputs
        elif isinstance(inputs, str | os.PathLike | _Encoded) or has_columns(inputs):
            yield self._read(inputs)
        else:
            for each in inputs_of("predict", listed(inputs)):
                if isinstance(each, str | os.PathLike | _Encoded) or has_columns(each):
                    yield self._read(each)
                else:
                    yield self._alone(each)

    def _read(self, source: Any) -> Tracks:
        data = self._data
        if isinstance(source, _Encoded):
            data = data.model_copy(update={"encoding": source.encoding})
            source = source.file
        source = Path(source) if isinstance(source, str) else source
        return open_source(source, data).tracks(data, known_grid(self.panel))

    def _alone(self, each: Any) -> Tracks:
        """A series of Python."""
        example = each if isinstance(each, Example) else Example(each, None, "")
        if self.panel.past_size or self.panel.known_size or self.panel.categories:
            raise DataError(
                f"{example.place or 'input'}: expected a table, as this model reads more than "
                "values (time stamps or columns beside them), got numbers alone."
            )
        values = values_of(self.panel, example.input, example.place or "input")
        empty = np.zeros((len(values), 0))
        track = Track("", example.place, np.arange(len(values)), values, empty, empty, {})
        roles = self.history.roles if self._history is not None else None
        return Tracks([track], roles or Roles(channels=self.panel.channels))


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """A file of characters that are stored otherwise."""

    file: Path
    encoding: str


def check_levels(levels: Any) -> None:
    """Levels in percent.

    Raises:
        SettingError: one that is not between 0 and 100.
    """
    if isinstance(levels, str) or not isinstance(levels, Sequence | np.ndarray):
        raise SettingError(f"level: expected a list of percents, as [80, 95], got {levels!r}")
    for level in levels:
        if isinstance(level, bool | np.bool_) or not isinstance(level, numbers.Real):
            good = False
        else:
            good = 0 < float(level) < 100
        if not good:
            raise SettingError(f"level: expected percents between 0 and 100, got {level!r}")
