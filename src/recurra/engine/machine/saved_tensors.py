"""Tensors that are saved for a gradient, in the layout in which they were saved.

Hooks on saved tensors (``torch.autograd.graph.saved_tensors_hooks``) may give back the same numbers
in another layout or type; the machine reads them by the strides they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

__all__ = ["Layouts", "as_saved", "layouts_of"]

Layouts = tuple[list[tuple[int, ...]], list[torch.dtype]]
"""Strides and types of the tensors that there are."""

_dtype_of = attrgetter("dtype")


def layouts_of(tensors: Sequence[Tensor | None]) -> Layouts:
    """Strides and types of tensors; some may be None."""
    there = [tensor for tensor in tensors if tensor is not None]
    return list(map(Tensor.stride, there)), list(map(_dtype_of, there))


def as_saved(tensors: Sequence[Any], layouts: Layouts) -> Sequence[Any]:
    """The tensors, copied where a hook changed their strides or type."""
    if layouts_of(tensors) == layouts:
        return tensors
    each = zip(*layouts, strict=True)
    return [None if tensor is None else _with(tensor, *next(each)) for tensor in tensors]


def _with(tensor: Tensor, strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if (tensor.stride(), tensor.dtype) == (strides, dtype):
        return tensor
    return tensor.new_empty_strided(tensor.shape, strides, dtype=dtype).copy_(tensor)
