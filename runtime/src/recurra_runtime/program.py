"""A finished model's step as data: instructions, weights, and what goes in and out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra_runtime.backend import core

__all__ = ["Field", "Program"]

Parts = tuple[Any, ...]
"""Buffers, sections, matrices, copies, carries, padding, number of arguments, sizes of places: what
`_native.Program.make` takes, lists of whole numbers; native/program.h says what they mean."""


class Field(NamedTuple):
    """One array that goes in or out.

    Attributes:
        name: What errors call it.
        shape: Of one row.
        symbols: How many whole numbers, from 0, it may hold; None for any number.
    """

    name: str
    shape: tuple[int, ...]
    symbols: int | None = None

    @property
    def size(self) -> int:
        """Numbers of one row."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """One step of a finished model.

    Its arguments lie in this order: inputs, context, states read, states left, output, weights, and
    last its constants.

    Args:
        parts: Buffers, instructions and sizes.
        inputs: What a step reads.
        context: What belongs to a row and does not change.
        states: What a step leaves to the next one.
        output: What it says.
        initial: Each state of one row before the first step.
        weights: What all rows share, and last the constants.

    Raises:
        ValueError: An instruction that reads or writes outside of its memory, or sizes that do not
            fit together.
    """

    parts: Parts
    inputs: tuple[Field, ...]
    context: tuple[Field, ...]
    states: tuple[Field, ...]
    output: Field
    initial: tuple[NDArray[Any], ...]
    weights: tuple[NDArray[Any], ...]

    def __post_init__(self) -> None:
        buffers, arguments = self.parts[0], self.parts[6]
        fields = [*self.inputs, *self.context, *self.states, *self.states, self.output]
        sizes = [field.size for field in fields] + [weight.size for weight in self.weights]
        if len(sizes) != arguments:
            raise ValueError(
                f"program: expected {arguments} arguments, as its head says, got {len(sizes)}"
            )
        for number, size in enumerate(sizes):
            if size < buffers[number][1]:
                raise ValueError(
                    f"program: argument {number} has {size} numbers, and its instructions use "
                    f"{buffers[number][1]}"
                )
        wanted = [field.shape for field in self.states]
        if [array.shape for array in self.initial] != wanted:
            raise ValueError(f"program: expected an initial state of shapes {wanted}")
        kinds = {array.dtype for array in (*self.weights, *self.initial)}
        if len(kinds) != 1 or kinds.pop() not in (np.float32, np.float64):
            raise ValueError("program: expected weights and states that are all float32 or float64")
        if not all(array.flags.c_contiguous for array in self.weights):
            raise ValueError("program: expected weights that are C-contiguous")
        self.native()  # is verified

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of all numbers: float32 or float64."""
        return self.weights[-1].dtype

    def native(self) -> Any:
        """The verified program of the native module; None without."""
        module = core()
        return None if module is None else module.Program.make(*self.parts)

    def read(self, fields: Sequence[Field], given: Sequence[Any], batch: int) -> list[NDArray[Any]]:
        """Arrays as the program takes them.

        Args:
            fields: What is wanted.
            given: What came: anything that NumPy can make an array of.
            batch: Number of rows.

        Raises:
            ValueError: A wrong number of arrays, a wrong shape or type, or a number out of range.
        """
        count = len(given) if hasattr(given, "__len__") else type(given).__name__
        if count != len(fields):
            names = ", ".join(field.name for field in fields) or "none"
            raise ValueError(f"expected {len(fields)} arrays ({names}), got {count}")
        return [self.array(*pair, batch) for pair in zip(fields, given, strict=True)]

    def array(self, field: Field, given: Any, batch: int) -> NDArray[Any]:
        """One of these.

        Args:
            field: What is wanted.
            given: What came.
            batch: Number of rows.

        Raises:
            ValueError: As of `read`.
        """
        wanted = (batch, *field.shape)
        try:
            array = np.asarray(given)
        except ValueError:  # lines of several lengths
            raise ValueError(
                f"{field.name}: expected an array {list(wanted)}, got lines of several lengths"
            ) from None
        # Complex numbers, words, times, objects such as None: NumPy would make floats of them.
        if array.dtype.kind in "cSUMmO":
            raise ValueError(f"{field.name}: expected real numbers, got {array.dtype}")
        if array.shape != wanted and not (batch == 1 and array.shape == field.shape):
            raise ValueError(
                f"{field.name}: expected an array {list(wanted)}, got {list(array.shape)}"
            )
        if field.symbols is not None:
            with np.errstate(invalid="ignore"):
                whole = array.astype(np.int64)
            bad = (whole < 0) | (whole >= field.symbols) | (whole != array)
            if bad.any():
                wrong = array[bad].flat[0]
                raise ValueError(
                    f"{field.name}: expected whole numbers from 0 to {field.symbols - 1}, got "
                    f"{wrong}"
                )
        return np.ascontiguousarray(array.reshape(wanted), dtype=self.dtype)
