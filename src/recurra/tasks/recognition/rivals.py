"""Models without memory beside a recognizer: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra.tasks.recognition.corpus import RecognitionExamples, RecognitionPart
from recurra.tasks.recognition.settings import RecognitionData
from recurra_runtime.vocabulary import Vocabulary

__all__ = ["KINDS", "FrequentText", "fit_rivals"]


class FrequentText:
    """Says of everything the most frequent text, of equally frequent ones the first.

    Args:
        text: that one.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def texts(self, rows: list[Any], vocabulary: Vocabulary) -> list[str]:
        """The same for each."""
        return [self.text for _ in rows]

    def nats(self, part: RecognitionPart) -> None:
        """It gives no probabilities."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its text as UTF-8."""
        return {"text": np.frombuffer(self.text.encode("utf-8", "surrogatepass"), np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(arrays["text"].tobytes().decode("utf-8", "surrogatepass"))


KINDS: dict[str, Any] = {"most frequent text": FrequentText.from_arrays}
"""By name, the simplest first."""


def fit_rivals(
    prepared: RecognitionExamples, data: RecognitionData, report: Callable[[str], None]
) -> dict[str, Any]:
    """The most frequent text."""
    training = prepared.parts["training"]
    if not data.rival_examples:
        return {}
    return {"most frequent text": FrequentText(Counter(training.texts).most_common(1)[0][0])}
