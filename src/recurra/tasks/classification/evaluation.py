"""How well classifiers name the classes of the same examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.columns import aligned, shown
from recurra.data import ExampleRow, row_batches
from recurra.models import Classifier, Model
from recurra.tasks.classification.corpus import ClassPart

__all__ = [
    "Evaluation",
    "Rival",
    "class_lines",
    "compare_classifiers",
    "each_example",
    "log_probabilities",
]

_SHOWN = 12  # classes whose confusions fit beside each other
_BINS = 15  # of probabilities, as Guo et al. take them
_SURE = 0.5  # from which on one of several labels is named


class Rival(Protocol):
    """What says how probable each class of an example is, from its numbers alone."""

    def log_probabilities(self, rows: Sequence[Any]) -> Tensor:
        """``[rows, classes]``."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one model said of examples whose classes are known.

    Args:
        name: of the model.
        classes: names of its classes.
        examples: all of them.
        exact: of how many the class was named, or all of several labels and no other.
        right: how often each class was named rightly.
        named: how often it was named.
        there: how often it is there.
        nats: sum of the losses of these examples.
        unknown: examples of classes that it has no name for: all are wrong, and have no loss.
        bins: of probabilities from 0 to 1, in steps of 1/15: how many of what was said fall there,
            their sum, and how many of them were right.
        confusion: how many examples of each class (a row) were taken for each class (a column);
            None where examples may have several labels.
    """

    name: str
    classes: tuple[str, ...]
    examples: int
    exact: int
    right: tuple[int, ...]
    named: tuple[int, ...]
    there: tuple[int, ...]
    nats: float
    unknown: int = 0
    bins: tuple[tuple[int, float, int], ...] = ()
    confusion: list[list[int]] | None = None

    @property
    def accuracy(self) -> float:
        """Share of the examples whose class was named, of several labels all of them."""
        return self.exact / max(self.examples, 1)

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.accuracy

    @property
    def loss(self) -> float | None:
        """Nats an example of a class that the model has a name for; None if there is none."""
        count = self.examples - self.unknown
        return self.nats / count if count else None

    @property
    def precision(self) -> tuple[float, ...]:
        """Of each class the share of what was named so that is so; 0 if it was never named."""
        return _shares(self.right, self.named)

    @property
    def recall(self) -> tuple[float, ...]:
        """Of each class the share of its examples that was named so; 0 if it is never there."""
        return _shares(self.right, self.there)

    @property
    def f1(self) -> tuple[float, ...]:
        """Of each class 2 right / (there + named); 0 where there are neither."""
        both = [there + named for there, named in zip(self.there, self.named, strict=True)]
        return _shares([2 * right for right in self.right], both)

    @property
    def macro_f1(self) -> float:
        """The mean of all classes' F1, each alike; a class never named and never there counts 0."""
        return sum(self.f1) / len(self.f1)

    @property
    def micro_f1(self) -> float:
        """Of all labels together; of one label an example it is the accuracy."""
        return 2 * sum(self.right) / max(sum(self.there) + sum(self.named), 1)

    @property
    def calibration(self) -> float:
        """Expected calibration error (Guo et al. 2017): how far probabilities are from shares."""
        total = sum(count for count, _, _ in self.bins)
        return sum(abs(said - right) for _, said, right in self.bins) / max(total, 1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        names = ("accuracy", "macro_f1", "micro_f1", "calibration")
        each = ("f1", "precision", "recall")
        found = dataclasses.asdict(self) | {name: getattr(self, name) for name in names}
        found |= {name: list(getattr(self, name)) for name in each}
        lists = {name: list(found[name]) for name in ("classes", "right", "named", "there")}
        bins = [list(one) for one in self.bins]
        return found | lists | {"bins": bins, "nats_per_example": self.loss}


def _shares(some: Sequence[int], every: Sequence[int]) -> tuple[float, ...]:
    return tuple(one / max(total, 1) for one, total in zip(some, every, strict=True))


def log_probabilities(model: Model | Rival, rows: Sequence[ExampleRow], size: int = 64) -> Tensor:
    """What a model says of rows, ``[rows, classes]`` in float64, in their order."""
    if not isinstance(model, Classifier):
        return cast(Rival, model).log_probabilities(rows).double()
    found: Tensor | None = None
    for places, batch in row_batches(rows, size=size):
        said = model.label_head.log_probabilities(model.predict(batch).cpu().double())
        if found is None:
            found = said.new_empty(len(rows), said.shape[1])
        found[torch.from_numpy(places)] = said
    return torch.zeros(0, 0) if found is None else found


def compare_classifiers(models: Mapping[str, Model | Rival], part: ClassPart) -> list[Evaluation]:
    """A row for each model, on the same examples.

    Args:
        models: by name.
        part: examples in numbers, with their classes.
    """
    judge = _several if part.several else _single
    return [
        judge(name, log_probabilities(model, part.rows), part) for name, model in models.items()
    ]


def _single(name: str, said: Tensor, part: ClassPart) -> Evaluation:
    taken, known = said.argmax(1).numpy(), part.labels >= 0
    size = len(part.classes)
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (part.labels[known], taken[known]), 1)
    places = torch.from_numpy(np.flatnonzero(known))
    nats = -said[places, torch.from_numpy(part.labels[known])].sum()
    highest = said.exp().amax(1).numpy() if len(said) else np.zeros(0)
    return Evaluation(
        name,
        part.classes.names,
        part.count,
        int(np.trace(confusion)),
        _tuple(np.diagonal(confusion)),
        _tuple(np.bincount(taken, minlength=size)),
        _tuple(confusion.sum(1)),
        float(nats),
        int((~known).sum()),
        _bins(highest, taken == part.labels),
        confusion.tolist(),
    )


def _several(name: str, said: Tensor, part: ClassPart) -> Evaluation:
    share, wanted = said.exp(), torch.from_numpy(part.labels).bool()
    named = share >= _SURE
    likely = _likely(said, wanted)
    hit = named == wanted
    return Evaluation(
        name,
        part.classes.names,
        part.count,
        int(hit.all(1).sum()),
        _tuple((named & wanted).sum(0).numpy()),
        _tuple(named.sum(0).numpy()),
        _tuple(wanted.sum(0).numpy()),
        -float(likely.sum()),
        0,
        _bins(torch.where(named, share, 1 - share).flatten().numpy(), hit.flatten().numpy()),
    )


def _likely(said: Tensor, wanted: Tensor) -> Tensor:
    """Log-probability that each label is there where it is, and is not where it is not."""
    return torch.where(wanted, said, torch.log1p(-said.exp().clamp(max=1 - 1e-15)))


def each_example(
    model: Model | Rival, part: ClassPart
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each example whether it was named as it should be (1 or 0), and its nats.

    One of a class that the model has no name for is no hit, and is left out of the nats.
    """
    said, labels = log_probabilities(model, part.rows), torch.from_numpy(part.labels)
    if part.several:
        hit = ((said.exp() >= _SURE) == labels.bool()).all(1)
        return hit.double().numpy(), -_likely(said, labels.bool()).sum(1).numpy()
    known = (labels >= 0).nonzero()[:, 0]
    return (said.argmax(1) == labels).double().numpy(), -said[known, labels[known]].numpy()


def _tuple(counts: npt.NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)


def _bins(
    said: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]
) -> tuple[tuple[int, float, int], ...]:
    """How many, the sum of what was said, and how many were right, by probability."""
    at = np.minimum((said * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(at, minlength=_BINS)
    sums = np.bincount(at, weights=said, minlength=_BINS)
    hits = np.bincount(at[right], minlength=_BINS)
    return tuple((int(c), float(s), int(h)) for c, s, h in zip(counts, sums, hits, strict=True))


# ---- lines ---------------------------------------------------------------------------------------


def class_lines(row: Evaluation) -> list[str]:
    """How well each class is found, and for which classes its examples were taken."""
    if len(row.classes) > _SHOWN:
        return [f"Of {len(row.classes):,} classes precision, recall and F1 are in summary.json."]
    names = [name if len(name) <= 16 else f"{name[:15]}…" for name in row.classes]
    taken = row.confusion or []
    header = ["class (rows)" if taken else "class", *(names if taken else [])]
    header += ["precision", "recall", "F1"]
    lines = [
        [name, *(map(str, taken[at]) if taken else ()), *(shown(v[at], 3) for v in _found(row))]
        for at, name in enumerate(names)
    ]
    drawn = aligned([header, *lines], right=range(1, len(header)))
    told = "For which classes {} takes the examples of each:" if taken else "How {} names each:"
    return [told.format(row.name), *drawn.split("\n")]


def _found(row: Evaluation) -> tuple[tuple[float, ...], ...]:
    return row.precision, row.recall, row.f1
