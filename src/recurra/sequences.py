"""PaddedSequence: rows of any length in one tensor, and all that can be done with them.

``values`` is ``[time, batch, ...]``, ``lengths`` is ``[batch]``; row ``b`` is
``values[:lengths[b], b]`` and what stands behind it is padding, which never reaches a result. Rows
may come in any order and may be empty.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.errors import ShapeError, dtype_name
from recurra.lengths import (
    check_lengths,
    last_step,
    mask_padding,
    reverse_valid,
    spread,
    take_steps,
    valid_mask,
)
from recurra.settings import check_side, check_size

__all__ = ["PaddedSequence"]

Side = Literal["left", "right"]


@dataclasses.dataclass(frozen=True, eq=False)
class PaddedSequence:
    """A batch of rows of different lengths.

    Args:
        values: ``[time, batch, ...]``; an element may be a scalar, a vector, a picture.
        lengths: whole numbers ``[batch]``, each 0 to time; kept as int64 on the values' device.

    Raises:
        ShapeError: values without time and batch axes, or lengths that do not fit them.
    """

    values: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor) or self.values.dim() < 2:
            got = list(self.values.shape) if isinstance(self.values, Tensor) else type(self.values)
            raise ShapeError(
                f"PaddedSequence: expected a tensor [time, batch, ...], got {got}. "
                "For a list of rows use PaddedSequence.from_list."
            )
        time, batch = self.values.shape[:2]
        checked = check_lengths(self.lengths, time, batch, self.values.device)
        # A copy: checked once, they must not change from outside.
        object.__setattr__(self, "lengths", checked.clone() if checked is self.lengths else checked)

    # ---- in ------------------------------------------------------------------------------------

    @classmethod
    def from_list(cls, rows: Sequence[Any], *, dtype: torch.dtype | None = None) -> PaddedSequence:
        """From rows ``[time, ...]``: tensors, arrays or nested lists, of any lengths.

        Raises:
            ShapeError: no rows, or rows whose elements differ in shape or type.
        """
        if len(rows) == 0:
            raise ShapeError(
                "PaddedSequence.from_list: expected at least one row, got none. "
                "For an empty batch pass values [time, 0, ...] and empty lengths."
            )
        tensors = [_row(row, dtype, number) for number, row in enumerate(rows)]
        # An empty list says nothing about its elements: it takes the shape of its mates'.
        known = next((t for t, row in zip(tensors, rows, strict=True) if _tells(row, t)), None)
        if known is not None:
            tensors = [
                t if _tells(row, t) else known.new_zeros(0, *known.shape[1:])
                for t, row in zip(tensors, rows, strict=True)
            ]
        first = tensors[0]
        for number, tensor in enumerate(tensors):
            if (tensor.shape[1:], tensor.dtype) != (first.shape[1:], first.dtype):
                raise ShapeError(
                    f"PaddedSequence.from_list: row {number} has elements {_element(tensor)}, "
                    f"row 0 has {_element(first)}. All elements need one shape and type"
                    + ("." if dtype else "; pass dtype= to convert.")
                )
        lengths = torch.tensor([t.shape[0] for t in tensors], device=first.device)
        return cls._made(torch.nn.utils.rnn.pad_sequence(tensors), lengths)

    @classmethod
    def from_padded(
        cls, values: Tensor, lengths: Any = None, *, side: Side = "right"
    ) -> PaddedSequence:
        """From ``[time, batch, ...]`` with padding on either side; without lengths all is valid."""
        check_side(side)
        if lengths is None:
            lengths = torch.full(values.shape[1:2], values.shape[0], device=values.device)
        made = cls(values, lengths)
        moved = made.values if side == "right" else made._rolled(made.time - made.lengths)
        return made._with(moved)

    @classmethod
    def from_packed(cls, packed: PackedSequence) -> PaddedSequence:
        """From torch's PackedSequence, rows in their original order."""
        values, lengths = pad_packed_sequence(packed)
        return cls(values, lengths)

    @classmethod
    def from_nested(cls, nested: Tensor) -> PaddedSequence:
        """From a nested tensor (jagged layout) ``[batch, jagged time, ...]``.

        Raises:
            ShapeError: not a nested tensor.
        """
        if not nested.is_nested:
            raise ShapeError(
                f"PaddedSequence.from_nested: expected a nested tensor, got {list(nested.shape)}. "
                "For a padded tensor use PaddedSequence.from_padded."
            )
        return cls.from_list(list(nested.unbind()))

    # ---- back ----------------------------------------------------------------------------------

    def to_list(self) -> list[Tensor]:
        """The rows, each ``[its length, ...]``."""
        lengths = self.lengths.tolist()
        return [self.values[:length, row] for row, length in enumerate(lengths)]

    def to_padded(
        self, time: int | None = None, *, fill: float = 0, side: Side = "right"
    ) -> Tensor:
        """A tensor ``[time, batch, ...]`` with ``fill`` on the given side of each row.

        Raises:
            ShapeError: a row is longer than ``time``.
        """
        check_side(side)
        time = self.time if time is None else time
        if (longest := int(self.lengths.max()) if self.batch else 0) > time:
            raise ShapeError(
                f"to_padded: a row of {longest} steps does not fit {time}; truncate first."
            )
        sized = self._resized(time)
        values = mask_padding(sized.values, self.lengths, fill)
        if side == "right":
            return values
        return sized._with(values)._rolled(self.lengths - time)

    def to_packed(self) -> PackedSequence:
        """Torch's PackedSequence.

        Raises:
            ShapeError: no rows, or an empty row, which a PackedSequence cannot hold; its number is
                given.
        """
        self._check_rows("to_packed")
        empty = (self.lengths == 0).nonzero().flatten().tolist()
        if empty:
            raise ShapeError(
                f"to_packed: rows {empty} are empty and a PackedSequence cannot hold them. "
                "Keep the PaddedSequence, or drop them with select_rows."
            )
        return pack_padded_sequence(self.values, self.lengths.cpu(), enforce_sorted=False)

    def to_nested(self) -> Tensor:
        """A nested tensor in jagged layout, ``[batch, jagged time, ...]``.

        Raises:
            ShapeError: no rows, which a nested tensor cannot hold.
        """
        self._check_rows("to_nested")
        rows = [row.contiguous() for row in self.to_list()]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    # ---- facts ---------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """Number of steps of the tensor, padding included."""
        return self.values.shape[0]

    @property
    def batch(self) -> int:
        """Number of rows."""
        return self.values.shape[1]

    @property
    def mask(self) -> Tensor:
        """``[time, batch]``, True where a step belongs to its row."""
        return valid_mask(self.lengths, self.time)

    @functools.cached_property
    def count(self) -> int:
        """Number of valid elements of all rows."""
        return int(self.lengths.sum())

    # ---- elements ------------------------------------------------------------------------------

    def valid(self) -> Tensor:
        """The valid elements alone, ``[count, ...]``, in order of time, then row."""
        if self.count == self.time * self.batch:
            return self.values.flatten(0, 1)
        return self.values.flatten(0, 1).index_select(0, self._places)

    def with_valid(self, elements: Tensor, fill: float = 0) -> PaddedSequence:
        """The same rows with other elements, ``[count, ...]`` as :meth:`valid` orders them.

        Raises:
            ShapeError: another number of elements.
        """
        if elements.dim() == 0 or elements.shape[0] != self.count:
            raise ShapeError(
                f"with_valid: expected {self.count} elements, got {list(elements.shape)}."
            )
        size = (self.time * self.batch, *elements.shape[1:])
        if elements.shape[0] == size[0]:
            flat = elements
        else:
            flat = elements.new_full(size, fill).index_copy(0, self._places, elements)
        values = flat.view(self.time, self.batch, *flat.shape[1:])
        return self._with(values)

    def map(self, function: Callable[[Tensor], Tensor], fill: float = 0) -> PaddedSequence:
        """Apply ``function``, ``[count, ...] -> [count, ...]``, to the valid elements only.

        Padding never enters the function: a linear layer over padding that holds NaN would poison
        its weight gradient. The elements may share memory with ``values``, so the function must not
        change them in place.

        Raises:
            ShapeError: the function changed the number of elements.
        """
        elements = self.valid()
        mapped = function(elements)
        if mapped.dim() == 0 or mapped.shape[0] != elements.shape[0]:
            raise ShapeError(
                f"map: expected a function that keeps the first axis ({elements.shape[0]} "
                f"elements), got a result {list(mapped.shape)}."
            )
        return self.with_valid(mapped, fill)

    def masked(self, fill: float = 0) -> PaddedSequence:
        """The same rows with ``fill`` as padding."""
        return self._with(mask_padding(self.values, self.lengths, fill))

    def select_rows(self, rows: Tensor) -> PaddedSequence:
        """The rows of the given numbers, in that order."""
        rows = rows.to(self.values.device)
        return self._made(self.values.index_select(1, rows), self.lengths.index_select(0, rows))

    def to(self, *args: Any, **kwargs: Any) -> PaddedSequence:
        """``values.to(...)``; the lengths follow to the values' device."""
        values = self.values.to(*args, **kwargs)
        return self._made(values, self.lengths.to(values.device))

    # ---- time ----------------------------------------------------------------------------------

    def truncate(self, length: int, side: Side = "right") -> PaddedSequence:
        """At most ``length`` steps a row: cut on the right (keep the first), or on the left."""
        check_side(side)
        check_size("truncate", length, 0, error=ShapeError)
        kept = self.lengths.clamp(max=length)
        values = self.values
        if side == "left":
            values = self._rolled(self.lengths - kept)
        return self._made(values[:length], kept)

    def pad(self, length: int, value: float = 0, side: Side = "right") -> PaddedSequence:
        """At least ``length`` steps a row: shorter rows get *valid* elements ``value`` there."""
        check_side(side)
        check_size("pad", length, 0, error=ShapeError)
        grown = self.lengths.clamp(min=length)
        filled = self._resized(max(length, self.time)).masked(value)
        if side == "left":
            return self._made(filled._rolled(self.lengths - grown), grown)
        return self._made(filled.values, grown)

    def shift(self, steps: int, value: float = 0) -> PaddedSequence:
        """``out[t] = in[t - steps]``, ``value`` where that is outside the row; lengths stay.

        A shift by 1 turns targets into the inputs of teacher forcing.
        """
        source = torch.arange(self.time, device=self.values.device).unsqueeze(1) - steps
        inside = (source >= 0) & (source < self.lengths)
        moved = take_steps(
            self.values, source.clamp(0, max(self.time - 1, 0)).expand(-1, self.batch)
        )
        return self._with(moved.masked_fill(~spread(inside, moved), value)).masked()

    def reverse(self) -> PaddedSequence:
        """Each row backward; its padding stays behind it."""
        return self._with(reverse_valid(self.values, self.lengths))

    def windows(self, size: int, stride: int | None = None) -> Iterator[PaddedSequence]:
        """Consecutive windows of at most ``size`` steps, each starting ``stride`` after the last.

        All windows hold all rows, finished rows being empty in them, so a state can be carried
        from one to the next. The stride is ``size`` unless given; the last window may be shorter.
        """
        stride = size if stride is None else stride
        check_size("windows", size, error=ShapeError)
        check_size("windows (stride)", stride, error=ShapeError)
        covered = 0
        for start in range(0, self.time, stride):
            if covered >= self.time:
                return
            covered = start + size
            lengths = (self.lengths - start).clamp(0, min(size, self.time - start))
            yield self._made(self.values[start:covered], lengths)

    def sum(self) -> Tensor:
        """Sum over time, ``[batch, ...]``; zero for an empty row."""
        return mask_padding(self.values, self.lengths).sum(0)

    def mean(self) -> Tensor:
        """Mean over each row's own steps, ``[batch, ...]``; zero for an empty row."""
        total = self.sum()
        return total / self.lengths.clamp(min=1).view(-1, *(1,) * (total.dim() - 1))

    def last(self) -> Tensor:
        """Each row's last element, ``[batch, ...]``; zero for an empty row."""
        return last_step(self.values, self.lengths)

    @staticmethod
    def concatenate(*parts: PaddedSequence) -> PaddedSequence:
        """Join row by row in time: row b is ``parts[0]``'s row b, then ``parts[1]``'s, ...

        Raises:
            ShapeError: no parts, or parts whose batches or elements differ.
        """
        if not parts:
            raise ShapeError("concatenate: expected at least one PaddedSequence, got none.")
        first = parts[0]
        for number, part in enumerate(parts):
            if part.values.shape[1:] != first.values.shape[1:]:
                raise ShapeError(
                    f"concatenate: part {number} is [time, {_sizes(part.values)}], part 0 is "
                    f"[time, {_sizes(first.values)}]; all but time must be equal."
                )
        places, offset = [], torch.zeros_like(first.lengths)
        for part in parts:
            steps = torch.arange(part.time, device=offset.device).unsqueeze(1)
            rows = torch.arange(first.batch, device=offset.device)
            places.append((offset + steps) * first.batch + rows)
            offset = offset + part.lengths
        time = int(offset.max()) if first.batch else sum(part.time for part in parts)
        index = torch.cat([p[part.mask] for p, part in zip(places, parts, strict=True)])
        elements = torch.cat([part.values[part.mask] for part in parts])
        size = (time * first.batch, *first.values.shape[2:])
        flat = elements.new_zeros(size).index_copy(0, index, elements)
        return first._made(flat.view(time, first.batch, *flat.shape[1:]), offset)

    # ---- inside --------------------------------------------------------------------------------

    def _check_rows(self, what: str) -> None:
        if self.batch == 0:
            raise ShapeError(f"{what}: expected at least one row, got none, [{self.time}, 0, ...].")

    @staticmethod
    def _made(values: Tensor, lengths: Tensor) -> PaddedSequence:
        """Of lengths that come from checked ones, int64 on the values' device: not checked."""
        made = object.__new__(PaddedSequence)
        made.__dict__.update(values=values, lengths=lengths)
        return made

    def _with(self, values: Tensor) -> PaddedSequence:
        """The same rows with other values, none of whose rows is cut."""
        made = object.__new__(PaddedSequence)
        # What is known of the lengths (their count, the places) is known of the new one too: where
        # an element lies does not hang on the number of steps.
        made.__dict__.update(self.__dict__ | {"values": values})
        return made

    @functools.cached_property
    def _places(self) -> Tensor:
        """Numbers of the valid elements in ``values.flatten(0, 1)``."""
        return self.mask.flatten().nonzero().flatten()

    def _rolled(self, amount: Tensor) -> Tensor:
        """Each row moved ``amount[b]`` steps toward the start, going around."""
        if self.time == 0:
            return self.values
        steps = torch.arange(self.time, device=self.values.device).unsqueeze(1)
        return take_steps(self.values, (steps + amount) % self.time)

    def _resized(self, time: int) -> PaddedSequence:
        """The same rows in a tensor of ``time`` steps (no row is longer)."""
        if time <= self.time:
            return self._with(self.values[:time])
        more = self.values.new_zeros(time - self.time, *self.values.shape[1:])
        return self._with(torch.cat([self.values, more]))


def _row(row: Any, dtype: torch.dtype | None, number: int) -> Tensor:
    """One row as a tensor ``[time, ...]``; Python numbers become torch's default types."""
    try:
        if isinstance(row, Tensor | np.ndarray):
            tensor = _tensor(row, dtype)
        elif hasattr(row, "__len__") and len(row) and isinstance(row[0], Tensor | np.ndarray):
            tensor = torch.stack([_tensor(element, dtype) for element in row])
        else:
            tensor = torch.tensor(row, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ShapeError(
            f"PaddedSequence.from_list: row {number} is no array of numbers [time, ...] ({problem})"
        ) from None
    if tensor.dim() == 0:
        raise ShapeError(
            f"PaddedSequence.from_list: row {number} is a single number; expected [time, ...]."
        )
    return tensor


def _tensor(values: Any, dtype: torch.dtype | None) -> Tensor:
    """Also from arrays that torch does not share: read-only ones, and those that run backward."""
    tensor: Tensor = values
    if isinstance(values, np.ndarray):
        tensor = torch.as_tensor(np.array(values, order="C"))
    return tensor if dtype is None else tensor.to(dtype)


def _tells(row: Any, tensor: Tensor) -> bool:
    """Does this row say what its elements are? An empty Python list does not."""
    return isinstance(row, Tensor | np.ndarray) or tensor.shape[0] > 0


def _element(tensor: Tensor) -> str:
    return f"{list(tensor.shape[1:])} {dtype_name(tensor.dtype)}"


def _sizes(values: Tensor) -> str:
    return ", ".join(str(size) for size in values.shape[1:])
