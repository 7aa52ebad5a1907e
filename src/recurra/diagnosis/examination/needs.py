"""How many steps must be read: what a model loses that forgets all that is further back."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.diagnosis.changed import later_steps
from recurra.diagnosis.checked import MANY
from recurra.diagnosis.examination.horizon import distances
from recurra.diagnosis.subject import Subject, check_subject, is_state
from recurra.engine import Change, changing
from recurra.engine.probe import reading
from recurra.lengths import spread
from recurra.settings import check_kind, check_least, check_size

__all__ = ["AS_GOOD", "Needs", "gained", "needs"]

AS_GOOD = 0.05
"""Of what was gained over knowing nothing: a loss that is so little worse is as good."""


class Needs(NamedTuple):
    """What a memory of so many steps is worth.

    Args:
        steps: the fewest after which the loss is nearly that of the whole; None where even the
            longest window that was tried is worse.
        loss: with so many.
    """

    steps: int | None
    loss: float


def needs(subject: Subject, loss: float, noise: float = 0.0, number: int = 12) -> Needs | None:
    """Score the model on windows: its state is set to zero every k steps, for rising k.

    Of a row that is scored at its end the last k steps are read, and none before. Where every step
    is scored, they have read 1 to k: what is told is the mean of that.

    Args:
        subject: a model at work.
        loss: of the whole.
        noise: its standard error.
        number: windows that are tried.

    Returns:
        None where nobody knows what knowing nothing costs, or where nothing was gained over it.
    """
    check_kind("loss", loss, float, "a number")
    check_subject(subject), check_least("noise", noise)
    check_size("number", number, 1, MANY)
    if not gained(loss, subject.reference, noise) or subject.reference is None:
        return None
    gain, every = subject.reference - loss, _at_every_step(subject)
    found = Needs(None, loss)
    with subject.asking(), torch.no_grad():
        with reading(subject.owner) as seen:
            ran = subject.run(subject.batch)
        time, ends = len(ran.outputs), ran.ends
        states = [key for key, value in seen.items() if is_state(key, value, ran)]
        if not states:  # several inputs in steps of their own, which are asked about one by one
            return None
        for window in distances(max(time - 1, 1), number)[1:]:
            kept = _kept(time, ends, int(window))
            scales = {key: spread(kept, seen[key]).to(seen[key]) for key in states}
            changes = {str(key.alone): Change(scale=scale) for key, scale in scales.items()}
            with changing(subject.owner, changes):
                ran = subject.run(subject.batch)
            read = (int(window) + 1) // 2 if every else int(window)
            found = Needs(read, float(ran.total) / max(ran.count, 1))
            if found.loss - loss <= AS_GOOD * gain:
                return found
    return found._replace(steps=None)


def gained(loss: float, reference: float | None, noise: float = 0.0) -> bool | None:
    """Whether a loss is better than that of knowing nothing: by 5 %, and by three errors.

    Args:
        loss: the mean.
        reference: of one that knows nothing; None is told where nobody knows it.
        noise: the standard error of the mean.
    """
    if reference is None:
        return None
    return reference - loss > max(AS_GOOD * abs(reference), 3 * noise)


def _at_every_step(subject: Subject) -> bool:
    """Whether the loss hangs on more outputs of a row than its last one by themselves."""
    with subject.asking(), torch.enable_grad():
        inputs = [p for p in subject.owner.parameters() if p.requires_grad]
        # Where all is right already no slope is left: other inputs are read.
        ran = subject.run(later_steps(subject.batch))
        if not inputs or not ran.outputs.requires_grad:
            return ran.count > len(ran.ends)
        slopes: Any = torch.autograd.grad(ran.total, ran.outputs, allow_unused=True)[0]
    if slopes is None:
        return False
    steps = (slopes.detach().flatten(2) != 0).any(2).cpu() & ran.valid
    return bool((steps.sum(0) > 1).any())


def _kept(time: int, lengths: Tensor, window: int) -> Tensor:
    """Which states are carried on, ``[time, batch]``: counted back from each row's end."""
    behind = lengths - 1 - torch.arange(time).unsqueeze(1)
    return ((behind < 1) | (behind % window != 0)).float()
