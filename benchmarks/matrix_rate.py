"""How much of the best product of matrices does training keep? LSTM, forward and backward.

Training of a large LSTM is 24 B T H (I + H) operations in products alone. Their rate stands beside
that of a 2048 product in float32 by torch.mm, by NumPy, by oneDNN and by our own kernel, timed in
turn with it: the best of them is what this machine can do.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from harness import keep, machine_in_words, measure, quartiles
from recurrent_training import rivals_of
from rivals import LAYER_CODE, SIZES, must_agree
from torch import Tensor
from torch.utils.mkldnn import to_mkldnn

from recurra.columns import aligned
from recurra.engine.assemble import Argument, assemble
from recurra.engine.graph.values import SHARED, STEP, Graph
from recurra.engine.machine.arguments import Executable, Schedule
from recurra.engine.plan.phases import sections

SEED = 0
SIZE = 2048
GOAL = 0.75
TRAINING = "LSTM training"
WINDOW = (
    128  # rows of a product of our kernel, as libraries take them: a matrix is read once for all
)
REST = 0.005  # threads of one library let go of the cores before the next one's turn


def own_product(a: Tensor, b: Tensor, out: Tensor) -> Callable[[], object]:
    """Our kernel: the rows of ``a`` are steps of a program of one instruction."""
    graph = Graph()
    x = graph.input("x", (SIZE,), STEP)
    weight = graph.input("weight", (SIZE, SIZE), SHARED)
    y = graph.linear(x, weight)
    arguments = [
        Argument("x", SIZE, x),
        Argument("weight", SIZE * SIZE, weight),
        Argument("y", SIZE, result=y),
    ]
    given = [x, weight]
    program = Executable(assemble(sections([y], given, (), ()), arguments, (), ()), torch.float32)
    placed = program.of_one_row(
        [("x", a.data_ptr(), SIZE), ("y", out.data_ptr(), SIZE), ("weight", b.data_ptr(), 0)]
    )
    rows = Schedule(SIZE, 1, None, False, torch.get_num_threads())

    def work() -> tuple[Tensor, ...]:
        program.run(rows, placed, descending=False, window=WINDOW)
        return a, b, out  # whose addresses are in there, so they must live as long

    return work


def products() -> dict[str, Callable[[], object]]:
    """Each library's product of the same two matrices; ends the benchmark if results differ."""
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    out, own = torch.empty(SIZE, SIZE), torch.empty(SIZE, SIZE)
    in_numpy = np.empty((SIZE, SIZE), np.float32)
    linear = torch.nn.Linear(SIZE, SIZE, bias=False)
    with torch.no_grad():
        linear.weight.copy_(b.T)
    packed, x = to_mkldnn(linear), a.to_mkldnn()

    def one_dnn() -> Tensor:
        with torch.inference_mode():
            return packed(x)

    rivals = {
        "torch.mm": lambda: torch.mm(a, b, out=out),
        "NumPy": lambda: np.matmul(a.numpy(), b.numpy(), out=in_numpy),
        "oneDNN": one_dnn,
        "own kernel": own_product(a, b, own),
    }
    for work in rivals.values():
        work()
    given = [torch.from_numpy(in_numpy), one_dnn().to_dense(), own]
    for name, product in zip(list(rivals)[1:], given, strict=True):
        must_agree(name, [product], [out])
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of torch and ours; NumPy takes its own")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    rows, steps, into, hidden = SIZES["large"]
    work = {TRAINING: 24 * rows * steps * hidden * (into + hidden)}
    rivals = {TRAINING: rivals_of("LSTM", SIZES["large"], 1)["recurra"]} | products()
    work |= dict.fromkeys(list(rivals)[1:], 2 * SIZE**3)
    done = measure(rivals, given.runs, REST)
    print(done)
    rates = {
        name: [work[name] / seconds / 1e9 for seconds in done.seconds[name]] for name in rivals
    }
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(list(rivals)[1:], key=lambda name: medians[name])
    pairs = zip(rates[TRAINING], rates[best], strict=True)
    low, share, high = quartiles([ours / theirs for ours, theirs in pairs])
    table = [("", "GFLOP/s", "LSTM training keeps")]
    for name, rate in medians.items():
        table.append((name, f"{rate:.0f}", f"{medians[TRAINING] / rate:.0%}"))
    print(aligned(table))
    print(
        f"{share:.0%} of {best} (quartiles {low:.0%} {high:.0%}); "
        f"goal {GOAL:.0%}{'' if share >= GOAL else ', missed'}"
    )
    told = ", ".join(f"{name} {rate:.0f}" for name, rate in medians.items())
    keep(
        "matrix_rate",
        {
            "question": f"GFLOP/s of training an LSTM ({rows} rows, {steps} steps, {hidden} wide, "
            f"24 B T H (I + H) operations), as a share of the best {SIZE} product of matrices",
            "figure": f"{share:.0%} of {best} ({told}){done.mark}",
            "share": {"median": share, "p25": low, "p75": high, "goal": GOAL},
            "gflops": {name: quartiles(values) for name, values in rates.items()},
            "measurement": done.to_json(),
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
        void=done.void,
    )


if __name__ == "__main__":
    main()
