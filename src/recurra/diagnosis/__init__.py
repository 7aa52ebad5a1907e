"""What can be looked at: models at work, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it; pictures are drawn as SVG, PNG or a
page of HTML.
"""

from recurra.diagnosis.ablating import Ablated, Ablations, ablations
from recurra.diagnosis.attributed import attributed, attributed_html
from recurra.diagnosis.attribution import Attribution, attribute
from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines
from recurra.diagnosis.examine import Examination, examine
from recurra.diagnosis.fans import Fan, fan
from recurra.diagnosis.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.interventions import (
    Intervened,
    ablate,
    clamp,
    intervene,
    patch,
    scale,
)
from recurra.diagnosis.looking import Looked, attention
from recurra.diagnosis.of_run import pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise

__all__ = [
    "Ablated",
    "Ablations",
    "Attribution",
    "Axis",
    "Chart",
    "Examination",
    "Fan",
    "Intervened",
    "Looked",
    "ablate",
    "ablations",
    "attention",
    "attribute",
    "attributed",
    "attributed_html",
    "clamp",
    "confusion",
    "coverage",
    "curve",
    "examine",
    "fan",
    "forecast_errors",
    "intervene",
    "lines",
    "patch",
    "pictures",
    "residuals",
    "scale",
    "surprise",
]
