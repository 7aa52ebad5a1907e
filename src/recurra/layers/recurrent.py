"""A cell through time."""

from __future__ import annotations

from torch import Tensor

from recurra.cells.base import Cell
from recurra.engine import BackendName, run
from recurra.engine.backends.choose import check_backend
from recurra.errors import SettingError, kind_of
from recurra.layers.base import Layer, LayerOutput
from recurra.lengths import Marks, last_step
from recurra.settings import check_flag, check_size
from recurra.states import Tree

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """Any cell through time.

    Args:
        cell: what one step is.
        reverse: run each row from its own last step to its first; outputs stay where their inputs
            are. Such a layer is not causal.
        backend: forces a backend of :func:`recurra.engine.run`; None chooses.
        checkpoint_every: keeps for the gradient only the state before every so many steps, for long
            sequences; None keeps every step.

    Raises:
        SettingError: something that is no cell, or no number of steps.
        BackendError: an unknown backend.

    Example:
        >>> layer = Recurrent(recurra.GRUCell(8, 16))
        >>> outputs, last, state = layer(torch.randn(5, 2, 8), lengths=[5, 3])
        >>> outputs.shape, last.shape, state.h.shape
        (torch.Size([5, 2, 16]), torch.Size([2, 16]), torch.Size([2, 16]))
    """

    def __init__(
        self,
        cell: Cell,
        *,
        reverse: bool = False,
        backend: BackendName | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(cell, Cell):
            raise SettingError(
                f"Recurrent: expected a recurra.Cell, got {kind_of(cell)}. A cell is what one step "
                "is, such as recurra.LSTMCell(8, 16) or a class with initial_state and step."
            )
        check_backend(backend)
        self.cell = cell
        self.reverse = check_flag("reverse", reverse)
        self.backend = backend
        self.checkpoint_every = (
            None if checkpoint_every is None else check_size("checkpoint_every", checkpoint_every)
        )
        self.input_size, self.output_size = cell.input_size, cell.output_size

    @property
    def causal(self) -> bool:
        """True unless it runs in reverse."""
        return not self.reverse

    def initial_state(self, batch: int) -> Tree:
        """The cell's."""
        return self.cell.initial_state(batch)

    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """One call to the engine."""
        outputs, state, _ = run(
            self.cell,
            inputs,
            state,
            lengths=marks,
            context=context,
            reverse=self.reverse,
            backend=self.backend,
            checkpoint_every=self.checkpoint_every,
        )
        return LayerOutput(outputs, self.read_last(outputs, marks and marks.lengths), state)

    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """At each row's own last step; in reverse at its first."""
        if not self.reverse:
            return last_step(outputs, lengths)
        return last_step(outputs[:1], None if lengths is None else lengths.clamp(max=1))

    def extra_repr(self) -> str:
        """What differs from a plain forward layer."""
        told = ["reverse=True"] if self.reverse else []
        if self.checkpoint_every is not None:
            told.append(f"checkpoint_every={self.checkpoint_every}")
        return ", ".join(told)
