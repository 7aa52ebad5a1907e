"""What a step must give: y for every row, and a state like the one it got."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra import states
from recurra.cells.base import Cell
from recurra.errors import ShapeError
from recurra.states import Tree

__all__ = ["check_step"]


def check_step(cell: Cell, result: Any, state: Tree, rows: int) -> None:
    """A step must give y for every row and a state like the one it got; looked at once a segment.

    Raises:
        ShapeError: it does not; the message says what was expected and what came.
    """
    name = type(cell).__name__
    if not isinstance(result, tuple) or len(result) != 2:
        raise ShapeError(f"{name}.step: expected (y, state), got {type(result).__name__}.")
    y, new = result
    if not isinstance(y, Tensor) or y.dim() < 1 or y.shape[0] != rows:
        got = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ShapeError(f"{name}.step: expected y [batch={rows}, ...], got {got}.")
    if y.dim() == 2 and y.shape[1] != cell.output_size:
        raise ShapeError(
            f"{name}.step: expected y [batch, {cell.output_size}], its output_size, got "
            f"{list(y.shape)}."
        )
    if type(new) is not type(state):
        raise ShapeError(
            f"{name}.step: expected a new state of type {type(state).__name__}, got "
            f"{type(new).__name__}."
        )
    advice = "A step returns a state like the one it gets."
    states.match(new, state, what=f"{name}.step: new state", advice=advice)
