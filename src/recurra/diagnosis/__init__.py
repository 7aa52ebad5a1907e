"""What can be looked at: pictures of runs and of results, as SVG, PNG or a page of HTML."""

from recurra.diagnosis.attribution import Attribution, attribute
from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines
from recurra.diagnosis.fans import Fan, fan
from recurra.diagnosis.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.looking import Looked, attention
from recurra.diagnosis.of_run import pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise

__all__ = [
    "Attribution",
    "Axis",
    "Chart",
    "Fan",
    "Looked",
    "attention",
    "attribute",
    "confusion",
    "coverage",
    "curve",
    "fan",
    "forecast_errors",
    "lines",
    "pictures",
    "residuals",
    "surprise",
]
