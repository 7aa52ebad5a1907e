"""One id for each label."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np

from recurra_runtime.vocabulary.base import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    Ids,
    checked,
    listed,
    several,
)

__all__ = ["LabelVocabulary"]


class LabelVocabulary:
    """One id for each label: a whole text, such as a topic or an author, is one symbol.

    Args:
        labels: the known labels, each once; their ids follow the reserved ones in order.

    Raises:
        ValueError: something that is no text, or a label twice.
    """

    kind: ClassVar[str] = "labels"

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        for label in self.labels:
            if not isinstance(label, str):
                raise ValueError(f"vocabulary: expected labels of text, got {label!r}")
        self._ids = {label: number for number, label in enumerate(self.labels, len(RESERVED))}
        if len(self._ids) < len(self.labels):
            raise ValueError("vocabulary: expected each label once, got one twice")

    @classmethod
    def of(cls, labels: Iterable[str]) -> Self:
        """The labels that occur, sorted."""
        return cls(sorted(set(several(labels))))

    def __len__(self) -> int:
        """Number of ids, reserved ones included."""
        return len(RESERVED) + len(self.labels)

    def encode(self, text: str) -> Ids:
        """The id of one label, ``[1]``; one that is not known becomes ``<unk>``."""
        return np.array([self._ids.get(text, UNKNOWN)], np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The labels of ids, a comma between them; start and end become nothing."""
        return ", ".join(self.symbol(i) for i in ids if i not in (START, END))

    def writer(self) -> Callable[[int], str]:
        """A function from one id to its label."""
        return lambda index: "" if index in (START, END) else self.symbol(index)

    def symbol(self, index: int) -> str:
        """How to show one id: the label, or the reserved name."""
        return (RESERVED + self.labels)[checked(index, len(self))]

    def raw(self, index: int) -> bytes:
        """UTF-8 of a label; nothing of a reserved id. A lone surrogate passes."""
        index = checked(index, len(self))
        if index < len(RESERVED):
            return b""
        return self.labels[index - len(RESERVED)].encode("utf-8", "surrogatepass")

    def to_json(self) -> dict[str, Any]:
        """Kind and labels."""
        return {"kind": self.kind, "labels": list(self.labels)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The vocabulary that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        return cls(listed(data, "labels"))
