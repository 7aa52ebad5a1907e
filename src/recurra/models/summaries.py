"""A rival of recurrence for numbers: it reads what stays of a row when its order is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recurra.engine.torch_internals import without_compiler

__all__ = ["MeanOfSteps"]

_HIDDEN, _RATE, _DECAY = 64, 0.003, 1e-3
_DROPPED = 0.5
_PASSES, _PATIENCE, _ROWS = 100, 15, 32
_LEAST = 600  # steps of the optimizer, where few rows make short passes

Row = npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]


def _summary(row: Row) -> npt.NDArray[np.float32]:
    """Mean, deviation, least, greatest and last of each number of a step, over all steps.

    Of several inputs side by side, each with a mark of whether it is there; symbols say nothing. Of
    pictures the mean alone.
    """
    parts = [_numbers(one) for one in (row if isinstance(row, tuple) else (row,))]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _numbers(steps: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if steps.dtype.kind != "f":
        return np.zeros(0, np.float32)
    there = np.ones(1, np.float32) if len(steps) else np.zeros(1, np.float32)
    flat = steps.reshape(len(steps), int(np.prod(steps.shape[1:])))
    whole = flat if len(steps) else np.zeros((1, flat.shape[1]), np.float32)
    if steps.ndim > 2:
        return np.concatenate([whole.mean(0), there])
    kinds = (whole.mean(0), whole.std(0), whole.min(0), whole.max(0), whole[-1], there)
    return np.concatenate(kinds)


class MeanOfSteps:
    r"""A feed-forward net on mean, deviation, least, greatest and last of each number of a row.

    .. math:: z = W \max(0, V s + c) + b

    The pass is chosen on rows that are not trained on.

    Args:
        net: V, W as a module.
        center: of s, ``[numbers]``.
        scale: by which s is divided.
        several: whether rows may have several labels.
    """

    def __init__(self, net: nn.Sequential, center: Tensor, scale: Tensor, several: bool) -> None:
        self.net, self.center, self.scale, self.several = net.eval(), center, scale, several

    @classmethod
    def fit(
        cls,
        rows: Sequence[Row],
        labels: npt.NDArray[np.int64],
        held: tuple[Sequence[Row], npt.NDArray[np.int64]],
        *,
        classes: int,
        seed: int = 0,
    ) -> Self:
        """The best of its passes.

        Args:
            rows: numbers of each.
            labels: of their classes, ``[rows]`` or, of several, 0 or 1 in ``[rows, classes]``.
            held: rows and labels to choose by.
            classes: how many classes.
            seed: of every draw; nobody else's draws change.
        """
        read, answers = _stacked(rows), torch.from_numpy(labels)
        chosen, wanted = _stacked(held[0]), torch.from_numpy(held[1])
        center, scale = read.mean(0), read.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(_net(read.shape[1], classes), center, scale, labels.ndim == 2)
            optimizer = without_compiler(torch.optim.AdamW)(
                model.net.parameters(), lr=_RATE, weight_decay=_DECAY
            )
            kept, best, since = model.net.state_dict(), float("inf"), 0
            passes = max(_PASSES, -(-_LEAST * _ROWS // max(len(rows), 1)))
            for _ in range(passes):
                model._pass(optimizer, (read - center) / scale, answers)
                loss = float(model._loss((chosen - center) / scale, wanted).detach())
                since += 1
                if loss < best:
                    best, since = loss, 0
                    kept = {name: part.clone() for name, part in model.net.state_dict().items()}
                if since >= _PATIENCE * passes / _PASSES:
                    break
            model.net.load_state_dict(kept)
        return model

    def _pass(self, optimizer: torch.optim.Optimizer, read: Tensor, labels: Tensor) -> None:
        self.net.train()
        for chosen in torch.split(torch.randperm(len(read)), _ROWS):
            loss = self._loss(read[chosen], labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.net.eval()

    def _loss(self, read: Tensor, labels: Tensor) -> Tensor:
        said = self.net(read)
        if self.several:
            wanted = labels.to(said.dtype)
            return nn.functional.binary_cross_entropy_with_logits(said, wanted)
        return nn.functional.cross_entropy(said, labels)

    @torch.no_grad()
    def log_probabilities(self, rows: Sequence[Row]) -> Tensor:
        """``[rows, classes]``."""
        said: Tensor = self.net((_stacked(rows) - self.center) / self.scale)
        return nn.functional.logsigmoid(said) if self.several else said.log_softmax(1)

    def arrays(self) -> dict[str, Tensor]:
        """All that it is."""
        own = {"center": self.center, "scale": self.scale, "several": torch.tensor(self.several)}
        return {**self.net.state_dict(), **own}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> Self:
        """What :meth:`arrays` gave."""
        named = dict(arrays)
        center, scale, several = (named.pop(name) for name in ("center", "scale", "several"))
        with torch.random.fork_rng(devices=[]):
            net = _net(len(center), len(named["3.bias"]))
        net.load_state_dict(named)
        return cls(net, center, scale, bool(several))


def _net(numbers: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(numbers, _HIDDEN), nn.ReLU(), nn.Dropout(_DROPPED), nn.Linear(_HIDDEN, classes)
    )


def _stacked(rows: Sequence[Row]) -> Tensor:
    return torch.from_numpy(np.stack([_summary(row) for row in rows]))
