"""LSTM and GRU as jax users write them: the input's product hoisted, then lax.scan, under jit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rivals import weights_of
from torch import Tensor

import recurra

try:
    import jax
    from jax import lax
    from jax import numpy as jnp
except ImportError:
    sys.exit("skipped: jax is not installed; pip install jax")


def version() -> str:
    """Of jax."""
    return jax.__version__


def jax_trained(
    kind: str, cell: recurra.Cell, x: Tensor, gradient: Tensor, passes: int
) -> tuple[Callable[[], object], Callable[[], list[Tensor]]]:
    """A pass of training compiled for these shapes, and what it gives.

    Steps are not unrolled: with 2, 4 or 16 of them at once it was as fast or slower at all sizes
    tried (tiny, small, one), up to six times.

    Args:
        kind: ``LSTM`` or ``GRU``.
        cell: whose weights it has.
        x: ``[time, batch, i]``.
        gradient: of the outputs ``[time, batch, h]``.
        passes: how often in one call.

    Returns:
        what is timed, and what tells outputs and the gradients of x, W and U.
    """
    layer = {"LSTM": _lstm, "GRU": _gru}[kind]
    weights = tuple(jnp.asarray(w.detach().numpy()) for w in weights_of(cell))
    inputs, along = jnp.asarray(x.detach().numpy()), jnp.asarray(gradient.numpy())

    def loss(inputs: Any, weights: Any, along: Any) -> tuple[Any, Any]:
        outputs = layer(weights, inputs)
        return jnp.vdot(outputs, along), outputs

    step = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    compiled = jax.jit(step).lower(inputs, weights, along).compile()

    def work() -> None:
        for _ in range(passes):
            done = compiled(inputs, weights, along)
        jax.block_until_ready(done)

    def told() -> list[Tensor]:
        (_, outputs), (of_x, of_weights) = compiled(inputs, weights, along)
        arrays = [outputs, of_x, of_weights[0], of_weights[1]]
        return [torch.from_numpy(np.array(array)) for array in arrays]

    return work, told


def _lstm(weights: Any, x: Any) -> Any:
    into, recurrent, bias, other = weights
    products = x @ into.T + (bias + other)
    zeros = jnp.zeros((x.shape[1], recurrent.shape[1]), x.dtype)

    def step(state: Any, product: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(product + h @ recurrent.T, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (zeros, zeros), products)[1]


def _gru(weights: Any, x: Any) -> Any:
    into, recurrent, bias, other = weights
    products = x @ into.T + bias
    zeros = jnp.zeros((x.shape[1], recurrent.shape[1]), x.dtype)

    def step(h: Any, product: Any) -> Any:
        r, z, n = jnp.split(product, 3, axis=1)
        of_r, of_z, of_n = jnp.split(h @ recurrent.T + other, 3, axis=1)
        z = jax.nn.sigmoid(z + of_z)
        n = jnp.tanh(n + jax.nn.sigmoid(r + of_r) * of_n)
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, zeros, products)[1]
