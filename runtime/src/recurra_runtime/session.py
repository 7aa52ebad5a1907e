"""A program that runs as a stream: one step after another, its state kept between."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra_runtime.backend import core
from recurra_runtime.narrow import number_of
from recurra_runtime.numpy_stepper import NumpyStepper
from recurra_runtime.program import Field, Program

__all__ = ["Session"]


_MOST_THREADS = 64


def _is_count(value: object) -> bool:
    """A whole number from 1, which True is not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Session:
    """Rows that step side by side, each with a state of its own.

    Weights are packed once, when the session is made. A step allocates nothing but its result. One
    session serves one thread at a time; a program serves any number of sessions.

    Args:
        program: What a step is.
        batch: Number of rows.
        context: Arrays `[batch, ...]` of what does not change, where the program reads some.
        threads: How many share the products with matrices of a quarter of a megabyte or more, while
            steps come one after another. Results do not depend on it. None takes up to four of
            those that the process may use; with 1 nothing runs beside the caller's own thread.
        weights: How the matrices of its products are kept: None as they are; `"bfloat16"` rounded
            to 16 bits; `"int8"` as whole numbers from -127 to 127, with a scale for each column and
            512 lines. A step of few rows waits until its matrices are read, so fewer bits are
            faster; states, sums and all else stay in float32. In 8 bits a column or a row that
            holds NaN or infinity gives NaN. The program keeps its weights as they are.

    Raises:
        ValueError: No program, no rows, no threads or too many, no such weights, or a context that
            does not fit.
    """

    def __init__(
        self,
        program: Program,
        batch: int = 1,
        context: Sequence[Any] = (),
        threads: int | None = None,
        weights: str | None = None,
    ) -> None:
        if threads is None:
            mine = getattr(os, "sched_getaffinity", None)
            threads = min(4, len(mine(0)) if mine else os.cpu_count() or 1)
        if not isinstance(program, Program):
            raise ValueError(f"program: expected a Program, got {type(program).__name__}")
        if not _is_count(threads) or threads > _MOST_THREADS:
            raise ValueError(f"threads: expected 1 to {_MOST_THREADS}, got {threads!r}")
        if not _is_count(batch):
            raise ValueError(f"batch: expected at least one row, got {batch!r}")
        self.program, self._threads = program, threads
        self.weights, self._kept = weights, number_of(weights, program.dtype)
        self._stepper: Any = None
        self._place(batch, program.read(program.context, context, batch))
        self.reset()

    def _place(self, batch: int, context: list[NDArray[Any]]) -> None:
        """Memory for so many rows, whose states are 0 at first."""
        program, dtype = self.program, self.program.dtype
        self.batch, self._context = batch, [array.copy() for array in context]
        self._inputs = [np.zeros((batch, *f.shape), dtype) for f in program.inputs]
        self._states = [np.zeros((batch, *f.shape), dtype) for f in program.states]
        self._lines = [array.reshape(batch, -1) for array in self._states]
        left = [np.zeros((batch, *f.shape), dtype) for f in program.states]
        output = np.zeros((batch, *program.output.shape), dtype)
        rows = [*self._inputs, *self._context, *self._states, *left, output]
        arguments = [*rows, *program.weights]
        self._shape, self._dtype = output.shape, dtype
        module = core()
        if module is None:
            self._stepper = NumpyStepper(program.parts, arguments, len(rows), batch, self.weights)
            self._copies = list(zip(left, self._states, strict=True))
            self._output = output
            self._step = self._step_in_numpy
            return
        self._held = arguments  # the stepper knows their addresses only
        fields = [array[0].size for array in rows] + [0] * len(program.weights)
        places = (
            batch,
            [[a.ctypes.data, size] for a, size in zip(arguments, fields, strict=True)],
            [
                [a.ctypes.data, a.nbytes, field.symbols or 0, *a.shape]
                for a, field in zip(self._inputs, program.inputs, strict=True)
            ],
            [output.ctypes.data, output.nbytes, 0, *output.shape],
            [
                [a.ctypes.data, b.ctypes.data, a.nbytes]
                for a, b in zip(left, self._states, strict=True)
            ],
        )
        if self._stepper is None:
            double = dtype == np.float64
            self._stepper = module.Stepper(
                program.native(), double, *places, self._threads, self._kept
            )
            self._step = self._stepper.step
        else:  # which has packed the weights
            self._stepper.place(*places)

    def step(self, *inputs: Any) -> NDArray[Any]:
        """Read one step of every row, and say what the program says.

        Args:
            inputs: Arrays `[batch, ...]`, one for each input of the program; of one row also
                without its first axis. Contiguous arrays of the program's own type cost least.

        Returns:
            The output `[batch, ...]`, a new array.

        Raises:
            ValueError: An input that does not fit; the state is what it was.
        """
        out = np.empty(self._shape, self._dtype)
        try:
            self._step(*inputs, out)
        except TypeError:  # not as the stepper takes them
            self._step(*self.program.read(self.program.inputs, inputs, self.batch), out)
        return out

    def __reduce__(self) -> Any:
        """Refused: a session is memory and threads. Its program can be pickled and copied.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "a Session cannot be pickled or copied: keep session.program, and make "
            "recurra_runtime.Session(program) where it is to run"
        )

    @property
    def state(self) -> tuple[NDArray[Any], ...]:
        """Arrays `[batch, ...]`, one for each state of the program; copies. May be set."""
        return tuple(array.copy() for array in self._states)

    @state.setter
    def state(self, state: Sequence[Any]) -> None:
        given = self.program.read(self.program.states, state, self.batch)
        for own, array in zip(self._states, given, strict=True):
            own[...] = array

    @property
    def carried(self) -> NDArray[Any]:
        """The whole state, a line for each row: `[batch, n]`, a copy. May be set."""
        if not self._lines:
            return np.zeros((self.batch, 0), self._dtype)
        return np.concatenate(self._lines, 1)

    @carried.setter
    def carried(self, carried: NDArray[Any]) -> None:
        width = sum(line.shape[1] for line in self._lines)
        carried = self.program.array(Field("carried", (width,)), carried, self.batch)
        first = 0
        for line in self._lines:
            line[...] = carried[:, first : (first := first + line.shape[1])]

    @property
    def context(self) -> tuple[NDArray[Any], ...]:
        """Arrays `[batch, ...]` of what does not change; copies. May be set."""
        return tuple(array.copy() for array in self._context)

    @context.setter
    def context(self, context: Sequence[Any]) -> None:
        given = self.program.read(self.program.context, context, self.batch)
        for own, array in zip(self._context, given, strict=True):
            own[...] = array
        self._stepper.begin()

    def select(self, rows: Any) -> None:
        """Go on with these rows, each with the state and the context that it has.

        A row may be taken several times, so this is how beams are chosen, how rows that have ended
        leave, and how one row becomes many. The packed weights stay.

        Args:
            rows: Which: indices, a mask, or a slice.

        Raises:
            ValueError: There are no such rows, or none is left.
        """
        chosen = self._chosen(rows)
        if chosen.ndim != 1 or not len(chosen):
            raise ValueError(f"rows: expected at least one row, in one line, got {rows!r}")
        states = [array[chosen] for array in self._states]
        if len(chosen) != self.batch:
            self._place(len(chosen), [array[chosen] for array in self._context])
        elif self._context:
            self.context = [array[chosen] for array in self._context]
        for own, array in zip(self._states, states, strict=True):
            own[...] = array

    def _chosen(self, rows: Any) -> NDArray[Any]:
        """Numbers of the rows that are meant."""
        try:
            found: NDArray[Any] = np.arange(self.batch)[rows]
        except IndexError:
            raise ValueError(
                f"rows: expected an index or a mask of {self.batch} rows, got {rows!r}"
            ) from None
        return found

    def reset(self, rows: Any = slice(None)) -> None:
        """Begin anew.

        Args:
            rows: Which: an index or a mask; all of them if left out.

        Raises:
            ValueError: There are no such rows.
        """
        chosen = self._chosen(rows)
        for own, array in zip(self._states, self.program.initial, strict=True):
            own[chosen] = array

    def _step_in_numpy(self, *arrays: NDArray[Any]) -> None:
        *inputs, out = arrays
        read = self.program.read(self.program.inputs, inputs, self.batch)
        for own, array in zip(self._inputs, read, strict=True):
            own[...] = array
        self._stepper.step()
        out[...] = self._output
        for left, own in self._copies:
            own[...] = left
