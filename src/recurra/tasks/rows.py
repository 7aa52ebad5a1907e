"""Examples in arrays: what may stand there, and how some of them become a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.errors import DataError
from recurra.sequences import PaddedSequence
from recurra.states import leaves, map_tree, rebuild

__all__ = [
    "Collate",
    "TargetKind",
    "arrays_of",
    "check_fit",
    "collate_rows",
    "of_all_lengths",
    "rows_of",
    "steps_of",
]

TargetKind = Literal["steps", "whole", "sequence"]
"""One target for each step of an example, one for all of it, or a sequence with its own steps."""

Collate = Callable[[Sequence[Any], Sequence[Any] | None], Batch]
"""Inputs and targets of some examples, beside each other; without targets they are to be said."""


def of_all_lengths(lengths: Sequence[int], rows: int) -> list[int]:
    """Numbers of at most so many examples: of as many groups of like length the middle ones.

    Args:
        lengths: of all examples.
        rows: how many are chosen.
    """
    order, count = np.argsort(lengths, kind="stable"), min(rows, len(lengths))
    middles = (np.arange(count) + 0.5) * len(lengths) / max(count, 1)
    found: list[int] = order[middles.astype(np.int64)].tolist()
    return found


def collate_rows(
    inputs: Sequence[Any], targets: Sequence[Any] | None = None, kind: TargetKind = "steps"
) -> Batch:
    """Arrays ``[time, ...]`` beside each other, and what has no steps stacked.

    Of a named tuple of arrays (several inputs) each field is put beside its like. What is of a wide
    float type becomes torch's default one.

    Args:
        inputs: of each example.
        targets: of each example, or None.
        kind: what a target is.
    """
    read, input_axis = _beside(inputs), _axis(inputs[0])
    if targets is None:
        return Batch(read, None, input_axis=input_axis)
    if kind == "whole":
        return Batch(read, map_tree(_stacked, *targets), input_axis=input_axis, target_axis=0)
    return Batch(read, _beside(targets), input_axis=input_axis, target_axis=_axis(targets[0]))


def _beside(rows: Sequence[Any]) -> Any:
    def put(*leaves: npt.NDArray[Any]) -> Any:
        if not leaves[0].ndim:
            return _stacked(*leaves)
        padded = PaddedSequence.from_list(leaves)
        wide = padded.values.dtype == torch.float64
        return padded.to(torch.get_default_dtype()) if wide else padded

    return map_tree(put, *rows)


def _stacked(*leaves: npt.NDArray[Any]) -> torch.Tensor:
    found = torch.from_numpy(np.stack(leaves))
    return found.to(torch.get_default_dtype()) if found.dtype == torch.float64 else found


def _axis(row: Any) -> Any:
    """Which axis counts rows once such ones are beside each other."""
    return map_tree(lambda leaf: int(leaf.ndim > 0), row)


def arrays_of(value: Any, place: str) -> Any:
    """An array, or a tuple of them: several inputs, by name or in their order."""
    if type(value) is tuple and value and all(isinstance(part, np.ndarray) for part in value):
        return tuple(arrays_of(part, f"{place}, {n}") for n, part in enumerate(value))
    if hasattr(value, "_fields"):
        return value._make(
            arrays_of(part, f"{place}.{name}")
            for name, part in zip(value._fields, value, strict=True)
        )
    try:
        found = np.asarray(value)
    except ValueError as problem:  # rows of several lengths
        raise DataError(f"{place}: expected an array of numbers ({problem}).") from None
    if found.dtype.kind not in "biufc":
        shown = repr(value)
        raise DataError(
            f"{place}: expected an array of numbers, got "
            f"{shown if len(shown) <= 80 else shown[:77] + '...'}. The task's encode (or target) "
            "makes numbers of it."
        )
    return found


def steps_of(row: Any) -> int:
    """Of the longest array."""
    return max((len(leaf) if leaf.ndim else 1 for leaf in leaves(row)), default=1)


def check_fit(place: str, row: Any, target: Any, first: Any, kind: TargetKind) -> None:
    """Whether a target is what it is said to be."""
    shape, others = (tuple(leaf.shape for leaf in leaves(each)) for each in (target, first))
    if kind == "whole" and shape != others:
        raise DataError(
            f"{place}: expected a target {_sizes(others)} for all of it, as of the first example, "
            f"got {_sizes(shape)}."
        )
    one = bool(shape and not shape[0])
    if kind != "whole" and one != bool(others and not others[0]):
        raise DataError(
            f"{place}: expected a target of as many axes as of the first example, {_sizes(others)},"
            f" got {_sizes(shape)}."
        )
    if kind == "steps" and not one and (got := steps_of(target)) != (steps := steps_of(row)):
        raise DataError(
            f"{place}: expected a target for each of its {steps:,} steps, got {got:,}. Give as "
            "many, or set target_kind of the task: one target for all of an example is 'whole', "
            "one with steps of its own a 'sequence'."
        )


def _sizes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)


def rows_of(said: Any) -> list[Any]:
    """What was said of each example."""
    if isinstance(said, tuple):
        return [rebuild(said, list(parts)) for parts in zip(*map(rows_of, said), strict=True)]
    return said.to_list() if isinstance(said, PaddedSequence) else list(said)
