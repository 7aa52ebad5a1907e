"""How probable whole lines are: by the chain rule, line by line."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from recurra.errors import DataError, RunError
from recurra.models import NGram
from recurra.pipeline.text_model import TextModel
from recurra.settings import check_size
from recurra.states import Tree, select_rows
from recurra.twins import evaluating
from recurra_runtime.vocabulary import END, START, UNKNOWN, Ids

__all__ = ["FilledLines", "LineScore", "rank_lines", "score_lines"]

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
        self.blank, empty = 0, True
        for line in self._lines:
            if line.strip():
                empty = False
                yield line
            else:
                self.blank += 1
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
        lines: read as they are needed: some hundred at a time are held.
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
    blocks = _blocks(lines, rows * _GROUPS)
    return itertools.chain.from_iterable(_score(model, b, end, given, rows) for b in blocks)


def rank_lines(scores: Iterable[LineScore]) -> list[LineScore]:
    """The most probable line first; of equal ones the earlier."""
    return sorted(scores, key=lambda score: -score.log_prob)


def _blocks(lines: Iterable[str], most: int) -> Iterator[list[str]]:
    block: list[str] = []
    characters = 0
    for line in lines:
        block.append(line)
        characters += len(line)
        if len(block) == most or characters >= _LONG:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _score(
    model: TextModel, lines: Sequence[str], end: bool, given: Mapping[str, str] | None, rows: int
) -> list[LineScore]:
    documents = [model.vocabulary.encode(line) for line in lines]
    if isinstance(model.model, NGram):
        sums = [_of_ngram(model.model, ids, model.line_break, end) for ids in documents]
    else:
        sums = _by_steps(model, documents, end, given, rows)
    return [
        LineScore(line, total, len(ids) + end, int((ids == UNKNOWN).sum()))
        for line, total, ids in zip(lines, sums, documents, strict=True)
    ]


def _of_ngram(model: NGram, ids: Ids, mark: int | None, end: bool) -> float:
    if mark is None:
        scores = model.score(ids)
    else:
        scores = model.score(np.concatenate([[mark], ids, [mark]]))[1:-1]
    return float((scores if end else scores[: len(scores) - 1]).sum())


@torch.no_grad()
def _by_steps(
    model: TextModel,
    documents: Sequence[Ids],
    end: bool,
    given: Mapping[str, str] | None,
    rows: int,
) -> list[float]:
    sums = [0.0] * len(documents)
    order = sorted(range(len(documents)), key=lambda number: -len(documents[number]))
    with evaluating(model.model):
        for first in range(0, len(order), rows):
            group = order[first : first + rows]
            state = model.start(len(group), given)
            totals = _group(model, [documents[number] for number in group], end, state)
            for number, total in zip(group, totals, strict=True):
                sums[number] = total
    return sums


def _group(model: TextModel, documents: Sequence[Ids], end: bool, state: Tree) -> list[float]:
    """Totals of documents beside each other, the longest first: rows that end are the last ones.

    Some steps at a time, so that the scores ``[steps, rows, v]`` stay small.
    """
    assert not isinstance(model.model, NGram)
    place, mark = next(model.model.parameters()).device, model.line_break
    if mark is not None:
        _, state = model.model.steps(torch.full((1, len(documents)), START, device=place), state)
    lengths = np.array([len(ids) + end for ids in documents])
    stream = np.full((max(lengths.max(), 1) + 1, len(documents)), END if mark is None else mark)
    stream[0] = START if mark is None else mark
    for row, ids in enumerate(documents):
        stream[1 : len(ids) + 1, row] = ids
    symbols = torch.from_numpy(stream)
    totals = torch.zeros(len(documents), dtype=torch.float64)
    valid = torch.from_numpy(lengths) > torch.arange(len(stream) - 1)[:, None]
    time, alive = 0, len(documents)
    while time < lengths.max():
        going = int((lengths > time).sum())
        if going < alive:
            state, alive = select_rows(state, torch.arange(going)), going
        stop = time + max(1, _SCORES // (alive * len(model.vocabulary)))
        read, said = symbols[time:stop, :alive], symbols[time + 1 : stop + 1, :alive]
        read = read[: len(said)]
        log_probs, state = model.model.steps(read.to(place), state)
        found = log_probs.cpu().gather(2, said[..., None])[..., 0].double()
        totals[:alive] += found.masked_fill(~valid[time : time + len(said), :alive], 0.0).sum(0)
        time += len(said)
    if totals.isnan().any():
        raise RunError("score: the model gives NaN; its training went wrong, train it again")
    return totals.tolist()
