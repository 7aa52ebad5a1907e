"""Models without memory beside a classifier: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.data import ExampleRow
from recurra.models import BagOfSymbols, Majority, MeanOfSteps, MeanOfVectors, NGramOfClasses
from recurra.tasks.classification.corpus import ClassCorpus
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.inputs import is_text

__all__ = ["KINDS", "fit_rivals"]

_LETTERS = ("characters", "bytes")


class _Some(NamedTuple):
    """Rows that are fitted on, and those that choose."""

    rows: list[ExampleRow]
    labels: npt.NDArray[np.int64]
    held: tuple[list[ExampleRow], npt.NDArray[np.int64]]


def fit_rivals(
    prepared: ClassCorpus, data: ClassificationData, report: Callable[[str], None]
) -> dict[str, Any]:
    """What can be said without an order; what these choose is chosen as the model is.

    Of texts the majority, a bag of symbols and a feed-forward net on the mean of their vectors,
    and of letters an n-gram of each class; of numbers the majority, and a feed-forward net on mean,
    deviation, least, greatest and last of each.

    Args:
        prepared: the examples; without a validation part every tenth of the others chooses.
        data: on how many examples they are fitted.
        report: is told what takes long.
    """
    if not data.rival_examples:
        return {}
    training, held = prepared.parts["training"], prepared.parts.get("validation")
    every = slice(None, None, -(-training.count // data.rival_examples))
    rows, labels = training.rows[every], training.labels[every]
    few = f" on {len(rows):,} examples" if len(rows) < training.count else ""
    report(f"fitting rivals{few}")
    if held is not None and not held.several:  # what has no name cannot choose
        held = held.known()
    if held is not None and held.count:
        some = _Some(rows, labels, (held.rows, held.labels))
    else:
        rest = np.delete(labels, np.s_[::10], 0)
        some = _Some(
            [row for n, row in enumerate(rows) if n % 10], rest, (rows[::10], labels[::10])
        )
    classes = len(prepared.classes)
    found: dict[str, Any] = {"majority": Majority.fit(training.labels, classes)}
    fronts = list(prepared.inputs.values())
    if len(fronts) == 1 and is_text(fronts[0]):
        if not training.several:
            found |= _of_text(some, len(fronts[0]), classes, fronts[0].kind)
    elif not all(map(is_text, fronts)):
        found["summary"] = MeanOfSteps.fit(*some, classes=classes)
    return found


def _of_text(some: _Some, symbols: int, classes: int, kind: str) -> dict[str, Any]:
    sizes = {"symbols": symbols, "classes": classes}
    rows: Any = some.rows
    held: Any = some.held
    found: dict[str, Any] = {f"bag of {kind}": BagOfSymbols.fit(rows, some.labels, held, **sizes)}
    if kind in _LETTERS:
        found["5-grams of classes"] = NGramOfClasses.fit(rows, some.labels, **sizes)
    return found | {"feed-forward": MeanOfVectors.fit(rows, some.labels, held, **sizes)}


def _of_tensors(arrays: Mapping[str, Any], kind: Any) -> Any:
    """A model of what a file keeps."""
    return kind.from_arrays({key: torch.from_numpy(value.copy()) for key, value in arrays.items()})


# By the first words of their names, the simplest first.
KINDS = {
    name: functools.partial(_of_tensors, kind=kind)
    for name, kind in (
        ("majority", Majority),
        ("bag", BagOfSymbols),
        ("5-grams", NGramOfClasses),
        ("feed-forward", MeanOfVectors),
        ("summary", MeanOfSteps),
    )
}
