"""Texts of steps that each say a symbol or nothing: best path and prefix beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recurra.decoding.hot_words import HotWords
from recurra.decoding.protocol import Steps, read
from recurra.errors import RunError, SettingError, ShapeError
from recurra.settings import check_number, check_size
from recurra.states import map_tree, select_rows

__all__ = ["Fusion", "PrefixSearch", "Transcript", "best_path", "prefix_search"]

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

_ROOT = -1  # in place of the last symbol of the empty text


class Transcript(NamedTuple):
    """A text that was found.

    Args:
        symbols: numbers, without blanks.
        log_prob: of all alignments that the search kept, in nats.
        score: what it is ranked by: that, and what a language model and hot words add.
    """

    symbols: tuple[int, ...]
    log_prob: float
    score: float


class Fusion(NamedTuple):
    r"""A language model beside the steps (shallow fusion; Hannun et al. 2014).

    .. math:: \log p(y \mid x) + \alpha \log p_{\mathrm{LM}}(y) + \beta\,|y|

    Args:
        model: gives the next symbol's log-probabilities; a :class:`recurra.LanguageModel`, an
            n-gram, or anything else of :class:`recurra.decoding.Steps`.
        alpha: its weight, at least 0.
        beta: bonus of each symbol, which makes up for what the model takes from long texts.
        start: its id of the symbol before a text.
        end: its id of the symbol behind one, scored once all is read; None for none.
        ids: its id of each symbol ``[symbols]``; the symbols' own numbers if None.
    """

    model: Steps
    alpha: float = 0.5
    beta: float = 0.0
    start: int = 1
    end: int | None = 2
    ids: Sequence[int] | None = None


def best_path(log_probs: ArrayLike, *, blank: int) -> Transcript:
    """The text of the most probable alignment: the best symbol of every step.

    Args:
        log_probs: ``[time, symbols + 1]``.
        blank: number of the one that says nothing.
    """
    steps = _checked(log_probs, blank)
    said = steps.argmax(1)
    kept = said[np.append(True, said[1:] != said[:-1])[: len(said)]]
    total = float(steps.max(1).sum()) if len(steps) else 0.0
    return Transcript(tuple(kept[kept != blank].tolist()), total, total)


def prefix_search(
    log_probs: ArrayLike,
    *,
    blank: int,
    width: int,
    keep: int = 1,
    language: Fusion | None = None,
    hot: HotWords | None = None,
    threshold: float | None = None,
    least: float | None = None,
) -> list[Transcript]:
    """Search for the most probable texts, each the sum of its alignments.

    Args:
        log_probs: of the steps ``[time, symbols + 1]``.
        blank: as of :class:`PrefixSearch`, like all that follow but ``keep``.
        width: texts that stay at each step.
        keep: number of texts to give, at most ``width``.
        language: scores the texts too.
        hot: symbols that are expected.
        threshold: how far behind the best a text may fall.
        least: how probable a symbol must be to be read at a step, as its logarithm.

    Returns:
        at most ``keep`` texts, best first.

    Raises:
        SettingError: a number out of range.
        ShapeError: no such log-probabilities.
        RunError: they hold NaN, or the language model gives it.

    Example:
        >>> log_probs = numpy.log([[0.6, 0.1, 0.3], [0.5, 0.1, 0.4]])
        >>> recurra.decoding.prefix_search(log_probs, blank=2, width=8)[0].symbols
        (0,)
    """
    search = PrefixSearch(
        blank=blank,
        width=width,
        language=language,
        hot=hot,
        threshold=threshold,
        least=least,
    )
    search.push(log_probs)
    return search.texts(keep)


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


class PrefixSearch:
    r"""Prefix beam search (Graves 2012; Hannun et al. 2014) over steps that come in parts.

    Of each open text y two sums are kept, of its alignments that end with the blank and with its
    last symbol:

    .. math::

        b_t(y) = p_t(\epsilon)\,(b_{t-1}(y) + s_{t-1}(y)), \qquad
        s_t(yk) = p_t(k)\,(s_{t-1}(yk) + b_{t-1}(y) + [k \ne y_n]\, s_{t-1}(y))

    A text that is reached as a longer one of another joins it, so nothing is counted twice. As long
    as no more than ``width`` texts are possible, and no threshold is given, the result is exact.
    All texts are one array, and a step a few operations on arrays.

    Args:
        blank: number of the symbol that says nothing.
        width: texts that stay at each step.
        language: scores the texts too.
        hot: symbols that are expected.
        threshold: a text whose score is this much below the best's is given up, in nats; None keeps
            ``width`` of them.
        least: symbols less probable than this at a step, as a logarithm, begin nothing there; None
            leaves none out.

    Raises:
        SettingError: a number out of range.
    """

    def __init__(
        self,
        *,
        blank: int,
        width: int,
        language: Fusion | None = None,
        hot: HotWords | None = None,
        threshold: float | None = None,
        least: float | None = None,
    ) -> None:
        self._width = check_size("prefix_search: width", width)
        self._blank = check_size("prefix_search: blank", blank, 0)
        for name, value in (("threshold", threshold), ("least", least)):
            if value is not None:
                check_number(f"prefix_search: {name}", value)
        if threshold is not None and threshold < 0:
            raise SettingError(
                f"prefix_search: expected a threshold of at least 0, got {threshold}"
            )
        self._threshold, self._least = threshold, least
        self._hot = hot
        self._language = None if language is None else _Scorer(language)
        self._nodes: dict[int, int] = {}  # text and symbol -> the longer text
        self._said: list[tuple[int, int]] = [(_ROOT, _ROOT)]  # of each text parent and symbol
        self._slots = np.full(1024, -1, np.int64)  # where an open text stands
        self._size: int | None = None
        zero, none = np.zeros(1), np.full(1, -np.inf)
        empty = np.full(1, _ROOT, np.int64)
        start = np.zeros(1, np.int64)
        self._beam = _Beam(start, empty, empty, zero, none, zero, start)

    def push(self, log_probs: ArrayLike) -> None:
        """Read further steps ``[time, symbols + 1]``.

        Raises:
            ShapeError: of another size.
            RunError: NaN.
        """
        steps = _checked(log_probs, self._blank)
        if self._size is None:
            self._size = steps.shape[1]
            symbols = np.arange(self._size)
            self._symbols: Wholes = symbols[symbols != self._blank]
            if self._language is not None:
                self._language.begin(self._symbols)
            if self._hot is not None:
                self._hot.check(self._size, self._blank)
        elif steps.shape[1] != self._size:
            raise ShapeError(
                f"push: expected steps of {self._size} log-probabilities as before, got "
                f"{steps.shape[1]}"
            )
        for step in steps:
            self._advance(step)

    def texts(self, keep: int = 1) -> list[Transcript]:
        """The best texts of all steps so far, as if they ended here.

        Args:
            keep: how many at most.
        """
        beam = self._beam
        log_probs = np.logaddexp(beam.blank, beam.symbol)
        scores = log_probs + beam.more
        if self._language is not None and self._size is not None:
            scores = scores + self._language.ends()
        if self._hot is not None:
            scores = scores - self._hot.begun[beam.hot]
        order = np.argsort(-scores, kind="stable")[: check_size("prefix_search: keep", keep)]
        return [
            Transcript(self._text(int(beam.node[at])), float(log_probs[at]), float(scores[at]))
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
        return symbols if self._least is None else symbols[step[symbols] >= self._least]

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
        lowest = -np.inf if self._threshold is None else scores.max() - self._threshold
        chosen = np.flatnonzero(scores >= lowest) if lowest > -np.inf else None
        if chosen is None:
            chosen = np.flatnonzero(scores > -np.inf)
        if len(chosen) > self._width:
            of = scores[chosen]
            chosen = chosen[np.argpartition(of, len(of) - self._width)[-self._width :]]
        stays = chosen[chosen < count]
        row, column = np.divmod(chosen[chosen >= count] - count, max(len(tokens), 1))
        token = tokens[column]
        more = beam.more[row]
        if added is not None:
            more = more + added[row, column]
        hot = beam.hot[row] if self._hot is None else self._hot.next[beam.hot[row], token]
        if self._language is not None:
            self._language.advance(stays, row, token)
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
        if self._language is not None:
            found = self._language.scores[:, tokens]
        if self._hot is not None:
            bonus = self._hot.bonus[beam.hot[:, None], tokens]
            found = bonus if found is None else found + bonus
        return found

    def _named(self, nodes: Wholes, tokens: Wholes) -> Wholes:
        """Numbers of texts that are these with one symbol more."""
        assert self._size is not None
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


class _Scorer:
    """What a language model says after each of the open texts."""

    def __init__(self, fusion: Fusion) -> None:
        alpha = check_number("prefix_search: alpha", fusion.alpha)
        if alpha < 0:
            raise SettingError(f"prefix_search: expected an alpha of at least 0, got {alpha}")
        self._beta = check_number("prefix_search: beta", fusion.beta)
        self._fusion = fusion

    def begin(self, symbols: Wholes) -> None:
        """Read the start symbol.

        Raises:
            SettingError: ids that the model does not have.
        """
        fusion = self._fusion
        self._symbols = symbols
        ids = symbols if fusion.ids is None else np.asarray(fusion.ids, np.int64)
        if ids.shape != symbols.shape:
            raise SettingError(
                f"prefix_search: expected an id for each of {len(symbols)} symbols, got "
                f"{list(ids.shape)}"
            )
        self._ids = np.zeros(int(symbols.max(initial=-1)) + 1, np.int64)
        self._ids[symbols] = ids
        self._read = read(fusion.model, [[fusion.start]])
        size = self._read.log_probs.shape[1]
        if wrong := [int(one) for one in ids if not 0 <= one < size]:
            raise SettingError(
                f"prefix_search: expected ids from 0 to {size - 1}, which the language model has, "
                f"got {wrong[0]}. Fusion(ids=...) says its id of each symbol."
            )
        self._weigh()

    def advance(self, stays: Wholes, rows: Wholes, tokens: Wholes) -> None:
        """The texts of these rows stay, and then come those that these symbols make longer."""
        kept = select_rows(self._read, torch.from_numpy(stays))
        if len(rows):
            before = select_rows(self._read.state, torch.from_numpy(rows))
            new = read(self._fusion.model, self._ids[tokens][:, None].tolist(), before)
            self._read = map_tree(lambda *parts: torch.cat(parts), kept, new)
        else:
            self._read = kept
        self._weigh()

    def ends(self) -> Floats:
        """What the end of each text adds."""
        end, alpha = self._fusion.end, self._fusion.alpha
        if end is None or not alpha:
            return np.zeros(len(self._read.log_probs))
        found: Floats = alpha * self._read.log_probs[:, end].double().cpu().numpy()
        return found

    def _weigh(self) -> None:
        """``scores[text, symbol]``, of all numbers below the largest symbol's."""
        alpha = self._fusion.alpha
        if not alpha:  # 0 times minus infinity would be none
            self.scores: Floats = np.full((len(self._read.log_probs), len(self._ids)), self._beta)
            return
        own = self._read.log_probs.double().cpu().numpy()
        self.scores = alpha * own[:, self._ids] + self._beta


def _checked(log_probs: Any, blank: int) -> Floats:
    """``[time, symbols + 1]`` as float64."""
    if isinstance(log_probs, torch.Tensor):
        log_probs = log_probs.detach().cpu().numpy()
    steps = np.asarray(log_probs, np.float64)
    if steps.ndim != 2 or not 0 <= blank < max(steps.shape[1], 1):
        raise ShapeError(
            f"log_probs: expected [time, symbols + 1] with the blank {blank} among them, got "
            f"{list(steps.shape)}"
        )
    if np.isnan(steps).any():
        raise RunError("log_probs: got NaN; the training of the model went wrong, train it again")
    return steps
