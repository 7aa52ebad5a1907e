"""What gates and units do on a batch: open, shut, at their ends, or never moving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.columns import aligned
from recurra.diagnosis.subject import Subject, check_subject
from recurra.engine.keys import Key
from recurra.engine.probe import reading

__all__ = ["Gates", "UnitsOf", "gates", "saturated", "verb_of"]

_OPEN, _SHUT = 0.9, 0.1
_END = 0.97  # of the range of tanh: its slope is below 0.06
_MANY = 0.5  # of the units: saturated
_SAME = 1e-3
_STUCK = 0.95  # of the steps
_SMALL = 1e-6  # of what is typical: a unit that moves less is still
# With the state of its unit, by the labels that cells of the package give.
_VERBS = {
    "forget gate": "keeps",
    "input gate": "writes",
    "output gate": "shows",
    "update gate": "keeps",
    "reset gate": "reads of its past",
}


class UnitsOf(NamedTuple):
    """What the units of one value do.

    Args:
        key: of the value, as :func:`recurra.named_values` calls it.
        kind: ``"gate"``, ``"state"`` or ``"candidate"``.
        mean: over steps, rows and units.
        open: share of a gate's values above 0.9; of others the share near the end of their range.
        shut: share of a gate's values below 0.1; of others 0.
        stuck: units that are at an end of their range at 95 % of all steps, of gates and of what
            is the tanh of a value that is named; of others nothing is known.
        still: units that have the same value at every step of every row.
        units: how many there are.
        means: of each unit.
    """

    key: str
    kind: str
    mean: float
    open: float
    shut: float
    stuck: tuple[int, ...]
    still: tuple[int, ...]
    units: int
    means: tuple[float, ...] = ()

    @property
    def at_ends(self) -> str:
        """How many units are stuck, in words."""
        return (
            f"{len(self.stuck)} of {self.units} units of {self.key} are at an end of their range "
            "at nearly every step"
        )


class Gates(NamedTuple):
    """Of every cell what its gates, candidates and states do; ``print`` shows a table.

    Args:
        rows: one a value.
    """

    rows: tuple[UnitsOf, ...]

    def __str__(self) -> str:
        shown = [("value", "mean", "open or at its end", "shut", "stuck", "still", "units")]
        for row in self.rows:
            shut = f"{row.shut:.0%}" if row.kind == "gate" else ""
            counts = (f"{len(row.stuck)}", f"{len(row.still)}", f"{row.units}")
            shown.append((row.key, f"{row.mean:.3f}", f"{row.open:.0%}", shut, *counts))
        return aligned(shown, right=(1, 2, 3, 4, 5, 6))


def gates(subject: Subject) -> Gates:
    """Read them, in evaluation mode and without gradients.

    Args:
        subject: a model at work.
    """
    with check_subject(subject).asking(), torch.no_grad(), reading(subject.owner) as seen:
        ran = subject.run(subject.batch)
    return Gates(tuple(_rows(seen, ran.valid)))


def verb_of(label: str) -> str:
    """What a gate does when it is open, as a verb; the label itself of one that is not known.

    Args:
        label: as a step named it, such as ``"forget gate"``.
    """
    return _VERBS.get(label, label.removesuffix(" gate"))


def saturated(rows: Sequence[UnitsOf]) -> UnitsOf | None:
    """The first value most of whose units are stuck.

    No gate: one that stays open or shut may be just what is needed.
    """
    found = (row for row in rows if row.kind != "gate" and len(row.stuck) > _MANY * row.units)
    return next(found, None)


def _rows(seen: Mapping[Key, Tensor], valid: Tensor) -> list[UnitsOf]:
    found = []
    for key, value in seen.items():
        kind, vectors = _kind(key), value.dim() == 3 and value.shape[:2] == valid.shape
        if kind and vectors and value.is_floating_point():
            own = value[valid.to(value.device)].double()
            if own.numel():
                found.append(_of(str(key), kind, own, _is_tanh(key, value, seen)))
    return found


def _is_tanh(key: Key, value: Tensor, seen: Mapping[Key, Tensor]) -> bool:
    """Is a value the tanh of the pre-activation beside it?"""
    state = key.label.startswith("state.")
    label = "pre-activation" if state else f"{key.label} pre-activation"
    before = seen.get(key._replace(label=label))
    if before is None or before.shape != value.shape:
        return False
    return bool(((torch.tanh(before) - value).abs().amax() if value.numel() else 0) <= _SAME)


def _kind(key: Key) -> str:
    if key.name.endswith(" gate"):
        return "gate"
    if key.name.startswith("state."):
        return "state"
    return "candidate" if key.name == "candidate" else ""


def _of(key: str, kind: str, own: Tensor, bounded: bool) -> UnitsOf:
    """Of values ``[steps, units]``."""
    if kind == "gate":
        ends = (own > 1 - (1 - _END) / 2) | (own < (1 - _END) / 2)
        opened, shut = float((own > _OPEN).double().mean()), float((own < _SHUT).double().mean())
    else:
        ends = (own.abs() > _END) if bounded else torch.zeros_like(own, dtype=torch.bool)
        opened, shut = float(ends.double().mean()), 0.0
    stuck = (ends.double().mean(0) >= _STUCK).nonzero().flatten()
    typical = float(own.pow(2).mean().sqrt())
    moved = own.max(0).values - own.min(0).values
    alone = len(own) < 2  # of a single value nothing can be said
    still = (moved <= (-1.0 if alone else _SMALL * typical)).nonzero().flatten()
    return UnitsOf(
        key,
        kind,
        float(own.mean()),
        opened,
        shut,
        tuple(stuck.tolist()),
        tuple(still.tolist()),
        own.shape[1],
        tuple(own.mean(0).tolist()),
    )
