"""Training of one recurrent layer, forward and backward to inputs and weights, beside torch.nn's.

Both have the same weights; what they give is compared first. Sizes are rows, steps, width of x,
width of h. Several passes are one timed run where one is hard to time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from harness import keep, machine_in_words, measure
from torch import Tensor, nn

import recurra

SEED = 0
SIZES = {
    "tiny": (8, 50, 16, 32),
    "small": (16, 100, 64, 64),
    "medium": (32, 100, 128, 256),
    "large": (64, 100, 512, 512),
    "one": (1, 200, 128, 128),
}
PASSES = {"tiny": 10, "small": 3, "one": 3}
KINDS = {
    "RNN": (recurra.ElmanCell, nn.RNN),
    "GRU": (recurra.GRUCell, nn.GRU),
    "LSTM": (recurra.LSTMCell, nn.LSTM),
}


def with_weights_of(layer: recurra.Recurrent, rival: nn.RNNBase) -> nn.RNNBase:
    """torch.nn's layer with the weights of ours."""
    form = layer.cell.torch_form()
    given = (form.input_weight, form.recurrent_weight, *form.biases)
    with torch.no_grad():
        for own, weight in zip(rival.parameters(), given, strict=True):
            own.copy_(weight)
    return rival


def rivals_of(kind: str, size: tuple[int, ...], passes: int) -> dict[str, Callable[[], object]]:
    """Both layers on the same rows; ends the benchmark if their results differ."""
    rows, steps, into, hidden = size
    cell, plain = KINDS[kind]
    torch.manual_seed(SEED)
    layer = recurra.Recurrent(cell(into, hidden), backend="native")
    rival = with_weights_of(layer, plain(into, hidden))
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient = torch.randn(steps, rows, hidden)

    def trained(run: Callable[[], Tensor], weights: list[Tensor]) -> Callable[[], Tensor]:
        def work() -> Tensor:
            for _ in range(passes):
                into_x, *_ = torch.autograd.grad(run(), [x, *weights], gradient)
            return into_x

        return work

    rivals = {
        "recurra": trained(lambda: layer(x).outputs, list(layer.parameters())),
        "torch.nn": trained(lambda: rival(x)[0], list(rival.parameters())),
    }
    torch.testing.assert_close(layer(x).outputs, rival(x)[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rivals["recurra"](), rivals["torch.nn"](), rtol=1e-3, atol=1e-4)
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES)
    parser.add_argument("--size", type=int, nargs=4, help="rows, steps, width of x, of h")
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    sizes = {"own": tuple(given.size)} if given.size else {s: SIZES[s] for s in given.sizes}
    print(machine_in_words())
    told, found = [], {}
    for kind in given.kinds:
        for name, size in sizes.items():
            done = measure(rivals_of(kind, size, PASSES.get(name, 1)), given.runs)
            low, speed, high = done.speed("recurra", "torch.nn")
            full = f"{kind} {name}"
            print(f"{full}: {speed:.2f} times as fast (quartiles {low:.2f} {high:.2f})\n{done}")
            told.append(f"{full} {speed:.1f}{done.mark}")
            found[full] = {"median": speed, "p25": low, "p75": high, "measurement": done.to_json()}
    if given.size or len(found) < len(KINDS) * len(SIZES):
        return
    keep(
        "recurrent_training",
        {
            "question": "training of one layer, times as fast as torch.nn (rows, steps, width of "
            "x, of h: tiny 8, 50, 16, 32; small 16, 100, 64, 64; medium 32, 100, 128, 256; large "
            "64, 100, 512, 512; one 1, 200, 128, 128)",
            "figure": ", ".join(told),
            "speeds": found,
        },
        ["src/recurra/engine", "src/recurra/layers", "src/recurra/cells", "runtime/native"],
        seed=SEED,
        by_instruction_set=True,
        void=any(one["measurement"]["void"] for one in found.values()),
    )


if __name__ == "__main__":
    main()
