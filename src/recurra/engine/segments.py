"""Time cut into segments: stretches in which the same rows are alive and none is reset.

Rows are sorted by length, so those alive at a step are the first n. Within a segment nothing about
lengths or resets is left to know, and a backend has one small thing to do: run n rows for some
steps. Between segments rows end (or, in reverse, begin) and states are reset. So finished rows cost
nothing, padding is never touched, and every backend treats lengths and resets alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call, Run, rows_in_order
from recurra.states import Tree, map_tree

__all__ = ["Segment", "Stretch", "run_segments", "segments"]


class Segment(NamedTuple):
    """Steps ``start`` to ``stop - 1`` of the first ``rows`` rows."""

    start: int
    stop: int
    rows: int


class Stretch(Protocol):
    """What a backend does: run whole rows for some steps, at least one, in a call's direction."""

    def __call__(
        self,
        inputs: Tree,
        state: Tree,
        context: Tree,
        noise: Noise | None,
        *,
        reverse: bool,
        return_states: bool,
    ) -> Run:
        """Run ``inputs`` ``[steps, rows, ...]`` from ``state``."""


def run_segments(cell: Cell, call: Call, stretch: Stretch, step: Stretch) -> Run:
    """Run a call segment by segment.

    Args:
        cell: gives the initial state for resets.
        call: what to run.
        stretch: the backend.
        step: the backend that is ``cell.step`` itself. It runs no rows at all where nothing is
            valid, which gives an empty result its shape and type and keeps it in the graph, so
            that gradients are zeros and not missing.
    """
    order = _order(call.lengths)
    if order is None:
        return _run_sorted(cell, call, stretch, step)
    run = _run_sorted(cell, rows_in_order(call, order), stretch, step)
    back = torch.argsort(order)
    return Run(
        run.outputs.index_select(1, back),
        states.select_rows(run.state, back),
        map_tree(lambda leaf: leaf.index_select(1, back), run.states),
    )


def segments(call: Call) -> Iterator[Segment]:
    """The segments of a call whose rows are sorted, in order of time; none without valid steps."""
    lengths = [call.time] * call.batch if call.lengths is None else call.lengths.tolist()
    end = max(lengths, default=0)
    cuts = {0, *lengths}
    if call.resets is not None:
        # Forward, a state is reset before the marked step; in reverse, after it. Either way it
        # happens between the marked step and the one before it in time.
        cuts.update(call.resets.any(1).nonzero().flatten().tolist())
    times = sorted(cut for cut in cuts if cut <= end)
    rows = len(lengths)
    for start, stop in itertools.pairwise(times):
        while lengths[rows - 1] <= start:
            rows -= 1
        yield Segment(start, stop, rows)


def _order(lengths: Tensor | None) -> Tensor | None:
    """Rows from longest to shortest, or None if they are so already."""
    if lengths is None or bool((lengths[1:] <= lengths[:-1]).all()):
        return None
    return torch.argsort(lengths, descending=True, stable=True)


def _run_sorted(cell: Cell, call: Call, stretch: Stretch, step: Stretch) -> Run:
    plan = list(segments(call))
    if not plan:
        return _join(call, [(Segment(0, 1, 0), _no_rows(call, step))], call.state)
    initial = None if call.resets is None else cell.initial_state(call.batch)
    state, runs = call.state, []
    for segment in reversed(plan) if call.reverse else plan:
        if not call.reverse:
            state = _reset(call, state, initial, segment.start)
        run = _run_rows(call, _part(call.inputs, segment), state, segment, stretch)
        state = _with_rows(state, run.state, segment.rows)
        if call.reverse:
            state = _reset(call, state, initial, segment.start)
        runs.append((segment, run))
    return _join(call, runs[::-1] if call.reverse else runs, state)


def _no_rows(call: Call, step: Stretch) -> Run:
    """One step of no rows: its result has the shape, the type and the graph of an empty one."""
    inputs = map_tree(lambda leaf: leaf[:, :0].sum(0, keepdim=True, dtype=leaf.dtype), call.inputs)
    noise = call.noise and Noise(
        map_tree(lambda leaf: leaf.new_zeros(1, 0, *leaf.shape[2:]), call.noise.step),
        map_tree(lambda leaf: leaf[:0], call.noise.held),
    )
    return step(
        inputs,
        map_tree(lambda leaf: leaf[:0], call.state),
        map_tree(lambda leaf: leaf[:0], call.context),
        noise,
        reverse=call.reverse,
        return_states=call.return_states,
    )


def _part(tree: Tree, segment: Segment) -> Tree:
    """A segment's steps and rows of ``[time, batch, ...]`` leaves."""
    return map_tree(lambda leaf: leaf[segment.start : segment.stop, : segment.rows], tree)


def _run_rows(call: Call, inputs: Tree, state: Tree, segment: Segment, stretch: Stretch) -> Run:
    """The backend on the rows of one segment."""

    def narrow(tree: Tree) -> Tree:
        whole = segment.rows == call.batch
        return tree if whole else map_tree(lambda leaf: leaf[: segment.rows], tree)

    noise = call.noise and Noise(_part(call.noise.step, segment), narrow(call.noise.held))
    return stretch(
        inputs,
        narrow(state),
        narrow(call.context),
        noise,
        reverse=call.reverse,
        return_states=call.return_states,
    )


def _with_rows(state: Tree, first: Tree, rows: int) -> Tree:
    """``state`` with its first rows replaced."""
    if next(states.leaves(state)).shape[0] == rows:
        return first
    return map_tree(lambda new, old: torch.cat([new, old[rows:]]), first, state)


def _reset(call: Call, state: Tree, initial: Tree, time: int) -> Tree:
    """``state`` with the rows that are reset at ``time`` put back to the initial one."""
    if call.resets is None or not bool(call.resets[time].any()):
        return state
    mask = call.resets[time]
    if call.lengths is not None:
        mask = mask & (call.lengths > time)
    return states.where(mask, initial, state)


def _join(call: Call, runs: list[tuple[Segment, Run]], state: Tree) -> Run:
    """Outputs and states of all segments as ``[time, batch, ...]``, zero where nothing ran."""

    def joined(parts: list[Tensor]) -> Tensor:
        wide = [
            part
            if part.shape[1] == call.batch
            else torch.cat([part, part.new_zeros(_size(part, 1, call.batch))], 1)
            for part in parts
        ]
        missing = call.time - sum(part.shape[0] for part in wide)
        if missing > 0:
            wide.append(wide[0].new_zeros(_size(wide[0], 0, missing + wide[0].shape[0])))
        whole = wide[0] if len(wide) == 1 else torch.cat(wide)
        return whole if missing >= 0 else whole[: call.time]

    outputs = joined([run.outputs for _, run in runs])
    if not call.return_states:
        return Run(outputs, state)
    every = [run.states for _, run in runs]
    return Run(outputs, state, map_tree(lambda *parts: joined(list(parts)), *every))


def _size(part: Tensor, axis: int, whole: int) -> list[int]:
    """The size of what must follow ``part`` along ``axis`` to make it ``whole`` long."""
    size = list(part.shape)
    size[axis] = whole - size[axis]
    return size
