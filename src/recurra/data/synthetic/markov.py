"""Markov chains, and all that is known of them exactly: the best that any model can reach."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.data.synthetic.base import (
    BLOCK,
    Floats,
    FollowedSource,
    Ints,
    Seed,
    block_draws,
    draws,
    seed_number,
)
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = ["MarkovChain", "MarkovSource"]

Bools = npt.NDArray[np.bool_]

# Up to this many contexts a linear system is solved; beyond, the chain is followed until it rests.
_DENSE = 1500
_STEPS, _REST = 100_000, 1e-14


class MarkovChain:
    r"""A Markov chain of order k over m symbols.

    .. math::
        P(x_t \mid x_{t-1}, x_{t-2}, \dots) = P(x_t \mid x_{t-k}, \dots, x_{t-1})

    The k symbols before a step are its context. Probabilities are float64, logarithms natural
    (nats). A chain of order 0 draws every symbol alone.

    Args:
        table: ``[m, ..., m]`` with k + 1 axes, ``table[a, ..., y, z]`` being the probability of z
            after a ... y, the oldest first. Every row along the last axis sums to 1.
        initial: probability of the first k symbols, ``[m, ..., m]`` with k axes; None is the
            stationary distribution, so that every step looks like every other.
        alphabet: names of the symbols; None calls them "0", "1", ...

    Raises:
        SettingError: no such table, probabilities that are negative or do not sum to 1, another
            number of names, or no unique stationary distribution while ``initial`` is None.

    Source: Cover and Thomas, Elements of Information Theory, chapter 4.
    """

    def __init__(
        self, table: Any, *, initial: Any = None, alphabet: Sequence[str] | None = None
    ) -> None:
        array = _probabilities("table", table)
        if array.ndim == 0 or len(set(array.shape)) != 1 or array.size == 0:
            raise SettingError(
                "table: expected [m, ..., m], k axes for the symbols before and one for the next, "
                f"got {list(array.shape)}"
            )
        self.symbols, self.order = array.shape[-1], array.ndim - 1
        sums = array.sum(-1)
        if not np.allclose(sums, 1.0, rtol=0, atol=1e-6):
            wrong = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
            raise SettingError(
                f"table: expected rows that sum to 1, got {sums[wrong]:g} after "
                f"{[int(symbol) for symbol in wrong]}"
            )
        self._rows: Floats = (array / sums[..., None]).reshape(-1, self.symbols)
        self.alphabet = tuple(map(str, range(self.symbols)) if alphabet is None else alphabet)
        if len(self.alphabet) != self.symbols or len(set(self.alphabet)) != self.symbols:
            raise SettingError(
                f"alphabet: expected {self.symbols} different names, got {alphabet!r}"
            )
        start = self._stationary if initial is None else self._checked_initial(initial)
        self._levels = [*_beginnings(start, self.symbols, self.order), self._rows]

    @classmethod
    def drawn(
        cls,
        symbols: int,
        order: int = 1,
        *,
        concentration: float = 1.0,
        seed: Seed = 0,
        alphabet: Sequence[str] | None = None,
    ) -> Self:
        """A chain whose rows are drawn, each for itself, from a symmetric Dirichlet distribution.

        Args:
            symbols: m, at least 1.
            order: k, at least 0; the table has m^(k + 1) numbers.
            concentration: above 0. A small one makes rows with few likely symbols, 1 draws from
                all rows alike, a large one comes near to uniform rows.
            seed: of the rows.
            alphabet: names of the symbols.

        Raises:
            SettingError: a setting outside its range.
        """
        symbols, order = check_size("symbols", symbols), check_size("order", order, 0)
        if check_number("concentration", concentration) <= 0:
            raise SettingError(f"concentration: expected more than 0, got {concentration!r}")
        chance = draws(seed_number(seed), 0)
        rows = chance.dirichlet(np.full(symbols, float(concentration)), symbols**order)
        return cls(rows.reshape((symbols,) * (order + 1)), alphabet=alphabet)

    # ---- what is known -------------------------------------------------------------------------

    @property
    def table(self) -> Tensor:
        """Probability of the next symbol, ``[m, ..., m]`` with k + 1 axes."""
        return torch.tensor(self._rows).reshape((self.symbols,) * (self.order + 1))

    @property
    def stationary(self) -> Tensor:
        r"""The distribution of contexts that a step does not change, k axes ``[m, ..., m]``.

        :math:`\pi(b \dots y\,z) = \sum_a \pi(a\,b \dots y)\, P(z \mid a\,b \dots y)`; over the long
        run it is the share of steps with each context.

        Raises:
            SettingError: it is not unique, as some contexts can never reach each other.
        """
        return torch.tensor(self._stationary).reshape((self.symbols,) * self.order)

    @property
    def entropy_rate(self) -> float:
        r"""Nats per symbol that no model can do without.

        :math:`H = -\sum_c \pi(c) \sum_z P(z \mid c) \ln P(z \mid c)` over contexts c. It is the
        mean of the best possible cross-entropy in the long run; its exponential is the best
        perplexity.

        Raises:
            SettingError: there is no unique stationary distribution.
        """
        logs = np.log(self._rows, out=np.zeros_like(self._rows), where=self._rows > 0)
        # Adding 0 turns the -0.0 of a chain without chance into 0.0.
        return 0.0 - float(self._stationary @ (self._rows * logs).sum(1))

    def next_distribution(self, past: Any) -> Tensor:
        """The exact distribution of the next symbol.

        Args:
            past: symbols so far, ``[time]`` or ``[time, rows]``; shorter than the order, zero
                included, at the start of a sequence.

        Returns:
            ``[m]`` or ``[rows, m]``.

        Raises:
            SettingError: no such symbols, or a beginning that has probability 0.
        """
        ids = self._ids("past", past)
        seen = min(len(ids), self.order)
        context = _numbers_of(ids[len(ids) - seen :], self.symbols)
        rows = self._levels[seen][context]
        if not rows.any(-1).all():
            raise SettingError("past: expected a beginning that can happen, got probability 0")
        return torch.tensor(rows)

    def log_probabilities(self, sequence: Any) -> Tensor:
        r""":math:`\ln P(x_t \mid x_{t-1}, \dots, x_0)` of every step, in nats.

        Args:
            sequence: symbols ``[time]`` or ``[time, rows]``, from the start of the sequence.

        Returns:
            of the same shape; -inf where a symbol cannot follow.

        Raises:
            SettingError: no such symbols.
        """
        ids = self._ids("sequence", sequence)
        contexts = np.zeros_like(ids)
        for back in range(1, min(self.order, len(ids)) + 1):
            contexts[back:] += ids[:-back] * self.symbols ** (back - 1)
        likely = np.zeros(ids.shape)
        for step in range(min(self.order, len(ids))):
            likely[step] = self._levels[step][contexts[step], ids[step]]
        late = slice(self.order, None)
        likely[late] = self._rows[contexts[late], ids[late]]
        return torch.tensor(likely).log()

    def log_probability(self, sequence: Any) -> Tensor:
        """The log-probability of a whole sequence in nats: the sum of its steps.

        Args:
            sequence: symbols ``[time]`` or ``[time, rows]``.

        Returns:
            a number ``[]``, or ``[rows]``.

        Raises:
            SettingError: no such symbols.
        """
        return self.log_probabilities(sequence).sum(0)

    # ---- what is drawn -------------------------------------------------------------------------

    def source(self, *, rows: int = 1, seed: Seed = 0) -> MarkovSource:
        """Independent sequences of this chain, without end.

        Raises:
            SettingError: rows below 1, or no seed.
        """
        return MarkovSource(self, rows=rows, seed=seed)

    def text(self, sequence: Any) -> str:
        """Symbols ``[time]`` by their names, joined.

        Raises:
            SettingError: no such symbols.
        """
        ids = self._ids("sequence", sequence)
        if ids.ndim != 1:
            raise SettingError(f"sequence: expected [time], got {list(ids.shape)}")
        return "".join(self.alphabet[symbol] for symbol in ids.tolist())

    # ---- inside --------------------------------------------------------------------------------

    @functools.cached_property
    def _stationary(self) -> Floats:
        """``[contexts]``."""
        contexts, recurrent = len(self._rows), self._recurrent()
        if recurrent is None:
            raise SettingError(
                "table: expected contexts that can all reach a common one; here the long run hangs "
                "on the start, and no single distribution is stationary. Give `initial`."
            )
        if contexts > _DENSE:
            return _of_sum_one(np.where(recurrent, self._follow(), 0.0))
        system = -np.eye(contexts)
        before = np.repeat(np.arange(contexts), self.symbols)
        np.add.at(system, (self._after(np.arange(contexts)).ravel(), before), self._rows.ravel())
        # One equation follows from the others; in its place: all sum to 1.
        system[-1] = 1.0
        solved: Floats = np.linalg.solve(system, np.append(np.zeros(contexts - 1), 1.0))
        return _of_sum_one(np.where(recurrent, solved.clip(min=0), 0.0))

    def _follow(self) -> Floats:
        """The distribution where the chain rests; half steps, or a periodic chain never would."""
        share = np.full(len(self._rows), 1 / len(self._rows))
        for _ in range(_STEPS):
            moved = (share[:, None] * self._rows).reshape(self.symbols, -1).sum(0)
            after: Floats = (share + moved) / 2
            if np.abs(after - share).sum() < _REST:
                return after
            share = after
        raise SettingError(
            f"table: expected a chain that forgets its start within {_STEPS} steps. With more than "
            f"{_DENSE} contexts a slower one cannot be solved; give `initial`."
        )

    def _after(self, contexts: Ints) -> Ints:
        """Contexts one step later, ``[..., m]``: the oldest symbol leaves, a new one comes."""
        following: Ints = contexts[..., None] * self.symbols + np.arange(self.symbols)
        return following % len(self._rows)

    def _before(self, contexts: Ints) -> Ints:
        """Contexts one step earlier, ``[..., m]``."""
        if self.order == 0:
            return contexts[..., None]
        oldest = np.arange(self.symbols) * (len(self._rows) // self.symbols)
        earlier: Ints = contexts[..., None] // self.symbols + oldest
        return earlier

    def _recurrent(self) -> Bools | None:
        """``[contexts]``: those that come back for ever; None if some can never meet."""
        # The last one found by searching backward from each that is not yet found can be reached
        # by all, if any can.
        found = np.zeros(len(self._rows), np.bool_)
        last = 0
        for context in range(len(self._rows)):
            if not found[context]:
                last = context
                found |= self._reach(context, found, backward=True)
        nothing = np.zeros_like(found)
        if not self._reach(last, nothing, backward=True).all():
            return None
        return self._reach(last, nothing, backward=False)

    def _reach(self, context: int, known: Bools, *, backward: bool) -> Bools:
        """``[contexts]``: which can reach this one, or be reached; known ones are no way."""
        reach = np.zeros_like(known)
        frontier = np.array([context])
        while len(frontier):
            reach[frontier] = True
            if backward:
                near = self._before(frontier)
                near = near[self._rows[near, frontier[:, None] % self.symbols] > 0]
            else:
                near = self._after(frontier)[self._rows[frontier] > 0]
            near = np.unique(near)
            frontier = near[~(reach[near] | known[near])]
        return reach

    def _checked_initial(self, initial: Any) -> Floats:
        array = _probabilities("initial", initial)
        shape = (self.symbols,) * self.order
        if array.shape != shape or abs(array.sum() - 1) > 1e-6:
            raise SettingError(
                f"initial: expected {list(shape)} with sum 1, got {list(array.shape)} with sum "
                f"{array.sum():g}"
            )
        return _of_sum_one(array.ravel())

    def _ids(self, name: str, value: Any) -> Ints:
        ids = np.asarray(value)
        if ids.size == 0:
            ids = ids.astype(np.int64)  # an empty list has no type of its own
        if ids.ndim not in (1, 2) or ids.dtype.kind not in "iu":
            raise SettingError(
                f"{name}: expected whole numbers [time] or [time, rows], got {ids.dtype} "
                f"{list(ids.shape)}"
            )
        wrong = ids[(ids < 0) | (ids >= self.symbols)]
        if wrong.size:
            raise SettingError(
                f"{name}: expected symbols 0 to {self.symbols - 1}, got {int(wrong[0])}"
            )
        return ids.astype(np.int64)


class MarkovSource(FollowedSource):
    """Independent sequences of a Markov chain, without end.

    Elements are symbols, int64 ids, ``[time, rows]``.

    Args:
        chain: the chain.
        rows: number of sequences.
        seed: of their chance.

    Raises:
        SettingError: rows below 1, or no seed.
    """

    def __init__(self, chain: MarkovChain, *, rows: int = 1, seed: Seed = 0) -> None:
        self.chain, self.rows = chain, check_size("rows", rows)
        self._seed = seed_number(seed)
        # Divided by their own end, so that no symbol of probability 0 is left to rounding.
        sums = [level.cumsum(-1) for level in chain._levels]
        self._bounds = [s / np.where(s[:, -1:] > 0, s[:, -1:], 1.0) for s in sums]
        super().__init__(np.zeros(self.rows, np.int64))  # the contexts

    def _walk(self, start: int, stop: int, contexts: Ints) -> tuple[Ints, Ints]:
        """Symbols of steps start to stop - 1, and the contexts behind them."""
        symbols, order = self.chain.symbols, self.chain.order
        chance = block_draws(self._seed, start, stop, lambda c: c.random((BLOCK, self.rows)))
        made = np.zeros((stop - start, self.rows), np.int64)
        for step in range(stop - start):
            bounds = self._bounds[min(start + step, order)][contexts]
            made[step] = (chance[step][:, None] >= bounds).sum(1)
            contexts = (contexts * symbols + made[step]) % symbols**order
        return made, contexts


def _of_sum_one(shares: Floats) -> Floats:
    return shares / float(shares.sum())


def _beginnings(start: Floats, symbols: int, order: int) -> list[Floats]:
    """For each number of symbols below the order: the next one's distribution ``[pasts, m]``."""
    levels = []
    for seen in range(order):
        joint = start.reshape(symbols ** (seen + 1), -1).sum(1).reshape(-1, symbols)
        total = joint.sum(1, keepdims=True)
        levels.append(joint / np.where(total > 0, total, 1.0))
    return levels


def _numbers_of(ids: Ints, symbols: int) -> Ints:
    """Pasts ``[time, ...]`` as numbers ``[...]``, the oldest symbol counting most."""
    powers = symbols ** np.arange(len(ids) - 1, -1, -1)
    number: Ints = np.tensordot(powers, ids, 1)
    return number


def _probabilities(name: str, value: Any) -> Floats:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise SettingError(f"{name}: expected an array of numbers, got {value!r}") from None
    if not (np.isfinite(array) & (array >= 0)).all():
        raise SettingError(f"{name}: expected probabilities of at least 0, got {array.min():g}")
    return array
