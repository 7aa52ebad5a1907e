"""Rows as the drop-ins read them, and torch's PackedSequence as rows."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.errors import ShapeError
from recurra.sequences import PaddedSequence

__all__ = ["Rows", "ordered", "packed_data", "unpacked"]


class Rows(NamedTuple):
    """An input of any form, as the engine reads it.

    Args:
        form: what came in, and will go out.
        values: ``[time, batch, i]``; rows of a PackedSequence in its own order, longest first.
        lengths: as they were given, or None.
        packed: the PackedSequence, or None.
        padded: the PaddedSequence, or None.
    """

    form: Literal["tensor", "one row", "padded", "packed"]
    values: Tensor
    lengths: Any = None
    packed: PackedSequence | None = None
    padded: PaddedSequence | None = None


def unpacked(packed: PackedSequence) -> Rows:
    """Rows of a PackedSequence in its own order, longest first.

    Raises:
        ShapeError: its parts do not fit each other, or it names rows that it has no steps of.
    """
    data, sizes = packed.data, packed.batch_sizes
    batch = int(sizes[0]) if len(sizes) else 0
    order = packed.sorted_indices
    if order is not None and len(order) > batch:
        # Rows are sorted by length: those without a step stand behind the others.
        raise ShapeError(
            f"input: rows {sorted(order[batch:].tolist())} are empty, and a PackedSequence cannot "
            "hold them. Use a PaddedSequence, or lengths= beside a tensor."
        )
    orders = [order, packed.unsorted_indices]
    if any(found is not None and len(found) != batch for found in orders):
        raise ShapeError(
            f"input: expected a PackedSequence whose indices order its {batch} rows, got "
            f"{[None if found is None else len(found) for found in orders]} of them. Make it with "
            "torch.nn.utils.rnn.pack_padded_sequence."
        )
    if batch == 0 or int(sizes.sum()) != len(data):
        raise ShapeError(
            f"input: expected a PackedSequence of at least one row and of {int(sizes.sum())} "
            f"elements, the sum of its batch_sizes, got {len(data)} elements."
        )
    values, lengths = pad_packed_sequence(PackedSequence(data, sizes))
    return Rows("packed", values, lengths.to(values.device), packed)


def packed_data(values: Tensor, rows: Rows) -> Tensor:
    """The valid elements of sorted rows, in the order of time, then row."""
    return pack_padded_sequence(values, rows.lengths.cpu()).data


def ordered(leaf: Tensor, axis: int, order: Tensor | None) -> Tensor:
    """Rows along an axis in another order; as they are if there is none."""
    return leaf if order is None else leaf.index_select(axis, order.to(leaf.device))
