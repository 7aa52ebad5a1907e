"""Trees of named tuples: mapping, choosing rows, and what a mismatch is called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from recurra.errors import ShapeError
from recurra.states import detach, leaves, map_tree, match, select_rows, stack, where


class Pair(NamedTuple):
    h: Any
    c: Any


class Alone(NamedTuple):
    h: Any


def rows(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def tree(first: float = 0) -> tuple[Any, ...]:
    """A tuple over layers: two named tuples, a plain pair, and a field that is not there."""
    a, b, c, d = (rows(first + k, first + k + 10) for k in range(1, 5))
    return (Pair(a, b), Alone(c), (d, None))


def numbers(some: Any) -> Any:
    if isinstance(some, tuple):
        return [type(some).__name__, *map(numbers, some)]
    return None if some is None else some.tolist()


def test_map_keeps_structure_and_types() -> None:
    assert numbers(map_tree(lambda x, y: x - 2 * y, tree(100), tree())) == [
        "tuple",
        ["Pair", [99, 89], [98, 88]],
        ["Alone", [97, 87]],
        ["tuple", [96, 86], None],
    ]
    assert map_tree(torch.neg, None) is None
    assert map_tree(torch.neg, rows(1, 2)).tolist() == [-1, -2]


def test_leaves_come_left_to_right() -> None:
    assert [leaf.tolist() for leaf in leaves(tree())] == [[1, 11], [2, 12], [3, 13], [4, 14]]
    assert list(leaves(None)) == []


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (Pair(rows(1), rows(2)), Alone(rows(1)), r"expected Pair\(h \[1\], c \[1\]\), got Alone"),
        (Alone(rows(1)), rows(1), r"expected Alone\(h \[1\]\), got \[1\]"),
        (Alone(rows(1)), None, r"expected Alone\(h \[1\]\), got nothing"),
        (rows(1), Alone(rows(1)), r"expected \[1\], got Alone\(h \[1\]\)"),
        (Pair(rows(1), Alone(rows(1))), Pair(rows(1), rows(1)), r"expected Alone\(h \[1\]\)"),
    ],
)
def test_trees_that_differ_are_refused(one: Any, other: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        map_tree(lambda a, b: a, one, other)


def test_select_rows() -> None:
    chosen = select_rows(tree(), torch.tensor([1, 1, 0]))
    assert numbers(chosen) == [
        "tuple",
        ["Pair", [11, 11, 1], [12, 12, 2]],
        ["Alone", [13, 13, 3]],
        ["tuple", [14, 14, 4], None],
    ]
    wide = torch.arange(12).view(3, 2, 2)
    assert select_rows(Alone(wide), torch.tensor([2])).h.tolist() == [[[8, 9], [10, 11]]]
    assert select_rows(Alone(wide), torch.tensor([], dtype=torch.int64)).h.shape == (0, 2, 2)


def test_where_takes_whole_rows() -> None:
    mask = torch.tensor([True, False])
    wide = Pair(rows(1, 2), torch.ones(2, 3, 1))
    other = Pair(rows(3, 4), torch.zeros(2, 3, 1))
    assert numbers(where(mask, wide, other)) == ["Pair", [1, 4], [[[1]] * 3, [[0]] * 3]]


def test_where_lets_nothing_of_the_other_side_through() -> None:
    mask = torch.tensor([True, False, False])
    yes = Alone(rows(1, math.nan, math.inf).requires_grad_())
    no = Alone(rows(math.nan, 2, 3).requires_grad_())
    chosen = where(mask, yes, no).h
    assert chosen.tolist() == [1, 2, 3]
    (chosen * rows(5, 6, 7)).sum().backward()
    assert yes.h.grad.tolist() == [5, 0, 0]
    assert no.h.grad.tolist() == [0, 6, 7]
    # A mixture by multiplication, the obvious other way, does let it through.
    assert torch.isnan(mask * yes.h + ~mask * no.h).any()


def test_stack() -> None:
    assert numbers(stack([tree(), tree(100), tree(200)])) == [
        "tuple",
        ["Pair", [[1, 11], [101, 111], [201, 211]], [[2, 12], [102, 112], [202, 212]]],
        ["Alone", [[3, 13], [103, 113], [203, 213]]],
        ["tuple", [[4, 14], [104, 114], [204, 214]], None],
    ]


def test_detach_keeps_values_and_cuts_the_graph() -> None:
    weight = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    attached = map_tree(lambda leaf: leaf * weight, tree())
    cut = detach(attached)
    assert numbers(cut) == numbers(attached)
    assert all(leaf.requires_grad for leaf in leaves(attached))
    assert not any(leaf.requires_grad for leaf in leaves(cut))


def grid(*sizes: int) -> Tensor:
    return torch.zeros(sizes)


LSTM = Pair(grid(8, 4), grid(8, 4))


@pytest.mark.parametrize(
    "fits",
    [
        lambda: (Pair(grid(8, 4), grid(8, 4)), LSTM),
        lambda: ((grid(8, 4), grid(8, 4)), LSTM),
        lambda: (None, None),
        lambda: (tree(), tree(5)),
    ],
)
def test_match_accepts(fits: Callable[[], tuple[Any, Any]]) -> None:
    given, expected = fits()
    assert match(given, expected, what="state") is None


@pytest.mark.parametrize(
    ("given", "expected", "message"),
    [
        (Pair(grid(8, 4), grid(8, 5)), LSTM, r"^state of X\.c: expected \[8, 4\], got \[8, 5\]\. "),
        (Pair(grid(4, 4), grid(8, 4)), LSTM, r"^state of X\.h: expected \[8, 4\], got \[4, 4\]"),
        (Pair(grid(8, 4), None), LSTM, r"^state of X\.c: expected \[8, 4\], got nothing"),
        (Pair(grid(8, 4), 3.0), LSTM, r"^state of X\.c: expected \[8, 4\], got float"),
        (grid(8, 4), LSTM, r"^state of X: expected Pair\(h \[8, 4\], c \[8, 4\]\), got \[8, 4\]"),
        (Alone(grid(8, 4)), LSTM, r"^state of X: expected Pair\(.*\), got Alone\(h \[8, 4\]\)"),
        (LSTM, grid(8, 4), r"^state of X: expected \[8, 4\], got Pair"),
        (LSTM, None, r"^state of X: expected nothing, got Pair"),
        (
            (LSTM, Pair(grid(8, 4), grid(8, 3))),
            (LSTM, LSTM),
            r"^state of X\[1\]\.c: expected \[8, 4\], got \[8, 3\]",
        ),
        ((LSTM,), (LSTM, LSTM), r"^state of X: expected \(Pair.*, Pair.*\), got \(Pair"),
    ],
)
def test_match_names_the_field(given: Any, expected: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        match(given, expected, what="state of X")
    assert "Pass the state that an earlier call returned" in str(caught.value)
