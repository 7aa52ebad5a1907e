"""Which of some candidates fits a gap: every candidate's whole sentence is scored."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data import ComingLines, read_lines
from recurra.errors import DataError
from recurra.pipeline.scoring import score_lines
from recurra.pipeline.text_model import TextModel

__all__ = ["Cloze", "ClozeAnswer", "answer_cloze", "read_cloze"]

GAP = "___"
_AHEAD = 256  # questions whose sentences are scored together


@dataclasses.dataclass(frozen=True)
class Cloze:
    """A sentence with a gap, and what may stand there.

    Args:
        text: holds ``___`` once.
        choices: at least two, all different.
        answer: number of the right one; None if it is not known.
        source: where it came from.
    """

    text: str
    choices: tuple[str, ...]
    answer: int | None = None
    source: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The text with each choice in the gap."""
        return tuple(self.text.replace(GAP, choice) for choice in self.choices)


@dataclasses.dataclass(frozen=True)
class ClozeAnswer:
    """What a model puts into a gap.

    Args:
        cloze: the question.
        chosen: number of the choice whose sentence is the most probable; of equal ones the first.
        posterior: of each choice p(its sentence) / the sum over all choices.
        unknown: of each choice how many symbols of its sentence the vocabulary does not know; they
            count as ``<unk>``.
        tied: whether another choice is as probable, as two words are that are both unknown.
    """

    cloze: Cloze
    chosen: int
    posterior: tuple[float, ...]
    unknown: tuple[int, ...]
    tied: bool

    @property
    def choice(self) -> str:
        """What was chosen."""
        return self.cloze.choices[self.chosen]

    @property
    def correct(self) -> bool | None:
        """Whether the right one, and it alone, was the best; None if that is not known."""
        if self.cloze.answer is None:
            return None
        return self.chosen == self.cloze.answer and not self.tied

    def to_json(self) -> dict[str, Any]:
        """Text, choice, tie, posterior and unknown by choice, and, where known, whether right."""
        told: dict[str, Any] = {"text": self.cloze.text, "choice": self.choice, "tied": self.tied}
        for name in ("posterior", "unknown"):
            told[name] = dict(zip(self.cloze.choices, getattr(self, name), strict=True))
        return told if self.correct is None else told | {"correct": self.correct}


def answer_cloze(
    model: TextModel,
    questions: Iterable[Cloze],
    *,
    end: bool = True,
    given: Mapping[str, str] | None = None,
) -> Iterator[ClozeAnswer]:
    """Fill gaps.

    Args:
        model: what gives the probabilities.
        questions: read as they are needed.
        end: whether the end of a sentence counts, as of :func:`score_lines`.
        given: condition -> label, for all questions.

    Yields:
        an answer for each question, in their order.

    Raises:
        SettingError: a condition that is missing or that the model does not have.
        DataError: a label that the model does not know.
    """
    model.start(1, given)
    return _answers(model, iter(questions), end, given)


def _answers(
    model: TextModel, questions: Iterator[Cloze], end: bool, given: Mapping[str, str] | None
) -> Iterator[ClozeAnswer]:
    while block := list(itertools.islice(questions, _AHEAD)):
        sentences = [sentence for question in block for sentence in question.sentences]
        scores = score_lines(model, sentences, end=end, given=given)
        for question in block:
            ours = list(itertools.islice(scores, len(question.choices)))
            # Sentences of the same symbols may stand in groups of their own and be rounded apart.
            read = [model.vocabulary.encode(sentence).tobytes() for sentence in question.sentences]
            log_probs = np.array([ours[read.index(symbols)].log_prob for symbols in read])
            tied = int((log_probs == log_probs.max()).sum()) > 1
            unknown = tuple(score.unknown for score in ours)
            shares = np.exp(log_probs - log_probs.max())
            posterior = tuple((shares / shares.sum()).tolist())
            yield ClozeAnswer(question, int(log_probs.argmax()), posterior, unknown, tied)


def read_cloze(source: str | Path | ComingLines, *, encoding: str = "utf-8") -> Iterator[Cloze]:
    """Questions of JSON lines, of a file or as they come, one by one.

    A line is an object with ``text`` (with ``___`` once), ``choices`` (texts) and, where it is
    known, ``answer`` (one of the choices, or its number from 0 on). Blank lines are left out.

    Raises:
        DataError: no such file, no question in it, or a line that is none; with its number.
    """
    empty = True
    for number, line in enumerate(read_lines(source, encoding=encoding), 1):
        if line.strip():
            empty = False
            yield _cloze(line, f"{source}, line {number}")
    if empty:
        raise DataError(f"{source}: expected lines with a text and choices, the file is empty.")


def _cloze(line: str, source: str) -> Cloze:
    example = '{"text": "the cat ___.", "choices": ["sat", "flew"], "answer": "sat"}'
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{source}: not JSON ({problem}). Expected {example}.") from None
    if not isinstance(told, dict):
        raise DataError(f"{source}: expected an object, got {_short(told)}. Expected {example}.")
    text, choices = told.get("text"), told.get("choices")
    choices = choices if isinstance(choices, list) else []
    if not isinstance(text, str):
        raise DataError(f"{source}: expected 'text', got {_short(text)}. Expected {example}.")
    gaps = re.findall("___+", text)
    if gaps != [GAP]:
        raise DataError(
            f"{source}: expected one gap of three underscores in 'text', got {len(gaps)}"
            f"{': ' + ', '.join(gaps) if gaps else ''}."
        )
    texts = {choice for choice in choices if isinstance(choice, str)}
    if not 1 < len(texts) == len(choices):
        raise DataError(
            f"{source}: expected 'choices', at least two different texts, got "
            f"{_short(told.get('choices'))}."
        )
    return Cloze(text, tuple(choices), _answer(told.get("answer"), choices, source), source)


def _answer(answer: Any, choices: list[str], source: str) -> int | None:
    if answer is None:
        return None
    if isinstance(answer, str) and answer in choices:
        return choices.index(answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    raise DataError(
        f"{source}: expected 'answer' to be one of the choices {_short(choices)} or its number "
        f"from 0 on, got {_short(answer)}."
    )


def _short(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 80 else shown[:77] + "..."
