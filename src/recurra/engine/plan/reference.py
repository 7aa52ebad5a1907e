"""Run a plan step by step in plain torch: what the machine's programs must give."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.values import STEP
from recurra.engine.plan.phases import Plan
from recurra.engine.plan.slots import Slot

__all__ = ["through_time"]


def through_time(
    plan: Plan,
    time: int,
    batch: int,
    lengths: Tensor | None,
    reverse: bool,
    given: Mapping[Slot, Tensor],
) -> tuple[Tensor, ...]:
    """Run a plan's forward instructions step by step, differentiably.

    Args:
        plan: what to run.
        time: number of steps.
        batch: number of rows.
        lengths: of the rows, or None.
        reverse: the direction.
        given: tensors by slot; what states begin with as ``("from", i)``.

    Returns:
        y, the states at the end, and the states after every step if they are wanted.
    """
    values = sorted(plan.forward.values(), key=lambda value: value.number)
    alive = None
    if lengths is not None:
        alive = torch.arange(time, device=lengths.device)[:, None] < lengths

    def valid(tensor: Tensor) -> Tensor:
        """Zero behind the end of a row, whatever stands there."""
        if alive is None:
            return tensor
        return torch.where(alive.view(time, batch, *(1,) * (tensor.dim() - 2)), tensor, 0.0)

    read = [(v, given[n]) for n, v in plan.inputs.items() if n in given and n[0] != "state"]
    stepped = {value.number: valid(tensor) for value, tensor in read if value.span == STEP}
    constant = {value.number: tensor for value, tensor in read if value.span != STEP}
    state = [given["from", index] for index in range(len(plan.states))]
    ys: list[Tensor] = []
    every: list[list[Tensor]] = []
    for t in reversed(range(time)) if reverse else range(time):
        now = {number: tensor[t] for number, tensor in stepped.items()} | constant
        now |= {plan.inputs["state", i].number: leaf for i, leaf in enumerate(state)}
        found = evaluate(values, now, batch)
        new = [found[value.number] for value in plan.states]
        y = found[plan.y.number]
        if alive is not None:
            y = _kept(alive[t], y, torch.zeros_like(y))
            new = [_kept(alive[t], a, b) for a, b in zip(new, state, strict=True)]
        state = new
        ys.append(y)
        every.append(new)
    if reverse:
        ys.reverse()
        every.reverse()
    result = (torch.stack(ys), *state)
    if plan.kind.return_states:
        result += tuple(valid(torch.stack(leaves)) for leaves in zip(*every, strict=True))
    return result


def _kept(alive: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` in the rows that are alive, ``old`` in the others."""
    return torch.where(alive.view(-1, *(1,) * (new.dim() - 1)), new, old)
