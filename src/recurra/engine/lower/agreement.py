"""Proofs by numbers: a graph gives what the step gives, and has its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recurra import states
from recurra.engine.graph.derive import derive
from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.values import STEP, Value
from recurra.engine.lower.lowering import Lowered
from recurra.engine.record.tape import BATCHES, Recording, record
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree, map_tree

__all__ = ["check_gradients", "check_numbers", "check_rows", "drawn", "recorded_on_some", "unseen"]


@contextmanager
def unseen() -> Iterator[None]:
    """Nobody's hooks see what is saved for gradients, and no mode but torch's own is on.

    Activation checkpointing counts what is saved, and a recording is made once only. Inference mode
    shows whole operations in place of what they are made of; a recording is not of one mode.
    """
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda kept: kept)
    with torch.inference_mode(False), hooks:
        yield


_CORNERS = (0.0, 30.0, -30.0)
"""All numbers of the first rows: where functions have kinks, and where they are flat."""


def drawn(
    likes: Sequence[tuple[Tree, int]], batch: int, whole: tuple[int, int] = (0, 1)
) -> tuple[Tree, ...]:
    """Rows like those of trees, corners and random ones; nobody else's random numbers move.

    Args:
        likes: each with the number of axes that its leaves have before their features.
        batch: number of rows.
        whole: the first of the whole numbers that are drawn, and one behind the last.
    """
    generator = torch.Generator().manual_seed(batch)

    def draw(leaf: Tensor, lead: int) -> Tensor:
        shape = (batch, *leaf.shape[lead:])
        if leaf.dtype is torch.bool:
            return torch.rand(shape, generator=generator) < 0.5
        if not leaf.is_floating_point():
            return torch.randint(*whole, shape, dtype=leaf.dtype, generator=generator)
        rows = torch.rand(shape, dtype=leaf.dtype, generator=generator) + 0.5
        for row, number in zip(rows, _CORNERS, strict=False):
            row.fill_(number)
        return rows

    return tuple(map_tree(lambda leaf, lead=lead: draw(leaf, lead), tree) for tree, lead in likes)


# Whole numbers may be numbers of rows of a small table, or how many steps of a memory there are: of
# no memory all is NaN, and shows nothing.
_WHOLE = ((1, 4), (0, 2), (0, 1))


def recorded_on_some(
    step: Any, likes: Sequence[tuple[Tree, int]]
) -> tuple[Recording, Callable[[int], Tree]]:
    """Record a step on made-up rows, and give the function that makes them.

    Raises:
        Unrecordable: it cannot be done.
    """
    whole = any(
        not (leaf.is_floating_point() or leaf.dtype is torch.bool)
        for tree, _ in likes
        for leaf in states.leaves(tree)
    )
    failed: Unrecordable | None = None
    for bounds in _WHOLE if whole else _WHOLE[-1:]:
        example = partial(drawn, likes, whole=bounds)
        try:
            return record(step, example), example
        except Unrecordable as problem:  # it may be these numbers that it does not take
            failed = problem
    assert failed is not None
    raise failed


def check_numbers(step: Any, example: Any, lowered: Lowered) -> None:
    """The graph must give what the step gives: what no rule foresaw shows here."""
    given = example(BATCHES[0])
    with torch.no_grad():
        result = step(*given)
        shared = lowered.shared.tensors({})
        found = _found(lowered.graph.inputs(), states.leaves(given), shared, lowered.dtype)
        found = evaluate(lowered.graph, found, BATCHES[0])
    for value, expected in zip(lowered.outputs, states.leaves(result), strict=True):
        got = found[value.number].reshape(expected.shape)
        expected = expected.to(got.dtype)
        if not _near(got, expected, _scales(expected)):
            raise Unrecordable(
                "the recorded step gives other numbers than the step itself; write what it does "
                "with operations of torch alone"
            )


def _found(
    inputs: Mapping[Any, Value],
    leaves: Sequence[Tensor],
    shared: Sequence[Tensor],
    dtype: torch.dtype,
) -> dict[int, Tensor]:
    """What is given and what is shared, by the numbers of a graph's inputs."""
    there = {"given": leaves, "shared": shared}
    return {v.number: there[kind][i].detach().to(dtype) for (kind, i), v in inputs.items()}


def check_rows(step: Any, example: Any) -> None:
    """A row must have the same result alone and among many: nothing may hang on their number.

    Raises:
        Unrecordable: it has not, or the step fails on as many.
    """
    given = example(BATCHES[0])
    with torch.no_grad():
        expected = states.leaves(step(*given))
        for rows in (slice(_ALONE, _ALONE + 1), _MANY):
            some = map_tree(lambda leaf, rows=rows: leaf[rows].clone(), given)
            count = states.leaves(some)[0].shape[0]
            try:
                found = states.leaves(step(*some))
            except (RuntimeError, ValueError, TypeError, IndexError) as problem:
                raise Unrecordable(
                    f"the step fails on {count} rows: {problem}; let it take any number of them"
                ) from problem
            for got, leaf in zip(found, expected, strict=True):
                like = leaf[rows]
                if got.shape != like.shape or not _near(got, like, _scales(leaf)[rows]):
                    raise Unrecordable(
                        f"the step gives a row other numbers among {count} rows than among "
                        f"{len(leaf)}; let nothing hang on how many there are"
                    )


# Rows without corners, whose results could be noise: one, and some again and again.
_ALONE, _MANY = 5, torch.arange(len(_CORNERS), BATCHES[0]).repeat(7)


def _scales(expected: Tensor) -> Tensor:
    """The scale of each row: of corners their own, of others no less than the usual one.

    A number that cancels to nearly nothing is the rounding of what it is a sum of.
    """
    rows = expected.double().nan_to_num(0, 0, 0).abs().reshape(len(expected), -1).amax(1)
    usual = rows[len(_CORNERS) :]
    usual.clamp_(min=usual.median())
    return rows.reshape(-1, *(1,) * (expected.dim() - 1)) + 1e-30


def _near(got: Tensor, expected: Tensor, scale: Tensor) -> bool:
    """Equal, of a scale; NaN and infinity too."""
    bound = 1e-4 if expected.dtype is torch.float32 else 1e-10
    got, expected = got.double(), expected.double()
    both = (got - expected).abs() <= bound * (scale + expected.abs())
    alike = (got == expected) | (got.isnan() & expected.isnan())
    return bool((alike | (both & expected.isfinite())).all())


def check_gradients(
    step: Any, example: Any, lowered: Lowered, replace: Mapping[int, Tensor]
) -> None:
    """Check the graph's gradients against the step's: functions and hooks may have their own.

    Raises:
        Unrecordable: they differ.
    """
    with unseen(), torch.enable_grad():
        given = map_tree(
            lambda leaf: leaf.requires_grad_(leaf.is_floating_point()), example(BATCHES[0])
        )
        leaves = states.leaves(given)
        results = states.leaves(step(*given))
        generator = torch.Generator().manual_seed(0)
        weights = [torch.rand(r.shape, dtype=lowered.dtype, generator=generator) for r in results]
        there = {**lowered.shared.own, **replace}
        own = [tensor for tensor in there.values() if tensor.requires_grad]
        sources = [leaf for leaf in leaves if leaf.requires_grad]
        pairs = [pair for pair in zip(results, weights, strict=True) if pair[0].requires_grad]
        expected = _pulled_back(pairs, [*sources, *own])
        shared = lowered.shared.tensors(replace)
    of_given, of_shared = _derived(lowered, leaves, shared, weights)
    got = [g for g, leaf in zip(of_given, leaves, strict=True) if leaf.requires_grad]
    if own:
        back = zip(shared, of_shared, strict=True)
        through = [(t, g) for t, g in back if t.requires_grad and g is not None]
        with unseen():
            got += _pulled_back(through, own) if through else [None] * len(own)
    scale = _largest(expected)
    for ours, theirs in zip(got, expected, strict=True):
        if not _close(ours, theirs, scale):
            raise Unrecordable(
                "the recorded step has other gradients than the step itself: a function or a hook "
                "in it has a gradient of its own; write that by operations, y + (z - y).detach()"
            )


def _derived(
    lowered: Lowered, leaves: Sequence[Tensor], shared: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """The derived gradients of what is given and of what is shared, for weights of the results."""
    graph, copies = lowered.graph.rewritten(lambda graph, value, reads: None)
    inputs = graph.inputs()
    found = _found(inputs, leaves, shared, lowered.dtype)
    outputs = [copies[value] for value in lowered.outputs]
    cotangents: dict[Value, Value] = {}
    comings = zip(outputs, weights, lowered.kinds, strict=True)
    for index, (output, weight, kind) in enumerate(comings):
        if not kind.is_floating_point:
            continue
        comes = graph.input(("comes", index), output.shape, STEP)
        found[comes.number] = weight.detach().reshape(BATCHES[0], *output.shape)
        known = cotangents.get(output)
        cotangents[output] = comes if known is None else graph.apply("add", known, comes)
    gradients = dict(zip(inputs, derive(graph, cotangents, list(inputs.values())), strict=True))
    with torch.no_grad():
        found = evaluate(graph.values, found, BATCHES[0])

    def of(kind: str, count: int) -> list[Tensor | None]:
        values = [gradients.get((kind, index)) for index in range(count)]
        return [None if value is None else found[value.number] for value in values]

    return of("given", len(leaves)), of("shared", len(shared))


def _pulled_back(
    pairs: Sequence[tuple[Tensor, Tensor]], sources: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Gradients of sources for what comes in for results.

    By way of one number: torch's own way for several imports its symbolic shapes, in seconds.
    """
    if not pairs or not sources:
        return [None] * len(sources)
    total = torch.stack([(result * comes).sum() for result, comes in pairs]).sum()
    return torch.autograd.grad(total, sources, allow_unused=True)


def _largest(gradients: Sequence[Tensor | None]) -> float:
    """The scale of all: what cancels to nothing is noise of the others."""
    finite = (g.nan_to_num(0, 0, 0) for g in gradients if g is not None)
    return max((float(g.abs().max()) for g in finite), default=0.0)


def _close(a: Tensor | None, b: Tensor | None, scale: float) -> bool:
    """Equal to rounding, None being zero."""
    if a is None or b is None:
        rest = b if a is None else a
        return rest is None or not bool((rest.nan_to_num().abs() > 1e-3 * scale).any())
    bound = 1e-3 if b.dtype is torch.float32 else 1e-6  # torch's own constants are floats
    return torch.allclose(a.reshape(b.shape), b, rtol=bound, atol=bound * scale, equal_nan=True)
