"""Time cut into segments: stretches in which the same rows are alive and none is reset.

Rows are sorted by length, so those alive at a step are the first n. Within a segment nothing about
lengths or resets is left to know, and a backend has one small thing to do: run n rows for some
steps. Between segments rows end (or, in reverse, begin) and states are reset. So finished rows cost
nothing, padding is never touched, and every backend that uses this treats lengths and resets alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Noise
from recurra.engine.call import Call, Run, rows_in_order
from recurra.engine.torch_internals import apart, dispatch_modes, tracing, transformed
from recurra.states import Tree, map_tree

__all__ = ["RunRows", "Segment", "parts_of", "run_segments", "segments"]


class Segment(NamedTuple):
    """Steps ``start`` to ``stop - 1`` of the first ``rows`` rows."""

    start: int
    stop: int
    rows: int


RunRows = Callable[[Call], Run]
"""Runs a call of at least one step, whose rows are whole and reset nowhere."""


def run_segments(call: Call, run_rows: RunRows, step: RunRows) -> Run:
    """Run a call segment by segment.

    Args:
        call: what to run.
        run_rows: how a backend runs whole rows.
        step: how ``cell.step`` itself runs them. It runs no rows at all where nothing is valid,
            which gives an empty result its shape and type and keeps it in the graph, so that
            gradients are zeros and not missing.
    """
    order = _order(call.lengths)
    if order is None:
        return _run_sorted(call, run_rows, step)
    run = _run_sorted(rows_in_order(call, order), run_rows, step)
    back = torch.argsort(order)
    return Run(
        run.outputs.index_select(1, back),
        states.select_rows(run.state, back),
        map_tree(lambda leaf: leaf.index_select(1, back), run.states),
    )


def segments(call: Call) -> Iterator[Segment]:
    """The segments of a call whose rows are sorted, in order of time; none without valid steps."""
    if call.lengths is None and call.resets is None:
        # Sizes stay as they are: in torch.export they may be symbols.
        if call.time and call.batch:
            yield Segment(0, call.time, call.batch)
        return
    lengths = [call.time] * call.batch if call.lengths is None else call.lengths.tolist()
    cuts = {0, *lengths}
    if call.resets is not None:
        # Forward, a state is reset before the marked step; in reverse, after it. Either way it
        # happens between the marked step and the one before it in time.
        cuts.update(call.resets.any(1).nonzero().flatten().tolist())
    rows = len(lengths)
    for start, stop in itertools.pairwise(sorted(cuts)):
        while lengths[rows - 1] <= start:
            rows -= 1
        yield Segment(start, stop, rows)


def _order(lengths: Tensor | None) -> Tensor | None:
    """Rows from longest to shortest, or None if they are so already."""
    if lengths is None or bool((lengths[1:] <= lengths[:-1]).all()):
        return None
    return torch.argsort(lengths, descending=True, stable=True)


def _run_sorted(call: Call, run_rows: RunRows, step: RunRows) -> Run:
    plan = list(segments(call))
    if not plan:
        run = step(_no_rows(call))
        return _joined(call, [run], _with_first_rows(call.state, run.state))
    whole = call.lengths is None and call.resets is None
    parts = list(zip(plan, [call] if whole else parts_of(call, plan), strict=True))
    state, runs = call.state, []
    for segment, part in reversed(parts) if call.reverse else parts:
        if not call.reverse:
            state = _reset(call, state, segment.start)
        run = run_rows(call if whole else part._replace(state=_first_rows(state, segment.rows)))
        state = _with_first_rows(state, run.state)
        if call.reverse:
            state = _reset(call, state, segment.start)
        runs.append(run)
    return _kept_apart(_joined(call, runs[::-1] if call.reverse else runs, state))


def _kept_apart(result: Run) -> Run:
    """A result that may be changed: a kernel or a step may read for the gradient what it gave."""
    if not torch.is_grad_enabled() or tracing() or transformed() or dispatch_modes() != 0:
        return result
    return result._replace(outputs=apart(result.outputs), state=map_tree(apart, result.state))


def _no_rows(call: Call) -> Call:
    """One step of no rows: its result has the shape, the type and the graph of an empty one."""
    noise = call.noise
    if noise is not None:
        blank = map_tree(lambda leaf: leaf.new_zeros(1, 0, *leaf.shape[2:]), noise.step)
        noise = Noise(blank, noise.held)
    inputs = map_tree(lambda leaf: leaf[:, :0].sum(0, keepdim=True, dtype=leaf.dtype), call.inputs)
    (part,) = parts_of(call._replace(inputs=inputs, noise=noise), [Segment(0, 1, 0)])
    return part._replace(state=_first_rows(call.state, 0))


def parts_of(call: Call, plan: list[Segment]) -> list[Call]:
    """Segments of a call whose rows are whole and reset nowhere; others fill in their states.

    All are cut at once, so that their gradients are joined at once.
    """
    inputs, draws = _cut(call.inputs, plan), _cut(call.noise and call.noise.step, plan)
    return [
        call._replace(
            inputs=x,
            lengths=None,
            context=_first_rows(call.context, rows),
            noise=call.noise and Noise(draw, _first_rows(call.noise.held, rows)),
            resets=None,
            checkpoint_every=None,
            time=stop - start,
            batch=rows,
        )
        for (start, stop, rows), x, draw in zip(plan, inputs, draws, strict=True)
    ]


def _cut(tree: Tree, plan: list[Segment]) -> list[Tree]:
    """``[time, batch, ...]`` leaves as one tree for each segment."""
    sizes = [segment.stop - segment.start for segment in plan]
    whole = map_tree(lambda leaf: _first(leaf, 0, plan[-1].stop), tree)
    trees = states.split(whole, sizes) or [tree] * len(plan)
    return [
        map_tree(lambda leaf, rows=segment.rows: _first(leaf, 1, rows), part)
        for segment, part in zip(plan, trees, strict=True)
    ]


def _first(leaf: Tensor, axis: int, size: int) -> Tensor:
    """The first part along an axis; the whole costs nothing, its gradient neither."""
    return leaf if leaf.shape[axis] == size else leaf.narrow(axis, 0, size)


def _first_rows(tree: Tree, rows: int) -> Tree:
    return map_tree(lambda leaf: _first(leaf, 0, rows), tree)


def _with_first_rows(state: Tree, given: Tree) -> Tree:
    """``state`` with its first rows replaced, in its own types."""

    def replaced(old: Tensor, new: Tensor) -> Tensor:
        new = new.to(old.dtype)
        rows = new.shape[0]  # len() would make a number of a symbol
        return new if rows == old.shape[0] else torch.cat([new, old[rows:]])

    return map_tree(replaced, state, given)


def _reset(call: Call, state: Tree, time: int) -> Tree:
    """``state`` with the rows that are reset at ``time`` put back to the initial one."""
    if call.resets is None:
        return state
    return states.where(call.resets[time], call.initial, state)


def _joined(call: Call, runs: list[Run], state: Tree) -> Run:
    """Outputs and states of all segments as ``[time, batch, ...]``, zero where nothing ran."""

    def joined(parts: list[Tensor]) -> Tensor:
        wide = [_grown(part, 1, call.batch) for part in parts]
        whole = wide[0] if len(wide) == 1 else torch.cat(wide)
        # Where nothing was valid, one step of no rows stands for all of time.
        return _first(_grown(whole, 0, call.time), 0, call.time)

    outputs = joined([run.outputs for run in runs])
    every = None
    if call.return_states:
        every = map_tree(lambda *parts: joined(list(parts)), *(run.states for run in runs))
    return Run(outputs, state, every)


def _grown(part: Tensor, axis: int, size: int) -> Tensor:
    """``part`` with zeros behind it along ``axis`` up to ``size``."""
    missing = size - part.shape[axis]
    if missing <= 0:
        return part
    shape = list(part.shape)
    shape[axis] = missing
    return torch.cat([part, part.new_zeros(shape)], axis)
