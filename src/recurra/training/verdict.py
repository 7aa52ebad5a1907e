"""Whether a model fits too little, too much or well, or came apart: a sentence with its reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Losses", "verdict"]

_GAP = 1.15  # a loss this many times another one is another one
_NOISE = 1.05  # text in which there is nothing to learn costs a little more than its entropy
_DROPPED = 0.5  # nats that dropout may add to the loss of a step, where few answers are possible
_CALM = "A smaller training.learning_rate usually helps, a smaller training.clip sometimes"


class Losses(NamedTuple):
    """What is known at the end of a training, nats a prediction.

    Args:
        known: of the kept model, on what it was trained on.
        held: of it, on what was held out.
        beaten: which rivals are better there, as "n-grams are better"; empty if none is.
        uniform: of a model that finds all answers alike; infinite where there is none.
        late: of the steps since the last evaluation but one.
        validation: what every evaluation said, less being better; empty without a validation part.
        unit: what is predicted.
    """

    known: float
    held: float
    beaten: str
    uniform: float
    late: float
    validation: Sequence[float]
    unit: str = "symbols"


def verdict(losses: Losses) -> str:
    """What is to be said, the worst first: what came apart is told nothing of its size."""
    known, held, values = losses.known, losses.held, losses.validation
    one = losses.unit.removesuffix("s")
    facts = f"{known:.3f} nats a {one} on what it was trained on, {held:.3f} on what was held out"
    if not math.isfinite(known + held):
        return f"It fits nothing ({facts}). {_CALM}."
    most = _NOISE * losses.uniform
    if not (known <= most and losses.late <= most + _DROPPED):  # NaN is not, either
        return (
            f"The training diverged ({facts}, {losses.late:.3f} in the last steps; "
            f"{losses.uniform:.3f} would be no knowledge at all). {_CALM}."
        )
    if known > _GAP * held:
        return (
            f"The model is unstable ({facts}): what it was trained on should not be the "
            f"harder part. {_CALM}."
        )
    improving = len(values) > 1 and values[-1] < min(values[:-1])
    if improving and values[-2] - values[-1] > 0.01 * abs(values[-2]):
        return f"It fits too little yet ({facts}) and was still improving: train for longer."
    if held > _GAP * known:
        # Only a validation that was better before says that there is too much of the model.
        smaller = bool(values) and not values[-1] <= min(values)
        helps = "more data, more dropout or a smaller model" if smaller else "more data or dropout"
        still = ", though validation was still improving" if improving else ""
        return f"It fits too much ({facts}){still}: {helps} would help."
    if losses.beaten:
        return (
            f"It fits too little ({facts}): {losses.beaten}. Try a larger model, or train for "
            "longer."
        )
    return f"It fits well ({facts})."
