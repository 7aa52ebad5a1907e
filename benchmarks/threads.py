"""Two threads against one: never slower, at any size, and beside a busy neighbor?

Training of one layer, forward and backward to inputs and weights, by the same process with two
threads and with one, in turn; then again while another process spins on one core without end. Of
each turn the median is told: what a user feels. The gradient of the outputs is given as it is, so
that no loss in torch, with threads of its own, is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from harness import keep, machine_in_words, timed
from rivals import LAYER_CODE, SIZES

import recurra
from recurra.columns import aligned

SEED = 0
KINDS = {"RNN": recurra.ElmanCell, "GRU": recurra.GRUCell, "LSTM": recurra.LSTMCell}
GOALS = {"quiet": 0.97, "busy": 0.9}
SECONDS = 1.5  # of a case, at least
SPIN = "while True: pass"


def call_of(kind: str, size: str) -> Callable[[], object]:
    """A training call."""
    rows, steps, into, hidden = SIZES[size]
    torch.manual_seed(SEED)
    layer = recurra.Recurrent(KINDS[kind](into, hidden), backend="native")
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient, read = torch.randn(steps, rows, hidden), [x, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(x).outputs, read, gradient)


def measured(call: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Times with two threads and with one: some calls of each by turns."""
    times: dict[int, list[float]] = {1: [], 2: []}
    each = 1
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times[1]) < 30:
        for threads in times:
            torch.set_num_threads(threads)
            call()  # the first one makes room, and wakes a thread
            times[threads] += [timed(call) for _ in range(each)]
        each = min(2 * each, 32)
    found = {threads: statistics.median(values) for threads, values in times.items()}
    return {"one": found[1], "two": found[2], "ratio": found[1] / found[2], "calls": len(times[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a case, at least")
    given = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("skipped: there is one core")
    torch.set_num_threads(2)
    print(machine_in_words())
    found: dict[str, dict[str, Any]] = {}
    rows = [("case", "neighbor", "one, ms", "two, ms", "two over one", "goal")]
    for neighbor in GOALS:
        sizes = ("tiny", "small") if neighbor == "busy" else tuple(SIZES)
        spins = neighbor == "busy"
        process = subprocess.Popen([sys.executable, "-c", SPIN]) if spins else None
        try:
            for kind in KINDS:
                for size in sizes:
                    one = found[f"{kind} {size}, {neighbor}"] = measured(
                        call_of(kind, size), given.seconds
                    )
                    told = f"{one['one'] * 1e3:.2f}", f"{one['two'] * 1e3:.2f}"
                    goal = GOALS[neighbor]
                    missed = "" if one["ratio"] >= goal else " missed"
                    row = (f"{kind} {size}", neighbor, *told, f"{one['ratio']:.2f}")
                    rows.append((*row, f"{goal}{missed}"))
                    print("  ".join(rows[-1]), flush=True)
        finally:
            if process is not None:
                process.kill()
                process.wait()
    print(aligned(rows))
    figure = "; ".join(
        f"{neighbor}: "
        + ", ".join(
            f"{case.split(',')[0]} {one['ratio']:.2f}"
            for case, one in found.items()
            if case.endswith(neighbor)
        )
        for neighbor in GOALS
    )
    keep(
        "threads",
        {
            "question": "training of one layer with two threads, times as fast as with one, "
            "medians; busy: while another process spins on one of two cores",
            "figure": figure,
            "cases": found,
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
    )


if __name__ == "__main__":
    main()
