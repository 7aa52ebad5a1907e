"""The names of classes, one of which is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from recurra_runtime.vocabulary.base import checked, listed, several

__all__ = ["ClassNames"]


class ClassNames:
    """One number for each class, from 0: nothing else can be the answer.

    Args:
        names: of the classes, each once.

    Raises:
        ValueError: something that is no text, a name twice, or none.
    """

    kind: ClassVar[str] = "classes"

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        for name in self.names:
            if not isinstance(name, str):
                raise ValueError(f"classes: expected names of text, got {name!r}")
        self._numbers = {name: number for number, name in enumerate(self.names)}
        if len(self._numbers) < len(self.names) or not self.names:
            raise ValueError("classes: expected each name once, and at least one")

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """The names that occur, sorted."""
        return cls(sorted(set(several(names))))

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.names)

    def number(self, name: str) -> int | None:
        """The number of a class; None of one that is not known."""
        return self._numbers.get(name)

    def name(self, number: int) -> str:
        """The class of a number.

        Raises:
            ValueError: there is none.
        """
        return self.names[checked(number, len(self))]

    def to_json(self) -> dict[str, Any]:
        """Kind and names."""
        return {"kind": self.kind, "names": list(self.names)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The classes that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        return cls(listed(data, "names"))
