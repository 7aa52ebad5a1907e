"""What can be looked at: models at work, how a state moves, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it, ``dynamics`` where its state goes and
rests; pictures are drawn as SVG, PNG or a page of HTML. Pictures need no torch: what runs a cell by
itself loads with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines
from recurra.diagnosis.examine import Examination, examine
from recurra.diagnosis.fans import Fan, fan
from recurra.diagnosis.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.looking import Looked, attention
from recurra.diagnosis.of_run import pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise

if TYPE_CHECKING:
    from recurra.diagnosis.dynamics import (
        FixedPoints,
        Jacobians,
        Lyapunov,
        Products,
        Visited,
        fixed_points,
        jacobians,
        lyapunov,
        phase_plane,
        visited_states,
    )

__all__ = [
    "Axis",
    "Chart",
    "Examination",
    "Fan",
    "FixedPoints",
    "Jacobians",
    "Looked",
    "Lyapunov",
    "Products",
    "Visited",
    "attention",
    "confusion",
    "coverage",
    "curve",
    "examine",
    "fan",
    "fixed_points",
    "forecast_errors",
    "jacobians",
    "lines",
    "lyapunov",
    "phase_plane",
    "pictures",
    "residuals",
    "surprise",
    "visited_states",
]

_LATER = set(__all__) - set(globals())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("recurra.diagnosis.dynamics"), name)
    globals()[name] = value
    return value
