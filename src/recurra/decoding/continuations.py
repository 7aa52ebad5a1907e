"""The most probable words to come: best-first search up to any of several ending symbols."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.decoding.protocol import (
    Bools,
    Floats,
    Read,
    Steps,
    Wholes,
    _ask,
    _largest,
    _mask,
    _one,
    read,
)
from recurra.errors import SettingError
from recurra.settings import check_flag, check_size
from recurra.states import Tree, map_tree, select_rows

__all__ = ["Continuation", "continuations"]


class Continuation(NamedTuple):
    """Symbols that may come next, up to an ending symbol.

    Args:
        symbols: ids, none of them an ending one.
        log_prob: that they come and any ending symbol after them, in nats.
        exact: whether no other continuation can stand before this one; False only where the search
            was stopped early.
    """

    symbols: tuple[int, ...]
    log_prob: float
    exact: bool


@torch.no_grad()
def continuations(
    model: Steps,
    prompt: Sequence[int] | Read,
    *,
    ends: Collection[int] | Tensor,
    count: int = 3,
    never: Collection[int] | Tensor = (),
    first: Collection[int] | Tensor | None = None,
    empty: bool = False,
    limit: int = 50,
    steps: int = 200,
    batch: int = 16,
    state: Tree = None,
) -> list[Continuation]:
    r"""The most probable continuations up to an ending symbol, such as words up to their end.

    A word is followed by a space, a comma or a period; its probability is the sum over all ends:

    .. math::

        P(w_1 \dots w_n) = p(w_1 \dots w_n) \sum_{e \in \mathrm{ends}} p(e \mid w_1 \dots w_n),
        \qquad w_i \notin \mathrm{ends}

    No continuation is more probable than what it begins with. So the most probable open beginnings
    are followed first, ``batch`` of them in a step of the model, until none of them is more
    probable than the last of the ``count`` continuations found: the result is exact.

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompt: ids to read first, the start symbol included, at least one; or what was read.
        ends: ids of the ending symbols, or a mask ``[v]`` of them.
        count: number of continuations to give.
        never: ids that are never written and end nothing, or a mask ``[v]`` of them. The
            probabilities of the others stay what they are.
        first: ids that may come first, or a mask ``[v]`` of them; all if None.
        empty: whether an ending symbol right after the prompt counts as a continuation.
        limit: number of symbols of a continuation, the ending one not counted; longer ones are not
            looked for.
        steps: number of the model's steps after which the search stops with what it has found.
        batch: number of beginnings that are followed in one step: more mean fewer steps, and more
            that is followed in vain. 8 to 32 suit a CPU, more a GPU.
        state: to begin from; ``model.start(1)`` if None.

    Returns:
        at most ``count`` continuations, most probable first; fewer where fewer are possible, or
        where the search was stopped.

    Raises:
        SettingError: an empty prompt, no ending symbol, a number out of range, an id that is none
            of the model's.
        RunError: the model gives NaN.
    """
    what = "continuations"
    for name, value in (("count", count), ("limit", limit), ("batch", batch)):
        check_size(f"{what}: {name}", value)
    check_size(f"{what}: steps", steps, 0)
    check_flag(f"{what}: empty", empty)
    now = read(model, _one(what, prompt, state), state)
    size = now.log_probs.shape[1]
    barred = _mask(f"{what}: never", never, size).numpy()
    ending = _mask(f"{what}: ends", ends, size).numpy()
    endings = np.flatnonzero(ending & ~barred)
    if len(endings) == 0:
        raise SettingError(f"{what}: expected an ending symbol that is not in `never`, got none")
    opening = np.ones_like(ending)
    if first is not None:
        opening = _mask(f"{what}: first", first, size).numpy()
    found = _Found(count)
    beginnings = _Beginnings(ending | barred, limit, share=4 * batch)

    def follow(prefixes: list[tuple[int, ...]], log_probs: Floats, now: Read) -> None:
        after = now.log_probs.cpu().double().numpy() + log_probs[:, None]
        root = prefixes == [()]
        if empty or not root:
            found.add(prefixes, np.logaddexp.reduce(after[:, endings], 1))
        if root:
            after[:, ~opening] = -np.inf
        beginnings.add(prefixes, now.state, after, found.least)

    follow([()], np.zeros(1), now)
    for _ in range(steps):
        taken = beginnings.take(batch, found.least)
        if taken is None:
            break
        prefixes, log_probs, before = taken
        follow(prefixes, log_probs, _ask(model, [prefix[-1:] for prefix in prefixes], before))
    return found.given(beginnings.best(found.least))


class _Found:
    """The best continuations so far."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.best: list[tuple[float, tuple[int, ...]]] = []

    @property
    def least(self) -> float:
        """What a further continuation must be more probable than."""
        return self.best[-1][0] if len(self.best) == self.count else -torch.inf

    def add(self, prefixes: list[tuple[int, ...]], log_probs: Floats) -> None:
        self.best += [
            (log_prob, prefixes[place])
            for place, log_prob in enumerate(log_probs.tolist())
            if log_prob > self.least
        ]
        self.best.sort(key=lambda pair: -pair[0])
        del self.best[self.count :]

    def given(self, bound: float) -> list[Continuation]:
        """All of them, when no other one is more probable than ``bound``."""
        return [Continuation(prefix, value, value >= bound) for value, prefix in self.best]


class _Group(NamedTuple):
    """Prefixes that were read in one step of the model, and how they may go on.

    Args:
        prefixes: the symbols of each.
        state: after them, a row each.
        after: log-probabilities of prefix and one more symbol, ``[prefixes * v]``; -inf for what
            may not come, and for what is among the open beginnings already.
    """

    prefixes: list[tuple[int, ...]]
    state: Tree
    after: Floats


class _Beginnings:
    """The open beginnings: a prefix that was read, and one symbol that was not.

    All of them together would be v for each prefix. So a group opens only its ``share`` most
    probable ones, and beside them a marker (place -1) as probable as the last of these, which
    stands for all the others: where the marker is among the best, the group opens more.

    Args:
        barred: symbols no beginning goes on with, bool ``[v]``.
        limit: number of symbols of the longest beginning.
        share: number of beginnings that a group opens at once.
    """

    def __init__(self, barred: Bools, limit: int, share: int) -> None:
        self.barred, self.limit, self.share = barred, limit, share
        self.groups: list[_Group] = []
        self.log_probs = np.empty(0)
        self.places = np.empty((2, 0), np.int64)  # group, place in its `after`

    def add(
        self, prefixes: list[tuple[int, ...]], state: Tree, after: Floats, least: float
    ) -> None:
        """Add the prefixes of one step, ``after`` ``[prefixes, v]``; see :class:`_Group`."""
        after[:, self.barred] = -np.inf
        after[[len(prefix) >= self.limit for prefix in prefixes]] = -np.inf
        self.groups.append(_Group(prefixes, state, after.reshape(-1)))
        self._open(len(self.groups) - 1, least)

    def take(self, batch: int, least: float) -> tuple[list[tuple[int, ...]], Floats, Tree] | None:
        """Take out the ``batch`` most probable beginnings above ``least``; None if none is left.

        Returns:
            the beginnings, their log-probabilities, and the state before the last symbol of each.
        """
        while True:
            self._keep(self.log_probs > least)
            if len(self.log_probs) == 0:
                return None
            best = _largest(self.log_probs, batch)
            markers = best[self.places[1, best] < 0]
            if len(markers) == 0:
                break
            groups = self.places[0, markers].tolist()
            self._remove(markers)
            for group in groups:
                self._open(group, least)
        best = best[self.places[0, best].argsort(kind="stable")]  # of one group side by side
        log_probs, places = self.log_probs[best], self.places[:, best]
        self._remove(best)
        return self._prefixes(places), log_probs, self._state(places)

    def best(self, least: float) -> float:
        """The log-probability of the best one left, if it is above ``least``."""
        return max((p for p in self.log_probs.tolist() if p > least), default=-np.inf)

    def _prefixes(self, places: Wholes) -> list[tuple[int, ...]]:
        size = len(self.barred)
        return [
            (*self.groups[group].prefixes[place // size], place % size)
            for group, place in places.T.tolist()
        ]

    def _state(self, places: Wholes) -> Tree:
        """The rows of the groups' states, in the order of ``places``, which are by group."""
        pairs = zip(places[0].tolist(), (places[1] // len(self.barred)).tolist(), strict=True)
        parts = [
            select_rows(self.groups[group].state, torch.tensor([row for _, row in chosen]))
            for group, chosen in groupby(pairs, key=itemgetter(0))
        ]
        return parts[0] if len(parts) == 1 else map_tree(lambda *ls: torch.cat(ls), *parts)

    def _open(self, number: int, least: float) -> None:
        """Open the next beginnings of a group."""
        group = self.groups[number]
        places = _largest(group.after, self.share)
        values = group.after[places]
        if len(values) == self.share and values[-1] > least:
            group.after[places] = -np.inf
            values, places = np.append(values, values[-1]), np.append(places, -1)
        else:  # nothing that is left can matter
            above = values > least
            values, places = values[above], places[above]
            self.groups[number] = group._replace(after=np.empty(0))
        self.log_probs = np.concatenate([self.log_probs, values])
        new = np.stack([np.full_like(places, number), places])
        self.places = np.concatenate([self.places, new], 1)

    def _remove(self, chosen: Wholes) -> None:
        mask = np.ones(len(self.log_probs), bool)
        mask[chosen] = False
        self._keep(mask)

    def _keep(self, mask: Bools) -> None:
        self.log_probs, self.places = self.log_probs[mask], self.places[:, mask]
