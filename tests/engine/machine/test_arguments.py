"""Where the arguments of a program stand in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.engine.machine.arguments import contiguous_rows

WHOLE = torch.zeros(4, 3, 6, 5)


@pytest.mark.parametrize(
    ("tensor", "lead", "expected"),
    [
        (WHOLE, 2, True),
        (WHOLE.transpose(0, 1), 2, True),  # time and batch may stand anywhere
        (WHOLE.transpose(0, 1), 1, False),
        (WHOLE[:, ::2], 2, True),
        (WHOLE[..., ::2], 2, False),
        (WHOLE[..., :4], 2, False),
        (WHOLE[:, :, :4], 2, True),
        (WHOLE[..., :1], 2, False),  # six numbers, five apart
        (WHOLE[:, :, :1, :1], 2, True),  # one number, wherever the next would be
        (WHOLE[:, :, 2:3, ::2][..., :1], 2, True),
        (WHOLE.transpose(2, 3), 2, False),
        (WHOLE[0, :, :, 0], 1, False),
        (WHOLE[0, :, 0, 0], 1, True),
    ],
)
def test_contiguous_rows(tensor: Tensor, lead: int, expected: bool) -> None:
    assert contiguous_rows(tensor, lead) is expected
