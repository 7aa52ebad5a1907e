"""What is computed before, through and after time, held to what hangs on what."""

from __future__ import annotations

import random

import pytest

from recurra.engine.graph.values import HELD, SHARED, STEP, SUMS, Graph, Value
from recurra.engine.plan.phases import PHASES, CallKind, plan, sections


def hangs_on(value: Value, others: set[Value]) -> bool:
    """Is there a way from one of the others to a value?"""
    return value in others or any(hangs_on(read, others) for read in value.inputs)


def test_each_phase_has_what_belongs_to_it() -> None:
    graph = Graph()
    x, h = graph.input("x", (3,), STEP), graph.input("h", (3,), STEP)
    c, w = graph.input("c", (3,), HELD), graph.input("w", (3, 3), SHARED)
    shared = graph.apply("tanh", w)
    held = graph.apply("exp", c)
    before = graph.linear(x, shared)
    through = [graph.linear(h, shared)]
    through.append(graph.apply("add", before, through[0]))
    new = graph.apply("tanh", through[1])
    after = graph.apply("mul", new, held)
    unread = graph.apply("neg", new)
    over_steps = graph.time_sum(after)
    held_after = graph.apply("mul", over_steps, c)
    over_rows = graph.row_sum(held_after)
    over_all = graph.outer(x, after)
    final = [graph.apply("neg", over_rows), graph.apply("add", over_all, w)]
    found = sections([after, *final], {x, h, c, w}, [h], [new])
    assert {phase: set(found[phase]) for phase in PHASES} == {
        "shared": {shared},
        "held": {held},
        "before": {before},
        "through": {*through, new},
        "after": {after, over_steps, over_all},
        "held_after": {held_after, over_rows},
        "final": set(final),
    }
    assert unread not in set(found.values())


def drawn(seed: int) -> tuple[Graph, dict[str, Value], list[Value]]:
    """A random graph of a step, with sums over steps and rows."""
    chance, graph = random.Random(seed), Graph()
    given = {
        "x": graph.input("x", (2,), STEP),
        "h": graph.input("h", (2,), STEP),
        "c": graph.input("c", (2,), HELD),
        "w": graph.input("w", (2,), SHARED),
    }
    values = list(given.values())
    for _ in range(14):
        a, b = chance.choice(values), chance.choice(values)
        op = chance.choice(["tanh", "mul", "add", "mul", "add", "time_sum", "row_sum"])
        if op == "time_sum" and a.span == STEP:
            values.append(graph.time_sum(a))
        elif op == "row_sum" and a.span != SHARED:
            values.append(graph.row_sum(a))
        elif op == "tanh":
            values.append(graph.apply("tanh", a))
        elif op in ("mul", "add"):
            values.append(graph.apply(op, a, b))
    return graph, given, values[len(given) :]


def summed(value: Value) -> bool:
    """Does it hang on a sum, so that it waits for the end of all steps?"""
    return value.op in SUMS or any(summed(read) for read in value.inputs)


@pytest.mark.parametrize("seed", range(60))
def test_phases_are_told_by_what_hangs_on_what(seed: int) -> None:
    """By definition: what lies between one state and the next, and what has to wait."""
    _, given, values = drawn(seed)
    there, carried = set(given.values()), {given["h"]}
    steps = [value for value in values if value.span == STEP and not summed(value)]
    rest = [value for value in values if value not in steps and in_order(value)]
    into = steps[-1:]
    found = sections([*steps, *rest], there, carried, into)
    place = found.phase_of()
    assert set(place) == {value for value in [*steps, *rest] if value not in there}
    for value, phase in place.items():
        assert phase == expected(value, carried, into), str(value)
        for read in value.inputs:  # computed once, and when all that it reads is there
            if read not in there:
                assert PHASES.index(place[read]) <= PHASES.index(phase)


def in_order(value: Value) -> bool:
    """No step reads a sum over steps, and no row one over rows: there is none before the end."""
    if value.span == STEP:
        return not summed(value)
    if value.span == HELD and hangs_on_sum(value, "row_sum"):
        return False
    return all(in_order(read) for read in value.inputs)


def expected(value: Value, carried: set[Value], into: list[Value]) -> str:
    """The phase of a value, by what its class's page says."""
    spans = max(read.span for read in value.inputs)
    late = hangs_on_sum(value, "time_sum")
    if value.op in SUMS:
        return {STEP: "after", HELD: "held_after"}[spans]
    if value.span == SHARED:
        return "final" if summed(value) else "shared"
    if value.span == HELD:
        return "held_after" if late else "held"
    if not hangs_on(value, carried):
        return "before"
    return "through" if any(hangs_on(state, {value}) for state in into) else "after"


def hangs_on_sum(value: Value, op: str) -> bool:
    return value.op == op or any(hangs_on_sum(read, op) for read in value.inputs)


def test_a_plan_reads_of_forward_only_what_is_kept() -> None:
    """Whatever the gradient computes hangs on inputs, outputs, states and what is kept."""
    graph = Graph()
    x, h = graph.input(("x", 0), (3,), STEP), graph.input(("state", 0), (3,), STEP)
    w = graph.input(("shared", 0), (3, 3), SHARED)
    gate = graph.apply("sigmoid", graph.linear(x, w))
    new = graph.apply("tanh", graph.apply("mul", gate, graph.linear(h, w)))
    inputs = {("x", 0): x, ("state", 0): h, ("shared", 0): w}
    planned = plan(graph, inputs, new, [new], CallKind((("shared", 0),)))
    assert planned.backward is not None
    computed = set(planned.backward.values())
    there = {*planned.inputs.values(), *planned.saved, new}
    assert computed.isdisjoint(there)
    for value in computed:
        for read in value.inputs:
            assert read in computed or read in there or read.span == SHARED
    for place in ("before", "through", "after"):
        assert planned.forward[place] == tuple(
            value for value in planned.forward.values() if value in set(planned.forward[place])
        )
