"""Names for values inside a step: ``named`` puts a label on one, and is otherwise the identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from typing import TypeVar

from torch import Tensor

from recurra.errors import ShapeError

__all__ = ["named"]

T = TypeVar("T")


class Collected(list[tuple[str, Tensor]]):
    """Labels and values in the order in which they were named.

    Args:
        change: gives another value in place of the one that is named, of its label (a second one
            of a step is called ``label (2)``) and the value; None leaves it.
    """

    def __init__(self, change: Callable[[str, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.change = change

    def take(self, label: str, value: Tensor) -> Tensor:
        """What the step goes on with."""
        if self.change is not None:
            number = 1 + sum(label == before for before, _ in self)
            value = self.change(label if number == 1 else f"{label} ({number})", value)
        self.append((label, value))
        return value


# One list for each thread that collects; empty nearly always, and then a name costs one look.
_COLLECTING: dict[int, Collected] = {}


def named(label: str, value: Tensor) -> Tensor:
    """Put a label on a value inside ``step``: the identity, and free unless somebody looks.

    ::

        f = named("forget gate", torch.sigmoid(before))

    :func:`recurra.named_values` reads the values of a whole run, :func:`recurra.changing` moves
    them, charts and reports show them.

    Args:
        label: what the value is called; a label used twice in one step gets a number.
        value: ``[batch, ...]``.

    Returns:
        ``value`` itself, unless somebody changes it.
    """
    if _COLLECTING:
        found = _COLLECTING.get(get_ident())
        if found is not None:
            return found.take(label, value)
    return value


def collecting(
    change: Callable[[str, Tensor], Tensor] | None = None,
) -> AbstractContextManager[Collected]:
    """Collect what this thread names meanwhile, in order; what was collected before waits.

    Args:
        change: see :class:`Collected`.
    """
    return of_thread(_COLLECTING, Collected(change))


@contextmanager
def of_thread(things: dict[int, T], new: T) -> Iterator[T]:
    """A new thing of this thread's among those of all; the one it had before waits."""
    thread, before = get_ident(), things.get(get_ident())
    things[thread] = new
    try:
        yield new
    finally:
        if before is None:
            del things[thread]
        else:
            things[thread] = before


def numbered(found: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Labels to values; the second value of a label is called ``label (2)``."""
    result: dict[str, Tensor] = {}
    for label, value in found:
        free, number = label, 1
        while free in result:
            number += 1
            free = f"{label} ({number})"
        result[free] = value
    return result


def of_rows(found: list[tuple[str, Tensor]], rows: int) -> dict[str, Tensor]:
    """Labels to values of one step.

    Raises:
        ShapeError: a value that does not lead with the batch.
    """
    for label, value in found:
        if not isinstance(value, Tensor) or value.dim() < 1 or value.shape[0] != rows:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"named {label!r}: expected a tensor [batch={rows}, ...], got {got}.")
    return numbered(found)
