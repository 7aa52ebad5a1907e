"""What training, artifacts and commands ask of forecasters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra import models
from recurra.columns import number as shown
from recurra.heads.numbers import COUNTS
from recurra.models import Rival, SeriesModel, SeriesModelConfig, SeriesModelSettings
from recurra.tasks.base import Metric, Table, register_task
from recurra.tasks.division import given_sources
from recurra.tasks.forecasting.answer import ForecastingModel
from recurra.tasks.forecasting.calibration import calibrate
from recurra.tasks.forecasting.contradictions import check_recipe
from recurra.tasks.forecasting.corpus import (
    PANEL,
    SeriesCorpus,
    check_counts,
    encode_series,
    prepare_series,
)
from recurra.tasks.forecasting.evaluation import Evaluation, compare
from recurra.tasks.forecasting.fans import MOST, fans, some_of
from recurra.tasks.forecasting.history import write_history
from recurra.tasks.forecasting.judged import judged
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.remarks import remark
from recurra.tasks.forecasting.rivals import KINDS, fit_rivals
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.sources import Source, open_source
from recurra.tasks.rivals import RivalsTask
from recurra_runtime.fronts import Panel

__all__ = ["ForecastingTask"]


@register_task("forecasting")
class ForecastingTask(RivalsTask):
    """What the next steps of series hold, beside models without memory."""

    Data = ForecastingData
    Model = SeriesModelSettings
    kinds_of_rivals = KINDS
    loss = Metric("loss", "")
    metric = Metric("loss", "loss/value")
    unit = "values"
    verb = "predict"

    def open(self, source: Any, data: ForecastingData) -> Source:
        """Series of files, arrays, data frames."""
        return open_source(source, data)

    def prepare(
        self, source: Any, data: ForecastingData, folder: Path, report: Callable[[str], None]
    ) -> SeriesCorpus:
        """Divide by time or by series, and scale."""
        return self._prepared(source, data, None, report)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ForecastingData,
        folder: Path,
        report: Callable[[str], None],
    ) -> SeriesCorpus:
        """Divide, and scale as the model does."""
        return self._prepared(source, data, fronts[PANEL], report)

    def _prepared(
        self,
        source: Any,
        data: ForecastingData,
        panel: Panel | None,
        report: Callable[[str], None],
    ) -> SeriesCorpus:
        given = {part: self.open(place, data) for part, place in given_sources(data)}
        found = prepare_series(self.open(source, data), given, data, panel)
        for note in found.tracks.notes:
            report(note)
        return found

    def keep(self, prepared: SeriesCorpus, folder: Path) -> None:
        """The ends of all series, so that forecasts go on from there."""
        write_history(folder, prepared)

    def read(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ForecastingData,
        report: Callable[[str], None],
    ) -> SeriesPart:
        """Series in the numbers of a model, each from its first step on."""
        return encode_series(self.open(source, data), fronts[PANEL], data, report)

    # ---- model -----------------------------------------------------------------------------------

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> SeriesModel:
        """A model of what the front says."""
        return SeriesModel(SeriesModelConfig.of(settings, **_sizes(fronts[PANEL])))

    def begin(self, model: models.Model, prepared: SeriesCorpus) -> None:
        """Counts are what is counted."""
        assert isinstance(model, SeriesModel)
        if model.config.distribution in COUNTS:
            check_counts(prepared.tracks)

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> SeriesModel:
        """The model of a configuration that tells its sizes itself."""
        known = SeriesModelConfig.model_validate(config)
        if PANEL not in fronts:
            raise ValueError(f"expected a front {PANEL!r} beside this model, got none")
        for name, value in _sizes(fronts[PANEL]).items():
            if getattr(known, name) != value:
                raise ValueError(
                    f"expected a front {PANEL!r} with {name} {getattr(known, name)} beside this "
                    f"model, got {value}. It belongs to another model"
                )
        return SeriesModel(known)

    def trial(self, recipe: Any) -> SeriesModel:
        """A model of one channel."""
        data = recipe.data
        reads = data.steps_read(1000, data.season or 1)
        sizes = {"channels": 1, "horizon": data.horizon, "look_back": reads, "patch": data.patch}
        if data.gaps:
            sizes |= {"past": 1, "gaps": True}
        return SeriesModel(SeriesModelConfig.of(recipe.model, **sizes))

    def check(self, recipe: Any) -> None:
        """What of reading and of saying excludes each other."""
        check_recipe(recipe.data, recipe.model)

    def idle(self, recipe: Any) -> list[tuple[str, str]]:
        """A window is of the recipe, and told by :meth:`unread`."""
        return [each for each in super().idle(recipe) if each[0] != "training.window"]

    def unread(self, recipe: Any, prepared: SeriesCorpus) -> list[tuple[str, str]]:
        """What is of a state that is carried, or of seasons that are not there."""
        found = []
        if not recipe.data.carried:
            found.append(("training.window", "rows of data.look_back steps are read"))
        if prepared.panel.season == 1 and recipe.model.around == "season":
            found.append(("model.around", "there is no season (data.season)"))
        if len(prepared.panel.channels) == 1:
            found.append(("model.apart", "there is one channel"))
        return found

    def tune(self, model: models.Model, part: SeriesPart, limit: int | None = None) -> None:
        """How much wider intervals must be to hold as much as they say."""
        assert isinstance(model, SeriesModel)
        calibrate(model, part)

    # ---- scores ----------------------------------------------------------------------------------

    def surprises(
        self, model: models.Model, part: SeriesPart, limit: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Of each step, of all its channels."""
        assert isinstance(model, SeriesModel)
        found = judged(model, part.some(limit), part.shape)
        return np.concatenate([np.zeros(0), *(each.nats for each in found)])

    def evaluate(self, compared: Mapping[str, Any], part: SeriesPart) -> list[Evaluation]:
        """Each series by itself."""
        model = next(each for each in compared.values() if isinstance(each, SeriesModel))
        loss = model.config.distribution
        return compare(compared, part, loss, unit_of(loss))

    def remark(self, rows: Sequence[Evaluation]) -> str:
        """Whether the model adds something to the best of its rivals, and how sure that is."""
        return remark(rows)

    def beaten(self, rows: Sequence[Evaluation]) -> str:
        """Nothing: :meth:`remark` says it, and how sure it is."""
        return ""

    def table(self, rows: Sequence[Evaluation], title: str) -> Table:
        """The loss; errors of the means; intervals."""
        steps = len(rows[0].by_step)
        ahead = f", {steps:,} steps ahead from {rows[0].origins:,} places" if steps > 1 else ""

        def told(value: float | None, digits: int = 3) -> str:
            return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"

        return Table(
            f"{title}: {rows[0].values:,} values{ahead}",
            ("model", f"{rows[0].unit}/value", "MSE", "MAE", "MASE", "sMAPE", "scaled CRPS",
             "80 % holds"),
            [
                (row.name, shown(row.value, 4), f"{row.mean_squared:.3g}",
                 f"{row.mean_absolute:.3g}", told(row.mase), told(row.smape), told(row.crps),
                 f"{row.covered:.1%}")
                for row in rows
            ],
            [
                f"{rows[0].unit.capitalize()} is of values as the model reads them; squared and "
                "absolute errors are in the data's units. MASE: 1 is the error of the "
                "seasonal naive forecast on what was before."
            ],
        )  # fmt: skip

    def rivals(
        self, prepared: SeriesCorpus, recipe: Any, report: Callable[[str], None]
    ) -> dict[str, Rival]:
        """What was there, and linear maps of it."""
        return fit_rivals(prepared, recipe.data, report)

    def to_draw(self, compared: Mapping[str, Any], prepared: SeriesCorpus) -> dict[str, Any]:
        """Forecasts of what is held out, beside what came; and what its series are called."""
        model, *_ = compared.values()
        rivals = {name: each for name, each in compared.items() if isinstance(each, Rival)}
        held, zone = some_of(prepared.held, MOST), prepared.tracks.zone
        found = fans(model, rivals, prepared.panel, held, zone=zone)
        names = [track.name for track, _ in prepared.held]
        total = len(names) * len(prepared.panel.channels)
        kept = [each.to_json() for each in found[:MOST]]
        return {"forecast": kept, "total": total, "series": names[:1000]}

    def reads_windows(self, data: Any) -> bool:
        """All series end to end, where a state is carried."""
        found: bool = data.carried
        return found

    def answer(self, loaded: Any) -> ForecastingModel:
        """What comes next, and surprises."""
        return ForecastingModel(loaded.model, loaded.fronts, loaded.path, self.name)


def unit_of(loss: str) -> str:
    """What the loss of a distribution is called."""
    named = {"squared": "squared error", "absolute": "absolute error", "huber": "Huber's loss"}
    return named.get(loss, "pinball loss" if loss == "quantiles" else "nats")


def _sizes(panel: Panel) -> dict[str, Any]:
    """What a model must know of the front."""
    return {
        "channels": len(panel.channels),
        "horizon": panel.horizon,
        "look_back": panel.look_back,
        "patch": panel.patch,
        "season": panel.season,
        "past": panel.past_size,
        "known": panel.known_size,
        "categories": panel.sizes,
        "ahead": panel.are_ahead,
        "gaps": panel.gaps,
    }
