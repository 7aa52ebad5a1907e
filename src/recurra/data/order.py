"""In which order whole rows are read: those of like length beside each other, drawn anew."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from recurra_runtime.vocabulary import Ids

__all__ = ["LikeLengths"]


class LikeLengths:
    """Batches of rows of like length, in another order in every pass.

    Rows are shuffled, then sorted by length within pools of some hundred batches, so that little is
    padded and chance still decides who meets whom; the order of the batches is drawn too. Each pass
    draws from its own generator, made of the seed and the number of the pass.

    Args:
        lengths: of all rows.
        rows: in a batch; the last of a pass may have fewer.
        seed: of the draws.
    """

    def __init__(self, lengths: npt.NDArray[np.integer], *, rows: int, seed: int) -> None:
        self._lengths, self._rows, self._seed = lengths, rows, seed
        self._pass = functools.lru_cache(maxsize=2)(self._draw)

    def __len__(self) -> int:
        """Batches in a pass."""
        return -(-len(self._lengths) // self._rows)

    def rows_of(self, step: int) -> Ids:
        """Numbers of the rows of a step, counted through all passes."""
        number, place = divmod(step, len(self))
        return self._pass(number)[place]

    def padding(self, more: int = 0) -> float:
        """Share of the steps of the first pass that are padding.

        Args:
            more: steps that each row has beyond its length.
        """
        longest = [int(self._lengths[rows].max() + more) * len(rows) for rows in self._pass(0)]
        steps = int(self._lengths.sum()) + more * len(self._lengths)
        return 1 - steps / max(sum(longest), 1)

    def _draw(self, number: int) -> list[Ids]:
        generator = np.random.default_rng([self._seed, number])
        order = generator.permutation(len(self._lengths))
        pool = self._rows * 100
        for first in range(0, len(order), pool):
            part = order[first : first + pool]
            order[first : first + pool] = part[np.argsort(self._lengths[part], kind="stable")]
        groups = [order[n : n + self._rows] for n in range(0, len(order), self._rows)]
        return [groups[n] for n in generator.permutation(len(groups))]
