"""Whether a model fits too little, too much or well, or came apart: a sentence with its reasons.

What a loss says hangs on where it would be without any knowledge: -4.95 and 0.06 may be much or
little. So what is compared is what was gained over that, which no unit and no density changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["ENOUGH", "Losses", "verdict"]

ENOUGH = 300
"""Steps: a training of fewer says little of its model, and recipes give few examples no fewer."""

_LOST = 0.1  # of a gain: so much less is another one
_FAR = 0.5  # of what is held out: a training below is far below, where a rival shows what can be
_LITTLE = 0.05  # of the reference: a gain that may be none
_DROPPED = 0.5  # what dropout may add to the loss of a step, where few answers are possible
_CALM = "A smaller training.learning_rate usually helps, a smaller training.clip sometimes"


class Losses(NamedTuple):
    """What is known at the end of a training, mean losses of a prediction.

    Args:
        known: of the kept model, on what it was trained on.
        held: of it, on what was held out.
        beaten: which rivals are better there, as "n-grams are better"; empty if none is.
        reference: of what has learned nothing; None where nobody knows.
        late: of the steps since the last evaluation but one.
        validation: what every evaluation said, less being better; empty without a validation part.
        unit: what is predicted.
        measure: the unit of a loss.
        longer: the option of a training twice as long; empty if nobody knows one.
        remark: what the task says of the scores.
        steps: of the training; None where it was made at once.
    """

    known: float
    held: float
    beaten: str
    reference: float | None
    late: float
    validation: Sequence[float]
    unit: str = "symbols"
    measure: str = "nats"
    longer: str = ""
    remark: str = ""
    steps: int | None = None


def verdict(losses: Losses) -> str:
    """What is to be said, the worst first: what came apart is told nothing of its size."""
    return f"{_fit(losses)} {losses.remark}".strip()


def _fit(losses: Losses) -> str:
    known, held, values = losses.known, losses.held, losses.validation
    one = losses.unit.removesuffix("s")
    one = f"an {one}" if one[:1] in "aeiou" else f"a {one}"
    longer = "train for longer" + (f" ({losses.longer})" if losses.longer else "")
    measure = f"{losses.measure} {one}".strip()
    facts = f"{known:.3f} {measure} on what it was trained on, {held:.3f} on what was held out"
    if not math.isfinite(known + held):
        return f"It fits nothing ({facts}). {_CALM}."
    if apart := _came_apart(losses, facts):
        return apart
    improving = len(values) > 1 and values[-1] < min(values[:-1])
    if improving and values[-2] - values[-1] > 0.01 * abs(values[-2]):
        return f"It fits too little yet ({facts}) and was still improving: {longer}."
    few = "" if losses.steps is None or losses.steps >= ENOUGH else _few(losses, facts, longer)
    if losses.reference is not None:
        gain, kept = losses.reference - known, losses.reference - held
        if gain < _LITTLE * abs(losses.reference):
            return few or (
                f"It has learned next to nothing ({facts}; {losses.reference:.3f} would be no "
                "knowledge at all). Try another training.learning_rate, a larger model, or "
                f"{longer}."
            )
        # Of many answers no knowledge is so dear that all else is little beside it.
        far = bool(losses.beaten) and 0 <= known < _FAR * held
        if far or gain - kept > _LOST * gain:
            # Only a validation that was better before says that there is too much of the model.
            smaller = bool(values) and not values[-1] <= min(values)
            if few and not smaller:
                return few
            helps = (
                "more data, more dropout or a smaller model" if smaller else "more data or dropout"
            )
            still = ", though validation was still improving" if improving else ""
            beaten = f", and {losses.beaten}" if losses.beaten else ""
            return f"It fits too much ({facts}){still}{beaten}: {helps} would help."
    if losses.beaten:
        return few or (
            f"It fits too little ({facts}): {losses.beaten}. Try a larger model, or {longer}."
        )
    if losses.reference is None:
        unknown = "" if losses.remark else "; the task has no reference that says how good that is"
        return f"It has {facts}{unknown}."
    return f"It fits well ({facts})."


def _few(losses: Losses, facts: str, longer: str) -> str:
    """Of a training that was too short to say anything of the model."""
    steps = "1 step" if losses.steps == 1 else f"{losses.steps} steps"
    beaten = f", and {losses.beaten}" if losses.beaten else ""
    return (
        f"It was trained for {steps} only ({facts}){beaten}: that is too short to judge the "
        f"model by; {longer}."
    )


def _came_apart(losses: Losses, facts: str) -> str:
    """A training that diverged, or a model that is unstable; empty where nothing says so."""
    if losses.reference is None:
        return "" if math.isfinite(losses.late) else f"The training diverged ({facts}). {_CALM}."
    little = _LITTLE * abs(losses.reference)
    most = losses.reference + little
    if not (losses.known <= most and losses.late <= most + _DROPPED):  # NaN is not, either
        return (
            f"The training diverged ({facts}, {losses.late:.3f} in the last steps; "
            f"{losses.reference:.3f} would be no knowledge at all). {_CALM}."
        )
    if losses.known - losses.held > max(_LOST * (losses.reference - losses.held), little):
        return (
            f"The model is unstable ({facts}): what it was trained on should not be the harder "
            f"part. {_CALM}."
        )
    return ""
