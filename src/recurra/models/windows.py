"""Rivals of recurrence that label steps of a series: one looks at nothing, one at five steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recurra.engine.torch_internals import without_compiler
from recurra.heads.base import log_frequencies
from recurra_runtime.vocabulary import Ids

__all__ = ["MajorityOfSteps", "WindowOfSteps"]

Rows = Sequence[npt.NDArray[np.floating[Any]]]
Logs = list[npt.NDArray[np.float64]]

_AROUND = 2  # steps on either side
_PENALTIES = (100.0, 10.0, 1.0)  # of the squares of W, the strongest fitted first
_ITERATIONS = 100


class MajorityOfSteps:
    """Every step has the most frequent label.

    Args:
        log_priors: ``[labels]``.
    """

    def __init__(self, log_priors: Tensor) -> None:
        self.log_priors = log_priors

    @classmethod
    def fit(cls, labels: Sequence[Ids], size: int) -> Self:
        """From numbers of labels, of so many."""
        counts = np.bincount(np.concatenate([*labels]), minlength=size)
        return cls(log_frequencies(counts.tolist(), size))

    def log_probabilities(self, rows: Rows) -> Logs:
        """``[steps, labels]`` of each."""
        return [self.log_priors.expand(len(row), -1).numpy() for row in rows]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is."""
        return {"log_priors": self.log_priors.numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(torch.from_numpy(arrays["log_priors"].copy()))


class WindowOfSteps:
    r"""Logistic regression on a step and the two on either side.

    .. math:: z_t = b + W [x_{t-2}; \dots; x_{t+2}]

    Beyond the ends x is 0. The penalty of the squares of W is chosen on rows that are not trained
    on.

    Args:
        weight: W ``[numbers, labels]``.
        bias: b ``[labels]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    @classmethod
    def fit(
        cls, rows: Rows, labels: Sequence[Ids], held: tuple[Rows, Sequence[Ids]], size: int
    ) -> Self:
        """The best of several penalties.

        Args:
            rows: ``[steps, channels]`` of each.
            labels: numbers of their labels.
            held: rows and labels to choose by.
            size: how many labels there are.
        """
        read, wanted = _windows(rows), torch.from_numpy(np.concatenate([*labels]))
        model = cls(read.new_zeros(read.shape[1], size), read.new_zeros(size))
        best, chosen = -1.0, model
        for penalty in _PENALTIES:
            model = cls(*_descend(model.weight, model.bias, read, wanted, penalty))
            said = np.concatenate([logs.argmax(1) for logs in model.log_probabilities(held[0])])
            right = float((said == np.concatenate([*held[1]])).mean())
            if right > best:
                best, chosen = right, model
        return chosen

    def log_probabilities(self, rows: Rows) -> Logs:
        """``[steps, labels]`` of each."""
        said = (_windows(rows) @ self.weight + self.bias).log_softmax(1)
        return [part.numpy() for part in torch.split(said, [len(row) for row in rows])]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is."""
        return {"weight": self.weight.numpy(), "bias": self.bias.numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(*(torch.from_numpy(arrays[name].copy()) for name in ("weight", "bias")))


def _windows(rows: Rows) -> Tensor:
    """Each step beside its neighbors, ``[all steps, (2 * _AROUND + 1) * channels]``."""
    found = []
    for row in rows:
        edged = np.pad(row.astype(np.float64), ((_AROUND, _AROUND), (0, 0)))
        parts = [edged[at : at + len(row)] for at in range(2 * _AROUND + 1)]
        found.append(np.concatenate(parts, axis=1))
    return torch.from_numpy(np.concatenate(found))


def _descend(
    weight: Tensor, bias: Tensor, read: Tensor, wanted: Tensor, penalty: float
) -> tuple[Tensor, Tensor]:
    """Weights and bias at the least loss, from those of another penalty."""
    parts = [value.clone().requires_grad_() for value in (weight, bias)]
    optimizer = without_compiler(torch.optim.LBFGS)(
        parts, max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        said = nn.functional.cross_entropy(read @ parts[0] + parts[1], wanted)
        total = said + penalty / len(wanted) / 2 * parts[0].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)
    return parts[0].detach(), parts[1].detach()
