"""What one step of training reads: inputs, targets, and what belongs to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ShapeError
from recurra.sequences import PaddedSequence
from recurra.states import Tree, rebuild

__all__ = ["Batch", "Tokens"]


class Tokens(NamedTuple):
    """Symbols, and what is given beside each of them: a topic, an author.

    Args:
        ids: ``[time, batch]``, a tensor or a PaddedSequence.
        given: ids ``[time, batch, conditions]``, of the same kind.
    """

    ids: Any
    given: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Named inputs and targets of one step of training.

    Args:
        inputs: what a model's encoder reads: a sequence, a tensor or a tuple of them.
        targets: what its head is scored against.
        resets: ``[time, batch]``, True at the first step of a new document, or None.
        context: what belongs to a row and does not change over time, ``[batch, ...]``, or None.
        input_axis: which axis of the inputs counts rows where they are tensors: 1 in ``[time,
            batch, ...]``, 0 in ``[batch, ...]``; a tuple of them where parts of a tuple differ.
        target_axis: the same of the targets.
    """

    inputs: Any
    targets: Any
    resets: Tensor | None = None
    context: Tree = None
    input_axis: Any = 1
    target_axis: Any = 1

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return self._each(lambda value, axis: value.to(device))

    def part(self, choose: Callable[[int], slice | Tensor]) -> Batch:
        """Some of its rows, of everything in it.

        Args:
            choose: which ones, of so many: a slice, or their numbers, in any order and as often as
                wanted.

        Raises:
            ShapeError: not as many rows in one tensor as in another.
        """
        sizes: list[int] = []

        def cut(value: Any, axis: int) -> Any:
            if isinstance(value, PaddedSequence):
                return PaddedSequence(cut(value.values, 1), cut(value.lengths, 0))
            sizes.append(value.shape[axis])
            return value[(slice(None),) * axis + (choose(sizes[-1]),)]

        some = self._each(cut)
        if len(set(sizes)) > 1:
            raise ShapeError(
                f"batch: expected as many rows in every tensor, got {sizes}. input_axis and "
                "target_axis say which axis counts them."
            )
        return some

    def _each(self, function: Callable[[Any, int], Any]) -> Batch:
        """A function of all tensors, PaddedSequences too, and of the axis of their rows."""

        def walk(value: Any, axis: Any) -> Any:
            if isinstance(value, tuple):
                axes = axis if isinstance(axis, tuple) else (axis,) * len(value)
                return rebuild(value, [walk(*pair) for pair in zip(value, axes, strict=True)])
            return function(value, axis) if hasattr(value, "to") else value

        parts = walk(self.inputs, self.input_axis), walk(self.targets, self.target_axis)
        rest = walk(self.resets, 1), walk(self.context, 0)
        return Batch(*parts, *rest, self.input_axis, self.target_axis)
