"""Tasks that ask for memory: copying, adding, counting, nesting."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import torch

from recurra.batch import Batch
from recurra.data.synthetic.base import Baseline, Floats, Ints, SyntheticTask
from recurra.errors import SettingError
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_size

__all__ = ["AddingTask", "BracketsTask", "CopyTask", "ParityTask"]


@dataclasses.dataclass(frozen=True)
class CopyTask(SyntheticTask):
    r"""Say symbols again after a delay.

    ::

        inputs   a b c . . . . ! . . .
        targets  . . . . . . . . a b c

    Inputs and targets are ids ``[2 length + delay, rows]``: symbols 0 to S - 1, drawn uniformly;
    the blank is S, the mark that asks for them is S + 1. A symbol is said ``length + delay`` steps
    after it was read.

    Baseline: blanks up to the mark, then a uniform guess. With T = 2 length + delay its
    cross-entropy, averaged over steps, is length ln S / T nats, and its accuracy
    (length + delay + length / S) / T.

    Args:
        symbols: S, at least 1.
        length: symbols to copy, at least 1.
        delay: steps from the last symbol to the mark, at least 1.

    Raises:
        SettingError: a setting outside its range.

    Source: Arjovsky, Shah and Bengio, "Unitary evolution recurrent neural networks", ICML 2016,
    after Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997.
    """

    symbols: int = 8
    length: int = 10
    delay: int = 100

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_size(field.name, getattr(self, field.name))

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy, averaged over all steps."""
        steps = 2 * self.length + self.delay
        known = self.length + self.delay
        return Baseline(
            self.length * math.log(self.symbols) / steps,
            (known + self.length / self.symbols) / steps,
        )

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        steps = 2 * self.length + self.delay
        drawn = chance.integers(self.symbols, size=(self.length, rows))
        inputs = np.full((steps, rows), self.symbols)
        targets = inputs.copy()
        inputs[: self.length] = drawn
        inputs[self.length + self.delay - 1] = self.symbols + 1
        targets[-self.length :] = drawn
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets))


@dataclasses.dataclass(frozen=True)
class AddingTask(SyntheticTask):
    """Add the two numbers that are marked.

    Inputs are vectors ``[time, rows, 2]``: a number, uniform in [0, 1), and 1 where it is marked,
    else 0. One mark is in the first half of a row of n steps, 0 to n // 2 - 1, the other behind it.
    Targets are the sums, ``[rows, 1]``, float32.

    Baseline: always answering 1 has a mean squared error of 1/6, the variance of the sum.

    Args:
        length: steps of a row, at least 2.
        shortest: rows have this many steps to ``length``, drawn uniformly, and inputs are a
            PaddedSequence. None: all have ``length``, and inputs are a tensor.

    Raises:
        SettingError: a setting outside its range.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, with
    the numbers and halves of Arjovsky, Shah and Bengio, ICML 2016.
    """

    length: int = 100
    shortest: int | None = None

    def __post_init__(self) -> None:
        _check_lengths(self.length, self.shortest, least=2)

    @property
    def baseline(self) -> Baseline:
        """Mean squared error of always answering 1."""
        return Baseline(1 / 6, None)

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        lengths = _draw_lengths(self.length, self.shortest, rows, chance)
        marks = np.stack([chance.integers(lengths // 2), chance.integers(lengths // 2, lengths)])
        numbers = chance.random((self.length, rows), np.float32)
        inputs = np.zeros((self.length, rows, 2), np.float32)
        inputs[..., 0] = numbers
        inputs[marks, np.arange(rows), 1] = 1.0
        sums = numbers[marks, np.arange(rows)].sum(0)
        targets = torch.from_numpy(sums[:, None])
        return Batch(_rows(inputs, lengths, self.shortest), targets, target_axis=0)


@dataclasses.dataclass(frozen=True)
class ParityTask(SyntheticTask):
    """Say whether the number of ones is odd.

    Inputs are bits, ids 0 and 1, ``[time, rows]``, drawn uniformly. Targets are 1 where the number
    of ones up to the step is odd, else 0: ``[time, rows]``, or ``[rows]`` for the whole row. Who
    misses one bit knows nothing.

    Baseline: even odds have ln 2 nats, and any constant answer is right half of the time.

    Args:
        length: steps of a row, at least 1.
        shortest: rows have this many steps to ``length``, drawn uniformly, and sequences are a
            PaddedSequence. None: all have ``length``, and they are tensors.
        every_step: a target at every step, or one for the row.

    Raises:
        SettingError: a setting outside its range.

    Source: the parity problem of Minsky and Papert, Perceptrons, 1969; for recurrent networks,
    Hochreiter and Schmidhuber, "Bridging long time lags by weight guessing and long short-term
    memory", 1996.
    """

    length: int = 50
    shortest: int | None = None
    every_step: bool = True

    def __post_init__(self) -> None:
        _check_lengths(self.length, self.shortest, least=1)
        check_flag("every_step", self.every_step)

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy of even odds."""
        return Baseline(math.log(2), 0.5)

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        lengths = _draw_lengths(self.length, self.shortest, rows, chance)
        bits = chance.integers(2, size=(self.length, rows))
        odd = bits.cumsum(0) % 2
        targets = (
            _rows(odd, lengths, self.shortest)
            if self.every_step
            else torch.from_numpy(odd[lengths - 1, np.arange(rows)])
        )
        rows_axis = 1 if self.every_step else 0
        return Batch(_rows(bits, lengths, self.shortest), targets, target_axis=rows_axis)


@dataclasses.dataclass(frozen=True)
class BracketsTask(SyntheticTask):
    r"""Brackets of several kinds, nested: what may come next, or does it balance?

    Inputs are ids ``[time, rows]``: with K kinds, i opens kind i and K + i closes it. Of all
    balanced rows of one length and at most ``depth`` open brackets, each is equally likely.

    ``target="next"``: after every step the symbols that may follow, 1 or 0 for each of 2 K + 1,
    float32 ``[time, rows, 2 K + 1]``. Any bracket may open while fewer than ``depth`` are open;
    only the innermost open one may close; symbol 2 K is the end, allowed where none is open.
    Baseline: a constant answer. Its loss is the binary cross-entropy in nats, averaged over steps
    and symbols, where each symbol is given its own share of the steps; its accuracy is the share of
    the most frequent set.

    ``target="balanced"``: ids ``[rows]``, 1 or 0. A row balances by even odds; in one that does not
    two symbols changed places. So counts of symbols tell nothing, though a broken pair of neighbors
    may. Baseline: even odds have ln 2 nats, a constant answer is right half of the time.

    Args:
        kinds: K, at least 1.
        depth: most open brackets, at least 1.
        length: symbols of a row, an even number of at least 2.
        shortest: rows have this many symbols to ``length``, even numbers drawn uniformly, and
            sequences are a PaddedSequence. None: all have ``length``, and they are tensors.
        target: ``"next"`` or ``"balanced"``.

    Raises:
        SettingError: a setting outside its range.

    Source: the Dyck languages of Chomsky and Schützenberger, 1963; sets of next symbols as targets
    after Gers and Schmidhuber, "LSTM recurrent networks learn simple context-free and
    context-sensitive languages", IEEE Transactions on Neural Networks 12, 2001.
    """

    kinds: int = 2
    depth: int = 4
    length: int = 50
    shortest: int | None = None
    target: Literal["next", "balanced"] = "next"

    def __post_init__(self) -> None:
        check_size("kinds", self.kinds), check_size("depth", self.depth)
        _check_lengths(self.length, self.shortest, least=2)
        for name in ("length", "shortest"):
            if (getattr(self, name) or 0) % 2:
                raise SettingError(f"{name}: expected an even number, got {getattr(self, name)!r}")
        if self.target not in ("next", "balanced"):
            raise SettingError(f"target: expected 'next' or 'balanced', got {self.target!r}")

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy of a constant answer."""
        if self.target == "balanced":
            return Baseline(math.log(2), 0.5)
        share = self._depths()
        closing = (1 - share[0]) / self.kinds
        shares = [share[0], *[1 - share[-1]] * self.kinds, *[closing] * self.kinds]
        sets = [share[0], share[1:-1].sum() / self.kinds, share[-1] / self.kinds]
        return Baseline(float(np.mean([_entropy(p) for p in shares])), float(max(sets)))

    def _depths(self) -> Floats:
        """Share of the steps that leave 0, 1, ... ``depth`` brackets open."""
        opening = self._opening()
        total = np.zeros(self.depth + 1)
        lengths = range(self.shortest or self.length, self.length + 1, 2)
        for length in lengths:
            share = np.eye(self.depth + 1)[0]
            for left in range(length, 0, -1):
                opened = share * opening[left]
                share = _moved(opened, 1) + _moved(share - opened, -1)
                total += share
        return total / sum(lengths)

    def _opening(self) -> Floats:
        """Chance that the next bracket opens: ``[symbols left + 1, open brackets + 1]``."""
        ways = np.eye(self.depth + 1)[0]
        chances = [np.zeros(self.depth + 1)]
        for _ in range(self.length):
            opened = _moved(ways, -1)
            ways = opened + _moved(ways, 1)
            chances.append(np.divide(opened, ways, out=np.zeros_like(ways), where=ways > 0))
            ways = ways / ways.max()  # only their ratios matter, and they outgrow any float
        return np.stack(chances)

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        lengths = _draw_lengths(self.length, self.shortest, rows, chance, even=True)
        ids, allowed = self._write(lengths, chance)
        targets: Any
        if self.target == "next":
            targets = _rows(allowed, lengths, self.shortest)
        else:
            balanced = chance.integers(2, size=rows)
            for row in np.flatnonzero(balanced == 0):
                self._spoil(ids[: lengths[row], row], chance)
            targets = torch.from_numpy(balanced)
        rows_axis = 0 if self.target == "balanced" else 1
        return Batch(_rows(ids, lengths, self.shortest), targets, target_axis=rows_axis)

    def _write(self, lengths: Ints, chance: np.random.Generator) -> tuple[Ints, Any]:
        """Balanced rows ``[time, rows]``, and what may follow each step."""
        kinds, rows, every = self.kinds, len(lengths), np.arange(len(lengths))
        opening = self._opening()
        ids = np.zeros((self.length, rows), np.int64)
        allowed = np.zeros((self.length, rows, 2 * kinds + 1), np.float32)
        # Kinds of the open brackets; the last column takes what rows at their end would write.
        stack = np.zeros((rows, self.depth + 2), np.int64)
        height = np.zeros(rows, np.int64)
        chances, drawn = chance.random(ids.shape), chance.integers(kinds, size=ids.shape)
        for step in range(self.length):
            left = lengths - step
            opens = chances[step] < opening[left.clip(min=0), height]
            closes = ~opens & (left > 0)
            stack[every, np.where(opens, height, -1)] = drawn[step]
            innermost = stack[every, height - 1]
            ids[step] = np.where(opens, drawn[step], np.where(closes, kinds + innermost, 0))
            height = height + opens - closes
            allowed[step, :, :kinds] = (height < self.depth)[:, None]
            inside = np.flatnonzero(height > 0)
            allowed[step, inside, kinds + stack[inside, height[inside] - 1]] = 1.0
            allowed[step, :, -1] = height == 0
        return ids, allowed

    def _spoil(self, ids: Ints, chance: np.random.Generator) -> None:
        """Let two symbols change places, so that the row no longer balances."""
        # There is such a pair: with a closing bracket in front nothing balances.
        while self._balances(ids):
            pair = chance.integers(len(ids), size=2)
            ids[pair] = ids[pair[::-1]]
            if self._balances(ids):
                ids[pair] = ids[pair[::-1]]

    def _balances(self, ids: Ints) -> bool:
        stack: list[int] = []
        for symbol in ids.tolist():
            if symbol < self.kinds:
                stack.append(symbol)
            elif not stack or stack.pop() != symbol - self.kinds:
                return False
        return not stack


def _moved(counts: Floats, by: int) -> Floats:
    """Counts by depth, one deeper or one less deep; what would leave the range is lost."""
    moved = np.zeros_like(counts)
    if by > 0:
        moved[1:] = counts[:-1]
    else:
        moved[:-1] = counts[1:]
    return moved


def _entropy(share: float) -> float:
    return -sum(p * math.log(p) for p in (share, 1 - share) if p > 0)


def _check_lengths(length: Any, shortest: Any, least: int) -> None:
    check_size("length", length, least)
    if shortest is not None and check_size("shortest", shortest, least) > length:
        raise SettingError(f"shortest: expected at most the length {length}, got {shortest}")


def _draw_lengths(
    length: int, shortest: int | None, rows: int, chance: np.random.Generator, even: bool = False
) -> Ints:
    stride = 2 if even else 1
    low = length if shortest is None else shortest
    return low + stride * chance.integers((length - low) // stride + 1, size=rows)


def _rows(values: Any, lengths: Ints, shortest: int | None) -> Any:
    """A tensor where all rows are alike, else a PaddedSequence with zeros as padding."""
    if shortest is None:
        return torch.from_numpy(values)
    return PaddedSequence(torch.from_numpy(values), torch.from_numpy(lengths)).masked()
