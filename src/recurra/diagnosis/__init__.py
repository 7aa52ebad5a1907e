"""What can be looked at: pictures of runs and of results, as SVG, PNG or a page of HTML."""

from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines, pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise

__all__ = ["Axis", "Chart", "confusion", "curve", "lines", "pictures", "surprise"]
