"""Which steps of what was read made an answer what it is."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from recurra.columns import aligned
from recurra.diagnosis.checked import MANY
from recurra.diagnosis.explanation.answering import Choice, Output, numbers_of
from recurra.diagnosis.explanation.places import Entrance, Place
from recurra.diagnosis.subject import Subject
from recurra.errors import SettingError, SettingTypeError, callers_level, nearest
from recurra.lengths import spread
from recurra.settings import check_size

__all__ = ["METHODS", "Attribution", "Method", "attribute"]

Method = Literal["integrated gradients", "occlusion", "rescaling", "gradient times input"]
METHODS: tuple[Method, ...] = (
    "integrated gradients", "occlusion", "rescaling", "gradient times input",
)  # fmt: skip
ALLOWED_GAP = 0.01
"""How far sums may be from the change that they explain, as a share of it."""
_ROUNDING = 64  # a change of fewer units in the last place is none


@dataclasses.dataclass(frozen=True, eq=False)
class Attribution:
    """What each step of what was read gave to the number that is explained.

    Args:
        method: how that was found.
        parts: by place ``[time, batch, ...]``, as the numbers that enter there; ``[time, batch]``
            where whole steps were changed. 0 at padded steps.
        read: the numbers that entered there, 0 at padded steps.
        lengths: of the rows, by place.
        output: the number that is explained ``[batch]``.
        at_baseline: the same where all steps are the baseline.
        gap: how far the sum of all is from ``output - at_baseline``, as a share of it, ``[batch]``;
            None where a method does not promise that it is 0.
        alphas: points on the way from the baseline, of each row; None as ``gap``.
    """

    method: str
    parts: Mapping[str, Tensor]
    read: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]
    output: Tensor
    at_baseline: Tensor
    gap: Tensor | None = None
    alphas: Tensor | None = None

    @property
    def values(self) -> Tensor:
        """Those of the only place.

        Raises:
            SettingError: there are several.
        """
        return self.parts[self.place()]

    def place(self, name: str | None = None) -> str:
        """The name of a place; the only one if None.

        Raises:
            SettingError: no such place, or there are several.
        """
        if name is None and len(self.parts) == 1:
            return next(iter(self.parts))
        if not isinstance(name, str) or name not in self.parts:
            known = ", ".join(self.parts)
            raise SettingError(f"name, place: say which of {known}, got {name!r}")
        return name

    def steps(self, name: str | None = None) -> Tensor:
        """Of whole steps ``[time, batch]``, sums over their numbers.

        Args:
            name: of the place; the only one if None.
        """
        values = self.parts[self.place(name)]
        return values.flatten(2).sum(2) if values.dim() > 2 else values

    def __str__(self) -> str:
        head = ("row", "explained", "at baseline", "most", "gap", "points")
        rows: list[tuple[str, ...]] = [head]
        name, value = max(
            ((name, self.steps(name)) for name in self.parts), key=lambda each: each[1].numel()
        )
        for row in range(len(self.output)):
            length = int(self.lengths[name][row])
            order = value[:length, row].abs().argsort(descending=True)[:3].tolist()
            most = ", ".join(f"{step}: {float(value[step, row]):.3g}" for step in order)
            gap = "-" if self.gap is None else f"{float(self.gap[row]):.2%}"
            points = "-" if self.alphas is None else str(int(self.alphas[row]))
            ends = (f"{float(self.output[row]):.4g}", f"{float(self.at_baseline[row]):.4g}")
            rows.append((str(row), *ends, most, gap, points))
        return aligned(rows, right=(0, 1, 2, 4, 5))


def attribute(
    model: Any,
    batch: Any,
    method: Method = "integrated gradients",
    *,
    output: Output = None,
    step: Choice = None,
    label: Choice = None,
    baseline: Any = 0.0,
    at: Sequence[str] | None = None,
    lengths: Any = None,
    batch_first: bool = False,
    window: int = 1,
    alphas: int = 16,
    most: int = 256,
    steps_at_once: int = 65_536,
) -> Attribution:
    r"""Which steps of what was read made an answer what it is.

    *Integrated gradients* (Sundararajan et al. 2017) of a number f of the answer,

    .. math:: (x - x') \int_0^1 \nabla f(x' + \alpha (x - x'))\,d\alpha,

    which sum to :math:`f(x) - f(x')`; by Gauss and Legendre, with twice as many points for rows
    where the sum is more than 1 % off. *Occlusion*: how much f falls when a window of steps is the
    baseline x'; a step gets the mean of the windows that it is in. *Rescaling* (Ismail et al.
    2020): how much all gradients change when a step is the baseline, times the same of each number
    of the step alone (of vectors of symbols the step alone). *Gradient times input*:
    :math:`(x - x') \nabla f(x)`.

    Numbers are read as they are; of symbols the vectors that embeddings make of them are meant.
    f is, unless told, the log-probability of the chosen label (of the last step, or ``step``), the
    mean of numbers that are expected, or of other heads the loss of the batch's targets; of what is
    no model the highest score. All is computed in evaluation mode, which modules leave as they had
    it, and without cuDNN, whose recurrent layers give no gradients in that mode.

    Args:
        model: a :class:`recurra.models.Model`, a module, or a function of inputs, which is asked
            about any number of rows.
        batch: a :class:`recurra.Batch`; of what is no model also a tensor or a PaddedSequence.
        method: one of those above.
        output: f: a function of the answer that gives ``[rows]``, or ``[rows, labels]`` of which
            ``label`` is meant; or ``"loss"``.
        step: of the answer, one or ``[batch]``; below 0 counted from the end.
        label: one or ``[batch]``; that with the highest score if None.
        baseline: x': a number, a tensor that spreads over ``[time, batch, ...]``, ``"mean"`` of
            each row, or a dictionary of these by place; of a list of them the mean of what each
            gives (expected gradients, Erion et al. 2021, where they are other inputs).
        at: names of modules whose outputs are meant, in place of numbers and embeddings.
        lengths: ``[batch]``, which what is no model is called with.
        batch_first: whether tensors are ``[batch, time, ...]``, of what is no model.
        window: steps that are occluded together.
        alphas: points to begin with.
        most: points at most; where they are too few, a warning says so.
        steps_at_once: rows times steps in one call, which bounds the memory.

    Raises:
        SettingError: an unknown method; no default for what is explained; f is not finite.
        ShapeError: a step, label, baseline or place that does not fit.

    Example:
        >>> found = attribute(model, batch)
        >>> found.steps()  # [time, batch]
    """
    if method not in METHODS:
        raise SettingError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    check_size("window", window), check_size("steps_at_once", steps_at_once)
    check_size("alphas", alphas, 1, MANY), check_size("most", most, 1, MANY)
    asked = Subject(model, batch, lengths=lengths, batch_first=batch_first)
    several = list(baseline) if isinstance(baseline, list | tuple) else [baseline]
    if not several:
        raise SettingError("baseline: expected at least one, got none")
    at = _names(at)
    found = []
    with asked.asking():
        entrance = Entrance(asked, numbers_of(asked, output, step, label), at)
        known = [place.name for place in entrance.places]
        for one in several:
            for name in one if isinstance(one, Mapping) else ():
                if name not in known:
                    raise SettingError(f"baseline: no {name!r}; {nearest(name, known)}")
            work = _Work(entrance, one, steps_at_once)
            if method == "integrated gradients":
                found.append(work.integrated(alphas, max(alphas, most)))
            elif method == "occlusion":
                found.append(work.told(method, work.occluded(window)))
            elif method == "rescaling":
                found.append(work.told(method, work.rescaled()))
            else:
                found.append(work.told(method, work.products()))
        result = found[0] if len(found) == 1 else _mean(found)
        if result.gap is not None:
            _warn(result.gap, max(alphas, most))
    return result


def _names(at: Any) -> list[str] | None:
    """Names of modules, or None."""
    if at is None:
        return None
    listed = isinstance(at, Sequence) and not isinstance(at, str)
    if not listed or not at or not all(isinstance(name, str) for name in at):
        raise SettingTypeError(
            f"at: expected a list of names of modules, such as ['encoder.embedding'], got {at!r}"
        )
    return list(at)


class _Work:
    """What all methods share: x, x', f of both, and calls of bounded size."""

    def __init__(self, entrance: Entrance, baseline: Any, budget: int) -> None:
        self.entrance = entrance
        self.places, self.every = entrance.places, entrance.asked.every
        longest = max(place.time for place in self.places)
        self.chunk = max(1, budget // max(longest, 1))
        self.x = [place.values for place in self.places]
        self.base = [place.baseline(_base_of(baseline, place)) for place in self.places]
        self.output = self._said(self.x, "the input")
        self.at_baseline = self._said(self.base, "the baseline")

    def _said(self, values: Sequence[Tensor], where: str) -> Tensor:
        found = [self.entrance.scores(_rows(values, r), r) for r in _parts(self.every, self.chunk)]
        said = torch.cat(found).detach() if found else self.every.new_zeros(0).float()
        self.entrance.asked.check_said(said)
        if not bool(said.isfinite().all()):
            row = int((~said.isfinite()).nonzero()[0])
            raise SettingError(
                f"attribute: expected a finite number to explain, got {float(said[row])} of row "
                f"{row} at {where}. Are its numbers finite, and is what is explained possible at "
                "all? output= or label= names another."
            )
        return said

    def told(self, method: str, values: Sequence[Tensor], **more: Any) -> Attribution:
        """The result."""
        names = [place.name for place in self.places]
        return Attribution(
            method,
            dict(zip(names, values, strict=True)),
            dict(zip(names, self.x, strict=True)),
            {place.name: place.lengths for place in self.places},
            self.output,
            self.at_baseline,
            **more,
        )

    # ---- gradients -------------------------------------------------------------------------------

    def _way(self, points: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        """From x' to x, 0 where a number is missing."""
        pairs = zip(points, _rows(self.base, rows), strict=True)
        return [(x - base).nan_to_num(0.0) for x, base in pairs]

    def _gradients(self, points: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        return [one.nan_to_num(0.0) for one in self.entrance.gradients(points, rows)]

    def products(self) -> list[Tensor]:
        """Gradient times input."""
        return self._by_rows(
            lambda points, rows: [
                g * d
                for g, d in zip(self._gradients(points, rows), self._way(points, rows), strict=True)
            ]
        )

    def _by_rows(
        self, function: Callable[[Sequence[Tensor], Tensor], Sequence[Tensor]]
    ) -> list[Tensor]:
        parts = [function(_rows(self.x, r), r) for r in _parts(self.every, self.chunk)]
        return [torch.cat(each, 1) for each in zip(*parts, strict=True)] or self.x

    def integrated(self, alphas: int, most: int) -> Attribution:
        """Integrated gradients, with as many points as each row needs."""
        found = [torch.zeros_like(x) for x in self.x]
        used = torch.full_like(self.every, alphas)
        gap = torch.zeros_like(self.output)
        rows, count = self.every, alphas
        while len(rows):
            for whole, some in zip(found, self._integral(rows, count), strict=True):
                whole[:, rows] = some
            used[rows] = count
            near = [one[:, rows] for one in found]
            gap[rows] = _gap(near, self.output[rows], self.at_baseline[rows])
            rows = rows[gap[rows] > ALLOWED_GAP]
            if count >= most:
                break
            count = min(2 * count, most)
        return self.told("integrated gradients", found, gap=gap, alphas=used)

    def _integral(self, rows: Tensor, count: int) -> list[Tensor]:
        """Of some rows ``[time, rows, ...]``, summed in double precision."""
        places, weights = np.polynomial.legendre.leggauss(count)
        x, base = _rows(self.x, rows), _rows(self.base, rows)
        totals = [torch.zeros_like(one, dtype=torch.float64) for one in x]
        pairs = _parts(torch.arange(count * len(rows), device=rows.device), self.chunk)
        alpha = torch.as_tensor((places + 1) / 2, device=rows.device)
        weight = torch.as_tensor(weights / 2, device=rows.device)
        for pair in pairs:
            which, number = pair % len(rows), pair // len(rows)
            share = alpha[number]
            points = [
                b[:, which]
                + spread(share.unsqueeze(0), b).to(b.dtype) * (one[:, which] - b[:, which])
                for one, b in zip(x, base, strict=True)
            ]
            for total, found in zip(totals, self._gradients(points, rows[which]), strict=True):
                total.index_add_(
                    1, which, found.double() * spread(weight[number].unsqueeze(0), found)
                )
        way = self._way(x, rows)
        return [(t * d.double()).to(d.dtype) for t, d in zip(totals, way, strict=True)]

    # ---- steps that are left out -----------------------------------------------------------------

    def _without(self, number: int, window: int) -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
        """Windows of a place as the baseline: first steps, rows, and the numbers of all places."""
        place = self.places[number]
        chosen = place.mask
        if window == 1:  # what is the baseline already changes nothing
            moves = self._moves(number)
            chosen = chosen & (moves.flatten(2).any(2) if moves.dim() > 2 else moves)
        for pair in _parts(chosen.nonzero(), self.chunk):
            begin, row = pair.unbind(1)
            points = _rows(self.x, row)
            step = torch.arange(place.time, device=row.device).unsqueeze(1)
            inside = (step >= begin) & (step < begin + window)
            points[number] = torch.where(
                inside.view(*inside.shape, *[1] * (points[number].dim() - 2)),
                self.base[number][:, row],
                points[number],
            )
            yield begin, row, points

    def _moves(self, number: int) -> Tensor:
        """Which numbers of a place are not the baseline ``[time, batch, ...]``."""
        return self._way(self.x, self.every)[number] != 0

    @torch.no_grad()
    def occluded(self, window: int) -> list[Tensor]:
        """Occlusion ``[time, batch]``; a window reaches to the end of its row at most."""
        found = []
        for number, place in enumerate(self.places):
            window = min(window, max(place.time, 1))
            total = self.output.new_zeros(place.time + window, len(self.every))
            times = torch.zeros_like(total)
            for begin, row, points in self._without(number, window):
                fall = self.output[row] - self.entrance.scores(points, row)
                for later in range(window):
                    total.index_put_((begin + later, row), fall, accumulate=True)
                    times.index_put_((begin + later, row), torch.ones_like(fall), accumulate=True)
            mean = total / times.clamp(min=1)
            found.append(torch.where(place.mask, mean[: place.time], 0.0))
        return found

    def rescaled(self) -> list[Tensor]:
        """Temporal saliency rescaling, ``[time, batch, ...]``; of vectors ``[time, batch]``."""
        saliency = self._by_rows(self._gradients)
        found = []
        for number, place in enumerate(self.places):
            relevance = self.output.new_zeros(place.time, len(self.every))
            for begin, row, points in self._without(number, 1):
                relevance[begin, row] = self._change(saliency, points, row)
            if isinstance(place.key, int) and self.x[number].dim() > 2:
                each = self._numbers_apart(number, saliency)
                found.append(relevance.view(*relevance.shape, *[1] * (each.dim() - 2)) * each)
            else:
                found.append(relevance)
        return found

    def _numbers_apart(self, number: int, saliency: Sequence[Tensor]) -> Tensor:
        """The change of gradients by each number of each step alone."""
        flat = torch.zeros_like(self.x[number].flatten(2))
        for begin, row, points in self._without(number, 1):
            at = torch.arange(len(row), device=row.device)
            whole, blank = _rows(self.x, row)[number], points[number].flatten(2)[begin, at]
            for one in range(flat.shape[2]):
                wide = whole.flatten(2).clone()
                wide[begin, at, one] = blank[:, one]
                points[number] = wide.view(whole.shape)
                flat[begin, row, one] = self._change(saliency, points, row)
        return torch.where(self._moves(number), flat.view(self.x[number].shape), 0.0)

    def _change(self, saliency: Sequence[Tensor], points: Sequence[Tensor], rows: Tensor) -> Tensor:
        """How much all gradients of rows differ from those at x ``[rows]``."""
        there = zip(saliency, self._gradients(points, rows), strict=True)
        parts = [(was[:, rows] - now).abs().transpose(0, 1).flatten(1).sum(1) for was, now in there]
        return torch.stack(parts).sum(0).to(self.output.dtype)


def _parts(values: Tensor, size: int) -> list[Tensor]:
    """So many at a time; nothing, where there are none, is asked about once, for its shape."""
    return [values[begin : begin + size] for begin in range(0, max(len(values), 1), size)]


def _base_of(baseline: Any, place: Place) -> Any:
    return baseline.get(place.name, 0.0) if isinstance(baseline, Mapping) else baseline


def _rows(values: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    return [value[:, rows] for value in values]


def _gap(found: Sequence[Tensor], output: Tensor, at_baseline: Tensor) -> Tensor:
    """How far sums of rows are from the change, as a share of it; what rounding makes is none."""
    sums = [one.double().transpose(0, 1).flatten(1) for one in found]
    total = torch.stack([one.sum(1) for one in sums]).sum(0)
    size = torch.stack([one.abs().sum(1) for one in sums]).sum(0)
    after, before = output.double(), at_baseline.double()
    off = (total - (after - before)).abs()
    largest = torch.stack([size, after.abs(), before.abs()]).amax(0)
    nothing = off <= _ROUNDING * torch.finfo(output.dtype).eps * largest
    return torch.where(nothing, 0.0, off / (after - before).abs()).to(output.dtype)


def _mean(found: Sequence[Attribution]) -> Attribution:
    """Of several baselines."""
    first = found[0]
    parts = {name: torch.stack([one.parts[name] for one in found]).mean(0) for name in first.parts}
    at_baseline = torch.stack([one.at_baseline for one in found]).mean(0)
    used = [one.alphas for one in found if one.alphas is not None]
    return dataclasses.replace(
        first,
        parts=parts,
        at_baseline=at_baseline,
        gap=None if first.gap is None else _gap([*parts.values()], first.output, at_baseline),
        alphas=torch.stack(used).sum(0) if used else None,
    )


def _warn(gap: Tensor, most: int) -> None:
    rows = (gap > ALLOWED_GAP).nonzero().flatten()
    if not len(rows):
        return
    worst = int(rows[gap[rows].argmax()])
    warnings.warn(
        f"integrated gradients: with {most} points the sums of {len(rows)} rows are more than "
        f"{ALLOWED_GAP:.0%} from the change that they explain, {float(gap[worst]):.1%} in row "
        f"{worst}. Give more (most=), or a baseline from which the answer changes smoothly.",
        stacklevel=callers_level(),
    )
