"""Rows of different lengths: how much faster are segments than torch.nn with a PackedSequence?

Lengths are uniform in [T/4, T]. Training means forward and backward to inputs and weights. Both
have the same weights; what they give is compared first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from harness import keep, machine_in_words, measure
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import recurra

SEED = 0
TIME = 100
# By name: rows, width of x, width of h, passes in one timed run (short ones are hard to time).
SIZES = {"small": (16, 64, 64, 5), "medium": (32, 128, 256, 1)}
KINDS = {"GRU": (recurra.GRUCell, nn.GRU), "LSTM": (recurra.LSTMCell, nn.LSTM)}


def with_weights_of(layer: recurra.Recurrent, rival: nn.RNNBase) -> nn.RNNBase:
    """torch.nn's layer with the weights of ours."""
    form = layer.cell.torch_form()
    given = (form.input_weight, form.recurrent_weight, *form.biases)
    with torch.no_grad():
        for own, weight in zip(rival.parameters(), given, strict=True):
            own.copy_(weight)
    return rival


def rivals_of(kind: str, size: str) -> dict[str, Callable[[], object]]:
    """Both ways through the same rows; ends the benchmark if their results differ."""
    rows, into, hidden, passes = SIZES[size]
    cell, plain = KINDS[kind]
    torch.manual_seed(SEED)
    layer = recurra.Recurrent(cell(into, hidden))
    rival = with_weights_of(layer, plain(into, hidden))
    lengths = torch.randint(TIME // 4, TIME + 1, (rows,))
    x = torch.randn(TIME, rows, into, requires_grad=True)
    gradient = torch.randn(TIME, rows, hidden)

    def ours() -> Tensor:
        return layer(x, lengths=lengths).outputs

    def packed() -> Tensor:
        inputs = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return pad_packed_sequence(rival(inputs)[0], total_length=TIME)[0]

    def trained(run: Callable[[], Tensor], weights: list[Tensor]) -> Callable[[], Tensor]:
        def work() -> Tensor:
            for _ in range(passes):
                into_x, *_ = torch.autograd.grad(run(), [x, *weights], gradient)
            return into_x

        return work

    rivals = {
        "recurra": trained(ours, list(layer.parameters())),
        "packed": trained(packed, list(rival.parameters())),
    }
    torch.testing.assert_close(ours(), packed(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rivals["recurra"](), rivals["packed"](), rtol=1e-4, atol=1e-4)
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    told, found = [], {}
    for kind in KINDS:
        for size in SIZES:
            name = f"{kind} {size}"
            done = measure(rivals_of(kind, size), given.runs)
            low, speed, high = done.speed("recurra", "packed")
            print(f"{name}: {speed:.2f} times as fast (quartiles {low:.2f} {high:.2f})\n{done}")
            told.append(f"{name} {speed:.1f}{done.mark}")
            found[name] = {"median": speed, "p25": low, "p75": high, "measurement": done.to_json()}
    void = any(one["measurement"]["void"] for one in found.values())
    keep(
        "ragged_lengths",
        {
            "question": "training with lengths in [T/4, T], times as fast as torch.nn with a "
            "PackedSequence (small: 16 rows, 64 wide; medium: 32 rows, 256 wide)",
            "figure": ", ".join(told),
            "speeds": found,
        },
        ["src/recurra/engine", "src/recurra/layers", "src/recurra/cells", "src/recurra/lengths.py"],
        seed=SEED,
        by_instruction_set=True,
        void=void,
    )


if __name__ == "__main__":
    main()
