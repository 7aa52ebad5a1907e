"""Tensors that are saved for a gradient, given back as they were saved.

Hooks on saved tensors (``torch.autograd.graph.saved_tensors_hooks``) may give back the same numbers
in another layout or type; the machine reads them where they lay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Lie", "as_saved", "lies_of"]

Lie = tuple[tuple[int, ...], torch.dtype] | None
"""Strides and type of a tensor; None of none."""


def lies_of(tensors: Sequence[Tensor | None]) -> list[Lie]:
    """How tensors lie."""
    return [None if tensor is None else (tensor.stride(), tensor.dtype) for tensor in tensors]


def as_saved(tensors: Sequence[Any], lies: list[Lie]) -> Sequence[Any]:
    """The tensors where they lie as told, and copies that do of the others."""
    if lies_of(tensors) == lies:
        return tensors
    return [_laid(tensor, lie) for tensor, lie in zip(tensors, lies, strict=True)]


def _laid(tensor: Tensor | None, lie: Lie) -> Tensor | None:
    if tensor is None or lie is None or (tensor.stride(), tensor.dtype) == lie:
        return tensor
    strides, dtype = lie
    return tensor.new_empty_strided(tensor.shape, strides, dtype=dtype).copy_(tensor)
