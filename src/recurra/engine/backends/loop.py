"""The backend ``loop``: call ``step`` again and again. It defines what all others must give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.backends.segments import RunRows, run_segments
from recurra.engine.call import Backend, Call, Run
from recurra.engine.record.contract import check_step
from recurra.errors import ShapeError
from recurra.states import Tree

__all__ = ["LOOP", "steps_of"]


def steps_of(cell: Cell) -> RunRows:
    """How ``cell`` runs whole rows, one call of its step after another."""

    def run_rows(call: Call) -> Run:
        xs = states.unstack(call.inputs)
        state, noise, rows = call.state, call.noise, call.batch
        # A tree of noise may be empty, as of a wrapper whose rates are all 0.
        draws = (noise and states.unstack(noise.step)) or [noise and noise.step] * len(xs)
        outputs: list[Tensor] = []
        every: list[Tree] = []
        step = _reading(cell) if isinstance(call.inputs, tuple) else cell.step
        for t in reversed(range(len(xs))) if call.reverse else range(len(xs)):
            now = noise and Noise(draws[t], noise.held)
            result = step(xs[t], state, call.context, now)
            if not outputs:
                check_step(cell, result, state, rows)
            y, state = result
            outputs.append(y)
            if call.return_states:
                every.append(state)
        if call.reverse:
            outputs.reverse()
            every.reverse()
        return Run(
            torch.stack(outputs),
            state,
            states.stack(every) if call.return_states else None,
        )

    return run_rows


def _reading(cell: Cell) -> Callable[..., Any]:
    """The step of a cell that gets a tuple, and says so if one tensor is what it reads."""

    def step(*given: Any) -> Any:
        try:
            return cell.step(*given)
        except (AttributeError, TypeError) as problem:
            if isinstance(cell.example_input(1), tuple):
                raise
            raise ShapeError(
                f"inputs of {type(cell).__name__}: got a {type(given[0]).__name__}, which its step "
                f"cannot read ({problem}). A cell that reads a tuple says so in example_input."
            ) from problem

    return step


def _offer(cell: Cell, call: Call) -> Callable[[], Run]:
    step = steps_of(cell)
    return lambda: run_segments(call, step, step)


LOOP = Backend("loop", _offer)
