"""Which steps say which symbol of a text: its most probable alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recurra.decoding.ctc import _checked
from recurra.errors import SettingError

__all__ = ["Aligned", "align"]


class Aligned(NamedTuple):
    """The most probable alignment of a text.

    Args:
        first: of each symbol the first step that says it.
        last: the last one.
        peak: the one at which it is most probable.
        confidence: how probable it is there, 0 to 1.
        log_prob: of the alignment, in nats.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    peak: tuple[int, ...]
    confidence: tuple[float, ...]
    log_prob: float


def align(log_probs: ArrayLike, symbols: Sequence[int], *, blank: int) -> Aligned:
    """Find where each symbol of a text stands (Viterbi 1967, over the blanks of Graves 2006).

    Args:
        log_probs: of the steps ``[time, symbols + 1]``.
        symbols: of the text.
        blank: number of the symbol that says nothing.

    Raises:
        SettingError: a text that these steps cannot say.
        ShapeError: no such log-probabilities.
        RunError: they hold NaN.
    """
    steps = _checked(log_probs, blank)
    text = np.asarray(symbols, np.int64)
    if wrong := [int(s) for s in text if not 0 <= s < steps.shape[1] or s == blank]:
        raise SettingError(f"align: expected symbols beside the blank {blank}, got {wrong[0]}")
    path, total = _best(steps, text, blank)
    first, last, peak = [], [], []
    for place in range(len(text)):
        own = np.flatnonzero(path == 2 * place + 1)
        first.append(int(own[0]))
        last.append(int(own[-1]))
        peak.append(int(own[steps[own, text[place]].argmax()]))
    shares = np.exp(steps[peak, text]) if len(text) else np.zeros(0)
    return Aligned(tuple(first), tuple(last), tuple(peak), tuple(shares.tolist()), total)


def _best(
    steps: NDArray[np.float64], text: NDArray[np.int64], blank: int
) -> tuple[NDArray[np.int64], float]:
    """Of each step its place among blank, first symbol, blank, second symbol, ..., blank."""
    states = np.full(2 * len(text) + 1, blank)
    states[1::2] = text
    skips = np.zeros(len(states), np.bool_)  # whether the blank before a symbol may be left out
    skips[3::2] = text[1:] != text[:-1]
    best = np.full(len(states), -np.inf)
    best[0] = 0.0
    came = np.zeros((len(steps), len(states)), np.int64)
    for number, step in enumerate(steps):
        ways = np.full((3, len(states)), -np.inf)
        ways[0] = best
        ways[1, 1:] = best[:-1]
        ways[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        came[number] = ways.argmax(0)
        best = ways.max(0) + step[states]
    end = len(states) - 1
    if len(text) and best[end - 1] > best[end]:
        end -= 1
    if best[end] == -np.inf or (not len(steps) and len(text)):
        raise SettingError(
            f"align: {len(steps):,} steps cannot say this text of {len(text):,} symbols"
        )
    path, place = np.zeros(len(steps), np.int64), end
    for number in range(len(steps) - 1, -1, -1):
        path[number] = place
        place -= int(came[number, place])
    return path, float(best[end])
