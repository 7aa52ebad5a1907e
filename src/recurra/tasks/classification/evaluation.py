"""How well classifiers name the classes of the same texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.columns import aligned
from recurra.data import row_batches
from recurra.models import Model
from recurra.tasks.classification.corpus import ClassPart
from recurra_runtime.vocabulary import Ids

__all__ = [
    "Evaluation",
    "Rival",
    "compare_classifiers",
    "confusion_lines",
    "each_text",
    "log_probabilities",
]

_SHOWN = 12  # classes whose confusions fit beside each other


class Rival(Protocol):
    """What says how probable each class of a text is, from its ids alone."""

    def log_probabilities(self, rows: Sequence[Ids]) -> Tensor:
        """``[texts, classes]``."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one model said of texts whose classes are known.

    Args:
        name: of the model.
        classes: names of its classes.
        confusion: how many texts of each class (a row) were taken for each class (a column).
        nats: sum of the losses of these texts.
        unknown: texts of classes that it has no name for: all are wrong, and have no loss.
        mistaken: for which classes these were taken.
    """

    name: str
    classes: tuple[str, ...]
    confusion: list[list[int]]
    nats: float
    unknown: int = 0
    mistaken: tuple[int, ...] = ()

    @property
    def texts(self) -> int:
        """All of them."""
        return sum(map(sum, self.confusion)) + self.unknown

    @property
    def accuracy(self) -> float:
        """Share of the texts whose class was named."""
        right = sum(row[at] for at, row in enumerate(self.confusion))
        return right / max(self.texts, 1)

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.accuracy

    @property
    def loss(self) -> float | None:
        """Nats a text of a class that the model has a name for; None if there is none."""
        count = self.texts - self.unknown
        return self.nats / count if count else None

    @property
    def f1(self) -> tuple[float, ...]:
        """Of each class 2 right / (texts of it + texts taken for it); 0 where there are neither."""
        found = []
        for at, row in enumerate(self.confusion):
            taken = sum(other[at] for other in self.confusion)
            taken += self.mistaken[at] if self.mistaken else 0
            found.append(2 * row[at] / max(sum(row) + taken, 1))
        return tuple(found)

    @property
    def macro_f1(self) -> float:
        """The mean of all classes' F1, each alike; a class never named and never there counts 0."""
        return sum(self.f1) / len(self.f1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return dataclasses.asdict(self) | {
            "classes": list(self.classes),
            "mistaken": list(self.mistaken),
            "texts": self.texts,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "f1": list(self.f1),
            "nats_per_text": self.loss,
        }


def log_probabilities(model: Model | Rival, rows: Sequence[Ids], size: int = 64) -> Tensor:
    """What a model says of texts, ``[texts, classes]`` in float64, in their order."""
    if not isinstance(model, Model):
        return model.log_probabilities(rows).double()
    found: Tensor | None = None
    for places, batch in row_batches(rows, size=size):
        said = model.predict(batch).cpu().double().log_softmax(-1)
        if found is None:
            found = said.new_empty(len(rows), said.shape[1])
        found[torch.from_numpy(places)] = said
    return torch.zeros(0, 0) if found is None else found


def compare_classifiers(models: Mapping[str, Model | Rival], part: ClassPart) -> list[Evaluation]:
    """A row for each model, on the same texts.

    Args:
        models: by name.
        part: texts in ids, with their classes.
    """
    return [_evaluation(name, model, part) for name, model in models.items()]


def _evaluation(name: str, model: Model | Rival, part: ClassPart) -> Evaluation:
    said = log_probabilities(model, part.ids)
    taken, known = said.argmax(1).numpy(), part.labels >= 0
    size = len(part.classes)
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (part.labels[known], taken[known]), 1)
    places = torch.from_numpy(np.flatnonzero(known))
    nats = -said[places, torch.from_numpy(part.labels[known])].sum()
    return Evaluation(
        name,
        part.classes.names,
        confusion.tolist(),
        float(nats),
        int((~known).sum()),
        tuple(np.bincount(taken[~known], minlength=size).tolist()),
    )


def each_text(
    model: Model | Rival, part: ClassPart
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each text whether its class was named (1 or 0), and the nats of that class.

    A text of a class that the model has no name for is no hit and has no nats: those are ``[texts
    of named classes]``.
    """
    said = log_probabilities(model, part.ids)
    known = np.flatnonzero(part.labels >= 0)
    hits = (said.argmax(1).numpy() == part.labels).astype(np.float64)
    return hits, -said[torch.from_numpy(known), torch.from_numpy(part.labels[known])].numpy()


def confusion_lines(row: Evaluation) -> list[str]:
    """For which classes texts of each were taken, as lines of a table."""
    if len(row.classes) > _SHOWN:
        return [f"Confusions of {len(row.classes):,} classes are in summary.json."]
    names = [name if len(name) <= 16 else f"{name[:15]}…" for name in row.classes]
    header = ["class (rows)", *names, "F1"]
    lines = [
        [name, *map(str, counts), f"{f1:.3f}"]
        for name, counts, f1 in zip(names, row.confusion, row.f1, strict=True)
    ]
    drawn = aligned([header, *lines], right=range(1, len(header)))
    return [f"For which classes {row.name} takes the texts of each:", *drawn.split("\n")]
