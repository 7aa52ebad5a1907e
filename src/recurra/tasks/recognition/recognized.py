"""What a recognizer has found: texts with scores, symbols with times."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.decoding import Transcript, align
from recurra.models import Recognizer
from recurra.tasks.recognition.corpus import TEXT, input_of, text_of_symbols
from recurra_runtime.fronts import Sound
from recurra_runtime.vocabulary import RESERVED

__all__ = ["Candidate", "Recognized", "Symbol", "recognized", "seconds_of"]


class Symbol(NamedTuple):
    """A symbol of a text, and where it stands.

    Args:
        text: of the symbol.
        first: the step of the model that says it first, from 0.
        peak: the one where it is most probable.
        time: when that step begins, in seconds; None of what has no rate.
        confidence: how probable it is there, 0 to 1.
    """

    text: str
    first: int
    peak: int
    time: float | None
    confidence: float


class Candidate(NamedTuple):
    """A text that may be the one.

    Args:
        text: that one.
        score: by which they are ranked.
        log_prob: of the text given the input, in nats, without a language model.
    """

    text: str
    score: float
    log_prob: float


@dataclasses.dataclass(frozen=True)
class Recognized:
    """The text of a recording or picture.

    Args:
        read: where it is from; None of numbers that are from nowhere.
        ranked: texts, the best first, at least one.
        symbols: of the best one.
    """

    read: str | None
    ranked: tuple[Candidate, ...]
    symbols: tuple[Symbol, ...]

    @property
    def text(self) -> str:
        """The best one."""
        return self.ranked[0].text

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it, or of the ranks the first so many."""
        found: dict[str, Any] = {} if self.read is None else {"file": self.read}
        found["text"] = self.text
        found["ranked"] = [each._asdict() for each in self.ranked[:top]]
        found["symbols"] = [each._asdict() for each in self.symbols]
        return found


def seconds_of(model: Recognizer, fronts: Mapping[str, Any]) -> float | None:
    """From one step of the model to the next, where the front knows a rate."""
    _, front = input_of(fronts)
    return front.shift / 1000 * model.stride if isinstance(front, Sound) else None


def recognized(
    model: Recognizer,
    fronts: Mapping[str, Any],
    logs: npt.NDArray[np.float64],
    found: Sequence[Transcript],
    read: str | None = None,
    before: int = 0,
) -> Recognized:
    """Texts and times of what a search found.

    Args:
        model: that gave the log-probabilities.
        fronts: of it.
        logs: ``[steps, symbols + 1]``.
        found: the best first, at least one.
        read: where the input is from.
        before: steps of a stream that came before these.
    """
    vocabulary = fronts[TEXT]
    ranked = [Candidate(text_of_symbols(t.symbols, vocabulary), t.score, t.log_prob) for t in found]
    symbols, seconds = found[0].symbols, seconds_of(model, fronts)
    where = align(logs, symbols, blank=model.alignment.blank)
    rows = zip(symbols, where.first, where.peak, where.confidence, strict=True)
    return Recognized(
        read,
        tuple(ranked),
        tuple(
            Symbol(
                vocabulary.symbol(symbol + len(RESERVED)),
                first + before,
                peak + before,
                None if seconds is None else round((peak + before) * seconds, 6),
                confidence,
            )
            for symbol, first, peak, confidence in rows
        ),
    )
