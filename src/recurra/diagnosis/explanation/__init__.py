"""Why a model answered so: steps that made an answer, and values that are moved inside."""

from recurra.diagnosis.explanation.ablating import Ablated, Ablations, ablations
from recurra.diagnosis.explanation.attribution import Attribution, attribute
from recurra.diagnosis.explanation.interventions import (
    Intervened,
    ablate,
    clamp,
    intervene,
    patch,
    scale,
)

__all__ = [
    "Ablated",
    "Ablations",
    "Attribution",
    "Intervened",
    "ablate",
    "ablations",
    "attribute",
    "clamp",
    "intervene",
    "patch",
    "scale",
]
