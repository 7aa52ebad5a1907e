"""Rows of different lengths: how much faster are segments than torch.nn with a PackedSequence?

Lengths are uniform in [T/4, T]. Training means forward and backward to inputs and weights.
"""

from __future__ import annotations

import argparse

import torch
from harness import in_turn, keep, machine, matrix_rate, quartiles
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import recurra

SIZES = {"small": (16, 100, 64, 64), "medium": (32, 100, 128, 256)}
KINDS = {"GRU": (recurra.GRUCell, nn.GRU), "LSTM": (recurra.LSTMCell, nn.LSTM)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    print(f"machine: {machine()}, sgemm 2048: {matrix_rate():.0f} GFLOP/s")
    figures = {}
    for kind, (cell, plain) in KINDS.items():
        for size, (batch, time, into, hidden) in SIZES.items():
            torch.manual_seed(0)
            layer, rival = recurra.Recurrent(cell(into, hidden)), plain(into, hidden)
            lengths = torch.randint(time // 4, time + 1, (batch,))
            x = torch.randn(time, batch, into, requires_grad=True)

            def ours(layer=layer, x=x, lengths=lengths) -> None:
                layer(x, lengths=lengths).outputs.sum().backward()

            def packed(rival=rival, x=x, lengths=lengths) -> None:
                rows = pack_padded_sequence(x, lengths, enforce_sorted=False)
                pad_packed_sequence(rival(rows)[0])[0].sum().backward()

            ours(), packed()
            times = in_turn({"recurra": ours, "packed": packed}, rounds)
            pairs = zip(times["recurra"], times["packed"], strict=True)
            low, middle, high = quartiles([b / a for a, b in pairs])
            figures[f"{kind} {size}"] = middle
            print(
                f"{kind} {size}: {quartiles(times['recurra'])[1] * 1e3:.1f} ms against "
                f"{quartiles(times['packed'])[1] * 1e3:.1f} ms, "
                f"ratio {middle:.2f} (quartiles {low:.2f} {high:.2f})"
            )
    keep(
        "ragged_lengths",
        {
            "question": "training with lengths in [T/4, T], times as fast as torch.nn with a "
            "PackedSequence (small: 16 rows, 64 wide; medium: 32 rows, 256 wide)",
            "figure": ", ".join(f"{name} {ratio:.1f}" for name, ratio in figures.items()),
            "ratios": figures,
        },
        ["src/recurra/engine", "src/recurra/layers", "src/recurra/cells"],
    )


if __name__ == "__main__":
    main()
