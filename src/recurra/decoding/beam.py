"""Beam search: the most probable texts, as far as a given number of open ones can find them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.decoding.protocol import (
    Floats,
    Kept,
    Read,
    Steps,
    Wholes,
    _ask,
    _largest,
    _mask,
    _one,
    _prompts,
    read,
)
from recurra.errors import SettingError
from recurra.settings import check_kind, check_number, check_size
from recurra.states import Tree, rebuild, select_rows

__all__ = ["Hypothesis", "LengthRule", "beam_search", "beam_search_batch"]

_FEW = 16  # symbols that are never written; more of them are masked


@dataclass(frozen=True)
class LengthRule:
    r"""How texts of different lengths compare: by their log-probability over a growing length.

    .. math:: \mathrm{score} = \log p \Big/ \Big(\frac{k + n}{k + 1}\Big)^{\alpha}

    n is the number of symbols, the end symbol included. A sum of log-probabilities falls with
    every symbol and so prefers short texts; the larger :math:`\alpha`, the less so.

    =====================  ====================================================================
    ``LengthRule()``       the sum: the most probable text
    ``LengthRule(1)``      the mean log-probability of a symbol
    ``LengthRule(a)``      the sum over :math:`n^a`
    ``LengthRule(a, 5)``   the sum over :math:`((5 + n) / 6)^a`, that of GNMT (Wu et al. 2016)
    =====================  ====================================================================

    Args:
        alpha: from 0 to 10.
        k: how many symbols count before the first; at least 0.

    Raises:
        SettingError: a number out of its range.
    """

    alpha: float = 0.0
    k: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= check_number("LengthRule: alpha", self.alpha) <= 10:
            raise SettingError(f"LengthRule: expected an alpha of 0 to 10, got {self.alpha}")
        if check_number("LengthRule: k", self.k) < 0:
            raise SettingError(f"LengthRule: expected a k of at least 0, got {self.k}")

    def score(self, log_prob: float, length: int) -> float:
        """The score of a text of ``length`` symbols (at least 1), the end symbol included."""
        return float(log_prob / ((self.k + length) / (self.k + 1)) ** self.alpha)


class Hypothesis(NamedTuple):
    """A text that was found.

    Args:
        symbols: ids after the prompt, without the end symbol.
        log_prob: of all symbols, the end symbol included, in nats.
        score: what it is ranked by, see :class:`LengthRule`.
        finished: whether it ends with the end symbol; else it was cut off at the limit.
    """

    symbols: tuple[int, ...]
    log_prob: float
    score: float
    finished: bool


def beam_search(
    model: Steps,
    prompt: Sequence[int] | Read,
    *,
    width: int,
    end: int | None,
    never: Collection[int] | Tensor = (),
    limit: int = 200,
    length_rule: LengthRule = LengthRule(),
    keep: int = 1,
    state: Tree = None,
) -> list[Hypothesis]:
    """Search for the texts of the highest score; :func:`beam_search_batch` with one prompt.

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompt: ids to read first, the start symbol included, at least one; or what was read.
        width: as in :func:`beam_search_batch`, like all that follow.
        end: the id that ends a text, or None.
        never: ids that are never written, or a mask ``[v]`` of them.
        limit: number of symbols after which a text is cut off, the end symbol included.
        length_rule: how texts of different lengths compare.
        keep: number of texts to give.
        state: to begin from; ``model.start(1)`` if None.

    Returns:
        at most ``keep`` texts, best first.

    Raises:
        SettingError: an empty prompt, a number out of range, an id that is none of the model's.
        RunError: the model gives NaN.
    """
    how = _Search("beam_search", width, end, never, limit, length_rule, keep).checked()
    return _search(model, _one(how.what, prompt, state), state, how)[0]


def beam_search_batch(
    model: Steps,
    prompts: Sequence[Sequence[int]] | Read,
    *,
    width: int,
    end: int | None,
    never: Collection[int] | Tensor = (),
    limit: int = 200,
    length_rule: LengthRule = LengthRule(),
    keep: int = 1,
    state: Tree = None,
) -> list[list[Hypothesis]]:
    """Search after many prompts at once; all open texts of all prompts are one batch.

    At each step every open text is continued by every symbol, and of all these the ``width`` most
    probable ones stay (Sutskever et al. 2014): those that end are found, the others are open. A
    width of 1 takes the most probable symbol every time; one of :math:`v^{limit}` leaves nothing
    out, and the result is exact. Texts that are still open at the limit are found too, as
    unfinished ones. An open text is given up only when none of its continuations, of whatever
    length up to the limit, can have a higher score than ``keep`` texts which were found. A rule
    that favors long texts, with a large limit, therefore searches long.

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompts: ids to read first, of any lengths, at least one each; or what was read.
        width: number of texts that stay at each step.
        end: the id that ends a text; with None no text ends before the limit.
        never: ids that are never written, or a mask ``[v]`` of them. The probabilities of the
            others stay what they are.
        limit: number of symbols after which a text is cut off, the end symbol included.
        length_rule: how texts of different lengths compare; by their plain probability unless
            given.
        keep: number of texts to give, at most ``width``.
        state: to begin from, a row a prompt; ``model.start(len(prompts))`` if None.

    Returns:
        for each prompt at most ``keep`` texts, best first; fewer where fewer are possible.

    Raises:
        SettingError: an empty prompt, a number out of range, an id that is none of the model's.
        ShapeError: a state of another number of rows.
        RunError: the model gives NaN.
    """
    how = _Search("beam_search_batch", width, end, never, limit, length_rule, keep).checked()
    if not isinstance(prompts, Read):
        check_kind(f"{how.what}: prompts", prompts, (Sequence, Tensor, np.ndarray), "lists of ids")
        if len(prompts) == 0:
            return []
    return _search(model, _prompts(how.what, prompts, state), state, how)


class _Search(NamedTuple):
    """The settings of :func:`beam_search_batch`."""

    what: str
    width: int
    end: int | None
    never: Collection[int] | Tensor
    limit: int
    rule: LengthRule
    keep: int

    def checked(self) -> _Search:
        check_size(f"{self.what}: limit", self.limit)
        check_size(f"{self.what}: keep", self.keep)
        check_kind(f"{self.what}: length_rule", self.rule, LengthRule, "a LengthRule")
        check_size(f"{self.what}: width (keep is at most as large)", self.width, self.keep)
        return self

    def bound(self, log_prob: float) -> float:
        """The highest score that an open text can still come to: length only makes it higher."""
        return self.rule.score(log_prob, self.limit)


_Written = tuple[Any, int] | None
"""The symbols of a text: those before, which other texts have too, and the last; None of none."""


class _Open(NamedTuple):
    """A text that goes on, and the row that its last symbol was written after."""

    written: _Written
    log_prob: float
    row: int


class _Found(NamedTuple):
    """A text that is at its end, as of :class:`Hypothesis`."""

    written: _Written
    log_prob: float
    score: float
    finished: bool

    def spelled(self) -> Hypothesis:
        """With its symbols beside each other."""
        symbols, at = [], self.written
        while at is not None:
            at, symbol = at
            symbols.append(symbol)
        return Hypothesis(tuple(reversed(symbols)), *self[1:])


@torch.no_grad()
def _search(
    model: Steps, prompts: list[list[int]] | Read, state: Tree, how: _Search
) -> list[list[Hypothesis]]:
    now = read(model, prompts, state)
    size = now.log_probs.shape[1]
    never = _mask(f"{how.what}: never", how.never, size).to(now.log_probs.device)
    _mask(f"{how.what}: end", () if how.end is None else (how.end,), size)
    beams = [[_Open(None, 0.0, row)] for row in range(len(now.log_probs))]
    found: list[list[_Found]] = [[] for _ in beams]
    for length in range(1, how.limit + 1):
        # No more than `width` of a prompt's next texts can continue the same one.
        log_probs, symbols = _best(now.log_probs, never, how.width)
        first, before = 0, [len(beam) for beam in beams]
        for number, beam in enumerate(beams):
            rows = slice(first, first + len(beam))
            ranked = _ranked(beam, first, log_probs[rows], symbols[rows], how.width)
            first += len(beam)
            beams[number] = _sort_out(ranked, found[number], length, how)
        flat = [text for beam in beams for text in beam]
        if not flat:
            break
        as_before = [len(beam) for beam in beams] == before  # each row keeps its prompt
        chosen = torch.tensor([text.row for text in flat])
        last = [text.written[1:] for text in flat if text.written is not None]  # all have one
        now = _ask(model, last, _moved(now.state, chosen, as_before))
    return [[text.spelled() for text in some] for some in found]


def _best(log_probs: Tensor, never: Tensor, width: int) -> tuple[Floats, Wholes]:
    """The largest of each row and their symbols, so many at most; none that is never written."""
    size, more = log_probs.shape[1], int(never.sum())
    if more > _FEW:
        log_probs, more = log_probs.masked_fill(never, -torch.inf), 0
    best = log_probs.topk(min(width + more, size))
    values = best.values.masked_fill(never[best.indices], -torch.inf)
    return values.cpu().double().numpy(), best.indices.cpu().numpy()


def _moved(state: Tree, rows: Tensor, as_before: bool) -> Tree:
    """Rows of a state; what is kept stays where each row has the prompt that it had."""
    if isinstance(state, Kept) and as_before:
        return state
    if isinstance(state, tuple):
        return rebuild(state, [_moved(part, rows, as_before) for part in state])
    return select_rows(state, rows)


def _ranked(
    beam: list[_Open], first: int, log_probs: Floats, symbols: Wholes, width: int
) -> list[_Open]:
    """The ``width`` most probable of all texts one symbol longer; none that is impossible.

    ``log_probs`` and ``symbols`` are ``[texts of the beam, best symbols]``.
    """
    if not beam:
        return []
    totals = (log_probs + np.array([text.log_prob for text in beam])[:, None]).reshape(-1)
    ranked = []
    for place in _largest(totals, width).tolist():
        log_prob = float(totals[place])
        if log_prob > -np.inf:
            row, column = divmod(place, symbols.shape[1])
            written = (beam[row].written, int(symbols[row, column]))
            ranked.append(_Open(written, log_prob, first + row))
    return ranked


def _sort_out(ranked: list[_Open], found: list[_Found], length: int, how: _Search) -> list[_Open]:
    """Move the texts that end here to the best that were ``found``; give those worth going on."""
    still = []
    for text in ranked:
        assert text.written is not None
        before, last = text.written
        finished = last == how.end
        if finished or length == how.limit:
            written = before if finished else text.written
            score = how.rule.score(text.log_prob, length)
            found.append(_Found(written, text.log_prob, score, finished))
        else:
            still.append(text)
    found.sort(key=lambda text: -text.score)
    del found[how.keep :]
    if len(found) < how.keep:
        return still
    return [text for text in still if how.bound(text.log_prob) > found[-1].score]
