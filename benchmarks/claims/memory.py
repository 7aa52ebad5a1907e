"""Who remembers how long? Plain, ReLU, identity, orthogonal, LSTM and GRU on two tasks.

``adding``: the sum of two marked numbers among T (``recurra.data.AddingTask``); solved at a mean
squared error of 0.01, where one without memory has 1/6. ``copy``: say two symbols of eight again
after a delay (``CopyTask``); solved when 99 % of them are right. All cells have the same width, the
same batches and clip, as many steps, and the same grid of rates: on the shortest task all rates
are tried, on longer ones first the rate that was quickest there, then the others, until one solves
it; beyond 200 steps only the two that were quickest. What is solved is decided on rows for
validation; told is what other rows give.

``gradient``: what is left of a gradient by distance, at the start of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from claim import MINUTES, Claim, Finished, Network, Trained, begun, drawn, parameters, train
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import Cell, ElmanCell, GRUCell, LSTMCell
from recurra.data.synthetic import AddingTask, CopyTask
from recurra.diagnosis import Axis, Chart
from recurra.diagnosis.examination.flow import gradient_flow
from recurra.diagnosis.subject import subject_of

CELLS: dict[str, Callable[[int, int], Cell]] = {
    "tanh": lambda i, h: ElmanCell(i, h, recurrent_init="torch"),
    "ReLU": lambda i, h: ElmanCell(i, h, activation="relu", recurrent_init="torch"),
    "identity ReLU": lambda i, h: ElmanCell.irnn(i, h),
    "orthogonal tanh": lambda i, h: ElmanCell(i, h),
    "LSTM": lambda i, h: LSTMCell(i, h),
    "GRU": lambda i, h: GRUCell(i, h),
}
PLAIN = ("tanh", "ReLU")
WIDTH, ROWS, SEED = 64, 32, 0
RATES = (0.003, 0.001, 0.01, 0.0003)
LENGTHS, DELAYS = (50, 200, 100, 400), (5, 50, 20)  # in this order: the goals early
GOALS = (200, 50)  # whom all try; at others a cell is left out that did not learn half of it
BEYOND = 2  # rates that are tried at what is longer than any goal
ERROR, RIGHT = 0.01, 0.99
SYMBOLS, COPIED = 8, 2
VALIDATION, TEST = 1, 2  # seeds of rows that are not trained on
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/elman.py",
    "src/recurra/cells/gru.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/diagnosis/examination/flow.py",
    "src/recurra/layers/recurrent.py",
]


class Adding:
    """The sum of two numbers; a score is an error, and less is better."""

    goal, steps = f"squared error at most {ERROR:g}", 6_000

    def __init__(self, length: int) -> None:
        self.task = AddingTask(length)

    def network(self, cell: str) -> Network:
        """A new one of a cell."""
        return Network(CELLS[cell](2, WIDTH))

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """What is to be small."""
        return network.squared(network(batch.inputs), batch.targets)

    def score(self, network: Network, seed: int, rows: int) -> float:
        """Of fresh rows."""
        return float(self.loss(network, self.task.batch(rows, seed=seed)))

    def solved(self, score: float) -> bool:
        """Whether that is enough."""
        return score <= ERROR

    def badness(self, score: float) -> float:
        """By which trainings that did not solve it are sorted."""
        return score


class Copying:
    """Symbols said again; a score is the share of right ones."""

    goal, steps = f"{RIGHT:.0%} of the copied symbols right", 15_000

    def __init__(self, delay: int) -> None:
        self.task = CopyTask(SYMBOLS, COPIED, delay)

    def network(self, cell: str) -> Network:
        """A new one of a cell."""
        return Network(CELLS[cell](SYMBOLS + 2, WIDTH), SYMBOLS + 1)

    def said(self, network: Network, batch: Batch) -> Tensor:
        """Scores of answers ``[time, rows, answers]``."""
        read = nn.functional.one_hot(batch.inputs, SYMBOLS + 2).float()
        said: Tensor = network.said(network(read))
        return said

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """What is to be small."""
        said = self.said(network, batch)
        return nn.functional.cross_entropy(said.flatten(0, 1), batch.targets.flatten())

    def score(self, network: Network, seed: int, rows: int) -> float:
        """Of fresh rows."""
        batch = self.task.batch(rows, seed=seed)
        right = self.said(network, batch).argmax(-1) == batch.targets
        return float(right[-COPIED:].float().mean())

    def solved(self, score: float) -> bool:
        """Whether that is enough."""
        return score >= RIGHT

    def badness(self, score: float) -> float:
        """By which trainings that did not solve it are sorted."""
        return -score


Task = Adding | Copying


def once(task: Task, cell: str, rate: float) -> dict[str, Any]:
    """One training, and its score on rows of their own; None is a number that is not finite."""
    torch.manual_seed(SEED)
    network = task.network(cell)
    done: Trained = train(
        network,
        task.task.batches(ROWS, seed=SEED + 10),
        lambda batch: task.loss(network, batch),
        rate=rate,
        steps=task.steps,
        score=lambda: task.score(network, VALIDATION, 500),
        solved=task.solved,
    )
    with torch.no_grad():
        test = task.score(network, TEST, 2000)
    facts = {name: value for name, value in done._asdict().items() if name != "curve"}
    return facts | {"rate": rate, "test": test, "weights": parameters(network)}


def best_first(task: Task, tried: Mapping[float, Mapping[str, Any]]) -> list[float]:
    """Rates: those that solved it by their steps, then the others by their score."""
    return sorted(
        tried,
        key=lambda rate: (
            not tried[rate]["solved"],
            tried[rate]["steps"] if tried[rate]["solved"] else _badness(task, tried[rate]),
        ),
    )


def _badness(task: Task, one: Mapping[str, Any]) -> float:
    return np.inf if one["score"] is None else task.badness(one["score"])


def by_length(
    make: Callable[[int], Task], lengths: tuple[int, ...], finished: Finished
) -> dict[str, Any]:
    """Of each cell and length the training that solved it first, or came nearest."""
    found: dict[str, Any] = {cell: {} for cell in CELLS}
    order: dict[str, list[float]] = {}
    for length in lengths:
        task = make(length)
        for cell in CELLS:
            half = found[cell].get(length // 2)
            if half and not half["solved"] and length not in GOALS:
                continue
            tried: dict[float, dict[str, Any]] = {}
            for rate in order.get(cell, RATES)[: BEYOND if length > max(GOALS) else None]:
                key = (str(task.task), cell, rate, WIDTH, ROWS, task.steps, SEED)
                tried[rate] = finished.once(key, lambda: once(task, cell, rate))  # noqa: B023
                print(length, cell, tried[rate], flush=True)
                if cell in order and tried[rate]["solved"]:
                    break
            ranked = best_first(task, tried)
            order.setdefault(cell, ranked)
            scores = {rate: each["score"] for rate, each in tried.items()}
            found[cell][length] = tried[ranked[0]] | {"tried": scores}
    return found


def kept_by_distance(length: int = 200) -> dict[str, dict[int, float]]:
    """Share of a gradient that is left so many steps before, on adding, at the start."""
    found = {}
    batch = AddingTask(length).batch(ROWS, seed=SEED)
    for cell in CELLS:
        torch.manual_seed(SEED)
        network = Adding(length).network(cell)
        flow = gradient_flow(subject_of(network, batch, network.squared), anchors=1)
        found[cell] = {k: float(share) for k, share in enumerate(flow.kept)}
    return found


# ---- telling -------------------------------------------------------------------------------------


def told(score: Mapping[str, Any] | None, shown: str) -> str:
    """A cell of the table."""
    if score is None:
        return "not tried"
    how = f"{score['steps']:,} steps" if score["solved"] else "not solved"
    if score["test"] is None:
        return "came apart"
    return f"{format(score['test'], shown)} ({how})"


def solvers(found: Mapping[str, Any], length: int) -> list[str]:
    return [cell for cell, runs in found.items() if length in runs and runs[length]["solved"]]


def of_adding(finished: Finished) -> Claim:
    found = by_length(Adding, LENGTHS, finished)
    lengths = sorted(LENGTHS)
    rows = [
        [cell, f"{runs[lengths[0]]['weights']:,}", *(told(runs.get(n), ".4f") for n in lengths)]
        for cell, runs in found.items()
    ]
    parts = [f"T = {n}: {', '.join(solvers(found, n)) or 'nobody'}" for n in lengths]
    return Claim(
        "memory_adding",
        "Plain recurrent networks forget; gates, or a start at the identity, remember.",
        f"who adds two marked numbers among T ({Adding.goal}; 1/6 without memory), {WIDTH} units, "
        f"at most {Adding.steps:,} steps of {ROWS} rows, {MINUTES:g} minutes and {len(RATES)} "
        "rates",
        "solved by " + "; by ".join(parts),
        ["cell", "weights", *(f"T = {n}" for n in lengths)],
        rows,
        {"runs": found, "goal": ERROR},
        MEASURED,
    )


def of_copy(finished: Finished) -> Claim:
    found = by_length(Copying, DELAYS, finished)
    delays = sorted(DELAYS)
    rows = [
        [cell, f"{runs[delays[0]]['weights']:,}", *(told(runs.get(n), ".1%") for n in delays)]
        for cell, runs in found.items()
    ]
    parts = [f"delay {n}: {', '.join(solvers(found, n)) or 'nobody'}" for n in delays]
    short = {cell: found[cell][delays[0]]["weights"] for cell in solvers(found, delays[0])}
    fewest = min(short.values(), default=0)
    least = [cell for cell, weights in short.items() if weights == fewest]
    few = f"; a delay of {delays[0]} takes no more than {fewest:,} weights ({', '.join(least)})"
    return Claim(
        "memory_copy",
        "A short memory needs no gates, a long one does, or a start that keeps.",
        f"who says {COPIED} symbols of {SYMBOLS} again after a delay ({Copying.goal}; "
        f"{1 / SYMBOLS:.1%} by chance), {WIDTH} units, at most {Copying.steps:,} steps of {ROWS} "
        f"rows, {MINUTES:g} minutes and {len(RATES)} rates",
        "solved by " + "; by ".join(parts) + few,
        ["cell", "weights", *(f"delay {n}" for n in delays)],
        rows,
        {"runs": found, "goal": RIGHT},
        MEASURED,
    )


def of_gradient(finished: Finished) -> Claim:
    found = kept_by_distance()
    at = (10, 50, 100, 199)
    rows = [[cell, *(f"{shares[k]:.2g}" for k in at)] for cell, shares in found.items()]
    far = ", ".join(f"{cell} {shares[at[-1]]:.1g}" for cell, shares in found.items())
    return Claim(
        "memory_gradient",
        "Backwards through time a gradient shrinks by the same factor at every step.",
        "share of the gradient of the last step that reaches a state so many steps before, adding "
        f"problem of 200 steps, {WIDTH} units, before any training",
        f"left of a gradient after {at[-1]} steps: {far}",
        ["cell", *(f"{k} steps" for k in at)],
        rows,
        {"kept": found},
        MEASURED,
    )


# ---- drawing -------------------------------------------------------------------------------------


def _scores(figures: Mapping[str, Any]) -> dict[str, dict[float, float]]:
    return {
        cell: {float(n): run["test"] for n, run in runs.items()}
        for cell, runs in figures["runs"].items()
    }


def draw_adding(figures: Mapping[str, Any]) -> Chart:
    return drawn(
        _scores(figures),
        title="Adding two numbers among T",
        about="Mean squared error on fresh rows. Beyond 50 and 200, a cell that did not learn half "
        "of a length is not tried at it.",
        x=Axis("T, steps of a row", 50, 400, log=True, ticks=[50, 100, 200, 400], format=",d"),
        y=Axis("squared error", 0.001, 0.3, log=True, ticks=[0.001, 0.01, 0.1]),
        levels={"without memory": 1 / 6, "solved": figures["goal"]},
    )


def draw_copy(figures: Mapping[str, Any]) -> Chart:
    return drawn(
        _scores(figures),
        title="Saying symbols again after a delay",
        about=f"Share of {COPIED} symbols that are right on fresh rows.",
        x=Axis("delay, steps", 5, 50, log=True, ticks=[5, 10, 20, 50]),
        y=Axis("right", 0, 1.02, ticks=[0, 0.25, 0.5, 0.75, 1], format="%"),
        levels={"chance": 1 / SYMBOLS},
    )


def draw_gradient(figures: Mapping[str, Any]) -> Chart:
    series = {
        cell: {float(k): share for k, share in shares.items() if share > 1e-9}
        for cell, shares in figures["kept"].items()
    }
    return drawn(
        series,
        title="What is left of a gradient, by distance",
        about="Before any training: gradient of the loss at the last step by the state so many "
        "steps before it. Lines end where less than a billionth is left.",
        x=Axis("steps back", 0, 199, format=",d"),
        y=Axis("share left", 1e-9, 10, log=True, ticks=[1e-9, 1e-6, 1e-3, 1], format=".0e"),
    )


CASES = {
    "memory_gradient": (of_gradient, draw_gradient),
    "memory_adding": (of_adding, draw_adding),
    "memory_copy": (of_copy, draw_copy),
}


def main() -> None:
    """Measure, print, keep and draw."""
    names, finished = begun(__doc__, {name: draw for name, (_, draw) in CASES.items()})
    for name in names:
        measure, draw = CASES[name]
        measure(finished).keep(draw, SEED)


if __name__ == "__main__":
    main()
