"""The names of classes, one of which is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from recurra_runtime.vocabulary.base import checked, listed
from recurra_runtime.vocabulary.base import several as each_of

__all__ = ["ClassNames"]


class ClassNames:
    """One number for each class, from 0: nothing else can be the answer.

    Args:
        names: of the classes, each once.
        several: whether any number of them may be the answer.

    Raises:
        ValueError: something that is no text, a name twice, or none.
    """

    kind: ClassVar[str] = "classes"

    def __init__(self, names: Iterable[str], *, several: bool = False) -> None:
        self.names, self.several = tuple(names), several
        for name in self.names:
            if not isinstance(name, str):
                raise ValueError(f"classes: expected names of text, got {name!r}")
        self._numbers = {name: number for number, name in enumerate(self.names)}
        if len(self._numbers) < len(self.names) or not self.names:
            raise ValueError("classes: expected each name once, and at least one")

    @classmethod
    def of(cls, names: Iterable[str], *, several: bool = False) -> Self:
        """The names that occur, sorted."""
        return cls(sorted(set(each_of(names))), several=several)

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
        """Kind and names, and whether several may be the answer where they may."""
        told = {"several": True} if self.several else {}
        return {"kind": self.kind, "names": list(self.names), **told}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The classes that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        return cls(listed(data, "names"), several=data.get("several") is True)
