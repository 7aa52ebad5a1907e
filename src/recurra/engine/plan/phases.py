"""Plan how a step is run through time, forward and back: what is computed when, and what is kept.

A value is computed in one of seven phases. Before time come what all rows share and what each row
holds. Then three for the steps: *before* (needs no state: one large product over all steps),
*through* (on a path from one state to the next: step after step), *after* (needs states and feeds
nothing back: all steps at once again). After time come what is summed over steps for each row, and
what is summed over all rows. The gradient of a step is a step too, whose state is what comes back
from the step after it; so one rule divides both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from recurra.engine.graph.derive import derive
from recurra.engine.graph.values import HELD, SHARED, STEP, SUMS, Graph, Value
from recurra.engine.plan.min_cut import cut
from recurra.engine.plan.slots import COTANGENTS, Slot

__all__ = ["ONE_STEP", "PHASES", "CallKind", "Plan", "Sections", "plan", "sections"]

PHASES = ("shared", "held", "before", "through", "after", "held_after", "final")
"""In the order in which they are run."""


@dataclasses.dataclass(frozen=True)
class Sections:
    """Values by phase; each is computed once.

    Args:
        phases: values of each of ``PHASES``, in the order of the graph.
    """

    phases: Mapping[str, tuple[Value, ...]]

    def __getitem__(self, phase: str) -> tuple[Value, ...]:
        return self.phases[phase]

    def values(self) -> Iterator[Value]:
        """All of them, in the order in which they are computed."""
        for phase in PHASES:
            yield from self.phases[phase]

    def phase_of(self) -> dict[Value, str]:
        """Where each value is computed."""
        return {value: phase for phase, values in self.phases.items() for value in values}


def sections(
    outputs: Iterable[Value],
    given: Collection[Value],
    carried: Iterable[Value],
    into: Iterable[Value],
) -> Sections:
    """Divide what outputs need into phases.

    Args:
        outputs: what is wanted.
        given: values that are there already.
        carried: those among them that the step before leaves.
        into: values that the next step is given.
    """
    into = list(into)
    there = set(given)
    needed = _needed([*outputs, *into], there)
    # What hangs on a state, on a sum over steps, on a sum over rows.
    moving, late, finals = set(carried), set(), set()
    for value in needed:
        if any(read in moving for read in value.inputs) and value.span == STEP:
            moving.add(value)
        if value.op == "time_sum" or any(read in late for read in value.inputs):
            late.add(value)
        if value.op in SUMS - {"time_sum"} or any(read in finals for read in value.inputs):
            finals.add(value)
    back = set(_needed(into, there))
    found: dict[str, list[Value]] = {phase: [] for phase in PHASES}
    for value in needed:
        if value.op in SUMS:
            spans = max(read.span for read in value.inputs)
            phase = "after" if spans == STEP else "held_after" if spans == HELD else "final"
        elif value.span == SHARED:
            phase = "final" if value in finals else "shared"
        elif value.span == HELD:
            phase = "held_after" if value in late else "held"
        elif value not in moving:
            phase = "before"
        else:
            phase = "through" if value in back else "after"
        found[phase].append(value)
    return Sections({phase: tuple(values) for phase, values in found.items()})


def _needed(outputs: Iterable[Value], there: Collection[Value]) -> list[Value]:
    """What outputs need that is not there, in the order of the graph."""
    found: set[Value] = set()
    todo = [value for value in outputs if value not in there]
    while todo:
        value = todo.pop()
        if value not in found:
            found.add(value)
            todo += [read for read in value.inputs if read not in there]
    return sorted(found, key=lambda value: value.number)


class CallKind(NamedTuple):
    """What the programs for a call hang on, beside the step; by itself one step in inference.

    Args:
        wanted: slots of inputs whose gradients are wanted; None in inference.
        resets: whether rows are reset.
        return_states: whether the states after every step are wanted, with their gradients.
        strides: of the shared tensors.
        dtype: of all numbers.
    """

    wanted: tuple[Slot, ...] | None = None
    resets: bool = False
    return_states: bool = False
    strides: tuple[tuple[int, ...], ...] = ()
    dtype: torch.dtype = torch.float32


ONE_STEP = CallKind()


@dataclasses.dataclass(frozen=True)
class Plan:
    """A step, planned.

    Args:
        kind: for which calls.
        graph: of the step and, behind it, of its gradient.
        inputs: by :mod:`slot <recurra.engine.plan.slots>`.
        y: the output.
        states: the new state's leaves.
        forward: its phases.
        backward: those of the gradient; None for a plan without.
        saved: values of the forward phases that are kept for it.
        gradients: by the slot of an input, its gradient; those of states go to the step before.
    """

    kind: CallKind
    graph: Graph
    inputs: Mapping[Slot, Value]
    y: Value
    states: tuple[Value, ...]
    forward: Sections
    backward: Sections | None
    saved: tuple[Value, ...]
    gradients: Mapping[Slot, Value]


def plan(
    graph: Graph,
    inputs: Mapping[Slot, Value],
    y: Value,
    states: Sequence[Value],
    kind: CallKind = ONE_STEP,
) -> Plan:
    """Plan a graph.

    Args:
        graph: of a step; it grows.
        inputs: by slot.
        y: the output.
        states: the new state's leaves.
        kind: of the calls that it is for.
    """
    inputs = dict(inputs)
    gradients: dict[Slot, Value] = {}
    if kind.wanted is not None:
        gradients = _gradients(graph, inputs, y, states, kind.wanted, kind.return_states)
    graph, there_is = graph.without_routes()
    inputs = {name: there_is[value] for name, value in inputs.items()}
    gradients = {name: there_is[value] for name, value in gradients.items()}
    y, *states = (there_is[value] for value in (y, *states))
    carried = [inputs["state", index] for index in range(len(states))]
    given = {value for name, value in inputs.items() if name[0] not in COTANGENTS}
    forward = sections([y, *states], given, carried, states)
    backward, kept = None, list[Value]()
    if kind.wanted is not None:
        computed, free = set(forward.values()), given | {y, *states}
        saved = cut(computed, _uses(gradients.values(), computed, set(inputs.values())), free)
        there = set(inputs.values()) | saved | free
        back = [inputs["dstate", index] for index in range(len(states))]
        into = [gradients["state", index] for index in range(len(states))]
        rest = [value for name, value in gradients.items() if name[0] != "state"]
        backward = sections(rest, there, back, into)
        kept = sorted(saved - free, key=lambda value: value.number)
    return Plan(kind, graph, inputs, y, tuple(states), forward, backward, tuple(kept), gradients)


def _gradients(
    graph: Graph,
    inputs: dict[Slot, Value],
    y: Value,
    states: Sequence[Value],
    wanted: Iterable[Slot],
    return_states: bool,
) -> dict[Slot, Value]:
    """What comes back for states and wanted inputs; ``inputs`` grow by what comes in."""
    outputs: list[tuple[Slot, Value]] = [(("dstate", i), value) for i, value in enumerate(states)]
    outputs.append((("dy", 0), y))
    if return_states:
        outputs += [(("dstates", index), value) for index, value in enumerate(states)]
    cotangents: dict[Value, Value] = {}
    for name, value in outputs:  # a value that is several gets their sum
        given = inputs[name] = graph.input(name, value.shape, STEP)
        known = cotangents.get(value)
        cotangents[value] = given if known is None else graph.apply("add", known, given)
    names: list[Slot] = [("state", index) for index in range(len(states))]
    names += [name for name in wanted if name not in names]
    found = derive(graph, cotangents, [inputs[name] for name in names])
    gradients: dict[Slot, Value] = {}
    for name, gradient in zip(names, found, strict=True):
        if gradient is not None:
            gradients[name] = gradient
        elif name[0] == "state":
            gradients[name] = graph.full(0.0, inputs[name].shape, STEP)  # nothing hangs on it
    return gradients


def _uses(
    gradients: Collection[Value], computed: Collection[Value], inputs: Collection[Value]
) -> set[Value]:
    """What the gradient reads of all that the step computes."""
    backward = _needed(gradients, {*computed, *inputs})
    return {read for value in backward for read in value.inputs if read in computed} | {
        value for value in gradients if value in computed
    }
