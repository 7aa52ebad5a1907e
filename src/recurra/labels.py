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

# One list for each thread that collects; empty nearly always, and then a name costs one look.
_COLLECTING: dict[int, list[tuple[str, Tensor]]] = {}


def named(label: str, value: Tensor) -> Tensor:
    """Put a label on a value inside ``step``: the identity, and free unless somebody looks.

    ::

        f = named("forget gate", torch.sigmoid(before))

    :func:`recurra.named_values` reads the values of a whole run, charts and reports show them.

    Args:
        label: what the value is called; a label used twice in one step gets a number.
        value: ``[batch, ...]``.

    Returns:
        ``value`` itself.
    """
    if _COLLECTING:
        found = _COLLECTING.get(get_ident())
        if found is not None:
            found.append((label, value))
    return value


def collecting() -> AbstractContextManager[list[tuple[str, Tensor]]]:
    """Collect what this thread names meanwhile, in order; what was collected before waits."""
    return of_thread(_COLLECTING)


@contextmanager
def of_thread(lists: dict[int, list[T]]) -> Iterator[list[T]]:
    """A new list of this thread's among those of all; the one it had before waits."""
    thread, before = get_ident(), lists.get(get_ident())
    found = lists[thread] = []
    try:
        yield found
    finally:
        if before is None:
            del lists[thread]
        else:
            lists[thread] = before


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


def stacked(
    parts: list[dict[str, Tensor]], join: Callable[[list[Tensor]], Tensor]
) -> dict[str, Tensor]:
    """Label by label the parts joined.

    Raises:
        ShapeError: a label is missing in some parts.
    """
    labels = list(parts[0]) if parts else []
    for part in parts:
        if set(part) != set(labels):
            odd = sorted(set(part) ^ set(labels))
            raise ShapeError(
                f"named {odd[0]!r}: expected at every step or at none, got at some. A step names "
                "the same values whenever it runs."
            )
    return {label: join([part[label] for part in parts]) for label in labels}
