"""Training of minGRU: what does a recurrence that is linear in its state cost beside its products?

Forward, and backward to inputs and weights. Rivals are the one linear layer that minGRU has, alone
in torch (its product and its gradients', which no implementation can leave out), and with ``--jax``
the whole layer by jax.lax.scan under jit, gates outside of the scan. A long row stands beside them:
100,000 steps of one sequence.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, must_agree, trained
from torch import Tensor, nn

import recurra

SEED = 0
# Rows, steps, width of x, of h.
SIZES = {
    "medium": (32, 100, 128, 256),
    "long": (4, 4096, 256, 256),
    "one row": (1, 100_000, 64, 64),
}
LINEAR, JAX = "linear layer", "jax"
LEAST = round(1 / 1.4, 2)  # of the linear layer's speed
GOALS = {"medium": (LEAST, 1.5), "long": (LEAST, 1.5), "one row": (None, None)}


def rivals_of(size: tuple[int, ...], jax: bool) -> dict[str, Callable[[], object]]:
    """Ours, and what it stands beside; ends the benchmark where results differ."""
    rows, steps, into, hidden = size
    torch.manual_seed(SEED)
    layer = recurra.Recurrent(recurra.MinGRUCell(into, hidden), backend="native")
    linear = nn.Linear(into, 2 * hidden)
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient, wide = torch.randn(steps, rows, hidden), torch.randn(steps, rows, 2 * hidden)
    ours = trained(lambda: layer(x).outputs, [x, *layer.parameters()], gradient)
    rivals: dict[str, Callable[[], object]] = {
        "recurra": ours,
        LINEAR: trained(lambda: linear(x), [x, *linear.parameters()], wide),
    }
    if jax:
        rivals[JAX] = jax_layer(layer, x, gradient)
    return rivals


def jax_layer(layer: recurra.Recurrent, x: Tensor, gradient: Tensor) -> Callable[[], object]:
    """The same in jax, whose results are those of ours."""
    import jax
    import numpy as np
    from jax import lax
    from jax import numpy as jnp

    weights = [jnp.asarray(p.detach().numpy()) for p in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]
    inputs, along = jnp.asarray(x.detach().numpy()), jnp.asarray(gradient.numpy())

    def outputs_of(inputs: jax.Array, weights: list[jax.Array]) -> jax.Array:
        known = dict(zip(names, weights, strict=True))
        both = inputs @ known["cell.input_weight"].T
        if "cell.input_bias" in known:
            both = both + known["cell.input_bias"]
        gates, candidates = jnp.split(both, 2, -1)
        z = jax.nn.sigmoid(gates)

        def step(h: jax.Array, read: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            keep_, add = read
            h = keep_ * h + add
            return h, h

        return lax.scan(step, jnp.zeros_like(z[0]), (1 - z, z * candidates))[1]

    def loss(inputs: jax.Array, weights: list[jax.Array]) -> jax.Array:
        return jnp.vdot(outputs_of(inputs, weights), along)

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(inputs, weights).compile()
    ours = layer(x).outputs
    theirs = torch.from_numpy(np.array(jax.jit(outputs_of)(inputs, weights)))
    must_agree("jax, outputs", [theirs], [ours])
    of_x = torch.autograd.grad(ours, [x], gradient)[0]
    must_agree("jax, gradient", [torch.from_numpy(np.array(compiled(inputs, weights)[0]))], [of_x])
    return lambda: jax.block_until_ready(compiled(inputs, weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of ours and torch")
    parser.add_argument(
        "--jax", action="store_true", help="beside jax, which takes its own threads"
    )
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    found = Findings()
    for name, size in SIZES.items():
        done = measure(rivals_of(size, given.jax), given.runs, 0.02 if given.jax else 0.0)
        goals = {LINEAR: GOALS[name][0]} | ({JAX: GOALS[name][1]} if given.jax else {})
        found.add(f"minGRU {name}", done, goals)
    print(found.table())
    keep(
        "linear_recurrences",
        {
            "question": "training of minGRU, times as fast as its one linear layer alone in torch"
            + (", and as jax.lax.scan under jit" if given.jax else "")
            + f" (rows, steps, width of x, of h: {SIZES})",
            **found.to_json(),
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
