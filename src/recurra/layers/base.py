"""What a layer is: a recurrence over whole sequences, in one of three forms of input.

====================================================  ==========================================
what goes in                                          what comes out
====================================================  ==========================================
a tensor ``[time, batch, ...]``, perhaps ``lengths=``  a tensor ``[time, batch, output_size]``
a :class:`recurra.PaddedSequence`                      a PaddedSequence
a list of rows ``[time, ...]``                         a PaddedSequence
torch's PackedSequence, or a nested tensor             a PaddedSequence
====================================================  ==========================================
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra.cells.base import Cell
from recurra.engine.freeze import freeze, streamed
from recurra.engine.prepare import read_marks
from recurra.errors import SettingError, ShapeError
from recurra.lengths import Marks, common_sizes
from recurra.sequences import PaddedSequence
from recurra.states import Tree, first, leaves, map_tree
from recurra_runtime import Session

__all__ = ["Layer", "LayerOutput"]


class LayerOutput(NamedTuple):
    """What every layer and encoder returns.

    Args:
        outputs: y of every step, ``[time, batch, output_size]``, zero at padded steps; a
            PaddedSequence if the input was one.
        last: each row's output at its own last step, ``[batch, output_size]``, zero for an empty
            row. A layer that runs in reverse reads it at the row's first step, where it ends; a
            bidirectional one joins each direction's own last.
        state: what to pass to go on from here: a tree, tuple over layers, pair over directions.
    """

    outputs: Any
    last: Tensor
    state: Tree


class Layer(nn.Module, abc.ABC):
    """Base of all layers."""

    input_size: int | None
    output_size: int

    @property
    @abc.abstractmethod
    def causal(self) -> bool:
        """Whether an output depends on the past alone; only then can a state be carried on."""

    @abc.abstractmethod
    def initial_state(self, batch: int) -> Tree:
        """The state before the first step, for ``batch`` rows."""

    @abc.abstractmethod
    def through_time(
        self, inputs: Tree, marks: Marks | None, state: Tree, context: Tree
    ) -> LayerOutput:
        """Run over tensors ``[time, batch, ...]`` with checked lengths and resets, or with none."""

    @abc.abstractmethod
    def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Where :attr:`LayerOutput.last` is read in ``[time, batch, ...]``."""

    def forward(
        self,
        inputs: Any,
        state: Tree = None,
        context: Tree = None,
        lengths: Any = None,
        resets: Tensor | None = None,
    ) -> LayerOutput:
        """Run over a batch of sequences.

        Args:
            inputs: see :mod:`recurra.layers.base`; a named tuple of any of these for a cell that
                reads several things.
            state: what an earlier call returned; the initial state if None. A bidirectional layer
                cannot go on from an earlier call: for it, a pair of what each direction begins
                from, its own initial state where that is None.
            context: a named tuple of ``[batch, ...]`` tensors, offered to every cell.
            lengths: whole numbers ``[batch]``, beside tensors only.
            resets: bool ``[time, batch]``, True at the first step of a new sequence.

        Raises:
            ShapeError: something does not fit, lengths beside a PaddedSequence, or a state to go on
                from for a layer that is not causal.
        """
        if state is not None:
            self.check_start(state)
        values, marks, padded = self._read(inputs, lengths, resets)
        result = self.through_time(values, marks, state, context)
        if padded is None:
            return result
        return result._replace(outputs=padded._with(result.outputs))

    def _read(
        self, inputs: Any, lengths: Any, resets: Any
    ) -> tuple[Tree, Marks | None, PaddedSequence | None]:
        """Tensors, where rows end and begin in them, and the rows if they came as padded ones."""
        if isinstance(inputs, PackedSequence):
            inputs = PaddedSequence.from_packed(inputs)
        plain = type(inputs) is Tensor and inputs.dim() > 1 and not inputs.is_nested
        if plain and lengths is None and resets is None:
            return inputs, None, None
        values, lengths, padded = _parts(inputs, lengths)
        if lengths is None and resets is None:
            return values, None, None
        return values, read_marks(self, lengths, resets, first(values)), padded

    def check_start(self, state: Tree) -> None:
        """Refuse a state that this layer cannot begin from.

        Raises:
            ShapeError: the layer is not causal, so that nothing can be carried on.
        """
        if not self.causal:
            raise ShapeError(
                f"state: {type(self).__name__} is not causal (it reads from the end), so there is "
                "no state to go on from. Leave state out, or use a layer that runs forward only."
            )

    def frozen(self, batch: int = 1, context: Tree = None, weights: str | None = None) -> Session:
        """This layer as it is now, in evaluation, as a stream that runs without PyTorch.

        Args:
            batch: number of rows that step side by side.
            context: a named tuple of ``[batch, ...]`` tensors, for cells that read one.
            weights: how matrices are kept: None as they are, ``"bfloat16"`` or ``"int8"``, of which
                a step of few rows is faster; :class:`recurra_runtime.Session` says what they are.

        Returns:
            a :class:`recurra_runtime.Session`: ``session.step(x)`` reads ``[batch, input_size]``,
            gives y, and keeps the state. Weights that change later are not seen.

        Raises:
            SettingError: the layer is not causal; no rows, or no such weights.
            BackendError: its step cannot be recorded; the message says why.

        Example:
            >>> session = recurra.Recurrent(recurra.GRUCell(3, 4)).frozen()
            >>> session.step(numpy.zeros((1, 3), "float32")).shape
            (1, 4)
        """
        if not self.causal:
            raise SettingError(
                f"frozen: {type(self).__name__} is not causal (it reads from the end), so it "
                "cannot step. Use a layer that runs forward only."
            )

        reads = next((p for p in self.modules() if isinstance(p, Cell) and p.takes_context), None)
        if reads is not None and context is None:
            raise SettingError(
                f"frozen: {type(reads).__name__} reads a context: pass context=, a named tuple of "
                f"tensors [batch={batch}, ...]."
            )

        def step(x: Tree, state: Tree, context: Tree) -> tuple[Tensor, Tree]:
            one = map_tree(lambda leaf: leaf.unsqueeze(0), x)
            outputs, _, state = self.through_time(one, None, state, context)
            return outputs[0], state

        of_one = map_tree(lambda leaf: leaf[:1], context)
        program = freeze(self, step, _example(self), self.initial_state(1), of_one)
        held = [leaf.detach().numpy() for leaf in leaves(context)]
        return streamed(program, batch, held, weights=weights)


def _example(layer: nn.Module) -> Tree:
    """What a layer reads in one step of one row: what its first cell does, or numbers."""
    size = getattr(layer, "input_size", None)
    first = next((part for part in layer.modules() if isinstance(part, Cell)), None)
    step = None if first is None else first.example_input(1)
    plain = isinstance(step, Tensor) and step.dim() == 2 and step.is_floating_point()
    if step is not None and (size is None or not plain):
        return step
    like = next((p for p in layer.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(1, int(size or 1), dtype=like.dtype)


def _parts(inputs: Any, lengths: Any) -> tuple[Tree, Any, PaddedSequence | None]:
    """Tensors, their lengths, and the first of the parts if they came as padded rows."""
    inputs = map_tree(_as_sequence, inputs)
    parts: list[Any] = list(leaves(inputs))
    padded = [part for part in parts if isinstance(part, PaddedSequence)]
    if not padded:
        common_sizes(inputs, "inputs")
        return inputs, lengths, None
    if lengths is not None:
        raise ShapeError("lengths: given beside a PaddedSequence, which has its own; leave out.")
    lengths = padded[0].lengths
    if len(padded) < len(parts) or any(not part.lengths.equal(lengths) for part in padded[1:]):
        raise ShapeError("inputs: expected every part to be a PaddedSequence of the same lengths.")
    return map_tree(lambda part: part.values, inputs), lengths, padded[0]


def _as_sequence(part: Any) -> Any:
    """Lists of rows, arrays and nested tensors as what they stand for."""
    if isinstance(part, Tensor) and part.is_nested:
        return PaddedSequence.from_nested(part)
    if isinstance(part, list):
        return PaddedSequence.from_list(part)
    return torch.as_tensor(part) if isinstance(part, np.ndarray) else part
