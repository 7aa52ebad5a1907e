"""Names for values inside a step: ``named`` puts a label on one, and is otherwise the identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from typing import TypeVar

from torch import Tensor

from recurra.errors import ShapeError

__all__ = ["named"]

T = TypeVar("T")


class Collected(dict[str, Tensor]):
    """Values by label, in the order in which they were named.

    The second value of a label is called ``label (2)``.

    Args:
        change: gives another value in place of the one that is named, of what it is called and the
            value; None leaves it.
    """

    def __init__(self, change: Callable[[str, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.change = change

    def take(self, label: str, value: Tensor) -> Tensor:
        """What the step goes on with."""
        free, number = label, 1
        while free in self:
            number += 1
            free = f"{label} ({number})"
        self[free] = value if self.change is None else self.change(free, value)
        return self[free]


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
    """Collect what this thread names meanwhile; what was collected before waits.

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


def of_rows(found: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """Values of one step by label.

    Raises:
        ShapeError: a value that does not lead with the batch.
    """
    for label, value in found.items():
        if not isinstance(value, Tensor) or value.dim() < 1 or value.shape[0] != rows:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"named {label!r}: expected a tensor [batch={rows}, ...], got {got}.")
    return dict(found)
