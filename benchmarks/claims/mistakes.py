"""Equations that stand wrong in notes on recurrent networks: what does each mistake cost?

Each wrong cell has the weights and the start of the real one and differs in one place of its
equation. ``adding``: the sum of two marked numbers among 30 (squared error; 1/6 without memory).
``copy``: three symbols of eight said again after a delay of five (nats a copied symbol; ln 8
without memory). ``names``: the next letter of American first names (nats a letter). Same width,
batches, clip, steps and rates for all; of each cell the rate is told whose mean over the seeds is
best on rows for validation, and of it what other rows give.

The page docs/guide/common-mistakes.md gets its table and its picture from what is kept; with
``--draw`` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import RESULTS, ROOT, data, keep, machine_in_words

import recurra
from recurra.cells.affine import candidate, gate
from recurra.data.splits import hash_part
from recurra.diagnosis import Chart
from recurra.losses import cross_entropy

PAGE = ROOT / "docs" / "guide" / "common-mistakes.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
REAL = ("LSTM", "GRU")
SEEDS, RATES = (0, 1, 2), (0.003, 0.01)
WIDTH, ROWS, STEPS, CLIP = 32, 32, 1500, 1.0
LENGTH, SYMBOLS, COPIED, DELAY = 30, 8, 3, 5
SCORED = 1000  # rows of a validation or test part that is drawn
VALIDATION, TEST = 101, 102  # seeds of rows that are not trained on
MEASURED = [
    "benchmarks/claims/mistakes.py",
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/layers/recurrent.py",
]


# ---- the cells -----------------------------------------------------------------------------------


class SigmoidOutput(recurra.LSTMCell):
    """The cell state goes out through a sigmoid in place of tanh."""

    def squashed(self, c: Tensor) -> Tensor:
        """A sigmoid."""
        return torch.sigmoid(c)


class LinearCandidate(recurra.LSTMCell):
    """What is written is not squashed."""

    def step(self, x, state, context=None, noise=None):
        """The equations, wrong in one place."""
        i, f, g, o = (self.input_product(x) + self.recurrent_product(state.h)).chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * g
        h = gate("output gate", o) * torch.tanh(c)
        return h, recurra.LSTMState(h, c)


class GatesReadCell(recurra.LSTMCell):
    """Forget and input gate read the cell state where they should read h."""

    def step(self, x, state, context=None, noise=None):
        """The equations, wrong in one place."""
        read = self.input_product(x)
        i, f, _, _ = (read + self.recurrent_product(state.c)).chunk(4, 1)
        _, _, g, o = (read + self.recurrent_product(state.h)).chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * candidate(g)
        h = gate("output gate", o) * torch.tanh(c)
        return h, recurra.LSTMState(h, c)


class GatesReadInput(recurra.LSTMCell):
    """Forget and input gate read x alone."""

    def step(self, x, state, context=None, noise=None):
        """The equations, wrong in one place."""
        i, f, read_g, read_o = self.input_product(x).chunk(4, 1)
        _, _, kept_g, kept_o = self.recurrent_product(state.h).chunk(4, 1)
        c = gate("forget gate", f) * state.c + gate("input gate", i) * candidate(read_g + kept_g)
        h = gate("output gate", read_o + kept_o) * torch.tanh(c)
        return h, recurra.LSTMState(h, c)


class WithoutUpdate(recurra.GRUCell):
    """The candidate is the new state."""

    def step(self, x, state, context=None, noise=None):
        """The equations, wrong in one place."""
        read_r, _, read_n = self.input_product(x).chunk(3, 1)
        kept_r, _, kept_n = self.recurrent_product(state.h).chunk(3, 1)
        r = gate("reset gate", read_r + kept_r)
        h = candidate(read_n + r * (kept_n + self.recurrent_bias))
        return h, recurra.HiddenState(h)


class Exchanged(recurra.GRUCell):
    """z and 1 - z have changed places."""

    def step(self, x, state, context=None, noise=None):
        """The equations, wrong in one place."""
        read_r, read_z, read_n = self.input_product(x).chunk(3, 1)
        kept_r, kept_z, kept_n = self.recurrent_product(state.h).chunk(3, 1)
        r, z = gate("reset gate", read_r + kept_r), gate("update gate", read_z + kept_z)
        n = candidate(read_n + r * (kept_n + self.recurrent_bias))
        h = z * n + (1 - z) * state.h
        return h, recurra.HiddenState(h)


CELLS: dict[str, type[recurra.Cell]] = {
    "LSTM": recurra.LSTMCell,
    "LSTM, sigmoid of the cell": SigmoidOutput,
    "LSTM, linear candidate": LinearCandidate,
    "LSTM, gates read c": GatesReadCell,
    "LSTM, gates read x alone": GatesReadInput,
    "GRU": recurra.GRUCell,
    "GRU, no update gate": WithoutUpdate,
    "GRU, z and 1 - z exchanged": Exchanged,
}


class Network(nn.Module):
    """A cell through time, and a linear map of its outputs."""

    def __init__(self, cell: recurra.Cell, answers: int) -> None:
        super().__init__()
        self.layer = recurra.Recurrent(cell)
        self.said = nn.Linear(cell.output_size, answers)


# ---- the tasks -----------------------------------------------------------------------------------


class Adding:
    """The sum of two marked numbers."""

    sizes = 2, 1
    shown = f"adding, T = {LENGTH}"
    unit = "squared error"
    without: float | None = 1 / 6

    def __init__(self) -> None:
        self.task = recurra.data.AddingTask(LENGTH)

    def batches(self, seed: int) -> Iterator[recurra.Batch]:
        """What is trained on, without end."""
        return self.task.batches(ROWS, seed=seed)

    def scored(self, part: int) -> recurra.Batch:
        """Rows for validation or for testing."""
        return self.task.batch(SCORED, seed=part)

    def loss(self, network: Network, batch: recurra.Batch) -> Tensor:
        """What is minimized."""
        said = network.said(network.layer(batch.inputs).last)
        return nn.functional.mse_loss(said, batch.targets)

    score = loss


class Copying:
    """Symbols said again; trained on every step, scored where symbols are asked for."""

    sizes = SYMBOLS + 2, SYMBOLS + 1
    shown = f"copy, delay {DELAY}"
    unit = "nats a symbol"
    without: float | None = float(np.log(SYMBOLS))

    def __init__(self) -> None:
        self.task = recurra.data.CopyTask(SYMBOLS, COPIED, DELAY)

    def batches(self, seed: int) -> Iterator[recurra.Batch]:
        """What is trained on, without end."""
        return self.task.batches(ROWS, seed=seed)

    def scored(self, part: int) -> recurra.Batch:
        """Rows for validation or for testing."""
        return self.task.batch(SCORED, seed=part)

    def loss(self, network: Network, batch: recurra.Batch, steps: int = 0) -> Tensor:
        """Of the last steps, or of all."""
        read = nn.functional.one_hot(batch.inputs, SYMBOLS + 2).float()
        said = network.said(network.layer(read).outputs)
        return cross_entropy(said[-steps:], batch.targets[-steps:])

    def score(self, network: Network, batch: recurra.Batch) -> Tensor:
        """Where symbols are asked for."""
        return self.loss(network, batch, COPIED)


class Names:
    """The next letter; a name begins and ends with the same symbol."""

    sizes = 27, 27
    shown = "names"
    unit = "nats a letter"
    without: float | None = None

    def __init__(self) -> None:
        self.parts: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
        for name in data("names/names.txt").read_text().split():
            self.parts[hash_part(name)].append(name)

    def batch(self, names: Sequence[str]) -> recurra.Batch:
        """Names of any lengths."""
        rows = [torch.tensor([0, *(ord(letter) - 96 for letter in name), 0]) for name in names]
        lengths = torch.tensor([len(row) - 1 for row in rows])
        ids = nn.utils.rnn.pad_sequence(rows)
        read = nn.functional.one_hot(ids[:-1], 27).float()
        return recurra.Batch(
            recurra.PaddedSequence(read, lengths), recurra.PaddedSequence(ids[1:], lengths)
        )

    def batches(self, seed: int) -> Iterator[recurra.Batch]:
        """What is trained on, without end."""
        chance, names = np.random.default_rng(seed), self.parts["training"]
        while True:
            yield self.batch([names[n] for n in chance.integers(len(names), size=ROWS)])

    def scored(self, part: int) -> recurra.Batch:
        """Rows for validation or for testing."""
        return self.batch(self.parts["validation" if part == VALIDATION else "test"])

    def loss(self, network: Network, batch: recurra.Batch) -> Tensor:
        """What is minimized."""
        outputs = network.layer(batch.inputs).outputs
        return cross_entropy(outputs.map(network.said), batch.targets)

    score = loss


Task = Adding | Copying | Names
TASKS: dict[str, type[Task]] = {"adding": Adding, "copy": Copying, "names": Names}


# ---- measuring -----------------------------------------------------------------------------------


def fit(parameters: Sequence[Tensor], rate: float) -> Callable[[Tensor], None]:
    """What makes a step of Adam of a loss, the norm of its gradient clipped."""
    optimizer = torch.optim.Adam(parameters, lr=rate)

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()

    return step


def once(task: Task, cell: str, rate: float, seed: int) -> dict[str, float]:
    """One training: what it gives on rows for validation, and on others."""
    torch.manual_seed(seed)
    width, answers = task.sizes
    network = Network(CELLS[cell](width, WIDTH), answers)
    step, batches = fit([*network.parameters()], rate), task.batches(seed + 10)
    for _ in range(STEPS):
        step(task.loss(network, next(batches)))
    with torch.no_grad():
        return {
            part: float(task.score(network, task.scored(number)))
            for part, number in (("validation", VALIDATION), ("test", TEST))
        }


def of_cell(task: Task, cell: str) -> dict[str, Any]:
    """All rates and seeds of a cell, and the rate that the validation chooses."""
    tried = {str(rate): [once(task, cell, rate, seed) for seed in SEEDS] for rate in RATES}
    means = {
        rate: statistics.fmean(run["validation"] for run in runs) for rate, runs in tried.items()
    }
    rate = min(means, key=lambda one: means[one])
    found = {"rate": float(rate), "test": [run["test"] for run in tried[rate]], "tried": tried}
    print(f"{task.shown:18} {cell:28} rate {rate:6} {mean_of(found)}", flush=True)
    return found


def mean_of(found: Mapping[str, Any]) -> str:
    """The mean over seeds, and their range."""
    test = found["test"]
    return f"{statistics.fmean(test):.4f} ({min(test):.4f} to {max(test):.4f})"


def of_task(name: str) -> dict[str, Any]:
    """All cells on a task, kept."""
    task = TASKS[name]()
    found = {cell: of_cell(task, cell) for cell in CELLS}
    keep(
        f"claims_mistakes_{name}",
        {
            "question": f"what wrong equations cost on {task.shown}: "
            f"{task.unit} on rows for testing, mean and range of "
            f"{len(SEEDS)} seeds; {WIDTH} units, {STEPS:,} steps of {ROWS} rows, the "
            f"better of {len(RATES)} rates by validation",
            "figure": "; ".join(f"{cell} {mean_of(each)}" for cell, each in found.items()),
            "without": task.without,
            "cells": found,
        },
        MEASURED,
        seed=SEEDS[0],
    )
    return found


# ---- telling -------------------------------------------------------------------------------------


def kept(name: str) -> dict[str, Any] | None:
    """What was kept of a case, or None."""
    path = RESULTS / f"claims_mistakes_{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def measured() -> str:
    """A table of all that is kept, as Markdown."""
    found = {name: result for name in TASKS if (result := kept(name)) is not None}
    shown = [TASKS[name].shown for name in found]
    rows = [f"| cell | {' | '.join(shown)} |", "|---" * (len(found) + 1) + "|"]
    for cell in CELLS:
        scores = [mean_of(result["cells"][cell]) for result in found.values()]
        rows.append(f"| {cell} | {' | '.join(scores)} |")
    commands = [f"`{result['command']}`" for result in found.values()]
    rows += [
        "",
        f"Less is better; mean of {len(SEEDS)} seeds and their range. {', '.join(commands)}",
    ]
    return "\n".join(rows)


def draw() -> Chart:
    """A panel for each task, a row for each cell: a dot for each seed, a bar for their mean."""
    panels = []
    for name in TASKS:
        result = kept(name)
        if result is None:
            continue
        dots = [
            {"cell": cell, "score": score, "kind": "real" if cell in REAL else "wrong"}
            for cell, found in result["cells"].items()
            for score in found["test"]
        ]
        panels.append(_panel(TASKS[name], dots, first=not panels))
    title = "What wrong equations cost"
    told = (
        f"A dot for each of {len(SEEDS)} seeds, on rows that were not trained on; less is better. "
        "Dashed: without memory."
    )
    return Chart(
        {
            "hconcat": panels,
            "spacing": 24,
            "title": {"text": title, "subtitle": [told]},
            "description": f"{title}. {told}",
        }
    )


def _panel(task: type[Task], dots: Sequence[Mapping[str, Any]], *, first: bool) -> dict[str, Any]:
    rows: dict[str, Any] = {"field": "cell", "type": "nominal", "sort": [*CELLS]}
    rows["axis"] = {"title": None, "grid": True, "labelLimit": 240, "labels": first, "ticks": first}
    across = {"title": f"{task.shown}: {task.unit}", "tickCount": 4, "format": "~g"}
    color = {
        "field": "kind",
        "scale": {"domain": ["real", "wrong"], "range": ["#0b3c6f", "#b2182b"]},
        "legend": None,
    }
    score = {"field": "score", "type": "quantitative", "axis": across}
    score["scale"] = {"zero": False, "type": "linear" if task.without is None else "log"}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.75},
            "encoding": {"x": score, "y": rows, "color": color},
        },
        {
            "mark": {"type": "tick", "thickness": 2, "size": 18},
            "encoding": {"x": {**score, "aggregate": "mean"}, "y": rows, "color": color},
        },
    ]
    if task.without is not None:
        level = {"datum": task.without, "type": "quantitative"}
        rule = {"type": "rule", "strokeDash": [5, 4], "color": "#333"}
        layers.append({"mark": rule, "encoding": {"x": level}})
    return {"width": 190, "height": 230, "data": {"values": list(dots)}, "layer": layers}


def write() -> None:
    """Put the table into the page, and draw its picture."""
    text = PAGE.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{PAGE.relative_to(ROOT)}: has no marks {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    text = f"{before}{BEGIN}\n{measured()}\n{END}{rest.partition(END)[2]}"
    PAGE.write_text(text)
    draw().save(PAGE.with_name("mistakes.svg"))


def main() -> None:
    """Measure and keep, then tell."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(TASKS)}; all if none")
    parser.add_argument("--draw", action="store_true", help="only tell what is kept")
    given = parser.parse_args()
    wrong = [name for name in given.cases if name not in TASKS]
    if wrong:
        parser.error(f"no case {wrong[0]!r}; expected some of {', '.join(TASKS)}")
    if not given.draw:
        torch.set_num_threads(1)  # the products are too small to share
        print(machine_in_words())
        for name in given.cases or TASKS:
            of_task(name)
    write()


if __name__ == "__main__":
    main()
