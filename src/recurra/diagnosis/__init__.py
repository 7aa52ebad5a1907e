"""What can be looked at: models at work, how a state moves, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it, ``dynamics`` where its state goes and
rests; pictures are drawn as SVG, PNG or a page of HTML. Pictures need no torch: what runs a cell by
itself loads with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.chart import Chart
from recurra.diagnosis.charts import confusion, curve, lines
from recurra.diagnosis.fans import Fan, fan
from recurra.diagnosis.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.looking import Looked, attention
from recurra.diagnosis.of_run import pictures
from recurra.diagnosis.panels import Axis
from recurra.diagnosis.surprising import surprise
from recurra.diagnosis.watched import gradients, watched

if TYPE_CHECKING:
    from recurra.diagnosis.border import border_share
    from recurra.diagnosis.cards import Card, card
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
    from recurra.diagnosis.examination import Examination, examine

__all__ = [
    "Axis",
    "Card",
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
    "border_share",
    "card",
    "confusion",
    "coverage",
    "curve",
    "examine",
    "fan",
    "fixed_points",
    "forecast_errors",
    "gradients",
    "jacobians",
    "lines",
    "lyapunov",
    "phase_plane",
    "pictures",
    "residuals",
    "surprise",
    "visited_states",
    "watched",
]

_HOMES = {
    "Card": "cards",
    "Examination": "examination",
    "border_share": "border",
    "card": "cards",
    "examine": "examination",
}
_LATER = set(__all__) - set(globals())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"recurra.diagnosis.{_HOMES.get(name, 'dynamics')}")
    globals()[name] = getattr(home, name)
    return globals()[name]
