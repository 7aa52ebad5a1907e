"""Examples of a run: what was read, what was answered, and what should have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.heads import Shown
from recurra.sequences import PaddedSequence

__all__ = ["Example", "examples_of"]

Floats = npt.NDArray[np.float64]
By = Literal["whole", "step", "sequence", "number"]


class Example(NamedTuple):
    """What was read, and what was answered.

    Args:
        inputs: by name the symbols that were read, or numbers ``[time, ...]``.
        by: whether an answer belongs to the ``"whole"`` of it or to each ``"step"``, is a
            ``"sequence"`` with steps of its own, or is one of ``"number"`` s ``[steps, channels]``.
        said: words (one of a whole), or numbers.
        wanted: the same, as it should have been.
        nats: how little each of what was wanted was expected; one of the whole, NaN where nobody
            knows.
    """

    inputs: Mapping[str, Any]
    by: By
    said: Any
    wanted: Any
    nats: Floats

    @property
    def right(self) -> list[bool]:
        """Of each word that was wanted whether it was said there."""
        said = [*self.said, *[None] * len(self.wanted)]
        return [one == other for one, other in zip(self.wanted, said, strict=False)]

    @property
    def total(self) -> float:
        """Nats of all that was wanted; NaN if nothing is known."""
        known = self.nats[np.isfinite(self.nats)]
        return float(known.sum()) if known.size else float("nan")


def examples_of(task: Any, loaded: Any, batch: Batch) -> list[Example]:
    """The rows of a batch, as they were read and answered.

    Args:
        task: says what a person sees of them.
        loaded: the artifact.
        batch: with its targets.

    Returns:
        none where the model's head does not show its answers.
    """
    shown = loaded.model.show(batch)
    if shown is None:
        return []
    read = task.seen(batch, loaded.fronts)
    rows = min(map(len, read.values()))
    return [_example(task, loaded.fronts, shown, read, row) for row in range(rows)]


def _example(
    task: Any, fronts: Mapping[str, Any], shown: Shown, read: Mapping[str, list[Any]], row: int
) -> Example:
    inputs = {name: rows[row] for name, rows in read.items()}
    said, wanted, nats = (_row(each, row) for each in shown)
    known = np.full(1, np.nan) if nats is None else nats.double().numpy().reshape(-1)
    if said.is_floating_point():
        return Example(inputs, "number", _steps(said), _steps(wanted), known)
    if said.dtype == torch.bool:  # any number of labels
        chosen = [", ".join(_words(task, each.nonzero()[:, 0], fronts)) for each in (said, wanted)]
        return Example(inputs, "whole", chosen[:1], chosen[1:], known)
    words, right = _words(task, said.reshape(-1), fronts), _words(task, wanted.reshape(-1), fronts)
    if not isinstance(shown.wanted, PaddedSequence):
        return Example(inputs, "whole", words, right, known)
    steps = len(next(iter(inputs.values())))
    by: By = "step" if len(words) == len(right) == len(known) == steps else "sequence"
    return Example(inputs, by, words, right, known)


def _row(value: Any, row: int) -> Any:
    if isinstance(value, PaddedSequence):
        return value.values[: int(value.lengths[row]), row]
    return None if value is None else value[row]


def _steps(numbers: torch.Tensor) -> Floats:
    """``[steps, channels]``."""
    found: Floats = numbers.double().numpy().reshape(len(numbers), -1)
    return found


def _words(task: Any, numbers: torch.Tensor, fronts: Mapping[str, Any]) -> Sequence[str]:
    words: Sequence[str] = task.worded(numbers.tolist(), fronts)
    return words
