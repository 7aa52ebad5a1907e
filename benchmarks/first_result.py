"""How long does a cell that nobody has seen take until its first result?

In fresh processes: after imports and one product of matrices, the first forward and backward of a
cell that is written in this file, and a second one beside it. What lies between them is what it
costs to record a step, to derive its gradient and to make programs of it: it may not depend on how
many steps there are, and no compiler of torch may be loaded for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from time import perf_counter

import torch
from harness import Measurement, keep, machine_in_words, measure_rounds, quartiles
from processes import in_fresh_process
from rivals import LAYER_CODE, must_agree
from torch import Tensor, nn

import recurra
from recurra.columns import aligned

SEED = 0
ROWS, WIDTH = 8, 64
TIMES = (10, 1000)
GOAL = 0.1  # seconds above a second call
COMPILERS = ("torch._dynamo", "torch._inductor")


class NewCell(recurra.Cell):
    r"""A cell of this benchmark alone: a gated unit whose candidate is normalized.

    .. math::

        z_t &= \sigma(V [x_t ; h_{t-1}]), \qquad c_t = W x_t + z_t \odot U h_{t-1} \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot \tanh(c_t / \sqrt{\overline{c_t^2} + \epsilon})
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.write = nn.Linear(input_size, hidden_size)
        self.recur = nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch: int) -> recurra.cells.HiddenState:
        """Zeros."""
        return recurra.cells.HiddenState(self.write.weight.new_zeros(batch, self.output_size))

    def step(
        self,
        x: Tensor,
        state: recurra.cells.HiddenState,
        context: object = None,
        noise: object = None,
    ) -> tuple[Tensor, recurra.cells.HiddenState]:
        """The equations of the class."""
        z = torch.sigmoid(self.gate(torch.cat([x, state.h], 1)))
        c = self.write(x) + z * self.recur(state.h)
        c = c * torch.rsqrt(c.square().mean(1, keepdim=True) + 1e-5)
        h = (1 - z) * state.h + z * torch.tanh(c)
        return h, recurra.cells.HiddenState(h)


def first(steps: int) -> dict[str, object]:
    """Seconds of the first and the second call of this process, and what was loaded for them."""
    torch.manual_seed(SEED)
    a = torch.randn(256, 256)
    torch.mm(a, a)
    layer = recurra.Recurrent(NewCell(WIDTH, WIDTH))
    x = torch.randn(steps, ROWS, WIDTH, requires_grad=True)
    read = [x, *layer.parameters()]

    def trained(layer: recurra.Recurrent) -> tuple[Tensor, ...]:
        outputs = layer(x).outputs
        return (outputs.detach(), *torch.autograd.grad(outputs.sum(), read))

    def timed() -> float:
        start = perf_counter()
        trained(layer)
        return perf_counter() - start

    before = set(sys.modules)
    found = {"first": timed()}
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    found["second"] = timed()
    loaded = sorted(name for name in sys.modules if name.startswith(COMPILERS))
    (choice,) = recurra.explain(layer, x).choices
    if choice.backend != "native":
        sys.exit(f"expected the native backend, got {choice}")
    loop = recurra.Recurrent(layer.cell, backend="loop")
    must_agree(f"{steps} steps", trained(layer), trained(loop), tolerance=1e-3)
    return {"seconds": found, "loaded": loaded, "new": sorted(new)}


def compared(steps: int, done: Measurement) -> tuple[tuple[float, float, float], tuple[str, ...]]:
    """By how much a first call is above a second one, and a row that says it."""
    one, two = (done.seconds[f"{call}, T={steps:,}"] for call in ("first", "second"))
    above = quartiles([a - b for a, b in zip(one, two, strict=True)])
    low, middle, high = (f"{1e3 * value:.1f}" for value in above)
    medians = statistics.median(one), statistics.median(two)
    return above, (
        str(steps),
        *(f"{1e3 * value:.1f}" for value in medians),
        middle,
        f"{low} to {high}",
        f"{medians[0] / medians[1]:.1f}",
        f"{1e3 * GOAL:.0f}{'' if above[1] <= GOAL else ' missed'}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.first:
        print(json.dumps(first(given.first)))
        return
    print(machine_in_words())
    loaded: set[str] = set()
    new: set[str] = set()

    def once() -> dict[str, float]:
        seconds = {}
        for steps in TIMES:
            found = in_fresh_process("--first", steps)
            loaded.update(found["loaded"])
            new.update(found["new"])
            for call, value in found["seconds"].items():
                seconds[f"{call}, T={steps:,}"] = value
        return seconds

    done = measure_rounds(once, given.runs)
    print(done)
    table = [("steps", "first, ms", "second, ms", "above it, ms", "quartiles", "ratio", "goal")]
    above = {}
    for steps in TIMES:
        above[steps], row = compared(steps, done)
        table.append(row)
    told = [f"{1e3 * middle:.1f} ms at T={steps:,}" for steps, (_, middle, _) in above.items()]
    print(aligned(table))
    compilers = f"loaded: {', '.join(sorted(loaded))}" if loaded else "no compiler of torch loaded"
    print(compilers)
    print(
        f"packages of which the first call imported something: {', '.join(sorted(new)) or 'none'}"
    )
    keep(
        "first_result",
        {
            "question": f"a new cell's first forward and backward in a fresh process ({ROWS} rows, "
            f"{WIDTH} wide), above the time of a second one",
            "figure": f"{', '.join(told)}{done.mark}; {compilers}",
            "above_second": above,
            "goal": GOAL,
            "loaded": sorted(loaded),
            "imported_from": sorted(new),
            "measurement": done.to_json(),
        },
        [*LAYER_CODE, "benchmarks/first_result.py"],
        seed=SEED,
        by_kind=True,
        void=done.void,
    )


if __name__ == "__main__":
    main()
