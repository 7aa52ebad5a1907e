"""Cells that torch.nn does not have: how much faster than a loop over the same step?

Training, forward and backward to inputs and weights: an LSTM with layer norm, one with peepholes,
and a cell that is written in this file. The rivals are the same step called in an eager loop
(``backend="loop"``), and in a loop that calls it compiled by ``torch.compile``, before it is timed.
The peephole LSTM stands beside the plain one too: what has no kernel of its own anywhere should
cost little more than what has one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, PASSES, SIZES, in_words, must_agree, trained
from torch import Tensor, nn

import recurra

SEED = 0
# Steps that are compared. Rounding grows along the steps of an LSTM with layer norm: after 100 of
# them ours, the loop and the compiled one are all 2e-4 away from float64.
COMPARED = 20
GOALS = {"small": 5.0, "medium": 2.5}
# Of the plain LSTM's time, 1.3 at most: a ratio of 1 / 1.3.
PLAIN_GOAL = round(1 / 1.3, 2)


class MixingState(NamedTuple):
    """A fast part and a slow one, both ``[batch, hidden_size]``."""

    fast: Tensor
    slow: Tensor


class MixingCell(recurra.Cell):
    r"""A cell of this benchmark alone: a fast state, and a slow one that a softmax reads.

    .. math::

        a_t &= W [x_t ; f_{t-1}] + b, \qquad p_t = \mathrm{softmax}(U s_{t-1}) \\
        z_t &= \sigma(V [x_t ; f_{t-1} ; s_{t-1}]) \\
        f_t &= \tanh(a_t) \odot (1 + h p_t) \\
        r_t &= z_t \odot s_{t-1} + (1 - z_t) \odot f_t, \qquad
        s_t = r_t / \sqrt{\overline{r_t^2} + \epsilon}, \qquad y_t = f_t + s_t
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.write = nn.Linear(input_size + hidden_size, hidden_size)
        self.read = nn.Linear(hidden_size, hidden_size, bias=False)
        self.gate = nn.Linear(input_size + 2 * hidden_size, hidden_size)

    def initial_state(self, batch: int) -> MixingState:
        """Zeros."""
        zeros = self.write.weight.new_zeros(batch, self.hidden_size)
        return MixingState(zeros, zeros)

    def step(
        self, x: Tensor, state: MixingState, context: object = None, noise: object = None
    ) -> tuple[Tensor, MixingState]:
        """The equations of the class."""
        both = torch.cat([x, state.fast], 1)
        weights = torch.softmax(self.read(state.slow), 1)
        z = torch.sigmoid(self.gate(torch.cat([both, state.slow], 1)))
        fast = torch.tanh(self.write(both)) * (1 + self.hidden_size * weights)
        slow = z * state.slow + (1 - z) * fast
        slow = slow * torch.rsqrt(slow.square().mean(1, keepdim=True) + 1e-5)
        return fast + slow, MixingState(fast, slow)


def layer_norm_lstm(input_size: int, hidden_size: int) -> recurra.Cell:
    """LSTM with layer norm inside the gates."""
    return recurra.LSTMCell(input_size, hidden_size, norm="layer")


CELLS = {
    "layer-norm LSTM": layer_norm_lstm,
    "peephole LSTM": recurra.PeepholeLSTMCell,
    "own cell": MixingCell,
}


def rivals_of(name: str, size: str) -> dict[str, Callable[[], object]]:
    """Ours and both loops over the same rows; ends the benchmark if their results differ."""
    rows, steps, into, hidden = SIZES[size]
    torch.manual_seed(SEED)
    cell = CELLS[name](into, hidden)
    with torch.no_grad():
        for weight in cell.parameters():  # nothing is 0, as peepholes are at first
            weight.add_(0.01 * torch.randn_like(weight))
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient = torch.randn(steps, rows, hidden)
    # One graph for each shape; a new cell may not count as a new version of the last one.
    torch.compiler.reset()
    compiled = torch.compile(cell.step, dynamic=False, fullgraph=True)

    def called(x: Tensor) -> Tensor:
        state, outputs = cell.initial_state(rows), []
        for now in x.unbind():
            y, state = compiled(now, state)
            outputs.append(y)
        return torch.stack(outputs)

    ours, eager = (recurra.Recurrent(cell, backend=b) for b in ("native", "loop"))
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "recurra": lambda x: ours(x).outputs,
        "eager loop": lambda x: eager(x).outputs,
        "torch.compile": called,
    }

    def training(rival: str, x: Tensor, passes: int = 1) -> Callable[[], tuple[Tensor, ...]]:
        read = [x, *cell.parameters()]
        return trained(lambda: runs[rival](x), read, gradient[: len(x)], passes)

    some = x[:COMPARED].detach().requires_grad_()
    for rival in ("eager loop", "torch.compile"):
        what = f"{name} {size}, {rival}"
        must_agree(f"{what}, outputs", [runs["recurra"](some)], [runs[rival](some)])
        pair = (training(one, some)() for one in ("recurra", rival))
        must_agree(f"{what}, gradients", *pair)
    passes = PASSES.get(size, 1)
    rivals: dict[str, Callable[[], object]] = {r: training(r, x, passes) for r in runs}
    if name == "peephole LSTM":
        plain = recurra.Recurrent(recurra.LSTMCell(into, hidden), backend="native")
        read = [x, *plain.parameters()]
        rivals["plain LSTM"] = trained(lambda: plain(x).outputs, read, gradient, passes)
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--cells", nargs="*", default=list(CELLS), choices=CELLS)
    parser.add_argument("--sizes", nargs="*", default=list(GOALS), choices=SIZES)
    parser.add_argument("--threads", type=int, help="of all; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    found = Findings()
    for name in given.cells:
        for size in given.sizes:
            rivals = rivals_of(name, size)
            goals = dict.fromkeys(("eager loop", "torch.compile"), GOALS.get(size))
            if "plain LSTM" in rivals:
                goals["plain LSTM"] = PLAIN_GOAL
            found.add(f"{name} {size}", measure(rivals, given.runs), goals)
    print(found.table())
    if len(found) < len(CELLS) * len(GOALS):
        return
    keep(
        "custom_cells",
        {
            "question": "training of cells that torch.nn does not have, times as fast as the same "
            "step in an eager loop, and in one that calls it compiled by torch.compile; of "
            f"peepholes, also as our plain LSTM {in_words(*GOALS)}",
            **found.to_json(),
        },
        [*LAYER_CODE, "benchmarks/custom_cells.py"],
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
