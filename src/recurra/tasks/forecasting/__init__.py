"""The task ``forecasting``: what the next steps of series hold, and how surprising a step is."""

from recurra.tasks.forecasting.answer import ForecastingModel
from recurra.tasks.forecasting.corpus import PANEL, SeriesCorpus
from recurra.tasks.forecasting.evaluation import Evaluation
from recurra.tasks.forecasting.frames import Forecast
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.stream import SeriesStream, Step
from recurra.tasks.forecasting.task import ForecastingTask

__all__ = [
    "PANEL",
    "Evaluation",
    "Forecast",
    "ForecastingData",
    "ForecastingModel",
    "ForecastingTask",
    "SeriesCorpus",
    "SeriesPart",
    "SeriesStream",
    "Step",
]
