"""Texts of steps that each say a symbol or nothing: best path and prefix beam search."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recurra.decoding.fusion import Fusion, Scorer
from recurra.decoding.hot_words import HotWords
from recurra.decoding.prefixes import Prefixes
from recurra.errors import InputTypeError, RunError, SettingError, ShapeError, kind_of
from recurra.settings import check_kind, check_number, check_size
from recurra_runtime.backend import core

__all__ = ["PrefixSearch", "Transcript", "best_path", "prefix_search"]

Floats = NDArray[np.float64]

_NAN = "log_probs: got NaN; the training of the model went wrong, train it again"
_MOST = 1 << 40  # texts, more than any memory holds


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


def best_path(log_probs: ArrayLike, *, blank: int) -> Transcript:
    """The text of the most probable alignment: the best symbol of every step.

    Args:
        log_probs: ``[time, symbols + 1]``.
        blank: number of the one that says nothing.

    Raises:
        SettingError: a blank that is no number from 0 on.
        ShapeError: no such log-probabilities.
        RunError: they hold NaN.
    """
    steps = _checked(log_probs, check_size("best_path: blank", blank, 0))
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


class PrefixSearch:
    r"""Prefix beam search (Graves 2012; Hannun et al. 2014) over steps that come in parts.

    Of each open text y two sums are kept, of its alignments that end with the blank and with its
    last symbol:

    .. math::

        b_t(y) = p_t(\epsilon)\,(b_{t-1}(y) + s_{t-1}(y)), \qquad
        s_t(yk) = p_t(k)\,(s_{t-1}(yk) + b_{t-1}(y) + [k \ne y_n]\, s_{t-1}(y))

    A text that is reached as a longer one of another joins it, so nothing is counted twice. As long
    as no more than ``width`` texts are possible, and no threshold is given, the result is exact.
    Of texts with equal scores those stay that were open before, then those that come from earlier
    ones, by their symbol. It runs in the native module where there is one and no language model
    weighs in, else in NumPy, with the same results.

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
        if language is not None:
            check_kind(
                "prefix_search: language", language, Fusion, "a recurra.decoding.Fusion or None"
            )
        if hot is not None:
            check_kind("prefix_search: hot", hot, HotWords, "recurra.HotWords or None")
        self._threshold = math.inf if threshold is None else float(threshold)
        self._least = -math.inf if least is None else float(least)
        self._hot = hot
        self._language = None if language is None else Scorer(language)
        self._size: int | None = None
        self._open: Any = None  # texts, once the size of a step is known

    def push(self, log_probs: ArrayLike) -> None:
        """Read further steps ``[time, symbols + 1]``.

        Raises:
            ShapeError: of another size.
            RunError: NaN.
        """
        steps = _shaped(log_probs, self._blank)
        if self._size is None:
            self._begin(steps.shape[1])
        elif steps.shape[1] != self._size:
            raise ShapeError(
                f"push: expected steps of {self._size} log-probabilities as before, got "
                f"{steps.shape[1]}"
            )
        if not self._open.push(steps):
            raise RunError(_NAN)

    def texts(self, keep: int = 1) -> list[Transcript]:
        """The best texts of all steps so far, as if they ended here.

        Args:
            keep: how many at most.
        """
        keep = min(check_size("prefix_search: keep", keep), _MOST)
        if self._open is None:
            return [Transcript((), 0.0, 0.0)]
        return [Transcript(*found) for found in self._open.best(keep)]

    def __copy__(self) -> PrefixSearch:
        """A search that goes on from here by itself; models and hot words are shared."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        if isinstance(self._open, Prefixes):
            twin._open = copy.copy(self._open)
            twin._language = twin._open.language
        else:  # the native module has one copy only, which is whole
            twin._open = copy.deepcopy(self._open)
            twin._language = copy.copy(self._language)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What a search is before its first step.

        Raises:
            SettingError: it has begun, and its open texts lie in the native module.
        """
        if self._open is None or isinstance(self._open, Prefixes):
            return dict(self.__dict__)
        raise SettingError(
            "PrefixSearch: one that has begun is not pickled, as its texts lie in native memory. "
            "Pickle it before its first step, or keep the steps and push them again; copy.copy and "
            "copy.deepcopy go on from here."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> PrefixSearch:
        """As :meth:`__copy__`, with models and hot words of its own."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def _begin(self, size: int) -> None:
        hot, language = self._hot, self._language
        if language is not None:
            symbols = np.arange(size)
            language.begin(symbols[symbols != self._blank])
        if hot is not None:
            hot.check(size, self._blank)
        told = (size, self._blank, min(self._width, _MOST), self._threshold, self._least)
        native: Any = core()
        if native is None or language is not None or not size:
            self._open = Prefixes(*told, hot, language)
        else:
            tables = (None,) * 3 if hot is None else (hot.next, hot.bonus, hot.begun)
            self._open = native.PrefixSearch(*told, *tables)
        self._size = size


def _checked(log_probs: Any, blank: int) -> Floats:
    """``[time, symbols + 1]`` as float64, without NaN."""
    steps = _shaped(log_probs, blank)
    if np.isnan(steps).any():
        raise RunError(_NAN)
    return steps


def _shaped(log_probs: Any, blank: int) -> Floats:
    """``[time, symbols + 1]`` as float64."""
    if isinstance(log_probs, torch.Tensor):
        log_probs = log_probs.detach().cpu().double().numpy()  # NumPy has no bfloat16
    try:
        steps = np.asarray(log_probs, np.float64, order="C")
    except (TypeError, ValueError) as problem:
        raise InputTypeError(
            f"log_probs: expected numbers [time, symbols + 1], got {kind_of(log_probs)} ({problem})"
        ) from None
    if steps.ndim != 2 or not 0 <= blank < (steps.shape[1] or not len(steps)):
        raise ShapeError(
            f"log_probs: expected [time, symbols + 1] with the blank {blank} among them, got "
            f"{list(steps.shape)}"
        )
    return steps
