"""Drop-ins and the layers of torch.nn with the same weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import recurra

INPUT, HIDDEN, PROJECTION = 3, 4, 2
TIME, BATCH = 5, 4

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN tanh": ("RNN", {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM projected": ("LSTM", {"proj_size": PROJECTION}),
    "GRU": ("GRU", {}),
}
BACKENDS = ("loop", "aten")


def twins(kind: str, layers: int = 2, **settings: Any) -> tuple[Any, Any]:
    """Two layers of the same weights, of ours and of torch.nn's, in evaluation."""
    name, more = KINDS[kind]
    torch.manual_seed(0)
    theirs = getattr(nn, name)(INPUT, HIDDEN, layers, **more, **settings).eval()
    torch.manual_seed(0)
    ours = getattr(recurra, name)(INPUT, HIDDEN, layers, **more, **settings).eval()
    return ours, theirs


def start(layer: Any, batch: int) -> list[Tensor]:
    """States to start from, one tensor or two."""
    count = layer.num_layers * (1 + layer.bidirectional)
    widths = [layer.proj_size or HIDDEN] + [HIDDEN] * (layer.mode == "LSTM")
    return [torch.randn(count, batch, width) for width in widths]


def as_hx(parts: list[Tensor]) -> Any:
    return tuple(parts) if len(parts) == 2 else parts[0]


def as_list(state: Any) -> list[Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-6)
