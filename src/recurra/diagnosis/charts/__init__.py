"""Pictures of runs, results and models; none of them needs torch."""

from recurra.diagnosis.charts.attributing import attributed, attributed_html
from recurra.diagnosis.charts.chart import Chart
from recurra.diagnosis.charts.curves import confusion, curve, lines
from recurra.diagnosis.charts.fans import Fan, fan
from recurra.diagnosis.charts.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.charts.looking import Looked, attention
from recurra.diagnosis.charts.of_run import pictures
from recurra.diagnosis.charts.panels import Axis
from recurra.diagnosis.charts.surprising import surprise
from recurra.diagnosis.charts.watching import gradients, watched

__all__ = [
    "Axis",
    "Chart",
    "Fan",
    "Looked",
    "attention",
    "attributed",
    "attributed_html",
    "confusion",
    "coverage",
    "curve",
    "fan",
    "forecast_errors",
    "gradients",
    "lines",
    "pictures",
    "residuals",
    "surprise",
    "watched",
]
