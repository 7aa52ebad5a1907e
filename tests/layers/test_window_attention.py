"""Attention to the last steps against its equation, and as a stream."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import recurra
from recurra.errors import SettingError


def made(window: int, into: int = 6, out: int = 6, heads: int = 2) -> recurra.WindowAttention:
    torch.manual_seed(0)
    layer = recurra.WindowAttention(into, out, heads, window=window).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return layer


def by_hand(layer: recurra.WindowAttention, x: Tensor) -> Tensor:
    """One row, step by step and head by head."""
    u = x if layer.read is None else layer.read(x)
    query, key, value = layer.attend(layer.norms[0](u)).chunk(3, -1)
    width, said = layer.output_size // layer.heads, []
    for t in range(len(x)):
        first = max(0, t - layer.window + 1)
        parts = []
        for head in range(layer.heads):
            some = slice(head * width, (head + 1) * width)
            scores = key[first : t + 1, some] @ query[t, some] / math.sqrt(width)
            near = torch.stack([layer.near[t - s, head] for s in range(first, t + 1)])
            parts.append((scores + near).softmax(0) @ value[first : t + 1, some])
        v = u[t] + layer.joined(torch.cat(parts))
        said.append(v + layer.narrow(functional.relu(layer.wide(layer.norms[1](v)))))
    return torch.stack(said)


@pytest.mark.parametrize("window", [1, 2, 5, 200])
@pytest.mark.parametrize("into", [6, 3])
def test_the_equation(window: int, into: int) -> None:
    layer = made(window, into)
    x = torch.randn(150, 2, into, dtype=torch.float64)  # more than one block
    outputs = layer(x).outputs
    for row in range(2):
        torch.testing.assert_close(outputs[:, row], by_hand(layer, x[:, row]))


@pytest.mark.parametrize("small", [1.0, 0.05])
def test_it_begins_as_what_it_reads(small: float) -> None:
    """What a layer adds does not drown what it reads, even if that is small; but it adds some."""
    torch.manual_seed(0)
    layer = recurra.WindowAttention(32, 32, window=8).eval()
    x = small * torch.randn(20, 4, 32)
    added = layer(x).outputs - x
    assert 0 < added.norm() < (2 if small < 1 else 0.1) * x.norm()


def test_a_stream_costs_the_same_at_every_step() -> None:
    layer = recurra.Stack(
        [recurra.Recurrent(recurra.GRUCell(3, 6)), made(4).float(), made(3, 6, 4).float()]
    ).eval()
    x = torch.randn(20, 2, 3)
    with torch.no_grad():
        whole = layer(x).outputs.numpy()
        state = layer(x).state
    assert state[1].keys.shape == (2, 3, 6)
    session = layer.frozen(batch=2)
    steps = np.stack([session.step(one.numpy()) for one in x])
    np.testing.assert_allclose(steps, whole, atol=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(SettingError, match="window"):
        recurra.WindowAttention(4, 4, window=0)
    with pytest.raises(SettingError, match="a width that 4 heads can part, got 6"):
        recurra.WindowAttention(4, 6)
