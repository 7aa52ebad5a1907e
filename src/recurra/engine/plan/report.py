"""A planned step in words: its phases, what is kept for the gradient, and what a step costs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable

from recurra.engine.graph.values import HELD, MOVES, SHARED, STEP, SUMS, Value
from recurra.engine.plan.linear import is_linear_recurrence
from recurra.engine.plan.phases import Plan, Sections

__all__ = ["PlanReport", "report"]

_SHOWN = {
    "shared": "once a call",
    "held": "once a row",
    "before": "before time",
    "through": "through time",
    "after": "after time",
    "held_after": "once a row, at the end",
    "final": "once a call, at the end",
}


@dataclasses.dataclass(frozen=True)
class PlanReport:
    """What is computed when, kept and paid.

    Args:
        forward: instructions of each phase, in words, by the phase's name.
        backward: those of the gradient; empty where none is wanted.
        saved: what is kept of each step for the gradient, beside inputs, outputs and states.
        recomputed: what the gradient computes again.
        saved_bytes: of what is kept, for one row and step; states that are no outputs count.
        operations: additions, multiplications and functions of one row and step, forward.
        gradient_operations: those of the gradient.
        linear: whether the step is a linear recurrence, element by element.
    """

    forward: dict[str, str]
    backward: dict[str, str]
    saved: str
    recomputed: str
    saved_bytes: int
    operations: int
    gradient_operations: int
    linear: bool = False

    def __str__(self) -> str:
        lines = _phases("forward", self.forward) + _phases("gradient", self.backward)
        if self.backward:
            lines.append(f"kept for the gradient: {self.saved}")
            lines.append(f"computed again: {self.recomputed}")
        if self.linear:
            lines.append("a linear recurrence: through time each state is a h + b, by elements")
        cost = f"{self.operations:,} operations forward"
        if self.backward:
            cost += (
                f", {self.gradient_operations:,} for the gradient, {self.saved_bytes:,} bytes kept"
            )
        return "\n".join([*lines, f"a row and step: {cost}"])


def report(plan: Plan, itemsize: int) -> PlanReport:
    """Describe a plan.

    Args:
        plan: of a step.
        itemsize: bytes of a number.
    """
    forward = set(plan.forward.values())
    backward = set() if plan.backward is None else set(plan.backward.values())
    states = [value for value in plan.states if value is not plan.y]
    kept = [value for value in plan.saved if value.span == STEP]
    count = sum(value.size for value in [*kept, *states]) if plan.backward is not None else 0
    return PlanReport(
        _words(plan.forward),
        {} if plan.backward is None else _words(plan.backward),
        _list(plan.saved),
        _list(value for value in forward & backward if value.op not in MOVES),
        count * itemsize,
        _operations(forward),
        _operations(backward),
        is_linear_recurrence(plan),
    )


def _phases(title: str, phases: dict[str, str]) -> list[str]:
    width = max(map(len, _SHOWN.values()))
    width += len("gradient, ")
    return [f"{f'{title}, {_SHOWN[name]}':<{width}}  {told}" for name, told in phases.items()]


def _words(sections: Sections) -> dict[str, str]:
    return {
        phase: _list(value for value in values if value.op not in MOVES)
        for phase, values in sections.phases.items()
        if any(value.op not in MOVES for value in values) or phase == "through"
    }


def _list(values: Iterable[Value]) -> str:
    """Instructions with the sizes of their results, equal ones counted."""
    ordered = sorted(values, key=lambda value: value.number)
    counts = Counter(_word(value) for value in ordered)
    told = [f"{count} x {word}" if count > 1 else word for word, count in counts.items()]
    return ", ".join(told) or "nothing"


def _word(value: Value) -> str:
    if value.op == "linear":
        return f"linear {value.inputs[1].shape[0]} to {value.inputs[1].shape[1]}"
    if value.op == "matmul":
        (*_, height, depth), (*_, width) = value.inputs[0].shape, value.shape
        return f"matmul {height} by {depth} by {width}"
    size = " by ".join(map(str, value.shape)) or "1"
    return f"{value.op} [{size}]"


def _operations(values: Collection[Value]) -> int:
    """Of one row in one step: what is done once a call or a row is not counted."""
    return sum(value.operations for value in values if _stepped(value))


def _stepped(value: Value) -> bool:
    spans = [value.span, *(read.span for read in value.inputs)]
    return (max(spans) if value.op in SUMS else value.span) not in (SHARED, HELD)
