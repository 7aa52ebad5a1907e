"""The open texts of a prefix beam search, as arrays."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.decoding.fusion import Scorer
from recurra.decoding.hot_words import HotWords

__all__ = ["Prefixes"]

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

_ROOT = -1  # in place of the last symbol of the empty text


class _Beam(NamedTuple):
    """Texts that are open, a row each.

    Args:
        node: number of the text; ``parent`` that of the text without its last symbol.
        parent: see above.
        last: symbol, -1 of the empty text.
        blank: log-probability of its alignments that end with the blank.
        symbol: of those that end with its last symbol.
        more: what the language model, the bonus and hot words have added.
        hot: the state of the hot words.
    """

    node: Wholes
    parent: Wholes
    last: Wholes
    blank: Floats
    symbol: Floats
    more: Floats
    hot: Wholes


class Prefixes:
    """What :class:`recurra.PrefixSearch` does at each step: all texts are one array.

    This is its definition. Without a language model ``recurra_runtime._native.PrefixSearch`` does
    the same with the same sums, and gives the same numbers.

    Args:
        size: symbols of a step, the blank among them.
        blank: as of :class:`recurra.PrefixSearch`, like all that follow.
        width: see there.
        threshold: infinity gives up nothing.
        least: minus infinity leaves none out.
        hot: see there.
        language: has begun; it is read on.
    """

    def __init__(
        self,
        size: int,
        blank: int,
        width: int,
        threshold: float,
        least: float,
        hot: HotWords | None = None,
        language: Scorer | None = None,
    ) -> None:
        self._size, self._blank, self._width = size, blank, width
        self._threshold, self._least = threshold, least
        self._hot, self.language = hot, language
        symbols = np.arange(size)
        self._symbols: Wholes = symbols[symbols != blank]
        self._nodes: dict[int, int] = {}  # text and symbol -> the longer text
        self._said: list[tuple[int, int]] = [(_ROOT, _ROOT)]  # of each text parent and symbol
        self._slots = np.full(1024, -1, np.int64)  # where an open text stands
        zero, none = np.zeros(1), np.full(1, -np.inf)
        empty = np.full(1, _ROOT, np.int64)
        start = np.zeros(1, np.int64)
        self._beam = _Beam(start, empty, empty, zero, none, zero, start)

    def __copy__(self) -> Prefixes:
        """The same texts; what either reads further the other does not. Arrays are never changed.

        Only these are: which texts there are, where they stand, and what a language model has read.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._nodes, twin._said = dict(self._nodes), list(self._said)
        twin._slots, twin.language = self._slots.copy(), copy.copy(self.language)
        return twin

    def push(self, steps: Floats) -> bool:
        """Read further steps ``[time, size]``; False, and nothing is read, if one holds NaN."""
        if np.isnan(steps).any():
            return False
        for step in steps:
            self._advance(step)
        return True

    def best(self, keep: int) -> list[tuple[tuple[int, ...], float, float]]:
        """Symbols, log-probability and score of the best texts, best first."""
        beam = self._beam
        log_probs = np.logaddexp(beam.blank, beam.symbol)
        scores = log_probs + beam.more
        if self.language is not None:
            scores = scores + self.language.ends()
        if self._hot is not None:
            scores = scores - self._hot.begun[beam.hot]
        order = np.argsort(-scores, kind="stable")[:keep]
        return [
            (self._text(int(beam.node[at])), float(log_probs[at]), float(scores[at]))
            for at in order
            if scores[at] > -np.inf
        ]

    def _text(self, node: int) -> tuple[int, ...]:
        found = []
        while node > 0:
            node, symbol = self._said[node]
            found.append(symbol)
        return tuple(reversed(found))

    def _advance(self, step: Floats) -> None:
        """One step: texts that stay as they are, and those that a symbol makes longer."""
        beam = self._beam
        total = np.logaddexp(beam.blank, beam.symbol)
        of_last = np.where(beam.last >= 0, step[beam.last], -np.inf)
        blank = total + step[self._blank]
        symbol = beam.symbol + of_last
        tokens = self._tokens(step)
        longer = total[:, None] + step[tokens]
        place = np.full(len(step) + 1, -1, np.int64)  # the last is of the empty text
        place[tokens] = np.arange(len(tokens))
        own = place[beam.last]
        rows = np.flatnonzero(own >= 0)
        longer[rows, own[rows]] = beam.blank[rows] + of_last[rows]  # twice needs a blank between
        child, parent = self._families(beam)
        if len(child):
            last = beam.last[child]
            above = np.where(beam.last[parent] == last, beam.blank[parent], total[parent])
            symbol[child] = np.logaddexp(symbol[child], above + step[last])
            known = place[last] >= 0
            longer[parent[known], place[last[known]]] = -np.inf
        self._choose(beam, blank, symbol, longer, tokens)

    def _tokens(self, step: Floats) -> Wholes:
        """Symbols that may begin at a step."""
        symbols: Wholes = self._symbols
        return symbols if self._least == -np.inf else symbols[step[symbols] >= self._least]

    def _families(self, beam: _Beam) -> tuple[Wholes, Wholes]:
        """Rows of texts whose text without the last symbol is open too, and its rows."""
        slots = self._slots
        slots[beam.node] = np.arange(len(beam.node))
        above = slots[beam.parent]
        above[beam.parent < 0] = -1
        slots[beam.node] = -1
        child = np.flatnonzero(above >= 0)
        return child, above[child]

    def _choose(
        self, beam: _Beam, blank: Floats, symbol: Floats, longer: Floats, tokens: Wholes
    ) -> None:
        """The best of all of them become the beam."""
        added = self._added(beam, tokens)
        stay = np.logaddexp(blank, symbol) + beam.more
        grown = longer + beam.more[:, None]
        if added is not None:
            grown += added
        count = len(stay)
        scores = np.concatenate([stay, grown.ravel()])
        chosen = _best(scores, self._width, self._threshold)
        stays = chosen[chosen < count]
        row, column = np.divmod(chosen[chosen >= count] - count, max(len(tokens), 1))
        token = tokens[column]
        more = beam.more[row]
        if added is not None:
            more = more + added[row, column]
        hot = beam.hot[row] if self._hot is None else self._hot.next[beam.hot[row], token]
        if self.language is not None:
            self.language.advance(stays, row, token)
        made = _Beam(
            self._named(beam.node[row], token),
            beam.node[row],
            token,
            np.full(len(row), -np.inf),
            longer[row, column],
            more,
            hot,
        )
        kept = beam._replace(blank=blank, symbol=symbol)
        self._beam = _Beam(
            *(np.concatenate([old[stays], new]) for old, new in zip(kept, made, strict=True))
        )

    def _added(self, beam: _Beam, tokens: Wholes) -> Floats | None:
        """What language model, bonus and hot words say of each symbol after each text."""
        found: Floats | None = None
        if self.language is not None:
            found = self.language.scores[:, tokens]
        if self._hot is not None:
            bonus = self._hot.bonus[beam.hot[:, None], tokens]
            found = bonus if found is None else found + bonus
        return found

    def _named(self, nodes: Wholes, tokens: Wholes) -> Wholes:
        """Numbers of texts that are these with one symbol more."""
        keys = (nodes * self._size + tokens).tolist()
        found = []
        for key in keys:
            node = self._nodes.get(key)
            if node is None:
                node = self._nodes[key] = len(self._said)
                self._said.append(divmod(key, self._size))
            found.append(node)
        if len(self._said) > len(self._slots):
            self._slots = np.full(2 * len(self._said), -1, np.int64)
        return np.array(found, np.int64)


def _best(scores: Floats, width: int, threshold: float) -> Wholes:
    """Places of the best, in their order; of equal scores the first ones stay. NaN is none."""
    lowest = -np.inf
    if threshold < np.inf:
        lowest = np.fmax.reduce(scores, initial=-np.inf) - threshold
    places: Wholes = np.flatnonzero(scores >= lowest if lowest > -np.inf else scores > -np.inf)
    if len(places) <= width:
        return places
    of = scores[places]
    last = np.partition(of, len(of) - width)[len(of) - width]
    found: Wholes = places[of >= last]
    if len(found) > width:
        equal = np.flatnonzero(scores[found] == last)
        found = np.delete(found, equal[width - len(found) :])
    return found
