"""What can be looked at: models at work, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it; pictures are drawn as SVG, PNG or a
page of HTML.
"""

from recurra.diagnosis.border import border_share
from recurra.diagnosis.card import Card, card
from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines
from recurra.diagnosis.examine import Examination, examine
from recurra.diagnosis.fans import Fan, fan
from recurra.diagnosis.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.looking import Looked, attention
from recurra.diagnosis.of_run import pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise
from recurra.diagnosis.watched import gradients, watched

__all__ = [
    "Axis",
    "Card",
    "Chart",
    "Examination",
    "Fan",
    "Looked",
    "attention",
    "border_share",
    "card",
    "confusion",
    "coverage",
    "curve",
    "examine",
    "fan",
    "forecast_errors",
    "gradients",
    "lines",
    "pictures",
    "residuals",
    "surprise",
    "watched",
]
