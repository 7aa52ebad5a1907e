"""N-gram language models over symbol ids: the honest baseline beside a neural one.

Every model here is one table of grams read by one rule. With h the last `order - 1` symbols and
h' the same history without its oldest symbol, the probability of the next symbol w is

    P_k(w | h) = mass(h w) + backoff(h) P_{k-1}(w | h'),        P_0(w) = 1 / V

for k = order, order - 1, ..., 1, where V is the number of symbols that may be predicted. A gram
that was never counted has mass 0, a history that was never counted has backoff 1. What tells one
model from another is only where mass and backoff come from: `KneserNey` or `AddK`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.errors import ArtifactError, DataError, SettingError, ShapeError

__all__ = ["AddK", "KneserNey", "NGram", "Smoothing"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KneserNey:
    """Interpolated Kneser-Ney smoothing with one discount per order.

        mass(h w) = (c(h w) - D) / c(h)      for every counted gram h w
        backoff(h) = D N(h) / c(h)           N(h): how many different symbols followed h

    where c(h) is the sum of c(h w) over w, and D = n1 / (n1 + 2 n2) with n1 and n2 the numbers of
    grams of that order whose count c is 1 and 2. At the top order c is how often the gram was seen;
    below, it is how many different symbols stood to its left. Where n1 or n2 is 0 the formula would
    leave nothing for the unseen (D = 0) or for what was seen once (D = 1); D is then 1/2.

    Below the top, a gram that begins with the start symbol has count 1: only start symbols stand to
    its left. Kneser and Ney's constraint on the marginals asks for just this. Toolkits that pad
    with one start symbol use raw counts there; with `order - 1` of them these would be discounted
    once per order (distinct names, 5-grams, a tenth held out by hash: 2.039 instead of 2.027 nats
    per symbol).

    Source: Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995. The
    interpolated form is that of Chen and Goodman, "An empirical study of smoothing techniques for
    language modeling", Computer Speech and Language 13, 1999. Departures from the latter: one
    discount per order instead of three, and a uniform distribution below the single symbols.
    """

    lower_orders: ClassVar[bool] = True

    def split(self, counts: Ints, history: Ints, given: Floats, size: int) -> tuple[Floats, Floats]:
        """Split the counts of one order into what each gram keeps and what its history gives away.

        counts and history are [grams]: the count of each gram, the number of its history. given is
        [histories], zeros to add to; size is V. Returns kept [grams] and given, both in counts.
        """
        seen = counts > 0
        once, twice = int(np.sum(counts == 1)), int(np.sum(counts == 2))
        discount = once / (once + 2 * twice) if once and twice else 0.5
        followers = np.bincount(history[seen], minlength=len(given))
        return counts - discount * seen, given + discount * followers


@dataclass(frozen=True)
class AddK:
    """Additive smoothing at the full order alone: P(w | h) = (c(h w) + k) / (c(h) + k V).

    With k = 0 this is plain counting: what was never seen after a known history has probability 0
    (log-probability -inf). After a history that was never seen P is 1 / V, for k = 0 too.

    Source: Lidstone, Transactions of the Faculty of Actuaries 8, 1920; k = 1 is Laplace's rule.
    A k that is negative or not finite raises a SettingError.
    """

    k: float
    lower_orders: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check k."""
        if not (isinstance(self.k, int | float) and math.isfinite(self.k) and self.k >= 0):
            raise SettingError(
                f"AddK: `k` must be a finite number >= 0. Got {self.k!r}. Use 0 for plain "
                "counting, a small number such as 0.01 to smooth."
            )

    def split(self, counts: Ints, history: Ints, given: Floats, size: int) -> tuple[Floats, Floats]:
        """Keep each count whole and give k V to the uniform distribution (see `KneserNey`)."""
        return counts.astype(np.float64), given + self.k * size


Smoothing = KneserNey | AddK


@dataclass(frozen=True)
class _Frame:
    """The checked settings, and how documents become one stream of symbols."""

    order: int
    vocabulary_size: int
    start: int
    end: int | None

    def __post_init__(self) -> None:
        size = self.vocabulary_size
        _check_whole("order", self.order, 1, 65, "2 is a bigram model")
        _check_whole("vocabulary_size", size, 2, 2**31, "count the start symbol too")
        _check_whole("start", self.start, 0, size, "one of the ids")
        if self.end is not None:
            _check_whole("end", self.end, 0, size, "one of the ids, or None")
        if self.start == self.end:
            raise SettingError(
                f"NGram: `end` must differ from `start`, or be None for no end. Got {self.end}."
            )

    def stream(self, documents: Iterable[npt.ArrayLike]) -> Ints:
        """Join documents into one [time] array, each behind order - 1 start symbols.

        Start symbols cannot be inside documents: what is predicted is what is not one.
        """
        before = np.full(self.order - 1, self.start, np.int64)
        after = np.array([] if self.end is None else [self.end], np.int64)
        checked = [_ids(document, f"document {i}") for i, document in enumerate(documents)]
        around = [symbol for symbol in (self.start, self.end) if symbol is not None]
        _check_range(checked, "document", self.vocabulary_size, around)
        parts = [part for ids in checked for part in (before, ids, after)]
        return np.concatenate([before[:0], *parts])


class _Level(NamedTuple):
    """All grams of one length, sorted by key; a gram's number is its place in this order.

    A key is the number of the gram's history (a gram one shorter) * vocabulary_size + its last
    symbol: below 2**63 for any text that fits in memory, whatever the order. `mass` and `backoff`
    end with what holds for the number -1, "never counted".
    """

    keys: Ints  # [grams]
    counts: Ints  # [grams]
    mass: Floats  # [grams + 1]
    backoff: Floats  # [histories + 1]

    def find(self, history: Ints, symbols: Ints, vocabulary_size: int) -> Ints:
        """Return the numbers of the grams; -1 where never counted, as after a history -1."""
        key = history * vocabulary_size + symbols
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[place] == key, place, -1)


class NGram:
    """An n-gram language model: the next symbol depends on the last `order - 1` symbols alone.

        P(w_t | w_1 ... w_{t-1}) = P(w_t | w_{t-n+1} ... w_{t-1}),        n = order

    This is the Markov property, with start symbols in place of what stands before w_1. The state of
    decoding is these symbols and nothing else.

    Made by `fit` or `from_arrays`, never changed afterwards. Probabilities are float64, their
    logarithms natural (nats).

    Attributes:
        order: n; a gram is n symbols, a history n - 1.
        vocabulary_size: Number of ids, the start symbol included.
        start_symbol: Id of the symbol that stands before every document; never predicted.
        end_symbol: Id predicted once at the end of every document, or None.
        smoothing: Where the probabilities come from.
    """

    def __init__(
        self, frame: _Frame, smoothing: Smoothing, grams: Sequence[tuple[Ints, Ints]]
    ) -> None:
        """Take the keys and counts of every order (see `_Level`) and derive the probabilities."""
        self.order, self.vocabulary_size = frame.order, frame.vocabulary_size
        self.start_symbol, self.end_symbol = frame.start, frame.end
        self._frame, self.smoothing = frame, smoothing
        histories = [1, *(len(keys) for keys, _ in grams)]
        self._levels = [
            _Level(keys, counts, *self._weigh(keys, counts, number))
            for (keys, counts), number in zip(grams, histories, strict=False)
        ]
        single = self._levels[0]  # single symbols are the same after every history
        self._single = np.full(
            frame.vocabulary_size, single.backoff[0] / (frame.vocabulary_size - 1)
        )
        self._single[frame.start] = 0.0
        self._single[single.keys] += single.mass[:-1]

    def _weigh(self, keys: Ints, counts: Ints, histories: int) -> tuple[Floats, Floats]:
        """Return mass [grams + 1] and backoff [histories + 1] of one order (see `_Level`)."""
        history = keys // self.vocabulary_size
        given = np.zeros(histories)
        kept, given = self.smoothing.split(counts, history, given, self.vocabulary_size - 1)
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
        smoothing: Smoothing = KneserNey(),
    ) -> Self:
        """Count the grams of documents.

        Args:
            documents: 1-d integer arrays of ids, each without its start and end symbols. An empty
                one predicts the end symbol alone.
            order: 1 or more.
            vocabulary_size: Number of ids; all but `start` may be predicted.
            start: Id of the symbol of which `order - 1` stand before each document.
            end: Id of the symbol predicted after each document; None predicts no end.
            smoothing: `KneserNey()` or `AddK(k)`.

        Raises:
            SettingError: If a setting is out of its range.
            DataError: If there is nothing to count, or a document is not made of such ids.
        """
        frame = _Frame(order, vocabulary_size, start, end)
        stream = frame.stream(documents)
        if np.all(stream == start):
            raise DataError(
                "NGram.fit: expected at least one symbol to predict. Got no document, or only "
                "empty ones and no end symbol. Give `documents` a non-empty list of id arrays."
            )
        return cls(frame, smoothing, _count(stream, frame, smoothing.lower_orders))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of grams stored for each order; the start symbols of a document are one gram."""
        return tuple(len(level.keys) for level in self._levels)

    def score(self, document: npt.ArrayLike) -> Floats:
        """Return the log-probabilities, in nats, of the symbols of a document.

        The document is [time], without start and end symbols; the result is [time], or [time + 1]
        with the end symbol last. Raises DataError if an id may not be predicted.
        """
        return self._score([document])

    def total(self, documents: Iterable[npt.ArrayLike]) -> tuple[float, int]:
        """Return the negative log-probability of all documents in nats, and the symbols predicted.

        `exp(total / count)` is the perplexity; end symbols count as symbols. No document gives
        (0.0, 0). Raises DataError if an id may not be predicted.
        """
        scores = self._score(documents)
        return 0.0 - float(scores.sum()), len(scores)

    def _score(self, documents: Iterable[npt.ArrayLike]) -> Floats:
        """Return the log-probabilities of all predicted symbols of all documents, in order."""
        stream = self._frame.stream(documents)
        probability = np.full(len(stream), 1.0 / (self.vocabulary_size - 1))
        numbers = pairwise(self._numbers(stream))
        for level, (histories, grams) in zip(self._levels, numbers, strict=True):
            probability *= level.backoff[histories[:-1]]
            probability += level.mass[grams[1:]]
        return _log(probability[stream != self.start_symbol])

    def _numbers(self, symbols: Ints) -> Iterator[Ints]:
        """Number the grams of length 0, 1, ... `order` that end before each position.

        symbols are [..., time], each of the `order + 1` results [..., time + 1]: at t the number of
        the gram that ends with symbol t - 1, -1 where it was never counted.
        """
        ending = np.zeros((*symbols.shape[:-1], symbols.shape[-1] + 1), np.int64)
        yield ending
        for level in self._levels:
            longer = np.full_like(ending, -1)
            longer[..., 1:] = level.find(ending[..., :-1], symbols, self.vocabulary_size)
            ending = longer
            yield ending

    def distribution(self, history: npt.ArrayLike) -> Floats:
        """Return the probabilities [vocabulary_size] of the next symbol; 0 for the start symbol.

        history is [time], the ids read so far, start symbols allowed; only its last `order - 1`
        matter. A shorter one begins a document: start symbols stand before it. Raises DataError if
        it is not a 1-d array of ids.
        """
        ids = _ids(history, "history")
        _check_range([ids], "history", self.vocabulary_size)
        padded = np.append(np.full(self.order - 1, self.start_symbol), ids)
        row: Floats = self._distributions(padded[None, len(ids) :])[0]
        return row

    def _distributions(self, histories: Ints) -> Floats:
        """Return [batch, vocabulary_size] probabilities after histories [batch, order - 1]."""
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
        """Return the state before the start symbol: int64 [batch, order - 1], all start symbols."""
        return torch.full((batch, self.order - 1), self.start_symbol, dtype=torch.int64)

    def step(self, token: npt.ArrayLike | Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one symbol a row; the first call of a document reads the start symbol.

        token is [batch], ids; state is [batch, order - 1], the symbols read before. Returns the
        log-probabilities [batch, vocabulary_size] of the symbol after `token`, in nats, float32 on
        the device of `state`, -inf for the start symbol; and the new state. Raises DataError for
        tokens that are not ids, ShapeError for a state that does not fit them.
        """
        ids = _ids(token.cpu() if isinstance(token, Tensor) else token, "token")
        _check_range([ids], "token", self.vocabulary_size)
        if state.shape != (len(ids), self.order - 1):
            raise ShapeError(
                f"NGram.step: `state` must be [batch, order - 1] = [{len(ids)}, {self.order - 1}] "
                f"beside `token` [{len(ids)}]. Got {list(state.shape)}. Start from `start(batch)`."
            )
        read = torch.as_tensor(ids).to(state.device)
        state = torch.cat([state, read[:, None]], dim=1)[:, 1:]
        log_probs = _log(self._distributions(state.cpu().numpy()))
        return torch.as_tensor(log_probs, dtype=torch.float32, device=state.device), state

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole model as named arrays, each in its smallest integer dtype.

        `settings` is [order, vocabulary_size, start, end or -1]; `add_k` is [k], [] for Kneser-Ney.
        For every length k, `keys.k` [grams] are the differences of the sorted keys, a key being the
        place of the gram's history among the grams one shorter * vocabulary_size + its last symbol,
        from -1 on; `counts.k` [grams] are the counts.
        """
        end = -1 if self.end_symbol is None else self.end_symbol
        settings = [self.order, self.vocabulary_size, self.start_symbol, end]
        add_k = [self.smoothing.k] if isinstance(self.smoothing, AddK) else []
        stored: dict[str, npt.NDArray[Any]] = {
            "settings": np.array(settings, np.int64),
            "add_k": np.array(add_k, np.float64),
        }
        for k, level in enumerate(self._levels, start=1):
            steps = np.diff(level.keys, prepend=-1)
            stored[f"keys.{k}"] = steps.astype(np.min_scalar_type(steps.max()))
            stored[f"counts.{k}"] = level.counts.astype(np.min_scalar_type(level.counts.max()))
        return stored

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Make the model that `arrays` described, to the last bit; ArtifactError if damaged."""
        try:
            return cls(*_restore(arrays))
        except (LookupError, ValueError) as error:
            found = {name: tuple(array.shape) for name, array in arrays.items()}
            raise ArtifactError(
                f"NGram.from_arrays: expected what `arrays()` returns. Got {found}, and there "
                f"{error!r}. The stored model is damaged or of another kind; write it again."
            ) from error


def _count(stream: Ints, frame: _Frame, lower_orders: bool) -> list[tuple[Ints, Ints]]:
    """Return keys and counts (see `_Level`) of every order for a stream [time].

    The counts below the top order are those of left neighbors, or zeros without `lower_orders`.
    """
    predicted = stream != frame.start
    # Of the gram that ends before each position; its type is small, this takes the most memory.
    number = np.zeros(len(stream) + 1, np.min_scalar_type(-len(stream) - 1))
    pure = np.ones(len(stream) + 1, np.bool_)  # whether that gram is all start symbols
    grams: list[tuple[Ints, Ints]] = []
    for k in range(1, frame.order + 1):
        # Histories of start symbols alone must be in the table, grams across documents must not.
        pure = np.append(False, pure[:-1] & ~predicted)
        kept = predicted if k == frame.order else predicted | pure[1:]
        keys, places = _distinct(
            number[:-1][kept].astype(np.int64) * frame.vocabulary_size + stream[kept], number.dtype
        )
        shorter, number = number[1:][predicted], np.full_like(number, -1)
        number[1:][kept] = places
        del places
        ending = number[1:][predicted]
        if k > 1:  # the grams of length k tell how many left neighbors those of k - 1 have
            suffix = np.full(len(keys), -1)  # stays -1 for the gram of start symbols alone
            suffix[ending] = shorter
            left = np.bincount(suffix[suffix >= 0], minlength=len(grams[-1][0]))
            grams[-1] = (grams[-1][0], left * lower_orders)
        grams.append((keys, np.bincount(ending, minlength=len(keys))))
    return grams


def _distinct(keys: Ints, dtype: npt.DTypeLike) -> tuple[Ints, npt.NDArray[np.signedinteger[Any]]]:
    """Return the distinct keys, sorted, and the place of every key among them, as `dtype`.

    `np.unique` says the same, and takes twice the memory for it.
    """
    order = np.argsort(keys)
    keys = keys[order]
    first = np.append(True, keys[1:] != keys[:-1])
    keys = keys[first]
    places = np.empty(len(order), dtype)
    places[order] = np.cumsum(first, dtype=dtype) - 1
    return keys, places


def _ids(values: npt.ArrayLike, name: str) -> Ints:
    """Return values as int64 [time], or refuse them."""
    ids = np.asarray(values)
    # An empty list becomes a float array: no matter.
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DataError(
            f"NGram: expected a 1-d array of integer ids. Got {name} of {ids.dtype} and shape "
            f"{list(ids.shape)}. Encode symbols as integers; one document is a list of one array."
        )
    return ids.astype(np.int64, copy=False)


def _check_range(
    arrays: Sequence[Ints], name: str, vocabulary_size: int, around: Sequence[int] = ()
) -> None:
    """Refuse ids outside [0, vocabulary_size), and those that only stand around documents."""
    joined = np.concatenate([np.zeros(0, np.int64), *arrays])
    bad = (joined < 0) | (joined >= vocabulary_size) | np.isin(joined, around)
    if not bad.any():
        return
    place = int(np.argmax(bad))
    begins = np.cumsum([0, *(len(ids) for ids in arrays)])
    which = int(np.searchsorted(begins, place, side="right")) - 1
    without = f" without the start and end symbols {list(around)}" if around else ""
    raise DataError(
        f"NGram: expected ids from 0 to {vocabulary_size - 1}{without}. Got {joined[place]} at "
        f"position {place - begins[which]} of {name}{f' {which}' if around else ''}. Encode with "
        "the model's vocabulary; the model itself puts start and end symbols around documents."
    )


def _check_whole(name: str, value: int, low: int, limit: float, advice: str) -> None:
    """Refuse a setting that is not an integer in [low, limit)."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (whole and low <= value < limit):
        raise SettingError(
            f"NGram: `{name}` must be an integer >= {low} and < {limit} ({advice}). Got {value!r}."
        )


def _restore(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[_Frame, Smoothing, list[tuple[Ints, Ints]]]:
    """Undo `NGram.arrays`; a LookupError or ValueError says what is wrong with them."""
    order, size, start, end = arrays["settings"].tolist()
    smoothing = AddK(arrays["add_k"].tolist()[0]) if len(arrays["add_k"]) else KneserNey()
    frame = _Frame(order, size, start, None if end == -1 else end)
    grams: list[tuple[Ints, Ints]] = []
    for k in range(1, order + 1):
        steps, counts = (arrays[f"{name}.{k}"].astype(np.int64) for name in ("keys", "counts"))
        keys, limit = np.cumsum(steps) - 1, size * (len(grams[-1][0]) if grams else 1)
        fits = keys.shape == counts.shape and keys[-1] < limit
        if not (fits and steps.min() > 0 and counts.min() >= 0):
            raise ValueError(f"keys.{k} and counts.{k} do not fit together")
        grams.append((keys, counts))
    return frame, smoothing, grams


def _log(probability: Floats) -> Floats:
    """Return the natural logarithm, -inf for 0."""
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(probability)
    return logs
