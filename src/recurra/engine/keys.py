"""What values that steps named are called: by where the cell stands, its run, and the label."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Key"]

# A place, perhaps with the number of a run: "layers.0.cell (2): ", "cell: ", "(2): ".
_WHERE = re.compile(r"(?P<place>.*?) ?(?:\((?P<run>\d+)\))?: ")


class Key(NamedTuple):
    """What a named value is called: ``"layers.0.cell (2): forget gate"``.

    Args:
        place: where its cell stands in the module; empty where a step was called by itself, or
            where the module is the cell.
        label: as the step named it.
        run: number of the cell's run, from 1. 0 is told of none: of what is read it is the first
            one, of what is moved all.
    """

    place: str
    label: str
    run: int = 0

    @classmethod
    def of(cls, text: str) -> Key:
        """The key that is written so.

        >>> Key.of("layers.0.cell (2): forget gate")
        Key(place='layers.0.cell', label='forget gate', run=2)
        """
        found = _WHERE.match(text)
        if found is None:
            return cls("", text)
        return cls(found["place"], text[found.end() :], int(found["run"] or 0))

    def __str__(self) -> str:
        return f"{self.where}: {self.label}" if self.where else self.label

    @property
    def where(self) -> str:
        """The place, with the number of the run if that is told."""
        return f"{self.place} ({self.run})".lstrip() if self.run else self.place

    @property
    def name(self) -> str:
        """The label without the number that the second value of a step with it has."""
        return re.sub(r" \(\d+\)$", "", self.label)

    @property
    def alone(self) -> Key:
        """The key by which a value is moved in this run and in no other."""
        return self._replace(run=self.run or 1)
