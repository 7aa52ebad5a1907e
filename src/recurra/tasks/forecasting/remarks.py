"""What the scores of a model and its rivals say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recurra.tasks.forecasting.evaluation import Evaluation

__all__ = ["remark"]

_FEWEST = 3  # stretches that do not overlap, by which chance can be told


_KNOW_LITTLE = ("unconditional", "mean", "last value", "drift")
_UNKNOWN = ": perhaps what comes cannot be known from what was"


def remark(rows: Sequence[Evaluation]) -> str:
    """Whether the first row is better than the best of the others, by more than chance.

    Chance is told by the differences of the losses, origin by origin; those of origins whose
    horizons overlap say the same, and are taken together (Diebold & Mariano 1995).
    """
    ours, others = rows[0], [row for row in rows[1:] if row.values]
    if not others or not ours.values:
        return ""
    best = min(others, key=lambda row: row.value)
    both = f"{ours.value:.4g} and {best.value:.4g} of {ours.unit} a value"
    if ours.mase is not None and best.mase is not None:
        both += f"; MASE {ours.mase:.3f} and {best.mase:.3f}"
    known = _UNKNOWN if best.name in _KNOW_LITTLE else ""
    apart, chance = _apart(ours, best)
    if math.isinf(chance):
        return (
            f"Too little is held out to tell it from the best of the others, the {best.name} "
            f"({both})."
        )
    if apart > chance:
        return f"The {best.name} is better ({both}): the model adds nothing to it{known}."
    if apart > -chance:
        return f"It is as good as the {best.name}, by all that chance lets tell ({both}){known}."
    return (
        f"It is better than all models without memory, of which the {best.name} is best ({both})."
    )


def _apart(ours: Evaluation, other: Evaluation) -> tuple[float, float]:
    """Mean difference of the losses of two models, and two standard errors of it."""
    apart = ours.losses - other.losses
    block = max(len(ours.by_step), 1)
    means = np.array([part.mean() for part in np.array_split(apart, max(len(apart) // block, 1))])
    if len(means) < _FEWEST:
        return float(apart.mean()), math.inf
    return float(apart.mean()), float(2 * means.std(ddof=1) / len(means) ** 0.5)
