"""Do weights shared over time carry to lengths that were never seen?

Trained on rows of 1 to 20 steps, scored at 20, 40 and 100: ``parity`` (is the number of ones odd so
far?) and ``addition`` of two decimal numbers, the least significant digits first. Nine of ten pairs
of digits sum to 9, so that a carry travels far. Beside recurrent cells stand two feed-forward
networks on windows: of the last 20 steps, which is all that a row of the training has, and of the
last 5. The rate is the one of two that is best on rows of 20 for validation, with the first seed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from claim import Claim, Network, begun, drawn, parameters, train
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import ElmanCell, GRUCell, LSTMCell
from recurra.data.synthetic import ParityTask
from recurra.diagnosis import Axis, Chart
from recurra.layers import Window

SEEDS, RATES = (0, 1, 2), (0.003, 0.01)
LONGEST, LENGTHS = 20, (20, 40, 100)
WIDTH, ROWS, STEPS, SCORED = 32, 32, 3_000, 1000
NINES, BASE = 0.9, 10
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/elman.py",
    "src/recurra/cells/gru.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/layers/recurrent.py",
    "src/recurra/layers/window.py",
]


class Feedforward(nn.Module):
    """Two layers on the last steps, and a linear map.

    Args:
        input_size: width of x.
        answers: numbers that are said.
        steps: that are seen.
    """

    def __init__(self, input_size: int, answers: int, steps: int) -> None:
        super().__init__()
        wide = Window(input_size, 2 * WIDTH, steps)
        self.layers = nn.ModuleList([wide, Window(2 * WIDTH, WIDTH)])
        self.said = nn.Linear(WIDTH, answers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs ``[time, batch, width]``."""
        for layer in self.layers:
            inputs = layer(inputs).outputs
        return inputs


Model = Network | Feedforward
MODELS: dict[str, Callable[[int, int], Model]] = {
    "Elman": lambda i, o: Network(ElmanCell(i, WIDTH), o),
    "GRU": lambda i, o: Network(GRUCell(i, WIDTH), o),
    "LSTM": lambda i, o: Network(LSTMCell(i, WIDTH), o),
    "window of 20": lambda i, o: Feedforward(i, o, LONGEST),
    "window of 5": lambda i, o: Feedforward(i, o, 5),
}


def parity(length: int, rows: int, chance: np.random.Generator) -> Batch:
    """Bits as vectors, and parities so far."""
    batch = ParityTask(length).batch(rows, seed=chance)
    return Batch(nn.functional.one_hot(batch.inputs, 2).float(), batch.targets)


def addition(length: int, rows: int, chance: np.random.Generator) -> Batch:
    """Two digits a step as vectors, and the digits of the sum; the last carry is left out."""
    first = chance.integers(BASE, size=(length, rows))
    drawn = chance.integers(BASE, size=(length, rows))
    second = np.where(chance.random((length, rows)) < NINES, BASE - 1 - first, drawn)
    sums, carry = np.zeros_like(first), np.zeros(rows, np.int64)
    for step in range(length):
        whole = first[step] + second[step] + carry
        sums[step], carry = whole % BASE, whole // BASE
    read = [nn.functional.one_hot(torch.from_numpy(each), BASE) for each in (first, second)]
    return Batch(torch.cat(read, -1).float(), torch.from_numpy(sums))


TASKS: dict[str, tuple[Callable[..., Batch], int, int]] = {
    "parity": (parity, 2, 2),
    "addition": (addition, 2 * BASE, BASE),
}


def said(model: Model, batch: Batch) -> Tensor:
    scores: Tensor = model.said(model(batch.inputs))
    return scores


def loss(model: Model, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(said(model, batch).flatten(0, 1), batch.targets.flatten())


def right(model: Model, batch: Batch) -> dict[str, float]:
    """Shares of answers, and of rows all of whose answers are right."""
    hit = said(model, batch).argmax(-1) == batch.targets
    return {
        "answers": float(hit.float().mean()),
        "last": float(hit[-1].float().mean()),
        "rows": float(hit.all(0).float().mean()),
    }


def batches(make: Callable[..., Batch], seed: int) -> Iterator[Batch]:
    """Batches without end, each of one length of at most 20."""
    chance = np.random.default_rng([seed, 0])
    while True:
        yield make(int(chance.integers(1, LONGEST + 1)), ROWS, chance)


def once(task: str, name: str, rate: float, seed: int) -> tuple[float, dict[str, Any]]:
    """Score of the validation, and scores by length."""
    make, read, answers = TASKS[task]
    torch.manual_seed(seed)
    model = MODELS[name](read, answers)
    held = make(LONGEST, SCORED, np.random.default_rng([seed, 1]))
    done = train(
        model,
        batches(make, seed),
        lambda batch: loss(model, batch),
        rate=rate,
        steps=STEPS,
        score=lambda: right(model, held)["answers"],
        solved=lambda score: False,
        every=STEPS,
    )
    with torch.no_grad():
        found: dict[str, Any] = {
            str(length): right(model, make(length, SCORED, np.random.default_rng([seed, length])))
            for length in LENGTHS
        }
    return done.score, found | {"weights": parameters(model)}


def measured(task: str, name: str) -> dict[str, Any]:
    """Of each seed at the rate that is best."""
    tried = {rate: once(task, name, rate, SEEDS[0]) for rate in RATES}
    rate = max(tried, key=lambda each: tried[each][0])
    runs = [tried[rate][1], *(once(task, name, rate, seed)[1] for seed in SEEDS[1:])]
    print(task, name, rate, [run[str(LENGTHS[-1])] for run in runs], flush=True)
    return {"rate": rate, "runs": runs}


def mean(found: Mapping[str, Any], length: int, what: str) -> float:
    return statistics.mean(run[str(length)][what] for run in found["runs"])


def row(task: str, name: str, found: Mapping[str, Any]) -> list[str]:
    """Of a table: means over seeds, and the least of them at the longest."""
    far = str(LENGTHS[-1])
    return [
        task,
        name,
        f"{found['runs'][0]['weights']:,}",
        *(f"{mean(found, n, 'last'):.1%}" for n in LENGTHS),
        f"{mean(found, LENGTHS[-1], 'rows'):.1%}",
        f"{min(run[far]['last'] for run in found['runs']):.1%}",
    ]


def of_lengths() -> Claim:
    found = {task: {name: measured(task, name) for name in MODELS} for task in TASKS}
    rows = [row(task, name, each) for task, own in found.items() for name, each in own.items()]
    far = LENGTHS[-1]
    told = [
        f"{task}: "
        + ", ".join(f"{name} {mean(each, far, 'last'):.1%}" for name, each in own.items())
        for task, own in found.items()
    ]
    return Claim(
        "lengths",
        "Weights shared over time carry to lengths that were never seen.",
        f"trained on rows of at most {LONGEST} steps, scored at the last step of longer ones; "
        f"{WIDTH} units, {STEPS:,} steps of {ROWS} rows, {len(SEEDS)} seeds",
        f"right at step {far}, {'; '.join(told)}",
        ["task", "model", "weights", *(f"right at step {n}" for n in LENGTHS),
         f"whole rows of {far}", f"worst seed at {far}"],
        rows,
        {"tasks": found},
        MEASURED,
    )  # fmt: skip


def draw(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(n): mean(each, n, "last") for n in LENGTHS}
        for name, each in figures["tasks"]["parity"].items()
    }
    return drawn(
        series,
        title="Parity: trained on at most 20 bits",
        about=f"Share of right answers at the last step of fresh rows, mean of {len(SEEDS)} seeds.",
        x=Axis("bits of a row", LENGTHS[0], LENGTHS[-1], ticks=LENGTHS, format=",d"),
        y=Axis("right", 0.4, 1.02, ticks=[0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], format="%"),
        levels={"chance": 0.5},
    )


def main() -> None:
    """Measure, print, keep and draw."""
    for _ in begun(__doc__, {"lengths": draw}).names:
        of_lengths().keep(draw, SEEDS[0])


if __name__ == "__main__":
    main()
