"""Training of one recurrent layer, forward and backward to inputs and weights, beside torch.nn's.

With ``--jax`` beside ``jax.lax.scan`` under ``jit``, where jax is installed. All have the same
weights; what they give is compared first. Sizes are rows, steps, width of x, width of h. Several
passes are one timed run where one is hard to time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, PASSES, SIZES, in_words, must_agree, trained, with_weights_of
from torch import nn

import recurra

SEED = 0
KINDS = {
    "RNN": (recurra.ElmanCell, nn.RNN),
    "GRU": (recurra.GRUCell, nn.GRU),
    "LSTM": (recurra.LSTMCell, nn.LSTM),
}
JAX_KINDS = ("GRU", "LSTM")
# What jax is to be beaten by, and how long the threads of one library rest before the other runs.
JAX_GOAL, REST = 1.4, 0.005


def rivals_of(
    kind: str, size: tuple[int, ...], passes: int, jax: bool = False
) -> dict[str, Callable[[], object]]:
    """Both layers on the same rows; ends the benchmark if their results differ."""
    rows, steps, into, hidden = size
    cell, plain = KINDS[kind]
    torch.manual_seed(SEED)
    layer = recurra.Recurrent(cell(into, hidden), backend="native")
    rival = with_weights_of(layer.cell, plain(into, hidden))
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient = torch.randn(steps, rows, hidden)
    weights = [layer.cell.input_weight, layer.cell.recurrent_weight]
    weights += [p for p in layer.parameters() if all(p is not w for w in weights)]
    ours = trained(lambda: layer(x).outputs, [x, *weights], gradient, passes)
    theirs = trained(lambda: rival(x)[0], [x, *rival.parameters()], gradient, passes)
    must_agree(f"{kind} outputs", [layer(x).outputs], [rival(x)[0]])
    must_agree(f"{kind} gradients", ours()[:3], theirs()[:3])
    if not jax:
        return {"recurra": ours, "torch.nn": theirs}
    from jax_layer import jax_trained

    work, found = jax_trained(kind, layer.cell, x, gradient, passes)
    must_agree(f"{kind} of jax", found(), [layer(x).outputs, *ours()[:3]])
    return {"recurra": ours, "jax": work}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--kinds", nargs="*", choices=KINDS)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES)
    parser.add_argument("--size", type=int, nargs=4, help="rows, steps, width of x, of h")
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    parser.add_argument(
        "--jax", action="store_true", help="beside jax.lax.scan, which takes its own threads"
    )
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    sizes = {"own": tuple(given.size)} if given.size else {s: SIZES[s] for s in given.sizes}
    all_kinds = JAX_KINDS if given.jax else tuple(KINDS)
    told = ""
    if given.jax:
        from jax_layer import version

        told = f"jax {version()}, which takes the threads it likes"
    print(machine_in_words(), told, sep="\n")
    found = Findings()
    for kind in given.kinds or all_kinds:
        for name, size in sizes.items():
            rivals = rivals_of(kind, size, PASSES.get(name, 1), given.jax)
            done = measure(rivals, given.runs, REST if given.jax else 0.0)
            found.add(
                f"{kind} {name}", done, {"jax": JAX_GOAL} if given.jax else {"torch.nn": None}
            )
    print(found.table())
    if given.size or len(found) < len(all_kinds) * len(SIZES):
        return
    rival = f"jax.lax.scan under jit ({told})" if given.jax else "torch.nn"
    keep(
        "recurrent_training_jax" if given.jax else "recurrent_training",
        {
            "question": f"training of one layer, times as fast as {rival} {in_words()}",
            **found.to_json(),
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
