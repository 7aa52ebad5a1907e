"""Small models to decode, and a model's own probability of a text, symbol by symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Carried(NamedTuple):
    """A state of every kind of part."""

    h: Tensor
    nothing: None
    inner: tuple[Tensor]


class Recurrence(nn.Module):
    """``h' = tanh(E s + U h)``, in float64, with weights large enough that history matters.

    Args:
        size: number of symbols.
        seed: of the weights.
        sharpness: how far probabilities are from equal.
        impossible: ids of probability 0.
        dropout: rate on h where it is scored.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        sharpness: float = 1.5,
        impossible: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def drawn(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(sizes, generator=generator, dtype=torch.float64))

        self.embedding, self.recurrent, self.scores = drawn(size, 4), drawn(4, 4), drawn(4, size)
        self.sharpness, self.impossible = sharpness, list(impossible)
        self.dropout = nn.Dropout(dropout)
        self.asked: list[list[int]] = []

    def start(self, batch: int) -> Carried:
        return Carried(
            torch.zeros(batch, 4, dtype=torch.float64),
            None,
            (torch.zeros(batch, dtype=torch.int64),),
        )

    def step(self, token: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        assert not torch.is_grad_enabled()
        assert type(state) is Carried
        assert token.shape == (len(state.h),) == state.inner[0].shape
        self.asked.append(token.tolist())
        h = torch.tanh(self.embedding[token] + state.h @ self.recurrent)
        scores = self.sharpness * self.dropout(h) @ self.scores
        scores[:, self.impossible] = -torch.inf
        return scores.log_softmax(1), Carried(h, None, (state.inner[0] + 1,))


class Told:
    """Steps whose next symbol depends on the last one alone: a row of probabilities a symbol."""

    def __init__(self, *rows: Sequence[float]) -> None:
        self.log_probs = torch.tensor(rows, dtype=torch.float64).log()
        self.asked: list[list[int]] = []

    def start(self, batch: int) -> None:
        return None

    def step(self, token: Tensor, state: None) -> tuple[Tensor, None]:
        self.asked.append(token.tolist())
        return self.log_probs[token], None


class Broken(Told):
    """What gives NaN after symbol 1."""

    def step(self, token: Tensor, state: None) -> tuple[Tensor, None]:
        log_probs, _ = super().step(token, state)
        return log_probs.masked_fill((token == 1)[:, None], torch.nan), None


@torch.no_grad()
def after(model: Any, symbols: Sequence[int]) -> Tensor:
    """Log-probabilities ``[v]`` of the symbol after these, read alone from the start."""
    state = model.start(1)
    for symbol in symbols:
        log_probs, state = model.step(torch.tensor([symbol]), state)
    result: Tensor = log_probs[0]
    return result
