"""What can be looked at: models at work, how a state moves, and pictures of runs and of results.

``examine`` looks into a model and says what is wrong with it, ``dynamics`` where its state goes and
rests; pictures are drawn as SVG, PNG or a page of HTML. Pictures need no torch: what runs a cell by
itself loads with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.diagnosis.charts import (
    Axis,
    Chart,
    Fan,
    Looked,
    attention,
    attributed,
    attributed_html,
    confusion,
    coverage,
    curve,
    fan,
    forecast_errors,
    gradients,
    lines,
    pictures,
    residuals,
    surprise,
    watched,
)

if TYPE_CHECKING:
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
    from recurra.diagnosis.examination import Examination, border_share, examine
    from recurra.diagnosis.explanation import (
        Ablated,
        Ablations,
        Attribution,
        Intervened,
        ablate,
        ablations,
        attribute,
        clamp,
        intervene,
        patch,
        scale,
    )

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
    "Ablated": "explanation",
    "Ablations": "explanation",
    "Attribution": "explanation",
    "Card": "cards",
    "Examination": "examination",
    "Intervened": "explanation",
    "ablate": "explanation",
    "ablations": "explanation",
    "attribute": "explanation",
    "border_share": "examination",
    "card": "cards",
    "clamp": "explanation",
    "examine": "examination",
    "intervene": "explanation",
    "patch": "explanation",
    "scale": "explanation",
}
_LATER = set(__all__) - set(globals())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"recurra.diagnosis.{_HOMES.get(name, 'dynamics')}")
    globals()[name] = getattr(home, name)
    return globals()[name]
