"""What each of several inputs is to a model: followed by itself, while the others stay."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.diagnosis.changed import (
    input_of,
    inputs_of,
    last_steps,
    steps_of,
    valid_steps,
    values_of,
)
from recurra.diagnosis.examination.flow import Flow, by_distance
from recurra.diagnosis.examination.horizon import (
    Ignored,
    Response,
    differ,
    distances,
    ignored,
    response,
    with_slopes,
)
from recurra.diagnosis.examination.needs import AS_GOOD, Needs, gained
from recurra.diagnosis.subject import Subject

__all__ = ["OfInput", "by_input"]

_DISTANCES, _WINDOWS = 12, 8


class OfInput(NamedTuple):
    """What one of several inputs is to a model.

    Distances are in its own steps, counted back from each row's end. One that belongs to a whole
    row, such as a picture or a topic, has a single step.

    Args:
        flow: of the gradient of the loss by its numbers; None of symbols, and of whole rows.
        response: of the outputs to changes of it.
        ignored: what of it changes nothing.
        needs: how many of its steps must be read, 0 where the answer is as good with those of
            another row; None where nobody knows what knowing nothing costs.
        steps: of the longest row.
    """

    flow: Flow | None
    response: Response
    ignored: Ignored
    needs: Needs | None
    steps: int


def by_input(subject: Subject, loss: float, noise: float = 0.0) -> dict[str, OfInput]:
    """Each input by itself, by name; nothing where there is one alone.

    Args:
        subject: a model at work.
        loss: of the whole.
        noise: its standard error.
    """
    batch = subject.batch
    names = [name for name in inputs_of(batch) if _is_read(batch, name)]
    if len(names) < 2:
        return {}
    return {
        name: OfInput(
            _flow(subject, name),
            response(subject, _DISTANCES, name=name),
            ignored(subject, name=name),
            _needs(subject, name, loss, noise),
            int(steps_of(batch, name)[1].max()),
        )
        for name in names
    }


def _is_read(batch: Batch, name: str) -> bool:
    """Whether there is anything of an input: numbers and a step of some row."""
    value, _ = input_of(batch, name)
    lengths = steps_of(batch, name)[1]
    return bool(values_of(value).numel()) and bool((lengths > 0).any())


def _flow(subject: Subject, name: str) -> Flow | None:
    """Of the loss, by the numbers of each step."""
    batch, leaf = with_slopes(subject.batch, name)
    if leaf is None:
        return None
    with subject.asking(), torch.enable_grad():
        total = subject.run(batch).total
        slopes = (
            torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
        )
    slopes = torch.zeros_like(leaf) if slopes is None else slopes
    norms = slopes.double().flatten(2).norm(dim=2) if leaf.dim() > 2 else slopes.double().abs()
    lengths = steps_of(batch, name)[1].cpu().numpy()
    ends = np.where(lengths > 0, lengths - 1.0, math.nan)
    values: npt.NDArray[np.float64] = norms.cpu().numpy()
    middle, low, high = by_distance([(values, ends)], valid_steps(batch, name), reverse=False)
    finite = bool(np.isfinite(values).all())
    return Flow({name: middle}, {name: low}, {name: high}, finite)


def _needs(subject: Subject, name: str, loss: float, noise: float) -> Needs | None:
    """Score the model on its last k steps alone, for rising k."""
    if subject.reference is None or not gained(loss, subject.reference, noise):
        return None
    gain, time = subject.reference - loss, steps_of(subject.batch, name)[0]
    found = Needs(None, loss)
    blank = last_steps(subject.batch, name, 0)
    if not bool(differ(subject.batch, blank, subject.rows).any()):
        return None  # all rows have the same
    with subject.asking(), torch.no_grad():
        for window in distances(time, _WINDOWS):
            ran = subject.run(last_steps(subject.batch, name, int(window)))
            found = Needs(int(window), float(ran.total) / max(ran.count, 1))
            if found.loss - loss <= AS_GOOD * gain:
                return found
    return found._replace(steps=None)
