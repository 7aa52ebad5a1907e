"""Rows of different lengths: how much faster than torch.nn with a PackedSequence?

Lengths are uniform in [T/4, T]. Training means forward and backward to inputs and weights, of a
layer in one direction and in both. Both have the same weights; what they give is compared first.
The backend is the one that is chosen unasked: the native one, which works on no step behind a
row's end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, must_agree, trained, with_weights_of
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import recurra

SEED = 0
TIME = 100
# By name: rows, width of x, width of h, passes in one timed run (short ones are hard to time).
SIZES = {"small": (16, 64, 64, 5), "medium": (32, 128, 256, 1)}
GOALS = {"small": 6.0, "medium": 3.0}
KINDS = {"GRU": (recurra.GRUCell, nn.GRU), "LSTM": (recurra.LSTMCell, nn.LSTM)}


def rivals_of(kind: str, size: str, both: bool) -> dict[str, Callable[[], object]]:
    """Both ways through the same rows; ends the benchmark if their results differ."""
    rows, into, hidden, passes = SIZES[size]
    cell, plain = KINDS[kind]
    torch.manual_seed(SEED)
    cells = [cell(into, hidden) for _ in range(2 if both else 1)]
    layer = recurra.Bidirectional(*cells) if both else recurra.Recurrent(*cells)
    rival = with_weights_of(cells, plain(into, hidden, bidirectional=both))
    lengths = torch.randint(TIME // 4, TIME + 1, (rows,))
    x = torch.randn(TIME, rows, into, requires_grad=True)
    gradient = torch.randn(TIME, rows, layer.output_size)
    for choice in recurra.explain(layer, x, lengths=lengths).choices:
        if choice.backend != "native":
            sys.exit(f"expected the native backend, got {choice}")

    def ours() -> Tensor:
        return layer(x, lengths=lengths).outputs

    def packed() -> Tensor:
        inputs = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return pad_packed_sequence(rival(inputs)[0], total_length=TIME)[0]

    weights = [w for c in cells for w in (c.input_weight, c.recurrent_weight)]
    of_theirs = [p for p in rival.parameters() if p.dim() > 1]
    must_agree(f"{kind} outputs", [ours()], [packed()])
    must_agree(
        f"{kind} gradients",
        trained(ours, [x, *weights], gradient)(),
        trained(packed, [x, *of_theirs], gradient)(),
    )
    return {
        "recurra": trained(ours, [x, *layer.parameters()], gradient, passes),
        "packed": trained(packed, [x, *rival.parameters()], gradient, passes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    found = Findings()
    for both in (False, True):
        for kind in KINDS:
            for size in SIZES:
                name = f"{'bidirectional ' if both else ''}{kind} {size}"
                done = measure(rivals_of(kind, size, both), given.runs)
                found.add(name, done, {"packed": GOALS[size]})
    print(found.table())
    keep(
        "ragged_lengths",
        {
            "question": "training with lengths in [T/4, T], times as fast as torch.nn with a "
            "PackedSequence (small: 16 rows, 64 wide; medium: 32 rows, 256 wide)",
            **found.to_json(),
        },
        [*LAYER_CODE, "src/recurra/lengths.py"],
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
