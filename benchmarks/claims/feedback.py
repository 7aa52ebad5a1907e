"""Is it weaker to feed back what was said (Jordan) than what is inside (Elman)?

Two tasks, both with an answer at every step. ``shown``: is the number of ones odd so far? All that
must be remembered is in the last answer. ``hidden``: a symbol is read at the first step and is to
be said ten steps later; until then the answer is a blank, which does not show it. An Elman cell, a
Jordan cell that feeds back the probabilities it said, and the same one that is given the targets
instead (teacher forcing) and then runs on its own answers. A forced Jordan cell has nothing to do
through time: ``recurra.engine.explain`` says so, and a step of training is timed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from time import process_time
from typing import Any

import numpy as np
import torch
from claim import Claim, begun, drawn, parameters, train
from harness import measure_rounds
from torch import Tensor, nn

import recurra
from recurra.batch import Batch
from recurra.cells import Cell, ElmanCell, JordanCell
from recurra.data.synthetic import CopyTask, ParityTask
from recurra.diagnosis import Axis, Chart
from recurra.engine import explain

SEEDS, RATES = (0, 1, 2), (0.003, 0.01)
WIDTH, ROWS, STEPS, SCORED = 32, 32, 3_000, 1000
LENGTH, SYMBOLS, DELAY = 12, 4, 10
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/elman.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/cells/jordan.py",
    "src/recurra/cells/wrappers.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/engine",
]


def probabilities(scores: Tensor) -> Tensor:
    return torch.softmax(scores, -1)


class Answering(nn.Module):
    """A cell whose output says the probabilities of answers, or is read by a map that does.

    Args:
        kind: ``"Elman"``, ``"Jordan"`` or ``"Jordan, forced"``.
        input_size: width of x.
        answers: how many there are.
    """

    def __init__(self, kind: str, input_size: int, answers: int) -> None:
        super().__init__()
        self.answers, self.forced = answers, kind.endswith("forced")
        self.cell: Cell
        self.said: nn.Module = nn.Identity()
        if kind == "Elman":
            self.cell = ElmanCell(input_size, WIDTH)
            self.said = nn.Sequential(nn.Linear(WIDTH, answers), nn.Softmax(-1))
        else:
            self.cell = JordanCell(input_size, WIDTH, answers, output_activation=probabilities)
        self.taught = recurra.Forced(self.cell, "y") if self.forced else self.cell

    def free(self, inputs: Tensor) -> Tensor:
        """Probabilities ``[time, batch, answers]``, run on what the cell said itself."""
        said: Tensor = self.said(recurra.run(self.cell, inputs).outputs)
        return said

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy; of a forced one on what was true before."""
        if self.forced:
            true = nn.functional.one_hot(batch.targets, self.answers).float()
            said = recurra.run(self.taught, recurra.ForcedInput(batch.inputs, true)).outputs
        else:
            said = self.free(batch.inputs)
        likely = said.gather(-1, batch.targets.unsqueeze(-1))
        return -likely.clamp(min=1e-7).log().mean()


def shown(rows: int, seed: Any) -> Batch:
    batch = ParityTask(LENGTH).batch(rows, seed=seed)
    return Batch(nn.functional.one_hot(batch.inputs, 2).float(), batch.targets)


def hidden(rows: int, seed: Any) -> Batch:
    batch = CopyTask(SYMBOLS, 1, DELAY).batch(rows, seed=seed)
    return Batch(nn.functional.one_hot(batch.inputs, SYMBOLS + 2).float(), batch.targets)


TASKS: dict[str, tuple[Callable[[int, Any], Batch], int, int, float]] = {
    "shown": (shown, 2, 2, 1 / 2),
    "hidden": (hidden, SYMBOLS + 2, SYMBOLS + 1, 1 / SYMBOLS),
}
KINDS = ("Elman", "Jordan", "Jordan, forced")


def right(model: Answering, batch: Batch) -> float:
    """Share of right answers at the last step."""
    return float((model.free(batch.inputs)[-1].argmax(-1) == batch.targets[-1]).float().mean())


def once(task: str, kind: str, rate: float, seed: int) -> dict[str, Any]:
    """Scores of a training on rows for validation, and on others."""
    make, read, answers, _ = TASKS[task]
    torch.manual_seed(seed)
    model, chance = Answering(kind, read, answers), np.random.default_rng([seed, 0])
    held, test = (make(SCORED, np.random.default_rng([seed, part])) for part in (1, 2))
    done = train(
        model,
        iter(lambda: make(ROWS, chance), None),
        model.loss,
        rate=rate,
        steps=STEPS,
        score=lambda: right(model, held),
        solved=lambda score: False,
        every=STEPS // 15,
    )
    with torch.no_grad():
        facts = {"score": done.score, "right": right(model, test), "weights": parameters(model)}
    return facts | {"curve": done.curve}


def measured(task: str, kind: str) -> dict[str, Any]:
    tried = {rate: once(task, kind, rate, SEEDS[0]) for rate in RATES}
    rate = max(tried, key=lambda each: tried[each]["score"])
    runs = [tried[rate], *(once(task, kind, rate, seed) for seed in SEEDS[1:])]
    print(task, kind, rate, [run["right"] for run in runs], flush=True)
    return {"rate": rate, "runs": runs}


def step_times(
    time: int = 200, rows: int = 4, width: int = 128, answers: int = 128, read: int = 16
) -> Any:
    """Seconds of a forward and a backward pass, and what explain says is done through time."""
    jordan = JordanCell(read, width, answers)
    x, true = torch.randn(time, rows, read), torch.randn(time, rows, answers)
    calls: dict[str, tuple[Cell, Any]] = {
        "Elman": (ElmanCell(read, width), x),
        "Jordan": (jordan, x),
        "Jordan, forced": (recurra.Forced(jordan, "y"), recurra.ForcedInput(x, true)),
    }

    def taken_by(cell: Cell, inputs: Any) -> float:
        began = process_time()
        for _ in range(5):
            torch.autograd.backward(recurra.run(cell, inputs).outputs.sum())
        return (process_time() - began) / 5

    def once() -> dict[str, float]:
        return {name: taken_by(*call) for name, call in calls.items()}

    taken = measure_rounds(once, warm=True)
    print(taken)
    plans = {}
    for name, (cell, _) in calls.items():
        told = explain(cell)
        print(told)
        plan = told.choices[0].plan
        phases = (plan.forward, plan.backward) if plan else ({}, {})
        plans[name] = [phase.get("through", "not told") for phase in phases]
    return taken, plans


def row(kind: str, found: Mapping[str, Any], taken: Any, plans: Mapping[str, Any]) -> list[str]:
    """Of a table."""
    cells = []
    for task in TASKS:
        shares = [run["right"] for run in found[task][kind]["runs"]]
        cells.append(f"{statistics.mean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})")
    return [kind, *cells, f"{taken.median(kind) * 1e3:.2f}", *plans[kind]]


def of_feedback() -> tuple[Claim, bool]:
    found = {task: {kind: measured(task, kind) for kind in KINDS} for task in TASKS}
    taken, plans = step_times()
    means = {
        task: [f"{kind} {statistics.mean(run['right'] for run in own[kind]['runs']):.1%}"
               for kind in KINDS]
        for task, own in found.items()
    }  # fmt: skip
    through = plans["Jordan, forced"]
    claim = Claim(
        "feedback",
        "Feeding back what was said is weaker than feeding back what is inside.",
        "share of right answers at the last step, where the answers show what must be remembered "
        f"(parity of {LENGTH} bits) and where they hide it (a symbol after {DELAY} blanks); "
        f"{WIDTH} units, {STEPS:,} steps of {ROWS} rows, {len(SEEDS)} seeds, free running; and "
        "milliseconds of CPU time of a pass forward and backward over 200 steps of 4 rows, 128 "
        "units and answers",
        f"shown: {', '.join(means['shown'])}; hidden: {', '.join(means['hidden'])}; of a forced "
        f"Jordan cell explain tells through time: {through[0]} forward, {through[1]} for the "
        f"gradient; {taken.speed('Jordan, forced', 'Jordan')[1]:.1f} times as fast as a free one"
        + taken.mark,
        ["cell", "shown", "hidden", "ms", "through time", "through time, gradient"],
        [row(kind, found, taken, plans) for kind in KINDS],
        {"tasks": found, "plans": plans, "chance": {name: task[3] for name, task in TASKS.items()},
         "times": taken.to_json()},
        MEASURED,
    )  # fmt: skip
    return claim, taken.void


def draw(figures: Mapping[str, Any]) -> Chart:
    series = {}
    for kind in KINDS:
        curves = [run["curve"] for run in figures["tasks"]["hidden"][kind]["runs"]]
        series[kind] = {float(at): statistics.mean(one[at] for one in curves) for at in curves[0]}
    return drawn(
        series,
        title="A symbol that the answers hide",
        about=f"Share of right answers after {DELAY} blanks, on rows for validation, by the step "
        f"of training; mean of {len(SEEDS)} seeds, each cell run on what it said itself.",
        x=Axis("training step", 0, STEPS, format=",d"),
        y=Axis("right", 0, 1.02, ticks=[0, 0.25, 0.5, 0.75, 1], format="%"),
        levels={"chance": figures["chance"]["hidden"]},
    )


def main() -> None:
    """Measure, print, keep and draw."""
    for _ in begun(__doc__, {"feedback": draw}).names:
        claim, void = of_feedback()
        claim.keep(draw, SEEDS[0], void=void)


if __name__ == "__main__":
    main()
