"""The mask behind dropout of every kind: of steps, held over a row, of symbols, of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["drop", "mask_like"]


def mask_like(values: Tensor, rate: float) -> Tensor:
    """0 with probability ``rate``, else 1 / (1 - rate).

    On a CPU torch draws 64 bits of a sequential generator for every element, which took a fifth of
    the time of a step of training. This makes four elements of them, so that up to 0.99 the
    probability is the nearest multiple of 1/65,536.

    Args:
        values: its shape, type and device are taken.
        rate: at least 0 and below 1.
    """
    if values.device.type != "cpu" or rate > 0.99:
        return nn.functional.dropout(torch.ones_like(values), rate)
    count = values.numel()
    words = torch.randint(-(2**63), 2**63 - 1, ((count + 3) // 4,), dtype=torch.int64)
    drawn = words.view(torch.int16)[:count].view(values.shape)
    kept = drawn >= round(rate * 2**16) - 2**15
    return kept.to(values.dtype) * (1 / (1 - rate))


def drop(values: Tensor, rate: float) -> Tensor:
    """Dropout (Srivastava et al. 2014): each element times that of a mask."""
    return values * mask_like(values, rate)
