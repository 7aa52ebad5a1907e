"""Symbols that are expected in a text, such as names, and how much they are favored."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.errors import SettingError, SettingTypeError
from recurra.settings import check_number, check_size

__all__ = ["HotWords"]

Wholes = NDArray[np.int64]


class HotWords:
    """Runs of symbols that a search favors, wherever they stand.

    Each symbol of a run that has begun gets the bonus at once, so that the run is not given up
    before it is complete; where it breaks off, all of that is taken back. An automaton (Aho &
    Corasick 1975) finds runs inside each other too.

    Args:
        words: runs of symbols, none of them empty.
        size: how many symbols there are, all numbers below it.
        bonus: of each symbol of a run, in nats.

    Attributes:
        next: state after each symbol ``[states, size]``.
        bonus: what a symbol adds ``[states, size]``, less what breaks off.
        begun: of each state what would be taken back if nothing came any more.

    Raises:
        SettingError: no words, an empty one, symbols that are none, or a bonus that is no number.
    """

    def __init__(self, words: Iterable[Sequence[int]], size: int, bonus: float = 2.0) -> None:
        try:
            runs = [tuple(map(operator.index, word)) for word in words]
        except TypeError:
            raise SettingTypeError(
                f"HotWords: expected runs of symbols, whole numbers, got {words!r:.60}. "
                "RecognizingModel.hot_words makes them of texts."
            ) from None
        check_size("HotWords: size", size, 0)
        check_number("HotWords: bonus", bonus)
        for run in runs or [()]:
            if not run or not all(0 <= symbol < size for symbol in run):
                raise SettingError(
                    f"HotWords: expected words of symbols from 0 to {size - 1}, got {list(run)}"
                )
        children, depth, whole = _tree(runs)
        self.next = np.zeros((len(children), size), np.int64)
        fall = [0] * len(children)  # the longest end of a state's run that begins another
        done = np.where(whole, depth, 0)  # of the longest word that a state completes
        waiting = deque([0])
        while waiting:
            state = waiting.popleft()
            if state:
                self.next[state] = self.next[fall[state]]
                done[state] = done[state] or done[fall[state]]
            for symbol, child in children[state].items():
                fall[child] = int(self.next[state, symbol])
                self.next[state, symbol] = child
                waiting.append(child)
        open_ = np.where(whole, 0, depth)
        self.begun = float(bonus) * open_
        self.bonus = float(bonus) * ((done + open_)[self.next] - open_[:, None])
        self._size = size

    def check(self, size: int, blank: int) -> None:
        """Whether they are of such symbols.

        Raises:
            SettingError: they are of more or fewer.
        """
        if self._size not in (size, size - 1) or (self._size == size - 1 and blank != size - 1):
            raise SettingError(
                f"HotWords: expected words of {size - 1} symbols and the blank, got a size of "
                f"{self._size}"
            )


def _tree(runs: Sequence[tuple[int, ...]]) -> tuple[list[dict[int, int]], Wholes, Wholes]:
    """Of each state what follows it, how many symbols it has, and whether it is a whole run."""
    children: list[dict[int, int]] = [{}]
    depth, whole = [0], [0]
    for run in runs:
        state = 0
        for symbol in run:
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                depth.append(depth[state] + 1)
                whole.append(0)
            state = children[state][symbol]
        whole[state] = 1
    return children, np.array(depth), np.array(whole)
