r"""N-gram language models over symbol ids: the honest baseline beside a neural one.

Every model here is one table of grams read by one rule. With h the last ``order - 1`` symbols and
h' the same history without its oldest symbol, the probability of the next symbol w is

.. math::

    P_k(w \mid h) = \mathrm{mass}(hw) + \mathrm{backoff}(h) \, P_{k-1}(w \mid h'), \qquad
    P_0(w) = 1 / V

for k = order, order - 1, ..., 1, where V is the number of symbols that may be predicted. A gram
that was never counted has mass 0, a history that was never counted has backoff 1. What tells one
model from another is only where mass and backoff come from: :class:`KneserNey` or :class:`AddK`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.errors import ArtifactError, DataError, SettingError, ShapeError
from recurra.models.arpa import read_arpa, write_arpa
from recurra.models.grams import (
    Floats,
    Ints,
    _check_range,
    _count,
    _endings,
    _Frame,
    _ids,
    _Level,
)
from recurra.models.smoothing import AddK, KneserNey, Smoothing
from recurra_runtime.vocabulary import Vocabulary

__all__ = ["AddK", "KneserNey", "NGram", "Smoothing", "ngram_name"]


def ngram_name(order: int) -> str:
    """What an n-gram is called: ``"bigram"``, ``"5-gram"``."""
    return {1: "unigram", 2: "bigram"}.get(order, f"{order}-gram")


_COUNTS = 12  # powers of two that are told from each other


class NGram:
    r"""An n-gram language model: the next symbol depends on the last ``order - 1`` symbols alone.

    .. math:: P(w_t \mid w_1 \dots w_{t-1}) = P(w_t \mid w_{t-n+1} \dots w_{t-1}), \qquad n = order

    This is the Markov property, with start symbols in place of what stands before :math:`w_1`. The
    state of decoding is these symbols and nothing else.

    It is made by :meth:`fit`, :meth:`from_arrays` or :meth:`from_arpa` and never changed
    afterwards. Probabilities are float64, their logarithms natural (nats). ``order`` is n: a gram
    is n symbols, a history n - 1. ``vocabulary_size`` counts the ids, the start symbol included.
    ``start_symbol`` stands before every document and is never predicted; ``end_symbol`` is
    predicted once at the end of each, or is None. ``smoothing`` is where the probabilities come
    from; None for those of an ARPA file.
    """

    def __init__(
        self, frame: _Frame, smoothing: Smoothing, grams: Sequence[tuple[Ints, Ints]]
    ) -> None:
        """Take the keys and counts of every order and derive the probabilities."""
        self.vocabulary_size = frame.vocabulary_size
        self.smoothing: Smoothing | None = smoothing
        histories = [1, *(len(keys) for keys, _ in grams)]
        levels = [
            _Level(keys, counts, *self._weigh(smoothing, keys, counts, number))
            for (keys, counts), number in zip(grams, histories, strict=False)
        ]
        self._take(frame, levels)

    def _take(self, frame: _Frame, levels: list[_Level]) -> None:
        """Be the model of these probabilities."""
        self.order, self.vocabulary_size = frame.order, frame.vocabulary_size
        self.start_symbol, self.end_symbol = frame.start, frame.end
        self._frame, self._levels = frame, levels
        single = levels[0]  # single symbols are the same after every history
        self._single = np.full(
            frame.vocabulary_size, single.backoff[0] / (frame.vocabulary_size - 1)
        )
        self._single[frame.start] = 0.0
        self._single[single.keys] += single.mass[:-1]

    def _weigh(
        self, smoothing: Smoothing, keys: Ints, counts: Ints, histories: int
    ) -> tuple[Floats, Floats]:
        """Mass ``[grams + 1]`` and backoff ``[histories + 1]`` of one order."""
        history = keys // self.vocabulary_size
        given = np.zeros(histories)
        kept, given = smoothing.split(counts, history, given, self.vocabulary_size - 1)
        total = np.bincount(history, weights=kept, minlength=histories) + given
        backoff = np.divide(given, total, out=np.ones(histories), where=total > 0)
        mass = np.divide(kept, total[history], out=np.zeros(len(keys)), where=kept > 0)
        return np.append(mass, 0.0), np.append(backoff, 1.0)

    @classmethod
    def fit(
        cls,
        documents: Iterable[npt.ArrayLike],
        *,
        order: int,
        vocabulary_size: int,
        start: int,
        end: int | None = None,
        smoothing: Smoothing = KneserNey(),  # noqa: B008 (it never changes)
    ) -> Self:
        """Count the grams of documents.

        Args:
            documents: ids ``[time]`` each, without start and end symbols. An empty one predicts
                the end symbol alone.
            order: from 1 to 64; 2 is a bigram model.
            vocabulary_size: number of ids; all but ``start`` may be predicted.
            start: id of the symbol of which ``order - 1`` stand before each document.
            end: id of the symbol predicted after each document; None predicts no end.
            smoothing: ``KneserNey()`` or ``AddK(k)``.

        Raises:
            SettingError: a setting out of its range.
            DataError: nothing to count, or a document that is not made of such ids.
        """
        frame = _Frame(order, vocabulary_size, start, end).checked()
        stream = frame.stream(documents)
        if np.all(stream == start):
            raise DataError(
                "documents: expected at least one symbol to predict, got no document, or only "
                "empty ones and no end symbol; give a list of arrays of ids, not all empty"
            )
        return cls(frame, smoothing, _count(stream, frame, smoothing.lower_orders))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of grams kept for each order; the start symbols of a document are one gram."""
        return tuple(len(level.keys) for level in self._levels)

    def score(self, document: npt.ArrayLike) -> Floats:
        """The log-probabilities of a document's symbols, in nats.

        Args:
            document: ids ``[time]``, without start and end symbols.

        Returns:
            ``[time]``, or ``[time + 1]`` with the end symbol last.

        Raises:
            DataError: an id that may not be predicted.
        """
        return self._score([document])

    def total(self, documents: Iterable[npt.ArrayLike]) -> tuple[float, int]:
        """The negative log-probability of all documents, and how many symbols were predicted.

        Args:
            documents: ids ``[time]`` each, without start and end symbols.

        Returns:
            total in nats and count, end symbols included; ``exp(total / count)`` is the
            perplexity. No document gives (0.0, 0).

        Raises:
            DataError: an id that may not be predicted.
        """
        scores = self._score(documents)
        return 0.0 - float(scores.sum()), len(scores)

    def _score(self, documents: Iterable[npt.ArrayLike]) -> Floats:
        """The log-probabilities of all predicted symbols of all documents, in order."""
        stream = self._frame.stream(documents)
        probability = np.full(len(stream), 1.0 / (self.vocabulary_size - 1))
        numbers = pairwise(self._numbers(stream))
        for level, (histories, grams) in zip(self._levels, numbers, strict=True):
            probability *= level.backoff[histories[:-1]]
            probability += level.mass[grams[1:]]
        return _log(probability[stream != self.start_symbol])

    def _numbers(self, symbols: Ints) -> Iterator[Ints]:
        """The numbers of the grams of length 0, 1, ... ``order`` that end before each position."""
        return _endings(self._levels, symbols, self.vocabulary_size)

    @property
    def familiarities(self) -> int:
        """How many degrees :meth:`familiarity` tells from each other."""
        return self.order * _COUNTS

    def familiarity(self, document: npt.ArrayLike) -> Ints:
        """How well the history of each symbol is known; the better, the surer is what is said.

        It is the length of the longest history that was counted, times 12, plus how often that
        was in powers of two: 0 for once, 1 for twice, 2 up to 4 times, ... 11 beyond 1,024.

        Args:
            document: ids ``[time]``, without start and end symbols.

        Returns:
            ``[time]``, or ``[time + 1]`` with that of the end symbol last.

        Raises:
            DataError: an id that may not be predicted.
        """
        stream = self._frame.stream([document])
        found: Ints = self._familiarity(stream)[:-1][stream != self.start_symbol]
        return found

    def _familiarity(self, symbols: Ints) -> Ints:
        """Of the histories that end before each position, ``[..., time + 1]``."""
        found = np.zeros((*symbols.shape[:-1], symbols.shape[-1] + 1), np.int64)
        numbers = zip(self._powers, self._numbers(symbols), strict=False)
        for length, (powers, number) in enumerate(numbers):
            found = np.where(number >= 0, length * _COUNTS + powers[number], found)
        return found

    @functools.cached_property
    def _powers(self) -> list[Ints]:
        """For each length of a history, how often each was counted, in powers of two."""
        found = []
        for level in self._levels:
            size = len(level.backoff) - 1
            times = np.bincount(level.keys // self.vocabulary_size, level.counts, size)
            powers = np.frexp(np.maximum(times - 1, 0))[1]
            found.append(np.minimum(powers, _COUNTS - 1).astype(np.int64))
        return found

    def distribution(self, history: npt.ArrayLike) -> Floats:
        """The probabilities of the next symbol.

        Args:
            history: ids read so far ``[time]``, start symbols allowed; only the last ``order - 1``
                matter. A shorter one begins a document: start symbols stand before it.

        Returns:
            ``[vocabulary_size]``; 0 for the start symbol.

        Raises:
            DataError: the history is not a 1-d array of ids.
        """
        ids = _ids(history, "history")
        _check_range([ids], "history", self.vocabulary_size)
        padded = np.append(np.full(self.order - 1, self.start_symbol), ids)
        row: Floats = self._distributions(padded[None, len(ids) :])[0]
        return row

    def _distributions(self, histories: Ints) -> Floats:
        """Probabilities ``[batch, vocabulary_size]`` after histories ``[batch, order - 1]``."""
        batch, size = len(histories), self.vocabulary_size
        probability = np.tile(self._single, (batch, 1))
        levels = zip(self._levels, self._numbers(histories), strict=False)
        for level, ending in islice(levels, 1, None):  # single symbols have no history
            history = ending[:, -1]
            probability *= level.backoff[history][:, None]
            # The grams of one history are neighbors in the table; rows have different numbers.
            first = np.searchsorted(level.keys, history * size)
            length = np.searchsorted(level.keys, (history + 1) * size) - first
            row = np.repeat(np.arange(batch), length)
            gram = np.arange(len(row)) + np.repeat(first - np.cumsum(length) + length, length)
            probability[row, level.keys[gram] % size] += level.mass[gram]
        return probability

    def start(self, batch: int) -> Tensor:
        """The state before the start symbol: int64 ``[batch, order - 1]``, all start symbols."""
        return torch.full((batch, self.order - 1), self.start_symbol, dtype=torch.int64)

    def step(self, token: npt.ArrayLike | Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one symbol a row; the first call of a document reads the start symbol.

        Args:
            token: ids ``[batch]``.
            state: the symbols read before ``[batch, order - 1]``.

        Returns:
            log-probabilities ``[batch, vocabulary_size]`` of the symbol after ``token``, in nats,
            float32 on the device of ``state``, -inf for the start symbol; and the new state.

        Raises:
            DataError: tokens that are not ids.
            ShapeError: a state that does not fit them.
        """
        ids = _ids(token.cpu() if isinstance(token, Tensor) else token, "token")
        _check_range([ids], "token", self.vocabulary_size)
        if state.shape != (len(ids), self.order - 1):
            raise ShapeError(
                f"state: expected [batch, order - 1] = [{len(ids)}, {self.order - 1}] beside "
                f"{len(ids)} tokens, got {list(state.shape)}; begin with `start(batch)`"
            )
        read = torch.as_tensor(ids).to(state.device)
        state = torch.cat([state, read[:, None]], dim=1)[:, 1:]
        log_probs = _log(self._distributions(state.cpu().numpy()))
        return torch.as_tensor(log_probs, dtype=torch.float32, device=state.device), state

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The whole model as named arrays, each in its smallest integer type.

        ================  ======================================================================
        ``settings``      order, vocabulary_size, start, end or -1
        ``add_k``         k; nothing for Kneser-Ney
        ``discounts``     3; there for the modified Kneser-Ney alone
        ``keys.k``        for every length k the differences of the sorted keys ``[grams]``
        ``counts.k``      for every length k the counts ``[grams]``
        ================  ======================================================================

        A key is the place of the gram's history among the grams one shorter, times
        ``vocabulary_size``, plus its last symbol; the differences go from -1 on.

        Raises:
            SettingError: it was read from an ARPA file, which has no counts.
        """
        if self.smoothing is None:
            raise SettingError(
                "arrays: an n-gram of an ARPA file has no counts; keep it as that file (to_arpa)"
            )
        end = -1 if self.end_symbol is None else self.end_symbol
        settings = [self.order, self.vocabulary_size, self.start_symbol, end]
        add_k = [self.smoothing.k] if isinstance(self.smoothing, AddK) else []
        stored: dict[str, npt.NDArray[Any]] = {
            "settings": np.array(settings, np.int64),
            "add_k": np.array(add_k, np.float64),
        }
        if isinstance(self.smoothing, KneserNey) and self.smoothing.modified:
            stored["discounts"] = np.array([3], np.int64)
        for k, level in enumerate(self._levels, start=1):
            steps = np.diff(level.keys, prepend=-1)
            stored[f"keys.{k}"] = steps.astype(np.min_scalar_type(steps.max()))
            stored[f"counts.{k}"] = level.counts.astype(np.min_scalar_type(level.counts.max()))
        return stored

    def to_arpa(self, path: str | Path, vocabulary: Vocabulary) -> None:
        """Write the model for other toolkits, with all its probabilities.

        Args:
            path: the file to write or replace.
            vocabulary: of the ids; white space in a symbol is written as Python writes it.

        Raises:
            DataError: it is not the vocabulary of the model.
            RunError: the file cannot be written.
        """
        write_arpa(path, self._frame, self._levels, vocabulary)

    @classmethod
    def from_arpa(cls, path: str | Path, vocabulary: Vocabulary) -> Self:
        """The model of an ARPA file, by whomever written; it has no counts and no smoothing.

        Args:
            path: the file.
            vocabulary: whose symbols its grams are made of, each of them, as :meth:`to_arpa` writes
                them.

        Raises:
            DataError: no ARPA file, or one of other symbols.
        """
        model = cls.__new__(cls)
        model.smoothing = None
        model._take(*read_arpa(path, vocabulary))
        return model

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The model that :meth:`arrays` described, to the last bit.

        Raises:
            ArtifactError: the arrays are damaged.
        """
        try:
            return cls(*_restore(arrays))
        except (LookupError, ValueError) as error:
            found = {name: tuple(array.shape) for name, array in arrays.items()}
            raise ArtifactError(
                f"NGram.from_arrays: expected what `arrays()` gives, got {found}, and there "
                f"{error!r}; the model is damaged or of another kind, write it again"
            ) from error


def _restore(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[_Frame, Smoothing, list[tuple[Ints, Ints]]]:
    """Undo :meth:`NGram.arrays`; a LookupError or ValueError says what is wrong with them."""
    order, size, start, end = arrays["settings"].tolist()
    frame = _Frame(order, size, start, None if end == -1 else end).checked()
    smoothing = _smoothing(arrays["add_k"].tolist(), arrays.get("discounts"))
    grams: list[tuple[Ints, Ints]] = []
    for k in range(1, order + 1):
        steps, counts = (arrays[f"{name}.{k}"].astype(np.int64) for name in ("keys", "counts"))
        keys, limit = np.cumsum(steps) - 1, size * (len(grams[-1][0]) if grams else 1)
        fits = keys.shape == counts.shape and keys[-1] < limit
        if not (fits and steps.min() > 0 and counts.min() >= 0):
            raise ValueError(f"keys.{k} and counts.{k} do not fit together")
        grams.append((keys, counts))
    return frame, smoothing, grams


def _smoothing(add_k: list[float], discounts: npt.NDArray[Any] | None) -> Smoothing:
    if discounts is not None and (add_k or discounts.tolist() != [3]):
        raise ValueError(f"discounts: expected [3], got {discounts.tolist()} beside add_k {add_k}")
    return AddK(add_k[0]) if add_k else KneserNey(modified=discounts is not None)


def _log(probability: Floats) -> Floats:
    """The natural logarithm, -inf for 0."""
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(probability)
    return logs
