"""How far back a model remembers: inputs are changed, and what outputs do is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.diagnosis.changed import (
    each_input,
    input_of,
    inputs_of,
    later_steps,
    other_feature,
    other_step,
    rows_of,
    steps_of,
    valid_steps,
    values_of,
)
from recurra.diagnosis.checked import MANY, check_seed
from recurra.diagnosis.subject import Ran, Subject, check_subject
from recurra.sequences import PaddedSequence
from recurra.settings import check_size

__all__ = [
    "FORGOTTEN",
    "Ignored",
    "Response",
    "differ",
    "distances",
    "ignored",
    "response",
    "with_slopes",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORGOTTEN = 0.01
"""Of what a wholly different row does: an input whose change does less is forgotten."""


class Response(NamedTuple):
    r"""What a change of one input does to the output at the end of a row, by distance.

    .. math::

        r_k = \frac{\operatorname{rms} \lVert y_T(x') - y_T(x) \rVert}{\operatorname{rms}
            \lVert y_T^{(i)} - y_T^{(j)} \rVert}, \qquad
        x'_{T-k} \ne x_{T-k}

    over rows: 1 is as much as a wholly different row does.

    Args:
        at: distances k, rising.
        values: r at each.
        spread: what it is measured by; 0 where the output is the same for all rows.
    """

    at: npt.NDArray[np.int64]
    values: Floats
    spread: float

    def horizon(self, share: float = FORGOTTEN) -> float:
        """The distance up to which a change still moves the output by that share.

        Between two distances that were measured by a straight line through log r; the largest one
        if it is still reached there, 0 if nothing is.
        """
        (reached,) = np.nonzero(self.values >= share)
        if not len(reached):
            return 0.0
        last = int(reached[-1])
        if last == len(self.at) - 1:
            return float(self.at[last])
        above, below = self.values[last], max(float(self.values[last + 1]), 1e-300)
        part = math.log(above / share) / math.log(above / below)
        return float(self.at[last] + part * (self.at[last + 1] - self.at[last]))

    @property
    def open_ended(self) -> bool:
        """Whether the furthest change of all still moves the output."""
        return bool(len(self.values)) and bool(self.values[-1] >= FORGOTTEN)


class Ignored(NamedTuple):
    """Inputs that change nothing.

    Args:
        steps: numbers of steps whose change moves no output of any step.
        features: numbers of features of a vector that is read, the same way.
        looked: how many steps were looked at.
    """

    steps: Sequence[int]
    features: Sequence[int]
    looked: int


def distances(furthest: int, number: int = 32) -> npt.NDArray[np.int64]:
    """Distances 0 to ``furthest``: all if they are few, else some, about ``number`` in all."""
    if furthest < number:
        return np.arange(furthest + 1)
    grown = np.geomspace(1, furthest, number)
    return np.unique(np.concatenate([np.arange(4), grown.round()]).astype(np.int64))


def response(
    subject: Subject, number: int = 32, seed: int = 0, name: str | None = None
) -> Response:
    """Measure it: at each distance one pass, in which every row reads one input of another row.

    Of what reads from a row's end to its beginning the output at the first step is looked at, and
    the input k steps behind it. In evaluation mode, without gradients.

    Args:
        subject: a model at work.
        number: about how many distances.
        seed: of who gives to whom.
        name: of one input, which alone is changed, in its own steps; all that has the batch's steps
            if None.
    """
    check_size("number", number, 1, MANY), check_seed(seed)
    lengths = steps_of(check_subject(subject).batch, name)[1].cpu()
    longest = int(lengths.max()) if len(lengths) else 0
    at = distances(max(longest - 1, 0), number)
    with subject.asking(), torch.no_grad():
        plain = subject.run(subject.batch)
        last = _measured(subject, plain, at, seed, name, backward=False)
        if longest < 2 or not _reads_ahead(subject, plain):
            return last
        first = _measured(subject, plain, at, seed, name, backward=True)
    return Response(at, np.maximum(last.values, first.values), max(last.spread, first.spread))


def _reads_ahead(subject: Subject, plain: Ran) -> bool:
    """Does the first output hang on later inputs?"""
    other = later_steps(subject.batch)
    return not torch.equal(subject.run(other).outputs[:1], plain.outputs[:1])


def _measured(
    subject: Subject, plain: Ran, at: Ints, seed: int, name: str | None, *, backward: bool
) -> Response:
    """From the ends of rows, or from their beginnings."""
    batch = subject.batch
    lengths = steps_of(batch, name)[1].cpu()
    before, there = _looked(plain, backward), plain.ends > 0
    own = len(before) == len(lengths)  # rows are those of the inputs
    some = before[there]
    spread = _rms(some - some.roll(1, 0)) if len(some) > 1 else _rms(some)
    values = []
    for distance in at:
        steps = torch.full_like(lengths, int(distance)) if backward else lengths - 1 - int(distance)
        changed = other_step(batch, steps, seed, name)
        other = rows_of(batch, steps, name) & differ(batch, changed, len(lengths))
        moved = _looked(subject.run(changed), backward) - before
        moved = moved[other & there] if own else moved[there]
        read = spread > 0 and bool(other.any())
        values.append(_rms(moved) / spread if read else 0.0)
    return Response(at, np.asarray(values), spread)


def _looked(ran: Ran, backward: bool) -> Tensor:
    """The first output of each row, or the last ones."""
    if not backward:
        return _ends(ran)
    first = ran.outputs[:1]
    return first[0].flatten(1).double() if len(first) else _ends(ran)


def _ends(ran: Ran) -> Tensor:
    """Each row's output at its own last step, ``[batch, numbers]``; zero of an empty one."""
    outputs, rows = ran.outputs, ran.outputs.shape[1]
    if ran.last is not None and len(ran.last) == rows:
        return ran.last.flatten(1).double()
    if not len(outputs):
        return outputs.new_zeros(rows, 1)
    at = (ran.ends - 1).clamp(min=0).to(outputs.device)
    return outputs[at, torch.arange(rows, device=outputs.device)].flatten(1).double()


def _rms(values: Tensor) -> float:
    return float(values.flatten(1).pow(2).sum(1).mean().sqrt()) if values.numel() else 0.0


def differ(one: Batch, other: Batch, rows: int) -> Tensor:
    """Rows whose inputs are not the same."""
    found = torch.zeros(rows, dtype=torch.bool)
    for name in inputs_of(one):
        (first, steps), (second, _) = input_of(one, name), input_of(other, name)
        a, b = values_of(first), values_of(second)
        a, b = (a.transpose(0, 1), b.transpose(0, 1)) if steps else (a, b)
        if len(a) == rows:
            found |= ((a != b) & ~(a.isnan() & b.isnan())).reshape(rows, -1).any(1).cpu()
    return found


def ignored(subject: Subject, most: int = 64, seed: int = 0, name: str | None = None) -> Ignored:
    """Steps and features whose change moves no output at all, not by a bit.

    Of numbers those are looked at that have no gradient; of symbols some steps, evenly.

    Args:
        subject: a model at work.
        most: steps that are looked at, where there is no gradient to ask.
        seed: of who gives to whom.
        name: as of :func:`response`.
    """
    check_size("most", most, 1, MANY), check_seed(seed), check_subject(subject)
    batch = subject.batch
    lengths = steps_of(batch, name)[1]
    longest = int(lengths.max()) if len(lengths) else 0
    looked = list(range(longest))
    steps, features = _without_gradient(subject, name)
    if steps is None:
        steps = np.unique(np.linspace(0, max(longest - 1, 0), min(most, longest)).astype(int))
        looked = list(steps)
    with subject.asking(), torch.no_grad():
        plain = subject.run(batch)

        def still(changed: Batch) -> bool:
            """Where the change is none nothing can be said."""
            if not bool(differ(batch, changed, len(lengths)).any()):
                return False
            ran = subject.run(changed)
            return torch.equal(ran.outputs, plain.outputs) and bool(ran.total == plain.total)

        unheard = [int(s) for s in steps if still(_all_at(batch, int(s), seed, name))]
        unread = [int(f) for f in features if still(other_feature(batch, int(f), seed, name))]
    return Ignored(unheard, unread, len(looked))


def _all_at(batch: Batch, step: int, seed: int, name: str | None) -> Batch:
    steps = torch.full_like(steps_of(batch, name)[1].cpu(), step)
    return other_step(batch, steps, seed, name)


def with_slopes(batch: Batch, name: str) -> tuple[Batch, Tensor | None]:
    """The batch with one input whose numbers have gradients; None where it has no such numbers."""
    value, steps = input_of(batch, name)
    values = values_of(value)
    if not values.is_floating_point() or not steps:
        return batch, None
    leaf = values.detach().clone().requires_grad_()

    def one(old: Any, axis: int, own: str) -> Any:
        if own != name:
            return old
        return PaddedSequence(leaf, old.lengths) if isinstance(old, PaddedSequence) else leaf

    return each_input(batch, one), leaf


def _without_gradient(subject: Subject, name: str | None) -> tuple[Any, Any]:
    """Steps and features by which no output has a slope; None and none where symbols are read."""
    batch = subject.batch
    name = inputs_of(batch)[0] if name is None else name
    batch, leaf = with_slopes(batch, name)
    if leaf is None or leaf.dim() < 3:
        return None, []
    values = leaf
    with subject.asking(), torch.enable_grad():
        ran = subject.run(batch)
        weights = torch.randn(ran.outputs.shape, generator=torch.Generator().manual_seed(0))
        weighed = (ran.outputs * weights.to(ran.outputs)).sum()
        slopes: Any = torch.autograd.grad(weighed, leaf, allow_unused=True)[0]
    vectors = values.dim() == 3
    if slopes is None:
        return range(values.shape[0]), range(values.shape[-1] if vectors else 0)
    own = valid_steps(batch, name).to(slopes.device)
    some = (slopes != 0).flatten(2) & own.unsqueeze(2)
    steps = (~some.flatten(1).any(1) & own.any(1)).nonzero().flatten().tolist()
    return steps, (~some.flatten(0, 1).any(0)).nonzero().flatten().tolist() if vectors else []
