"""The task ``forecasting``: a density of the next value of a series, at every step."""

from recurra.tasks.forecasting.answer import Forecast, ForecastingModel, SeriesStream, Step
from recurra.tasks.forecasting.corpus import SeriesCorpus, SeriesPart
from recurra.tasks.forecasting.evaluation import Evaluation
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.task import ForecastingTask

__all__ = [
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
