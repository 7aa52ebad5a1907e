"""Products in bfloat16: how fast is training under autocast, beside torch's own and our float32?

Forward, and backward to inputs and weights, of LSTM and GRU under ``torch.autocast`` to bfloat16,
beside torch.nn's layer under the same, and beside ourselves in float32; and of an LSTM with layer
norm, which torch has no layer for, beside itself in float32. What the CPU has for it is printed:
where nothing is quicker than float32, ours runs in float32, and torch's may not run at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from custom_cells import layer_norm_lstm
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, PASSES, SIZES, in_words, must_agree, trained, with_weights_of
from torch import Tensor, nn

import recurra
from recurra.engine.backends.native import bfloat16_products

SEED = 0
KINDS = {"LSTM": (recurra.LSTMCell, nn.LSTM), "GRU": (recurra.GRUCell, nn.GRU)}
NAMES = ("small", "medium", "large")
# With matrix units (AMX): over torch under autocast, and over our own float32.
GOALS = {"small": (1.4, None), "medium": (1.7, 3.0), "large": (1.7, 3.0)}
CUSTOM_GOAL = 1.5
TORCH, FLOAT32 = "torch.nn, autocast", "recurra, float32"


def short(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same under autocast."""

    def work() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run().float()

    return work


def rivals_of(kind: str, size: str) -> dict[str, Callable[[], object]]:
    """Ours and its rivals on the same rows; ends the benchmark where they differ by over 3 %."""
    rows, steps, into, hidden = SIZES[size]
    torch.manual_seed(SEED)
    custom = kind == "layer-norm LSTM"
    cell = layer_norm_lstm(into, hidden) if custom else KINDS[kind][0](into, hidden)
    layer = recurra.Recurrent(cell)
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient, passes = torch.randn(steps, rows, hidden), PASSES.get(size, 1)
    read = [x, *layer.parameters()]

    def run() -> Tensor:
        return layer(x).outputs

    made = {
        "recurra": trained(short(run), read, gradient, passes),
        FLOAT32: trained(run, read, gradient, passes),
    }
    must_agree(f"{kind} {size}", [short(run)()], [run()], 0.03)
    if not custom:
        rival = with_weights_of(cell, KINDS[kind][1](into, hidden))
        theirs = short(lambda: rival(x)[0])
        try:
            must_agree(f"{kind} {size} of torch", [theirs()], [run()], 0.03)
        except RuntimeError as problem:
            print(f"torch.nn.{kind} cannot do it here: {str(problem).partition('. ')[0]}")
        else:
            made[TORCH] = trained(theirs, [x, *rival.parameters()], gradient, passes)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of all; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    units = bfloat16_products()
    print(f"products in bfloat16: {units or 'none that are quicker here than in float32'}")
    found = Findings()
    for kind in KINDS:
        for size in NAMES:
            of_torch, of_own = GOALS[size] if units == "amx" else (None, None)
            rivals = rivals_of(kind, size)
            goals = {TORCH: of_torch, FLOAT32: of_own}
            goals = {name: goal for name, goal in goals.items() if name in rivals}
            found.add(f"{kind} {size}", measure(rivals, given.runs), goals)
    goal = CUSTOM_GOAL if units == "amx" else None
    done = measure(rivals_of("layer-norm LSTM", "medium"), given.runs)
    found.add("layer-norm LSTM medium", done, {FLOAT32: goal})
    print(found.table())
    keep(
        "short_floats",
        {
            "question": "training of one layer under autocast to bfloat16, times as fast as "
            f"torch.nn under autocast, and as itself in float32 {in_words(*NAMES)}; instructions: "
            f"{units or 'none quicker than float32'}",
            **found.to_json(),
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
