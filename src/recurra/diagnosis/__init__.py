"""What can be looked at: models at work, how a state moves, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it, ``dynamics`` where its state goes and
rests; pictures are drawn as SVG, PNG or a page of HTML. Pictures need no torch: what runs a cell by
itself loads with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.attributed import attributed, attributed_html
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
    from recurra.diagnosis.ablating import Ablated, Ablations, ablations
    from recurra.diagnosis.attribution import Attribution, attribute
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
    from recurra.diagnosis.interventions import Intervened, ablate, clamp, intervene, patch, scale

__all__ = [
    "Ablated",
    "Ablations",
    "Attribution",
    "Axis",
    "Card",
    "Chart",
    "Examination",
    "Fan",
    "FixedPoints",
    "Intervened",
    "Jacobians",
    "Looked",
    "Lyapunov",
    "Products",
    "Visited",
    "ablate",
    "ablations",
    "attention",
    "attribute",
    "attributed",
    "attributed_html",
    "border_share",
    "card",
    "clamp",
    "confusion",
    "coverage",
    "curve",
    "examine",
    "fan",
    "fixed_points",
    "forecast_errors",
    "gradients",
    "intervene",
    "jacobians",
    "lines",
    "lyapunov",
    "patch",
    "phase_plane",
    "pictures",
    "residuals",
    "scale",
    "surprise",
    "visited_states",
    "watched",
]

_HOMES = {
    "Ablated": "ablating",
    "Ablations": "ablating",
    "Attribution": "attribution",
    "Card": "cards",
    "Examination": "examination",
    "Intervened": "interventions",
    "ablate": "interventions",
    "ablations": "ablating",
    "attribute": "attribution",
    "border_share": "border",
    "card": "cards",
    "clamp": "interventions",
    "examine": "examination",
    "intervene": "interventions",
    "patch": "interventions",
    "scale": "interventions",
}
_LATER = set(__all__) - set(globals())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"recurra.diagnosis.{_HOMES.get(name, 'dynamics')}")
    globals()[name] = getattr(home, name)
    return globals()[name]
