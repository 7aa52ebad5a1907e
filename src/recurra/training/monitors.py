"""Cheap monitors of a training: gradients and updates by layer, clipping, gates, the border.

What happens at every step is one operation on one short vector beside the norms that clipping needs
anyway, and nothing waits for the device; everything is read where it is told, at evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells.base import cells_of
from recurra.diagnosis.examination.border import border_share
from recurra.diagnosis.examination.gates import UnitsOf, gates, saturated
from recurra.diagnosis.examination.reached import places_of
from recurra.diagnosis.subject import subject_of
from recurra.engine.keys import Key
from recurra.engine.torch_internals import norms_of
from recurra.models import Model
from recurra.states import Tree, map_tree

__all__ = ["Monitored", "Monitors", "Watched", "parts_of"]

LEAST = 150
"""Steps between two reports. A look at gates and border costs as much as half a step to two."""
_EVERY, _FIRST = 16, 8  # steps between two updates that are measured, and where the first one is
_ROWS = 8  # of a batch that are looked at
_VANISHED = 1e-6  # of the largest gradient
_CLIPPED = 0.9  # of the steps
_LARGE, _SMALL = 0.1, 1e-6  # of an update beside its weights
_BORDER = 0.5  # of a gradient, left after half a window
_SUMS = ("gradient", "weight", "update")
_FALLEN = 0.1  # of the highest learning rate: below it small updates are meant


class Watched(NamedTuple):
    """One number.

    Args:
        measure: ``"gradient"``, ``"update"``, ``"saturated"``, ``"clipped"`` or ``"border"``.
        place: where the layer stands in the model; empty where it is of the whole.
        value: the number.
    """

    measure: str
    place: str
    value: float


class Monitored(NamedTuple):
    """What was watched since the report before.

    Args:
        rows: all numbers.
        warnings: what has gone wrong and was not said yet, with what to try.
    """

    rows: tuple[Watched, ...]
    warnings: tuple[str, ...]

    def of(self, measure: str) -> dict[str, float]:
        """The numbers of a measure, by place."""
        return {row.place: row.value for row in self.rows if row.measure == measure}

    def __str__(self) -> str:
        """A few words for a line that tells how a training goes."""
        told = []
        gradients, updates = self.of("gradient"), self.of("update")
        if len(gradients) > 1 and max(gradients.values()) > 0:
            ratio = min(gradients.values()) / max(gradients.values())
            told.append(f"least gradient {ratio:.1g} of the largest")
        if updates:
            told.append(f"updates {min(updates.values()):.1g} to {max(updates.values()):.1g}")
        often = self.of("clipped").get("", 0.0)
        told += [f"{often:.0%} of the steps clipped"] if often else []
        saturated = max(self.of("saturated").values(), default=0.0)
        told += [f"up to {saturated:.0%} of units saturated"] if saturated else []
        told += [f"{value:.2g} of it left at the border" for value in self.of("border").values()]
        return ", ".join(told)


def parts_of(model: nn.Module) -> tuple[list[nn.Parameter], list[str]]:
    """All parameters that take a gradient, and of each where its layer stands in the model.

    Those of a cell stand where the outermost cell does; a shared one stands where it is first met.
    """
    some = [(one, place) for one, place in places_of(model) if one.requires_grad]
    return [one for one, _ in some], [place for _, place in some]


class Monitors:
    """Watches a training.

    Args:
        model: that is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters, self._places = parts_of(model)
        self._number = {id(p): number for number, p in enumerate(self._parameters)}
        # Of a bias that begins at 0 an update is as large as itself, which says nothing.
        self._matrices = [n for n, p in enumerate(self._parameters) if p.dim() > 1]
        cells = {place for place, _ in cells_of(model)}
        self._cells = [place for place in dict.fromkeys(self._places) if place in cells]
        self._said: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self._steps = self._clipped = 0
        # Sums of squares, where the gradients are: of gradients, of updates, and of weights.
        self._sums: dict[str, Tensor] | None = None

    @contextmanager
    def step(
        self, parameters: Sequence[nn.Parameter], norms: Sequence[Tensor], clipped: bool
    ) -> Iterator[None]:
        """Watch a step of the optimizer, which is made meanwhile.

        Args:
            parameters: those with a gradient.
            norms: of their gradients before clipping.
            clipped: whether they were clipped.
        """
        if norms:
            self._add("gradient", [self._number.get(id(p), -1) for p in parameters], norms)
        sampled = self._steps % _EVERY == _FIRST
        self._steps += 1
        self._clipped += clipped
        if not sampled:
            yield
            return
        weights = [self._parameters[number].detach() for number in self._matrices]
        before = [weight.clone() for weight in weights]
        yield
        self._add("weight", self._matrices, norms_of(before))
        for old, new in zip(before, weights, strict=True):
            old.sub_(new)
        self._add("update", self._matrices, norms_of(before))

    def _add(self, name: str, numbers: Sequence[int], norms: Sequence[Tensor]) -> None:
        """Add the squares of norms of parameters of these numbers; nothing waits for them."""
        if not norms:
            return
        if self._sums is None:
            zeros = self._like([0.0] * len(self._parameters))
            self._sums = {each: zeros.clone() for each in _SUMS}
        total = self._sums[name]
        values = torch.stack(list(norms)).to(total.dtype)
        if len(numbers) < len(total) or list(numbers) != list(range(len(total))):
            kept = [at for at, number in enumerate(numbers) if number >= 0]
            where = torch.tensor([numbers[at] for at in kept], device=total.device)
            total.index_add_(0, where, values[kept].square())
        else:
            total.addcmul_(values, values)

    def _like(self, numbers: Sequence[float]) -> Tensor:
        """Numbers where the parameters are, as precise as can be."""
        device = self._parameters[0].device
        kind = torch.float32 if device.type == "mps" else torch.float64  # which mps has not
        return torch.tensor(numbers, dtype=kind, device=device)

    # ---- what it tells ---------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether enough steps were watched for a report."""
        return self._steps >= LEAST

    def report(self, model: Model, batch: Batch, state: Tree, *, rate: float = 1.0) -> Monitored:
        """Tell what was watched since the report before, and look at gates and border.

        The random numbers of the training stay as they are.

        Args:
            model: that is trained.
            batch: what it reads, of which a few rows are looked at.
            state: what is carried into that, or None.
            rate: the learning rate, as a share of its highest.
        """
        rows = self._totals()
        failed = ""
        units: tuple[UnitsOf, ...] = ()
        with torch.random.fork_rng(devices=[]):
            try:
                units, told = _looked(model, batch, state)
                rows += told
            except Exception as problem:  # whatever a model of one's own does: this stops nothing
                said = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
                failed = f"gates and the border of windows cannot be looked at ({said})."
        warnings = self._warnings(rows, units, rate, failed)
        self._reset()
        return Monitored(tuple(rows), tuple(warnings))

    def _totals(self) -> list[Watched]:
        if self._sums is None or not self._steps:
            return []
        sums = {name: total.tolist() for name, total in self._sums.items()}
        rows = [
            Watched("gradient", place, math.sqrt(total / self._steps))
            for place, total in self._by_place(sums["gradient"]).items()
        ]
        weights, updates = self._by_place(sums["weight"]), self._by_place(sums["update"])
        rows += [
            Watched("update", place, math.sqrt(updates[place] / total))
            for place, total in weights.items()
            if total > 0
        ]
        return [*rows, Watched("clipped", "", self._clipped / self._steps)]

    def _by_place(self, squares: Sequence[float]) -> dict[str, float]:
        found: dict[str, float] = {}
        for place, square in zip(self._places, squares, strict=True):
            found[place] = found.get(place, 0.0) + square
        return found

    def _warnings(
        self, rows: Sequence[Watched], units: Sequence[UnitsOf], rate: float, failed: str
    ) -> list[str]:
        """What is wrong and was not said before."""
        found = {
            "unreached": self._unreached(rows),
            "vanished": self._vanished(rows),
            "clipped": self._often_clipped(rows),
            "large": _large(rows),
            "small": _small(rows, _silent(rows)) if rate >= _FALLEN else "",
            "saturated": _saturated(units),
            "border": _border(rows),
            "failed": failed,
        }
        new = {name: told for name, told in found.items() if told and name not in self._said}
        self._said |= set(new)
        return list(new.values())

    def _unreached(self, rows: Sequence[Watched]) -> str:
        some = _silent(rows)
        if not some:
            return ""
        return (
            f"no gradient reached {', '.join(some)} in {self._steps:,} steps. Look for a detach or "
            "a torch.no_grad on the way, and for an output that nobody uses."
        )

    def _vanished(self, rows: Sequence[Watched]) -> str:
        norms = {row.place: row.value for row in rows if row.measure == "gradient"}
        most = max(norms.values(), default=0.0)
        for place in self._cells:
            if 0 < norms.get(place, most) < _VANISHED * most:
                return (
                    f"the gradient of {place} is {norms[place] / most:.1g} of the largest over "
                    f"{self._steps:,} steps: it learns nothing. Try fewer model.layers, "
                    "model.residual=true, or a gated cell (model.cell=lstm)."
                )
        return ""

    def _often_clipped(self, rows: Sequence[Watched]) -> str:
        share = next((row.value for row in rows if row.measure == "clipped"), 0.0)
        if share <= _CLIPPED:
            return ""
        norm = math.sqrt(sum(row.value**2 for row in rows if row.measure == "gradient"))
        return (
            f"{share:.0%} of the last {self._steps:,} gradients were clipped (their norm is about "
            f"{norm:.2g}): all steps have one length. Try a training.clip above that, or a smaller "
            "training.learning_rate."
        )

    # ---- to stop and go on -----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What is needed to go on, as JSON has it."""
        sums = {name: total.tolist() for name, total in (self._sums or {}).items()}
        counts = {"steps": self._steps, "clipped": self._clipped}
        return {**counts, "sums": sums, "said": sorted(self._said)}

    def load(self, facts: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`.

        Raises:
            ValueError: it is damaged, or of another model.
        """
        self._reset()
        try:
            steps, clipped = int(facts["steps"]), int(facts["clipped"])
            said, told = {str(each) for each in facts["said"]}, facts["sums"]
            sums = {name: self._like(told[name]) for name in _SUMS} if told else None
        except (TypeError, KeyError, AttributeError, IndexError) as problem:
            raise ValueError(f"what the monitors kept is damaged ({problem!r})") from None
        sizes = [] if sums is None else [total.shape for total in sums.values()]
        if any(size != (len(self._parameters),) for size in sizes):
            raise ValueError("the monitors are of another model")
        self._steps, self._clipped, self._said, self._sums = steps, clipped, said, sums


def _looked(model: Model, batch: Batch, state: Tree) -> tuple[tuple[UnitsOf, ...], list[Watched]]:
    """Gates and the border, of a few rows."""
    told = []
    some = batch.part(lambda rows: slice(0, _ROWS))
    if state is not None:
        carried = map_tree(lambda leaf: leaf[:_ROWS], state)
        share = border_share(model, some, carried)
        told += [] if share is None else [Watched("border", "", share)]
    units = gates(subject_of(model, some)).rows
    stuck: dict[str, float] = {}
    for row in units:
        if row.kind == "gate":  # one that stays open or shut may be just what is needed
            continue
        place = Key.of(row.key).where
        stuck[place] = max(stuck.get(place, 0.0), len(row.stuck) / max(row.units, 1))
    return units, told + [Watched("saturated", place, share) for place, share in stuck.items()]


def _large(rows: Sequence[Watched]) -> str:
    return _extreme(
        max((row for row in rows if row.measure == "update"), key=_value, default=None),
        lambda value: value > _LARGE,
        "they cannot settle. Try a smaller training.learning_rate, or a longer training.warmup.",
    )


def _silent(rows: Sequence[Watched]) -> list[str]:
    """Layers whose gradient was always exactly 0, or was not there, while others had one."""
    norms = {row.place: row.value for row in rows if row.measure == "gradient"}
    return [place for place, norm in norms.items() if norm == 0] if any(norms.values()) else []


def _small(rows: Sequence[Watched], silent: Sequence[str]) -> str:
    some = (row for row in rows if row.measure == "update" and row.place not in silent)
    return _extreme(
        min(some, key=_value, default=None),
        lambda value: value < _SMALL,
        "they stay where they began. Try a larger training.learning_rate, or look whether a "
        "gradient arrives there.",
    )


def _extreme(row: Watched | None, wrong: Any, advice: str) -> str:
    if row is None or not wrong(row.value):
        return ""
    return f"weights of {row.place} change by {row.value:.1g} of themselves a step: {advice}"


def _value(row: Watched) -> float:
    return row.value


def _saturated(units: Sequence[UnitsOf]) -> str:
    row = saturated(units)
    if row is None:
        return ""
    return (
        f"{row.at_ends}. Try inputs that are scaled to about 1, smaller starting weights, or a "
        "smaller training.learning_rate: saturated units hardly recover."
    )


def _border(rows: Sequence[Watched]) -> str:
    share = next((row.value for row in rows if row.measure == "border"), 0.0)
    if share < _BORDER:
        return ""
    return (
        f"{share:.2g} of the gradient in the middle of a window is left at its border, where it is "
        "cut. A longer training.window may help."
    )
