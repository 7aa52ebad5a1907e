"""A model of what comes next up to an end: the rest of a word, the rest of a line.

A search sees an ordinary model with one end symbol. Behind it all ending symbols are summed, and
the first symbols must spell what a person has typed but no symbol has read yet.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.decoding import Read, Steps, read
from recurra.pipeline.words import Pieces
from recurra.states import Tree, select_rows
from recurra_runtime.vocabulary import END

__all__ = ["Bounded", "prefix_log_prob", "prefix_masks"]

_ROWS = 64  # ways to spell a prefix that are followed at once
_NEGLECTED = 10.0  # nats below all that was found, where a way is no longer followed


class _Placed(NamedTuple):
    """The model's own state, and how much of the prefix each row has spelled, ``[batch]``."""

    inner: Tree
    place: Tensor


class Bounded:
    """Another model's probabilities, cut to what is allowed.

    A row's place is the sum of ``sizes`` of the symbols it has read, at most ``places - 1``.

    Args:
        model: what gives the probabilities.
        allowed: what may come at each place, bool ``[places, v]``.
        sizes: how far each symbol goes, ``[v]``.
        ends: symbols whose probabilities are summed at ``</s>``, bool ``[v]``.
    """

    def __init__(self, model: Steps, allowed: Tensor, sizes: Tensor, ends: Tensor) -> None:
        self._model, self._barred, self._sizes = model, ~allowed.numpy(), sizes
        self._ends = np.flatnonzero(ends.numpy())

    def begin(self, now: Read) -> Read:
        """Go on from what the other model has read, one row, at place 0."""
        place = torch.zeros(1, dtype=torch.int64)
        return Read(self._cut(now.log_probs, place), _Placed(now.state, place))

    def start(self, batch: int) -> Tree:
        """The state before the first symbol."""
        return _Placed(self._model.start(batch), torch.zeros(batch, dtype=torch.int64))

    def step(self, token: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """Read ``token`` ``[batch]``; what is not allowed next has log-probability -inf."""
        log_probs, inner = self._model.step(token, state.inner)
        place = (state.place + self._sizes[token.cpu()]).clamp(max=len(self._barred) - 1)
        return self._cut(log_probs, place), _Placed(inner, place)

    def _cut(self, log_probs: Tensor, place: Tensor) -> Tensor:
        scores = log_probs.float().cpu().numpy()
        found = scores.copy()
        found[:, END] = np.logaddexp.reduce(scores[:, self._ends], 1, np.float64)
        found[self._barred[place.numpy()]] = -np.inf
        return torch.from_numpy(found)


def prefix_masks(pieces: Pieces, prefix: bytes) -> tuple[Tensor, Tensor]:
    """Which symbols spell a part of a prefix, and which all that is left of it and perhaps more.

    Returns:
        two masks, bool ``[len(prefix), v]``: at each place of the prefix.
    """
    parts = torch.zeros(len(prefix), len(pieces.raw), dtype=torch.bool)
    covers = parts.clone()
    for place in range(len(prefix)):
        parts[place, pieces.parts(prefix[place:])] = True
        covers[place, pieces.starting(prefix[place:])] = True
    return parts, covers


@torch.no_grad()
def prefix_log_prob(
    model: Steps, now: Read, pieces: Pieces, parts: Tensor, covers: Tensor
) -> float:
    """Log-probability that the next symbols spell a prefix, summed over all ways to spell it.

    Ways that add less than 1 in 20,000 are left out. Masks as of :func:`prefix_masks`.
    """
    if not len(covers):
        return 0.0
    total = torch.tensor(-math.inf, dtype=torch.float64)
    weights, places = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    while True:
        scores = weights[:, None] + now.log_probs.double().cpu()
        whole = scores.masked_fill(~covers[places], -math.inf)
        total = torch.logaddexp(total, whole.flatten().logsumexp(0))
        scores = scores.masked_fill(~parts[places], -math.inf)
        best = scores.flatten().topk(min(_ROWS, scores.numel()))
        kept = best.indices[best.values > max(float(total) - _NEGLECTED, -math.inf)]
        if not len(kept):
            return float(total)
        rows, symbols = kept // scores.shape[1], kept % scores.shape[1]
        weights = scores.flatten()[kept]
        places = places[rows] + pieces.sizes[symbols]
        now = read(model, symbols[:, None].tolist(), select_rows(now.state, rows))
