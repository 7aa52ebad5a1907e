"""What is kept for the gradient, held to all subsets of small graphs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection

import pytest

from recurra.engine.graph.values import HELD, SHARED, STEP, Graph, Value
from recurra.engine.plan.min_cut import cut

MOST = 9  # values that are computed


def drawn(seed: int) -> tuple[set[Value], set[Value], set[Value]]:
    """What a random step computes, what the gradient reads of it, and what is there anyway."""
    chance, graph = random.Random(seed), Graph()
    inputs = [
        graph.input("x", (3,), STEP),
        graph.input("h", (3,), STEP),
        graph.input("c", (3,), HELD),
    ]
    weight = graph.input("w", (3, 3), SHARED)
    values, computed = [*inputs, graph.input("s", (3,), SHARED)], set[Value]()
    while len(computed) < MOST:
        a, b = chance.choice(values), chance.choice(values)
        made = chance.choice(
            [
                lambda a, b: graph.apply("tanh", a),
                lambda a, b: graph.apply("mul", a, b),
                lambda a, b: graph.apply("add", a, b),
                lambda a, b: graph.expand(graph.sum(a, [0]), (3,), a.span),
                lambda a, b: graph.concat([a, b], 0),
                lambda a, b: graph.linear(a, weight) if a.span else a,
            ]
        )
        if made.__code__.co_consts and a.shape != b.shape:
            continue
        if a.shape != (3,):
            continue
        value = made(a, b)
        computed.update(v for v in graph if v not in inputs and v.op not in ("input", "constant"))
        values.append(value)
    free = {*inputs, *chance.sample(sorted(computed, key=lambda v: v.number), 1)}
    uses = set(chance.sample(sorted(computed, key=lambda v: v.number), 4))
    return computed, uses, free


def cost(kept: Collection[Value], free: Collection[Value]) -> int:
    """Numbers that are kept: those of every step, and then those that each row has once."""
    paid = [value for value in kept if value not in free and value.span != SHARED]
    return sum((1024 if value.span == STEP else 1) * value.size for value in paid)


def again(
    kept: Collection[Value], computed: Collection[Value], uses: Collection[Value]
) -> set[Value] | None:
    """What has to be computed again; None where that is not allowed, or not possible."""
    found, todo = set[Value](), list(uses)
    while todo:
        value = todo.pop()
        if value in kept or value in found or value.span == SHARED:
            continue
        if value.op == "linear" or value not in computed:
            return None
        found.add(value)
        todo += value.inputs
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_fewest_numbers_are_kept_and_least_is_computed_again(seed: int) -> None:
    computed, uses, free = drawn(seed)
    found = cut(computed, uses, free)
    mine = again(found | free, computed, uses)
    assert mine is not None
    best: list[tuple[int, int]] = []
    paid = [value for value in computed if value not in free and value.span != SHARED]
    for size in range(len(paid) + 1):
        for kept in itertools.combinations(paid, size):
            rest = again({*kept, *free}, computed, uses)
            if rest is not None:
                best.append((cost(kept, free), len(rest)))
    assert (cost(found, free), len(mine)) == min(best)


def test_products_are_kept_and_what_follows_is_computed_again() -> None:
    graph = Graph()
    x, weight = graph.input("x", (3,), STEP), graph.input("w", (3, 5), SHARED)
    product = graph.linear(x, weight)
    squashed = graph.apply("tanh", product)
    halves = [graph.slice(squashed, 0, 0, 2), graph.slice(squashed, 0, 2, 5)]
    # Of two ways that cost as much, the one that computes less.
    assert cut({product, squashed, *halves}, set(halves), {x}) == set(halves)
    # Three numbers are fewer than five, and a number that each row has once hardly counts.
    total = graph.sum(graph.apply("exp", product), [0])
    assert cut({product, *total.inputs, total}, {total}, {x}) == {total}
    held = graph.input("c", (64,), HELD)
    many = graph.apply("exp", held)
    scaled = graph.apply("mul", graph.sum(graph.apply("tanh", x), [0]), many)
    computed = {many, scaled, *scaled.inputs, scaled.inputs[0].inputs[0]}
    assert cut(computed, {scaled}, {x}) - {x} == {many}


def test_what_is_there_anyway_costs_nothing() -> None:
    graph = Graph()
    x, weight = graph.input("x", (3,), STEP), graph.input("w", (3, 5), SHARED)
    product = graph.linear(x, weight)
    y = graph.apply("tanh", product)
    squared = graph.apply("mul", y, y)
    assert cut({product, y, squared}, {squared}, {x, y}) <= {y}
