"""A state is a tree of named tuples: what a cell carries from one step to the next.

A tree is a tensor, ``None``, or a tuple of trees; named tuples keep their type. State and context
lead with the batch (``[batch, ...]``); noise and all-step states with time, then batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from recurra.errors import ShapeError

__all__ = [
    "Tree",
    "detach",
    "first",
    "leaves",
    "map_tree",
    "match",
    "paths",
    "select_rows",
    "split",
    "stack",
    "unstack",
    "where",
    "with_first",
    "with_leaves",
]

# mypy has no recursive aliases for named tuples: a state is checked at run time, by `match`.
Tree: TypeAlias = Any
"""A tensor, None, or a (named) tuple of trees."""
T = TypeVar("T")


def map_tree(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply ``function`` to the leaves of ``tree``, and to those of ``others`` at the same place.

    Args:
        function: takes one leaf of each tree, gives a leaf of the result.
        tree: decides the structure of the result; ``None`` stays ``None``.
        others: trees of the same structure.

    Raises:
        ShapeError: the trees differ in structure.
    """
    if tree is None:
        return None
    for other in others:
        if isinstance(tree, tuple) != isinstance(other, tuple) or (
            isinstance(tree, tuple) and len(other) != len(tree)
        ):
            raise ShapeError(
                f"two trees differ: expected {_outline(tree)}, got {_outline(other)}. "
                "Pass a state of the same cell or layer."
            )
    if not isinstance(tree, tuple):
        return function(tree, *others)
    return rebuild(tree, [map_tree(function, *parts) for parts in zip(tree, *others, strict=True)])


def rebuild(like: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    """A tuple of ``parts`` of the same (named) type as ``like``."""
    make = getattr(like, "_make", None)
    return make(parts) if make else tuple(parts)


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, left to right."""
    if not isinstance(tree, tuple):
        return [] if tree is None else [tree]
    found = []
    for part in tree:  # of every call, so counted in microseconds
        if isinstance(part, tuple):
            found += leaves(part)
        elif part is not None:
            found.append(part)
    return found


def paths(tree: Tree, start: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree with where they stand: ``.x``, ``[0].h``; empty for a tensor alone."""
    if isinstance(tree, tuple):
        names = getattr(tree, "_fields", None)
        for index, part in enumerate(tree):
            yield from paths(part, f"{start}.{names[index]}" if names else f"{start}[{index}]")
    elif tree is not None:
        yield start, tree


def first(tree: Tree) -> Tensor:
    """The leaf that comes first: of a tuple that a cell reads, the input proper."""
    return leaves(tree)[0]


def with_first(tree: Tree, value: Tensor) -> Tree:
    """``tree`` with another first leaf."""
    return with_leaves(tree, [value, *leaves(tree)[1:]])


def select_rows(tree: Tree, rows: Tensor) -> Tree:
    """The given rows of every leaf, ``[batch, ...] -> [len(rows), ...]``: how beams are chosen."""
    return map_tree(lambda leaf: leaf.index_select(0, rows.to(leaf.device)), tree)


def where(mask: Tensor, yes: Tree, no: Tree) -> Tree:
    """Row by row ``yes`` where ``mask`` (``[batch]``, bool) holds, else ``no``.

    No gradient, and no NaN, of the side that was not taken reaches the result.
    """

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *(1,) * (a.dim() - 1)), a, b)

    return map_tree(choose, yes, no)


def stack(trees: list[Tree]) -> Tree:
    """One tree of ``[len(trees), ...]`` leaves from many of the same structure."""
    return map_tree(lambda *parts: torch.stack(parts), *trees)


def split(tree: Tree, sizes: int | list[int]) -> list[Tree]:
    """Trees of so many steps each from one of ``[time, ...]`` leaves; none from a tree without any.

    One split, not a slice for each: the gradient of a slice is as long as the whole.
    """
    if isinstance(sizes, list) and len(sizes) == 1:
        return [tree] if leaves(tree) else []
    parts = [torch.split(leaf, sizes) for leaf in leaves(tree)]
    return [with_leaves(tree, list(part)) for part in zip(*parts, strict=True)]


def unstack(tree: Tree) -> list[Tree]:
    """Trees of ``[...]`` leaves from one of ``[steps, ...]`` leaves: undoes :func:`stack`.

    All steps are cut at once: the gradient of one index is as long as the whole, so cutting them
    one by one costs the square of the number of steps.
    """
    cut = [leaf.unbind(0) for leaf in leaves(tree)]
    return [with_leaves(tree, list(parts)) for parts in zip(*cut, strict=True)]


def with_leaves(like: Tree, parts: list[Tensor]) -> Tree:
    """A tree like another one with these leaves, left to right."""
    return _filled(like, iter(parts))


def _filled(like: Tree, parts: Iterator[Tensor]) -> Tree:
    if isinstance(like, tuple):
        return rebuild(like, [_filled(part, parts) for part in like])
    return None if like is None else next(parts)


def detach(tree: Tree) -> Tree:
    """The same values, cut from the graph: truncated backpropagation carries this on."""
    return map_tree(lambda leaf: leaf.detach(), tree)


_GO_ON = "Pass the state that an earlier call returned, or leave it out to start anew."


def match(given: Tree, expected: Tree, *, what: str, advice: str = _GO_ON) -> None:
    """Check that ``given`` has the structure and the shapes of ``expected``.

    Args:
        given: a state from a user.
        expected: the initial state for the same batch.
        what: what is being checked, for the message ("state of LSTMCell").
        advice: what to do about it.

    Raises:
        ShapeError: naming the field, the expected shape and the one that came.
    """
    wrong = _mismatch(given, expected, "")
    if wrong:
        place, want, got = wrong
        raise ShapeError(f"{what}{place}: expected {want}, got {got}. {advice}")


def _mismatch(given: Tree, expected: Tree, place: str) -> tuple[str, str, str] | None:
    if isinstance(expected, tuple) and isinstance(given, tuple) and len(given) == len(expected):
        names = getattr(expected, "_fields", None)
        for index, (one, other) in enumerate(zip(given, expected, strict=True)):
            inner = f"{place}.{names[index]}" if names else f"{place}[{index}]"
            if wrong := _mismatch(one, other, inner):
                return wrong
        return None
    if isinstance(expected, Tensor) and isinstance(given, Tensor) and given.shape == expected.shape:
        return None
    if given is None and expected is None:
        return None
    return place, _outline(expected), _outline(given)


def _outline(tree: Tree) -> str:
    """A tree in a few words: ``LSTMState(h [8, 32], c [8, 32])``."""
    if isinstance(tree, Tensor):
        return str(list(tree.shape))
    if isinstance(tree, tuple):
        names = getattr(tree, "_fields", None)
        kind = type(tree).__name__ if names else ""
        parts = [
            f"{names[i]} {_outline(part)}" if names else _outline(part)
            for i, part in enumerate(tree)
        ]
        return f"{kind}({', '.join(parts)})"
    return "nothing" if tree is None else type(tree).__name__
