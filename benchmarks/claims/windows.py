"""What truncated backpropagation over k steps cannot learn, and how far off its gradients are.

A stream of random bits; at every step the one that was read 10 steps before is to be said. Training
cuts the stream into windows of k steps, through which gradients flow; the state is carried on from
window to window, or each begins at zero. Scored are fresh streams, read whole. A state that is
carried on may hold the bit by accident, as a start at an orthogonal matrix does; without gradients
nothing teaches a cell to keep it.

``gradient``: of rows of 200 steps the gradient of all windows by that of the whole, by k: cosine of
the angle and ratio of the norms, before training.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from claim import Claim, Network, begun, drawn, train
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.diagnosis import Axis, Chart
from recurra.states import map_tree

SEEDS, RATES = (0, 1, 2), (0.003, 0.01)
DELAY, WINDOWS = 10, (2, 5, 8, 10, 12, 20, 40)
WIDTH, ROWS, SYMBOLS = 32, 32, 40_000  # symbols of each row that are trained on
MOST = 2_500  # windows that are trained on
SCORED_TIME, SCORED_ROWS = 100, 300
CELLS: dict[str, Callable[[int, int], Cell]] = {
    "tanh": lambda i, h: ElmanCell(i, h, recurrent_init="torch"),
    "orthogonal tanh": lambda i, h: ElmanCell(i, h),
    "GRU": lambda i, h: GRUCell(i, h),
    "LSTM": lambda i, h: LSTMCell(i, h),
}
CARRIED = ("GRU", "orthogonal tanh")  # cells that are trained
GRADIENT_TIME, GRADIENT_WINDOWS = 200, (1, 2, 5, 10, 20, 50, 100)
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/elman.py",
    "src/recurra/cells/gru.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/engine/run.py",
    "src/recurra/layers/recurrent.py",
]


def recalled(time: int, rows: int, chance: np.random.Generator) -> Batch:
    """Bits as vectors ``[time, rows, 2]``, and those ten steps before; -1 where there are none."""
    bits = torch.from_numpy(chance.integers(2, size=(time, rows)))
    before = torch.full_like(bits[:DELAY], -1)
    targets = torch.cat([before, bits[:-DELAY]]) if time > DELAY else before[:time]
    return Batch(nn.functional.one_hot(bits, 2).float(), targets)


def windows(seed: int, size: int) -> Iterator[tuple[Batch, bool]]:
    """Consecutive windows of streams of many steps, and whether it is the first of its stream."""
    chance = np.random.default_rng([seed, 0])
    many = -(-2_000 // size)
    while True:
        stream = recalled(many * size, ROWS, chance)
        for at in range(many):
            part = slice(at * size, (at + 1) * size)
            yield Batch(stream.inputs[part], stream.targets[part]), at == 0


class Windowed(Network):
    """A network that goes on from window to window.

    Args:
        cell: what one step is.
        answers: numbers that are said.
        carried: whether a window begins with the state of the one before.
    """

    def __init__(self, cell: Cell, answers: int, *, carried: bool) -> None:
        super().__init__(cell, answers)
        self.carried, self.state = carried, None

    def window(self, batch: Batch, first: bool) -> Tensor:
        """Mean cross-entropy of a window."""
        state = None if first or not self.carried else self.state
        read = self.layer(batch.inputs, state)
        self.state = map_tree(lambda leaf: leaf.detach(), read.state)
        said = self.said(read.outputs).flatten(0, 1)
        targets = batch.targets.flatten()
        total = nn.functional.cross_entropy(said, targets, ignore_index=-1, reduction="sum")
        return total / max(int((targets >= 0).sum()), 1)


def once(cell: str, size: int, carried: bool, rate: float, seed: int) -> dict[str, float]:
    """Shares of right answers of validation and test streams."""
    torch.manual_seed(seed)
    network = Windowed(CELLS[cell](2, WIDTH), 2, carried=carried)
    held, test = (
        recalled(SCORED_TIME, SCORED_ROWS, np.random.default_rng([seed, part])) for part in (1, 2)
    )

    def right(batch: Batch) -> float:
        hit = network.said(network(batch.inputs)).argmax(-1) == batch.targets
        return float(hit[DELAY:].float().mean())

    # A window is a batch; so a small one makes more steps of the same symbols, up to a limit.
    steps = min(SYMBOLS // size, MOST)
    done = train(
        network,
        windows(seed, size),  # type: ignore[arg-type]
        lambda pair: network.window(*pair),  # type: ignore[misc]
        rate=rate,
        steps=steps,
        score=lambda: right(held),
        solved=lambda score: score >= 0.9995,
        every=max(steps // 10, 1),
    )
    with torch.no_grad():
        return {"score": done.score, "right": right(test), "steps": done.steps}


def measured(cell: str, size: int, carried: bool) -> dict[str, Any]:
    tried = {rate: once(cell, size, carried, rate, SEEDS[0]) for rate in RATES}
    rate = max(tried, key=lambda each: tried[each]["score"])
    runs = [tried[rate], *(once(cell, size, carried, rate, seed) for seed in SEEDS[1:])]
    print(cell, size, carried, rate, [run["right"] for run in runs], flush=True)
    return {"rate": rate, "runs": runs}


def mean(found: Mapping[str, Any]) -> float:
    return statistics.mean(run["right"] for run in found["runs"])


def name_of(cell: str, carried: bool) -> str:
    return f"{cell}, {'carried' if carried else 'from zero'}"


def of_windows() -> Claim:
    cases = [(cell, carried) for cell in CARRIED for carried in (True, False)]
    found = {
        name_of(*case): {str(size): measured(case[0], size, case[1]) for size in WINDOWS}
        for case in cases
    }
    rows = [
        [name, *(f"{mean(each[str(size)]):.1%}" for size in WINDOWS)]
        for name, each in found.items()
    ]
    told = [
        f"{name} {mean(each['8']):.1%} with k = 8, {mean(each['20']):.1%} with k = 20"
        for name, each in found.items()
    ]
    return Claim(
        "windows",
        "Truncated backpropagation does not learn what lies further back than its window.",
        f"share of bits said again {DELAY} steps later in fresh streams, by the steps k that a "
        f"gradient crosses in training, the state carried from window to window or zero; {WIDTH} "
        f"units, at most {MOST:,} windows of {ROWS} rows, {len(SEEDS)} seeds; chance 50 %",
        "; ".join(told),
        ["cell, state", *(f"k = {size}" for size in WINDOWS)],
        rows,
        {"cells": found},
        MEASURED,
    )


# ---- gradients -----------------------------------------------------------------------------------


def gradient(network: Network, batch: Batch, size: int) -> Tensor:
    """Of all weights of the cell, the loss of all steps taken in windows of that size."""
    network.zero_grad()
    state = None
    for at in range(0, len(batch.inputs), size):
        read = network.layer(batch.inputs[at : at + size], state)
        state = map_tree(lambda leaf: leaf.detach(), read.state)
        said = network.said(read.outputs).flatten(0, 1)
        targets = batch.targets[at : at + size].flatten()
        total = nn.functional.cross_entropy(said, targets, ignore_index=-1, reduction="sum")
        torch.autograd.backward(total)
    cell = network.layer.cell
    return torch.cat([p.grad.flatten() for p in cell.parameters() if p.grad is not None])


def of_gradient() -> Claim:
    found: dict[str, dict[str, list[float]]] = {}
    for cell in CELLS:
        torch.manual_seed(SEEDS[0])
        network = Network(CELLS[cell](2, WIDTH), 2)
        batch = recalled(GRADIENT_TIME, ROWS, np.random.default_rng(SEEDS[0]))
        whole = gradient(network, batch, GRADIENT_TIME)
        found[cell] = {}
        for size in GRADIENT_WINDOWS:
            part = gradient(network, batch, size)
            cosine = torch.nn.functional.cosine_similarity(part, whole, dim=0)
            found[cell][str(size)] = [float(cosine), float(part.norm() / whole.norm())]
    rows = [
        [cell, *(f"{cosine:.3f} / {norm:.3f}" for cosine, norm in each.values())]
        for cell, each in found.items()
    ]
    told = [f"{cell} {each['5'][0]:.2f} and {each['50'][0]:.3f}" for cell, each in found.items()]
    return Claim(
        "windows_gradient",
        "A truncated gradient points elsewhere, the more so the shorter the window.",
        f"cosine / ratio of norms of a gradient over windows of k steps by that of all "
        f"{GRADIENT_TIME} steps, before training, the state carried on",
        f"cosine with k = 5 and 50: {', '.join(told)}",
        ["cell", *(f"k = {size}" for size in GRADIENT_WINDOWS)],
        rows,
        {"cells": found},
        MEASURED,
    )


# ---- drawing -------------------------------------------------------------------------------------


def draw_windows(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(size): mean(each) for size, each in own.items()}
        for name, own in figures["cells"].items()
    }
    ticks = [2, 5, 10, 20, 40]
    return drawn(
        series,
        title=f"Bits said again {DELAY} steps later, by the window of the training",
        about=f"Share of right answers in fresh streams, mean of {len(SEEDS)} seeds; the state is "
        "carried from window to window, or each begins at zero.",
        x=Axis("steps that a gradient crosses", WINDOWS[0], WINDOWS[-1], log=True, ticks=ticks),
        y=Axis("right", 0.4, 1.02, ticks=[0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], format="%"),
        levels={"chance": 0.5},
    )


def draw_gradient(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(size): pair[0] for size, pair in own.items()}
        for name, own in figures["cells"].items()
    }
    low, high = GRADIENT_WINDOWS[0], GRADIENT_WINDOWS[-1]
    return drawn(
        series,
        title="Where a truncated gradient points",
        about=f"Cosine of the angle between it and that of all {GRADIENT_TIME} steps, before "
        "training, by the steps it crosses.",
        x=Axis(
            "steps that a gradient crosses",
            low,
            high,
            log=True,
            ticks=GRADIENT_WINDOWS,
            format=",d",
        ),
        y=Axis("cosine", 0, 1.02, ticks=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )


CASES = {"windows": (of_windows, draw_windows), "windows_gradient": (of_gradient, draw_gradient)}


def main() -> None:
    """Measure, print, keep and draw."""
    for name in begun(__doc__, {name: draw for name, (_, draw) in CASES.items()}).names:
        measure, draw = CASES[name]
        measure().keep(draw, SEEDS[0])


if __name__ == "__main__":
    main()
