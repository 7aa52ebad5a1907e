"""Two cells, one reading forward and one backward."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from recurra.cells.base import Cell
from recurra.errors import SettingError, ShapeError
from recurra.layers.base import Layer, LayerOutput
from recurra.layers.recurrent import Recurrent
from recurra.lengths import Marks, last_step
from recurra.states import Tree

__all__ = ["Bidirectional"]


class Ends(NamedTuple):
    """Where both directions ended; as a type of its own, so that it is not taken for a start.

    Args:
        ahead: at each row's own last step.
        behind: at its first.
    """

    ahead: Tree
    behind: Tree


class Bidirectional(Layer):
    r"""Two cells over the same rows (Schuster & Paliwal 1997), one forward and one backward.

    .. math::

        y_t = [\overrightarrow{y}_t ; \overleftarrow{y}_t] \quad\text{or}\quad
        y_t = \overrightarrow{y}_t + \overleftarrow{y}_t

    Args:
        forward_cell: reads each row from its first step.
        backward_cell: reads each row from its own last step; may be of another kind.
        merge: ``"concatenate"`` or ``"sum"``.

    Raises:
        SettingError: inputs (or, for a sum, outputs) of the two differ in width; an unknown merge.
    """

    def __init__(
        self,
        forward_cell: Cell,
        backward_cell: Cell,
        *,
        merge: Literal["concatenate", "sum"] = "concatenate",
    ) -> None:
        super().__init__()
        if merge not in ("concatenate", "sum"):
            raise SettingError(f"merge: expected 'concatenate' or 'sum', got {merge!r}")
        if forward_cell is backward_cell:
            raise SettingError(
                "Bidirectional: both directions are the same cell, so they would share weights. "
                "Pass two cells."
            )
        if forward_cell.input_size != backward_cell.input_size:
            raise SettingError(
                "Bidirectional: expected cells of one input_size, got "
                f"{forward_cell.input_size} and {backward_cell.input_size}"
            )
        sizes = forward_cell.output_size, backward_cell.output_size
        if merge == "sum" and sizes[0] != sizes[1]:
            raise SettingError(
                "Bidirectional: merge='sum' needs outputs of one size, got "
                f"{sizes[0]} and {sizes[1]}"
            )
        self.forward_layer = Recurrent(forward_cell)
        self.backward_layer = Recurrent(backward_cell, reverse=True)
        self.merge = merge
        self.input_size = forward_cell.input_size
        self.output_size = sum(sizes) if merge == "concatenate" else sizes[0]

    @property
    def causal(self) -> bool:
        """False: every output has read the whole row."""
        return False

    def initial_state(self, batch: int) -> Tree:
        """A pair, forward and backward."""
        return self.forward_layer.initial_state(batch), self.backward_layer.initial_state(batch)

    def check_start(self, state: Tree) -> None:
        """Take a pair of what the directions begin from, and nothing that an earlier call gave.

        Raises:
            ShapeError: something else.
        """
        if isinstance(state, Ends):
            raise ShapeError(
                "state: Bidirectional is not causal (it reads from the end), so there is no state "
                "to go on from. What an earlier call gave is where its directions ended; to begin "
                "from it, say so with a plain pair: tuple(state)."
            )
        if type(state) is not tuple or len(state) != 2:
            raise ShapeError(
                "state of Bidirectional: expected a pair, what the forward direction begins from "
                f"and what the backward one does, got {type(state).__name__}."
            )

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """Both directions over the same rows."""
        first, second = (None, None) if state is None else state
        ahead = self.forward_layer.through_time(inputs, marks, first, context)
        behind = self.backward_layer.through_time(inputs, marks, second, context)
        return LayerOutput(
            self._merged(ahead.outputs, behind.outputs),
            self._merged(ahead.last, behind.last),
            Ends(ahead.state, behind.state),
        )

    def _merged(self, ahead: Tensor, behind: Tensor) -> Tensor:
        return ahead + behind if self.merge == "sum" else torch.cat([ahead, behind], -1)

    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Each direction's part at its own last; of a sum, which has no parts, the last step."""
        if self.merge == "sum":
            return last_step(outputs, lengths)
        width = self.forward_layer.output_size
        return torch.cat(
            [
                self.forward_layer.read_last(outputs[..., :width], lengths),
                self.backward_layer.read_last(outputs[..., width:], lengths),
            ],
            -1,
        )

    def extra_repr(self) -> str:
        """How outputs are merged."""
        return f"merge={self.merge!r}"
