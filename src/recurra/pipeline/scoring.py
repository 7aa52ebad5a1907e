"""How probable whole lines are: by the chain rule, line by line."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.data import ComingLines
from recurra.errors import DataError, RunError
from recurra.given import ahead, inputs_of, text_of
from recurra.models import NGram
from recurra.pipeline.text_model import TextModel
from recurra.settings import check_size
from recurra.states import Tree, select_rows
from recurra.twins import evaluating
from recurra_runtime.vocabulary import END, START, UNKNOWN, Ids

__all__ = [
    "FilledLines",
    "LineScore",
    "SymbolScores",
    "line_blocks",
    "rank_lines",
    "score_lines",
    "score_symbols",
]

_GROUPS = 16  # of lines, read ahead so that lines of like length can stand together
_SCORES = 1 << 20  # of symbols, made at once
_LONG = 1 << 20  # characters in those groups, after which no more are read ahead


@dataclasses.dataclass(frozen=True)
class LineScore:
    """How probable a line is.

    Args:
        text: the line.
        log_prob: sum of the log-probabilities of its symbols, in nats.
        symbols: how many were predicted, the end of the line included unless left out.
        unknown: how many of them the vocabulary does not know; they count as ``<unk>``.
    """

    text: str
    log_prob: float
    symbols: int
    unknown: int = 0

    @property
    def nats_per_symbol(self) -> float:
        """Minus the log-probability / the number of symbols; 0 if there is none."""
        return 0.0 - self.log_prob / max(self.symbols, 1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return dataclasses.asdict(self) | {"nats_per_symbol": self.nats_per_symbol}


@dataclasses.dataclass(frozen=True, eq=False)
class SymbolScores:
    """How probable each symbol of a line is.

    Args:
        number: of the line among all, from 1 on, blank ones counted.
        ids: of the symbols that were predicted, the end of the line included unless left out.
        symbols: the same as they are shown; what is unknown is ``<unk>``.
        log_probs: of each, in nats, after all before it.
    """

    number: int
    ids: tuple[int, ...]
    symbols: tuple[str, ...]
    log_probs: tuple[float, ...]

    def rows(self) -> Iterator[dict[str, Any]]:
        """For each symbol line, position from 1 on, symbol, id, log-probability, and bits."""
        told = zip(self.symbols, self.ids, self.log_probs, strict=True)
        for position, (symbol, index, log_prob) in enumerate(told, 1):
            yield {
                "line": self.number,
                "position": position,
                "symbol": symbol,
                "id": index,
                "log_prob": log_prob,
                "bits": 0.0 - log_prob / math.log(2),
            }


class FilledLines:
    """The lines that are not blank.

    Args:
        lines: read as they are asked for.
        source: what an error calls them.

    Attributes:
        blank: how many were left out so far.
    """

    def __init__(self, lines: Iterable[str], source: str) -> None:
        self._lines, self._source = lines, source
        self.blank = 0

    def __iter__(self) -> Iterator[str]:
        """From the first line.

        Raises:
            DataError: all are blank, or there is none.
        """
        return (line for block in self.numbered(1) for _, line in block)

    def numbered(self, most: int) -> Iterator[list[tuple[int, str]]]:
        """Lines with their numbers among all, those together that can be had at once.

        Args:
            most: how many together.

        Raises:
            DataError: as above.
        """
        self.blank, empty, number = 0, True, 0
        for block in line_blocks(self._lines, most):
            filled = [(n, line) for n, line in enumerate(block, number + 1) if line.strip()]
            number += len(block)
            self.blank += len(block) - len(filled)
            if filled:
                empty = False
                yield filled
        if empty:
            raise DataError(f"{self._source}: expected a line with text, found none.")


def score_lines(
    model: TextModel,
    lines: Iterable[str],
    *,
    end: bool = True,
    given: Mapping[str, str] | None = None,
    rows: int = 64,
) -> Iterator[LineScore]:
    r"""Score lines, each a document of its own.

    .. math:: \log p(s_1 \dots s_n) = \sum_{t=1}^{n+1} \log p(s_t \mid s_0 \dots s_{t-1})

    where :math:`s_{n+1}` is the end symbol, so that the probabilities of all lines sum to 1. With a
    vocabulary of words in which line ends are a word, that one is :math:`s_{n+1}`, and it is
    :math:`s_0` too: what is scored is a line between two others.

    Args:
        model: what gives the probabilities.
        lines: read as they are needed: some hundred at a time are held, of
            :class:`recurra.data.ComingLines` those that have come.
        end: whether the end counts.
        given: condition -> label, for all lines.
        rows: lines beside each other; those of like length are put together.

    Yields:
        a score for each line, in their order.

    Raises:
        SettingError: rows below 1, a condition that is missing or that the model does not have.
        DataError: a label that the model does not know.
        RunError: the model gives NaN.
    """
    check_size("rows", rows)
    model.start(1, given)  # what is wrong with them is said now, and not at the first line
    blocks = _numbered(inputs_of("score", lines), rows * _GROUPS)
    return itertools.chain.from_iterable(
        _score(model, [line for _, line in block], end, given, rows) for block in blocks
    )


def score_symbols(
    model: TextModel,
    lines: Iterable[str],
    *,
    end: bool = True,
    given: Mapping[str, str] | None = None,
    rows: int = 64,
) -> Iterator[SymbolScores]:
    """What each symbol of each line costs; together they are what :func:`score_lines` says.

    Arguments and errors as there.
    """
    check_size("rows", rows)
    model.start(1, given)
    return (
        symbols
        for block in _numbered(inputs_of("score", lines), rows * _GROUPS)
        for symbols in _symbols(model, block, end, given, rows)
    )


def _symbols(
    model: TextModel,
    block: Sequence[tuple[int, str]],
    end: bool,
    given: Mapping[str, str] | None,
    rows: int,
) -> Iterator[SymbolScores]:
    documents = [model.vocabulary.encode(line) for _, line in block]
    last = [END if model.line_break is None else model.line_break] if end else []
    scores = _log_probs(model, documents, end, given, rows)
    for (number, _), document, found in zip(block, documents, scores, strict=True):
        ids = (*document.tolist(), *last)
        shown = tuple(map(model.vocabulary.symbol, ids))
        yield SymbolScores(number, ids, shown, tuple(found.tolist()))


def rank_lines(scores: Iterable[LineScore]) -> list[LineScore]:
    """The most probable line first; of equal ones the earlier."""
    return sorted(scores, key=lambda score: -score.log_prob)


def _numbered(lines: Iterable[str], most: int) -> Iterator[list[tuple[int, str]]]:
    if isinstance(lines, FilledLines):
        yield from lines.numbered(most)
        return
    number = 1
    for block in line_blocks(lines, most):
        yield list(enumerate(block, number))
        number += len(block)


def line_blocks(lines: Iterable[str], most: int, door: str = "score") -> Iterator[list[str]]:
    """So many lines at a time, of :class:`recurra.data.ComingLines` those that have come.

    Args:
        lines: read as they are asked for.
        most: how many together.
        door: what an error begins with.
    """
    if isinstance(lines, ComingLines):  # to wait for more would keep a person waiting
        yield from lines.blocks()
        return
    checked = (text_of(door, line) for line in lines)
    yield from ahead(checked, most, len, _LONG)


def _score(
    model: TextModel, lines: Sequence[str], end: bool, given: Mapping[str, str] | None, rows: int
) -> list[LineScore]:
    documents = [model.vocabulary.encode(line) for line in lines]
    scores = _log_probs(model, documents, end, given, rows)
    return [
        LineScore(line, float(found.sum()), len(ids) + end, int((ids == UNKNOWN).sum()))
        for line, found, ids in zip(lines, scores, documents, strict=True)
    ]


_Found = npt.NDArray[np.float64]
"""The log-probability of each symbol of a line."""


def _log_probs(
    model: TextModel,
    documents: Sequence[Ids],
    end: bool,
    given: Mapping[str, str] | None,
    rows: int,
) -> list[_Found]:
    if isinstance(model.model, NGram):
        return [_of_ngram(model.model, ids, model.line_break, end) for ids in documents]
    return _by_steps(model, documents, end, given, rows)


def _of_ngram(model: NGram, ids: Ids, mark: int | None, end: bool) -> _Found:
    if mark is None:
        scores = model.score(ids)
    else:
        scores = model.score(np.concatenate([[mark], ids, [mark]]))[1:-1]
    return np.asarray(scores if end else scores[: len(scores) - 1], np.float64)


@torch.no_grad()
def _by_steps(
    model: TextModel,
    documents: Sequence[Ids],
    end: bool,
    given: Mapping[str, str] | None,
    rows: int,
) -> list[_Found]:
    found = [np.zeros(0)] * len(documents)
    order = sorted(range(len(documents)), key=lambda number: -len(documents[number]))
    steps = model.steps
    with evaluating(steps):
        for first in range(0, len(order), rows):
            group = order[first : first + rows]
            state = model.start(len(group), given)
            scores = _group(model, steps, [documents[number] for number in group], end, state)
            for number, scored in zip(group, scores, strict=True):
                found[number] = scored
    return found


def _group(
    model: TextModel, steps: Any, documents: Sequence[Ids], end: bool, state: Tree
) -> list[_Found]:
    """Scores of documents beside each other, the longest first: rows that end are the last ones.

    Some steps at a time, so that the scores ``[steps, rows, v]`` stay small.
    """
    assert not isinstance(model.model, NGram)
    place, mark = next(model.model.parameters()).device, model.line_break
    if mark is not None:
        _, state = steps.steps(torch.full((1, len(documents)), START, device=place), state)
    lengths = np.array([len(ids) + end for ids in documents])
    stream = np.full((max(lengths.max(), 1) + 1, len(documents)), END if mark is None else mark)
    stream[0] = START if mark is None else mark
    for row, ids in enumerate(documents):
        stream[1 : len(ids) + 1, row] = ids
    symbols = torch.from_numpy(stream)
    scores = np.zeros((len(documents), int(lengths.max())))
    time, alive = 0, len(documents)
    while time < lengths.max():
        going = int((lengths > time).sum())
        if going < alive:
            state, alive = select_rows(state, torch.arange(going)), going
        stop = time + max(1, _SCORES // (alive * len(model.vocabulary)))
        read, said = symbols[time:stop, :alive], symbols[time + 1 : stop + 1, :alive]
        read = read[: len(said)]
        log_probs, state = steps.steps(read.to(place), state)
        found = log_probs.cpu().gather(2, said[..., None])[..., 0].double()
        scores[:alive, time : time + len(said)] = found[: scores.shape[1] - time].T
        time += len(said)
    each = [scores[row, :length] for row, length in enumerate(lengths)]
    if any(np.isnan(row).any() for row in each):
        raise RunError("score: the model gives NaN; its training went wrong, train it again")
    return each
