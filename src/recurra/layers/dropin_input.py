"""What the drop-ins read: rows of any form, and where sequences begin in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.cells import Cell
from recurra.engine.prepare import read_marks
from recurra.errors import InputTypeError, RecurraError, ShapeError, dtype_name, symbols_hint
from recurra.layers.packed import Rows, ordered, unpacked
from recurra.lengths import Marks
from recurra.sequences import PaddedSequence

__all__ = ["Reader"]


class Reader(NamedTuple):
    """Reads what one layer is given, and says what does not fit.

    Args:
        name: of the layer's class, for messages.
        input_size: width i of an input.
        batch_first: whether tensors are ``[batch, time, ...]``.
    """

    name: str
    input_size: int
    batch_first: bool

    def rows(self, given: Any, lengths: Any) -> Rows:
        """An input of any form."""
        if isinstance(given, list):
            given = PaddedSequence.from_list(given)
        elif isinstance(given, np.ndarray):
            given = torch.as_tensor(given)
        elif isinstance(given, Tensor) and given.is_nested:
            given = PaddedSequence.from_nested(given)
        if isinstance(given, PaddedSequence | PackedSequence) and lengths is not None:
            raise ShapeError(
                f"lengths: given beside a {type(given).__name__}, which has its own; leave out."
            )
        if isinstance(given, PackedSequence):
            self._check_width(given.data, "a PackedSequence with data [elements, {}]")
            return unpacked(given)
        if isinstance(given, PaddedSequence):
            self._check_width(given.values, "a PaddedSequence with values [time, batch, {}]")
            return Rows("padded", given.values, given.lengths, padded=given)
        if not isinstance(given, Tensor):
            raise InputTypeError(
                f"input of {self.name}: expected a tensor, a PackedSequence, a PaddedSequence or a "
                f"list of rows, got {type(given).__name__}."
            )
        axes = "batch, time" if self.batch_first else "time, batch"
        one_row = given.dim() == 2
        self._check_width(given, "[time, {}] for one row" if one_row else f"[{axes}, {{}}]")
        if one_row:
            if lengths is not None:
                raise ShapeError(
                    "lengths: given beside one row, which has no batch axis. Cut the row, or add "
                    f"the axis: [{axes}, {self.input_size}]."
                )
            return Rows("one row", given.unsqueeze(1))
        return Rows("tensor", given.transpose(0, 1) if self.batch_first else given, lengths)

    def _check_width(self, values: Tensor, expected: str) -> None:
        """Are there as many axes as ``expected`` tells, and is the last one i wide?"""
        if values.dim() != expected.count(",") + 1 or values.shape[-1] != self.input_size:
            raise ShapeError(
                f"input of {self.name}: expected {expected.format(self.input_size)}, got "
                f"{list(values.shape)}.{symbols_hint(values)}"
            )

    def marks(self, cell: Cell, resets: Any, rows: Rows) -> Marks | None:
        """Where rows end and begin, checked; messages of the engine name ``cell``."""
        if rows.lengths is None and resets is None:
            return None
        try:
            resets = None if resets is None else self._resets(resets, rows)
        except RecurraError:
            self.marks(cell, None, rows)  # what is wrong with lengths is said first
            raise
        try:
            return read_marks(cell, rows.lengths, resets, rows.values)
        except ShapeError as problem:
            axes = "batch, time" if self.batch_first else "time, batch"
            way = f"This {self.name} has batch_first={self.batch_first}: it reads [{axes}, ...]."
            raise type(problem)(f"{str(problem).rstrip('.')}. {way}") from None

    def _resets(self, resets: Any, rows: Rows) -> Tensor:
        """Resets ``[time, batch]``, in the order of the rows."""
        try:
            resets = torch.as_tensor(resets, device=rows.values.device)
        except (TypeError, ValueError, RuntimeError):
            raise InputTypeError(
                f"resets of {self.name}: expected a tensor of bools, got {resets!r}."
            ) from None
        sizes = dict(zip(("time", "batch"), rows.values.shape[:2], strict=True))
        turned = rows.form == "tensor" and self.batch_first
        axes = ["time"] if rows.form == "one row" else ["time", "batch"]
        expected = {axis: sizes[axis] for axis in (axes[::-1] if turned else axes)}
        if resets.dtype != torch.bool or list(resets.shape) != list(expected.values()):
            wanted = ", ".join(f"{axis}={size}" for axis, size in expected.items())
            got = f"{dtype_name(resets.dtype)} {list(resets.shape)}"
            raise ShapeError(f"resets of {self.name}: expected bool [{wanted}], got {got}.")
        resets = resets.unsqueeze(1) if rows.form == "one row" else resets
        resets = resets.transpose(0, 1) if turned else resets
        return ordered(resets, 1, rows.packed and rows.packed.sorted_indices)
