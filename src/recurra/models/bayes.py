"""A rival of recurrence that names a class of texts: an n-gram of each class's own texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from recurra.heads.base import log_frequencies
from recurra.models.ngram import KneserNey, NGram
from recurra_runtime.vocabulary import END, START, Ids

__all__ = ["NGramOfClasses"]


class NGramOfClasses:
    r"""Which class's n-gram finds a text most probable, with the classes' own frequencies.

    .. math:: P(k \mid s) \propto \frac{n_k + 1}{N + K} \, P_k(s)

    Args:
        models: P of each class.
        log_priors: ``[classes]``.
    """

    def __init__(self, models: Sequence[NGram], log_priors: Tensor) -> None:
        self.models, self.log_priors = list(models), log_priors

    @classmethod
    def fit(
        cls, rows: Sequence[Ids], labels: Ids, *, symbols: int, classes: int, order: int = 5
    ) -> Self:
        """Count the grams of each class.

        Args:
            rows: ids of each text.
            labels: numbers of their classes.
            symbols: how many ids there are.
            classes: how many classes.
            order: how many symbols are seen at once.
        """
        models = [
            NGram.fit(
                # A class without a text says of every symbol what chance says.
                [row for row, label in zip(rows, labels, strict=True) if label == number]
                or [np.zeros(0, np.int64)],
                order=order,
                vocabulary_size=symbols,
                start=START,
                end=END,
                smoothing=KneserNey(),
            )
            for number in range(classes)
        ]
        counts = np.bincount(labels, minlength=classes).tolist()
        return cls(models, log_frequencies(counts, classes))

    def log_probabilities(self, rows: Sequence[Ids]) -> Tensor:
        """``[rows, classes]``."""
        said = [[model.score(row).sum() for model in self.models] for row in rows]
        found = torch.tensor(said, dtype=torch.float64).view(len(rows), len(self.models))
        return (found + self.log_priors).log_softmax(1)

    def arrays(self) -> dict[str, Tensor]:
        """All that it is."""
        found = {"log_priors": self.log_priors}
        for number, model in enumerate(self.models):
            for name, array in model.arrays().items():
                found[f"{number}:{name}"] = torch.from_numpy(array)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> Self:
        """What :meth:`arrays` gave."""
        priors = arrays["log_priors"]
        named: list[dict[str, np.ndarray]] = [{} for _ in priors]
        for name, value in arrays.items():
            number, _, rest = name.partition(":")
            if rest:
                named[int(number)][rest] = value.numpy()
        return cls([NGram.from_arrays(each) for each in named], priors)
