"""Lengths on plain tensors; what people see of them is tested through PaddedSequence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.errors import ShapeError
from recurra.lengths import (
    check_lengths,
    common_sizes,
    last_step,
    mask_padding,
    reverse_valid,
    spread,
    take_steps,
    valid_mask,
)

VALUES = torch.tensor([[1, 10], [2, 20], [3, 30]])
LENGTHS = torch.tensor([3, 1])


@pytest.mark.parametrize(
    "given",
    [
        [3, 0],
        (3, 0),
        np.array([3, 0], dtype=np.int16),
        torch.tensor([3, 0], dtype=torch.uint8),
    ],
)
def test_lengths_become_int64(given: object) -> None:
    checked = check_lengths(given, 3, 2, None)
    assert checked.tolist() == [3, 0]
    assert checked.dtype == torch.int64


@pytest.mark.parametrize("wrong", ["ab", ["a"], [None], [[1], [1, 2]], [2**70]])
def test_lengths_that_are_no_numbers(wrong: object) -> None:
    with pytest.raises(ShapeError, match=r"expected whole numbers \[batch\], got"):
        check_lengths(wrong, 3, 1, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bool])
def test_lengths_that_are_no_whole_numbers(dtype: torch.dtype) -> None:
    with pytest.raises(ShapeError, match=f"expected whole numbers, got {dtype}"):
        check_lengths(torch.ones(2, dtype=dtype), 3, 2, None)


def test_lengths_of_no_rows() -> None:
    assert check_lengths([], 3, 0, None).tolist() == []
    assert check_lengths([], 3, 0, None).dtype == torch.int64
    with pytest.raises(ShapeError, match=r"each of 2 rows .* got shape \[0\]"):
        check_lengths([], 3, 2, None)


@pytest.mark.parametrize(
    ("lengths", "time", "batch", "said", "unsaid"),
    [
        ([1, 2, 3], 3, 2, r"first axis \(3\), which is time", "second axis"),
        ([1, 2, 3, 3], 3, 2, r"each of 2 rows .*time=3, batch=2.*\[4\]", "axis"),
        ([5, 4], 3, 2, r"0 to 3 \(the time axis.*got 5 in row 0", "second axis"),
        ([4, 2, 1, 1, 1], 3, 5, r"second axis \(5\), which is the batch", "first axis"),
        ([5, 0, 1, 1, 1], 3, 5, r"second axis \(5\), which is the batch", "first axis"),
        ([4, -1, 1, 1, 1], 3, 5, r"0 to 3 .* got 4 in row 0", "second axis"),
        (3, 3, 2, r"each of 2 rows .* got shape \[\]", "first axis"),
        ([[3, 1]], 3, 2, r"each of 2 rows .* got shape \[1, 2\]", "first axis"),
    ],
)
def test_errors_say_which_axis_is_time(
    lengths: object, time: int, batch: int, said: str, unsaid: str
) -> None:
    with pytest.raises(ShapeError, match=said) as caught:
        check_lengths(lengths, time, batch, None)
    assert unsaid not in str(caught.value).replace("time axis", "")


def test_masks() -> None:
    mask = valid_mask(LENGTHS, 3)
    assert mask.tolist() == [[True, True], [True, False], [True, False]]
    assert spread(mask, torch.zeros(3, 2, 4, 5)).shape == (3, 2, 1, 1)
    assert mask_padding(VALUES, LENGTHS, 7).tolist() == [[1, 10], [2, 7], [3, 7]]
    pictures = torch.full((3, 2, 1, 2), math.nan)
    assert mask_padding(pictures, torch.tensor([0, 0])).tolist() == [[[[0, 0]]] * 2] * 3


def test_take_steps_and_reverse() -> None:
    index = torch.tensor([[2, 0], [0, 0]])
    assert take_steps(VALUES, index).tolist() == [[3, 10], [1, 10]]
    assert reverse_valid(VALUES, LENGTHS).tolist() == [[3, 10], [2, 20], [1, 30]]
    assert reverse_valid(VALUES, torch.tensor([2, 3])).tolist() == [[2, 30], [1, 20], [3, 10]]


def test_last_step() -> None:
    assert last_step(VALUES, None).tolist() == [3, 30]
    assert last_step(VALUES, LENGTHS).tolist() == [3, 10]
    assert last_step(VALUES, torch.tensor([0, 2])).tolist() == [0, 20]
    for dtype in (torch.bool, torch.int32, torch.float32):
        nothing = last_step(torch.zeros(0, 2, 3, dtype=dtype), None)
        assert nothing.shape == (2, 3)
        assert nothing.dtype == dtype
        assert not nothing.any()


def test_common_sizes() -> None:
    assert common_sizes((torch.zeros(3, 2), (None, torch.zeros(3, 2, 5))), "inputs") == (3, 2)
    with pytest.raises(
        ShapeError, match=r"^inputs\[1\]: expected \[time=3, batch=2, .* got \[3, 4\]"
    ):
        common_sizes((torch.zeros(3, 2), torch.zeros(3, 4)), "inputs")
    with pytest.raises(ShapeError, match=r"expected tensors \[time, batch, ...\], got \[3\]"):
        common_sizes(torch.zeros(3), "inputs")
    with pytest.raises(ShapeError, match=r"expected tensors \[time, batch, ...\], got str"):
        common_sizes(("text",), "inputs")
    with pytest.raises(ShapeError, match=r"expected a tensor \[time, batch, ...\], got nothing"):
        common_sizes(None, "inputs")
