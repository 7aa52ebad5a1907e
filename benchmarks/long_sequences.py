"""A long sequence: how much memory does training take with checkpoints, and how much time?

An LSTM over 10,000 steps, forward and backward to inputs and weights: with ``checkpoint_every``,
without it, and in an eager loop over the same step. Memory is that of a fresh process for each, on
its first pass: what it has more after the forward pass than before, less the outputs; and how far
the pass rises above the size after imports and inputs. Whatever a library keeps for itself is in
there. Where the loop is measured over fewer steps, that is said, and its memory scaled by them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from processes import forget_peak, in_fresh_process, peak, resident
from rivals import LAYER_CODE, must_agree
from torch import Tensor

import recurra
from recurra.columns import aligned

SEED = 0
ROWS, WIDTH, TIME = 8, 256, 10_000
EVERY = 200
COMPARED = 200  # steps over which gradients are compared with the loop's
OURS, WHOLE, LOOP = "checkpoints", "all kept", "eager loop"
# Shares of the loop's memory, and of our own time without checkpoints, at most.
KEPT_GOAL, RISE_GOAL, TIME_GOAL = 0.1, 0.5, 1.4


def layer_of(way: str) -> recurra.Recurrent:
    """The layer that goes this way; all have the same weights."""
    torch.manual_seed(SEED)
    cell = recurra.LSTMCell(WIDTH, WIDTH)
    if way == LOOP:
        return recurra.Recurrent(cell, backend="loop")
    every = EVERY if way == OURS else None
    return recurra.Recurrent(cell, backend="native", checkpoint_every=every)


def drawn(steps: int) -> tuple[Tensor, Tensor]:
    """Inputs, and the gradient of the outputs."""
    torch.manual_seed(SEED + 1)
    x = torch.randn(steps, ROWS, WIDTH, requires_grad=True)
    return x, torch.randn(steps, ROWS, WIDTH)


def training(way: str, steps: int) -> Callable[[], tuple[Tensor, ...]]:
    """A pass over so many steps."""
    layer, (x, gradient) = layer_of(way), drawn(steps)
    read = [x, layer.cell.input_weight, layer.cell.recurrent_weight, layer.cell.bias]
    return lambda: torch.autograd.grad(layer(x).outputs, read, gradient)


def memory(way: str, steps: int) -> dict[str, int]:
    """Bytes of the first pass of this process: kept between, and the rise of its peak."""
    layer, (x, gradient) = layer_of(way), drawn(steps)
    forget_peak()
    before = resident()
    outputs = layer(x).outputs
    kept = resident() - before - outputs.nbytes
    found = torch.autograd.grad(outputs, [x, *layer.parameters()], gradient)
    rise = peak() - before
    assert all(map(torch.is_tensor, found))
    return {"kept": kept, "rise": rise, "steps": steps}


def must_all_agree(steps: int) -> None:
    """Ends the benchmark where gradients differ: over few steps from the loop's, then ours."""
    for way in (OURS, WHOLE):
        must_agree(
            f"{way}, {COMPARED} steps", training(way, COMPARED)(), training(LOOP, COMPARED)()
        )
    must_agree(f"{OURS}, all steps", training(OURS, steps)(), training(WHOLE, steps)())


def memory_apart(way: str, given: argparse.Namespace) -> dict[str, float]:
    """What a way takes in a process of its own; that of few steps is scaled to all."""
    steps = (given.loop_steps or given.steps) if way == LOOP else given.steps
    threads = [] if given.threads is None else ["--threads", given.threads]
    told = in_fresh_process("--memory", way, steps, *threads)
    scale = given.steps / steps
    return {what: told[what] * scale for what in ("kept", "rise")} | {"steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--steps", type=int, default=TIME)
    parser.add_argument("--loop-steps", type=int, help="of the loop alone; scaled by its memory")
    parser.add_argument("--threads", type=int, help="of all; torch's own choice if not given")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    if given.memory:
        print(json.dumps(memory(given.memory[0], int(given.memory[1]))))
        return
    print(machine_in_words())
    must_all_agree(given.steps)
    found = {way: memory_apart(way, given) for way in (OURS, WHOLE, LOOP)}
    share = {what: found[OURS][what] / found[LOOP][what] for what in ("kept", "rise")}
    scaled = found[LOOP]["steps"] != given.steps
    how = f", the loop's scaled from {found[LOOP]['steps']:,} steps" if scaled else ""
    done = measure({way: training(way, given.steps) for way in (OURS, WHOLE)}, given.runs)
    table = [("", "kept, MB", "rise, MB", "time, ms")]
    for way, bytes_of in found.items():
        seconds = f"{done.median(way) * 1e3:.0f}" if way in done.seconds else ""
        sizes = (f"{bytes_of[what] / 1e6:.1f}" for what in ("kept", "rise"))
        table.append((way, *sizes, seconds))
    times = Findings()
    times.add(f"{given.steps:,} steps", done, {WHOLE: round(1 / TIME_GOAL, 2)}, ours=OURS)
    print(times.table(), aligned(table), sep="\n\n")
    slower = 1 / done.speed(OURS, WHOLE)[1]
    goals = {"kept": KEPT_GOAL, "rise": RISE_GOAL}
    for what, goal in goals.items():
        missed = "" if share[what] <= goal else ", missed"
        print(f"{what}: {share[what]:.1%} of the loop's{how}; goal {goal:.0%}{missed}")
    if given.steps != TIME:
        return
    keep(
        "long_sequences",
        {
            "question": f"training an LSTM over {TIME:,} steps ({ROWS} rows, {WIDTH} wide), states "
            f"kept every {EVERY}: memory kept between forward and backward, and rise of the "
            "process, as a share of an eager loop's; time as a multiple of ours without",
            "figure": f"kept {share['kept']:.1%}, rise {share['rise']:.1%}{how}; "
            f"{slower:.2f} of the time{done.mark}",
            "memory": found,
            "share": share,
            "goals": goals | {"time": TIME_GOAL},
            "time": slower,
            "measurement": done.to_json(),
        },
        [*LAYER_CODE, "benchmarks/long_sequences.py"],
        seed=SEED,
        by_kind=True,
        void=done.void,
    )


if __name__ == "__main__":
    main()
