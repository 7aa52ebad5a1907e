"""Is a step a linear recurrence: element by element h_t = a_t h_{t-1} + b_t, a and b free of h?"""

from __future__ import annotations

from recurra.engine.graph.values import Value
from recurra.engine.plan.phases import Plan

__all__ = ["is_linear_recurrence"]

_BEYOND = 2  # the degree of what is not affine


def is_linear_recurrence(plan: Plan) -> bool:
    """Whether all that goes from state to state is elementwise, and affine in the state.

    Such a step (minGRU, a leaky integrator, a diagonal state-space model) has no product of
    matrices through time: all of its arithmetic is done for all steps at once, before and after.
    """
    through = plan.forward["through"]
    degrees: dict[Value, int] = {
        plan.inputs["state", place]: 1 for place in range(len(plan.states))
    }
    for value in through:
        degrees[value] = _degree(value, [degrees.get(read, 0) for read in value.inputs])
    return bool(through) and max(degrees.get(state, 0) for state in plan.states) < _BEYOND


def _degree(value: Value, read: list[int]) -> int:
    """Of the polynomial in the state that a value is."""
    match value.op:
        case "add" | "sub" | "neg":
            return max(read)
        case "mul":
            return sum(read)
        case "fma":
            return max(read[0] + read[1], read[2])
        case "div" | "where":  # by, and by the choice of, what hangs on no state
            fixed, moved = (read[1], read[:1]) if value.op == "div" else (read[0], read[1:])
            return _BEYOND if fixed else max(moved)
        case _:
            return _BEYOND if any(read) else 0
