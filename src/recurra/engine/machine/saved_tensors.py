"""Tensors that are saved for a gradient, in the layout in which they were saved.

Hooks on saved tensors (``torch.autograd.graph.saved_tensors_hooks``) may give back the same numbers
in another layout or type; the machine reads them by the strides they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Layout", "as_saved", "layouts_of"]

Layout = tuple[tuple[int, ...], torch.dtype] | None
"""Strides and type of a tensor; None of none."""


def layouts_of(tensors: Sequence[Tensor | None]) -> list[Layout]:
    """Strides and types of tensors."""
    return [None if tensor is None else (tensor.stride(), tensor.dtype) for tensor in tensors]


def as_saved(tensors: Sequence[Any], layouts: list[Layout]) -> Sequence[Any]:
    """The tensors, copied where a hook changed their strides or type."""
    if layouts_of(tensors) == layouts:
        return tensors
    return [_with(layout, tensor) for tensor, layout in zip(tensors, layouts, strict=True)]


def _with(layout: Layout, tensor: Tensor | None) -> Tensor | None:
    if tensor is None or layout is None or (tensor.stride(), tensor.dtype) == layout:
        return tensor
    strides, dtype = layout
    return tensor.new_empty_strided(tensor.shape, strides, dtype=dtype).copy_(tensor)
