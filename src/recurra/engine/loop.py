"""The backend ``loop``: call ``step`` again and again. It defines what all others must give."""

from __future__ import annotations

import torch

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Run
from recurra.engine.segments import Stretch
from recurra.states import Tree, leaves, map_tree

__all__ = ["loop"]


def loop(cell: Cell) -> Stretch:
    """How ``cell`` runs whole rows through time, one call of its step after another."""

    def stretch(
        inputs: Tree,
        state: Tree,
        context: Tree,
        noise: Noise | None,
        *,
        reverse: bool,
        return_states: bool,
    ) -> Run:
        steps = next(leaves(inputs)).shape[0]
        outputs, every = [], []
        for t in reversed(range(steps)) if reverse else range(steps):
            x = map_tree(lambda leaf, t=t: leaf[t], inputs)
            now = noise and Noise(map_tree(lambda leaf, t=t: leaf[t], noise.step), noise.held)
            y, state = cell.step(x, state, context, now)
            outputs.append(y)
            every.append(state)
        if reverse:
            outputs.reverse()
            every.reverse()
        return Run(torch.stack(outputs), state, states.stack(every) if return_states else None)

    return stretch
