"""What a rule gets, the call that is lowered and its tensors as operands; and tables of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from recurra.engine.graph.values import Graph, Value
from recurra.engine.record.tape import Called, Seen
from recurra.engine.record.unrecordable import Unrecordable

__all__ = ["ONE_ROW", "Lowering", "Operand", "Results", "Rules", "features"]

ONE_ROW = "a row knows no other: name an axis after the batch, dim=1 or further"
"""What to write instead of what goes along the batch."""


class Operand(NamedTuple):
    """A tensor in a call.

    Args:
        value: in the graph; its shape is that of the tensor without the batch.
        axis: which axis of the tensor is the batch; None where there is none.
        rank: number of axes of the tensor.
        dtype: its type.
        times: features that the batch's axis has behind the batch; above 1 they are an axis of the
            value, at that place.
        known: the numbers of one that all rows share, for rules that cannot do without; those who
            ask for them make them a part of the recording. None for one with rows.
    """

    value: Value
    axis: int | None
    rank: int
    dtype: torch.dtype
    times: int = 1
    known: Callable[[], Tensor] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features."""
        return self.value.shape


class Lowering:
    """The call that is being lowered.

    Args:
        graph: where instructions are added.
        call: the call.
        results: what was recorded of its results.
        fixed: makes an input of numbers that are always the same.
    """

    def __init__(
        self, graph: Graph, call: Called, results: list[Seen], fixed: Callable[[Tensor], Value]
    ) -> None:
        self.graph, self.call, self.results, self.fixed = graph, call, results, fixed

    @property
    def name(self) -> str:
        """Of the operation, also where it works in place."""
        return self.call.name.removesuffix("_")

    @property
    def out(self) -> Seen:
        """The first result."""
        return self.results[0]

    @property
    def features(self) -> tuple[int, ...]:
        """The shape of the first result without the batch."""
        return features(self.out)

    def refuse(self, why: str, write: str) -> Unrecordable:
        """An error that names operation and line.

        Args:
            why: what is in the way.
            write: what to write instead.
        """
        return Unrecordable(f"{self.call.name} {why} ({self.call.line}); {write}")

    def fits(self, operand: Any) -> Value | float:
        """An operand, its axes where those of the result are, for an elementwise instruction.

        Raises:
            Unrecordable: that would join rows with other rows.
        """
        if not isinstance(operand, Operand):
            return float(operand)
        rank, axis = len(self.out.shape), self.out.axis
        missing = rank - operand.rank
        shape = (1,) * missing + operand.shape
        if axis is None:
            raise self.refuse(
                "gives something that has no rows",
                "keep in the cell what all rows share, and let the step read it",
            )
        if operand.axis is None:
            if shape[axis] != 1:
                raise self.refuse(
                    "joins rows with something else along the batch",
                    "give it an axis of 1 where the rows are, or none",
                )
            if self.out.times == 1:
                shape = shape[:axis] + shape[axis + 1 :]
        elif operand.axis + missing != axis or operand.times != self.out.times:
            raise self.refuse(
                "joins tensors whose batches are different axes",
                "let the batch be the first axis of both",
            )
        return self.graph.reshape(operand.value, shape)

    def apply(self, op: str, *operands: Any) -> Value:
        """An elementwise instruction on operands, values and numbers."""
        return self.graph.apply(
            op, *(o if isinstance(o, Value) else self.fits(o) for o in operands)
        )

    def curved(self, value: Value, *slopes: tuple[Any, Any]) -> Value:
        """A value whose gradient to each operand is what comes in times the slope beside it."""
        path: Value | None = None
        for operand, slope in slopes:
            if isinstance(operand, Operand):
                slope = slope if isinstance(slope, Value) else self.graph.constant(slope)
                part = self.apply("mul", operand, self.graph.stop(slope))
                path = part if path is None else self.graph.apply("add", path, part)
        return value if path is None else self.graph.route(value, path)

    def feature(self, operand: Operand, axis: int) -> int:
        """An axis of a tensor as an axis of features.

        Raises:
            Unrecordable: it is the batch.
        """
        at = axis % operand.rank
        if at == operand.axis:
            raise self.refuse("goes along the batch", ONE_ROW)
        return at - (operand.axis is not None and operand.times == 1 and at > operand.axis)

    def axes(self, operand: Operand, axes: int | Iterable[int] | None) -> tuple[int, ...]:
        """Axes of a tensor as axes of features; all of them if there are none.

        Raises:
            Unrecordable: the batch is among them.
        """
        several = (axes,) if isinstance(axes, int) else tuple(axes or range(operand.rank))
        if operand.axis is not None and operand.axis in [a % operand.rank for a in several]:
            raise self.refuse("mixes rows", ONE_ROW)
        return tuple(self.feature(operand, axis) for axis in several)


def features(seen: Seen) -> tuple[int, ...]:
    """The shape of a tensor without the batch; of an axis that is more, with the rest of it."""
    if seen.axis is None:
        return seen.shape
    rest = () if seen.times == 1 else (seen.times,)
    return seen.shape[: seen.axis] + rest + seen.shape[seen.axis + 1 :]


Results = Value | tuple[Value, ...]
_Rule = TypeVar("_Rule", bound=Callable[..., Results])


class Rules(dict[str, Callable[..., Results]]):
    """Rules by the name of their operation.

    A rule gets the :class:`Lowering` and the arguments of the call, tensors as :class:`Operand`. It
    gives the value of the result, or a tuple where there are several, of the shape of the recorded
    result without the batch.

    Args:
        rules: those that are said in a line.
    """

    def __init__(self, rules: Mapping[str, Callable[..., Results]] | None = None) -> None:
        super().__init__(rules or {})

    def of(self, *names: str) -> Callable[[_Rule], _Rule]:
        """A decorator: the function is the rule of these operations."""

        def keep(rule: _Rule) -> _Rule:
            self.update(dict.fromkeys(names, rule))
            return rule

        return keep
