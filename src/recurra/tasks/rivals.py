"""What rivals of several tasks have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy.typing as npt

from recurra.models.packed_texts import packed_texts, unpacked_texts
from recurra.pipeline.rivals import read_rivals, write_rivals
from recurra.tasks.base import Task

__all__ = ["FrequentText", "RivalsTask"]


class RivalsTask(Task):
    """A task whose rivals are arrays, which a run keeps in files of their own."""

    kinds_of_rivals: ClassVar[Mapping[str, Callable[[Any], Any]]]
    """How each is made of its arrays, by the beginning of its name, the simplest first."""

    def write_rivals(self, folder: Path, rivals: Mapping[str, Any]) -> None:
        """See :func:`recurra.pipeline.rivals.write_rivals`."""
        write_rivals(folder, rivals)

    def read_rivals(self, folder: Path) -> dict[str, Any]:
        """The simplest first."""
        return read_rivals(folder, self.kinds_of_rivals)


class FrequentText:
    """Says the same of everything: what is said most often.

    Args:
        text: that.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Self:
        """Of what is trained on; of several that are as frequent the first."""
        return cls(Counter(texts).most_common(1)[0][0])

    def say(self, sources: Sequence[Any]) -> list[str]:
        """The same for each."""
        return [self.text] * len(sources)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The text."""
        return {"text": packed_texts([self.text])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Of what :meth:`arrays` gave."""
        return cls(unpacked_texts(arrays["text"])[0])
