"""A stream that falls silent: does a step still take what it took?

Every registered cell, frozen, is stepped through a signal and then through as many zeros, in which
states fade: below the normal numbers a processor computes a hundred times more slowly, unless they
are flushed to zero. The last tenth of all steps is compared with the first, by the medians of
blocks of steps. torch.nn's LSTMCell stands beside, over fewer steps.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from harness import keep, machine_in_words
from rivals import LAYER_CODE
from torch import nn

import recurra

SEED = 0
WIDTHS = (16, 32)
STEPS = 1_000_000
BLOCK = 500  # steps that are timed together
GOAL = 1.2
FEWER = 10  # times, for torch.nn, whose step takes so much longer
RIVAL = "torch.nn.LSTMCell"

# Steps of signal or of silence, and how often.
Stream = Callable[[bool, int], None]


def stream_of(name: str) -> Stream:
    """A registered cell as a stream."""
    torch.manual_seed(SEED)
    session = recurra.Recurrent(recurra.cell_by_name(name, *WIDTHS)).eval().frozen()
    fields = session.program.inputs
    sound = [np.ones((1, *field.shape), session.program.dtype) for field in fields]
    quiet = [np.zeros_like(array) for array in sound]

    def run(silent: bool, count: int) -> None:
        step, arrays = session.step, quiet if silent else sound
        for _ in range(count):
            step(*arrays)

    return run


def torch_stream() -> Stream:
    """torch.nn's cell, under inference mode."""
    torch.manual_seed(SEED)
    cell = nn.LSTMCell(*WIDTHS)
    sound = torch.ones(1, WIDTHS[0])
    quiet = torch.zeros(1, WIDTHS[0])
    state = None

    def run(silent: bool, count: int) -> None:
        nonlocal state
        x = quiet if silent else sound
        with torch.inference_mode():
            for _ in range(count):
                state = cell(x, state)

    return run


def slowdown(run: Stream, steps: int) -> tuple[float, float]:
    """The last tenth over the first, and what a step of the first takes, in microseconds."""
    blocks = steps // BLOCK
    taken = []
    run(False, BLOCK)  # the caches are its own
    for block in range(blocks):
        begin = perf_counter()
        run(block >= blocks // 2, BLOCK)
        taken.append(perf_counter() - begin)
    tenth = max(1, blocks // 10)
    first, last = statistics.median(taken[:tenth]), statistics.median(taken[-tenth:])
    return last / first, first / BLOCK * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    if given.steps < 10 * BLOCK:
        sys.exit(f"steps: expected at least {10 * BLOCK}, got {given.steps}; fewer say little")
    print(machine_in_words())
    ratios: dict[str, float] = {}
    micros: dict[str, float] = {}
    for name in recurra.cell_names():
        ratios[name], micros[name] = slowdown(stream_of(name), given.steps)
        print(f"  {name:20} {micros[name]:6.2f} us a step, {ratios[name]:5.2f} x in silence")
    theirs, their_micros = slowdown(torch_stream(), max(given.steps // FEWER, 10 * BLOCK))
    print(f"  {RIVAL:20} {their_micros:6.2f} us a step, {theirs:5.2f} x in silence")
    worst = max(ratios, key=lambda name: ratios[name])
    print(f"the worst: {worst}, {ratios[worst]:.2f}; the goal is at most {GOAL}")
    keep(
        "silence",
        {
            "question": f"the last tenth of {given.steps:,} steps of a frozen layer, the second "
            f"half of them silence, over the first tenth; of {len(ratios)} registered cells the "
            f"worst and the median; goal at most {GOAL}",
            "figure": f"{worst} {ratios[worst]:.2f}, median "
            f"{statistics.median(ratios.values()):.2f}; {RIVAL} {theirs:.2f}",
            "steps": given.steps,
            "ratios": ratios,
            "microseconds": micros,
            "rival": {"ratio": theirs, "microseconds": their_micros},
        },
        [*LAYER_CODE, "runtime/src/recurra_runtime"],
        seed=SEED,
        by_kind=True,
    )


if __name__ == "__main__":
    main()
